"""Read a sealed file: its lines byte for byte but for their closes, or some of its columns."""

import os
import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from holdfast.errors import Corrupted, ReadFailed
from holdfast.storage.files import Files, read_errors
from holdfast.storage.seals import MetaType, Seal, read_seal

if TYPE_CHECKING:
    import duckdb
    import numpy as np

SHARED_COLUMNS = {"n": "BIGINT", "kind": "VARCHAR", "ts": "BIGINT", "lane": "VARCHAR", "top": "BOOLEAN", "back": "BIGINT"}
"""What each row has, whatever its kind."""
TOKEN_TYPES = {
    "info": "JSON",
    "token": "VARCHAR",
    "z": "DOUBLE",
    "phase": "VARCHAR",
    "tier": "BIGINT",
    "source": "VARCHAR",
}
"""What a token may have besides, in the order of its line; `meta` is last."""
SQL_TYPES: Mapping[str, str] = {"text": "VARCHAR", "int": "BIGINT", "float": "DOUBLE", "bool": "BOOLEAN"}
Naming = Callable[[str], str]
_CACHED_BLOCKS = 4
_BLOCKS_AT_ONCE = 8
_connections: "dict[int, duckdb.DuckDBPyConnection]" = {}  # by process: a forked child makes its own


class KindRows(NamedTuple):
    """Rows of one kind in a sealed file, and the bytes of those among their lines that are kept as lines."""

    name: str
    rows: int
    line_bytes: int


