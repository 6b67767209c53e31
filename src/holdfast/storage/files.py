"""The one place with open, rename and fsync. What touches a disk takes a `Files`, so that tests can break each operation."""

import errno
import fcntl
import itertools
import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from holdfast.errors import DiskFull, InvalidSetting, ReadFailed, WriteFailed

_CHUNK_BYTES = 256 << 10
"""Of a file, at a time: more would be memory that is new to the process each time, and slower for it."""
_UNSYNCED_BYTES = 64 << 20
"""The most of a file that waits to be synced; so the disk is at work while more of it is made."""
_temporaries = itertools.count()
_POPULATE_WRITE = 23  # MADV_POPULATE_WRITE, Linux 5.14; Python 3.11 has no name for it


class Window(Protocol):
    """A writable, shared map of part of a file. A slice assignment is with the operating system as soon as it returns."""

    def __setitem__(self, where: slice, data: bytes | bytearray) -> None: ...
    def __getitem__(self, where: slice) -> bytes: ...
    def populate(self, start: int, length: int) -> None:
        """Take the page faults of a stretch now; start is a multiple of the page size. A hint: never raises."""

    def close(self) -> None: ...


class File(Protocol):
    """An open file. Offsets and sizes are bytes; every method may raise OSError."""

    def read(self, size: int, offset: int) -> bytes: ...
    def write(self, data: bytes, offset: int) -> None:
        """Write all of data at offset."""

    def sync(self) -> None:
        """fdatasync: data, and the size that is needed to read it."""

    def truncate(self, size: int) -> None: ...
    def size(self) -> int: ...
    def map(self, offset: int, length: int) -> Window:
        """Map a stretch within the file's size; offset is a multiple of `mmap.ALLOCATIONGRANULARITY`."""

    def view(self) -> memoryview:
        """All bytes as they are now, mapped for reading. It outlives the open file, and the name."""

    def lock(self) -> bool:
        """Take the exclusive flock; False where another open file holds it."""

    def same_as(self, path: Path) -> bool:
        """True while `path` still names this very file."""

    def close(self) -> None: ...


class Files(Protocol):
    """The operations on names. Every method may raise OSError."""

    def open(self, path: Path, *, write: bool = False, create: bool = False, exclusive: bool = False) -> File: ...
    def mkdir(self, path: Path) -> None: ...
    def rename(self, source: Path, target: Path) -> None: ...
    def link(self, source: Path, target: Path) -> None: ...
    def unlink(self, path: Path) -> None: ...
    def rmdir(self, path: Path) -> None: ...
    def sync_folder(self, path: Path) -> None: ...
    def names(self, path: Path) -> list[str]:
        """The names in a folder, sorted; none where there is no such folder."""

    def exists(self, path: Path) -> bool: ...
    def free_bytes(self, path: Path) -> int: ...


class RealWindow(mmap.mmap):
    """A window by the operating system's mmap."""

    def populate(self, start: int, length: int) -> None:
        try:
            self.madvise(_POPULATE_WRITE, start, length)
        except OSError:
            pass  # an older kernel: the faults come one by one, nothing else changes


