"""Read a log: forwards from any record, backwards from the end, or one record by its number."""

from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

import msgspec

from holdfast.errors import Corrupted
from holdfast.storage.files import File, Files, read_errors
from holdfast.storage.lines import read_head
from holdfast.storage.recovery import Extent, Past, recover, scan_lines, sealed_meanwhile, segment_numbers
from holdfast.storage.sealed import SealedReader

_CHUNK_BYTES = 1 << 20


class LogReader:
    """The records of a log as they stood when it was opened, or last refreshed. Never writes, never blocks the writer.

    Segments may be sealed, also while they are read: the same lines come out, but for their closes. Lines come without their
    newline. Raises Corrupted where a line is not the record that should stand there, and ReadFailed where the files cannot be
    read.
    """

    def __init__(self, files: Files, folder: Path, boot: str, past: Past | None = None) -> None:
        self._files, self.folder, self._boot = files, folder, boot
        self.past = past if past is not None else recover(files, folder, boot, strict=False)
        self._sealed: dict[Path, SealedReader] = {}

    @property
    def files(self) -> Files:
        """What it reads with."""
        return self._files

    @property
    def last(self) -> int:
        """n of the last record, 0 where there is none."""
        return self.past.last

    def refresh(self) -> None:
        """Take in what was appended since; costs what is new, not what is old."""
        with read_errors(self.folder):
            self._refresh()

    def _refresh(self) -> None:
        extents = self.past.extents
        numbers = segment_numbers(self._files, self.folder)
        is_torn = bool(extents) and extents[-1].header.boot != self._boot  # whole lines are not enough then
        is_over = is_torn or extents[-1:] == () or extents[-1].is_sealed
        if is_over or numbers[-1:] != [self.past.highest_segment]:
            self.past = recover(self._files, self.folder, self._boot, strict=False)
            self._sealed = {path: reader for path, reader in self._sealed.items() if self._files.exists(path)}
            return
        extent = extents[-1]
        file = self._files.open(extent.path)
        try:
            data = file.read(max(0, file.size() - extent.end), extent.end)
        finally:
            file.close()
        end, last = scan_lines(extent.path, data, 0, extent.last, strict=False)
        self.past = msgspec.structs.replace(
            self.past, extents=(*extents[:-1], msgspec.structs.replace(extent, end=extent.end + end, last=last))
        )

    def read(self, first: int = 1, last: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Records first to last (both included; to the end where None), with their numbers."""
        last = self.last if last is None else min(last, self.last)
        extents = self.past.extents
        for index in range(bisect_left(extents, first, key=lambda extent: extent.last), len(extents)):
            extent = extents[index]
            if extent.header.first > last:
                return
            if extent.last >= extent.header.first:
                yield from self._read_extent(extent, max(first, extent.header.first), min(last, extent.last))

    def read_backwards(self) -> Iterator[tuple[int, bytes]]:
        """All records from the last one to the first."""
        for extent in reversed(self.past.extents):
            if extent.last >= extent.header.first:
                yield from self._read_extent_backwards(extent)

    def find(self, n: int) -> bytes:
        """The line of one record. Raises KeyError where the log has no such number."""
        for _, line in self.read(n, n):
            return line
        raise KeyError(n)

    def sealed(self, path: Path) -> SealedReader:
        """What reads a sealed file of this log."""
        if path not in self._sealed:
            self._sealed[path] = SealedReader(self._files, path)
        return self._sealed[path]

    def _open(self, extent: Extent) -> tuple[Extent, File | None]:
        """A segment's lines, opened; None where they are sealed, and the extent says where."""
        if extent.is_sealed:
            return extent, None
        try:
            return extent, self._files.open(extent.path)
        except FileNotFoundError:
            found = sealed_meanwhile(self._files, extent)
            if found is None:
                raise
            return found, None

    def _read_extent(self, extent: Extent, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        with read_errors(extent.path):
            extent, file = self._open(extent)
            if file is None:
                yield from self.sealed(extent.path).read(first, last)
                return
            try:
                yield from _read_lines(file, extent, first, last)
            finally:
                file.close()

    def _read_extent_backwards(self, extent: Extent) -> Iterator[tuple[int, bytes]]:
        with read_errors(extent.path):
            extent, file = self._open(extent)
            if file is None:
                yield from self.sealed(extent.path).read_backwards(extent.header.first, extent.last)
                return
            try:
                yield from _read_lines_backwards(file, extent)
            finally:
                file.close()


def _read_lines_backwards(file: File, extent: Extent) -> Iterator[tuple[int, bytes]]:
    n, end, rest = extent.last, extent.end, b""
    while end > extent.start:
        start = max(extent.start, end - _CHUNK_BYTES)
        lines = (file.read(end - start, start) + rest).split(b"\n")
        rest = lines[0]
        for line in reversed(lines[1:]):
            if line:
                yield n, line
                n -= 1
        end = start
    if rest:
        yield n, rest


def _read_lines(file: File, extent: Extent, first: int, last: int) -> Iterator[tuple[int, bytes]]:
    pos, n = extent.start, extent.header.first
    if first > n:
        pos, n = _locate(file, extent, first)
    rest = b""
    while pos < extent.end and n <= last:
        data = file.read(min(_CHUNK_BYTES, extent.end - pos), pos)
        if not data:
            raise Corrupted(extent.path, pos, f"the file ends here, and record {n} should follow")
        pos += len(data)
        lines = (rest + data).split(b"\n")
        rest = lines.pop()
        for line in lines:
            yield n, line
            n += 1
            if n > last:
                return


def _locate(file: File, extent: Extent, n: int) -> tuple[int, int]:
    """Offset of record n of an extent, by halving: each line tells its number."""
    low, high = extent.start, extent.end  # n starts in [low, high)
    low_n = extent.header.first
    while high - low > 4096:
        middle = (low + high) // 2
        start = _next_line(file, middle, high)
        if start >= high:
            high = middle
            continue
        found = read_head(_line_at(file, start, extent.end))
        if found is None:
            raise Corrupted(extent.path, start, "no whole record stands here")
        if found.n <= n:
            low, low_n = start, found.n
        else:
            high = middle
    while low_n < n:
        low = _next_line(file, low, extent.end)
        low_n += 1
    return low, n


def _next_line(file: File, pos: int, end: int) -> int:
    """Offset behind the first newline at or after pos; end where there is none before it."""
    while pos < end:
        data = file.read(min(65536, end - pos), pos)
        found = data.find(b"\n")
        if found >= 0:
            return pos + found + 1
        if not data:
            break
        pos += len(data)
    return end


def _line_at(file: File, pos: int, end: int) -> bytes:
    size = 512
    while True:
        data = file.read(min(size, end - pos), pos)
        found = data.find(b"\n")
        if found >= 0 or len(data) < size:
            return data[:found] if found >= 0 else data
        size *= 8
