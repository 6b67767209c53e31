"""Files that keep a trace of everything that matters for what survives a power loss (see powerloss.py)."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TypeAlias

from holdfast.storage.files import File, RealFiles, Window

Place: TypeAlias = tuple[int, str]
"""A name in a folder: the folder's number and the name."""
Entries: TypeAlias = dict[int, dict[str, int]]
"""What each folder holds: its number → name → number of a file or folder. The root's number is 0."""


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes were written to a file, or stored through a window."""

    file: int
    path: str
    offset: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Resized:
    """A file was cut, or extended with zeros."""

    file: int
    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Synced:
    """A file's bytes and size became durable."""

    file: int
    path: str


@dataclass(frozen=True, slots=True)
class NameChanged:
    """A file or folder came to stand at `target` and left `source`. Creating has no source, removing no target."""

    kind: str  # create, mkdir, link, unlink, rmdir, rename
    node: int
    source: Place | None
    target: Place | None
    path: str
    new_path: str = ""

    def apply(self, entries: Entries) -> None:
        """Let it happen. Without effect where the source is not what it was, because what made it was lost."""
        if self.source:
            folder, name = self.source
            if entries[folder].get(name) != self.node:
                return
            del entries[folder][name]
        if self.target:
            folder, name = self.target
            entries[folder][name] = self.node

    @property
    def places(self) -> set[Place]:
        return {place for place in (self.source, self.target) if place}

    def is_settled_by(self, folder: int) -> bool:
        """True where syncing this folder makes it durable."""
        place = self.target or self.source
        return place is not None and place[0] == folder

    def __str__(self) -> str:
        return f"{self.kind} {self.path}" + (f" -> {self.new_path}" if self.new_path else "")


