"""What of a log counts: found by reading alone, nothing is rewritten (docs/format.md, "Recovery")."""

import re
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec

from holdfast.errors import Corrupted, NewerFormat
from holdfast.storage.files import Files, read_errors, read_whole, write_errors
from holdfast.storage.lines import (
    FORMAT_VERSION,
    FoundClose,
    Header,
    NotAHeader,
    UnknownVersion,
    read_closes,
    read_head,
    read_header,
)

_SEGMENT_NAME = re.compile(r"([0-9]{6,})\.jsonl")
_HEADER_READ = 64 << 10


class Extent(msgspec.Struct, frozen=True):
    """The part of a segment file that counts: bytes start to end, records header.first to last."""

    path: Path
    header: Header
    start: int
    end: int
    last: int
    crc: int
    """The chain of closes up to `end`: the last close's value, continued over the lines behind it."""


class Past(msgspec.Struct, frozen=True):
    """A log as recovery found it.

    extents: in order. torn: the file, offset and bytes behind the last whole record that a kill or a power loss left
    (never newlines alone). abandoned: later segments that the tear makes void. dropped: whole records among the torn
    bytes that nothing vouches for after a power loss.
    """

    extents: tuple[Extent, ...] = ()
    torn: tuple[Path, int, bytes] | None = None
    abandoned: tuple[Path, ...] = ()
    highest_segment: int = 0
    dropped: int = 0

    @property
    def last(self) -> int:
        """n of the last record, 0 where there is none."""
        return self.extents[-1].last if self.extents else 0

    @property
    def attempts(self) -> int:
        """How many attempts have recorded something."""
        return max((extent.header.attempt for extent in self.extents), default=0)


def segment_path(folder: Path, number: int) -> Path:
    """The file of a segment."""
    return folder / f"{number:06d}.jsonl"


def segment_numbers(files: Files, folder: Path) -> list[int]:
    """The numbers of the segment files in a folder, in order."""
    return sorted(int(found[1]) for name in files.names(folder) if (found := _SEGMENT_NAME.fullmatch(name)))


def recover(files: Files, folder: Path, boot: str, *, strict: bool = True) -> Past:
    """Find what counts of the log in `folder`, as a machine of this boot.

    Reads the headers of all segments, and all bytes of the last one; after another boot, all of the last attempt.
    strict=False is for readers of a log that may be growing: the end is simply where whole records end. Raises
    Corrupted where bytes are not what was written and no kill or power loss explains it, NewerFormat, and WriteFailed
    where the files cannot be read.
    """
    with write_errors(folder):
        return _recover(files, folder, boot, strict=strict)


def _recover(files: Files, folder: Path, boot: str, *, strict: bool) -> Past:
    numbers = segment_numbers(files, folder)
    chain: list[tuple[Path, Header, int, int]] = []  # newest first
    wanted: int | None = None
    for number in reversed(numbers):
        if wanted is not None and number != wanted:
            continue  # abandoned after a failed sync, or its header never got whole
        path = segment_path(folder, number)
        try:
            header, start, crc = _header_of(files, path)
        except NotAHeader as error:
            if wanted is not None:
                raise Corrupted(path, 0, f"{error}, and the next segment builds on it") from None
            _refuse_records_without_header(files, path, str(error))
            continue
        chain.append((path, header, start, crc))
        if header.prev is None:
            break
        wanted = header.prev.segment
    if chain and chain[-1][1].prev is not None:
        raise Corrupted(chain[-1][0], 0, f"it builds on segment {wanted}, which is missing")
    chain.reverse()
    if not chain:
        return Past(highest_segment=numbers[-1] if numbers else 0)
    path, header, start, crc = chain[-1]
    torn_from = header.attempt if header.boot != boot else header.attempt + 1  # an attempt syncs the ones before it
    extents = [
        _closed_extent(files, *entry, following[1], is_synced=entry[1].attempt < torn_from)
        for entry, following in pairwise(chain)
    ]
    past = Past(tuple(extents), highest_segment=numbers[-1])
    if header.boot == boot:
        data = read_whole(files, path)
        extent, torn = _scan_same_boot(path, header, start, crc, data, strict=strict)
        return msgspec.structs.replace(past, extents=(*extents, extent), torn=torn)
    return _recover_after_power_loss(files, past, chain)


