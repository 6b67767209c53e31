"""A program that is killed and started again: every kind of record, in every place where one can be made.

It repeats itself exactly, apart from what it says in `info` and the values of `run.once`. Each record carries a mark, a
number of its own, which is told to the parent as soon as the recording call has returned.
"""

import argparse
import json
import math
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast
from unittest.mock import patch

import numpy as np

import holdfast
from holdfast.sessions.opening import start
from holdfast.storage.files import Files
from holdfast.storage.log import LogWriter
from tests.crash.scribe import Scribe
from tests.crash.witness import NOBODY, Plan, ReportingFiles, Witness

Mode = Literal["continuous", "batch", "checkpoint"]
Durability = Literal["process", "power"]
MODES: tuple[Mode, ...] = ("continuous", "batch", "checkpoint")
DURABILITIES: tuple[Durability, ...] = ("process", "power")
SEGMENT_BYTES = 16 << 10  # small, so that the log rolls again and again
PHASES = ("STABLE", "DRIFT", "Φ×PARADOX")


@dataclass(frozen=True, kw_only=True)
class Order:
    """One start of the program. size: about how many records the whole run makes. acks: the pipe to tell, -1 for none."""

    root: str
    session: str
    mode: Mode = "continuous"
    durability: Durability = "process"
    shape: str = "mixed"
    size: int = 400
    acks: int = -1
    plan: Plan = NOBODY