@dataclass(frozen=True, slots=True)
class FolderSynced:
    """The names in a folder became durable."""

    folder: int
    path: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A note of the test: what it was told, here."""

    label: object


Operation: TypeAlias = Written | Resized | Synced | NameChanged | FolderSynced | Mark


@dataclass
class Trace:
    """What was on the disk at the start, all of it synced, and what was done since."""

    entries: Entries
    images: dict[int, bytes]
    operations: list[Operation] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.operations)

    def marks(self, at: int) -> list[object]:
        """The labels among the first `at` operations, in order."""
        return [operation.label for operation in self.operations[:at] if isinstance(operation, Mark)]


class TracedFiles:
    """Real files under `root`, with a trace of what is done to them. What is there at the start counts as synced.

    Only what passes through this object is seen: one process, whose threads may share it. Outside of root, files can
    be read and folders synced, untraced; anything else there is a ValueError.
    """

    def __init__(self, root: Path) -> None:
        self._root, self._real, self._lock, self._numbers = root, RealFiles(), threading.RLock(), count(1)
        self._entries: Entries = {}
        images: dict[int, bytes] = {}
        self._take_stock(root, 0, images, {})
        self.trace = Trace({folder: dict(names) for folder, names in self._entries.items()}, images)

    def mark(self, label: object) -> None:
        """Note in the trace what was acknowledged up to here."""
        with self._lock:
            self.trace.operations.append(Mark(label))

    def open(self, path: Path, *, write: bool = False, create: bool = False, exclusive: bool = False) -> File:
        if not write and not path.is_relative_to(self._root):
            return self._real.open(path)
        relative = self._relative(path)
        with self._lock:
            file = self._real.open(path, write=write, create=create, exclusive=exclusive)
            try:
                if create and not self._is_known(path):
                    self._change("create", next(self._numbers), None, path)
                return _TracedFile(self, self._node(path), relative, file)
            except BaseException:
                file.close()
                raise

    def mkdir(self, path: Path) -> None:
        with self._lock:
            self._real.mkdir(path)
            node = next(self._numbers)
            self._entries[node] = {}
            self._change("mkdir", node, None, path)

    def rename(self, source: Path, target: Path) -> None:
        with self._lock:
            self._real.rename(source, target)
            node = self._node(source)
            if not self._is_known(target) or self._node(target) != node:  # else two names of one file: nothing happens
                self._change("rename", node, source, target)

    def link(self, source: Path, target: Path) -> None:
        with self._lock:
            self._real.link(source, target)
            self._change("link", self._node(source), None, target)

    def unlink(self, path: Path) -> None:
        with self._lock:
            self._real.unlink(path)
            self._change("unlink", self._node(path), path, None)

    def rmdir(self, path: Path) -> None:
        with self._lock:
            self._real.rmdir(path)
            self._change("rmdir", self._node(path), path, None)

    def sync_folder(self, path: Path) -> None:
        with self._lock:
            self._real.sync_folder(path)
            if path.is_relative_to(self._root):
                folder = 0 if path == self._root else self._node(path)
                self.trace.operations.append(FolderSynced(folder, self._relative(path)))

    def names(self, path: Path) -> list[str]:
        return self._real.names(path)

    def exists(self, path: Path) -> bool:
        return self._real.exists(path)

    def free_bytes(self, path: Path) -> int:
        return self._real.free_bytes(path)

    def record(self, operation: Operation, act: Callable[[], None]) -> None:
        """Carry out an operation on an open file and note it, unless it fails."""
        with self._lock:
            act()
            self.trace.operations.append(operation)

    def _change(self, kind: str, node: int, source: Path | None, target: Path | None) -> None:
        paths = [self._relative(path) for path in (source, target) if path is not None]
        places = [None if path is None else self._place(path) for path in (source, target)]
        change = NameChanged(kind, node, places[0], places[1], *paths)
        change.apply(self._entries)
        self.trace.operations.append(change)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _place(self, path: Path) -> Place:
        *folders, name = path.relative_to(self._root).parts
        folder = 0
        for each in folders:
            folder = self._known(folder, each, path)
        return folder, name

    def _node(self, path: Path) -> int:
        return self._known(*self._place(path), path)

    def _is_known(self, path: Path) -> bool:
        folder, name = self._place(path)
        return name in self._entries[folder]

    def _known(self, folder: int, name: str, path: Path) -> int:
        if name not in self._entries[folder]:
            raise LookupError(f"{path}: {name} was made behind the back of these files, so their trace is incomplete")
        return self._entries[folder][name]

    def _take_stock(self, path: Path, folder: int, images: dict[int, bytes], known: dict[int, int]) -> None:
        names = self._entries[folder] = {}
        for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                names[entry.name] = next(self._numbers)
                self._take_stock(Path(entry.path), names[entry.name], images, known)
            elif entry.inode() in known:
                names[entry.name] = known[entry.inode()]
            else:
                names[entry.name] = known[entry.inode()] = next(self._numbers)
                images[names[entry.name]] = Path(entry.path).read_bytes()


class _TracedFile:
    """An open file of traced files."""

    def __init__(self, files: TracedFiles, node: int, path: str, real: File) -> None:
        self._files, self._node, self._path, self._real = files, node, path, real

    def read(self, size: int, offset: int) -> bytes:
        return self._real.read(size, offset)

    def write(self, data: bytes, offset: int) -> None:
        self._files.record(Written(self._node, self._path, offset, bytes(data)), lambda: self._real.write(data, offset))

    def sync(self) -> None:
        self._files.record(Synced(self._node, self._path), self._real.sync)

    def truncate(self, size: int) -> None:
        self._files.record(Resized(self._node, self._path, size), lambda: self._real.truncate(size))

    def size(self) -> int:
        return self._real.size()

    def map(self, offset: int, length: int) -> Window:
        return _TracedWindow(self._files, self._node, self._path, offset, self._real.map(offset, length))

    def view(self) -> memoryview:
        return self._real.view()

    def lock(self) -> bool:
        return self._real.lock()

    def same_as(self, path: Path) -> bool:
        return self._real.same_as(path)

    def close(self) -> None:
        self._real.close()


class _TracedWindow:
    """A window whose stores are traced as writes."""

    def __init__(self, files: TracedFiles, node: int, path: str, offset: int, real: Window) -> None:
        self._files, self._node, self._path, self._offset, self._real = files, node, path, offset, real

    def __setitem__(self, where: slice, data: bytes | bytearray) -> None:
        written = Written(self._node, self._path, self._offset + (where.start or 0), bytes(data))
        self._files.record(written, lambda: self._real.__setitem__(where, data))

    def __getitem__(self, where: slice) -> bytes:
        return self._real[where]

    def populate(self, start: int, length: int) -> None:
        self._real.populate(start, length)

    def close(self) -> None:
        self._real.close()
