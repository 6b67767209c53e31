"""One process at a time: flock decides; what is written in the file is for the message."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from holdfast.errors import SessionBusy, WriteFailed
from holdfast.storage.files import File, Files, make_folders, read_whole, write_errors
from holdfast.storage.host import boot_id, host_name

_LOOKS, _LOOK_SECONDS = 50, 0.02


class Holder(msgspec.Struct, frozen=True):
    """Who holds a lock."""

    pid: int
    host: str
    boot: str


class Lock:
    """The lock of one session, held from here to `release`. Raises SessionBusy with the holder's pid and host.

    Where the holder is gone, its last children may not have let go yet (a process that is being started holds all of its
    parent's files for a moment): they are waited for, a second at most.
    """

    def __init__(self, files: Files, path: Path, session: str, *, wait: Callable[[float], object] = time.sleep) -> None:
        self._wait, self._looks_left = wait, _LOOKS
        self._file: File | None = self._take(files, path, session)

    def _take(self, files: Files, path: Path, session: str) -> File:
        while True:
            with write_errors(path):
                is_new = not files.exists(path)
                try:
                    file = files.open(path, write=True, create=True)
                except FileNotFoundError:
                    make_folders(files, path.parent)  # who had it found nothing recorded, and has just removed the folder
                    continue
            try:
                with write_errors(path):
                    is_mine = file.lock()
                    if not is_mine and (not self._looks_left or living_holder(files, path) is not None):
                        raise SessionBusy(session, describe_holder(file.read(4096, 0)))
                    if is_mine and file.same_as(path):
                        _sign(file)
                        return file
            except BaseException as error:
                file.close()
                if is_new and isinstance(error, WriteFailed):
                    files.unlink(path)  # who has it open meanwhile sees that, and makes it again
                raise
            file.close()
            if not is_mine:
                self._looks_left -= 1
                self._wait(_LOOK_SECONDS)
            # Else the session was renamed or deleted between the two calls: try what stands there now.

    def release(self) -> None:
        """Let go, and say so in the file. A second call does nothing."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.truncate(0)
            except OSError:
                pass  # what is written there is for messages only
            file.close()

    def abandon(self) -> None:
        """Close this process's copy only: in a forked child, so that the lock ends with the parent."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


def _sign(file: File) -> None:
    me = msgspec.json.encode(Holder(os.getpid(), host_name(), boot_id()))
    try:
        file.truncate(0)
        file.write(me + b"\n", 0)
    except OSError:
        pass  # what is written there is for messages only: on a full disk sessions can still be deleted


def living_holder(files: Files, path: Path) -> Holder | None:
    """Who holds the lock, as far as reading tells: the process written in it, if it runs on this boot of this machine."""
    try:
        holder = msgspec.json.decode(read_whole(files, path), type=Holder)
    except (OSError, ValueError, msgspec.DecodeError):
        return None
    if holder.host != host_name():
        return holder  # another machine's: it cannot be seen from here
    return holder if holder.boot == boot_id() and files.exists(Path("/proc") / str(holder.pid)) else None


def describe_holder(written: bytes) -> str:
    """The holder in words, from what stands in a lock file."""
    try:
        holder = msgspec.json.decode(written, type=Holder)
    except (ValueError, msgspec.DecodeError):
        return "another process"
    if (holder.pid, holder.host, holder.boot) == (os.getpid(), host_name(), boot_id()):
        return f"this process ({holder.pid}) already; run.close() ends it there"
    return f"process {holder.pid} on {holder.host}"
