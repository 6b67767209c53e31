"""Files whose n-th operation goes wrong: it raises, or the process dies in it. For tests and `holdfast prove`."""

import os
import signal
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

from holdfast.errors import InvalidSetting
from holdfast.storage.files import File, Files, Window

T = TypeVar("T")

OPERATIONS = (
    *("open", "mkdir", "rename", "link", "unlink", "rmdir", "sync_folder", "names", "free_bytes"),
    *("read", "write", "sync", "truncate", "size", "map", "lock", "same_as"),
)
"""The operations that can raise (closing and `exists` never do). A store through a window can only be killed."""


class _WatchedFiles(ABC):
    """Passes every operation to `inner` through two hooks; `role` leaves out paths whose string does not contain it."""

    def __init__(self, inner: Files, operation: str, nth: int, role: str | None, known: tuple[str, ...]) -> None:
        if operation not in known:
            raise InvalidSetting(f"operation {operation!r} is none of {', '.join(known)}")
        if nth < 0:
            raise InvalidSetting("nth is 0 (never) or counts from 1")
        self._inner, self._operation, self._nth, self._role = inner, operation, nth, role

    @abstractmethod
    def run(self, operation: str, path: Path, act: Callable[[], T]) -> T:
        """Carry out one operation, or do not."""

    @abstractmethod
    def put(self, operation: str, path: Path, data: bytes, write: Callable[[bytes], None]) -> None:
        """Carry out one write or store. `write` puts what it is given where data belongs, so a part can be written."""

    def window(self, path: Path, window: Window) -> Window:
        """The window to hand out for the one that inner made."""
        return window

    def _concerns(self, *paths: Path) -> bool:
        return self._role is None or any(self._role in str(path) for path in paths)

    def _run(self, operation: str, paths: tuple[Path, ...], act: Callable[[], T]) -> T:
        return self.run(operation, paths[0], act) if self._concerns(*paths) else act()

    def open(self, path: Path, *, write: bool = False, create: bool = False, exclusive: bool = False) -> File:
        def act() -> File:
            return self._inner.open(path, write=write, create=create, exclusive=exclusive)

        if not self._concerns(path):
            return act()
        return _WatchedFile(self, path, self.run("open", path, act))

    def mkdir(self, path: Path) -> None:
        self._run("mkdir", (path,), lambda: self._inner.mkdir(path))

    def rename(self, source: Path, target: Path) -> None:
        self._run("rename", (source, target), lambda: self._inner.rename(source, target))

    def link(self, source: Path, target: Path) -> None:
        self._run("link", (source, target), lambda: self._inner.link(source, target))

    def unlink(self, path: Path) -> None:
        self._run("unlink", (path,), lambda: self._inner.unlink(path))

    def rmdir(self, path: Path) -> None:
        self._run("rmdir", (path,), lambda: self._inner.rmdir(path))

    def sync_folder(self, path: Path) -> None:
        self._run("sync_folder", (path,), lambda: self._inner.sync_folder(path))

    def names(self, path: Path) -> list[str]:
        return self._run("names", (path,), lambda: self._inner.names(path))

    def exists(self, path: Path) -> bool:
        return self._inner.exists(path)

    def free_bytes(self, path: Path) -> int:
        return self._run("free_bytes", (path,), lambda: self._inner.free_bytes(path))


class _WatchedFile:
    """An open file of watched files."""

    def __init__(self, files: _WatchedFiles, path: Path, inner: File) -> None:
        self._files, self._path, self._inner = files, path, inner

    def read(self, size: int, offset: int) -> bytes:
        return self._files.run("read", self._path, lambda: self._inner.read(size, offset))

    def write(self, data: bytes, offset: int) -> None:
        self._files.put("write", self._path, data, lambda part: self._inner.write(part, offset))

    def sync(self) -> None:
        self._files.run("sync", self._path, self._inner.sync)

    def truncate(self, size: int) -> None:
        self._files.run("truncate", self._path, lambda: self._inner.truncate(size))

    def size(self) -> int:
        return self._files.run("size", self._path, self._inner.size)

    def map(self, offset: int, length: int) -> Window:
        window = self._files.run("map", self._path, lambda: self._inner.map(offset, length))
        return self._files.window(self._path, window)

    def view(self) -> memoryview:
        return self._files.run("map", self._path, self._inner.view)

    def lock(self) -> bool:
        return self._files.run("lock", self._path, self._inner.lock)

    def same_as(self, path: Path) -> bool:
        return self._files.run("same_as", self._path, lambda: self._inner.same_as(path))

    def close(self) -> None:
        self._inner.close()


