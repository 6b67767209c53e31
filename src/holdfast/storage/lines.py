"""How records stand in a segment: lines, the header, and the chained closes (docs/format.md, "Lines" and "Closing")."""

import re
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

FORMAT_VERSION = 1
MAX_LINE_BYTES = 16 << 20
CLOSE_BYTES = len(',"crc":"01234567"}')
_CLOSE = re.compile(rb',"crc":"([0-9a-f]{8})"\}\n')


class Predecessor(msgspec.Struct, frozen=True):
    """Where the log stood before a segment: readers stop at `length` bytes of that file, its chain of closes at `crc`."""

    segment: int
    length: int
    n: int
    crc: str


class Header(msgspec.Struct, tag_field="kind", tag="segment", frozen=True, kw_only=True):
    """The first line of a segment; it closes itself, seeded with 0."""

    format: int
    session: str
    writer: str
    segment: int
    attempt: int
    boot: str
    durability: str
    first: int
    prev: Predecessor | None = None


class Head(msgspec.Struct):
    """The part of a record that recovery needs. join: it counts only together with the next line."""

    kind: str
    n: int
    join: bool = False
    synced: int | None = None


class _Version(msgspec.Struct, tag_field="kind", tag="segment"):
    format: int


class FoundClose(NamedTuple):
    """A closing line: `end` is the offset behind its newline, `crc` the value written there."""

    start: int
    end: int
    crc: int
    good: bool


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_encode = msgspec.json.Encoder().encode
_decode_header = msgspec.json.Decoder(Header).decode
_decode_head = msgspec.json.Decoder(Head).decode
_decode_version = msgspec.json.Decoder(_Version).decode


def close_line(line: bytes, crc: int) -> tuple[bytes, int]:
    """Give a line its close. crc is the value over everything since the close before; returns the line and the new value."""
    body = line[:-1]
    crc = zlib.crc32(body, crc)
    return b'%b,"crc":"%08x"}' % (body, crc), crc


def join_line(line: bytes) -> bytes:
    """Mark a line as counting only together with the next one."""
    return line[:-1] + b',"join":true}'


def stamp_synced(line: bytes, n: int) -> bytes:
    """Note in a line, before it is closed, up to which record the log was synced already."""
    return b'%b,"synced":%d}' % (line[:-1], n)


def strip_close(line: bytes) -> bytes:
    """A line as it was before stamp_synced and close_line; one without a close comes back as it is."""
    if not _CLOSE.fullmatch(line[-CLOSE_BYTES:] + b"\n"):
        return line
    return re.sub(rb',"synced":[0-9]+\Z', b"", line[:-CLOSE_BYTES]) + b"}"


def header_line(header: Header) -> tuple[bytes, int]:
    """A segment's first line with its newline, and the value of its close."""
    line, crc = close_line(_encode(header), 0)
    return line + b"\n", crc


class NotAHeader(ValueError):
    """The first line is not a whole header."""


class UnknownVersion(ValueError):
    """A header of a newer format; the version is the first argument."""


def read_header(data: bytes) -> tuple[Header, int, int]:
    """Header, its length with newline, and the value of its close, from the first bytes of a segment."""
    end = data.find(b"\n")
    if end < 0:
        raise NotAHeader("the first line has no end")
    line = data[:end]
    try:
        version = _decode_version(line).format
    except _UNREADABLE:
        raise NotAHeader("the first line is not a segment header") from None
    sealed, crc = close_line(line[:-CLOSE_BYTES] + b"}", 0)
    if sealed != line:
        raise NotAHeader("the header's close does not match its bytes")
    if version > FORMAT_VERSION:
        raise UnknownVersion(version)
    try:
        return _decode_header(line), end + 1, crc
    except _UNREADABLE as error:
        raise NotAHeader(str(error)) from None


def read_head(line: bytes) -> Head | None:
    """The head of a record's line, or None where the line is not a whole record."""
    try:
        if not line.isascii():
            line.decode()  # the decoder does not look into what it skips
        return _decode_head(line)
    except _UNREADABLE:
        return None


def read_closes(data: bytes, start: int, crc: int) -> Iterator[FoundClose]:
    """Every close in data from start on, checked. Behind a bad one the chain goes on with the value written there."""
    view = memoryview(data)
    for match in _CLOSE.finditer(data, start):
        good = zlib.crc32(view[start : match.start()], crc)
        crc = int(match[1], 16)
        yield FoundClose(start, match.end(), crc, good == crc)
        start = match.end()


def largest_field(line: bytes) -> tuple[str, str]:
    """The path of the largest field of a line that is too long, and the reason to refuse it."""
    fields = msgspec.json.decode(line)
    sizes = {key: len(_encode(value)) for key, value in fields.items()}
    name = max(sizes, key=lambda key: sizes[key])
    reason = f"the record would take {len(line):,} bytes and the limit is {MAX_LINE_BYTES:,}; most of it is this field"
    return f"{fields['kind']}.{name}", reason
