"""Regular expressions by RE2: over single texts, and over many at once that stand as lines in one piece of memory."""

import re
from collections.abc import Iterator
from functools import cache, cached_property
from typing import Any

from holdfast.errors import BadPattern

# What means something else where many texts are looked at as lines of one: ends of the text, `(?-m)`, quotes and single bytes.
_NOT_BY_LINES = re.compile(r"\\[AzZCQ]|\(\?[a-zA-Z]*-[a-zA-Z]*m")
_LOOKING = re.compile(r"\(\?<?[=!]")
_BACK_REFERENCE = re.compile(r"\\[1-9]|\(\?P=")
_MAX_MEMORY_BYTES = 32 << 20


class Expression:
    """A regular expression that RE2 takes; `source` was checked."""

    def __init__(self, source: str) -> None:
        self.source = source

    @property
    def goes_by_lines(self) -> bool:
        """Whether it can be looked for in many texts at once."""
        return _NOT_BY_LINES.search(self.source) is None

    @cached_property
    def _single(self) -> Any:
        return _compile(self.source, by_lines=False)

    @cached_property
    def _by_lines(self) -> Any:
        return _compile(_line_source(self.source), by_lines=True)

    def is_in(self, text: str) -> bool:
        """Whether it is found in a text."""
        return self._single.search(text.encode("utf-8", "replace")) is not None

    def span_in(self, text: str) -> tuple[int, int] | None:
        """Where in a text, in signs."""
        data = text.encode("utf-8", "replace")
        found = self._single.search(data)
        if found is None:
            return None
        start, end = found.span()
        return len(data[:start].decode()), len(data[:end].decode())

    def lines_in(self, data: bytes, start: int = 0, end: int | None = None) -> Iterator[int]:
        """For each line between two offsets in which it is found an offset within that line, in order."""
        for found in self._by_lines.finditer(data, start, len(data) if end is None else end):
            yield found.start()


def check_regex(source: str, *, shown: str | None = None) -> None:
    """Raise BadPattern where RE2 does not take an expression. shown: the pattern that it was made from."""
    try:
        _compile(source, by_lines=False)
        _compile(_line_source(source), by_lines=True)
    except _re2().error as error:
        message = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error.args[0])
        if shown is not None:
            raise BadPattern(shown, 0, f"the pattern is too large ({message.partition(':')[0]})") from None
        at, reason = _explained(source, message)
        raise BadPattern(source, at, reason) from None


def _explained(source: str, message: str) -> tuple[int, str]:
    """Where in an expression RE2 stumbled, and why."""
    what, _, fragment = message.partition(": ")
    if what in ("invalid perl operator", "invalid escape sequence", "invalid named capture group"):
        if (found := _LOOKING.search(source)) is not None and fragment.startswith("(?"):
            return found.start(), "looking ahead or behind cannot be done in linear time, and RE2's syntax has none of it"
        if (found := _BACK_REFERENCE.search(source)) is not None:
            return found.start(), "a back-reference cannot be found in linear time, and RE2's syntax has none"
    if what in ("missing )", "unexpected )"):
        return _unbalanced(source), "this bracket has no other half"
    if what.startswith("trailing \\"):
        return len(source) - 1, "a backslash stands at the end"
    if "too large" in what:
        return 0, "the expression is too large: it would take too much memory"
    return max(0, source.find(fragment)), what


def _unbalanced(source: str) -> int:
    """Offset of the first bracket without its other half."""
    opened: list[int] = []
    in_class, at = False, 0
    while at < len(source):
        sign = source[at]
        if sign == "\\":
            at += 1
        elif in_class:
            in_class = sign != "]"
        elif sign == "[":
            in_class = True
            at += 1 if source[at + 1 : at + 2] == "]" else 2 if source[at + 1 : at + 3] == "^]" else 0
        elif sign == "(":
            opened.append(at)
        elif sign == ")":
            if not opened:
                return at
            opened.pop()
        at += 1
    return opened[-1] if opened else 0


def _line_source(source: str) -> str:
    """What finds an expression in a line, and goes on behind that line."""
    return f"(?m)(?:{source}).*" if _NOT_BY_LINES.search(source) is None else source


def _compile(source: str, *, by_lines: bool) -> Any:
    re2 = _re2()
    options = re2.Options()
    options.log_errors, options.never_capture, options.max_mem = False, True, _MAX_MEMORY_BYTES
    options.never_nl = by_lines
    return re2.compile(source.encode(), options)


@cache
def _re2() -> Any:
    import re2  # here: it is needed for searching only

    return re2