def _header_of(files: Files, path: Path) -> tuple[Header, int, int]:
    file = files.open(path)
    try:
        data = file.read(_HEADER_READ, 0)
    finally:
        file.close()
    try:
        return read_header(data)
    except UnknownVersion as error:
        raise NewerFormat(path, error.args[0], FORMAT_VERSION) from None


def _refuse_records_without_header(files: Files, path: Path, reason: str) -> None:
    # A header is synced before the first record is accepted, so a torn one has nothing whole behind it.
    data = read_whole(files, path)
    offset = 0
    for line in data.split(b"\n"):
        if offset and line.strip(b"\0") and read_head(line) is not None:
            raise Corrupted(path, 0, f"{reason}, and whole records follow it")
        offset += len(line) + 1


def check_closes(files: Files, past: Past, position: int) -> None:
    """Raise Corrupted where the bytes of a segment that holds records behind `position` are not what was closed. The last one
    was looked at in full when it was recovered."""
    for extent in past.extents[:-1]:
        if extent.last > position:
            with read_errors(extent.path):
                data = read_whole(files, extent.path)
            for offset, what in failing_closes(data, extent):
                raise Corrupted(extent.path, offset, what)


def failing_closes(data: bytes, extent: Extent) -> Iterator[tuple[int, str]]:
    """Where a segment's bytes are not what was closed, or what the next segment says of them: the offset, and what is wrong."""
    pos = extent.start
    _, _, crc = read_header(data)
    for close in read_closes(data[: extent.end], pos, crc):
        if not close.good:
            yield pos, f"the bytes from here to {close.end} do not match their close"
        pos, crc = close.end, close.crc
    if zlib.crc32(data[pos : extent.end], crc) != extent.crc:
        yield pos, f"the bytes from here to {extent.end} do not match what the next segment says"


def _closed_extent(
    files: Files, path: Path, header: Header, start: int, crc: int, following: Header, *, is_synced: bool
) -> Extent:
    assert following.prev is not None
    prev = following.prev
    if following.first != prev.n + 1 or prev.n < header.first - 1:
        raise Corrupted(path, 0, f"segment {following.segment} says that it ends with record {prev.n}, which cannot be")
    file = files.open(path)
    try:
        size = file.size()
    finally:
        file.close()
    if is_synced and size < prev.length:
        raise Corrupted(path, size, f"the file ends here, and segment {following.segment} builds on {prev.length} bytes of it")
    return Extent(path, header, start, prev.length, prev.n, int(prev.crc, 16))


def _scan_same_boot(
    path: Path, header: Header, start: int, crc: int, data: bytes, *, strict: bool
) -> tuple[Extent, tuple[Path, int, bytes] | None]:
    """A kill can damage nothing but the very end: behind it, no line is a whole record."""
    end, last = start, header.first - 1
    closes = list(read_closes(data, start, crc))
    for index, close in enumerate(closes):
        if not close.good:
            if strict and index + 1 < len(closes) and closes[index + 1].good:
                raise Corrupted(path, end, f"the bytes from here to {close.end} do not match their close")
            break
        end, crc = close.end, close.crc
    if end > start:
        last = _closing_number(path, data, end)
    closed = end
    end, last = scan_lines(path, data, end, last, strict=strict)
    crc = zlib.crc32(data[closed:end], crc)
    rest = data[end:]
    torn = (path, end, rest.rstrip(b"\n\0")) if rest.strip(b"\n\0") else None
    if strict and torn is not None:
        lines, n = rest.split(b"\n"), last
        while len(lines) > 1 and (head := read_head(lines[0])) is not None and head.join and head.n == n + 1:
            lines, n = lines[1:], head.n  # whole, of a piece that is torn further on
        for line in lines[1:]:
            if line and (head := read_head(line)) is not None and head.n > last:
                raise Corrupted(path, end, f"no whole record stands here, and record {head.n} follows")
    return Extent(path, header, start, end, last, crc), torn


