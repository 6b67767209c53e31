"""One segment file that is being written: pre-written newlines, a map over its end, and syncs."""

import errno
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from holdfast.storage.files import File, Files, Window
from holdfast.storage.lines import Header, header_line

FIRST_GROWTH_BYTES = 64 << 10
LARGEST_GROWTH_BYTES = 4 << 20  # where each growth is synced
LARGEST_UNSYNCED_GROWTH_BYTES = 256 << 10  # else one that still lies in the processor's cache when lines come into it
_POPULATE_BYTES = 64 << 10

Watch = Callable[[Literal["sync", "room"], Path, Callable[[], None]], None]
"""Carries out what may have to wait for the disk: one sync of a file or folder, or the taking of room for lines (with syncs of
its own where that is durable)."""


def unwatched(what: Literal["sync", "room"], path: Path, act: Callable[[], None]) -> None:
    """Just do it."""
    act()


class Segment:
    """One segment file. `create` makes it; nothing is on the disk before.

    Space is taken ahead by writing newlines, so that a full disk shows up before a record is accepted. With
    `presync` (durability power) that space is synced as it is taken, so that a later sync moves data only.
    content: closed lines with their newlines that the segment begins with, behind its header.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        *,
        use_map: bool,
        presync: bool,
        content: bytes = b"",
        watch: Watch = unwatched,
    ) -> None:
        self._first_line, self.header_crc = header_line(header)
        self.path, self.header, self.header_end = path, header, len(self._first_line)
        self._content, self._use_map, self._presync = content, use_map, presync
        self._watch = watch
        self._growth = FIRST_GROWTH_BYTES
        self.window: Window | None = None
        self.base = 0  # offset of the window's first byte
        self.limit = 0  # lines that end before this offset can go through the window
        self._populated = self._window_end = 0
        self.syncs_running = 0  # by threads outside the recorder's lock: such a file is not closed
        self.sync_failure: OSError | None = None
        self._file: File | None = None
        self._torn_to = 0  # behind this offset no write that failed has left anything
        self._files: Files | None = None  # while its name is not known to be synced

    @property
    def file(self) -> File:
        """The open file; OSError where there is none."""
        if self._file is None:
            raise OSError(errno.EBADF, "the segment is closed", str(self.path))
        return self._file

    def create(self, files: Files) -> None:
        """Make the file: under another name, synced, then renamed and its name synced. A segment that has its name is whole.

        After an OSError there is none.
        """
        temporary = self.path.with_name(f".{self.path.name}.tmp")
        space = self._first_line + self._content
        space += b"\n" * max(1, FIRST_GROWTH_BYTES - len(space))
        self.filled, self._files = len(space), files
        try:
            self._file = files.open(temporary, write=True, create=True)
            self._file.truncate(0)
            self._file.write(space, 0)
            self._watch("sync", self.path, self._file.sync)
            if files.exists(self.path):
                raise FileExistsError(errno.EEXIST, "there is a segment of that number already", str(self.path))
            files.rename(temporary, self.path)
            self._sync_name(files)
        except OSError as error:
            self.close()
            for path in (temporary,) if isinstance(error, FileExistsError) else (temporary, self.path):
                if files.exists(path):
                    files.unlink(path)
            raise
        self._content = b""

    def make_room(self, pos: int, size: int, up_to: int) -> None:
        """Take space for `size` bytes and a newline at pos; single lines may go through the map up to `up_to`.

        After an OSError nothing has changed that counts.
        """
        end = pos + size + 1
        has_room = self.filled >= end and (not self._use_map or end <= self._populated)
        if not has_room:
            self._watch("room", self.path, lambda: self._take_room(pos, end))
        self.limit = 0 if self._torn_to else min(self._populated, up_to)

    def _take_room(self, pos: int, end: int) -> None:
        while self.filled < end:
            chunk = min(self._growth, LARGEST_GROWTH_BYTES if self._presync else LARGEST_UNSYNCED_GROWTH_BYTES)
            self.file.write(b"\n" * chunk, self.filled)
            self.filled += chunk
            self._growth = 2 * chunk
            if self._presync:
                self.sync()
        if self._use_map and end > self._window_end:
            base = pos // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
            window = self.file.map(base, self.filled - base)
            old, self.window = self.window, window
            self.base, self._window_end, self._populated = base, self.filled, base
            if old is not None:
                old.close()
        if self.window is not None and end > self._populated:
            # Page faults are taken in stretches: one by one they would be felt in single records.
            length = min(max(_POPULATE_BYTES, end - self._populated), self._window_end - self._populated)
            self.window.populate(self._populated - self.base, length)
            self._populated += length

    def put(self, lines: list[bytes], pos: int) -> None:
        """Store lines through the window one after the other, without a system call, or write them where it does not reach.

        A kill may leave a hole in the line that is being stored, and so nothing may stand behind that.
        """
        for index, line in enumerate(lines):
            end = pos + len(line)
            if self.window is None or end >= self.limit or self._torn_to:
                self.write(b"\n".join(lines[index:]), pos)
                return
            self.window[pos - self.base : end - self.base] = line
            pos = end + 1

    def write(self, data: bytes, pos: int) -> None:
        """Write into space that make_room took. A kill leaves a part from the front, which the window does not promise; an
        exception does too, which the next write covers."""
        end = pos + len(data)
        try:
            self.file.write(data + b"\n" * (self._torn_to - end), pos)
        except BaseException:
            self.tear(end)
            raise
        self._torn_to = 0

    def tear(self, end: int) -> None:
        """Up to `end` a part of a write may stand that does not count: nothing goes through the map before it is covered."""
        self._torn_to, self.limit = max(self._torn_to, end), 0

    def read(self, start: int, end: int) -> bytes:
        """The bytes from start to end, from the window where it holds them."""
        if self.window is not None and start >= self.base and end <= self._window_end:
            return self.window[start - self.base : end - self.base]
        return self.file.read(end - start, start)

    @property
    def has_failed(self) -> bool:
        """Whether a sync has failed."""
        return self.sync_failure is not None

    def sync(self) -> None:
        """fdatasync. Once failed, it fails for ever: the kernel may have dropped the pages, and a second call would succeed."""
        if self.sync_failure is not None:
            raise self.sync_failure
        try:
            if self._files is not None:  # making it was interrupted
                self._sync_name(self._files)
            self._watch("sync", self.path, self.file.sync)
        except OSError as error:
            self.sync_failure = error
            raise

    def _sync_name(self, files: Files) -> None:
        self._watch("sync", self.path.parent, lambda: files.sync_folder(self.path.parent))
        self._files = None

    def trim(self, pos: int) -> None:
        """Give back the newlines behind pos."""
        self._drop_window()
        self.file.truncate(pos)
        self.filled = pos

    def close(self) -> None:
        """Let go of the file and its map. A second call does nothing."""
        self._drop_window()
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _drop_window(self) -> None:
        window, self.window = self.window, None
        self.limit = self._populated = self._window_end = 0
        if window is not None:
            window.close()
