"""A kill at any instant loses nothing that was acknowledged, and the run that goes on is the run that was never killed."""

import json
import random
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

import holdfast
from holdfast.storage.faulty import KillingFiles
from holdfast.storage.files import RealFiles
from tests.crash.campaign import CELLS, SIZE
from tests.crash.children import Children
from tests.crash.program import Durability, Mode, execute
from tests.crash.trial import Cell, Chooser, Reference, Trial, count_points, follow
from tests.crash.witness import NOBODY, PLACES, Plan, place_of

SMALL = 200
STARTED = Plan(by="itself", record=90)


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    with Children() as started:
        yield started


@pytest.fixture(scope="module")
def reference_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reference")


@cache
def reference(shape: str, size: int, folder: Path) -> Reference:
    return Reference.of(shape, size, folder)


def told(trial: Trial) -> str:
    """What is needed to understand a failure, and to repeat it."""
    again = f"python -m tests.crash.campaign --repeat '{json.dumps(trial.describe())}'"
    return "\n".join([*trial.problems, *map(str, trial.hits), again])


@pytest.mark.parametrize(("mode", "durability", "shape"), CELLS)
def test_a_run_killed_five_times_is_the_run_that_was_never_killed(
    tmp_path: Path, children: Children, reference_folder: Path, mode: Mode, durability: Durability, shape: str
) -> None:
    cell = Cell(mode=mode, durability=durability, shape=shape, size=SMALL)
    unkilled = reference(shape, SMALL, reference_folder)
    counts = count_points(children, cell, tmp_path)
    hits = number = 0
    while hits < 2 or number < 2:
        trial = Trial(children, cell, unkilled, tmp_path / str(number), number=number * 7)
        trial.run(Chooser(counts, unkilled.records, random.Random(f"{cell}{number}")))
        assert not trial.problems, told(trial)
        hits += sum(hit.counts for hit in trial.hits)
        number += 1


class PlacesSeen(KillingFiles):
    """Files that kill nobody, and note where the program was at each operation that could be hit."""

    def __init__(self, operation: str, role: str) -> None:
        super().__init__(RealFiles(), operation=operation, nth=0, role=role)
        self.places: list[str] = []

    def is_due(self) -> bool:
        self.places.append(place_of(sys._getframe(1)))
        return super().is_due()


