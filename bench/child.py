"""Programs that capture.py starts as processes of their own; each prints one JSON object.

fill ROOT TOKENS MODE   record so many tokens, a checkpoint, and a tail of 1,000; then die by SIGKILL
open ROOT               open that session, say how long it took, die by SIGKILL
memory ROOT TOKENS MODE anonymous memory while so many tokens are recorded
train saving|null ARGS  CPU seconds of examples/train_lm.py from opening its session to closing it
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, cast

SaveMode = Literal["continuous", "batch", "checkpoint"]

TOKENS_A_STEP = 1000
TAIL = 1000


class Counter:
    """The least that can be tracked."""

    def __init__(self) -> None:
        self.count = 0

    def state_dict(self) -> dict[str, object]:
        return {"count": self.count}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        count = state["count"]
        assert isinstance(count, int)
        self.count = count


def anonymous_kb() -> int:
    """RssAnon of this process."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1])
    raise RuntimeError("this system does not tell RssAnon")


def die() -> None:
    """Die as by kill -9."""
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def record(token: Any, first: int, count: int) -> None:
    """Record tokens with fresh strings and meta."""
    for i in range(first, first + count):
        meta = {"source": "emit_token", "module": i // 1000 % 33, "step": i // 20}
        token(f"Φ×|Reactor|celestial_em{i % 972}", z=(i % 1000) / 1000, phase="PARADOX", tier=i % 9 + 1, meta=meta)


def fill(root: str, count: int, mode: SaveMode) -> None:
    import holdfast

    counter = Counter()
    steps = count // TOKENS_A_STEP
    run = holdfast.start("bench", root=root, save_mode=mode, track={"counter": counter})
    for step in run.loop(steps + 1, checkpoint_every=max(1, steps // 20)):
        if step == steps:
            record(run.token, count, TAIL)
            run.flush("flushed")
            print(json.dumps({"records": run.health().records}))
            die()
        record(run.token, step * TOKENS_A_STEP, TOKENS_A_STEP)
        counter.count += TOKENS_A_STEP
        if step == steps - 1:
            run.checkpoint()  # at the end of this step


def open_again(root: str) -> None:
    import holdfast

    counter = Counter()
    start, cpu_start = time.perf_counter(), time.process_time()
    run = holdfast.start("bench", root=root, track={"counter": counter})
    opened, cpu = time.perf_counter(), time.process_time()
    found = {
        "open_ms": (opened - start) * 1e3,
        "cpu_ms": (cpu - cpu_start) * 1e3,
        "replay": run.replay_total,
        "step": run.resumed_step,
        "count": counter.count,
    }
    print(json.dumps(found))
    die()


def memory(root: str, count: int, mode: SaveMode) -> None:
    bare = anonymous_kb()
    import holdfast

    imported = anonymous_kb()
    parts = 20
    steps = max(parts, count // TOKENS_A_STEP)
    seen: list[int] = []
    with holdfast.session("bench", root=root, save_mode=mode, track={"counter": Counter()}) as run:
        for step in run.loop(steps, checkpoint_every=max(1, steps // 100)):
            record(run.token, step * (count // steps), count // steps)
            if (step + 1) % (steps // parts) == 0:
                seen.append(anonymous_kb())
    print(json.dumps({"bare_kb": bare, "imported_kb": imported, "seen_kb": seen}))


class NullRun:
    """A run that saves nothing: what train_lm would be without us."""

    name, path, finished, attempt, resumed_step, replay_total = "null", Path("null"), False, 1, None, 0
    notices: tuple[str, ...] = ()

    def __init__(self) -> None:
        from holdfast.recording.health import Health, Latency

        none = Latency()
        self._health = Health(
            records=0,
            bytes=0,
            file_bytes=0,
            records_by_kind={},
            bytes_by_kind={},
            ns_per_record=0.0,
            flush_ms=none,
            sync_ms=none,
            checkpoint_ms=none,
            lag_records=0,
            unsynced_records=0,
            cost_share=0.0,
            at_risk="all",
            free_bytes=0,
            full_in_seconds=None,
            hook_failures=0,
            stalls=0,
        )

    def loop(self, n: int, **_: object) -> Iterator[int]:
        yield from range(n)

    def health(self) -> object:
        return self._health

    def nothing(self, *_: object, **__: object) -> None:
        pass

    token = tokens = emission = metric = module = transition = event = note = file = nothing


class Timed:
    """A session that notes the CPU time from before its opening to after its closing, then ends the program."""

    def __init__(self, saving: Any) -> None:
        self._saving = saving
        self._run: Any = None
        self._start = 0.0

    def __call__(self, *arguments: Any, **options: Any) -> "Timed":
        self._start = time.process_time()
        self._session = self._saving(*arguments, **options) if self._saving else None
        return self

    def __enter__(self) -> Any:
        self._run = self._session.__enter__() if self._session else NullRun()
        return self._run

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        share = self._run.health().cost_share
        if self._session:
            self._session.__exit__(kind, error, trace)
        cpu = time.process_time() - self._start
        if kind is not None:
            return
        print(json.dumps({"cpu_s": cpu, "cost_share": share}), file=sys.__stdout__, flush=True)
        raise SystemExit(0)


def train(kind: str, arguments: list[str]) -> None:
    import holdfast

    examples = Path(__file__).resolve().parent.parent / "examples"
    sys.path.insert(0, str(examples))
    import importlib

    program = importlib.import_module("train_lm")
    real: Any = holdfast.session
    patched: Any = holdfast
    patched.session = Timed(real if kind == "saving" else None)
    sys.argv = ["train_lm.py", *arguments]
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        sys.stdout = nowhere
        program.main()


def main(arguments: list[str]) -> None:
    random.seed(0)
    command, rest = arguments[0], arguments[1:]
    if command == "fill":
        fill(rest[0], int(rest[1]), cast(SaveMode, rest[2]))
    elif command == "open":
        open_again(rest[0])
    elif command == "memory":
        memory(rest[0], int(rest[1]), cast(SaveMode, rest[2]))
    elif command == "train":
        train(rest[0], rest[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
