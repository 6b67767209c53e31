"""Series of any length in bounded memory: the lowest and the highest of each of some thousand equal parts."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PENDING = 4096
_X_LOW, _LOW, _X_HIGH, _HIGH, _SUM, _COUNT, _GAP = range(7)


class Series:
    """Points as they come, x ascending. At most `2 × parts` parts of equal length are kept (the last may be shorter), each with
    its lowest and its highest point.

    NaN and infinities are gaps: no point stands there.
    """

    def __init__(self, parts: int = 2048) -> None:
        self._most = 2 * parts
        self._points_each = 1
        self._parts = np.empty((0, 7))
        self._x: list[float] = []
        self._y: list[float] = []
        self._rest: tuple[NDArray[Any], NDArray[Any]] = np.empty(0), np.empty(0)

    def add(self, x: float, y: float) -> None:
        """Take in the next point."""
        self._x.append(x)
        self._y.append(y)
        if len(self._x) == _PENDING:
            self._flush()

    def extend(self, x: "NDArray[Any]", y: "NDArray[Any]") -> None:
        """Take in the next points, of two arrays of equal length."""
        self._flush()
        self._take(np.asarray(x, np.float64), np.asarray(y, np.float64))

    def points(self) -> "tuple[NDArray[Any], NDArray[Any]]":
        """x and y of what is kept, in order; a NaN in y where a gap is. All points, where there were no more than parts."""
        parts = self._all_parts()
        low_first = parts[:, _X_LOW] <= parts[:, _X_HIGH]
        first = np.where(low_first, _X_LOW, _X_HIGH)
        rows = np.arange(len(parts))
        x = np.stack([parts[rows, first], parts[rows, 2 - first], parts[rows, 2 - first]], axis=1)
        y = np.stack([parts[rows, first + 1], parts[rows, 3 - first], np.full(len(parts), np.nan)], axis=1)
        is_kept = np.ones_like(x, dtype=bool)
        is_kept[:, 1] = parts[:, _X_LOW] != parts[:, _X_HIGH]
        is_kept[:, 2] = parts[:, _GAP] > 0
        is_kept[:, :2] &= parts[:, _COUNT, None] > 0
        return x[is_kept], y[is_kept]

    def means(self, count: int) -> list[float]:
        """The means of at most so many equal parts, those without a number left out."""
        parts = self._all_parts()
        while len(parts) > max(1, count):
            parts = _paired(parts)
        counted = parts[parts[:, _COUNT] > 0]
        means: list[float] = (counted[:, _SUM] / counted[:, _COUNT]).tolist()
        return means

    def _all_parts(self) -> "NDArray[Any]":
        self._flush()
        x, y = self._rest
        return self._parts if not len(x) else np.concatenate([self._parts, _parts_of(x[None, :], y[None, :])])

    def _flush(self) -> None:
        if self._x:
            x, y = np.array(self._x), np.array(self._y)
            self._x, self._y = [], []
            self._take(x, y)

    def _take(self, x: "NDArray[Any]", y: "NDArray[Any]") -> None:
        x, y = np.concatenate([self._rest[0], x]), np.concatenate([self._rest[1], y])
        each = self._points_each
        whole = len(x) // each * each
        fresh = _parts_of(x[:whole].reshape(-1, each), y[:whole].reshape(-1, each))
        self._rest = x[whole:], y[whole:]
        self._parts = np.concatenate([self._parts, fresh])
        while len(self._parts) > self._most:
            self._parts = _paired(self._parts)
            self._points_each *= 2


def _parts_of(x: "NDArray[Any]", y: "NDArray[Any]") -> "NDArray[Any]":
    """A part for each row of points."""
    parts, rows = np.zeros((len(x), 7)), np.arange(len(x))
    if not len(x):
        return parts
    is_number = np.isfinite(y)
    low, high = np.where(is_number, y, np.inf).argmin(axis=1), np.where(is_number, y, -np.inf).argmax(axis=1)
    parts[:, _X_LOW], parts[:, _LOW], parts[:, _X_HIGH], parts[:, _HIGH] = (
        x[rows, low],
        y[rows, low],
        x[rows, high],
        y[rows, high],
    )
    parts[:, _SUM], parts[:, _COUNT] = np.where(is_number, y, 0).sum(axis=1), is_number.sum(axis=1)
    parts[:, _GAP] = ~is_number.all(axis=1)
    return parts


def _paired(parts: "NDArray[Any]") -> "NDArray[Any]":
    """Each two parts as one; the last one alone where it has no fellow."""
    one, other = parts[0 : len(parts) // 2 * 2 : 2], parts[1::2]
    paired = one.copy()
    is_lower = (other[:, _COUNT] > 0) & ((one[:, _COUNT] == 0) | (other[:, _LOW] < one[:, _LOW]))
    is_higher = (other[:, _COUNT] > 0) & ((one[:, _COUNT] == 0) | (other[:, _HIGH] > one[:, _HIGH]))
    paired[is_lower, _X_LOW : _LOW + 1] = other[is_lower, _X_LOW : _LOW + 1]
    paired[is_higher, _X_HIGH : _HIGH + 1] = other[is_higher, _X_HIGH : _HIGH + 1]
    paired[:, _SUM] += other[:, _SUM]
    paired[:, _COUNT] += other[:, _COUNT]
    paired[:, _GAP] = np.maximum(one[:, _GAP], other[:, _GAP])
    return np.concatenate([paired, parts[len(parts) // 2 * 2 :]])
