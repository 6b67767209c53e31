"""Lines drawn with dots on a terminal: eight to a sign, by Braille."""

from collections.abc import Iterable, Sequence
from math import ceil, floor, isfinite

_BLANK = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row and column


class Canvas:
    """A rectangle of so many signs, with x and y of this range."""

    def __init__(self, width: int, height: int, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._width, self._height = width, height
        self._x, self._y = x, y
        self._rows = [[0] * width for _ in range(height)]
        self._owners = [[-1] * width for _ in range(height)]

    def line(self, x: Sequence[float], y: Sequence[float], owner: int) -> None:
        """Draw from point to point; a NaN is a gap."""
        before: tuple[float, float] | None = None
        for point in zip(x, y, strict=True):
            if not isfinite(point[1]):
                before = None
                continue
            here = self._place(*point)
            self._stretch(here if before is None else before, here, owner)
            before = here

    def rows(self) -> Iterable[list[tuple[str, int]]]:
        """The signs of each row from above, each with its owner: -1 where nothing is."""
        for row, owners in zip(self._rows, self._owners, strict=True):
            yield [(chr(_BLANK + dots) if dots else " ", owner) for dots, owner in zip(row, owners, strict=True)]

    def _place(self, x: float, y: float) -> tuple[float, float]:
        across, up = 2 * self._width - 1, 4 * self._height - 1
        return _share(x, *self._x) * across, (1 - _share(y, *self._y)) * up

    def _stretch(self, start: tuple[float, float], end: tuple[float, float], owner: int) -> None:
        steps = max(1, ceil(max(abs(end[0] - start[0]), abs(end[1] - start[1]))))
        for step in range(steps + 1):
            share = step / steps
            self._dot(
                floor(start[0] + (end[0] - start[0]) * share + 0.5), floor(start[1] + (end[1] - start[1]) * share + 0.5), owner
            )

    def _dot(self, column: int, row: int, owner: int) -> None:
        self._rows[row // 4][column // 2] |= _DOTS[row % 4][column % 2]
        self._owners[row // 4][column // 2] = owner


def _share(value: float, low: float, high: float) -> float:
    """Where a value lies between two, 0 to 1; in the middle where they are the same."""
    span = high - low
    return min(1.0, max(0.0, (value - low) / span)) if span else 0.5