class SealedReader:
    """One sealed file. Nothing is read before it is asked for; memory holds a few blocks of lines, of a megabyte each.

    Every block that is read is compared with its checksum. Raises Corrupted, and ReadFailed where the file cannot be read.
    """

    def __init__(self, files: Files, path: Path, seal: Seal | None = None) -> None:
        self.path = path
        with read_errors(path):
            self.seal = seal if seal is not None else read_seal(files, path)
        self._files = files
        self._starts = [block.first for block in self.seal.blocks]
        self._blocks: OrderedDict[int, list[bytes]] = OrderedDict()

    def read(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """The lines of the records first to last, with their numbers."""
        indexes = self._indexes(first, last)
        if len(indexes) < _BLOCKS_AT_ONCE:
            for index in indexes:
                start = self._starts[index]
                lines = self._lines_of(index)
                yield from enumerate(lines[max(0, first - start) : last - start + 1], max(first, start))
            return
        for start, _, data in self.pieces(first, last):
            yield from enumerate(data[:-1].split(b"\n"), start)

    def pieces(self, first: int, last: int) -> Iterator[tuple[int, int, bytes]]:
        """The same, some megabytes at a time: the numbers of the first and the last one, and their lines with newlines."""
        indexes = self._indexes(first, last)
        behind, count = indexes.start, 1
        while (index := behind) < indexes.stop:
            behind, count = min(index + count, indexes.stop), min(2 * count, _BLOCKS_AT_ONCE)  # the first ones come at once
            data, start, end = self.block(index, behind), self._starts[index], self._last_of(behind - 1)
            if start < first:
                data, start = data.split(b"\n", first - start)[-1], first
            if end > last:
                data = data[: len(data) - len(data.split(b"\n", last + 1 - start)[-1])]
            yield start, min(end, last), data

    def read_backwards(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """The same from the last to the first."""
        for index in reversed(self._indexes(first, last)):
            start = self._starts[index]
            lines = self._lines_of(index)
            for n in range(min(last, start + len(lines) - 1), max(first, start) - 1, -1):
                yield n, lines[n - start]

    def columns(self, names: Collection[str], first: int, last: int) -> "dict[str, np.ndarray[Any, Any]]":
        """Columns of the rows first to last as NumPy arrays, masked where something is missing. `kind` tells which rows are
        tokens; those that have a `line` have nothing in the columns of tokens."""
        wanted = ", ".join(quoted(name) for name in names)
        found: dict[str, np.ndarray[Any, Any]] = self._ask(wanted, first, last).fetchnumpy()
        return found

    def block(self, first: int, behind: int) -> bytes:
        """The lines of the blocks from index first to before behind, each line with its newline."""
        stated = self.seal.blocks[first:behind]
        n = self._last_of(behind - 1)
        row = self._ask(f"encode(string_agg({line_of(self.seal)}, chr(10)) || chr(10))", stated[0].first, n).fetchone()
        data: bytes = row[0] if row and row[0] is not None else b""
        view, start = memoryview(data), 0
        for block in stated:
            if zlib.crc32(view[start : start + block.bytes]) != block.crc:
                raise Corrupted(self.path, 0, f"records {block.first} and on do not come out of it as they were put in")
            start += block.bytes
        if start != len(data):
            raise Corrupted(self.path, 0, f"more than the records up to {n} comes out of it")
        return data

    def column_bytes(self) -> dict[str, int]:
        """The compressed bytes of each column, in the order of the file."""
        sql = "SELECT path_in_schema, sum(total_compressed_size)::BIGINT FROM parquet_metadata(?) GROUP BY 1"
        return dict(self._run(sql, [str(self.path)]).fetchall())

    def kinds(self) -> list[KindRows]:
        """How many rows of each kind there are, and the bytes of those lines that stand as they are."""
        sql = "SELECT coalesce(kind, '?'), count(*), coalesce(sum(strlen(line)), 0)::BIGINT FROM read_parquet(?) GROUP BY 1"
        return [KindRows(*row) for row in self._run(sql, [str(self.path)]).fetchall()]

    @property
    def file_bytes(self) -> int:
        """The size of the file."""
        with read_errors(self.path):
            file = self._files.open(self.path)
            try:
                return file.size()
            finally:
                file.close()

    def _indexes(self, first: int, last: int) -> range:
        if first > last or not self._starts:
            return range(0)
        return range(max(0, bisect_right(self._starts, first) - 1), bisect_right(self._starts, last))

    def _last_of(self, index: int) -> int:
        return self._starts[index + 1] - 1 if index + 1 < len(self._starts) else self.seal.last

    def _lines_of(self, index: int) -> list[bytes]:
        if (lines := self._blocks.get(index)) is not None:
            self._blocks.move_to_end(index)
            return lines
        lines = self.block(index, index + 1)[:-1].split(b"\n")
        self._blocks[index] = lines
        if len(self._blocks) > _CACHED_BLOCKS:
            self._blocks.popitem(last=False)
        return lines

    def _ask(self, what: str, first: int, last: int) -> "duckdb.DuckDBPyConnection":
        return self._run(f"SELECT {what} FROM read_parquet(?) WHERE n BETWEEN ? AND ?", [str(self.path), first, last])

    def _run(self, sql: str, parameters: list[object]) -> "duckdb.DuckDBPyConnection":
        import duckdb

        try:
            return connection().execute(sql, parameters)
        except duckdb.Error as error:
            with read_errors(self.path):
                self._files.open(self.path).close()  # is it there?
            if isinstance(error, duckdb.OutOfMemoryException):
                raise ReadFailed(self.path, str(error).partition("\n")[0]) from None
            raise Corrupted(self.path, 0, f"it cannot be read: {str(error).partition(chr(10))[0]}") from None


def connection() -> "duckdb.DuckDBPyConnection":
    """DuckDB, for one statement: with one thread, a memory limit, and nothing from the network."""
    import duckdb

    process = os.getpid()
    if process not in _connections:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "threads": "1",
            "memory_limit": "1GB",
            "temp_directory": "",
            "autoinstall_known_extensions": "false",
            "preserve_insertion_order": "true",
        }
        _connections[process] = duckdb.connect(":memory:", config=settings)
    return _connections[process].cursor()


def line_of(seal: Seal) -> str:
    """SQL that makes a row's line of its columns."""
    return f'if("line" IS NOT NULL, "line", {token_line(seal, quoted, lambda key: quoted(meta_column(key)))})'


def token_line(
    seal: Seal, column: Callable[[str], str], meta: Callable[[str], str], *, meta_text: str | None = '"meta"'
) -> str:
    """SQL that makes the line of a token of its columns, which `column` and `meta` tell the SQL of; NULL fields are left out.

    meta_text: the SQL of `meta` as JSON, which stands where it is not NULL; None where there is none.
    """

    def field(name: str) -> str:
        if name == "token":
            return _value_sql(column(name), seal.token, seal)
        if name == "z":
            return float_text(column(name))
        return _text_sql(column(name), seal) if name in ("phase", "source") else column(name)

    parts = [
        literal('{"kind":"token","n":'),
        column("n"),
        literal(',"ts":'),
        column("ts"),
        literal(',"lane":') + f" || {_text_sql(column('lane'), seal)}",
        f"if({column('top')}, " + literal(',"top":true') + ", '')",
        literal(',"back":') + f" || {column('back')}",
        *(f"{literal(',' + json_text(name) + ':')} || {field(name)}" for name in seal.fields),
    ]
    typed = f"',\"meta\":' || {_typed_meta(seal, meta)}" if seal.meta else "NULL"
    parts.append(typed if meta_text is None else f"coalesce(',\"meta\":' || {meta_text}, {typed})")
    return f"concat({', '.join(parts)}, '}}')"


def meta_text(seal: Seal) -> str:
    """SQL for a token's `meta` as JSON, as its line has it; NULL where it has none."""
    typed = _typed_meta(seal, lambda key: quoted(meta_column(key))) if seal.meta else "NULL"
    return f'coalesce("meta", {typed})'


def _typed_meta(seal: Seal, meta: Callable[[str], str]) -> str:
    """The keys that have columns as a JSON object; NULL where the first of them is missing."""
    pairs = [
        f"{literal(('{' if not index else ',') + json_text(key) + ':')} || {_value_sql(meta(key), kind, seal)}"
        for index, (key, kind) in enumerate(seal.meta)
    ]
    return f"{pairs[0]} || concat({', '.join([*pairs[1:], literal('}')])})"


def _text_sql(value: str, seal: Seal) -> str:
    return f"to_json({value})" if seal.has_escapes else f"'\"' || {value} || '\"'"


def _value_sql(value: str, kind: MetaType, seal: Seal) -> str:
    if kind == "text":
        return _text_sql(value, seal)
    return float_text(value) if kind == "float" else f"{value}::VARCHAR"


def float_text(value: str) -> str:
    """SQL for a float as our lines have it: DuckDB writes an exponent already below 1e-4, with a sign and two digits."""
    text = f"{value}::VARCHAR"
    digits = f"replace(split_part({text}, 'e', 1), '.', '')"
    small = f"if({value} < 0, '-0.0000' || {digits}[2:], '0.0000' || {digits})"
    exponent = f"replace(replace({text}, 'e+', 'e'), 'e-0', 'e-')"
    fixed = f"if(abs({value}) >= 1e-5::DOUBLE AND abs({value}) < 1, {small}, {exponent})"
    return f"if(contains({text}, 'e'), {fixed}, {text})"


def meta_column(key: str) -> str:
    """The column of a key of `meta`."""
    return f"meta.{key}"


def json_text(value: str) -> str:
    """A text as JSON."""
    return msgspec.json.encode(value).decode()


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A text in SQL."""
    return "'" + value.replace("'", "''") + "'"
