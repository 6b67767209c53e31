"""One process at a time: flock decides; what is written in the file is for the message."""

import os
from pathlib import Path

import msgspec

from holdfast.errors import SessionBusy
from holdfast.storage.files import File, Files, write_errors
from holdfast.storage.host import boot_id, host_name


class Holder(msgspec.Struct, frozen=True):
    """Who holds a lock."""

    pid: int
    host: str
    boot: str


class Lock:
    """The lock of one session, held from here to `release`. Raises SessionBusy with the holder's pid and host."""

    def __init__(self, files: Files, path: Path, session: str) -> None:
        self._file = self._take(files, path, session)

    def _take(self, files: Files, path: Path, session: str) -> File:
        while True:
            with write_errors(path):
                file = files.open(path, write=True, create=True)
            try:
                with write_errors(path):
                    if not file.lock():
                        raise SessionBusy(session, describe_holder(file.read(4096, 0)))
                    if file.same_as(path):
                        me = msgspec.json.encode(Holder(os.getpid(), host_name(), boot_id()))
                        file.truncate(0)
                        file.write(me + b"\n", 0)
                        return file
            except BaseException:
                file.close()
                raise
            file.close()  # the session was renamed or deleted between the two calls: try what stands there now

    def release(self) -> None:
        """Let go. In a forked child this closes its copy only, so that the lock ends with the parent."""
        self._file.close()


def describe_holder(written: bytes) -> str:
    """The holder in words, from what stands in a lock file."""
    try:
        holder = msgspec.json.decode(written, type=Holder)
    except msgspec.DecodeError:
        return "another process"
    return f"process {holder.pid} on {holder.host}"
