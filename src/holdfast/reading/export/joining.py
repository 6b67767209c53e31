"""Files of one format, one after the other, as one file."""

import struct
from collections.abc import Callable, Iterable, Iterator

from holdfast.reading.export.thrift import I64, STRUCT, Field, Listed, Struct, read_struct, write_struct
from holdfast.storage.files import File, chunks_of

_MAGIC = b"PAR1"
_TAIL = struct.Struct("<I4s")
"""The length of a Parquet file's footer, and the format's name: github.com/apache/parquet-format, README.md."""
_SCHEMA, _ROWS, _GROUPS = 2, 3, 4
_GROUP_COLUMNS, _GROUP_OFFSET, _GROUP_ORDINAL = 1, 5, 7
_CHUNK_OFFSETS, _CHUNK_META = (2, 4, 6), 3
_META_OFFSETS = (9, 10, 11, 14)
"""The numbers of fields that say where something stands, parquet.thrift: of the chunk of a column itself, of its indexes, and
of its data pages, index pages, dictionary and Bloom filter."""
_OPEN, _CLOSE, _BETWEEN = b"[\n\t", b"\n]\n", b",\n\t"
"""What DuckDB puts before, after and between the objects of a JSON list."""


def joined_csv(files: Iterable[File]) -> Iterator[bytes]:
    """The bytes of CSV files, of which the first alone has a header."""
    for file in files:
        yield from chunks_of(file, file.size())


def joined_json(files: Iterable[File]) -> Iterator[bytes]:
    """The bytes of a list with the entries of all lists."""
    before = _OPEN
    for file in files:
        behind = file.size() - len(_CLOSE)
        if behind > len(_OPEN):
            yield before
            yield from chunks_of(file, behind, len(_OPEN))
            before = _BETWEEN
    yield _CLOSE if before == _BETWEEN else _OPEN + _CLOSE


def joined_parquet(files: Iterable[File]) -> Iterator[bytes]:
    """The bytes of a Parquet file with the row groups of all, which have the same columns. The first tells of all else."""
    yield _MAGIC
    at = len(_MAGIC)
    whole: Struct = {}
    groups: list[bytes] = []
    rows = 0
    for file in files:
        footer, behind = _footer(file)
        yield from chunks_of(file, behind, len(_MAGIC))
        whole = whole or footer
        if footer[_SCHEMA] != whole[_SCHEMA]:
            raise AssertionError("pieces of one table have other columns")
        for group in footer[_GROUPS].value.values:
            _move(group, at - len(_MAGIC))
            groups.append(write_struct(group))
        rows += footer[_ROWS].value
        at += behind - len(_MAGIC)
    whole |= {_ROWS: Field(I64, rows), _GROUPS: Field(whole[_GROUPS].type, Listed(STRUCT, groups))}
    written = write_struct(whole)
    yield written + _TAIL.pack(len(written), _MAGIC)


def _footer(file: File) -> tuple[Struct, int]:
    """The footer of a Parquet file, and where it begins."""
    size = file.size()
    length, magic = _TAIL.unpack(file.read(_TAIL.size, size - _TAIL.size))
    if magic != _MAGIC:
        raise AssertionError("a piece of Parquet does not end as one")
    begin = size - _TAIL.size - length
    return read_struct(file.read(length, begin)), begin


def _move(group: Struct, by: int) -> None:
    """Have a row group say that it stands so many bytes later, and not the how-manieth it is, which need not be said."""
    _shift(group, (_GROUP_OFFSET,), by)
    group.pop(_GROUP_ORDINAL, None)
    for chunk in group[_GROUP_COLUMNS].value.values:
        _shift(chunk, _CHUNK_OFFSETS, by)
        _shift(chunk[_CHUNK_META].value, _META_OFFSETS, by)


def _shift(fields: Struct, numbers: Iterable[int], by: int) -> None:
    for number in numbers:
        if number in fields and fields[number].value:  # 0 is said of what is nowhere
            fields[number] = Field(I64, fields[number].value + by)


JOINED: dict[str, Callable[[Iterable[File]], Iterator[bytes]]] = {
    "json": joined_json,
    "csv": joined_csv,
    "parquet": joined_parquet,
}
