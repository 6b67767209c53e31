"""Patterns over tokens: what `holdfast search PATTERN` means, and where one that means nothing is wrong.

| pattern | finds |
|---|---|
| `Φ×|Reactor|bio_prion` | by parts between bars, as holdfast.tokens does; the third may be a family: `Φ×|*|celestial` |
| `Φ×|Reactor` | one or two parts are a beginning: what is left out may be anything. Three and more are the whole token |
| `Φ×` | without a bar: the tokens that are just this, and those whose first part it is |
| `Φ×*`, `*_em`, `*React*` | without a bar `*` runs over bars too: a beginning, an end, a text within |
| `a\\|b`, `\\*`, `\\\\` | these signs themselves |
| `--regex '^e.*t[3-5]'` | a regular expression in RE2's syntax, found anywhere in the token |

Within parts `*` is any run of signs but bars, and blanks around bars do not count. An operator and its alias (`-` and `−`, `%`
and `÷`) are one. Capitals count. RE2 takes time in proportion to the token, whatever the pattern.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from holdfast.errors import BadPattern
from holdfast.reading.regex import Expression, check_regex
from holdfast.tokens import ALIASES

MAX_PATTERN_BYTES = 64 << 10
_PLACES = (2,)  # in which part, counted from 0, a family's name stands for its members
_WHOLE_FROM = 3
BLANK = r"[\t\n\v\f\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
BLANKS = f"{BLANK}*"
_TWINS = {sign: (alias, to) for alias, to in ALIASES.items() for sign in (alias, to)}
STAR = None
"""What stands in a glob for `*`."""

Glob = tuple[str | None, ...]
"""Texts with STAR between them: `a*` is ("a", STAR)."""


@dataclass(frozen=True)
class Pattern:
    """A checked pattern. parts: globs, in a pattern with bars; one glob in one without. Empty for a regular expression."""

    source: str
    parts: tuple[Glob, ...]

    @property
    def is_regex(self) -> bool:
        return not self.parts

    @property
    def has_bars(self) -> bool:
        return len(self.parts) > 1

    @property
    def has_escaped_bar(self) -> bool:
        """Whether a part holds a bar itself, so that splitting a token at its bars does not tell."""
        return any(text and "|" in text for part in self.parts for text in part)

    @property
    def is_whole(self) -> bool:
        """Whether the parts stand for the whole token."""
        return len(self.parts) >= _WHOLE_FROM

    @property
    def plain(self) -> Glob | None:
        """The glob over whole texts, where that is what the pattern is."""
        return self.parts[0] if len(self.parts) == 1 and STAR in self.parts[0] else None

    @cached_property
    def expression(self) -> Expression:
        """The pattern as a regular expression to be found in a token's text."""
        if self.is_regex:
            return Expression(self.source)
        if self.plain is not None:
            return Expression(_over_text(self.plain))
        blank = f"^{BLANKS}"
        if not self.has_bars:
            here = part_source(self.parts[0])
            edge = part_source(_stripped(self.parts[0]))
            return Expression(rf"^{here}$|{blank}{edge}{BLANKS}\|")
        bodies = [self.part_expression(index) for index in range(len(self.parts))]
        return Expression(blank + rf"{BLANKS}\|{BLANKS}".join(bodies) + BLANKS + ("$" if self.is_whole else r"(?:$|\|)"))

    def is_family(self, index: int) -> bool:
        """Whether a part stands for all members of a family, too."""
        return len(self.parts) == 3 and index in _PLACES

    def part_expression(self, index: int) -> str:
        """What a part must match as a whole, blanks at its ends taken away."""
        return part_source(_stripped(self.parts[index])) + (r"(?:_[^|]*)?" if self.is_family(index) else "")

    def part_texts(self, index: int) -> list[str] | None:
        """The texts that a part stands for, blanks at its ends and families apart; None where there are too many."""
        part = _stripped(self.parts[index])
        return None if STAR in part else variants("".join(text for text in part if text is not STAR))

    def matches(self, text: str) -> bool:
        """Whether a token of this text is found."""
        return self.expression.is_in(text)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Which stretches of a text that matches are what was asked for: for showing it."""
        if self.is_regex or (self.plain is not None and self.plain[0] is STAR):
            inner = Expression(_within(self.plain)) if self.plain is not None else self.expression
            found = inner.span_in(text)
            return [found] if found is not None and found[0] < found[1] else []
        if self.plain is not None:
            return [(0, len(self.plain[0] or "")), *([(0, len(text))] if self.plain[-1] is not STAR else [])][-1:]
        if not self.has_bars or self.has_escaped_bar:
            return [(0, len(text))]
        spans, start = [], 0
        for glob, part in zip(self.parts, text.split("|"), strict=False):
            if glob != (STAR,):
                spans.append((start, start + len(part)))
            start += len(part) + 1
        return spans


@lru_cache(maxsize=256)
def compile_pattern(source: str, *, regex: bool = False) -> Pattern:
    """Check a pattern. Raises BadPattern, which shows where it is wrong."""
    if not isinstance(source, str):
        raise BadPattern(repr(source), 0, f"a pattern is a text, and this is {type(source).__name__}")
    if not source:
        every = "'.'" if regex else "'*'"
        raise BadPattern(source, 0, f"the pattern is empty; {every} finds every token")
    _refuse_surrogates(source)
    if len(source.encode()) > MAX_PATTERN_BYTES:
        raise BadPattern(source, 0, f"the pattern takes more than {MAX_PATTERN_BYTES:,} bytes")
    if regex:
        check_regex(source)
        return Pattern(source, ())
    pattern = Pattern(source, tuple(_read(source)))
    check_regex(pattern.expression.source, shown=source)
    return pattern


def variants(text: str, *, limit: int = 16) -> list[str] | None:
    """Every text that a text without `*` stands for, as an operator and its alias are one; None where there are too many."""
    found = [""]
    for sign in text:
        signs = _TWINS.get(sign, (sign,))
        if len(found) * len(signs) > limit:
            return None
        found = [start + one for start in found for one in signs]
    return found


def plain_beginning(text: str) -> str:
    """The beginning of a text before its first operator that has an alias."""
    for index, sign in enumerate(text):
        if sign in _TWINS:
            return text[:index]
    return text


def part_source(glob: Glob) -> str:
    """A part as a regular expression."""
    return "".join("[^|]*" if text is STAR else _quoted(text) for text in glob)


def _over_text(glob: Glob) -> str:
    first, last = glob[0], glob[-1]
    return ("" if first is STAR else "^") + _within(glob) + ("" if last is STAR else "$")


def _within(glob: Iterable[str | None]) -> str:
    """A glob over whole texts, without the stars at its ends."""
    return "(?s:.*)".join(_quoted(text) for text in glob if text is not STAR)


def _quoted(text: str) -> str:
    found = []
    for sign in text:
        if sign in _TWINS:
            found.append("(?:" + "|".join(_literal(one) for one in _TWINS[sign]) + ")")
        else:
            found.append(_literal(sign))
    return "".join(found)


def _literal(sign: str) -> str:
    return sign if sign.isalnum() or sign == "_" else rf"\x{{{ord(sign):x}}}"


def _read(source: str) -> Iterable[Glob]:
    """The parts of a pattern. Raises BadPattern."""
    parts: list[list[str | None]] = [[]]
    starts, text, at = [0], "", 0

    def end_text() -> None:
        nonlocal text
        if text:
            parts[-1].append(text)
        text = ""

    while at < len(source):
        sign = source[at]
        if sign == "\\":
            following = source[at + 1 : at + 2]
            if following not in ("|", "*", "\\") or not following:
                what = "nothing" if not following else repr(following)
                raise BadPattern(
                    source, at, rf"a backslash stands before | * or \ only, and {what} follows; write \\ for itself"
                )
            text += following
            at += 1
        elif sign == "*":
            end_text()
            if parts[-1][-1:] != [STAR]:
                parts[-1].append(STAR)
        elif sign == "|":
            end_text()
            parts.append([])
            starts.append(at + 1)
        else:
            text += sign
        at += 1
    end_text()
    if len(parts) == 1:
        return (tuple(parts[0]),)
    stripped = [_stripped(tuple(part)) for part in parts]
    for part, start in zip(stripped, starts, strict=True):
        if not part:
            raise BadPattern(source, min(start, len(source)), "a part between bars is empty; '*' stands for any")
    return stripped


def _stripped(glob: Glob) -> Glob:
    """A part without the blanks at its ends."""
    kept: list[Any] = list(glob)
    if kept and kept[0] is not STAR:
        kept[0] = kept[0].lstrip()
    if kept and kept[-1] is not STAR:
        kept[-1] = kept[-1].rstrip()
    return tuple(text for text in kept if text is STAR or text)


def _refuse_surrogates(source: str) -> None:
    try:
        source.encode()
    except UnicodeEncodeError as error:
        what = "half of a surrogate pair stands here, which no text of a token holds (U+FFFD stands for it there)"
        raise BadPattern(source, error.start, what) from None
