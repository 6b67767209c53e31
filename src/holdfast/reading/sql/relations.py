"""What was saved as relations of DuckDB: columns of sealed files where they lie, all else taken in as it comes.

A session's records are read once: what an earlier question took in of a log stays, and only what came since is added.
"""

import os
import secrets
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import msgspec

from holdfast.errors import Corrupted, ReadFailed
from holdfast.reading.blocks import Block, line_blocks
from holdfast.reading.index.build import mark_of
from holdfast.reading.loader import Source
from holdfast.reading.sql.tables import TABLES, Table
from holdfast.reading.sql.taking import Taking, dead_sql
from holdfast.reading.superseded import SupersededSpans
from holdfast.storage.files import temporary_folder
from holdfast.storage.reader import LogReader
from holdfast.storage.sealed import connection, literal, meta_text, quoted
from holdfast.storage.seals import check_seal

if TYPE_CHECKING:
    import duckdb

Progress = Callable[[str, int, int], object]
"""Is told of a session that is being taken in: records done, and of how many."""
_ROWS_AT_ONCE = 8192
_alive: "WeakSet[Relations]" = WeakSet()
_inherited: "list[Relations]" = []
"""What a forked child has of its parent: to let go of it would end threads that are not there, and the child with them."""


def _keep_inherited() -> None:
    _inherited.extend(_alive)


os.register_at_fork(after_in_child=_keep_inherited)


class Stretch(msgspec.Struct, frozen=True):
    """Records first to last of a log. path: of the sealed file that holds them; None where they are lines."""

    first: int
    last: int
    path: Path | None


@dataclass
class _Taken:
    """What was taken in of one session's table: up to which record, and what was superseded of it then."""

    last: int = 0
    superseded: tuple[int, ...] = ()