class FailingFiles(_WatchedFiles):
    """Files whose nth (from 1; 0: none) call of one operation raises OSError, and with `repeat` every later one too.

    A failing write has really written its first `partial` bytes, the first time. `calls` counts every operation, so
    that a healthy run (nth=0) says what there is to fail.
    """

    def __init__(
        self,
        inner: Files,
        *,
        operation: str,
        nth: int,
        error: int,
        repeat: bool = False,
        partial: int = 0,
        role: str | None = None,
    ) -> None:
        super().__init__(inner, operation, nth, role, OPERATIONS)
        if partial < 0 or (partial and operation != "write"):
            raise InvalidSetting("partial is a number of bytes, and for write only")
        self._error, self._repeat, self._partial = error, repeat, partial
        self._lock = threading.Lock()
        self.calls: Counter[str] = Counter()

    def run(self, operation: str, path: Path, act: Callable[[], T]) -> T:
        if self._failure(operation):
            raise OSError(self._error, os.strerror(self._error), str(path))
        return act()

    def put(self, operation: str, path: Path, data: bytes, write: Callable[[bytes], None]) -> None:
        failure = self._failure(operation)
        if not failure:
            return write(data)
        if failure == self._nth and self._partial:
            write(data[: self._partial])
        raise OSError(self._error, os.strerror(self._error), str(path))

    def _failure(self, operation: str) -> int:
        """Count a call; its number where it is to fail, else 0."""
        with self._lock:
            self.calls[operation] = number = self.calls[operation] + 1
        if operation != self._operation or not self._nth:
            return 0
        return number if number == self._nth or (self._repeat and number > self._nth) else 0


class KillingFiles(_WatchedFiles):
    """Files that kill their own process with SIGKILL before, after or halfway through the nth of an operation.

    nth counts from 1; 0 is never. `"store"` is an assignment to a window. `"half"` is for writes and stores: the first
    half of the bytes is there; `"holed"` for stores: newlines, as of space taken ahead, stand where its middle third
    should. `role` counts only operations on paths whose string contains it. `seen` counts what could have been hit so far.
    """

    def __init__(
        self,
        inner: Files,
        *,
        operation: str,
        nth: int,
        when: Literal["before", "after", "half", "holed"] = "before",
        role: str | None = None,
    ) -> None:
        super().__init__(inner, operation, nth, role, (*OPERATIONS, "store"))
        if when == "half" and operation not in ("write", "store"):
            raise InvalidSetting("only a write or a store can be killed halfway")
        if when == "holed" and operation != "store":
            raise InvalidSetting("only a store can leave a hole")
        self._when = when
        self.nth, self.seen = nth, 0

    def run(self, operation: str, path: Path, act: Callable[[], T]) -> T:
        if operation != self._operation or not self.is_due():
            return act()
        if self._when == "before":
            _die()
        result = act()
        _die()
        return result

    def put(self, operation: str, path: Path, data: bytes, write: Callable[[bytes], None]) -> None:
        if operation == self._operation and self.is_due():
            self.die_within(data, write)
        write(data)

    def window(self, path: Path, window: Window) -> Window:
        return _KillingWindow(self, window) if self._operation == "store" else window

    def is_due(self) -> bool:
        """Count a call that can be hit: True for the nth."""
        self.seen = seen = self.seen + 1
        return seen == self.nth

    def die_within(self, data: bytes, write: Callable[[bytes], None]) -> None:
        """Write as much of data as is to be there, and die."""
        third = len(data) // 3
        if self._when == "holed":
            write(data[:third] + b"\n" * (len(data) - 2 * third) + data[len(data) - third :])
        elif self._when != "before":
            write(data if self._when == "after" else data[: len(data) // 2])
        _die()


class _KillingWindow:
    """A window that counts its stores. Every record passes here, so that nothing is called but what must be."""

    def __init__(self, files: KillingFiles, inner: Window) -> None:
        self._files, self._inner = files, inner

    def __setitem__(self, where: slice, data: bytes | bytearray) -> None:
        files = self._files
        files.seen = seen = files.seen + 1
        if seen == files.nth:
            start = where.start or 0
            files.die_within(bytes(data), lambda part: self._inner.__setitem__(slice(start, start + len(part)), part))
        self._inner[where] = data

    def __getitem__(self, where: slice) -> bytes:
        return self._inner[where]

    def populate(self, start: int, length: int) -> None:
        self._inner.populate(start, length)

    def close(self) -> None:
        self._inner.close()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
