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
from holdfast.storage.seals import SEALED_NAME, Covered, SealsFound, check_seal, find_seals

_SEGMENT_NAME = re.compile(r"([0-9]{6,})\.jsonl")
_HEADER_READ = 64 << 10


class Extent(msgspec.Struct, frozen=True):
    """The part of a segment that counts: bytes start to end, records header.first to last. Of a sealed one `path` is the sealed
    file, and the bytes are those of the file of lines that it was."""

    path: Path
    header: Header
    start: int
    end: int
    last: int
    crc: int
    """The chain of closes up to `end`: the last close's value, continued over the lines behind it."""

    @property
    def is_sealed(self) -> bool:
        """Whether it stands in a sealed file."""
        return self.path.suffix == ".parquet"


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


def has_segments(files: Files, folder: Path) -> bool:
    """Whether there is a segment in a folder, of lines or sealed."""
    return any(_SEGMENT_NAME.fullmatch(name) or SEALED_NAME.fullmatch(name) for name in files.names(folder))


def segment_numbers(files: Files, folder: Path) -> list[int]:
    """The numbers of the files of lines in a folder, in order."""
    return sorted(int(found[1]) for name in files.names(folder) if (found := _SEGMENT_NAME.fullmatch(name)))


def recover(files: Files, folder: Path, boot: str, *, strict: bool = True) -> Past:
    """Find what counts of the log in `folder`, as a machine of this boot.

    Reads the headers of all segments, and all bytes of the last one; after another boot, all of the last attempt.
    strict=False is for readers of a log that may be growing: the end is simply where whole records end. Raises
    Corrupted where bytes are not what was written and no kill or power loss explains it, NewerFormat, and WriteFailed
    where the files cannot be read.
    """
    with write_errors(folder):
        try:
            return _recover(files, folder, boot, strict=strict)
        except FileNotFoundError:  # lines that were listed have been sealed meanwhile
            return _recover(files, folder, boot, strict=strict)


class _Link(msgspec.Struct, frozen=True):
    """A segment of the chain. sealed: where it stands in a sealed file, and no lines are there."""

    path: Path
    header: Header
    start: int
    crc: int
    sealed: Covered | None = None


def _recover(files: Files, folder: Path, boot: str, *, strict: bool) -> Past:
    # The lines are listed first: what is sealed meanwhile is then found sealed.
    numbers = segment_numbers(files, folder)
    seals = find_seals(files, folder)
    chain = _chain_of(files, folder, numbers, seals)
    highest = max([*numbers, *seals.segments], default=0)
    if not chain:
        for broken in seals.broken:
            raise broken
        return Past(highest_segment=highest)
    last = chain[-1]
    torn_from = last.header.attempt if last.header.boot != boot else last.header.attempt + 1  # it syncs the ones before it
    extents = [
        _closed_extent(files, link, following.header, is_synced=link.header.attempt < torn_from)
        for link, following in pairwise(chain)
    ]
    past = Past(tuple(extents), highest_segment=highest)
    if last.sealed is not None:
        return msgspec.structs.replace(past, extents=(*extents, _sealed_extent(last.sealed)))
    if last.header.boot == boot:
        data = read_whole(files, last.path)
        extent, torn = _scan_same_boot(last.path, last.header, last.start, last.crc, data, strict=strict)
        return msgspec.structs.replace(past, extents=(*extents, extent), torn=torn)
    return _recover_after_power_loss(files, past, chain)


