"""Two runs side by side: whether they are the same, and if not, in what."""

from collections.abc import Callable, Iterator
from itertools import islice, zip_longest
from typing import Any

import msgspec

from holdfast.reading.catalog import attempt_starts, config_of, provenance_of
from holdfast.reading.changes import Change, changes_between
from holdfast.reading.course import (
    MetricPair,
    Metrics,
    Modules,
    ModuleTimes,
    Timing,
    attempts_of,
    module_times,
    timing_of,
)
from holdfast.reading.digest import MARK_EVERY, Digest, Mark, RunningDigest
from holdfast.reading.loader import Source
from holdfast.reading.shares import Shares, shares_of
from holdfast.reading.view import canonical_records
from holdfast.records import VOLATILE_FIELDS, Opened, canonical_bytes, decode_bookkeeping

_OF_THE_PROCESS = frozenset(("pid",))  # in provenance: differs between any two runs, and says nothing
_TOLD_EVERY = 10_000


class FirstDifference(msgspec.Struct, frozen=True):
    """The first record of a lane that is not the same. index: its place in the lane, from 0. n, kind: of the record on each
    side; None where that run has no further one. changes: the fields that differ; none where one side has no record."""

    lane: str
    index: int
    n_a: int | None
    n_b: int | None
    kind_a: str | None
    kind_b: str | None
    changes: list[Change]


class LanePair(msgspec.Struct, frozen=True):
    """A lane in two runs: its records and its SHA-256 on each side (empty: it has no such lane). first: None where it is the
    same."""

    lane: str
    records_a: int
    records_b: int
    sha256_a: str
    sha256_b: str
    first: FirstDifference | None


class Side(msgspec.Struct, frozen=True):
    """One of the runs. records: of the canonical view."""

    session: str
    status: str
    records: int
    sha256: str
    timing: Timing


class Comparison(msgspec.Struct, frozen=True):
    """Two runs side by side. equal: their digests are, so that it was the same run; what else is told may differ even then.

    settings: what `config=` differs in. provenance: where they came from, and how they were opened. lanes: all, by name.
    tokens: their distributions, where there are any. modules: those that took longest first.
    """

    equal: bool
    a: Side
    b: Side
    settings: list[Change]
    provenance: list[Change]
    lanes: list[LanePair]
    metrics: list[MetricPair]
    tokens: list[Shares]
    modules: list[ModuleTimes]

    @property
    def first_differences(self) -> list[FirstDifference]:
        """Of each lane that differs, the first one."""
        return [lane.first for lane in self.lanes if lane.first is not None]


class _Walked:
    """What one run's records were, in one pass."""

    def __init__(self, source: Source) -> None:
        self.source = source
        with source.located():
            self.attempts = attempts_of(source.reader)
        self.running = RunningDigest()
        self.modules = Modules((first, begin) for first, begin, _ in self.attempts)

    def records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The canonical records, taken in as they are handed on."""
        with self.source.located():
            for n, fields in canonical_records(self.source.reader):
                self.running.add(n, fields)
                if fields["kind"] == "module":
                    self.modules.add(n, fields)
                yield n, fields


def compare_runs(
    a: Source, b: Source, statuses: tuple[str, str], progress: Callable[[int], object] = lambda records: None
) -> Comparison:
    """Compare two snapshots; the same one twice is allowed. statuses: how each session stands. Reads them side by side in one
    pass, and a second time for tokens; holds little of them. `progress` is told the records done of both."""
    walked, metrics = (_Walked(a), _Walked(b)), Metrics()
    for count, pair in enumerate(zip_longest(walked[0].records(), walked[1].records()), 1):
        for side, record in enumerate(pair):
            if record is not None and record[1]["kind"] == "metric":
                metrics.add(side, record[0], record[1]["values"])
        if not count % _TOLD_EVERY:
            progress(2 * count)
    digests = [each.running.digest() for each in walked]
    sides = [
        Side(each.source.session, status, digest.records, digest.sha256, timing_of(each.attempts, digest.records))
        for each, status, digest in zip(walked, statuses, digests, strict=True)
    ]
    return Comparison(
        equal=digests[0].sha256 == digests[1].sha256,
        a=sides[0],
        b=sides[1],
        settings=changes_between(_settings(a), _settings(b)),
        provenance=changes_between(*_origins(a, b)),
        lanes=_lanes(walked, digests),
        metrics=metrics.pairs(),
        tokens=shares_of(a, b),
        modules=module_times(walked[0].modules, walked[1].modules),
    )


def _settings(source: Source) -> Any:
    with source.located():
        return config_of(source.reader) or {}


def _origins(a: Source, b: Source) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of the packages, the versions of those that both had imported: what one had not is no other version."""
    origins = _origin(a), _origin(b)
    if all("packages" in origin for origin in origins):
        of_both = sorted(origins[0]["packages"].keys() & origins[1]["packages"].keys())
        for origin in origins:
            origin["packages"] = {name: origin["packages"][name] for name in of_both}
    return origins


