"""What saving costs the run and what a kill would lose now, measured while it runs."""

from collections import deque
from math import prod
from typing import TYPE_CHECKING

import msgspec

from holdfast.records import CANONICAL_KINDS

if TYPE_CHECKING:
    from holdfast.recording.outlet import Watermarks
    from holdfast.recording.recorder import Recorder

_KEPT_SAMPLES = 4096


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds of an operation: median, 99th percentile and maximum; the first two over its last 4,096 times.

    Percentiles are by nearest rank: the p-th is the smallest of the times that at least p % of all are not above (definition 1
    of Hyndman and Fan, "Sample Quantiles in Statistical Packages", The American Statistician 50, 1996).
    """

    count: int = 0
    p50: float = 0.0
    p99: float = 0.0
    max: float = 0.0


class Health(msgspec.Struct, frozen=True):
    """What saving cost so far. lag_records: accepted, not yet flushed. unsynced_records: accepted, not yet synced.
    at_risk: what a kill would lose now, in words. file_bytes: checkpoints' files and copied files of this attempt, less what
    retention removed. full_in_seconds: until the disk is full, at the pace at which the log and these files have grown so far.

    ns_per_record: the time a call that records takes, flushing and what power durability syncs included, over the new records
    of the program; None before the first. What is matched in a replay, checkpoints and the beginning of the attempt are not
    in it. Tokens on the short way are sampled: one in 61 in continuous mode, else the first after a flush.
    flush_ms: in continuous mode what it took to append a record, else a batch; and the closes that flush() appends. The tokens
    of continuous mode's short way are in it by their samples, which are their whole calls and stand for all of them; so its
    max is that of those measured.
    sync_ms: each sync of the log: of a segment's file when it is made, when records are synced, and in power durability when
    room is taken and when the next one is begun; of the folder after a segment got its name; of what the attempt before left,
    before anything is built on it. Those of checkpoints' files are in checkpoint_ms, which is copying the state and storing
    what does not fit into a record; those of copied files, of the manifest and of folders that are made are in none.
    stalls: flushes and syncs that took a second or longer, the first of each told by a notice (of the tokens of the short way,
    those that are measured, and where room is taken for them); how often a full disk was waited for, or kept a batch in
    memory; syncs that failed, so that records were repeated.
    cost_share: all of that and everything else that the program waited for us, opening, replay, checkpoints and syncs too,
    over its wall time since it began to open the session. The times of several threads are added up.

    records_by_kind, bytes_by_kind: what this attempt appended to the log, bookkeeping included; records that wait to be
    flushed are counted, their bytes are not yet. A line's close counts with its record; "segment" is the headers of segments.
    """

    records: int
    bytes: int
    file_bytes: int
    records_by_kind: dict[str, int]
    bytes_by_kind: dict[str, int]
    ns_per_record: float | None
    flush_ms: Latency
    sync_ms: Latency
    checkpoint_ms: Latency
    lag_records: int
    unsynced_records: int
    cost_share: float
    at_risk: str
    free_bytes: int
    full_in_seconds: float | None
    hook_failures: int
    stalls: int


class Samples(msgspec.Struct):
    """Durations in nanoseconds: all counted and summed, the last ones kept."""

    count: int = 0
    total: int = 0
    largest: int = 0
    _kept: deque[int] = msgspec.field(default_factory=lambda: deque(maxlen=_KEPT_SAMPLES))

    def add(self, ns: int) -> None:
        """Take one duration."""
        self.count += 1
        self.total += ns
        if ns > self.largest:
            self.largest = ns
        self._kept.append(ns)

    @property
    def mean(self) -> float:
        """The mean in nanoseconds; 0 where there are none."""
        return self.total / self.count if self.count else 0.0

    def latency(self) -> Latency:
        """The samples as a Latency."""
        return latency_of((self, self.count))


def latency_of(*measured: tuple[Samples, int]) -> Latency:
    """Several samples as one Latency: those of a pair stand for so many times, each for as many as the others."""
    kept = [(list(samples._kept), count) for samples, count in measured if samples.count and count > 0]
    whole = prod(len(times) for times, _ in kept)
    weighted = sorted((ns, count * (whole // len(times))) for times, count in kept for ns in times)
    return Latency(
        sum(count for _, count in measured),
        _nearest_rank(weighted, 50) / 1e6,
        _nearest_rank(weighted, 99) / 1e6,
        max((samples.largest for samples, _ in measured), default=0) / 1e6,
    )


def _nearest_rank(weighted: list[tuple[int, int]], percent: int) -> int:
    """The first time at which the weights reach so many percent of all."""
    left = sum(weight for _, weight in weighted) * percent
    for ns, weight in weighted:
        left -= weight * 100
        if left <= 0:
            return ns
    return 0


def health_of(recorder: "Recorder", checkpoints: Samples, began_ns: int, free_bytes: int) -> Health:
    """The health of a recorder that began when its timer said began_ns."""
    outlet, cost = recorder.outlet, recorder.cost
    log, counts, waiting = outlet.log, outlet.counts, len(outlet.buffer.entries)
    records, sizes = counts.by_kind(log, waiting)
    count, size = sum(records.values()), sum(sizes.values())
    short, mean = counts.short_count(log, waiting), cost.samples.mean
    own = sum(records.get(kind, 0) for kind in CANONICAL_KINDS)
    if not cost.samples.count and not outlet.buffers:
        own -= short  # of the few tokens before the first sample nothing is known
    spent = cost.spent_ns + checkpoints.total + mean * short
    elapsed = max(1, recorder.timer_ns() - began_ns)
    marks = outlet.watermarks
    taken = counts.bytes_taken(log)
    return Health(
        records=count,
        bytes=size,
        file_bytes=counts.file_bytes,
        records_by_kind=records,
        bytes_by_kind=sizes,
        ns_per_record=(cost.records_ns + mean * short) / own if own > 0 else None,
        flush_ms=cost.flushes.latency()
        if outlet.buffers
        else latency_of((cost.flushes, cost.flushes.count), (cost.samples, short)),
        sync_ms=cost.syncs.latency(),
        checkpoint_ms=checkpoints.latency(),
        lag_records=marks.accepted - marks.flushed,
        unsynced_records=marks.accepted - marks.synced,
        cost_share=spent / elapsed,
        at_risk=_at_risk(marks),
        free_bytes=free_bytes,
        full_in_seconds=free_bytes * (elapsed / 1e9) / taken if taken > 0 else None,
        hook_failures=sum(failure.count for failure in recorder.bus.failures.values()),
        stalls=cost.stalls,
    )


def _at_risk(marks: "Watermarks") -> str:
    """What a kill, and what a power loss would take now."""
    waiting, unsynced = marks.accepted - marks.flushed, marks.accepted - marks.synced
    kill = f"a kill: {waiting:,} records" if waiting else "a kill: nothing"
    return f"{kill}; a power loss: {f'up to {unsynced:,} records' if unsynced else 'nothing'}"
