"""Pieces of the index as files: WORKSPACE/index/SESSION/FIRST-LAST.tokens, numbers of records. Any of them can be deleted.

A file is `HOLDFIDX`, the length of its head and the head's CRC-32 (4 bytes each, little-endian), the head as JSON, and
arrays, each at a multiple of 64 bytes. It gets its name when it is synced, so that what has a name is whole.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec

from holdfast.reading.index.dictionary import Dictionary
from holdfast.reading.index.piece import Piece
from holdfast.reading.index.sorted_lines import Lines
from holdfast.records import Range, Superseded
from holdfast.storage.files import Files, make_folders, replace_file
from holdfast.storage.host import is_alive

if TYPE_CHECKING:
    from holdfast.reading.index.sorted_lines import Array

INDEX_VERSION = 1
_MAGIC = b"HOLDFIDX"
_NAME = re.compile(r"([0-9]{12})-([0-9]{12})\.tokens")
_TEMPORARY = re.compile(r"\..+\.([0-9]+)-[0-9]+\.tmp")
_ALIGNED = 64
_COLUMNS = ("n", "place", "z", "ts", "top", "phase", "tier", "source", "lane")


class UnusableIndex(Exception):
    """A file of the index cannot be used; is_newer: because it is of a newer version, and must be left alone."""

    def __init__(self, path: Path, reason: str, *, is_newer: bool = False) -> None:
        super().__init__(path, reason)
        self.path, self.reason, self.is_newer = path, reason, is_newer

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class _Place(msgspec.Struct, array_like=True):
    kind: str
    offset: int
    count: int


class _Taken(msgspec.Struct, frozen=True):
    n: int
    ranges: list[Range]


class _Version(msgspec.Struct):
    version: int


class _Head(msgspec.Struct, kw_only=True):
    version: int
    first: int
    last: int
    mark: int
    base_ts: int
    names: dict[str, list[Any]]
    odd: dict[str, dict[int, str]]
    parts: int
    is_tidy: bool
    superseded: list[_Taken]
    arrays: dict[str, _Place]
    bytes: int


def index_folder(root: Path, session: str) -> Path:
    """Where a session's pieces are."""
    return root / "index" / session


def piece_path(folder: Path, first: int, last: int) -> Path:
    """The file of a piece."""
    return folder / f"{first:012d}-{last:012d}.tokens"


def stretches(files: Files, folder: Path) -> list[tuple[int, int]]:
    """The first and last record of each piece that has a file, in order; of those that begin alike the longest first."""
    found = [(int(match[1]), int(match[2])) for name in files.names(folder) if (match := _NAME.fullmatch(name))]
    return sorted(found, key=lambda stretch: (stretch[0], -stretch[1]))


def write_piece(files: Files, folder: Path, piece: Piece) -> Path:
    """Write a piece; what has its name already is replaced. Raises OSError, and then there is no trace of it."""
    if not files.exists(folder):
        make_folders(files, folder)
    path = piece_path(folder, piece.first, piece.last)
    replace_file(files, path, _encoded(piece))
    return path


def sweep(files: Files, folder: Path, kept: Sequence[Piece]) -> None:
    """Delete the pieces that others cover, and what processes that are gone left half written. Failing is no harm."""
    keep = {piece_path(folder, piece.first, piece.last).name for piece in kept}
    last = kept[-1].last if kept else 0
    for name in files.names(folder):
        match, temporary = _NAME.fullmatch(name), _TEMPORARY.fullmatch(name)
        is_covered = match is not None and name not in keep and int(match[2]) <= last
        if is_covered or (temporary is not None and not is_alive(int(temporary[1]))):
            try:
                files.unlink(folder / name)
            except OSError:
                pass  # another process did it, or may not be stopped from looking at it


def forget_the_gone(files: Files, root: Path) -> None:
    """Delete the pieces of sessions that are no more. Failing is no harm."""
    try:
        gone = [name for name in files.names(root / "index") if not files.exists(root / "sessions" / name)]
    except OSError:
        return
    for name in gone:
        folder = index_folder(root, name)
        try:
            found = files.names(folder)
            if found and all(_NAME.fullmatch(entry) or _TEMPORARY.fullmatch(entry) for entry in found):
                for entry in found:
                    files.unlink(folder / entry)
                files.rmdir(folder)
        except OSError:
            pass  # a file among the folders, or what another process is deleting too