@pytest.mark.parametrize(
    ("place", "operation", "role", "when"),
    [
        ("roll", "open", "/log", "after"),
        ("roll", "write", "/log", "half"),
        ("roll", "sync_folder", "/log", "before"),
        ("retention", "unlink", "/checkpoints", "after"),
        ("checkpoint files", "write", "/checkpoints", "half"),
        ("checkpoint files", "rename", "/checkpoints", "after"),
        ("checkpoint record", "write", "/log", "half"),
        ("manifest", "rename", "session.json", "before"),
        ("close", "write", "/log", "half"),
        ("close", "truncate", "/log", "before"),
        ("kept file", "write", "/files", "half"),
        ("kept file", "rename", "/files", "after"),
        ("record", "write", "/log", "half"),
        ("sync", "sync", "/log", "before"),
    ],
)
@pytest.mark.parametrize("mode", ["continuous", "checkpoint"])
def test_a_kill_at_this_point_loses_nothing(
    tmp_path: Path, children: Children, reference_folder: Path, mode: Mode, place: str, operation: str, role: str, when: str
) -> None:
    assert place in PLACES
    cell = Cell(mode=mode, durability="power", shape="loop", size=SMALL)
    seen = PlacesSeen(operation, role)
    execute(cell.order(tmp_path / "healthy"), seen)
    there = [number for number, found in enumerate(seen.places, 1) if found == place]
    nth = there[len(there) * 2 // 3] if place != "manifest" else there[-1]  # the first one comes before the first record
    plan = Plan(by="files", operation=operation, role=role, when=when, nth=nth)  # type: ignore[arg-type]  # one of three
    trial = Trial(children, cell, reference("loop", SMALL, reference_folder), tmp_path / "killed")
    trial.run(follow([plan]))
    assert not trial.problems, told(trial)
    assert [(hit.place, hit.counts) for hit in trial.hits] == [(place, True)]


@pytest.mark.parametrize("shape", ["loop", "step", "once", "lanes", "top", "mixed"])
@pytest.mark.parametrize(
    ("place", "plan"),
    [
        ("recovery", Plan(by="files", operation="read", role="/log", nth=2)),
        ("recovery", Plan(by="files", operation="names", role="/checkpoints", nth=1)),
        ("first segment", Plan(by="files", operation="sync_folder", role="/log", nth=1)),
        ("first segment", Plan(by="files", operation="write", role="/log", nth=1, when="half")),
        ("replay", Plan(by="replay", share=0.6)),
    ],
    ids=["reading", "sweeping", "syncing", "header", "replay"],
)
def test_a_kill_while_going_on_after_a_kill_loses_nothing(
    tmp_path: Path, children: Children, reference_folder: Path, shape: str, place: str, plan: Plan
) -> None:
    cell = Cell(mode="continuous", durability="process", shape=shape, size=SMALL)
    trial = Trial(children, cell, reference(shape, SMALL, reference_folder), tmp_path / "killed", number=3)
    trial.run(follow([STARTED, plan, plan]))
    assert not trial.problems, told(trial)
    assert [hit.place for hit in trial.hits] == ["record", place, place]


def test_a_run_of_the_full_size_started_as_it_is_by_hand_survives_kills(
    tmp_path: Path, children: Children, reference_folder: Path
) -> None:
    cell = Cell(mode="batch", durability="process", shape="mixed", size=SIZE)
    unkilled = reference("mixed", SIZE, reference_folder)
    assert unkilled.records >= 2000
    trial = Trial(children, cell, unkilled, tmp_path / "killed", fresh_every=1)
    trial.run(follow([Plan(by="parent", record=500), Plan(by="itself", record=700)]))
    assert not trial.problems, told(trial)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("mode", ["continuous", "batch", "checkpoint"])
@pytest.mark.parametrize("record", [4, 101], ids=["outside", "inside"])
def test_a_run_that_is_asked_to_stop_exits_with_75_and_goes_on_at_the_same_line(
    tmp_path: Path, children: Children, reference_folder: Path, mode: Mode, number: signal.Signals, record: int
) -> None:
    cell = Cell(mode=mode, durability="process", shape="loop", size=SMALL)
    trial = Trial(children, cell, reference("loop", SMALL, reference_folder), tmp_path / "stopped")
    trial.folder.mkdir()
    assert trial.start(Plan(by="itself", record=record, signal=number)).status == 75
    assert trial.status() == "interrupted"
    assert trial.start(NOBODY).status == 0
    trial.check_end()
    assert not trial.problems, told(trial)


def test_a_finished_run_that_is_started_again_records_nothing(
    tmp_path: Path, children: Children, reference_folder: Path
) -> None:
    cell = Cell(mode="batch", durability="process", shape="mixed", size=SMALL)
    trial = Trial(children, cell, reference("mixed", SMALL, reference_folder), tmp_path / "finished")
    trial.run(follow([]))
    before = {path: path.read_bytes() for path in trial.root.rglob("*") if path.is_file()}
    assert trial.start(NOBODY).status == 0
    assert {path: path.read_bytes() for path in trial.root.rglob("*") if path.is_file()} == before
    assert trial.start(Plan(by="itself", record=20)).status == -signal.SIGKILL
    trial.check_end()
    assert not trial.problems, told(trial)


def test_threads_that_go_on_together_repeat_what_each_of_them_recorded(tmp_path: Path) -> None:
    def record(run: holdfast.Run, lane: str) -> list[int]:
        values = []
        with run.lane(lane):
            for index in range(300):
                values.append(run.once(f"{lane} {index}", lambda: random.getrandbits(60)))
                run.token(f"{lane} {index}")
        return values

    def together(run: holdfast.Run) -> list[list[int]]:
        with ThreadPoolExecutor(4) as pool:
            return [done.result() for done in [pool.submit(record, run, f"lane {number}") for number in range(4)]]

    for name in ("a", "b", "c", "d"):
        failing = holdfast.start(name, root=tmp_path)
        before = together(failing)
        failing.__exit__(KeyError, KeyError(), None)  # so that what was recorded is expected again
        with holdfast.session(name, root=tmp_path) as run:
            assert together(run) == before
        assert run.notices == []