def _origin(source: Source) -> dict[str, Any]:
    """Where a run came from, and how it was opened."""
    with source.located():
        found = {name: value for name, value in provenance_of(source.reader).items() if name not in _OF_THE_PROCESS}
        start = next(attempt_starts(source.reader), None)
        opened = decode_bookkeeping(source.reader.find(1)) if source.reader.last else None
    if isinstance(opened, Opened):
        found |= {"save_mode": opened.save_mode, "durability": opened.durability, "tags": opened.tags, "notes": opened.notes}
        found["epoch"] = start.epoch if start is not None else None
    return found


def _lanes(walked: tuple[_Walked, _Walked], digests: list[Digest]) -> list[LanePair]:
    nothing = (0, "")
    pairs = []
    for lane in sorted({*digests[0].lanes, *digests[1].lanes}):
        (records_a, sha256_a), (records_b, sha256_b) = (digest.lanes.get(lane, nothing) for digest in digests)
        first = None if sha256_a == sha256_b else _first_difference(lane, *walked)
        pairs.append(LanePair(lane, records_a, records_b, sha256_a, sha256_b, first))
    return pairs


def _first_difference(lane: str, a: _Walked, b: _Walked) -> FirstDifference:
    """Found from the last mark on up to which both are the same: that is at most 1,024 records of the lane away."""
    marks = a.running.marks.get(lane, []), b.running.marks.get(lane, [])
    same = [index for index, (one, other) in enumerate(zip(*marks, strict=False)) if one.before == other.before]
    start = same[-1] if same else 0
    records = [_lane_from(each.source, lane, of_lane, start) for each, of_lane in zip((a, b), marks, strict=True)]
    for index, (one, other) in enumerate(zip_longest(*records), start * MARK_EVERY):
        if one is None or other is None or canonical_bytes(one[1]) != canonical_bytes(other[1]):
            (n_a, kind_a), (n_b, kind_b) = ((None, None) if it is None else (it[0], it[1]["kind"]) for it in (one, other))
            changes = changes_between(_stable(one[1]), _stable(other[1])) if one and other else []
            return FirstDifference(lane, index, n_a, n_b, kind_a, kind_b, changes)
    raise AssertionError(f"lane {lane!r} has two digests and no difference")


def _lane_from(source: Source, lane: str, marks: list[Mark], start: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """The canonical records of a lane from a mark on, some more than up to the next one; none where there is no such mark."""
    if start >= len(marks):
        return
    with source.located():
        records = canonical_records(source.reader, marks[start].n)
        yield from islice(((n, fields) for n, fields in records if fields.get("lane", "") == lane), MARK_EVERY + 1)


def _stable(fields: dict[str, Any]) -> dict[str, Any]:
    """What counts of a record."""
    kept = {name: value for name, value in fields.items() if name not in VOLATILE_FIELDS}
    if fields["kind"] == "once":
        kept.pop("value", None)
    return kept
