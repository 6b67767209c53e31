"""What two runs measured, name by name, and the times that they took."""

from collections import deque
from collections.abc import Iterable, Mapping
from math import isfinite, nan
from typing import Any

import msgspec

from holdfast.codec import decode
from holdfast.reading.catalog import time_of
from holdfast.reading.series import Series
from holdfast.storage.reader import LogReader

_CURVE_PARTS = 64
_MOST_WAITING = 100_000  # values of one side that wait for their fellows


class MetricCourse(msgspec.Struct, frozen=True):
    """A metric in one run. count: all values; strange: NaN and infinities among them, which the rest leaves out. lowest_n,
    highest_n: numbers of the records. curve: means of equal parts."""

    count: int
    strange: int
    first: float
    last: float
    mean: float
    lowest: float
    lowest_n: int
    highest: float
    highest_n: int
    curve: list[float]


class MetricPair(msgspec.Struct, frozen=True):
    """A metric in two runs; None where one has none. The values are paired in order. gap: the largest difference of a pair, its
    index from 0 and the numbers of its records; None where no pair is of two numbers. compared: pairs that were looked at, less
    than there are where one run got 100,000 values ahead of the other. differing: those that are not the same."""

    name: str
    a: MetricCourse | None
    b: MetricCourse | None
    compared: int
    differing: int
    gap: float | None = None
    gap_index: int | None = None
    gap_n_a: int | None = None
    gap_n_b: int | None = None


class ModuleTimes(msgspec.Struct, frozen=True):
    """Modules, stages and steps of one name: how many, and the seconds up to their records, each from the one before it in its
    lane or from the beginning of its attempt."""

    name: str
    count_a: int
    count_b: int
    seconds_a: float
    seconds_b: float


class Timing(msgspec.Struct, frozen=True):
    """How long a run took, the time between attempts left out."""

    attempts: int
    seconds: float
    records_per_second: float | None


class _Course:
    """One metric of one run, as its values come."""

    def __init__(self) -> None:
        self.count = self.strange = 0
        self.first = self.last = nan
        self.lowest, self.highest, self.lowest_n, self.highest_n = nan, nan, 0, 0
        self._sum = 0.0
        self._curve = Series(_CURVE_PARTS)

    def add(self, n: int, value: float) -> None:
        self.first = value if not self.count else self.first
        self.last = value
        self.count += 1
        if not isfinite(value):
            self.strange += 1
            return
        if not value >= self.lowest:  # so that the first one comes in, which NaN is no bound for
            self.lowest, self.lowest_n = value, n
        if not value <= self.highest:
            self.highest, self.highest_n = value, n
        self._sum += value
        self._curve.add(self.count, value)

    def course(self) -> MetricCourse:
        numbers = self.count - self.strange
        mean = self._sum / numbers if numbers else nan
        at = self.lowest, self.lowest_n, self.highest, self.highest_n
        return MetricCourse(self.count, self.strange, self.first, self.last, mean, *at, self._curve.means(_CURVE_PARTS))


class _Pair:
    """One metric of both runs."""

    def __init__(self) -> None:
        self.courses = _Course(), _Course()
        self.compared = self.differing = 0
        self._gap: tuple[float, int, int, int] | None = None
        self._waiting: deque[tuple[int, float]] = deque()
        self._ahead = 0  # the side that the waiting ones are of
        self._has_stopped = False

    def add(self, side: int, n: int, value: float) -> None:
        self.courses[side].add(n, value)
        if self._has_stopped:
            return
        if not self._waiting or self._ahead == side:
            self._ahead = side
            self._waiting.append((n, value))
            if len(self._waiting) > _MOST_WAITING:
                self._has_stopped = True
                self._waiting.clear()
            return
        fellow_n, fellow = self._waiting.popleft()
        a, b = ((n, value), (fellow_n, fellow)) if side == 0 else ((fellow_n, fellow), (n, value))
        self._compare(*a, *b)

    def pair(self, name: str) -> MetricPair:
        a, b = (course.course() if course.count else None for course in self.courses)
        return MetricPair(name, a, b, self.compared, self.differing, *(self._gap or ()))

    def _compare(self, n_a: int, a: float, n_b: int, b: float) -> None:
        if a != b and not (a != a and b != b):
            self.differing += 1
        gap = abs(a - b)
        if isfinite(gap) and (self._gap is None or gap > self._gap[0]):
            self._gap = gap, self.compared, n_a, n_b
        self.compared += 1


class Metrics:
    """The metrics of two runs, taken in record by record. side: 0 for a, 1 for b."""

    def __init__(self) -> None:
        self._pairs: dict[str, _Pair] = {}

    def add(self, side: int, n: int, values: Any) -> None:
        """Take in the values of a record, as they are stored."""
        decoded: Any = decode(values)
        for name, value in decoded.items():
            if isinstance(value, int | float):
                self._pairs.setdefault(name, _Pair()).add(side, n, _float(value))

    def pairs(self) -> list[MetricPair]:
        """All of them, by name."""
        return [pair.pair(name) for name, pair in sorted(self._pairs.items())]


class Modules:
    """The times of a run's modules, taken in record by record. starts: each attempt's first record, and when it began."""

    def __init__(self, starts: Iterable[tuple[int, int]]) -> None:
        self._starts = deque(starts)
        self._before: dict[str, int] = {}  # lane → when its last module was recorded
        self._began = 0
        self.times: dict[str, tuple[int, int]] = {}

    def add(self, n: int, fields: Mapping[str, Any]) -> None:
        """Take in a module's record."""
        while self._starts and self._starts[0][0] <= n:
            self._began = self._starts.popleft()[1]
        lane, ts = fields.get("lane", ""), fields["ts"]
        took = max(0, ts - max(self._began, self._before.get(lane, 0)))
        count, total = self.times.get(fields["name"], (0, 0))
        self.times[fields["name"]] = count + 1, total + took
        self._before[lane] = ts


def module_times(a: Modules, b: Modules) -> list[ModuleTimes]:
    """The times side by side, those that took longest first."""
    pairs = [(name, a.times.get(name, (0, 0)), b.times.get(name, (0, 0))) for name in {**a.times, **b.times}]
    found = [ModuleTimes(name, one[0], other[0], one[1] / 1e6, other[1] / 1e6) for name, one, other in pairs]
    return sorted(found, key=lambda entry: -max(entry.seconds_a, entry.seconds_b))


def attempts_of(reader: LogReader) -> list[tuple[int, int, int]]:
    """Of each attempt the number of its first record, that one's time, and its last one's. Costs two looks a segment."""
    found: dict[int, tuple[int, int, int]] = {}
    for extent in reader.past.extents:
        first, last = extent.header.first, extent.last
        if last < first:
            continue
        attempt, end = extent.header.attempt, time_of(reader.find(last))
        known = found.get(attempt)
        found[attempt] = (*known[:2], end) if known else (first, time_of(reader.find(first)), end)
    return [*found.values()]


def timing_of(attempts: list[tuple[int, int, int]], records: int) -> Timing:
    """How long a run of so many records took."""
    seconds = sum(max(0, end - begin) for _, begin, end in attempts) / 1e6
    return Timing(len(attempts), seconds, records / seconds if seconds else None)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of any size
        return float("inf") if value > 0 else float("-inf")
