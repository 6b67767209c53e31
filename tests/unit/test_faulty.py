"""Files that fail or kill at a chosen operation."""

import errno
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.errors import DiskFull, InvalidSetting
from holdfast.storage import faulty
from holdfast.storage.faulty import OPERATIONS, FailingFiles
from holdfast.storage.files import Files, RealFiles, replace_file, write_errors

SOURCE = Path(faulty.__file__).parents[2]


def one_of_each(files: Files, root: Path) -> None:
    """Carry out every operation once."""
    files.mkdir(root / "log")
    file = files.open(root / "log" / "a", write=True, create=True)
    try:
        assert file.lock()
        file.truncate(4096)
        window = file.map(0, 4096)
        window[0:4] = b"abcd"
        window.close()
        file.write(b"efgh", 4)
        file.sync()
        assert file.read(8, 0) == b"abcdefgh"
        assert file.size() == 4096
        assert file.same_as(root / "log" / "a")
    finally:
        file.close()
    files.sync_folder(root / "log")
    files.link(root / "log" / "a", root / "b")
    files.rename(root / "b", root / "c")
    assert files.names(root) == ["c", "log"]
    assert files.exists(root / "c")
    assert files.free_bytes(root) > 0
    files.unlink(root / "log" / "a")
    files.rmdir(root / "log")


def never_failing() -> FailingFiles:
    return FailingFiles(RealFiles(), operation="open", nth=0, error=errno.EIO)


def failing_writes(nth: int, *, repeat: bool = False, partial: int = 0) -> FailingFiles:
    return FailingFiles(RealFiles(), operation="write", nth=nth, error=errno.ENOSPC, repeat=repeat, partial=partial)


def test_a_healthy_run_counts_every_operation(tmp_path: Path) -> None:
    files = never_failing()
    one_of_each(files, tmp_path)
    assert files.calls == Counter(dict.fromkeys(OPERATIONS, 1))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_operation_can_fail_with_the_error_asked_for(tmp_path: Path, operation: str) -> None:
    files = FailingFiles(RealFiles(), operation=operation, nth=1, error=errno.EACCES)
    with pytest.raises(PermissionError, match=os.strerror(errno.EACCES)) as caught:
        one_of_each(files, tmp_path)
    assert caught.value.errno == errno.EACCES
    assert str(caught.value.filename).startswith(str(tmp_path))
    assert files.calls[operation] == 1


@pytest.mark.parametrize(("repeat", "fails"), [(False, [False, True, False, False]), (True, [False, True, True, True])])
def test_the_nth_call_fails_or_all_from_there(tmp_path: Path, repeat: bool, fails: list[bool]) -> None:
    file = failing_writes(2, repeat=repeat).open(tmp_path / "a", write=True, create=True)

    def write_fails() -> bool:
        try:
            file.write(b"x", 0)
        except OSError:
            return True
        return False

    assert [write_fails() for _ in fails] == fails
    file.close()


def test_a_failing_write_leaves_its_part_once(tmp_path: Path) -> None:
    file = failing_writes(2, repeat=True, partial=3).open(tmp_path / "a", write=True, create=True)
    file.write(b"abcd", 0)
    for _ in range(2):
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            file.write(b"ABCDEFGH", file.size())
    file.close()
    assert (tmp_path / "a").read_bytes() == b"abcdABC"


def test_a_failed_operation_did_not_happen(tmp_path: Path) -> None:
    files = FailingFiles(RealFiles(), operation="rename", nth=1, error=errno.EIO)
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        replace_file(files, tmp_path / "a", [b"new"])
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_role_leaves_other_paths_alone(tmp_path: Path) -> None:
    files = FailingFiles(RealFiles(), operation="write", nth=1, error=errno.ENOSPC, role="session.json")
    replace_file(files, tmp_path / "other", [b"1"])
    with pytest.raises(DiskFull), write_errors(tmp_path / "session.json"):
        replace_file(files, tmp_path / "session.json", [b"1"])
    assert files.calls["write"] == 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: FailingFiles(RealFiles(), operation="store", nth=1, error=errno.EIO),
        lambda: FailingFiles(RealFiles(), operation="open", nth=-1, error=errno.EIO),
        lambda: FailingFiles(RealFiles(), operation="open", nth=1, error=errno.EIO, partial=1),
        lambda: faulty.KillingFiles(RealFiles(), operation="sync", nth=1, when="half"),
        lambda: faulty.KillingFiles(RealFiles(), operation="write", nth=1, when="holed"),
    ],
)
def test_what_cannot_go_wrong_that_way_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(InvalidSetting):
        wrong()


VICTIM = """
import sys
from pathlib import Path
from holdfast.storage.faulty import KillingFiles
from holdfast.storage.files import RealFiles

root, operation, nth, when, role = sys.argv[1:]
files = KillingFiles(RealFiles(), operation=operation, nth=int(nth), when=when, role=role or None)
for name in ("a", "b"):
    file = files.open(Path(root, name), write=True, create=True)
    file.write(b"--------", 0)
    file.sync()
    window = file.map(0, 8)
    window[0:4] = b"1234"
    window[4:8] = b"5678"
    window.close()
    file.write(b"ABCDEFGH", 8)
    file.close()
    files.rename(Path(root, name), Path(root, name + name))
print(files.seen)
"""


def run_victim(root: Path, operation: str, nth: int, when: str = "before", role: str = "") -> tuple[int, str]:
    """Run the program above; its exit status and what it printed, the operations seen."""
    arguments = [str(root), operation, str(nth), when, role]
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, "-c", VICTIM, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.strip()


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir()}


@pytest.mark.parametrize(
    ("operation", "nth", "when", "left"),
    [
        ("open", 2, "before", {"aa": b"12345678ABCDEFGH"}),
        ("open", 2, "after", {"aa": b"12345678ABCDEFGH", "b": b""}),
        ("write", 2, "before", {"a": b"12345678"}),
        ("write", 2, "half", {"a": b"12345678ABCD"}),
        ("write", 2, "after", {"a": b"12345678ABCDEFGH"}),
        ("store", 2, "before", {"a": b"1234----"}),
        ("store", 2, "half", {"a": b"123456--"}),
        ("store", 2, "holed", {"a": b"12345\n\n8"}),
        ("store", 2, "after", {"a": b"12345678"}),
        ("rename", 1, "before", {"a": b"12345678ABCDEFGH"}),
        ("rename", 1, "after", {"aa": b"12345678ABCDEFGH"}),
    ],
)
def test_the_process_dies_at_exactly_that_operation(
    tmp_path: Path, operation: str, nth: int, when: str, left: dict[str, bytes]
) -> None:
    assert run_victim(tmp_path, operation, nth, when) == (-signal.SIGKILL, "")
    assert contents(tmp_path) == left


def test_a_role_counts_only_its_paths(tmp_path: Path) -> None:
    assert run_victim(tmp_path, "store", 1, "after", "/b") == (-signal.SIGKILL, "")
    assert contents(tmp_path) == {"aa": b"12345678ABCDEFGH", "b": b"1234----"}


@pytest.mark.parametrize(("operation", "role", "seen"), [("store", "", 4), ("write", "", 4), ("write", "/b", 2)])
def test_a_run_that_is_never_killed_counts_what_could_be_hit(tmp_path: Path, operation: str, role: str, seen: int) -> None:
    assert run_victim(tmp_path, operation, 0, role=role) == (0, str(seen))
