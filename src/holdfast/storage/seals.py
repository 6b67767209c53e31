"""What a sealed file says of itself, and that its bytes are the ones that were written (docs/format.md, "Sealed files").

A sealed file is a Parquet file with one more piece between its data and its footer, which Parquet passes over: the *seal*.
Reading it needs no DuckDB.
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from holdfast.errors import Corrupted, NewerFormat
from holdfast.storage.files import File, Files, read_errors
from holdfast.storage.lines import CLOSE_BYTES, FORMAT_VERSION, Header, NotAHeader, close_line, read_header

SEALED_NAME = re.compile(r"([0-9]{6,})\.parquet")
SEALING_NAME = re.compile(r"\.[0-9]{6,}\.(?:parquet|lines|columns)\.tmp")
"""What a file is called that is not sealed yet."""
PIECE_BYTES = 1 << 20  # of the data, under one checksum
_MAGIC = b"PAR1"
_MARK = re.compile(rb"holdfast ([0-9]{10})\n")
_MARK_BYTES = 20
_TAIL_READ = 64 << 10

MetaType = Literal["text", "int", "float", "bool"]


class SealedSegment(msgspec.Struct, frozen=True):
    """A segment that a file stands for: the line of its header, without the newline, and what a next segment's `prev` says of
    it. `n` is its last record."""

    header: str
    length: int
    n: int
    crc: str

    def read_header(self) -> tuple[Header, int]:
        """The header, and the offset of its first record in the file of lines that it was."""
        header, start, _ = read_header(self.header.encode() + b"\n")
        return header, start


class LineBlock(msgspec.Struct, frozen=True, array_like=True):
    """Consecutive lines: the number of the first one, their bytes with newlines, and the CRC-32 of those."""

    first: int
    bytes: int
    crc: int


class Seal(msgspec.Struct, tag_field="kind", tag="sealed", frozen=True, kw_only=True):
    """What a sealed file says of itself.

    token: what the tokens in the columns are. fields: which fields of a token have columns, in the order of its line. meta:
    the columns of `meta`, in order. has_escapes: whether some text in the columns may need escapes in its line. data: the
    CRC-32 of each MiB before the seal; footer: of the bytes behind it, but for the last eight.
    """

    format: int
    first: int
    last: int
    segments: tuple[SealedSegment, ...]
    token: Literal["text", "int"] = "text"
    fields: tuple[str, ...] = ()
    meta: tuple[tuple[str, MetaType], ...] = ()
    has_escapes: bool = False
    blocks: tuple[LineBlock, ...] = ()
    data_bytes: int = 0
    data: tuple[int, ...] = ()
    footer: int = 0


class _Version(msgspec.Struct, tag_field="kind", tag="sealed"):
    format: int


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_encode = msgspec.json.Encoder().encode
_decode_seal = msgspec.json.Decoder(Seal).decode
_decode_version = msgspec.json.Decoder(_Version).decode


def sealing_path(folder: Path, number: int, part: Literal["parquet", "lines", "columns"]) -> Path:
    """What is called so before the sealed file gets its name."""
    return folder / f".{number:06d}.{part}.tmp"


def is_sealing(files: Files, folder: Path) -> bool:
    """Whether a process is sealing in a folder now: it holds the flock of the folder itself."""
    try:
        file = files.open(folder)
    except FileNotFoundError:
        return False
    try:
        return not file.lock()
    finally:
        file.close()


def sealed_path(folder: Path, number: int) -> Path:
    """The sealed file whose first segment is `number`."""
    return folder / f"{number:06d}.parquet"


def seal_bytes(seal: Seal) -> bytes:
    """The seal as it stands in the file."""
    line, _ = close_line(_encode(seal), 0)
    return b"%b\nholdfast %010d\n" % (line, len(line) + 1)


def split_parquet(path: Path, file: File) -> tuple[int, bytes]:
    """Where the footer of a Parquet file begins, and the footer with its last eight bytes. Raises Corrupted."""
    size = file.size()
    end = file.read(8, max(0, size - 8))
    if size < 12 or end[4:] != _MAGIC or file.read(4, 0) != _MAGIC:
        raise Corrupted(path, size, "this is no whole Parquet file: it does not begin and end as one")
    start = size - 8 - int.from_bytes(end[:4], "little")
    if start < 4:
        raise Corrupted(path, size - 8, "this is no whole Parquet file: its footer would be larger than it is")
    return start, _read(path, file, start, size)


def checksums(chunks: Iterable[bytes]) -> tuple[int, ...]:
    """The CRC-32 of each MiB of some data that comes in pieces."""
    found: list[int] = []
    crc = filled = 0
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            part = view[: PIECE_BYTES - filled]
            crc, filled, view = zlib.crc32(part, crc), filled + len(part), view[len(part) :]
            if filled == PIECE_BYTES:
                found.append(crc)
                crc = filled = 0
    return tuple([*found, crc] if filled else found)


def read_seal(files: Files, path: Path) -> Seal:
    """The seal of a file. Raises Corrupted where it has none that is whole, NewerFormat, and OSError."""
    file = files.open(path)
    try:
        return _read_seal(path, file)[0]
    finally:
        file.close()


def _read_seal(path: Path, file: File) -> tuple[Seal, int, bytes]:
    """The seal, the offset behind it, and the bytes from there on."""
    footer_start, footer = split_parquet(path, file)
    mark = _MARK.fullmatch(file.read(_MARK_BYTES, footer_start - _MARK_BYTES) if footer_start > _MARK_BYTES else b"")
    start = footer_start - _MARK_BYTES - int(mark[1]) if mark else -1
    if start < len(_MAGIC):
        raise Corrupted(path, footer_start, "this Parquet file has no seal: it is none of Holdfast's, or something rewrote it")
    line = _read(path, file, start, footer_start - _MARK_BYTES)[:-1]
    if close_line(line[:-CLOSE_BYTES] + b"}", 0)[0] != line:
        raise Corrupted(path, start, "the seal does not match its close")
    try:
        version = _decode_version(line).format
        if version > FORMAT_VERSION:
            raise NewerFormat(path, version, FORMAT_VERSION)
        seal = _decode_seal(line)
        for segment in seal.segments:
            segment.read_header()
    except (*_UNREADABLE, NotAHeader) as error:
        raise Corrupted(path, start, f"the seal cannot be read: {error}") from None
    if seal.data_bytes != start:
        raise Corrupted(path, start, f"the seal stands here, and says that it stands at byte {seal.data_bytes}")
    if not seal.segments:
        raise Corrupted(path, start, "the seal names no segment")
    return seal, footer_start, footer


def failing_pieces(files: Files, path: Path) -> Iterator[tuple[int, str]]:
    """Where the bytes of a sealed file are not what was written: the offset, and what is wrong. Looks at every byte. Raises
    OSError."""
    file = files.open(path)
    try:
        try:
            seal, footer_start, footer = _read_seal(path, file)
        except Corrupted as error:
            yield error.offset, error.reason
            return
        if zlib.crc32(footer[:-8]) != seal.footer:
            yield footer_start, "the footer does not match the checksum in the seal"
        if len(seal.data) != -(-seal.data_bytes // PIECE_BYTES):
            yield seal.data_bytes, f"the seal has {len(seal.data)} checksums for {seal.data_bytes} bytes"
        for index, expected in enumerate(seal.data):
            offset = index * PIECE_BYTES
            if zlib.crc32(_read(path, file, offset, min(offset + PIECE_BYTES, seal.data_bytes))) != expected:
                yield offset, f"the bytes from here to {min(offset + PIECE_BYTES, seal.data_bytes)} do not match their checksum"
    finally:
        file.close()


def check_seal(files: Files, path: Path) -> None:
    """Raise Corrupted where a byte of a sealed file is not what was written, and ReadFailed."""
    with read_errors(path):
        for offset, what in failing_pieces(files, path):
            raise Corrupted(path, offset, what)


class Covered(msgspec.Struct, frozen=True):
    """A segment as a sealed file has it. start: the offset of its first record in the file of lines that it was."""

    path: Path
    segment: SealedSegment
    header: Header
    start: int


class SealsFound(msgspec.Struct, frozen=True):
    """The sealed files of a folder, in order; what is wrong with those that have no whole seal; and by number what the files
    have of each segment, the newest file first."""

    seals: tuple[tuple[Path, Seal], ...] = ()
    broken: tuple[Corrupted, ...] = ()
    segments: dict[int, list[Covered]] = {}


def sealed_numbers(files: Files, folder: Path) -> list[int]:
    """The numbers by which the sealed files of a folder are named, in order."""
    return sorted(int(found[1]) for name in files.names(folder) if (found := SEALED_NAME.fullmatch(name)))


def find_seals(files: Files, folder: Path) -> SealsFound:
    """All sealed files of a folder. Raises NewerFormat, and OSError."""
    seals: list[tuple[Path, Seal]] = []
    broken: list[Corrupted] = []
    segments: dict[int, list[Covered]] = {}
    for number in sealed_numbers(files, folder):
        path = sealed_path(folder, number)
        try:
            seal = read_seal(files, path)
        except Corrupted as error:
            broken.append(error)
            continue
        except FileNotFoundError:
            continue  # the session was deleted meanwhile
        seals.append((path, seal))
        for segment in seal.segments:
            header, start = segment.read_header()
            segments.setdefault(header.segment, []).insert(0, Covered(path, segment, header, start))
    return SealsFound(tuple(seals), tuple(broken), segments)


def _read(path: Path, file: File, start: int, end: int) -> bytes:
    data = file.read(end - start, start)
    if len(data) != end - start:
        raise Corrupted(path, start + len(data), "the file ends here, and more should follow")
    return data