def read_piece(files: Files, path: Path) -> Piece:
    """A piece from its file, whose arrays are mapped: only what is looked at is read. Raises UnusableIndex and OSError."""
    file = files.open(path)
    try:
        data = file.view()
    finally:
        file.close()
    head, base = _head(path, data)
    import numpy as np

    def array(name: str) -> "Array":
        place = head.arrays[name]
        found: Array = np.frombuffer(data, dtype=place.kind, count=place.count, offset=base + place.offset)
        return found

    def lines(name: str) -> Lines:
        place = head.arrays[f"{name}.data"]
        start = base + place.offset
        return Lines(data[start : start + place.count], array(f"{name}.starts"), head.odd.get(name, {}))

    texts = lines("texts")
    if head.parts:
        parts, codes = zip(*((lines(f"part{index}"), array(f"part{index}.codes")) for index in range(head.parts)), strict=True)
        dictionary = Dictionary(texts, parts, codes, array("counts"), is_tidy=head.is_tidy)
    else:
        dictionary = Dictionary(texts, is_tidy=head.is_tidy)
    return Piece(
        first=head.first,
        last=head.last,
        mark=head.mark,
        dictionary=dictionary,
        starts=array("starts"),
        postings=array("postings"),
        codes=array("codes"),
        columns={name: array(name) for name in _COLUMNS},
        names={name: tuple(values) for name, values in head.names.items()},
        base_ts=head.base_ts,
        superseded=tuple(Superseded(n=taken.n, ranges=taken.ranges, reason="") for taken in head.superseded),
    )


def _head(path: Path, data: memoryview) -> tuple[_Head, int]:
    length = int.from_bytes(data[8:12], "little")
    text = bytes(data[16 : 16 + length])
    if bytes(data[:8]) != _MAGIC or len(text) < length or crc32(text) != int.from_bytes(data[12:16], "little"):
        raise UnusableIndex(path, "half written, or not a file of the index")
    try:
        version = msgspec.json.decode(text, type=_Version).version
        if version > INDEX_VERSION:
            reason = f"of version {version}, and this Holdfast reads up to {INDEX_VERSION}"
            raise UnusableIndex(path, reason, is_newer=True)
        head = msgspec.json.decode(text, type=_Head)
    except msgspec.DecodeError as error:
        raise UnusableIndex(path, f"not as this version writes it ({error})") from None
    base = _aligned(16 + length)
    if len(data) != base + head.bytes:
        raise UnusableIndex(path, f"half written: it has {len(data):,} bytes, and {base + head.bytes:,} belong to it")
    return head, base


def _encoded(piece: Piece) -> Iterator[bytes]:
    import numpy as np

    dictionary = piece.dictionary
    arrays: dict[str, Array] = {}
    odd: dict[str, dict[int, str]] = {}

    def add(name: str, lines: Lines) -> None:
        arrays[f"{name}.data"] = np.frombuffer(lines.data, dtype=np.uint8)
        arrays[f"{name}.starts"] = lines.starts
        if lines.odd:
            odd[name] = lines.odd

    add("texts", dictionary.lines)
    for index, part in enumerate(dictionary.parts):
        add(f"part{index}", part)
        arrays[f"part{index}.codes"] = dictionary.codes[index]
    if dictionary.counts is not None:
        arrays["counts"] = dictionary.counts
    arrays |= {"starts": piece.starts, "postings": piece.postings, "codes": piece.codes}
    arrays |= {name: piece.columns[name] for name in _COLUMNS}
    places, offset = {}, 0
    for name, array in arrays.items():
        places[name] = _Place(array.dtype.str, offset, len(array))
        offset = _aligned(offset + array.nbytes)
    head = msgspec.json.encode(
        _Head(
            version=INDEX_VERSION,
            first=piece.first,
            last=piece.last,
            mark=piece.mark,
            base_ts=piece.base_ts,
            names={name: list(values) for name, values in piece.names.items()},
            odd=odd,
            parts=len(dictionary.parts),
            is_tidy=dictionary.is_tidy,
            superseded=[_Taken(record.n, record.ranges) for record in piece.superseded],
            arrays=places,
            bytes=offset,
        )
    )
    begin = _MAGIC + len(head).to_bytes(4, "little") + crc32(head).to_bytes(4, "little") + head
    yield begin.ljust(_aligned(len(begin)), b"\0")
    for array in arrays.values():
        if array.nbytes:
            yield array.tobytes().ljust(_aligned(array.nbytes), b"\0")


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNED) * _ALIGNED
