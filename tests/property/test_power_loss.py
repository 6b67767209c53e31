"""Power loss at any moment: what was synced is there, nothing is invented, and the run goes on."""

import errno
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from holdfast.errors import StorageError
from holdfast.reading.digest import digest_of
from holdfast.reading.seal import seal_log
from holdfast.reading.verify import verify_log
from holdfast.records import Closed, Note, Record, canonical_bytes
from holdfast.sessions.checkpoints import CheckpointStore
from holdfast.sessions.listing import list_checkpoints
from holdfast.sessions.opening import start
from holdfast.sessions.session import Run
from holdfast.storage import host
from holdfast.storage.faulty import FailingFiles
from holdfast.storage.log import LogWriter
from holdfast.storage.powerloss import DiskState, power_loss_states
from holdfast.storage.reader import LogReader
from holdfast.storage.recovery import Past, recover
from holdfast.storage.traced import FolderSynced, Mark, NameChanged, Synced, TracedFiles
from tests.helpers.dying import kill
from tests.helpers.quick import QuickFiles, quick_traced

IS_FULL = bool(os.environ.get("HOLDFAST_FULL"))
"""Every point of each trace, and the model's own numbers of states; otherwise a part of them, for a quick run."""
REAL = QuickFiles()
BEFORE, AFTER, LATER = "boot-before", "boot-after", "boot-later"

Lines = dict[int, bytes]
"""n → what the record says: its canonical bytes, and its kind."""