class RealFile:
    """A file of the operating system."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self, size: int, offset: int) -> bytes:
        return os.pread(self._fd, size, offset)

    def write(self, data: bytes, offset: int) -> None:
        written = os.pwrite(self._fd, data, offset)
        if written < len(data):  # a nearly full disk, or a limit: the rest says which
            rest = memoryview(data)
            while written < len(data):
                written += os.pwrite(self._fd, rest[written:], offset + written)

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def map(self, offset: int, length: int) -> Window:
        return RealWindow(self._fd, length, offset=offset)

    def view(self) -> memoryview:
        if not self.size():
            return memoryview(b"")
        return memoryview(mmap.mmap(self._fd, 0, access=mmap.ACCESS_READ))

    def lock(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def same_as(self, path: Path) -> bool:
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(path))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class RealFiles:
    """The operating system's files."""

    def open(self, path: Path, *, write: bool = False, create: bool = False, exclusive: bool = False) -> File:
        flags = (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC
        flags |= (os.O_CREAT if create else 0) | (os.O_EXCL if exclusive else 0)
        return RealFile(os.open(path, flags, 0o644))

    def mkdir(self, path: Path) -> None:
        os.mkdir(path)

    def rename(self, source: Path, target: Path) -> None:
        os.rename(source, target)

    def link(self, source: Path, target: Path) -> None:
        os.link(source, target)

    def unlink(self, path: Path) -> None:
        os.unlink(path)

    def rmdir(self, path: Path) -> None:
        os.rmdir(path)

    def sync_folder(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def names(self, path: Path) -> list[str]:
        try:
            return sorted(os.listdir(path))
        except FileNotFoundError:
            return []

    def exists(self, path: Path) -> bool:
        return os.path.lexists(path)

    def free_bytes(self, path: Path) -> int:
        free = os.statvfs(path)
        return free.f_bavail * free.f_frsize


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of the operations inside into our WriteFailed or DiskFull, naming the path."""
    try:
        yield
    except OSError as error:
        raise failure(path, error) from error


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of the operations inside into our ReadFailed, naming the path."""
    try:
        yield
    except OSError as error:
        raise ReadFailed(path, error.strerror or type(error).__name__) from error


def failure(path: Path, error: OSError) -> WriteFailed:
    """Our error for an operating system's one."""
    kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else WriteFailed
    return kind(path, error.strerror or type(error).__name__)


def read_whole(files: Files, path: Path) -> bytes:
    """All bytes of a file."""
    file = files.open(path)
    try:
        size = file.size()
        parts: list[bytes] = []
        offset = 0
        while offset < size:
            part = file.read(min(size - offset, 1 << 26), offset)
            if not part:
                break  # it shrank meanwhile
            parts.append(part)
            offset += len(part)
        return b"".join(parts)
    finally:
        file.close()


def chunks_of(file: File, behind: int, first: int = 0) -> Iterator[bytes]:
    """The bytes of a file from `first` to before `behind`, some of them at a time."""
    return (file.read(min(_CHUNK_BYTES, behind - offset), offset) for offset in range(first, behind, _CHUNK_BYTES))


def make_folders(files: Files, path: Path, *, own: int = 0) -> None:
    """Make a folder with its parents, each synced into its own parent. Existing ones are left alone; but the names of the last
    `own` folders of the path are synced in any case: a process that made them may have been killed before it did."""
    missing: list[Path] = []
    doubtful = [path, *path.parents][:own]
    while not files.exists(path):
        missing.append(path)
        path = path.parent
    for folder in reversed([*missing, *(folder for folder in doubtful if folder not in missing)]):
        if folder in missing:
            try:
                files.mkdir(folder)
            except FileExistsError:
                pass  # another process was quicker, and may not have synced it yet
        files.sync_folder(folder.parent)


def write_synced(files: Files, path: Path, chunks: Iterable[bytes]) -> None:
    """Write a new file and sync it. The name itself is durable only after its folder is synced."""
    file = files.open(path, write=True, create=True)
    try:
        file.truncate(0)
        offset = synced = 0
        for chunk in chunks:
            file.write(chunk, offset)
            offset += len(chunk)
            if offset - synced >= _UNSYNCED_BYTES:
                file.sync()
                synced = offset
        file.sync()
    finally:
        file.close()


def temporary_folder() -> Path:
    """Where temporary files go."""
    return Path(tempfile.gettempdir())


def check_target(files: Files, path: Path, *, force: bool) -> None:
    """Raise InvalidSetting where something is in the way of a file that a user wants written."""
    if not files.exists(path):
        return
    try:
        files.names(path)
    except NotADirectoryError:
        if not force:
            what = f"{path} is there already. Nothing was changed; replace it with force=True (--force)"
            raise InvalidSetting(what) from None
    else:
        raise InvalidSetting(f"{path} is a folder. Nothing was changed; name a file in it")


def replace_file(files: Files, path: Path, chunks: Iterable[bytes]) -> None:
    """Replace a file atomically: temporary file beside it, sync, rename, sync folder. After an error the old content stands."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{next(_temporaries)}.tmp")  # threads do this at the same time
    try:
        write_synced(files, temporary, chunks)
        files.rename(temporary, path)
    except BaseException:
        if files.exists(temporary):
            files.unlink(temporary)
        raise
    files.sync_folder(path.parent)
