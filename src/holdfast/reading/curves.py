"""What a plot shows of sessions: a metric, or the z of tokens with phases and checkpoints, in bounded memory."""

from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from holdfast.codec import decode
from holdfast.errors import InvalidSetting
from holdfast.reading.blocks import line_blocks
from holdfast.reading.columns import token_batches
from holdfast.reading.loader import Source
from holdfast.reading.series import Series
from holdfast.reading.superseded import is_dead
from holdfast.records import UNREADABLE, BadRecord, Checkpoint

if TYPE_CHECKING:
    from numpy.typing import NDArray

Z = "z"
_MOST_BANDS = 2000
_METRIC, _CHECKPOINT = b'{"kind":"metric"', b'{"kind":"checkpoint"'


class Band(msgspec.Struct, frozen=True):
    """Tokens first to last (from 1, both included) of one phase; None for those without one."""

    phase: str | None
    first: int
    last: int


class Mark(msgspec.Struct, frozen=True):
    """A checkpoint behind so many tokens. name: None where it has none."""

    x: int
    name: str | None


class Curve(msgspec.Struct, frozen=True):
    """A metric, or z, of one session, as what is drawn of it: at most some thousand points, among them the lowest and highest
    of each part; NaN in y is a gap. x: the how-manieth value it is, from 1. smooth_x, smooth_y: means over the last values,
    empty where not asked for. bands, marks: of z alone."""

    session: str
    name: str
    count: int
    x: "NDArray[Any]"
    y: "NDArray[Any]"
    smooth_x: "NDArray[Any]"
    smooth_y: "NDArray[Any]"
    bands: list[Band] = []
    marks: list[Mark] = []


class _Metric(msgspec.Struct):
    values: dict[str, Any]
    lane: str | None = None
    top: bool = False


_metric_of = msgspec.json.Decoder(_Metric).decode
_checkpoint_of = msgspec.json.Decoder(Checkpoint).decode


def metric_curves(source: Source, names: Collection[str], smooth: int) -> list[Curve]:
    """The curves of these metrics, in this order. Superseded values are left out. Raises InvalidSetting for a name that nothing
    was recorded under, which tells those there are."""
    building = {name: _Building(smooth) for name in names}
    known: dict[str, None] = {}
    for values in _metric_values(source):
        known.update(dict.fromkeys(values))
        for name, curve in building.items():
            if (value := values.get(name)) is not None:
                curve.add(_number(value))
    for name in names:
        if name not in known:
            there = f"there are: {', '.join(sorted(known))}" if known else "it has no metrics at all"
            raise InvalidSetting(f"session {source.session!r} has no metric {name!r}; {there}")
    return [curve.done(source.session, name) for name, curve in building.items()]


def z_curve(source: Source, smooth: int) -> Curve:
    """The z of the tokens of a session, with their phases and its checkpoints. Raises InvalidSetting where no token has a z."""
    building, bands = _Building(smooth), _Bands()
    marks, waiting = list[Mark](), deque(_checkpoints(source))
    with source.located():
        for batch in token_batches(source.reader, fields=("z", "phase"), spans=source.spans):
            while waiting and waiting[0][0] < batch.n[-1]:
                n, name = waiting.popleft()
                marks.append(Mark(building.count + bisect_right(batch.n, n), name))
            building.extend(np.array([np.nan if z is None else z for z in batch.z]))
            bands.extend(batch.phase)
    marks += [Mark(building.count, name) for _, name in waiting]
    curve = building.done(source.session, Z, bands.bands, marks)
    if not np.isfinite(curve.y).any():
        raise InvalidSetting(f"session {source.session!r} has no token with a z; plot a metric of it, or another session")
    return curve