def points(files: TracedFiles, count: int) -> list[int]:
    """Where the power goes off: everywhere, or at `count` moments, of which those around syncs come first."""
    operations = files.trace.operations
    if IS_FULL:
        return list(range(len(operations) + 1))
    syncs = [at for at, each in enumerate(operations) if isinstance(each, Synced | FolderSynced | Mark | NameChanged)]
    around = sorted({at + step for at in syncs for step in (0, 1)} | {len(operations)})
    stride = max(1, -(-len(around) // count))
    return sorted({*around[::stride], *range(0, len(operations), max(1, len(operations) // (count // 3 or 1)))})


def states(files: TracedFiles, at: int, count: int) -> Iterator[DiskState]:
    """What may be on the disk then: all of it up to 4,096 states, otherwise a sample; a small one for a quick run."""
    if IS_FULL:
        return power_loss_states(files.trace, at, limit=4096, sample=2000, seed=at)
    return power_loss_states(files.trace, at, limit=count, sample=count, seed=at)


def lines_of(folder: Path, boot: str, *, past: Past | None = None) -> Lines:
    reader = LogReader(REAL, folder, boot, past)
    found = [(n, msgspec.json.decode(line)) for n, line in reader.read()]
    assert [fields["n"] for _, fields in found] == list(range(1, len(found) + 1)), "the numbers have gaps"
    return {n: fields["kind"].encode() + canonical_bytes(fields) for n, fields in found}


def promised(files: TracedFiles, at: int) -> int:
    """The highest n that the program had been told is synced."""
    return max((int(str(label)) for label in files.trace.marks(at)), default=0)


def writer(files: Any, folder: Path, past: Past, boot: str, durability: str, **options: Any) -> LogWriter:
    return LogWriter(
        files,
        folder,
        past,
        session="s",
        attempt=past.attempts + 1,
        boot=boot,
        durability=durability,
        use_map=options.pop("use_map", durability == "process"),
        **options,
    )


# The log by itself -------------------------------------------------------------------------------------------------


def notes(first: int, count: int, size: int = 90) -> list[Record]:
    return [Note(ts=1, text=f"{number} " + "abcdefghij"[number % 10] * size) for number in range(first, first + count)]


class Story:
    """A log being written through traced files, which are told what was synced."""

    def __init__(self, root: Path, durability: str, **options: Any) -> None:
        root.mkdir()
        self.files = quick_traced(root)
        self.folder, self.durability, self.options = root / "main", durability, options
        self.open(self.files)

    def open(self, files: Any, boot: str = BEFORE) -> None:
        past = recover(REAL, self.folder, boot)
        self.log = writer(files, self.folder, past, boot, self.durability, **self.options)

    def mark(self) -> None:
        self.files.mark(self.log.synced)

    def sync(self) -> None:
        self.log.sync(1)
        self.mark()

    def append(self, first: int, count: int, size: int = 90) -> None:
        for record in notes(first, count, size):
            self.log.append(record)


def power_appends(root: Path) -> Story:
    story = Story(root, "power")
    for number in range(25):
        story.append(number, 1, size=40 * (number % 7))
        story.sync()
    return story


def power_batches_and_groups(root: Path) -> Story:
    story = Story(root, "power")
    for number in range(6):
        story.log.append_batch(notes(number * 100, 9))
        story.log.append_group(notes(number * 100 + 50, 4, size=700))
        if number % 2:
            story.sync()
        story.append(number * 100 + 80, 2)
    story.sync()
    return story


def power_rolls(root: Path) -> Story:
    story = Story(root, "power", max_segment_bytes=2500)
    for number in range(12):
        story.append(number * 10, 3, size=150)
        story.mark()
        if number % 3 == 0:
            story.sync()
    story.log.append_group(notes(900, 3, size=1200))
    story.append(950, 1)
    story.sync()
    story.log.close(Closed(ts=1, status="finished"))
    story.mark()
    return story


def power_growth(root: Path) -> Story:
    story = Story(root, "power")
    for number in range(5):
        story.log.append_batch(notes(number * 10, 2, size=15_000))
        story.mark()
        story.append(number * 10 + 5, 1, size=9000)
        story.sync()
    story.log.close(Closed(ts=1, status="finished"))
    story.mark()
    return story


def process_with_syncs(root: Path) -> Story:
    story = Story(root, "process")
    for number in range(5):
        story.append(number * 100, 25)
        story.log.close_lines(1)
        story.append(number * 100 + 50, 3)
        if number != 2:
            story.sync()
        story.log.append_group(notes(number * 100 + 70, 3, size=300))
    story.log.close(Closed(ts=1, status="finished"))
    story.mark()
    return story


def process_rolls(root: Path) -> Story:
    story = Story(root, "process", max_segment_bytes=2500, use_map=False)
    for number in range(12):
        story.append(number * 10, 4, size=150)
        if number in (3, 8):
            story.sync()
    story.log.close(Closed(ts=1, status="finished"))
    story.mark()
    return story


def process_maps_and_grows(root: Path) -> Story:
    story = Story(root, "process", max_segment_bytes=150_000)
    for number in range(8):
        story.append(number * 10, 6, size=5000)
        if number == 1:
            story.sync()
    return story


def second_attempt(root: Path) -> Story:
    """The first is killed, nothing of it synced since; the second begins in the same boot."""
    story = Story(root, "process")
    story.append(0, 20)
    story.sync()
    story.append(100, 30)
    story.log.release()
    with (story.folder / "000001.jsonl").open("r+b") as file:  # the kill cut what was being stored
        data = file.read().rstrip(b"\n")
    story.files.open(story.folder / "000001.jsonl", write=True).write(b"\n" * 20, len(data) - 20)
    story.durability = "power"
    story.open(story.files)
    story.append(200, 3)
    story.sync()
    story.append(300, 3)
    story.log.release()
    story.open(story.files)
    story.append(400, 3)
    story.sync()
    return story


def after_failed_sync(root: Path) -> Story:
    """The segment is abandoned, and what had not been synced stands in the next."""
    story = Story(root, "power")
    story.append(0, 5)
    story.sync()
    story.log.release()
    failing = FailingFiles(story.files, operation="sync", nth=5, error=errno.EIO)
    story.open(failing)
    for number in range(5):
        story.append(100 + number * 10, 4)
        story.sync()
    assert len(list(story.folder.glob("*.jsonl"))) == 3
    return story


def process_sealed(root: Path) -> Story:
    """Full segments are sealed while the next one is written; nothing is synced but by that."""
    story = Story(root, "process", max_segment_bytes=2500)
    for number in range(3):
        story.append(number * 100, 40)
        seal_log(story.files, story.folder, root / "lock", "s", BEFORE, least_bytes=0)
        story.files.mark(recover(REAL, story.folder, BEFORE).extents[-2].last)
    story.append(900, 5)
    return story


STORIES: list[Callable[[Path], Story]] = [
    power_appends,
    power_batches_and_groups,
    power_rolls,
    power_growth,
    process_with_syncs,
    process_rolls,
    process_maps_and_grows,
    second_attempt,
    after_failed_sync,
    process_sealed,
]


@pytest.mark.parametrize("tell", STORIES, ids=lambda tell: tell.__name__)
def test_a_log_keeps_what_was_synced_and_invents_nothing(tmp_path: Path, tell: Callable[[Path], Story]) -> None:
    story = tell(tmp_path / "disk")
    written = lines_of(story.folder, BEFORE)
    for number, (at, state) in enumerate(
        (end, state) for end in points(story.files, 20) for state in states(story.files, end, 16)
    ):
        disk = tmp_path / "after"
        disk.mkdir()
        state.write_to(disk)
        where = f"after {at} operations, {state.describe()}"
        past = recover(REAL, disk / "main", AFTER)
        found = lines_of(disk / "main", AFTER, past=past)
        assert len(found) >= promised(story.files, at), f"a synced record is lost {where}"
        assert found.items() <= written.items(), f"a record is invented {where}"
        assert lines_of(disk / "main", AFTER) == found, f"readers see something else than a resumed run {where}"
        if number % 8 == 0:
            goes_on(disk / "main", past, found, where)
        shutil.rmtree(disk)


def goes_on(folder: Path, past: Past, found: Lines, where: str) -> None:
    """Append behind what was recovered; it is all there, and every byte is in order."""
    log = writer(REAL, folder, past, AFTER, "power")
    log.append(Note(ts=2, text="after"))
    log.append_group([Note(ts=2, text="a"), Note(ts=2, text="b")])
    log.close(Closed(ts=2, status="finished"))
    again = lines_of(folder, AFTER, past=recover(REAL, folder, AFTER))
    assert len(again) == len(found) + 4, where
    assert found.items() <= again.items(), where
    assert not verify_log(REAL, folder, AFTER).problems, where


@pytest.mark.parametrize("tell", [power_batches_and_groups, process_rolls, second_attempt], ids=lambda tell: tell.__name__)
@pytest.mark.parametrize("durability", ["power", "process"])
def test_two_power_losses_in_a_row(tmp_path: Path, tell: Callable[[Path], Story], durability: str) -> None:
    story = tell(tmp_path / "disk")
    for at in points(story.files, 5):
        for state in itertools.islice(states(story.files, at, 12), None if IS_FULL else 3):
            disk = tmp_path / "between"
            disk.mkdir()
            state.write_to(disk)
            files, folder = quick_traced(disk), disk / "main"
            past = recover(REAL, folder, AFTER)
            kept = len(lines_of(folder, AFTER, past=past))
            log = writer(files, folder, past, AFTER, durability, max_segment_bytes=1500)
            for number in range(8):
                log.append(Note(ts=2, text=f"second {number} " + "x" * 200))
                if number % 3 == 1:
                    log.sync(2)
                    files.mark(log.synced)
            written = lines_of(folder, AFTER)
            for at_again in points(files, 7):
                for again in states(files, at_again, 4):
                    last = tmp_path / "last"
                    last.mkdir()
                    again.write_to(last)
                    where = f"after {at} operations, {state.describe()}; then after {at_again}, {again.describe()}"
                    found = lines_of(last / "main", LATER, past=recover(REAL, last / "main", LATER))
                    assert len(found) >= max(kept, promised(files, at_again)), f"a synced record is lost {where}"
                    assert found.items() <= written.items(), f"a record is invented {where}"
                    shutil.rmtree(last)
            log.release()
            shutil.rmtree(disk)


# A session ----------------------------------------------------------------------------------------------------------


class Weights:
    """State that goes to files (an array) and changes with each step."""

    def __init__(self) -> None:
        self.array = np.zeros(400)
        self.fixed = np.arange(300.0)

    def step(self) -> float:
        self.array = self.array * 1.5 + np.arange(400.0)
        return float(self.array[7])

    def state_dict(self) -> dict[str, Any]:
        return {"array": self.array, "fixed": self.fixed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.array, self.fixed = np.array(state["array"]), np.array(state["fixed"])


def train(run: Run, weights: Weights, told: Callable[[], object] = lambda: None, *, steps: int = 9, stop: int = 99) -> None:
    """The program. It leaves at the step `stop`, as if killed there."""
    run.note("before the loop")
    for step in run.loop(steps, checkpoint_every=2):
        if step == stop:
            kill(run)
            raise _Killed
        run.metric(loss=weights.step())
        run.token(f"token {step}", z=0.5)
        told()
        if step % 3 == 1:
            run.flush("synced")
            told()
    run.step("last", lambda: {"sum": float(weights.array.sum())})
    run.event("end")


class _Killed(BaseException):
    pass


def opened(root: Path, weights: Weights, files: Any, *, durability: Any, save_mode: Any) -> Run:
    return start("s", root=root, track={"w": weights}, files=files, durability=durability, save_mode=save_mode, keep_last=2)


@pytest.mark.parametrize("save_mode", ["continuous", "batch", "checkpoint"])
@pytest.mark.parametrize("durability", ["power", "process"])
def test_a_session_goes_on_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str, save_mode: str
) -> None:
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr(host, "boot_id", lambda: BEFORE)
    files = quick_traced(tmp_path / "disk")
    run = opened(tmp_path / "disk", Weights(), files, durability=durability, save_mode=save_mode)
    with pytest.raises(_Killed):
        train(run, run._parts.tracked.objects["w"], lambda: files.mark(run.watermarks().synced), stop=5)
    run = opened(tmp_path / "disk", Weights(), files, durability=durability, save_mode=save_mode)
    train(run, run._parts.tracked.objects["w"], lambda: files.mark(run.watermarks().synced))
    run.close()
    files.mark(run.watermarks().synced)
    log = Path("sessions", "s", "log", "main")
    written = lines_of(tmp_path / "disk" / log, BEFORE)
    healthy = digest_of(LogReader(REAL, tmp_path / "disk" / log, BEFORE)).sha256
    monkeypatch.setattr(host, "boot_id", lambda: AFTER)
    for number, (at, state) in enumerate((end, state) for end in points(files, 30) for state in states(files, end, 5)):
        root = tmp_path / "after"
        root.mkdir()
        state.write_to(root)
        where = f"after {at} operations, {state.describe()}"
        found = lines_of(root / log, AFTER, past=recover(REAL, root / log, AFTER))
        assert len(found) >= promised(files, at), f"a synced record is lost {where}"
        assert found.items() <= written.items(), f"a record is invented {where}"
        every_checkpoint_is_whole(root, AFTER, where)
        if IS_FULL or number % 4 == 0:
            weights = Weights()
            run = opened(root, weights, REAL, durability="process", save_mode="continuous")
            assert not any("passed over" in notice for notice in run.notices), where
            train(run, weights)
            run.close()
            assert digest_of(LogReader(REAL, root / log, AFTER)).sha256 == healthy, where
            assert not verify_log(REAL, root / log, AFTER).problems, where
        shutil.rmtree(root)


def every_checkpoint_is_whole(root: Path, boot: str, where: str) -> None:
    """What the recovered log names and has not released is there, byte for byte."""
    folder = root / "sessions" / "s"
    past = recover(REAL, folder / "log" / "main", boot)
    reader = LogReader(REAL, folder / "log" / "main", boot, past)
    store = CheckpointStore(REAL, folder / "checkpoints", 0, 0)
    problems = [info for info in list_checkpoints(reader, store.verify) if info.problem is not None]
    assert not problems, where


def test_a_kill_while_the_folders_are_being_made_leaves_no_trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed opening made and did not sync, the next one does."""
    monkeypatch.setattr(host, "boot_id", lambda: BEFORE)
    for nth in range(1, 13):
        root = tmp_path / str(nth)
        root.mkdir()
        files = quick_traced(root)
        dying = FailingFiles(files, operation="sync_folder", nth=nth, error=errno.EIO, repeat=True)
        first: Run | None = None
        try:
            first = start("s", root=root, files=dying, durability="power")
            first.note("first")
        except StorageError:
            pass
        if first is not None:
            kill(first)
        run = start("s", root=root, files=files, durability="power")
        run.note("second")
        run.flush("synced")
        told = run.watermarks().synced
        run.close()
        for number, state in enumerate(states(files, len(files.trace), 12)):
            disk = tmp_path / f"{nth}-{number}"
            disk.mkdir()
            state.write_to(disk)
            assert recover(REAL, disk / "sessions" / "s" / "log" / "main", AFTER).last >= told, state.describe()
