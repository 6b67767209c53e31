"""Questions in SQL over everything saved: read only, on one snapshot, within limits."""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.errors import BadQuery, InvalidSetting, QueryStopped, ReadFailed
from holdfast.reading.catalog import Manifest
from holdfast.reading.filters import Names
from holdfast.reading.loader import Source
from holdfast.reading.sql.interruptible import call_interruptibly
from holdfast.reading.sql.relations import Progress, Relations, begin_snapshot, check_sealed, sealed_stretches
from holdfast.reading.sql.tables import TABLES
from holdfast.reading.tables import library
from holdfast.storage.files import RealFiles, check_target, chunks_of, make_folders, replace_file, write_errors
from holdfast.storage.sealed import literal, quoted

if TYPE_CHECKING:
    import duckdb

MEMORY_BYTES = 1 << 30
TIMEOUT_SECONDS = 300.0
_LEAST_MEMORY_BYTES = 32 << 20
_ROWS_AT_ONCE = 4096
_TRIES = 3
_AGAIN = "Nothing was changed; ask again"
_WRITTEN = {
    "json": "FORMAT json",
    "csv": "FORMAT csv, HEADER true",
    "parquet": "FORMAT parquet, COMPRESSION zstd",
}
_EXPLAIN = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*EXPLAIN\s+(?:ANALYZE\s+)?(?:\(\s*(?:ANALYZE|FORMAT)[^)]*\)\s*)?", re.IGNORECASE | re.DOTALL
)
SESSIONS = "sessions"
_POSSIBLE = f"one SELECT, or EXPLAIN of one, over {', '.join(TABLES)} and {SESSIONS}"
_SESSION_COLUMNS = {
    "session": "VARCHAR",
    "status": "VARCHAR",
    "attempts": "BIGINT",
    "records": "BIGINT",
    "bytes": "BIGINT",
    "created": "BIGINT",
    "updated": "BIGINT",
    "reason": "VARCHAR",
    "epoch": "BIGINT",
    "tags": "JSON",
    "notes": "VARCHAR",
    "config": "JSON",
}


class Answer:
    """The rows of an answer, in order, as they are asked for. Iterating gives tuples; each way of reading takes what is left.

    columns: their names; types: as DuckDB calls them. Raises QueryStopped where it takes too long or too much memory.
    """

    def __init__(
        self,
        query: str,
        cursor: "duckdb.DuckDBPyConnection",
        stop: "_Deadline",
        relations: Relations,
        prepare: Callable[[], None],
    ) -> None:
        self._query, self._cursor, self._stop, self._relations, self._prepare = query, cursor, stop, relations, prepare
        self._has_failed = False
        described = cursor.description or []
        self.columns = tuple(str(entry[0]) for entry in described)
        self.types = tuple(str(entry[1]) for entry in described)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        while rows := self.fetch(_ROWS_AT_ONCE):
            yield from rows

    def fetch(self, count: int) -> list[tuple[Any, ...]]:
        """The next rows, at most so many."""
        rows: list[tuple[Any, ...]] = self._asked(lambda: self._cursor.fetchmany(count))
        return rows

    def records(self) -> Iterator[dict[str, Any]]:
        """The rows by the names of their columns, for JSON: user values as they are, times and decimals as texts."""
        is_json = [kind == "JSON" for kind in self.types]
        for row in self:
            yield {
                name: msgspec.Raw(value.encode()) if raw and value is not None else _plain(value)
                for name, raw, value in zip(self.columns, is_json, row, strict=True)
            }

    def to_arrow(self) -> Any:
        """A pyarrow.Table."""
        library("pyarrow", "to_arrow")
        return self._asked(lambda: self._cursor.to_arrow_table())

    def to_pandas(self) -> Any:
        """A pandas.DataFrame."""
        library("pandas", "to_pandas")
        return self._asked(lambda: self._cursor.df())

    def to_polars(self) -> Any:
        """A polars.DataFrame."""
        polars = library("polars", "to_polars")
        return polars.from_arrow(self.to_arrow())

    def write(self, path: str | os.PathLike[str], *, format: str, force: bool = False) -> int:
        """Ask again, and write all rows to a file: format "json" (one object a line), "csv" or "parquet". Returns how many.

        The file is complete when it has its name. Raises WriteFailed, and InvalidSetting where it is there already, without
        force.
        """
        options = _WRITTEN.get(format)
        if options is None:
            raise InvalidSetting(f"format={format!r} is not known; it is one of {', '.join(_WRITTEN)}")
        target, files, scratch = Path(path).absolute(), RealFiles(), self._relations.scratch
        check_target(files, target, force=force)
        statement = f"COPY (\n{self._query.strip().rstrip(';')}\n) TO {literal(str(scratch))} ({options})"
        with self._relations.writing, write_errors(target):
            try:
                if self._has_failed:
                    self._begin_anew()
                ((count,),) = self._asked(lambda: self._cursor.execute(statement).fetchall())
                make_folders(files, target.parent)
                written = files.open(scratch)
                try:
                    replace_file(files, target, chunks_of(written, written.size()))
                finally:
                    written.close()
            finally:
                if files.exists(scratch):
                    files.unlink(scratch)
        return int(count)

    def _begin_anew(self) -> None:
        """Have a transaction again: DuckDB does nothing more in one where something failed."""
        self._cursor.rollback()
        begin_snapshot(self._cursor)
        self._asked(self._prepare)
        self._has_failed = False

    def _asked(self, call: Callable[[], Any]) -> Any:
        import duckdb

        try:
            return self._stop.during(self._query, call)
        except BaseException as error:
            self._has_failed = True
            if not isinstance(error, duckdb.IOException):
                raise
            raise QueryStopped(self._query, _first_line(error), _AGAIN) from None


