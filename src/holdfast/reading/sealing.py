"""How one sealed file is made: the lines of some segments, their columns by DuckDB, the seal, and the comparison.

A record stands in columns only where the line that is made of them again is its line, byte for byte; else the line is kept.
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from holdfast.errors import Corrupted, DiskFull, WriteFailed
from holdfast.storage.files import File, Files, RealFiles, chunks_of, read_errors, write_errors, write_synced
from holdfast.storage.lines import CLOSE_BYTES, FORMAT_VERSION, header_line
from holdfast.storage.recovery import Extent
from holdfast.storage.sealed import (
    SHARED_COLUMNS,
    SQL_TYPES,
    TOKEN_TYPES,
    SealedReader,
    connection,
    line_of,
    literal,
    meta_column,
    quoted,
    token_line,
)
from holdfast.storage.seals import (
    LineBlock,
    MetaType,
    Seal,
    SealedSegment,
    check_seal,
    checksums,
    seal_bytes,
    sealing_path,
    split_parquet,
)

ROW_GROUP_RECORDS = 61_440
_DICTIONARY_WORDS = 30_720  # of a column in a row group: up to there each is stored once
BLOCK_BYTES = 1 << 20
_MOST_SYNCED_BYTES = 40
_TAIL_BYTES = 64
_SAMPLES_A_BLOCK = 16  # at most, of whole lines in its first bytes
_SAMPLED_BYTES = 16 << 10
_MOST_META_COLUMNS = 32
_LARGEST_META_KEY = 100
_CLOSE = re.compile(rb',"crc":"([0-9a-f]{8})"\}\n')
_SYNCED = re.compile(rb',"synced":[0-9]+\Z')
_JSON_TYPES: dict[type, MetaType] = {str: "text", int: "int", float: "float", bool: "bool"}


class Staged(msgspec.Struct):
    """The lines of some segments, without closes, in a file of their own. tails: the last bytes of each segment's file."""

    path: Path
    segments: tuple[SealedSegment, ...]
    tails: tuple[bytes, ...]
    blocks: tuple[LineBlock, ...]
    samples: list[bytes]
    has_escapes: bool


def stage(files: Files, folder: Path, extents: tuple[Extent, ...]) -> Staged:
    """Put the lines of the segments together, and see on the way that they are what was closed. Raises Corrupted.

    The segments are synced: lines count while they are there, and must not tell less than the sealed file then.
    """
    path = sealing_path(folder, extents[0].header.segment, "lines")
    blocks: list[LineBlock] = []
    samples: list[bytes] = []
    segments: list[SealedSegment] = []
    tails: list[bytes] = []
    has_escapes = False
    with write_errors(path):
        out = files.open(path, write=True, create=True)
        try:
            out.truncate(0)
            offset, n = 0, extents[0].header.first
            for data in _blocks(_bare_lines(files, extents, segments, tails)):
                out.write(data, offset)
                blocks.append(LineBlock(n, len(data), zlib.crc32(data)))
                offset, n = offset + len(data), n + data.count(b"\n")
                samples += data[:_SAMPLED_BYTES].split(b"\n")[:-1][:_SAMPLES_A_BLOCK]
                has_escapes = has_escapes or b"\\" in data
        finally:
            out.close()
    if n != extents[-1].last + 1:
        raise Corrupted(extents[-1].path, 0, f"the segment ends with record {n - 1}, and should end with {extents[-1].last}")
    return Staged(path, tuple(segments), tuple(tails), tuple(blocks), samples, has_escapes)


