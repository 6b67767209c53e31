"""The rows of one process: records and steps handed to open sessions, beside the peers and the raw limits."""

import gc
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import holdfast
import measure
import peers
import raw
from corpus import Rec
from holdfast.recording.policy import Durability, SaveMode
from measure import Contender, Samples, calling, calls_percentile, cpu, estimate, mean, p50, ratio, tokens, wall
from report import Row, row

POWER_THREADS = 64
STATE_FLOATS = 108  # about 2 KB as JSON, 18 digits each


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured."""

    rounds: int
    records: int
    slow_records: int
    synced_records: int
    steps: int
    history: int
    memory_tokens: int
    launches: int
    train_pairs: int
    train_arguments: tuple[str, ...] = ()


QUICK = Scale(
    rounds=9,
    records=1_000,
    slow_records=30,
    synced_records=10,
    steps=1_500,
    history=100_000,
    memory_tokens=200_000,
    launches=5,
    train_pairs=3,
    train_arguments=("--quick",),
)
USUAL = Scale(
    rounds=40,
    records=2_000,
    slow_records=60,
    synced_records=20,
    steps=10_000,
    history=1_500_000,
    memory_tokens=1_000_000,
    launches=15,
    train_pairs=3,
)
FULL = Scale(
    rounds=100,
    records=4_000,
    slow_records=100,
    synced_records=20,
    steps=100_000,
    history=5_000_000,
    memory_tokens=10_000_000,
    launches=30,
    train_pairs=20,
)


def scale(base: Scale, *, steps: int | None, train_pairs: int | None) -> Scale:
    """A scale with single sizes changed; None leaves one as it is."""
    return replace(base, steps=steps or base.steps, train_pairs=train_pairs or base.train_pairs)


class Peer(Protocol):
    """Whoever takes records by position."""

    def save(self, token: str, z: float, phase: str, tier: int, ts: int, meta: dict[str, object]) -> None: ...
    def close(self) -> None: ...


@dataclass
class Bench:
    """What the rows share: how much to measure, where, the corpus, and the samples kept for the result file."""

    scale: Scale
    scratch: Path
    records: Sequence[Rec]
    summaries: list[dict[str, object]] = field(default_factory=list)
    _folders: Iterator[int] = field(default_factory=itertools.count)

    def folder(self) -> Path:
        """A new, empty folder on the scratch disk."""
        path = self.scratch / f"{next(self._folders):04d}"
        path.mkdir()
        return path

    def run(self, group: str, contenders: Sequence[Contender], rounds: int | None = None) -> dict[str, Samples]:
        """Run contenders against each other, with what was made before out of the garbage collector's way."""
        gc.collect()
        gc.freeze()
        found = measure.run_rounds(contenders, self.records, rounds or self.scale.rounds)
        gc.unfreeze()
        self.summaries.extend({"group": group, "name": s.name, **s.summary()} for s in found.values())
        return found


@contextmanager
def session(
    bench: Bench,
    *,
    save_mode: SaveMode = "continuous",
    durability: Durability = "process",
    track: Mapping[str, object] | None = None,
) -> Iterator[holdfast.Run]:
    """A session of its own workspace, inside its loop: what is recorded here is a step's, not the top level's."""
    run = holdfast.start("bench", root=bench.folder(), save_mode=save_mode, durability=durability, track=track)
    try:
        for _ in run.loop(1, checkpoint_seconds=1e9):
            yield run
    finally:
        run.close()


def peer(stack: ExitStack, name: str, made: Peer, *, per_round: int, plain: bool = True) -> Contender:
    """A peer as a contender, closed with the stack."""
    stack.callback(made.close)
    return measure.saving(name, made.save, per_round=per_round, plain=plain)


# Rows -----------------------------------------------------------------------------------------------------------------