class _Deadline:
    """Has a connection work for no longer than a time; each part of the work counts."""

    def __init__(self, cursor: "duckdb.DuckDBPyConnection", seconds: float, memory_bytes: int) -> None:
        self._cursor, self._left, self._memory_bytes = cursor, seconds, memory_bytes
        self._seconds = seconds

    def during(self, query: str, call: Callable[[], Any]) -> Any:
        """The call's result. Raises BadQuery, QueryStopped, and KeyboardInterrupt."""
        import duckdb

        begun = time.monotonic()

        def check() -> None:
            if time.monotonic() - begun > self._left:
                raise QueryStopped(query, f"it took longer than {self._seconds:g} seconds")

        check()
        try:
            return call_interruptibly(self._cursor, call, check)
        except duckdb.OutOfMemoryException:
            raise QueryStopped(query, f"it needs more than {self._memory_bytes >> 20:,} MiB of memory") from None
        except duckdb.IOException:
            raise  # a file that is gone: another snapshot may do
        except duckdb.Error as error:
            raise BadQuery(query, _explained(error)) from None
        finally:
            self._left -= time.monotonic() - begun


class Asking:
    """Everything saved as tables: the half of a workspace that answers SQL."""

    _asker: "Asker"

    def _sources(self, session: Names, epoch: int | None) -> list[Source]:
        raise NotImplementedError  # the workspace knows its sessions

    def _described(self, session: Names, epoch: int | None) -> list[Manifest]:
        raise NotImplementedError  # that too

    def sql(
        self,
        query: str,
        *,
        session: Names = None,
        epoch: int | None = None,
        superseded: bool = False,
        timeout_seconds: float = TIMEOUT_SECONDS,
        memory_bytes: int = MEMORY_BYTES,
        progress: Progress = lambda session, done, total: None,
    ) -> Answer:
        """The answer to one SELECT in DuckDB's SQL (docs/command.md, "sql"), on the sessions as they are now.

        Tables: tokens, emissions, metrics, modules, transitions, checkpoints, events, files, notes, with the columns of the
        loader's rows, and sessions. session: only these; epoch: only those of this training epoch. superseded: also what is no
        longer part of the run. timeout_seconds: of DuckDB's work; memory_bytes: what it may hold before it uses the folder for
        temporary files. progress: told of a session whose lines are taken in, which is done once.

        Nothing else can be read, and nothing can be written: other statements, files and settings are refused. Raises BadQuery,
        which says why, QueryStopped where a limit is reached, InvalidSetting, and what reading a session raises.
        """
        if not 0 < timeout_seconds < 1e9:
            raise InvalidSetting(f"timeout_seconds={timeout_seconds!r} must be above 0")
        if memory_bytes < _LEAST_MEMORY_BYTES:
            raise InvalidSetting(f"memory_bytes={memory_bytes!r} must be at least {_LEAST_MEMORY_BYTES:,}")
        names = check_query(query)
        return self._asker.ask(
            query,
            names,
            lambda: self._sources(session, epoch),
            lambda: self._described(session, epoch),
            superseded=superseded,
            timeout_seconds=timeout_seconds,
            memory_bytes=memory_bytes,
            progress=progress,
        )


