"""Every operation on files fails once: our error at once or at the next call, nothing that was promised is lost, and the
same line goes on."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from holdfast import (
    Corrupted,
    DiskFull,
    HoldfastError,
    InvalidValue,
    NewerFormat,
    SessionBusy,
    SettingsDiffer,
    Workspace,
    WriteFailed,
)
from holdfast.reading.digest import digest_of
from holdfast.reading.verify import verify_log
from holdfast.records import canonical_bytes
from holdfast.sessions.folder import SessionFolder
from holdfast.sessions.opening import start
from holdfast.sessions.session import Run
from holdfast.storage.faulty import OPERATIONS, FailingFiles
from holdfast.storage.host import boot_id
from holdfast.storage.lock import Lock
from holdfast.storage.reader import LogReader
from holdfast.storage.recovery import recover
from tests.helpers.dying import kill
from tests.helpers.quick import QuickFiles

REAL = QuickFiles()
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE)
MODES = ("continuous", "batch", "checkpoint")
DURABILITIES = ("process", "power")
BY_MODE = [(mode, durability) for mode in MODES for durability in DURABILITIES]
LOG = Path("sessions", "s", "log", "main")


class Weights:
    """State with an array, so that checkpoints have files."""

    def __init__(self) -> None:
        self.array = np.zeros(50)

    def step(self) -> float:
        self.array = self.array * 1.5 + np.arange(50.0)
        return float(self.array[7])

    def state_dict(self) -> dict[str, Any]:
        return {"array": self.array}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.array = np.array(state["array"])


class FullDisk(FailingFiles):
    """A disk that is full from the nth write on, until space is freed."""

    def __init__(self, nth: int, partial: int = 0) -> None:
        super().__init__(REAL, operation="write", nth=nth, error=errno.ENOSPC, repeat=True, partial=partial)
        self.was_met = False

    def _failure(self, operation: str) -> int:
        failure = super()._failure(operation)
        self.was_met = self.was_met or bool(failure)
        return failure

    def free(self) -> None:
        self._nth = 0


def opened(root: Path, files: Any, mode: Any, durability: Any, **options: Any) -> tuple[Run, Weights]:
    weights = Weights()
    run = start(
        "s", root=root, files=files, save_mode=mode, durability=durability, track={"w": weights}, keep_last=2, **options
    )
    return run, weights


def train(run: Run, weights: Weights) -> None:
    run.note("begin")
    for step in run.loop(6, checkpoint_every=2):
        run.metric(loss=weights.step())
        for token in "abc":
            run.token(f"{token}{step}", z=0.25, phase="even" if step % 2 == 0 else "odd")
        if step == 1:
            run.file(__file__)
        if step == 4:
            run.flush("synced")
    run.step("sum", lambda: float(weights.array.sum()))
    run.emission("the end")


def lines(root: Path) -> dict[int, bytes]:
    """n → what the record says, by recovery as a next attempt does it."""
    past = recover(REAL, root / LOG, boot_id())
    found = [(n, msgspec.json.decode(line)) for n, line in LogReader(REAL, root / LOG, boot_id(), past).read()]
    assert [fields["n"] for _, fields in found] == list(range(1, len(found) + 1))
    return {n: fields["kind"].encode() + canonical_bytes(fields) for n, fields in found}


def digest(root: Path) -> str:
    assert not verify_log(REAL, root / LOG, boot_id()).problems
    return digest_of(LogReader(REAL, root / LOG, boot_id())).sha256


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of the run that meets no failure."""
    root = tmp_path_factory.mktemp("healthy")
    run, weights = opened(root, REAL, "continuous", "process")
    train(run, weights)
    run.close()
    return digest(root)


def calls_of(tmp_path: Path, mode: str, durability: str) -> dict[str, int]:
    """How often a healthy run carries out each operation, the second attempt of a killed one included."""
    files = FailingFiles(REAL, operation="open", nth=0, error=errno.EIO)
    attempt(tmp_path / "counted", files, mode, durability)
    return dict(files.calls)