def continuous(bench: Bench) -> list[Row]:
    """`continuous`, flushed on return, against the guide's A, B and C."""
    group, n = "continuous", bench.scale.records
    with ExitStack() as stack:
        folder = bench.folder()
        run = stack.enter_context(session(bench))
        found = bench.run(
            group,
            [
                peer(stack, "A", peers.GuideA(folder), per_round=n),
                peer(stack, "B", peers.GuideB(folder), per_round=n),
                peer(stack, "B short", peers.GuideBShort(folder), per_round=n),
                peer(stack, "C", peers.GuideC(folder), per_round=bench.scale.slow_records),
                peer(stack, "logging", peers.Logging(folder), per_round=n // 4),
                tokens("ours", run.token, per_round=n),
                tokens("empty call", raw.empty_token, per_round=n),
            ],
        )
    ours, b = found["ours"], found["B"]
    cheaper, cheaper_short = ratio(b, ours, mean), ratio(found["B short"], ours, mean)
    alone = calls_percentile(ours, 0.99)
    rows = [
        row(group, "guide B over ours, mean a record", cheaper, "x", at_least=5, note=_each(found)),
        row(group, "guide B over ours, p50", ratio(b, ours, p50), "x"),
        row(group, "guide B over ours, CPU", ratio(b, ours, cpu), "x"),
        row(group, "guide B with two fields of six over ours, mean", cheaper_short, "x"),
        row(group, "guide A over ours, mean", ratio(found["A"], ours, mean), "x"),
        row(group, "guide C over ours, mean", ratio(found["C"], ours, mean), "x"),
        row(group, "logging over ours, mean", ratio(found["logging"], ours, mean), "x"),
        row(group, "ours, p50", estimate(ours.of(p50)), "ns"),
        row(group, "ours, p99", alone, "µs", scale=1e3, at_most=10, note=_tail(ours)),
    ]
    return rows + _beside_a_busy_thread(bench)


def _beside_a_busy_thread(bench: Bench) -> list[Row]:
    group = "continuous"
    rounds = max(5, bench.scale.rounds // 4)
    few = bench.scale.slow_records * 4
    with ExitStack() as stack:
        folder = bench.folder()
        run = stack.enter_context(session(bench))
        contenders = [
            tokens("ours, busy", run.token, per_round=bench.scale.records * 2, plain=False),
            peer(stack, "logging, busy", peers.Logging(folder), per_round=few, plain=False),
            peer(stack, "B, busy", peers.GuideB(folder), per_round=few, plain=False),
        ]
        with measure.busy_thread():
            found = bench.run(group, contenders, rounds)
    ours = found["ours, busy"]
    return [
        row(
            group,
            "ours beside a busy thread, p99",
            calls_percentile(ours, 0.99),
            "µs",
            scale=1e3,
            at_most=10,
            note=_tail(ours),
        ),
        row(group, "logging beside a busy thread, p99", calls_percentile(found["logging, busy"], 0.99), "µs", scale=1e3),
        row(group, "guide B beside a busy thread, p99", calls_percentile(found["B, busy"], 0.99), "µs", scale=1e3),
    ]


def batch(bench: Bench) -> list[Row]:
    """`batch` at N = 1,000 and 100, against one msgspec encode of the record."""
    group, n = "batch", bench.scale.records * 2
    with ExitStack() as stack:
        large = stack.enter_context(session(bench, save_mode="batch"))
        large.set_interval(tokens=1000)
        small = stack.enter_context(session(bench, save_mode="batch"))
        small.set_interval(tokens=100)
        found = bench.run(
            group,
            [
                tokens("N=1000", large.token, per_round=n),
                tokens("N=100", small.token, per_round=n),
                calling("encode", raw.Encode().call, _structs, per_round=n),
                tokens("empty call", raw.empty_token, per_round=n),
            ],
        )
    large_found, small_found = found["N=1000"], found["N=100"]
    return [
        row(group, "N = 1,000, p50", calls_percentile(large_found, 0.5), "ns", at_most=300, note=_each(found)),
        row(
            group,
            "N = 1,000, p99",
            calls_percentile(large_found, 0.99),
            "µs",
            scale=1e3,
            at_most=5,
            note=_tail(large_found),
        ),
        row(
            group,
            "N = 100, p99",
            calls_percentile(small_found, 0.99),
            "µs",
            scale=1e3,
            at_most=60,
            note=_tail(small_found),
        ),
        row(
            group,
            "N = 1,000, all CPU over one msgspec encode",
            ratio(large_found, found["encode"], cpu),
            "x",
            at_most=3.5,
        ),
        row(group, "N = 1,000, all CPU a record", estimate(large_found.of(cpu)), "ns"),
        row(group, "one msgspec encode, CPU", estimate(found["encode"].of(cpu)), "ns"),
    ]


def power(bench: Bench) -> list[Row]:
    """`power`: what one sync costs, what a batch saves, and 64 threads sharing syncs."""
    group, few = "power", bench.scale.synced_records
    with ExitStack() as stack:
        single = stack.enter_context(session(bench, durability="power"))
        batched = stack.enter_context(session(bench, save_mode="batch", durability="power"))
        batched.set_interval(tokens=1000)
        shared = stack.enter_context(session(bench, durability="power"))
        sync = raw.Sync(bench.folder() / "space")
        stack.callback(sync.close)
        threads = _threads(shared, POWER_THREADS)
        found = bench.run(
            group,
            [
                calling("fdatasync", sync.call, _lines, per_round=few),
                tokens("one sync a record", single.token, per_round=few),
                tokens("batches of 1,000", batched.token, per_round=5_000),
                Contender(name="64 threads", timed=threads, plain=threads, per_round=POWER_THREADS * 8),
            ],
        )
    one = found["one sync a record"]
    return [
        row(
            group,
            "batches of 1,000 over one sync a record, records/s",
            ratio(one, found["batches of 1,000"], wall),
            "x",
            at_least=100,
            note=_rates(found),
        ),
        row(
            group,
            "one synced record over write + fdatasync in pre-written space, p50",
            ratio(one, found["fdatasync"], p50),
            "x",
            at_most=1.5,
        ),
        row(group, "one synced record over the same, mean", ratio(one, found["fdatasync"], mean), "x"),
        row(group, "write + fdatasync, p50", estimate(found["fdatasync"].of(p50)), "µs", scale=1e3),
        row(group, "64 threads over one, records/s", ratio(one, found["64 threads"], wall), "x", at_least=1),
    ]


class State:
    """About 2 KB of engine state that changes at every step."""

    def __init__(self) -> None:
        self.values = [index / 7 for index in range(STATE_FLOATS)]

    def change(self, rng: random.Random) -> None:
        """Change one value by a draw."""
        self.values[rng.randrange(STATE_FLOATS)] = rng.random()

    def state_dict(self) -> dict[str, object]:
        return {"values": list(self.values)}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        values = state["values"]
        assert isinstance(values, list)
        self.values[:] = values


class Steps:
    """A session whose steps each have a result, 2 KB of state and one generator to save."""

    def __init__(self, stack: ExitStack, bench: Bench, durability: Durability) -> None:
        self.state, self.rng = State(), random.Random(1)
        track = {"state": self.state, "rng": self.rng}
        self.run = holdfast.start("bench", root=bench.folder(), durability=durability, track=track)
        stack.callback(self.run.close)

    def work(self, index: int) -> dict[str, object]:
        """The step's function; its cost is that of a few draws."""
        self.state.change(self.rng)
        return {"index": index, "loss": self.rng.random(), "phase": "PARADOX"}

    def step(self, index: int) -> None:
        """One step: result and checkpoint."""
        self.run.step("train", self.work, index)

    def checkpoints(self) -> int:
        """Checkpoints taken so far."""
        return self.run.health().records_by_kind.get("checkpoint", 0)


def step(bench: Bench) -> list[Row]:
    """A step with result and checkpoint, flushed and synced, and the last of many against the first."""
    group, scale = "step", bench.scale
    with ExitStack() as stack:
        flushed, synced = Steps(stack, bench, "process"), Steps(stack, bench, "power")
        bare = Steps(stack, bench, "process")
        sync = raw.Sync(bench.folder() / "space")
        stack.callback(sync.close)
        few = scale.synced_records
        for index in range(20):
            flushed.step(index)
        as_much = b"x" * (flushed.run.health().bytes // 20)
        found = bench.run(
            group,
            [
                calling("flushed", flushed.step, _numbers, per_round=few * 5),
                calling("synced", synced.step, _numbers, per_round=few),
                calling("its function alone", bare.work, _numbers, per_round=few * 5),
                calling("fdatasync", sync.call, lambda records: [as_much] * len(records), per_round=few),
                calling("fdatasync of a line", sync.call, _lines, per_round=few),
            ],
        )
        health = flushed.run.health()
        taken = health.records_by_kind.get("module", 0)
        checkpoints = flushed.checkpoints()
        bytes_each = health.bytes / max(1, taken)
    cost = calls_percentile(found["flushed"], 0.5)
    work = estimate(found["its function alone"].of(p50)).value
    note = f"of it {work / 1e3:.1f} µs the step's own function; {_tail(found['flushed'])}"
    if checkpoints < taken:
        note += f"; only {checkpoints} checkpoints in {taken} steps"
    rows = [
        row(group, "flushed, p50", cost, "µs", scale=1e3, at_most=60, note=note),
        row(group, "flushed, mean", estimate(found["flushed"].of(mean)), "µs", scale=1e3),
        row(group, "kill-safe bytes a step", bytes_each, "KB", scale=1e3, at_most=8),
        row(
            group,
            "synced over write + fdatasync of as many bytes, p50",
            ratio(found["synced"], found["fdatasync"], p50),
            "x",
            at_most=1.5,
        ),
        row(
            group,
            "synced over write + fdatasync of a line, p50",
            ratio(found["synced"], found["fdatasync of a line"], p50),
            "x",
        ),
    ]
    return [*rows, _last_step(bench)]


def _last_step(bench: Bench) -> Row:
    """A session with many steps behind it against new sessions, in turn."""
    group, count, part = "step", bench.scale.steps, 100
    with ExitStack() as stack:
        long = Steps(stack, bench, "process")
        for index in range(count):
            long.step(index)
        new: list[Steps] = []

        def begin(_: Sequence[Rec]) -> list[object]:
            inner = new_stack.pop_all()
            inner.close()
            new[:] = [Steps(new_stack, bench, "process")]
            return _numbers(bench.records[:part])

        new_stack = stack.enter_context(ExitStack())
        found = bench.run(
            group,
            [
                calling("last steps", long.step, _numbers, per_round=part),
                calling("first steps", lambda index: new[0].step(index), begin, per_round=part),
            ],
            max(7, bench.scale.rounds // 4),
        )
    what = f"the last of {count:,} over the first hundred, p50"
    return row(group, what, ratio(found["last steps"], found["first steps"], p50), "x", at_most=1.15)


def limits(bench: Bench) -> list[Row]:
    """The raw limits below any recorder."""
    group, n = "raw", bench.scale.records
    with ExitStack() as stack:
        folder = bench.folder()
        write, mapped = raw.Write(folder / "written"), raw.Map(folder / "mapped")
        sync = raw.Sync(folder / "space")
        append = raw.Append()
        for opened in (write, mapped, sync):
            stack.callback(opened.close)

        def emptied(records: Sequence[Rec]) -> Sequence[object]:
            append.items.clear()
            return records

        found = bench.run(
            group,
            [
                tokens("empty call of run.token's form", raw.empty_token, per_round=n),
                calling("append of the record to a list", append.call, emptied, per_round=n),
                calling("clock", raw.clock, _numbers, per_round=n),
                calling("lock and unlock", raw.Lock().call, _numbers, per_round=n),
                calling("crc32 of 100 bytes", raw.Crc().call, lambda rs: [raw.LINE[:100]] * len(rs), per_round=n),
                calling("msgspec encode of the record", raw.Encode().call, _structs, per_round=n),
                calling("one write of a line", write.call, _lines, per_round=n),
                calling("a line through a map", mapped.call, _lines, per_round=n),
                calling("write + fdatasync in pre-written space", sync.call, _lines, per_round=bench.scale.synced_records),
            ],
        )
    rows: list[Row] = []
    for name, samples in found.items():
        note = f"plain loop: {_ns(estimate(samples.of(wall)).value)}"
        unit, scale = ("µs", 1e3) if "sync" in name else ("ns", 1)
        rows.append(row(group, f"{name}, p50", calls_percentile(samples, 0.5), unit, scale=scale, note=note))
    return rows


# Arguments of a round and words for a row -----------------------------------------------------------------------------


def _structs(records: Sequence[Rec]) -> list[object]:
    return [raw.token_record(record) for record in records]


def _lines(records: Sequence[Rec]) -> list[object]:
    return [raw.LINE] * len(records)


def _numbers(records: Sequence[Rec]) -> list[object]:
    return list(range(len(records)))


def _threads(run: holdfast.Run, count: int) -> Callable[[Sequence[Rec]], list[int]]:
    """Hand a round's records over from many threads at once, each in a lane of its own."""
    now = time.perf_counter_ns

    def record(name: str, records: Sequence[Rec], found: list[int]) -> None:
        with run.lane(name):
            for text, z, phase, tier, _ts, meta in records:
                start = now()
                run.token(text, z=z, phase=phase, tier=tier, meta=meta)
                found.append(now() - start)

    def timed(records: Sequence[Rec]) -> list[int]:
        found: list[int] = []
        started = [
            threading.Thread(target=record, args=(f"lane-{index}", records[index::count], found)) for index in range(count)
        ]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
        if len(found) < len(records):
            raise RuntimeError(f"{len(records) - len(found)} of {len(records)} records failed in their threads")
        return found

    return timed


def _each(found: Mapping[str, Samples]) -> str:
    """The mean of every contender."""
    return "mean: " + ", ".join(f"{name} {_ns(estimate(s.of(mean)).value)}" for name, s in found.items())


def _rates(found: Mapping[str, Samples]) -> str:
    """Records a second of every contender."""
    return "records/s: " + ", ".join(f"{name} {1e9 / estimate(s.of(wall)).value:,.0f}" for name, s in found.items())


def _tail(samples: Samples) -> str:
    """The slow end of all calls."""
    found = samples.summary()
    return f"p50 {_ns(found['p50'])}, p99.9 {_ns(found['p999'])}, max {_ns(found['max'])}, mean {_ns(found['mean'])}"


def _ns(value: float) -> str:
    if value < 1e3:
        return f"{value:.0f} ns"
    return f"{value / 1e3:.1f} µs" if value < 1e6 else f"{value / 1e6:.1f} ms"