class Relations:
    """A DuckDB of its own, in memory, that spills into the folder for temporary files. Of use in the process that made it only.

    memory_bytes: the most that it holds. threads: that it works with; as many as there are cores where None.
    """

    def __init__(self, *, memory_bytes: int, threads: int | None = None) -> None:
        import duckdb

        self.memory_bytes, self.sealed = memory_bytes, frozenset[Stretch]()
        self._process, self._is_whole = os.getpid(), True
        spill = temporary_folder() / f"holdfast-{secrets.token_hex(8)}"  # nobody else can have put something there
        self.scratch = spill.with_suffix(".written")
        """The one file that it may write once it is locked, for who holds `writing`."""
        self.writing = threading.Lock()
        settings: dict[str, Any] = {
            "memory_limit": f"{memory_bytes}B",
            "temp_directory": str(spill),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
            "preserve_insertion_order": "true",
        }
        if threads is not None:
            settings["threads"] = threads
        self._database = duckdb.connect(":memory:", config=settings)
        self._database.execute("CREATE SCHEMA taken")
        for table in TABLES.values():
            columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in table.columns.items())
            self._database.execute(f"CREATE TABLE taken.{table.name} (log UINTEGER, {columns})")
        _alive.add(self)
        self._logs: dict[tuple[str, int], int] = {}
        self._taken: dict[tuple[int, str], _Taken] = {}

    def lock(self, sealed: frozenset[Stretch]) -> None:
        """From now on read no files but those of these stretches, and change no setting."""
        self.sealed = sealed
        paths = {str(self.scratch), *(str(stretch.path) for stretch in sealed)}
        self._database.execute(f"SET allowed_paths = [{', '.join(map(literal, sorted(paths)))}]")
        self._database.execute("SET enable_external_access = false")
        self._database.execute("SET lock_configuration = true")

    def close(self) -> None:
        """Let go of everything."""
        self._database.close()

    @property
    def is_usable(self) -> bool:
        """Whether nothing went wrong as rows were taken in, and this is the process that made them."""
        return self._is_whole and self._process == os.getpid()

    def cursor(self) -> "duckdb.DuckDBPyConnection":
        """A connection of its own."""
        return self._database.cursor()

    def take_in(
        self, sources: Sequence[Source], names: Collection[str], progress: Progress = lambda session, done, total: None
    ) -> None:
        """Take in what tables of these names have in the logs and is in no columns. One thread at a time, and no snapshot older
        than the one before. Raises what reading the logs raises; after any exception, nothing more can be asked of them."""
        try:
            gathered = {name: Taking(self._database, TABLES[name]) for name in names}
            for source in sources:
                with source.located():
                    self._take_in(source, gathered, progress)
            for rows in gathered.values():  # each flush is its own transaction: DuckDB holds what was handed on for as long
                rows.flush()
        except BaseException:  # Ctrl-C too
            self._is_whole = False  # some may count as taken in, and not be
            raise

    def snapshot(self) -> "duckdb.DuckDBPyConnection":
        """A connection of its own to which nothing is there that is taken in later."""
        cursor = self.cursor()
        begin_snapshot(cursor)
        return cursor

    def create_views(
        self, cursor: "duckdb.DuckDBPyConnection", sources: Sequence[Source], names: Collection[str], *, superseded: bool
    ) -> None:
        """Give a connection views of these names, over what was taken in of the sources and what they have in columns."""
        logs = self.logs_of(sources)
        for name in names:
            parts = [taken_select(name, logs, superseded=superseded)] if logs else [no_rows(TABLES[name])]
            for source in sources if name == "tokens" else ():
                for stretch in stretches(source.reader):
                    if stretch.path is not None:
                        parts.append(token_select(source, stretch, superseded))
            cursor.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {' UNION ALL '.join(parts)}")

    def logs_of(self, sources: Sequence[Source]) -> list[int]:
        """The numbers of their logs in the columns `log`, once something was asked to be taken in of them."""
        return [self._logs[_identity(source)] for source in sources]

    def _take_in(self, source: Source, gathered: dict[str, Taking], progress: Progress) -> None:
        reader, spans = source.reader, source.spans
        log = self._logs.setdefault(_identity(source), len(self._logs))
        dead = tuple(record.n for record in spans.records)
        known = {name: self._taken.setdefault((log, name), _Taken(superseded=dead)) for name in gathered}
        for name, taken in known.items():
            if taken.superseded != dead:
                self._mark_superseded(log, name, spans)
                taken.superseded = dead
        for stretch in stretches(reader):
            missing = {name: max(stretch.first, taken.last + 1) for name, taken in known.items()}
            missing = {name: first for name, first in missing.items() if first <= stretch.last}
            if not missing:
                continue
            if stretch.path is not None:
                for name, first in missing.items():
                    part = Stretch(first, stretch.last, stretch.path)
                    for block in _lines_in(reader, part, TABLES[name]):
                        gathered[name].add(log, source.session, block, spans)
            else:
                for block in line_blocks(reader, min(missing.values()), stretch.last):
                    for name, first in missing.items():
                        if block.last >= first:
                            wanted = block if block.first >= first else _from(block, first)
                            gathered[name].add(log, source.session, wanted, spans)
                    progress(source.session, block.last, reader.last)
            progress(source.session, stretch.last, reader.last)
        for taken in known.values():
            taken.last = max(taken.last, reader.last)

    def _mark_superseded(self, log: int, name: str, spans: SupersededSpans) -> None:
        if name != "checkpoints":
            self._database.execute(f"UPDATE taken.{name} SET superseded = {dead_sql(spans, 1, 1 << 62)} WHERE log = {log}")


def begin_snapshot(cursor: "duckdb.DuckDBPyConnection") -> None:
    """Begin the transaction that a snapshot is."""
    cursor.begin()
    cursor.execute("SELECT count(*) FROM taken.tokens WHERE false").fetchall()  # a transaction sees what its first one does


def stretches(reader: LogReader) -> list[Stretch]:
    """A log in order, as stretches of lines and of sealed files."""
    found: list[Stretch] = []
    for (path, _), together in groupby(reader.past.extents, key=lambda extent: (extent.path, extent.is_sealed)):
        for extent in together:
            if extent.last < extent.header.first:
                continue
            where = path if extent.is_sealed else None
            if found and found[-1].path == where and found[-1].last + 1 == extent.header.first:
                found[-1] = Stretch(found[-1].first, extent.last, where)
            else:
                found.append(Stretch(extent.header.first, extent.last, where))
    return found


def sealed_stretches(sources: Sequence[Source]) -> frozenset[Stretch]:
    """What of these logs is sealed."""
    return frozenset(stretch for source in sources for stretch in stretches(source.reader) if stretch.path is not None)