def attempt(root: Path, files: Any, mode: str, durability: str) -> tuple[int, int]:
    """Run it, killed in the middle and taken up, until our error ends it. Returns what was flushed and synced then; anything
    else that is raised fails the test."""
    flushed = synced = 0
    try:
        for stop in (3, None):
            run, weights = opened(root, files, mode, durability)
            try:
                with run:
                    train(run if stop is None else _Stopping(run, stop), weights)  # type: ignore[arg-type]
            except _Killed:
                continue
            finally:
                marks = run.watermarks()
                flushed, synced = max(flushed, marks.flushed), max(synced, marks.synced)
                kill(run)
    except HoldfastError as error:
        assert str(error)
    return flushed, synced


class _Killed(BaseException):
    pass


class _Stopping:
    """A run that is killed in its loop."""

    def __init__(self, run: Run, stop: int) -> None:
        self._run, self._stop = run, stop

    def loop(self, *arguments: Any, **options: Any) -> Iterator[int]:
        for step in self._run.loop(*arguments, **options):
            if step == self._stop:
                kill(self._run)
                raise _Killed
            yield step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)


@pytest.mark.parametrize(("mode", "durability"), BY_MODE)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_any_operation_fails_once_and_the_same_line_goes_on(
    tmp_path: Path, healthy: str, operation: str, mode: str, durability: str
) -> None:
    count = calls_of(tmp_path, mode, durability).get(operation, 0)
    for nth in range(1, count + 1):
        error = ERRORS[nth % len(ERRORS)]
        partial = 11 if operation == "write" and nth % 3 == 0 else 0
        root = tmp_path / str(nth)
        files = FailingFiles(REAL, operation=operation, nth=nth, error=error, partial=partial)
        flushed, synced = attempt(root, files, mode, durability)
        where = f"{operation} {nth} of {count}, {errno.errorcode[error]}"
        before = lines(root)
        assert len(before) >= flushed >= synced, where
        run, weights = opened(root, REAL, mode, durability)
        train(run, weights)
        run.close()
        after = lines(root)
        assert before.items() <= after.items(), where
        assert digest(root) == healthy, where


@pytest.mark.parametrize(("mode", "durability"), BY_MODE)
@pytest.mark.parametrize("operation", ["write", "sync", "rename"])
def test_a_failure_that_stays_is_ours_and_leaves_what_was_synced(
    tmp_path: Path, healthy: str, operation: str, mode: str, durability: str
) -> None:
    count = calls_of(tmp_path, mode, durability)[operation]
    for nth in range(1, count + 1, 2):
        root = tmp_path / str(nth)
        files = FailingFiles(REAL, operation=operation, nth=nth, error=errno.EIO, repeat=True)
        flushed, _ = attempt(root, files, mode, durability)
        before = lines(root)
        assert len(before) >= flushed
        run, weights = opened(root, REAL, mode, durability)
        train(run, weights)
        run.close()
        assert before.items() <= lines(root).items()
        assert digest(root) == healthy, f"{operation} {nth}"


# A full disk --------------------------------------------------------------------------------------------------------


def calls(run: Run) -> list[Callable[[], object]]:
    """The program as calls that can be made again one by one."""
    large = "x" * 30_000
    return [
        lambda: run.note("begin"),
        *[lambda i=i: run.token(f"t{i}", phase=f"phase {i // 40}") for i in range(120)],
        lambda: run.event("large", data=large),
        lambda: run.flush(),
        lambda: run.checkpoint("one"),
        *[lambda i=i: run.emission(f"{i}{large}") for i in range(6)],
        lambda: run.tokens(["a", "b"], z=[0.1, 0.2]),
        lambda: run.once("key", lambda: 7),
        lambda: run.checkpoint("two"),
        lambda: run.flush("synced"),
        lambda: run.note("end"),
        lambda: run.flush(),
    ]


