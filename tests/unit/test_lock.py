"""The lock: one holder, named to others, gone with its process."""

import errno
import json
import os
import signal
import socket
from pathlib import Path

import pytest

from holdfast.errors import SessionBusy, WriteFailed
from holdfast.storage import lock as locking
from holdfast.storage.faulty import FailingFiles
from holdfast.storage.files import RealFiles
from holdfast.storage.host import boot_id, host_name
from holdfast.storage.lock import Lock, describe_holder, living_holder
from tests.helpers.programs import Ended, in_child, kill

FILES = RealFiles()


def test_a_second_holder_is_told_who_the_first_one_is(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = Lock(FILES, path, "run")
    with pytest.raises(SessionBusy) as busy:
        Lock(FILES, path, "run")
    assert busy.value.holder == f"this process ({os.getpid()}) already; run.close() ends it there"
    first.release()
    Lock(FILES, path, "run").release()


def test_a_child_that_still_has_the_files_of_a_killed_holder_is_waited_for(tmp_path: Path) -> None:
    """A process that is being started holds its parent's files until it runs its own program."""
    path, waits = tmp_path / "lock", list[float]()
    held = Lock(FILES, path, "run")
    path.write_text(json.dumps({"pid": 2**22 + 1, "host": host_name(), "boot": boot_id()}))  # larger than any process's

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            held.abandon()

    Lock(FILES, path, "run", wait=wait).release()
    assert len(waits) == 3


def test_what_a_killed_holder_left_is_not_waited_for_without_end(tmp_path: Path) -> None:
    path, waits = tmp_path / "lock", list[float]()
    held = Lock(FILES, path, "run")
    path.write_text("")
    with pytest.raises(SessionBusy, match="another process"):
        Lock(FILES, path, "run", wait=waits.append)
    assert sum(waits) == pytest.approx(1.0)
    held.release()


def test_a_child_is_kept_out_and_comes_in_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    def try_it() -> str:
        try:
            Lock(FILES, path, "run").release()
        except SessionBusy as busy:
            return busy.holder
        return "free"

    held = Lock(FILES, path, "run")
    assert in_child(try_it) == Ended(0, f"process {os.getpid()} on {host_name()}")
    held.release()
    assert in_child(try_it) == Ended(0, "free")


def test_a_killed_holder_holds_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    def hold() -> None:
        held = Lock(FILES, path, "run")
        os.kill(os.getpid(), signal.SIGKILL)
        held.release()

    kill(hold)
    assert json.loads(path.read_text())["pid"] > 0  # it never said that it let go
    assert living_holder(FILES, path) is None
    Lock(FILES, path, "run").release()


def test_the_holder_is_seen_while_it_lives_and_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert living_holder(FILES, path) is None
    held = Lock(FILES, path, "run")
    holder = living_holder(FILES, path)
    assert holder is not None
    assert (holder.pid, holder.host) == (os.getpid(), host_name())
    held.release()
    held.release()
    assert living_holder(FILES, path) is None


def test_a_holder_of_another_boot_is_gone_and_one_of_another_host_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    held = Lock(FILES, path, "run")
    with monkeypatch.context() as later:
        later.setattr(locking, "boot_id", lambda: "another boot")
        assert living_holder(FILES, path) is None
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(locking, "host_name", lambda: "another host")
        assert living_holder(FILES, path) is not None
    held.release()


@pytest.mark.parametrize("written", [b"", b"{", b"null", b'{"pid": "x"}', b"\xff\xfe"])
def test_a_lock_file_that_says_nothing_is_held_by_another_process(written: bytes) -> None:
    assert describe_holder(written) == "another process"


def test_a_lock_whose_session_was_deleted_meanwhile_is_taken_anew(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    class Deleting(RealFiles):
        deleted = False

        def open(self, path: Path, *, write: bool = False, create: bool = False, exclusive: bool = False):  # type: ignore[no-untyped-def]
            file = super().open(path, write=write, create=create, exclusive=exclusive)
            if not self.deleted:
                self.deleted = True
                path.unlink()
            return file

    files = Deleting()
    held = Lock(files, path, "run")
    assert path.exists()
    with pytest.raises(SessionBusy):
        Lock(FILES, path, "run")
    held.release()


@pytest.mark.parametrize("operation", ["open", "lock"])
def test_a_lock_that_cannot_be_taken_is_our_error(tmp_path: Path, operation: str) -> None:
    files = FailingFiles(FILES, operation=operation, nth=1, error=errno.EIO)
    with pytest.raises(WriteFailed, match="Input/output error"):
        Lock(files, tmp_path / "lock", "run")
    Lock(FILES, tmp_path / "lock", "run").release()


def test_a_forked_childs_copy_does_not_hold_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = Lock(FILES, path, "run")
    ours, childs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        held.abandon()
        childs.send(b"abandoned")
        childs.recv(1)  # until the parent is through
        os._exit(0)
    childs.close()
    with ours:
        assert ours.recv(20) == b"abandoned"
        held.release()
        Lock(FILES, path, "run").release()  # though the child is still there
    assert os.waitpid(pid, 0)[1] == 0