def scan_lines(path: Path, data: bytes, end: int, last: int, *, strict: bool) -> tuple[int, int]:
    """Take whole, gap-free lines behind the last close; a piece that was to be appended whole counts whole or not at all."""
    pos, n = end, last
    while (newline := data.find(b"\n", pos)) > pos:
        line = data[pos:newline]
        head = read_head(line)
        if head is None:
            break
        if head.n != n + 1:
            if strict:
                raise Corrupted(path, pos, f"record {n + 1} should stand here, and record {head.n} does")
            break
        if strict and not head.join and line.endswith(b'"}') and b',"crc":"' in line[-20:]:
            raise Corrupted(path, end, f"the bytes from here to {newline} do not match their close")
        pos, n = newline + 1, head.n
        if not head.join:
            end, last = pos, n
    return end, last


def _recover_after_power_loss(files: Files, past: Past, chain: list[tuple[Path, Header, int, int]]) -> Past:
    """The tear is at the first bad close of the last attempt, unless a later good close says `synced` beyond it."""
    attempt = chain[-1][1].attempt
    first = next(index for index, entry in enumerate(chain) if entry[1].attempt == attempt)
    extents = list(past.extents[:first])
    for index in range(first, len(chain)):
        path, header, start, crc = chain[index]
        is_last = index + 1 == len(chain)
        data = read_whole(files, path)
        promised = None if is_last else past.extents[index]
        end, last = start, header.first - 1
        closes = list(read_closes(data, start, crc))
        bad: FoundClose | None = None
        for close in closes:
            if not close.good:
                bad = close
                break
            if promised is not None and close.end > promised.end:
                break
            end, crc = close.end, close.crc
        if end > start:
            last = _closing_number(path, data, end)
        extent = Extent(path, header, start, end, last, crc)
        if promised is not None and end == promised.end and last == promised.last:
            extents.append(promised)
            continue
        later = [entry[0] for entry in chain[index + 1 :]]
        synced = _synced_beyond(data, end, closes)
        for other, _, other_start, other_crc in chain[index + 1 :]:
            more = read_whole(files, other)
            synced = max(synced, _synced_beyond(more, other_start, list(read_closes(more, other_start, other_crc))))
        if synced > last:
            what = f"the bytes from here to {bad.end} do not match their close" if bad else "the segment ends here"
            raise Corrupted(path, end, f"{what}, and records up to {synced} had been synced")
        rest = data[end:]
        dropped = sum(1 for line in rest.split(b"\n") if line and read_head(line) is not None)
        torn = (path, end, rest.rstrip(b"\n\0")) if rest.strip(b"\n\0") else None
        return msgspec.structs.replace(past, extents=(*extents, extent), torn=torn, abandoned=tuple(later), dropped=dropped)
    return msgspec.structs.replace(past, extents=tuple(extents))


def _closing_number(path: Path, data: bytes, end: int) -> int:
    line_start = data.rfind(b"\n", 0, end - 1) + 1
    head = read_head(data[line_start : end - 1])
    if head is None:
        raise Corrupted(path, line_start, "the line of a good close is not a whole record")
    return head.n


def _synced_beyond(data: bytes, end: int, closes: list[FoundClose]) -> int:
    """The highest `synced` that a good close behind `end` states."""
    highest = 0
    for close in closes:
        if close.good and close.end > end:
            line_start = data.rfind(b"\n", 0, close.end - 1) + 1
            head = read_head(data[line_start : close.end - 1])
            if head is not None and head.synced is not None:
                highest = max(highest, head.synced)
    return highest
