"""The harness: contenders take short rounds in turn, so that a slow minute of the machine hits all of them alike.

A round is measured twice: call by call with `perf_counter_ns`, less what an empty measurement costs just then; and as
a plain loop without a clock inside, for wall and CPU time (`process_time_ns`), less an empty loop. Ratios are taken
round by round between neighbours; given are their median and a bootstrap interval of it.
"""

import math
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from corpus import Rec

Save = Callable[[str, float, str, int, int, dict[str, object]], object]
_CALIBRATION = 300


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way of doing it.

    timed: returns the nanoseconds of each call. plain: makes the same calls without a clock inside. empty: the plain
    loop without the call. before: what is made ready, unmeasured, before a round's timed and plain pass.
    """

    name: str
    timed: Callable[[Sequence[Rec]], list[int]]
    plain: Callable[[Sequence[Rec]], object] | None = None
    empty: Callable[[Sequence[Rec]], object] | None = None
    per_round: int = 1000
    before: Callable[[Sequence[Rec]], object] | None = None


@dataclass(frozen=True, kw_only=True)
class Round:
    """One turn of one contender: net nanoseconds a call, ascending, and those of the plain loop a record."""

    calls: list[int]
    wall_ns: float = math.nan
    cpu_ns: float = math.nan

    @property
    def mean(self) -> float:
        return sum(self.calls) / len(self.calls)

    def percentile(self, share: float) -> float:
        """Nearest rank: the smallest value that `share` of the calls do not exceed."""
        return percentile(self.calls, share)


@dataclass
class Samples:
    """All rounds of a contender, in the order of the run."""

    name: str
    rounds: list[Round] = field(default_factory=list)

    def of(self, what: Callable[[Round], float]) -> list[float]:
        """One figure a round."""
        return [what(r) for r in self.rounds]

    def pooled(self) -> list[int]:
        """Every call of every round, ascending."""
        return sorted(ns for r in self.rounds for ns in r.calls)

    def summary(self) -> dict[str, float]:
        """p50, p99, p99.9, max and mean of all calls, and the median of the plain loops, in nanoseconds."""
        calls = self.pooled()
        return {
            "rounds": len(self.rounds),
            "calls": len(calls),
            "p50": percentile(calls, 0.5),
            "p99": percentile(calls, 0.99),
            "p999": percentile(calls, 0.999),
            "max": calls[-1],
            "mean": sum(calls) / len(calls),
            "wall": statistics.median(self.of(lambda r: r.wall_ns)),
            "cpu": statistics.median(self.of(lambda r: r.cpu_ns)),
        }


@dataclass(frozen=True)
class Estimate:
    """A median over rounds with the interval that holds it in 95 of 100 resamplings."""

    value: float
    low: float
    high: float


def p50(r: Round) -> float:
    return r.percentile(0.5)


def p99(r: Round) -> float:
    return r.percentile(0.99)


def mean(r: Round) -> float:
    return r.mean


def cpu(r: Round) -> float:
    return r.cpu_ns


def wall(r: Round) -> float:
    return r.wall_ns


def percentile(ascending: Sequence[int], share: float) -> float:
    """Nearest rank of ascending values."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]


def estimate(values: Sequence[float]) -> Estimate:
    """Median of values and its bootstrap interval (95 %, 1,000 resamples, seeded)."""
    middle = statistics.median(values)
    if len(values) < 3:
        return Estimate(middle, min(values), max(values))
    rng = random.Random(0)
    medians = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(1000))
    return Estimate(middle, medians[24], medians[974])


def ratio(a: Samples, b: Samples, what: Callable[[Round], float]) -> Estimate:
    """a over b, round by round."""
    return estimate([x / y for x, y in zip(a.of(what), b.of(what), strict=True)])


def calls_percentile(samples: Samples, share: float) -> Estimate:
    """A percentile of all calls; the interval is a bootstrap over rounds."""
    value = percentile(samples.pooled(), share)
    rng = random.Random(0)
    found: list[float] = []
    for _ in range(100):
        found.append(statistics.median(r.percentile(share) for r in rng.choices(samples.rounds, k=len(samples.rounds))))
    found.sort()
    return Estimate(value, min(found[2], value), max(found[97], value))


def run_rounds(contenders: Sequence[Contender], records: Sequence[Rec], rounds: int) -> dict[str, Samples]:
    """Let all contenders take `rounds` turns, each round beginning with another one; one turn before that warms up."""
    samples = {c.name: Samples(c.name) for c in contenders}
    at = 0
    for turn in range(rounds + 1):
        first = turn % len(contenders)
        for contender in [*contenders[first:], *contenders[:first]]:
            if at + contender.per_round > len(records):
                at = 0
            part = records[at : at + contender.per_round]
            at += contender.per_round
            found = one_round(contender, part)
            if turn:
                samples[contender.name].rounds.append(found)
    return samples