def check_sealed(sources: Sequence[Source], checked: frozenset[Stretch] = frozenset()) -> None:
    """Raise Corrupted where a byte of what is sealed of these logs is not what was written, and ReadFailed. DuckDB looks at no
    checksums. checked: what need not be looked at again."""
    for source in sources:
        for path in sorted({stretch.path for stretch in sealed_stretches([source]) - checked if stretch.path is not None}):
            check_seal(source.reader.files, path)


def _identity(source: Source) -> tuple[str, int]:
    """What tells a session from another one that had its name before."""
    return source.session, mark_of(source.reader.find(1)) if source.reader.last else 0


def _from(block: Block, first: int) -> Block:
    return Block(first, block.last, block.data.split(b"\n", first - block.first)[-1])


def _lines_in(reader: LogReader, stretch: Stretch, table: Table) -> Iterator[Block]:
    """The records of a table that stand as lines in a sealed file, those that follow each other together."""
    import duckdb

    assert stretch.path is not None
    kinds = ", ".join(literal(kind) for kind in table.kinds)
    where = f"n BETWEEN {stretch.first} AND {stretch.last} AND kind IN ({kinds}) AND line IS NOT NULL"
    numbers: list[int] = []
    lines: list[str] = []
    try:
        asked = connection().execute(f"SELECT n, line FROM read_parquet({literal(str(stretch.path))}) WHERE {where} ORDER BY n")
        while found := asked.fetchmany(_ROWS_AT_ONCE):
            for n, line in found:
                if numbers and (n != numbers[-1] + 1 or len(numbers) >= _ROWS_AT_ONCE):
                    yield Block(numbers[0], numbers[-1], "\n".join(lines).encode())
                    numbers, lines = [], []
                numbers.append(n)
                lines.append(line)
    except duckdb.Error as error:
        raise _failure(reader, stretch.path, error) from None
    if numbers:
        yield Block(numbers[0], numbers[-1], "\n".join(lines).encode())


def _failure(reader: LogReader, path: Path, error: Exception) -> ReadFailed | Corrupted:
    """What is wrong with a sealed file that DuckDB cannot read."""
    what = str(error).partition("\n")[0]
    if not reader.files.exists(path):
        return ReadFailed(path, "it is gone: the session was deleted, renamed or sealed anew meanwhile. Ask again")
    return Corrupted(path, 0, f"it cannot be read: {what}")


def united(parts: Sequence[str]) -> str:
    """SQL for the rows of several SELECTs, one after the other."""
    return " UNION ALL ".join(f"({part})" for part in parts)


def taken_select(name: str, logs: Sequence[int], *, superseded: bool) -> str:
    """SQL for the rows of a table that were taken in of some logs."""
    columns = ", ".join(quoted(column) for column in TABLES[name].columns)
    where = f"log IN ({', '.join(map(str, logs))})" + ("" if superseded else " AND NOT superseded")
    return f"SELECT {columns} FROM taken.{name} WHERE {where}"


def token_select(source: Source, stretch: Stretch, superseded: bool, json: str = "JSON") -> str:
    """SQL for the tokens of a sealed file that stand in columns. json: the type of user values."""
    assert stretch.path is not None
    seal = source.reader.sealed(stretch.path).seal
    dead = dead_sql(source.spans, stretch.first, stretch.last)
    made = {"session": literal(source.session), "superseded": dead, "place": "0", "meta": meta_text(seal)}
    made |= {"n": "n", "ts": "ts", "lane": "lane", "top": "coalesce(top, false)"}
    made |= {name: f"{quoted(name)}::VARCHAR" if name == "token" else quoted(name) for name in seal.fields}
    columns = ", ".join(
        f"({made.get(name, 'NULL')})::{json if kind == 'JSON' else kind} AS {quoted(name)}"
        for name, kind in TABLES["tokens"].columns.items()
    )
    where = f"kind = 'token' AND line IS NULL AND n BETWEEN {stretch.first} AND {stretch.last}"
    if not superseded and dead != "false":
        where += f" AND NOT {dead}"
    return f"SELECT {columns} FROM read_parquet({literal(str(stretch.path))}) WHERE {where}"


def no_rows(table: Table) -> str:
    """SQL for none of its rows."""
    return "SELECT " + ", ".join(f"NULL::{kind} AS {quoted(name)}" for name, kind in table.columns.items()) + " WHERE false"