def _chain_of(files: Files, folder: Path, numbers: list[int], seals: SealsFound) -> list[_Link]:
    """The segments that count, in order. Where lines and a sealed file are there, the lines win."""
    chain: list[_Link] = []  # newest first
    following: Header | None = None
    with_lines = set(numbers)
    for number in sorted({*numbers, *seals.segments}, reverse=True):
        wanted = following.prev.segment if following is not None and following.prev is not None else None
        if wanted is not None and number != wanted:
            continue  # abandoned after a failed sync, or its header never got whole
        path = segment_path(folder, number)
        if number in with_lines:
            try:
                link = _Link(path, *_header_of(files, path))
            except NotAHeader as error:
                if wanted is not None:
                    raise Corrupted(path, 0, f"{error}, and the next segment builds on it") from None
                _refuse_records_without_header(files, path, str(error))
                continue
        else:
            covered = _agreeing(seals.segments[number], following)
            link = _Link(covered.path, covered.header, covered.start, 0, covered)
        chain.append(link)
        following = link.header
        if link.header.prev is None:
            break
    if following is not None and following.prev is not None:
        what = f"segment {following.segment} builds on segment {following.prev.segment}"
        for broken in seals.broken:
            raise Corrupted(broken.path, broken.offset, f"{broken.reason}; {what}, which is nowhere else")
        raise Corrupted(chain[-1].path, 0, f"it builds on segment {following.prev.segment}, which is missing")
    chain.reverse()
    return chain


def _agreeing(found: list[Covered], following: Header | None) -> Covered:
    """Of what sealed files have of a segment: what the next segment says of it."""
    if following is None or following.prev is None:
        return found[0]
    prev = following.prev
    for covered in found:
        segment = covered.segment
        if (segment.length, segment.n, segment.crc) == (prev.length, prev.n, prev.crc):
            return covered
    what = f"segment {prev.segment} ends with record {found[0].segment.n} here, with another close than segment"
    raise Corrupted(found[0].path, 0, f"{what} {following.segment} says, which builds on it")


def _sealed_extent(covered: Covered) -> Extent:
    segment = covered.segment
    return Extent(covered.path, covered.header, covered.start, segment.length, segment.n, int(segment.crc, 16))


def sealed_meanwhile(files: Files, extent: Extent) -> Extent | None:
    """Where a part of a log stands whose lines are gone: in the sealed file that was made of them, or nowhere."""
    for covered in find_seals(files, extent.path.parent).segments.get(extent.header.segment, ()):
        if covered.header == extent.header and covered.segment.n >= extent.last:
            return msgspec.structs.replace(extent, path=covered.path)
    return None


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
    sealed = {extent.path for extent in past.extents if extent.is_sealed and extent.last > position}
    for path in sorted(sealed):
        check_seal(files, path)
    for extent in past.extents[:-1]:
        if extent.last > position and not extent.is_sealed:
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


def _closed_extent(files: Files, link: _Link, following: Header, *, is_synced: bool) -> Extent:
    assert following.prev is not None
    prev, path, header = following.prev, link.path, link.header
    if following.first != prev.n + 1 or prev.n < header.first - 1:
        raise Corrupted(path, 0, f"segment {following.segment} says that it ends with record {prev.n}, which cannot be")
    if link.sealed is not None:
        return _sealed_extent(link.sealed)
    file = files.open(path)
    try:
        size = file.size()
    finally:
        file.close()
    if is_synced and size < prev.length:
        raise Corrupted(path, size, f"the file ends here, and segment {following.segment} builds on {prev.length} bytes of it")
    return Extent(path, header, link.start, prev.length, prev.n, int(prev.crc, 16))


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


def _recover_after_power_loss(files: Files, past: Past, chain: list[_Link]) -> Past:
    """The tear is at the first bad close of the last attempt, unless a later good close says `synced` beyond it."""
    attempt = chain[-1].header.attempt
    first = next(index for index, link in enumerate(chain) if link.header.attempt == attempt)
    extents = list(past.extents[:first])
    for index in range(first, len(chain)):
        path, header, start, crc = chain[index].path, chain[index].header, chain[index].start, chain[index].crc
        if chain[index].sealed is not None:  # synced before it got its name
            extents.append(past.extents[index])
            continue
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
        later = [link.path for link in chain[index + 1 :]]
        synced = _synced_beyond(data, end, closes)
        for other in chain[index + 1 :]:
            if other.sealed is not None:
                synced = max(synced, other.sealed.segment.n)
                continue
            more = read_whole(files, other.path)
            synced = max(synced, _synced_beyond(more, other.start, list(read_closes(more, other.start, other.crc))))
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
