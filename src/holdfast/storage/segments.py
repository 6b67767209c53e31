"""One segment file that is being written: pre-written newlines, a map over its end, and syncs."""

import mmap
from pathlib import Path

from holdfast.storage.files import File, Files, Window
from holdfast.storage.lines import Header, header_line

FIRST_GROWTH_BYTES = 64 << 10
LARGEST_GROWTH_BYTES = 4 << 20
_POPULATE_BYTES = 64 << 10
_NEWLINES = b"\n" * FIRST_GROWTH_BYTES


class Segment:
    """A new segment file: made, its header written and synced, its name synced too.

    Space is taken ahead by writing newlines, so that a full disk shows up before a record is accepted. With
    `presync` (durability power) that space is synced as it is taken, so that a later sync moves data only. After an
    OSError in making it, the file is gone again.
    """

    def __init__(self, files: Files, path: Path, header: Header, *, use_map: bool, presync: bool) -> None:
        line, self.header_crc = header_line(header)
        self.path, self.header, self.header_end = path, header, len(line)
        self._use_map, self._presync = use_map, presync
        self._growth = FIRST_GROWTH_BYTES
        self.window: Window | None = None
        self.base = 0  # offset of the window's first byte
        self.limit = 0  # lines that end before this offset can go through the window
        self._window_end = 0
        self.syncs_running = 0  # by threads outside the recorder's lock: such a file is not closed
        self._file: File = files.open(path, write=True, create=True, exclusive=True)
        try:
            space = line + _NEWLINES[len(line) :]
            self._file.write(space, 0)
            self.filled = len(space)
            self._file.sync()
            files.sync_folder(path.parent)
        except BaseException:
            self._file.close()
            files.unlink(path)
            raise

    def make_room(self, pos: int, size: int) -> None:
        """Take space for `size` bytes and a newline at pos. After an OSError nothing has changed that counts."""
        end = pos + size + 1
        while self.filled < end:
            chunk = min(self._growth, LARGEST_GROWTH_BYTES)
            self._file.write(b"\n" * chunk, self.filled)
            self.filled += chunk
            self._growth = 2 * chunk
            if self._presync:
                self._file.sync()
        if self._use_map and end > self._window_end:
            base = pos // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
            window = self._file.map(base, self.filled - base)
            old, self.window = self.window, window
            self.base, self._window_end, self.limit = base, self.filled, base
            if old is not None:
                old.close()
        if self.window is not None and end > self.limit:
            # Page faults are taken in stretches: one by one they would be felt in single records.
            length = min(max(_POPULATE_BYTES, end - self.limit), self._window_end - self.limit)
            self.window.populate(self.limit - self.base, length)
            self.limit += length

    def store(self, line: bytes, pos: int) -> bool:
        """Put one line through the window, without a system call. False where it does not fit, and nothing was done."""
        end = pos + len(line)
        if self.window is None or end >= self.limit:
            return False
        self.window[pos - self.base : end - self.base] = line
        return True

    def write(self, data: bytes, pos: int) -> None:
        """Write into space that make_room took. A kill leaves a part from the front, as the map does not promise."""
        self._file.write(data, pos)

    def read(self, start: int, end: int) -> bytes:
        """The bytes from start to end, from the window where it holds them."""
        if self.window is not None and start >= self.base and end <= self._window_end:
            return self.window[start - self.base : end - self.base]
        return self._file.read(end - start, start)

    def sync(self) -> None:
        """fdatasync. Never to be called again after it failed: the kernel may have dropped the pages."""
        self._file.sync()

    def trim(self, pos: int) -> None:
        """Give back the newlines behind pos."""
        self._drop_window()
        self._file.truncate(pos)
        self.filled = pos

    def close(self) -> None:
        """Let go of the file and its map."""
        self._drop_window()
        self._file.close()

    def _drop_window(self) -> None:
        window, self.window = self.window, None
        self.limit = self._window_end = 0
        if window is not None:
            window.close()