class _Building:
    """A curve as its values come."""

    def __init__(self, smooth: int) -> None:
        self.count = 0
        self._smooth = smooth
        self._series, self._means = Series(), Series()
        self._before: NDArray[Any] = np.empty(0)  # the values that the next mean needs
        self._pending: list[float] = []

    def add(self, value: float) -> None:
        self._pending.append(value)
        if len(self._pending) == 8192:
            self._flush()

    def extend(self, values: "NDArray[Any]") -> None:
        x = np.arange(self.count + 1, self.count + len(values) + 1)
        self.count += len(values)
        self._series.extend(x, values)
        if self._smooth > 1:
            joined = np.concatenate([self._before, values])
            self._means.extend(x, _running_means(joined, self._smooth)[len(self._before) :])
            self._before = joined[max(0, len(joined) - self._smooth + 1) :]

    def done(self, session: str, name: str, bands: Collection[Band] = (), marks: Collection[Mark] = ()) -> Curve:
        self._flush()
        return Curve(session, name, self.count, *self._series.points(), *self._means.points(), [*bands], [*marks])

    def _flush(self) -> None:
        if self._pending:
            values, self._pending = np.array(self._pending), []
            self.extend(values)


class _Bands:
    """Phases as they come; where they change too often to be seen, short stretches go with what is before them."""

    def __init__(self) -> None:
        self.bands: list[Band] = []
        self._count, self._least = 0, 1

    def extend(self, phases: list[str | None]) -> None:
        for phase, run in groupby(phases):
            length = len([*run])
            self.bands.append(Band(phase, self._count + 1, self._count + length))
            self._count += length
        self.bands = _joined(self.bands, self._least)
        while len(self.bands) > _MOST_BANDS:
            self._least *= 2
            self.bands = _joined(self.bands, self._least)


def _joined(bands: list[Band], least: int) -> list[Band]:
    found: list[Band] = []
    for index, band in enumerate(bands):
        is_short = band.last - band.first + 1 < least and index + 1 < len(bands)  # the last one may still grow
        if found and (found[-1].phase == band.phase or is_short):
            found[-1] = Band(found[-1].phase, found[-1].first, band.last)
        else:
            found.append(band)
    return found


def _running_means(values: "NDArray[Any]", window: int) -> "NDArray[Any]":
    """The mean of each value and those before it, `window` in all; what is no number is left out, and has no mean."""
    is_number = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(is_number, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(is_number)])
    start = np.maximum(np.arange(1, len(values) + 1) - window, 0)
    count = counts[1:] - counts[start]
    means: NDArray[Any] = np.where(is_number, (sums[1:] - sums[start]) / np.maximum(count, 1), np.nan)
    return means


def _metric_values(source: Source) -> Iterator[dict[str, Any]]:
    with source.located():
        for block in line_blocks(source.reader):
            if _METRIC not in block.data:
                continue
            is_doubtful = source.spans.touches(block.first, block.last)
            for n, line in enumerate(block.lines(), block.first):
                if not line.startswith(_METRIC):
                    continue
                try:
                    record = _metric_of(line)
                except UNREADABLE as error:
                    raise BadRecord(line, str(error)) from None
                if not (is_doubtful and source.spans.covers(n, record.lane, record.top)):
                    yield record.values


def _checkpoints(source: Source) -> list[tuple[int, str | None]]:
    """The position and the name of each checkpoint that is part of the run."""
    found = []
    with source.located():
        for block in line_blocks(source.reader):
            if _CHECKPOINT in block.data:
                for line in block.lines():
                    if line.startswith(_CHECKPOINT):
                        try:
                            record = _checkpoint_of(line)
                        except UNREADABLE as error:
                            raise BadRecord(line, str(error)) from None
                        if not is_dead(record, source.spans.records):
                            found.append((record.position.get("main", 0), record.name))
    return sorted(found, key=lambda entry: entry[0])


def _number(value: Any) -> float:
    """A recorded number as a float; NaN where it is none, or too large for one."""
    if isinstance(value, dict):
        value = decode(value)
    try:
        return float(value) if isinstance(value, int | float) else float("nan")
    except OverflowError:
        return float("nan")