class Net:
    """Something that learns: arrays, a deep state, and a counter that a repeated or forgotten step would show in."""

    def __init__(self) -> None:
        self.weights = np.zeros((48, 12), dtype=np.float32)
        self.moments: dict[int, tuple[Any, ...]] = {}
        self.steps = 0

    def learn(self, rng: np.random.Generator, dice: random.Random) -> float:
        """One step: the value depends on every step before it."""
        self.weights = (self.weights * np.float32(0.9) + rng.standard_normal((48, 12), dtype=np.float32)).astype(np.float32)
        self.steps += 1
        loss = float(self.weights.sum()) + dice.random() + random.random()
        self.moments[self.steps % 7] = (self.steps, loss, None, b"\x00\xff", {"late": [-0.0, math.inf, 2**70]})
        return loss

    def state_dict(self) -> dict[str, object]:
        return {"weights": self.weights, "moments": self.moments, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.weights, self.moments, self.steps = state["weights"].copy(), dict(state["moments"]), state["steps"]


@dataclass
class Script:
    """What the shapes are made of."""

    run: holdfast.Run
    witness: Witness
    order: Order
    net: Net
    rng: np.random.Generator
    dice: random.Random
    _sections: dict[str, Scribe] = field(default_factory=dict)

    def scribe(self, name: str) -> Scribe:
        """The scribe of a section, by name."""
        if name not in self._sections:
            self._sections[name] = Scribe(self.run, self.witness, SECTIONS.index(name))
        return self._sections[name]

    def loop(self, section: str, steps: int, *, records: int = 20) -> None:
        """A loop over `body`, with a checkpoint every so often."""
        for step in self.run.loop(steps, checkpoint_every=max(2, steps // 12)):
            self.body(self.scribe(section).at(step), step, records)

    def body(self, scribe: Scribe, step: int, records: int) -> None:
        """About so many records of all kinds, which depend on everything tracked."""
        phase = PHASES[step // 6 % 3]
        loss = self.net.learn(self.rng, self.dice)
        if step and step % 6 == 0:
            scribe.transition(PHASES[(step - 1) // 6 % 3], phase)
        scribe.metric(math.nan if step % 5 == 4 else loss)
        scribe.event("learned", at={step: (loss, b"\0", math.inf)}, of=self.net.steps)
        if step % 2:
            scribe.tokens([loss, self.dice.random()])
            scribe.emission(f"step {step}", phase)
        else:
            scribe.module("probe", mean=float(self.net.weights.mean()))
        if step % 4 == 1:
            scribe.once()
        if step % 5 == 2:
            scribe.note("seen")
        if step % 9 == 3:
            scribe.file(Path(self.order.root).parent)
        if step % 7 == 6:
            self.step(scribe, "inner", lambda: self.dice.randrange(100))
        while scribe.made < records - 1:
            scribe.token(float(self.rng.random()), phase, tier=step, meta={"roll": self.dice.random(), "n": step})
        scribe.token(0.5)

    def step(self, scribe: Scribe, name: str, fn: Callable[[], Any]) -> Any:
        """A `run.step`, whose result carries a mark."""
        result = self.run.step(name, lambda: {"of": fn(), "mark": scribe.mark(), "shape": (1, b"\x80", {2: None})})
        self.witness.recorded(result["mark"])
        return result["of"]

    def outside(self, step: int, records: int) -> None:
        """Records at the top level. They depend on nothing that changes in loops and steps."""
        scribe = self.scribe("outside").at(step)
        for index in range(records):
            if index % 10 == 3:
                scribe.once()
            elif index % 10 == 5:
                scribe.metric(math.inf)
            elif index % 10 == 7:
                scribe.event("outside", index=index, twice=(step, {index: [None]}))
            else:
                scribe.token(index / records, PHASES[step % 3] if index % 4 else None)

    def in_lane(self, name: str, step: int, records: int, values: list[float], *, dices: bool = False) -> None:
        """Records of one lane, on whichever thread this is. The values were drawn on the program's own thread."""
        scribe = self.scribe(name).at(step)
        for index in range(records):
            if dices and index == 2:
                scribe.once()
            if index % 4 == 3:
                scribe.event("lane", value=values[index % len(values)])
            else:
                scribe.token(index / records, PHASES[step % 3])

    def lanes(self, step: int, records: int, prefix: str) -> None:
        """Two threads with lanes of their own, one in a lane made before it started, and a lane on this thread."""
        values = [self.rng.random() for _ in range(3)] if prefix == "in" else [0.5]
        lane = self.run.lane(f"{prefix}-given")

        def given() -> None:
            with lane:
                self.in_lane(f"{prefix}-given", step, records, values)

        threads = [
            threading.Thread(target=self.in_lane, name=f"{prefix}-{name}", args=(f"{prefix}-{name}", step, records, values))
            for name in ("a", "b")
        ]
        threads.append(threading.Thread(target=given))
        for thread in threads:
            thread.start()
        with self.run.lane(f"{prefix}-own"):
            self.in_lane(f"{prefix}-own", step, records, values, dices=step % 3 == 0)
        for thread in threads:
            thread.join()


SECTIONS = (
    *("outside", "loop", "later", "endless", "left", "steps"),
    *("in-a", "in-b", "in-given", "in-own", "top-a", "top-b", "top-given", "top-own"),
)


def loop_shape(script: Script) -> None:
    """One loop, with a little before and behind it."""
    script.outside(0, 6)
    script.loop("loop", max(4, script.order.size // 20))
    script.outside(1, 4)
    script.scribe("outside").at(2).event("result", sum=float(script.net.weights.sum()), moments=script.net.moments)


def step_shape(script: Script) -> None:
    """Steps at the top level: each a result, and a checkpoint that stands or falls with it."""
    carried = 0.0
    for number in range(max(4, script.order.size // 16)):

        def stage(number: int = number, carried: float = carried) -> float:
            script.body(script.scribe("steps").at(number), number, 14)
            return carried + script.net.learn(script.rng, script.dice)

        carried = script.step(script.scribe("steps"), f"stage{number % 3}", stage)
        script.scribe("outside").at(number).event("carried", value=carried)


def once_shape(script: Script) -> None:
    """What must not be repeated, between everything else."""
    run, rounds = script.run, max(4, script.order.size // 24)
    for number in range(rounds // 2):
        script.scribe("outside").at(number).once()
        script.scribe("outside").note("after it")
    for step in run.loop(rounds, checkpoint_every=max(2, rounds // 8)):
        scribe = script.scribe("loop").at(step)
        for _ in range(6):
            scribe.once()
            scribe.token(script.dice.random())
        script.body(scribe, step, 20)
        scribe.once()
    for number in range(rounds // 2, rounds):
        script.scribe("outside").at(number).once()


def lanes_shape(script: Script) -> None:
    """Threads that are started and joined within a step, and lanes by name; some at the top level."""
    script.lanes(4000, 6, "top")
    steps = max(3, script.order.size // 40)
    for step in script.run.loop(steps, checkpoint_every=max(2, steps // 10)):
        script.body(script.scribe("loop").at(step), step, 8)
        script.lanes(step, 8, "in")
    script.lanes(4001, 6, "top")


def top_shape(script: Script) -> None:
    """Mostly records outside every loop and step: before, between and behind them."""
    records = max(6, script.order.size // 12)
    for number in range(8):
        script.outside(number, min(records, 200))
        if number in (1, 4):
            script.loop("loop" if number == 1 else "later", max(3, script.order.size // 100), records=12)
        elif number in (2, 5):
            script.step(script.scribe("steps").at(number), "between", lambda: script.net.learn(script.rng, script.dice))
        elif number == 6:
            script.run.checkpoint("the end is near")
    script.lanes(4000, 6, "top")


def mixed_shape(script: Script) -> None:
    """Everything in one program, with loops that are left, that have no end, and that lie in one another."""
    run, size = script.run, script.order.size
    script.outside(0, 12)
    script.step(script.scribe("steps").at(0), "prepare", lambda: script.net.learn(script.rng, script.dice))
    steps = max(4, size // 60)
    for step in run.loop(steps, checkpoint_every=max(2, steps // 8)):
        script.body(script.scribe("loop").at(step), step, 16)
        for _ in run.loop(2):
            script.scribe("loop").token(script.dice.random())
        script.lanes(step, 4, "in")
        if step == steps // 2:
            run.checkpoint("half")
    script.outside(1, 10)
    script.lanes(4000, 5, "top")
    for step in run.loop(None, checkpoint_every=3):
        script.body(script.scribe("endless").at(step), step, 14)
        if step == max(3, size // 80):
            break
    script.outside(2, 10)
    script.step(script.scribe("steps").at(1), "between", lambda: script.net.learn(script.rng, script.dice))
    run.flush("synced")
    for step in run.loop(1000, checkpoint_every=4):
        if step == max(3, size // 80):
            break
        script.body(script.scribe("left").at(step), step, 14)
    script.outside(3, 5)
    script.loop("later", max(3, size // 80), records=14)
    script.scribe("outside").at(9).event("result", sum=float(script.net.weights.sum()), moments=script.net.moments)


SHAPES: dict[str, Callable[[Script], None]] = {
    "loop": loop_shape,
    "step": step_shape,
    "once": once_shape,
    "lanes": lanes_shape,
    "top": top_shape,
    "mixed": mixed_shape,
}


def execute(order: Order, files: Files | None = None) -> None:
    """Run the program once, from wherever the session stands to its end. `files`: other ones than the plan says."""
    witness = Witness(order.acks, order.plan)
    if order.plan.by == "files":
        files = ReportingFiles(order.plan, witness)
    random.seed(11)
    net, rng, dice = Net(), np.random.default_rng(5), random.Random(3)
    rng.standard_normal(), dice.random()  # drawn before the session is open
    with small_segments():
        with opened(order, {"net": net, "rng": rng, "dice": dice}, files) as run:
            witness.opened(run)
            run.set_interval(tokens=40, emissions=6)
            script = Script(run, witness, order, net, rng, dice)
            script.scribe("outside").at(4000).event("drawn", values=[random.random(), dice.random(), rng.random()])
            SHAPES[order.shape](script)
            witness.closing()
        witness.closed()


@contextmanager
def opened(order: Order, track: dict[str, Any], files: Files | None) -> Iterator[holdfast.Run]:
    """The session, through these files."""
    # What is started in the background may have it ignored, and then a session leaves it alone.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    keeping = {"loop": {"keep_last": 3}, "step": {"keep_last": 2}, "mixed": {"keep_last": 2, "keep_best": "loss"}}
    run = start(
        order.session,
        root=order.root,
        track=track,
        config={"shape": order.shape, "size": order.size},
        save_mode=order.mode,
        durability=order.durability,
        files=files,
        **cast(dict[str, Any], keeping.get(order.shape, {})),
    )
    with run:
        yield run


@contextmanager
def small_segments() -> Iterator[None]:
    """Have the log roll at SEGMENT_BYTES, which no option of a session can ask for, and at the same record in every process:
    where a run came from takes as many bytes in each."""
    defaults = LogWriter.__init__.__kwdefaults__
    assert defaults is not None
    before = defaults["max_segment_bytes"]
    defaults["max_segment_bytes"] = SEGMENT_BYTES
    try:
        with patch("holdfast.sessions.attempt.provenance", lambda: {"argv": ["program.py"]}):
            yield
    finally:
        defaults["max_segment_bytes"] = before


def main() -> int:
    """Parse the command line and run the program."""
    parser = argparse.ArgumentParser(description="A program to be killed.")
    parser.add_argument("--root", required=True)
    parser.add_argument("--session", required=True)
    parser.add_argument("--mode", choices=MODES, default="continuous")
    parser.add_argument("--durability", choices=DURABILITIES, default="process")
    parser.add_argument("--shape", choices=tuple(SHAPES), default="mixed")
    parser.add_argument("--size", type=int, default=400, help="about how many records")
    parser.add_argument("--acks", type=int, default=-1, help="file descriptor to tell of every call that returned")
    parser.add_argument("--plan", type=lambda text: Plan(**json.loads(text)), default=NOBODY, help="how it is killed, as JSON")
    execute(Order(**vars(parser.parse_args())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