def _blocks(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Whole lines in blocks of about a megabyte, or of one line more."""
    held: list[bytes] = []
    size = 0
    for part in parts:
        if held and size + len(part) > BLOCK_BYTES:
            yield b"".join(held) if len(held) > 1 else held[0]
            held, size = [], 0
        held.append(part)
        size += len(part)
    if held:
        yield b"".join(held)


def _bare_lines(
    files: Files, extents: tuple[Extent, ...], segments: list[SealedSegment], tails: list[bytes]
) -> Iterator[bytes]:
    """The lines without closes, in pieces; `segments` and `tails` are filled on the way."""
    for extent in extents:
        with read_errors(extent.path):
            file = files.open(extent.path)
            try:
                file.sync()
                header = file.read(extent.start, 0)
                expected, crc = header_line(extent.header)
                if header != expected:
                    raise Corrupted(extent.path, 0, "the header is not written as this version writes it")
                yield from _bare_segment(file, extent, crc)
                tails.append(tail_of(file, extent))
            finally:
                file.close()
        text = header[:-1].decode()
        segments.append(SealedSegment(text, extent.end, extent.last, f"{extent.crc:08x}"))


def _bare_segment(file: File, extent: Extent, crc: int) -> Iterator[bytes]:
    pos, size = extent.start, BLOCK_BYTES
    while pos < extent.end:
        data = file.read(min(size, extent.end - pos), pos)
        end = data.rfind(b"\n") + 1
        if not end:
            if len(data) < size:
                raise Corrupted(extent.path, pos + len(data), f"the file ends here, and {extent.end} bytes of it count")
            size *= 2  # a long line
            continue
        bare, crc = _strip_closes(extent, pos, data if end == len(data) else data[:end], crc)
        pos, size = pos + end, BLOCK_BYTES
        yield bare
    if crc != extent.crc:
        raise Corrupted(extent.path, extent.end, "the bytes up to here do not match what the next segment says")


def _strip_closes(extent: Extent, offset: int, lines: bytes, crc: int) -> tuple[bytes, int]:
    """Whole lines without their closes, which are checked, and the chain's value behind them."""
    view = memoryview(lines)
    parts: list[bytes | memoryview] = []
    start = at = 0
    while (at := lines.find(b',"crc":"', at)) >= 0:
        end = at + CLOSE_BYTES + 1
        close = _CLOSE.fullmatch(lines, at, end)
        if close is None:
            at += 1
            continue
        crc = zlib.crc32(view[start:at], crc)
        if crc != int(close[1], 16):
            raise Corrupted(extent.path, offset + start, f"the bytes from here to {offset + end} do not match their close")
        synced = _SYNCED.search(lines[max(start, at - _MOST_SYNCED_BYTES) : at])
        parts += view[start : at - len(synced[0]) if synced else at], b"}\n"
        start = at = end
    crc = zlib.crc32(view[start:], crc)
    parts.append(view[start:])
    return b"".join(parts), crc


def tail_of(file: File, extent: Extent) -> bytes:
    """The last bytes that count of a segment's file: with their close they tell it from any other segment."""
    size = min(_TAIL_BYTES, extent.end)
    return file.read(size, extent.end - size)


# Columns --------------------------------------------------------------------------------------------------------------


def shape_of(samples: list[bytes]) -> tuple[Any, tuple[str, ...], tuple[tuple[str, MetaType], ...]]:
    """What the tokens of these lines are, which of their fields get a column, and which keys of `meta` do: those with plain
    values, the most frequent combination of them first, in the order in which it has them."""
    tokens: Counter[str] = Counter()
    shapes: Counter[tuple[tuple[str, MetaType], ...]] = Counter()
    names: set[str] = set()
    for line in samples:
        if not line.startswith(b'{"kind":"token"'):
            continue
        try:
            fields = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        names |= fields.keys()
        tokens["int" if type(fields.get("token")) is int else "text"] += 1
        meta = fields.get("meta")
        if isinstance(meta, dict) and "$t" not in meta:
            shapes[tuple((key, _JSON_TYPES[type(value)]) for key, value in meta.items() if type(value) in _JSON_TYPES)] += 1
    columns: dict[str, tuple[str, MetaType]] = {}
    for shape, _ in shapes.most_common():
        for key, kind in shape:
            if len(columns) < _MOST_META_COLUMNS and len(key) <= _LARGEST_META_KEY and key.isprintable():
                columns.setdefault(key.casefold(), (key, kind))  # DuckDB does not tell names apart by case
    present = tuple(name for name in TOKEN_TYPES if name in names)
    return (tokens.most_common(1)[0][0] if tokens else "text"), present, tuple(columns.values())


def columns_sql(source: str, seal: Seal, *, is_checked: bool) -> str:
    """SQL for the columns of the lines `l` of a source.

    is_checked: each token's line is made again of its columns, and where it is another one, the line stays. Else every token
    goes into columns, and reading them back tells whether that was right.
    """
    fields = {**SHARED_COLUMNS, **{name: TOKEN_TYPES[name] for name in seal.fields}}
    if "token" in fields:
        fields["token"] = SQL_TYPES[seal.token]
    structure: dict[str, Any] = dict(fields)
    if seal.meta:
        structure["meta"] = {key: SQL_TYPES[kind] for key, kind in seal.meta}
    types = literal(msgspec.json.encode(structure).decode())

    def column(name: str) -> str:
        return f"r.{quoted(name)}"

    def meta(key: str) -> str:
        return f"r.meta.{quoted(key)}"

    fits, as_text, record = "coalesce(r.kind = 'token', false)", "NULL", f"from_json(l, {types})"
    if is_checked:
        record = f"try({record})"
        floats = ["r.z"] if "z" in seal.fields else []
        floats += [meta(key) for key, kind in seal.meta if kind == "float"]
        # Writers of Parquet may take -0.0 and 0.0 for one value.
        plain = "".join(f"AND coalesce(NOT ({value} = 0 AND signbit({value})), true) " for value in floats)
        fits = f"coalesce(r.kind = 'token' {plain}AND l = {token_line(seal, column, meta, meta_text=None)}, false)"
        as_text = f"if(m IS NOT NULL AND l = {token_line(seal, column, meta, meta_text='m')}, m, NULL)"
    chosen = [
        "coalesce(r.n, regexp_extract(l, '\"n\":([0-9]+)', 1)::BIGINT) AS n",
        "r.kind AS kind, r.ts AS ts, r.lane AS lane, coalesce(r.top, false) AS top, r.back AS back",
        *(f"if(fits OR m IS NOT NULL, {column(name)}, NULL) AS {quoted(name)}" for name in seal.fields),
        *(f"if(fits, {meta(key)}, NULL) AS {quoted(meta_column(key))}" for key, _ in seal.meta),
        "m::VARCHAR AS meta",
        "if(fits OR m IS NOT NULL, NULL, l) AS line",
    ]
    return (
        f"SELECT {', '.join(chosen)} FROM ("
        f"SELECT l, r, fits, {as_text} AS m FROM ("
        "SELECT l, r, fits, CASE WHEN fits THEN NULL WHEN r.kind = 'token' THEN (l->'$.meta')::VARCHAR END AS m FROM ("
        f"SELECT l, r, {fits} AS fits FROM ("
        f"SELECT l, {record} AS r FROM {source}))))"
    )


def is_regular(staged: Staged, seal: Seal) -> bool:
    """Whether every token among the samples stands in columns alone."""
    tokens = [line.decode() for line in staged.samples if line.startswith(b'{"kind":"token"')]
    sql = columns_sql("(SELECT unnest(?) AS l)", seal, is_checked=True)
    found = (
        connection().execute(f"SELECT count(*) FROM ({sql}) WHERE line IS NOT NULL OR meta IS NOT NULL", [tokens]).fetchone()
    )
    return found is not None and found[0] == 0


def write_columns(staged: Staged, seal: Seal, target: Path, *, is_checked: bool) -> None:
    """Have DuckDB write the Parquet file, by itself. Raises WriteFailed."""
    import duckdb

    options = f"PARQUET_VERSION v2, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_RECORDS}"
    options += f", DICTIONARY_SIZE_LIMIT {_DICTIONARY_WORDS}, WRITE_BLOOM_FILTER false"
    sql = columns_sql(_lines_of(staged), seal, is_checked=is_checked)
    try:
        connection().execute(f"COPY ({sql}) TO {literal(str(target))} (FORMAT parquet, {options}, USE_TMP_FILE false)")
    except duckdb.IOException as error:
        reason = str(error).partition("\n")[0]
        raise (DiskFull if "No space left" in reason else WriteFailed)(target, reason) from None
    except duckdb.Error as error:
        raise WriteFailed(target, f"its columns cannot be written: {str(error).partition(chr(10))[0]}") from None


def _lines_of(staged: Staged) -> str:
    """SQL for the staged lines, as `l`."""
    longest = max(block.bytes for block in staged.blocks)
    limits = f"max_line_size = {longest}, buffer_size = {4 * longest}"
    return (
        f"read_csv({literal(str(staged.path))}, columns = {{'l': 'VARCHAR'}}, auto_detect = false, header = false, "
        f"delim = '\\x01', quote = '', escape = '', new_line = '\\n', {limits})"
    )


def finish(files: Files, columns: Path, seal: Seal, target: Path) -> Seal:
    """Write what DuckDB wrote, with the seal, and sync it."""
    real = RealFiles()
    with read_errors(columns):
        file = real.open(columns)
        try:
            start, footer = split_parquet(columns, file)
            seal = msgspec.structs.replace(
                seal, data_bytes=start, data=checksums(chunks_of(file, start)), footer=zlib.crc32(footer[:-8])
            )
            with write_errors(target):
                write_synced(files, target, _sealed_chunks(file, start, seal, footer))
        finally:
            file.close()
    return seal


def _sealed_chunks(file: File, start: int, seal: Seal, footer: bytes) -> Iterator[bytes]:
    yield from chunks_of(file, start)
    yield seal_bytes(seal)
    yield footer


def is_exact(files: Files, staged: Staged, target: Path) -> bool:
    """Read the sealed file back, and compare every record with its line. Raises Corrupted where the file itself is damaged."""
    import duckdb

    check_seal(files, target)
    reader = SealedReader(files, target)
    first, last = reader.seal.first, reader.seal.last
    lines = f"(SELECT l FROM {_lines_of(staged)})"
    rows = f"(SELECT n, file_row_number AS i, {line_of(reader.seal)} AS made FROM read_parquet(?, file_row_number = true))"
    same = "count(*) FILTER (l = made AND n = ? + i)"
    try:
        found = (
            connection()
            .execute(f"SELECT count(*), {same} FROM {lines} POSITIONAL JOIN {rows}", [first, str(target)])
            .fetchone()
        )
    except duckdb.Error as error:
        raise Corrupted(target, 0, f"it cannot be read back: {str(error).partition(chr(10))[0]}") from None
    return found == (last - first + 1, last - first + 1)


def new_seal(staged: Staged, extents: tuple[Extent, ...]) -> Seal:
    """The seal as far as the lines tell it."""
    token, fields, meta = shape_of(staged.samples)
    return Seal(
        format=FORMAT_VERSION,
        first=extents[0].header.first,
        last=extents[-1].last,
        segments=staged.segments,
        token=token,
        fields=fields,
        meta=meta,
        has_escapes=staged.has_escapes,
        blocks=staged.blocks,
    )