def one_round(contender: Contender, records: Sequence[Rec]) -> Round:
    """One turn of one contender."""
    prepare = contender.before or _nothing
    prepare(records)
    clock_ns = empty_measurement_ns()
    calls = sorted(max(0, ns - clock_ns) for ns in contender.timed(records))
    if contender.plain is None:
        return Round(calls=calls)
    prepare(records)
    loop_ns = timed_ns(contender.empty or take_apart, records)[0]
    wall_ns, cpu_ns = timed_ns(contender.plain, records)
    n = len(records)
    return Round(calls=calls, wall_ns=(wall_ns - loop_ns) / n, cpu_ns=(cpu_ns - loop_ns) / n)


def timed_ns(run: Callable[[Sequence[Rec]], object], records: Sequence[Rec]) -> tuple[int, int]:
    """Wall and CPU nanoseconds (all threads) of one call."""
    cpu_start, start = time.process_time_ns(), time.perf_counter_ns()
    run(records)
    end, cpu_end = time.perf_counter_ns(), time.process_time_ns()
    return end - start, cpu_end - cpu_start


def _nothing(_: Sequence[Rec]) -> None:
    pass


def take_apart(records: Sequence[Rec]) -> None:
    """A loop that only takes the records apart."""
    for _token, _z, _phase, _tier, _ts, _meta in records:
        pass


def empty_measurement_ns() -> int:
    """What two looks at the clock with nothing between them show, just now."""
    now = time.perf_counter_ns
    found: list[int] = []
    for _ in range(_CALIBRATION):
        start = now()
        found.append(now() - start)
    found.sort()
    return found[len(found) // 2]


def saving(name: str, save: Save, *, per_round: int, plain: bool = True) -> Contender:
    """A contender that hands each record over by position."""
    now = time.perf_counter_ns

    def timed(records: Sequence[Rec]) -> list[int]:
        found: list[int] = []
        add = found.append
        for token, z, phase, tier, ts, meta in records:
            start = now()
            save(token, z, phase, tier, ts, meta)
            end = now()
            add(end - start)
        return found

    def loop(records: Sequence[Rec]) -> None:
        for token, z, phase, tier, ts, meta in records:
            save(token, z, phase, tier, ts, meta)

    return Contender(name=name, timed=timed, plain=loop if plain else None, per_round=per_round)


def tokens(name: str, token: Callable[..., object], *, per_round: int, plain: bool = True) -> Contender:
    """A contender that is called like run.token."""
    now = time.perf_counter_ns

    def timed(records: Sequence[Rec]) -> list[int]:
        found: list[int] = []
        add = found.append
        for text, z, phase, tier, _ts, meta in records:
            start = now()
            token(text, z=z, phase=phase, tier=tier, meta=meta)
            end = now()
            add(end - start)
        return found

    def loop(records: Sequence[Rec]) -> None:
        for text, z, phase, tier, _ts, meta in records:
            token(text, z=z, phase=phase, tier=tier, meta=meta)

    return Contender(name=name, timed=timed, plain=loop if plain else None, per_round=per_round)


def calling(
    name: str, call: Callable[[Any], object], prepare: Callable[[Sequence[Rec]], Sequence[object]], *, per_round: int
) -> Contender:
    """A contender that takes one argument a call; `prepare` makes a round's arguments before the round begins."""
    now = time.perf_counter_ns
    arguments: list[object] = []

    def before(records: Sequence[Rec]) -> None:
        arguments[:] = prepare(records)

    def timed(_: Sequence[Rec]) -> list[int]:
        found: list[int] = []
        add = found.append
        for argument in arguments:
            start = now()
            call(argument)
            end = now()
            add(end - start)
        return found

    def loop(_: Sequence[Rec]) -> None:
        for argument in arguments:
            call(argument)

    def empty(_: Sequence[Rec]) -> None:
        for _argument in arguments:
            pass

    return Contender(name=name, timed=timed, plain=loop, empty=empty, per_round=per_round, before=before)


@contextmanager
def busy_thread() -> Iterator[None]:
    """A thread beside the block that only computes, in Python, without ever letting go of the interpreter by itself."""
    stop = threading.Event()

    def compute() -> None:
        x = 1
        while not stop.is_set():
            for _ in range(10_000):
                x = (x * 1_103_515_245 + 12_345) & 0x7FFFFFFF

    thread = threading.Thread(target=compute, name="busy")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
