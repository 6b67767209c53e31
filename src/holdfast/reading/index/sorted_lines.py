"""Sorted texts as lines of one piece of memory: found by halving, by a text within, or by a regular expression."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from holdfast.reading.patterns import BLANK
from holdfast.reading.regex import Expression

if TYPE_CHECKING:
    import numpy as np

    Array: TypeAlias = np.ndarray[Any, Any]

_FEW = 64  # up to here matches are looked for one by one
_NEWLINE = b"\n"
_BLOCK_BYTES = 1 << 17
_TOLD_BY = 8  # signs that are looked at everywhere; the others where these stand


class Lines:
    """Texts in UTF-8, sorted by their bytes, as lines of one piece of memory: `data` holds each with a newline behind it, and
    line i begins at `starts[i]`. A text that holds a newline itself stands with zero bytes for it, and as it is in `odd`.
    """

    def __init__(self, data: Any, starts: "Array", odd: dict[int, str]) -> None:
        self._data, self.starts, self.odd = data, starts, odd

    def __len__(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def data(self) -> bytes:
        """All of it, in memory."""
        return bytes(self._data)

    @cached_property
    def signs(self) -> "Array":
        """All of it as numbers, where it lies."""
        import numpy as np

        return np.frombuffer(self._data, np.uint8)

    @cached_property
    def has_blanks(self) -> bool:
        """Whether a text begins or ends with a blank."""
        ends = Expression(f"^{BLANK}|{BLANK}$")
        return len(self.found_by(ends, slice(0, len(self)))) > 0

    def line(self, index: int) -> bytes:
        """A line without its newline."""
        return bytes(self._data[int(self.starts[index]) : int(self.starts[index + 1]) - 1])

    def text(self, index: int) -> str:
        """A text as it was."""
        return self.odd[index] if index in self.odd else self.line(index).decode()

    def texts(self, indices: Sequence[int]) -> list[str]:
        """The same for many."""
        return [self.text(index) for index in indices]

    def stretch(self, low: int, high: int) -> list[str]:
        """The texts from one line up to another, or to the end."""
        high = min(high, len(self))
        found = bytes(self._data[int(self.starts[low]) : int(self.starts[high])]).decode().split("\n")[:-1]
        for index in self.odd:
            if low <= index < high:
                found[index - low] = self.odd[index]
        return found

    def beginning_with(self, start: bytes) -> slice:
        """The lines that begin so."""
        low = self._first_not_below(start)
        return slice(low, self._first_not_below(start + b"\xff", low))

    def equal_to(self, line: bytes) -> slice:
        """The lines that are just this: one, or none (two where a newline hides)."""
        low = high = self._first_not_below(line)
        while high < len(self) and self.line(high) == line:
            high += 1
        return slice(low, high)

    def holding(self, text: bytes) -> "Array":
        """The lines that hold this text, none of them twice."""
        import numpy as np

        data, at = self.data, -1
        found: list[int] = []
        while len(found) < _FEW and (at := data.find(text, at + 1)) >= 0:
            found.append(at)
            at = data.find(_NEWLINE, at) - 1 if len(text) > 0 else at
        return self._of_offsets(np.array(found, dtype=np.int64) if at < 0 else _occurrences(self.signs, text))

    def found_by(self, expression: Expression, where: slice) -> "Array":
        """The lines of a stretch in which an expression is found; those in `odd` not rightly."""
        import numpy as np

        if where.stop <= where.start:
            return np.zeros(0, dtype=np.int64)
        if expression.goes_by_lines:
            start, end = int(self.starts[where.start]), int(self.starts[where.stop])
            whole = start == 0 and end == int(self.starts[-1])
            data = self.data if whole or "data" in self.__dict__ else None
            if data is None:
                piece = bytes(self._data[start:end])
                offsets = np.fromiter(expression.lines_in(piece, 0, max(0, len(piece) - 1)), dtype=np.int64) + start
            else:
                offsets = np.fromiter(expression.lines_in(data, start, max(start, end - 1)), dtype=np.int64)
            return self._of_offsets(offsets)
        found = [index for index in range(where.start, where.stop) if expression.is_in(self.line(index).decode())]
        return np.array(found, dtype=np.int64)

    def _of_offsets(self, offsets: "Array") -> "Array":
        import numpy as np

        found = np.searchsorted(self.starts, offsets.astype(self.starts.dtype), side="right").astype(np.int64) - 1
        if len(found) > 1:
            found = found[np.concatenate(([True], found[1:] != found[:-1]))]
        return found

    def _first_not_below(self, line: bytes, low: int = 0) -> int:
        high = len(self)
        while low < high:
            middle = (low + high) // 2
            if self.line(middle) < line:
                low = middle + 1
            else:
                high = middle
        return low


def _occurrences(signs: "Array", text: bytes) -> "Array":
    """Where a text begins, in blocks that stay in the processor's cache: for one that is found often."""
    import numpy as np

    found: list[Array] = []
    for low in range(0, len(signs) - len(text) + 1, _BLOCK_BYTES):
        block = signs[low : low + _BLOCK_BYTES + len(text) - 1]
        count = len(block) - len(text) + 1
        marks = block[:count] == text[0]
        for offset in range(1, min(len(text), _TOLD_BY)):
            marks &= block[offset : offset + count] == text[offset]
        here = np.flatnonzero(marks)
        for offset in range(_TOLD_BY, len(text)):
            here = here[block[here + offset] == text[offset]]
        found.append(here + low)
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def lines_of(texts: Sequence[str]) -> tuple[Lines, "Array"]:
    """Texts as sorted lines, and for each text its id there."""
    import numpy as np

    has_odd = "\n" in "".join(texts)
    shown = [text.replace("\n", "\0") if "\n" in text else text for text in texts] if has_odd else texts
    encoded = [text.encode("utf-8", "backslashreplace") for text in shown]
    order = sorted(range(len(encoded)), key=encoded.__getitem__)
    ids = np.empty(len(encoded), dtype=np.int64)
    ids[order] = np.arange(len(encoded))
    ordered = [encoded[index] for index in order]
    lengths = np.fromiter(map(len, ordered), dtype=np.int64, count=len(ordered))
    starts = np.concatenate(([0], np.cumsum(lengths + 1)))
    if starts[-1] < 1 << 32:
        starts = starts.astype(np.uint32)
    odd = {int(ids[index]): text for index, text in enumerate(texts) if shown[index] is not text} if has_odd else {}
    data = _NEWLINE.join(ordered) + _NEWLINE if ordered else b""
    return Lines(data, starts, odd), ids