class Asker:
    """Asks, and keeps what was taken in for the next question."""

    def __init__(self) -> None:
        self._relations: Relations | None = None
        self._lock = threading.Lock()

    def ask(
        self,
        query: str,
        names: Sequence[str],
        sources: Callable[[], list[Source]],
        sessions: Callable[[], list[Manifest]],
        *,
        superseded: bool,
        timeout_seconds: float,
        memory_bytes: int,
        progress: Progress,
    ) -> Answer:
        """The answer to a checked query that names these tables."""
        import duckdb

        logged = [name for name in names if name != SESSIONS]

        def once() -> Answer:
            with self._lock:  # snapshots are taken in in the order in which they are found
                found = sources() if logged else []
                relations = self._relations_for(found, memory_bytes)
                relations.take_in(found, logged, progress)
                cursor = relations.snapshot()
            stop = _Deadline(cursor, timeout_seconds, memory_bytes)

            def prepare() -> None:
                relations.create_views(cursor, found, logged, superseded=superseded)
                if SESSIONS in names:
                    _create_sessions(cursor, sessions())

            stop.during(query, prepare)
            stop.during(query, lambda: cursor.execute(query))
            return Answer(query, cursor, stop, relations, prepare)

        for _ in range(_TRIES - 1):
            try:
                return once()
            except (duckdb.IOException, ReadFailed):
                pass  # a sealed file is gone since it was found: what took its place is found anew
        try:
            return once()
        except duckdb.IOException as error:
            raise QueryStopped(query, _first_line(error), _AGAIN) from None

    def _relations_for(self, sources: Sequence[Source], memory_bytes: int) -> Relations:
        """Those of the last question, where they may read all the files that are needed now."""
        wanted, known = sealed_stretches(sources), self._relations
        checked = known.sealed if known is not None else frozenset()
        if known is None or not known.is_usable or known.memory_bytes != memory_bytes or not wanted <= checked:
            check_sealed(sources, checked)
            known = self._relations = Relations(memory_bytes=memory_bytes)
            known.lock(wanted)
        return known


def check_query(query: str) -> list[str]:
    """The tables that a query may ask. Raises BadQuery unless DuckDB takes it for one SELECT, or for an EXPLAIN of one."""
    import duckdb

    if not isinstance(query, str):
        raise BadQuery(repr(query), f"a query is a text, and this is {type(query).__name__}")
    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error as error:
        raise BadQuery(query, _explained(error)) from None
    if len(statements) != 1:
        what = "there is no statement in it" if not statements else f"these are {len(statements)} statements"
        raise BadQuery(query, f"{what}; what can be asked is {_POSSIBLE}")
    kind = statements[0].type.name
    if kind == "EXPLAIN":
        inner = _EXPLAIN.sub("", query, count=1)
        try:
            kind = "/".join(statement.type.name for statement in duckdb.extract_statements(inner))
        except duckdb.Error:
            kind = "EXPLAIN of something else"
    if kind != "SELECT":
        raise BadQuery(
            query, f"{kind.replace('_', ' ')} is not possible here: nothing is changed by a question. Ask {_POSSIBLE}"
        )
    words = set(re.findall(r"[a-z]+", query.lower()))
    return [name for name in (*TABLES, SESSIONS) if name in words]


def _create_sessions(cursor: "duckdb.DuckDBPyConnection", sessions: list[Manifest]) -> None:
    columns: dict[str, list[Any]] = {}
    for name, kind in _SESSION_COLUMNS.items():
        values = [getattr(entry, "name" if name == "session" else name) for entry in sessions]
        columns[name] = (
            [None if value is None else msgspec.json.encode(value).decode() for value in values] if kind == "JSON" else values
        )
    types = {name: ["VARCHAR" if kind == "JSON" else kind] for name, kind in _SESSION_COLUMNS.items()}
    unnested = ", ".join(f"unnest(c.{quoted(name)})::{kind} AS {quoted(name)}" for name, kind in _SESSION_COLUMNS.items())
    structure = literal(msgspec.json.encode(types).decode())
    text = literal(msgspec.json.encode(columns).decode())
    cursor.execute(
        f"CREATE OR REPLACE TEMP TABLE sessions AS SELECT {unnested} FROM (SELECT from_json({text}::JSON, {structure}) AS c)"
    )


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _explained(error: Exception) -> str:
    """DuckDB's words, with the place shown, and without its advice on settings that are locked."""
    text = str(error).partition("\n\nPossible solutions")[0]
    if "disabled by configuration" in text or "disabled through configuration" in text:
        return f"{_first_line(error)}; only what the sessions hold can be read. Ask {_POSSIBLE}"
    return text