@pytest.fixture(scope="module")
def healthy_calls(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("calls")
    run, _ = opened(root, REAL, "continuous", "process")
    for call in calls(run):
        call()
    run.close()
    return digest(root)


def count_writes(tmp_path: Path, mode: str, durability: str) -> int:
    files = FullDisk(0)
    run, _ = opened(tmp_path / "counted", files, mode, durability)
    begun = files.calls["write"]
    for call in calls(run):
        call()
    count = files.calls["write"] - begun
    run.close()
    return count


@pytest.mark.parametrize(("mode", "durability"), BY_MODE)
def test_after_a_full_disk_the_same_call_works_and_nothing_is_lost_or_doubled(
    tmp_path: Path, healthy_calls: str, mode: str, durability: str
) -> None:
    count = count_writes(tmp_path, mode, durability)
    for nth in range(1, count + 1, max(1, count // 24)):
        root = tmp_path / str(nth)
        files = FullDisk(0, partial=9 if nth % 2 else 0)
        run, _ = opened(root, files, mode, durability)
        files._nth = files.calls["write"] + nth
        for call in calls(run):
            accepted = run.watermarks().accepted
            try:
                call()
            except DiskFull:
                files._partial = 0
                before = lines(root)
                with pytest.raises(DiskFull):
                    call()
                assert before.items() <= lines(root).items()
                assert run.watermarks().accepted >= accepted
                files.free()
                call()
        assert files.was_met
        run.close()
        assert digest(root) == healthy_calls, f"write {nth} of {count}"


@pytest.mark.parametrize(("mode", "durability"), BY_MODE)
def test_on_full_wait_waits_and_goes_on(tmp_path: Path, healthy_calls: str, mode: str, durability: str) -> None:
    count = count_writes(tmp_path, mode, durability)
    for nth in range(1, count + 1, max(1, count // 10)):
        root = tmp_path / str(nth)
        files = FullDisk(0)
        run, _ = opened(root, files, mode, durability, on_full="wait")
        files._nth = files.calls["write"] + nth
        waits: list[float] = []

        def wait(seconds: float, files: FullDisk = files, waits: list[float] = waits) -> None:
            waits.append(seconds)
            if len(waits) == 3:
                files.free()

        run._recorder._wait = wait
        for call in calls(run):
            try:
                call()
            except DiskFull as error:  # a checkpoint's or a manifest's own files are not waited for
                assert "checkpoints" in str(error.path)
                files.free()
                call()
        run.close()
        assert len(waits) in (0, 3)
        assert not waits or (run.health().stalls == 1 and any("waiting for space" in notice for notice in run.notices))
        assert digest(root) == healthy_calls, f"write {nth} of {count}"


@pytest.mark.parametrize(("mode", "durability"), BY_MODE)
def test_a_disk_that_is_full_at_close_leaves_the_session_open(tmp_path: Path, mode: str, durability: str) -> None:
    files = FullDisk(0)
    run, _ = opened(tmp_path, files, mode, durability)
    for number in range(50):
        run.token(f"t{number}")
    files._nth = files.calls["write"] + 1
    if mode != "continuous":
        for _ in range(2):
            with pytest.raises(DiskFull):
                run.close()
            assert not run.is_closed
    files.free()
    run.token("t50")
    run.close()
    assert run.is_closed
    found = [msgspec.json.decode(line).get("token") for _, line in LogReader(REAL, tmp_path / LOG, boot_id()).read()]
    assert [token for token in found if token] == [f"t{number}" for number in range(51)]


@pytest.mark.parametrize(("mode", "durability"), BY_MODE)
def test_a_disk_that_is_full_at_the_end_of_the_block_closes_the_session(tmp_path: Path, mode: str, durability: str) -> None:
    """Through the map, the last lines need no space but what was taken ahead; a write may be refused."""
    files = FullDisk(0)
    run, _ = opened(tmp_path, files, mode, durability)
    is_refused = (mode, durability) != ("continuous", "process")
    with pytest.raises(HoldfastError, match="No space left") if is_refused else nullcontext(), run:
        run.note("a")
        run.flush()
        run.note("b")
        files._nth = files.calls["write"] + 1
    assert run.is_closed
    _, last = next(LogReader(REAL, tmp_path / LOG, boot_id()).read_backwards())
    assert (msgspec.json.decode(last)["kind"] == "closed") != is_refused
    run, _ = opened(tmp_path, REAL, mode, durability)
    for text in "abc":
        run.note(text)
    run.close()
    found = [msgspec.json.decode(line).get("text") for _, line in LogReader(REAL, tmp_path / LOG, boot_id()).read()]
    assert [text for text in found if text] == ["a", "b", "c"]


LIMITED = """
import resource, sys
from pathlib import Path
import holdfast

mode, durability, root = sys.argv[1:]
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
run = holdfast.start("s", root=root, save_mode=mode, durability=durability)
number = refused = 0
while number < 10_000:
    try:
        if number % 1000:
            run.token(f"token {number}", source="x" * 50)
        else:
            run.flush()
            run.token(f"token {number}", source="x" * 50)
    except holdfast.DiskFull as error:
        refused += 1
        assert "free some space" in str(error), error
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        continue
    number += 1
run.close()
print(refused)
"""


@pytest.mark.parametrize(("mode", "durability"), [("continuous", "process"), ("batch", "power"), ("checkpoint", "process")])
def test_a_limit_on_the_size_of_files_is_a_full_disk(tmp_path: Path, mode: str, durability: str) -> None:
    source = Path(__file__).parents[2] / "src"
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, mode, durability, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr
    found = [msgspec.json.decode(line) for _, line in LogReader(REAL, tmp_path / LOG, boot_id()).read()]
    tokens = [fields["token"] for fields in found if fields["kind"] == "token"]
    assert tokens == [f"token {number}" for number in range(10_000)]
    assert not verify_log(REAL, tmp_path / LOG, boot_id()).problems


# A sync that fails --------------------------------------------------------------------------------------------------


def test_after_a_failed_sync_everything_since_the_last_one_is_repeated_in_the_next_segment(tmp_path: Path) -> None:
    files = FailingFiles(REAL, operation="sync", nth=0, error=errno.EIO, role=".jsonl")
    run, _ = opened(tmp_path, files, "batch", "power")
    run.token("a")
    run.flush()
    assert run.watermarks().synced == run.watermarks().accepted
    run.token("b")
    run.token("c")
    files._nth = files.calls["sync"] + 1
    run.flush()
    assert run.watermarks().synced == run.watermarks().accepted
    assert [path.name for path in sorted((tmp_path / LOG).iterdir())] == ["000001.jsonl", "000002.jsonl"]
    assert b'"b"' in (tmp_path / LOG / "000002.jsonl").read_bytes()
    assert run.health().stalls == 1
    assert any("repeated" in notice for notice in run.notices)
    run.token("d")
    run.close()
    tokens = [msgspec.json.decode(line).get("token") for _, line in LogReader(REAL, tmp_path / LOG, boot_id()).read()]
    assert tokens == [None, "a", "b", "c", "d", None]
    digest(tmp_path)


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("mode", MODES)
def test_a_sync_that_fails_twice_raises_for_good(tmp_path: Path, mode: str, error: int) -> None:
    files = FailingFiles(REAL, operation="sync", nth=0, error=error, repeat=True, role=".jsonl")
    run, _ = opened(tmp_path, files, mode, "power", on_full="wait")
    run._recorder._wait = lambda seconds: pytest.fail("it waits for space, and there is a failed sync")
    run.note("a")
    run.flush()
    synced = run.watermarks().synced
    files._nth = files.calls["sync"] + 1
    with pytest.raises(WriteFailed) as first:
        run.note("b")
        run.flush()
    assert not isinstance(first.value, DiskFull), "a full disk can be waited for, and this cannot"
    files._nth = 0
    later_calls: list[Callable[[], object]] = [lambda: run.note("c"), run.flush, lambda: run.token("d"), run.checkpoint]
    for call in later_calls:
        with pytest.raises(WriteFailed) as later:
            call()
        assert str(later.value) == str(first.value)
    run.__exit__(WriteFailed, first.value, None)
    assert len(lines(tmp_path)) >= synced
    run, _ = opened(tmp_path, REAL, mode, "power")
    for text in "abc":
        run.note(text)
    run.close()
    found = [msgspec.json.decode(line) for _, line in LogReader(REAL, tmp_path / LOG, boot_id()).read()]
    assert [fields["text"] for fields in found if fields["kind"] == "note"] == ["a", "b", "c"]


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_a_failed_sync_of_space_taken_ahead_repeats_what_may_have_been_dropped(tmp_path: Path, error: int) -> None:
    """It is the same file: the kernel may have dropped records with it."""
    files = FailingFiles(REAL, operation="sync", nth=0, error=error, role=".jsonl")
    run, _ = opened(tmp_path, files, "continuous", "power")
    run.note("a")
    files._nth = files.calls["sync"] + 1
    run.note("x" * 100_000)  # more than there is room for
    run.note("b")
    assert run.watermarks().synced == run.watermarks().accepted
    run.close()
    assert (tmp_path / LOG / "000002.jsonl").exists()
    found = [msgspec.json.decode(line) for _, line in LogReader(REAL, tmp_path / LOG, boot_id()).read()]
    assert [fields["text"][:1] for fields in found if fields["kind"] == "note"] == ["a", "x", "b"]
    digest(tmp_path)


# Failed starts ------------------------------------------------------------------------------------------------------


def tree(root: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in sorted(root.rglob("*"))
        if path.name != "lock"  # written at each opening, for messages
    }


def names(root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in sorted(root.rglob("*"))]


class Unstorable:
    def state_dict(self) -> dict[str, Any]:
        return {"open file": sys.stdout}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def test_a_hundred_failed_starts_leave_the_workspace_as_it_was(tmp_path: Path) -> None:
    for name in ("busy", "other", "newer", "broken"):
        with start(name, root=tmp_path, config={"rate": 1}) as run:
            run.note("x")
    first = tmp_path / "sessions" / "newer" / "log" / "main" / "000001.jsonl"
    head, _, rest = first.read_bytes().partition(b"\n")
    from zlib import crc32

    body = head.replace(b'"format":1', b'"format":99').rpartition(b',"crc"')[0]
    first.write_bytes(b'%b,"crc":"%08x"}\n' % (body, crc32(body)) + rest)
    broken = tmp_path / "sessions" / "broken" / "log" / "main" / "000001.jsonl"
    broken.write_bytes(broken.read_bytes().replace(b'"text":"x"', b'"text":"y"'))
    busy = start("busy", root=tmp_path, config={"rate": 1})
    before, listed = tree(tmp_path), names(tmp_path)
    failures: list[tuple[type[Exception], dict[str, Any]]] = [
        (InvalidValue, {"name": "fresh", "track": {"x": Unstorable()}}),
        (SettingsDiffer, {"name": "other", "config": {"rate": 2}}),
        (SessionBusy, {"name": "busy", "config": {"rate": 1}}),
        (NewerFormat, {"name": "newer"}),
        (Corrupted, {"name": "broken"}),
    ]
    for _ in range(20):
        for kind, options in failures:
            with pytest.raises(kind):
                start(root=tmp_path, **options)
    assert tree(tmp_path) == before
    assert names(tmp_path) == listed
    busy.close()


@pytest.mark.parametrize("name", ["old", "fresh"])
@pytest.mark.parametrize("error", ERRORS)
def test_a_start_that_any_operation_fails_leaves_the_workspace_as_it_was(tmp_path: Path, name: str, error: int) -> None:
    with start("old", root=tmp_path) as run:
        run.note("x")
    before, listed = tree(tmp_path), names(tmp_path)
    counting = FailingFiles(REAL, operation="open", nth=0, error=error)
    kill_or_close(start(name, root=tmp_path, files=counting))
    assert tree(tmp_path) == before
    for operation, count in sorted(counting.calls.items()):
        for nth in range(1, count + 1):
            files = FailingFiles(REAL, operation=operation, nth=nth, error=error)
            try:
                kill_or_close(start(name, root=tmp_path, files=files))
            except HoldfastError:
                pass
            # What cannot be removed, or not without the lock, is left: the next start with healthy files removes it.
            if operation in ("unlink", "rmdir", "names", "lock", "same_as"):
                kill_or_close(start(name, root=tmp_path))
            assert tree(tmp_path) == before, f"{operation} {nth}"
            assert names(tmp_path) == listed, f"{operation} {nth}"


def kill_or_close(run: Run) -> None:
    """Leave a session in which nothing was recorded; one that has a past would miss its records at close."""
    if run.replay_left:
        kill(run)
    else:
        run.close()


def test_a_start_that_fails_gives_its_lock_and_files_back(tmp_path: Path) -> None:
    with start("s", root=tmp_path) as run:
        run.note("x")
    open_before = len(os.listdir("/proc/self/fd"))
    counting = FailingFiles(REAL, operation="open", nth=0, error=errno.EIO)
    kill(start("s", root=tmp_path, files=counting))
    for operation, count in sorted(counting.calls.items()):
        for nth in range(1, count + 1):
            try:
                kill(start("s", root=tmp_path, files=FailingFiles(REAL, operation=operation, nth=nth, error=errno.EIO)))
            except HoldfastError:
                pass
            assert len(os.listdir("/proc/self/fd")) == open_before, f"{operation} {nth}"


# Checkpoints on a full disk ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "durability"), BY_MODE)
def test_the_state_of_a_loop_that_was_left_outlives_a_full_disk(tmp_path: Path, mode: str, durability: str) -> None:
    def program(files: Any, full: FullDisk | None) -> tuple[int, list[str], float]:
        run, weights = opened(tmp_path, files, mode, durability)
        for step in run.loop(10, checkpoint_every=2):
            weights.step()
            if step == 4:
                break
        behind, fulls = float(weights.array.sum()), 0
        if full is not None:
            full._nth = full.calls["write"] + 1
        for _ in range(2):
            try:
                run.note(f"behind the loop with {behind}")
                break
            except DiskFull:
                assert full is not None
                fulls += 1
                full.free()
        if full is not None:
            full.free()
        weights.array = np.zeros(3)
        run.step("step", lambda: behind)
        if full is not None:
            kill(run)
        run.end("interrupted", "the end of the test")
        return fulls, run.notices, behind

    full = FullDisk(0)
    fulls, _, behind = program(full, full)
    assert fulls == (0 if (mode, durability) == ("continuous", "process") else 1)  # a line in the map needs no space
    assert program(REAL, None) == (0, [], behind)
    [left] = [
        info for info in Workspace(tmp_path).checkpoints("s") if info.at == "loop:0" and info.step == 4 and info.number > 2
    ]
    assert not left.dead


@pytest.mark.parametrize("call", ["step", "checkpoint"])
def test_a_checkpoint_that_cannot_be_recorded_takes_no_space(tmp_path: Path, call: str) -> None:
    files = FailingFiles(REAL, operation="write", nth=0, error=errno.ENOSPC, repeat=True, role=".jsonl")
    run, weights = opened(tmp_path, files, "batch", "process")
    run.step("first", weights.step)
    folder = run.path / "checkpoints"
    before, taken = names(folder), run.health().file_bytes
    files._nth = files.calls["write"] + 1

    def act() -> None:
        weights.array = weights.array + 1
        if call == "step":
            run.step("second", lambda: 2)
        else:
            run.checkpoint()

    for _ in range(3):
        with pytest.raises(DiskFull):
            act()
        assert names(folder) == before
    assert run.health().file_bytes == taken
    files._nth = 0
    act()
    run.close()
    assert len(names(folder)) > len(before)
    assert Workspace(tmp_path).verify("s").problems == ()


def test_a_checkpoint_that_is_recorded_stays_where_what_follows_meets_a_full_disk(tmp_path: Path) -> None:
    """A signal handler's record comes behind it, in the same call."""
    run, _ = opened(tmp_path, REAL, "continuous", "process")
    run.note("first")
    log = run._recorder.log
    append_group = log.append_group

    def with_signal(records: Any) -> Any:
        lines = append_group(records)
        run.note("from the handler")
        log.append = _refuse  # type: ignore[method-assign]
        return lines

    def _refuse(record: Any) -> int:
        raise DiskFull(run.path, "no space")

    log.append_group = with_signal  # type: ignore[method-assign]
    with pytest.raises(DiskFull):
        run.checkpoint()
    del log.append, log.append_group
    run.close()
    assert [info.problem for info in Workspace(tmp_path).checkpoints("s")] == [None]
    assert [record["text"] for record in Workspace(tmp_path).records("s")] == ["first", "from the handler"]


# A fork ---------------------------------------------------------------------------------------------------------------


def forking(run: Run, weights: Weights, twist: int) -> None:
    """Six steps. The metric of step 4 differs by the twist."""
    for step in run.loop(6, checkpoint_every=2):
        weights.step()
        run.metric(value=step + (twist if step == 4 else 0))
        if step == 4 and not twist:
            raise _Killed


def fork_with(root: Path, files: Any) -> Run:
    """Go on with a session that was killed, and record something else."""
    weights = Weights()
    run = start("s", root=root, files=files, track={"w": weights}, on_divergence="fork")
    try:
        with run:
            forking(run, weights, 100)
    finally:
        assert run.is_closed
    return run


def killed_session(root: Path) -> None:
    run, weights = opened(root, REAL, "continuous", "process")
    with pytest.raises(_Killed):
        forking(run, weights, 0)
    kill(run)


def metrics(root: Path, name: str) -> list[int]:
    return [fields["values"]["value"] for fields in Workspace(root).records(name) if fields["kind"] == "metric"]


def test_a_fork_in_which_any_operation_fails_is_there_in_full_or_not_at_all(tmp_path: Path) -> None:
    killed_session(tmp_path / "killed")
    counting = FailingFiles(REAL, operation="open", nth=0, error=errno.EIO)
    shutil.copytree(tmp_path / "killed", tmp_path / "counted")
    fork_with(tmp_path / "counted", counting)
    open_before = len(os.listdir("/proc/self/fd"))
    for operation, count in sorted(counting.calls.items()):
        for nth in range(1, count + 1):
            root, where = tmp_path / f"{operation} {nth}", f"{operation} {nth} of {count}"
            shutil.copytree(tmp_path / "killed", root)
            try:
                fork_with(root, FailingFiles(REAL, operation=operation, nth=nth, error=ERRORS[nth % len(ERRORS)]))
            except HoldfastError as raised:
                assert str(raised)
            assert len(os.listdir("/proc/self/fd")) == open_before, where  # those of the locks too
            workspace = Workspace(root)
            run = fork_with(root, REAL)
            assert run.name == "s~2", where
            assert metrics(root, "s~2") == [0, 1, 2, 3, 104, 5], where
            assert metrics(root, "s") == [0, 1, 2, 3, 4], where
            assert (workspace.session("s").status, workspace.session("s").to) == ("forked", "s~2"), where
            for name in ("s", "s~2"):
                assert workspace.verify(name).problems == (), where
            assert [path.name for path in sorted((root / "sessions").iterdir())] == ["s", "s~2"], where
            shutil.rmtree(root)


def test_a_fork_that_the_disk_is_too_full_for_is_made_once_there_is_space(tmp_path: Path) -> None:
    """The same call works then, and it is the fork that goes on."""
    for nth in range(1, 30):
        root = tmp_path / str(nth)
        killed_session(root)
        files = FullDisk(0)
        weights = Weights()
        run = start("s", root=root, files=files, track={"w": weights}, on_divergence="fork")
        files._nth = files.calls["write"] + nth
        fulls = 0
        try:
            for step in run.loop(6, checkpoint_every=2):
                weights.step()
                while True:
                    try:
                        run.metric(value=step + (100 if step == 4 else 0))
                        break
                    except DiskFull:
                        assert (fulls := fulls + 1) == 1
                        files.free()
        except (DiskFull, WriteFailed):  # not a record's: a checkpoint's, or there is no way back from where it came
            files.free()
        if not files.was_met:
            break
        run.end("interrupted", "end of the test")
        assert fork_with(root, REAL).name == "s~2"
        assert metrics(root, "s~2") == [0, 1, 2, 3, 104, 5]
        assert metrics(root, "s") == [0, 1, 2, 3, 4]
    assert nth > 4


def test_an_interrupted_fork_leads_to_the_new_session_or_leaves_the_old_one(tmp_path: Path) -> None:
    from holdfast.sessions.attempt import Attempt

    for name in ("_put_fork_together", "_tell_of_fork", "_move_to"):
        root = tmp_path / name
        killed_session(root)

        def interrupted(*arguments: object) -> None:
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Attempt, name, interrupted)
            with pytest.raises(KeyboardInterrupt):
                fork_with(root, REAL)
        assert Workspace(root).session("s").status == ("killed" if name == "_put_fork_together" else "forked")
        assert fork_with(root, REAL).name == "s~2"
        assert metrics(root, "s~2") == [0, 1, 2, 3, 104, 5]
        assert metrics(root, "s") == [0, 1, 2, 3, 4]


def test_a_fork_that_is_busy_is_left_alone(tmp_path: Path) -> None:
    killed_session(tmp_path)
    fork_with(tmp_path, REAL)
    busy = Lock(REAL, tmp_path / "sessions" / "s~2" / "lock", "s~2")
    removed: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SessionFolder, "remove_if_empty", lambda folder: removed.append(folder.name))
        with pytest.raises(SessionBusy):
            start("s", root=tmp_path)
    assert removed == ["s"]  # whose lock it holds
    busy.release()
    start("s", root=tmp_path, track={"w": Weights()}).close()
