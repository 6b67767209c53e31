"""What was saved, as JSON, CSV and Parquet for other programs (docs/command.md, "export")."""

import errno
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from holdfast.errors import InvalidSetting, ReadFailed
from holdfast.reading.filters import Filter
from holdfast.reading.interruptible import call_interruptibly
from holdfast.reading.loader import Source
from holdfast.reading.relations import Progress, Relations, sealed_stretches
from holdfast.reading.sql_tables import TABLES
from holdfast.storage.files import Files, check_target, chunks_of, failure, write_errors, write_synced
from holdfast.storage.folders import put_file, put_folder
from holdfast.storage.sealed import literal, quoted

if TYPE_CHECKING:
    import duckdb

KINDS = {
    "tokens": "tokens",
    "emissions": "emissions",
    "metrics": "metrics",
    "modules": "modules",
    "states": "transitions",
    "checkpoints": "checkpoints",
    "events": "events",
    "files": "files",
    "notes": "notes",
}
"""What can be asked for by `include`, and the table of SQL in which it is."""
FINAL_STATES = "final_states"
"""What comes with states: the one in which each session was left."""
FORMATS = ("json", "csv", "parquet")
_FINAL_COLUMNS = {"session": "VARCHAR", "n": "BIGINT", "ts": "BIGINT", "state": "JSON"}
_MEMORY_BYTES = 320 << 20
_ROW_GROUP = 1 << 16
"""Rows of a row group: of so many records, and so one and the same wherever they stand."""
_OPTIONS = {
    "json": "FORMAT json, ARRAY true",
    "csv": "FORMAT csv, HEADER true",
    "parquet": "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {rows}",
}
_TRIES = 3
_FILTERS = {"names": "name", "phases": "phase", "tiers": "tier", "sources": "source", "z": "z"}
"""The fields of a filter, and the column that each is about."""
_FORMULAS = r"^[=+\-@\t\r]"


class Exported(msgspec.Struct, frozen=True):
    """What was written. path: the file, or the folder with a file a kind. rows: of each kind."""

    path: Path
    rows: dict[str, int]


def export_tables(
    files: Files,
    sources: Callable[[], Sequence[Source]],
    output: Path,
    *,
    format: str,
    include: Collection[str] | None,
    wanted: Filter,
    last: int | None = None,
    up_to: int | None = None,
    excel_safe: bool = False,
    force: bool = False,
    progress: Progress = lambda what, done, total: None,
) -> Exported:
    """Write what the sources have of some kinds, session after session in the order of their logs.

    include: of KINDS; where None, all that can be filtered as wanted. last: so many of each kind. up_to: the last record that
    counts. progress: is told what is worked on, how much of it is done, and of how much.

    JSON is one file: a list of objects, or, of several kinds, an object with a list a kind. CSV and Parquet are one file, or,
    of several kinds, a folder with a file a kind. The same records give the same bytes, sealed or not. Streams: memory does
    not grow with the sessions. Nothing is called `output` before all of it is there and synced. Raises InvalidSetting,
    Corrupted, ReadFailed, WriteFailed.
    """
    kinds = _kinds(include, wanted)
    if excel_safe and format != "csv":
        raise InvalidSetting(f"excel_safe is for CSV, and the format is {format!r}. Leave it out")
    output = output.absolute()
    condition = _condition(wanted) + ("" if up_to is None else f" AND n <= {up_to}")
    writing = _Writing(files, sources, kinds, format, condition, wanted.superseded, last, excel_safe, output, progress)
    with write_errors(output):
        if format == "json" or len(writing.lists) == 1:
            check_target(files, output, force=force)
            put_file(files, output, writing.fill_file)
        else:
            _check_folder(files, output, format, force=force)
            put_folder(files, output, writing.fill_folder, replace=force)
    return Exported(output, writing.rows)


def _kinds(include: Collection[str] | None, wanted: Filter) -> tuple[str, ...]:
    """The kinds that are asked for, in our order. Without a word, all that the filters can be applied to."""
    asked = [column for field, column in _FILTERS.items() if getattr(wanted, field) is not None]
    lacking = {kind: [name for name in asked if name not in TABLES[table].columns] for kind, table in KINDS.items()}
    if include is None:
        return tuple(kind for kind in KINDS if not lacking[kind])
    names = (include,) if isinstance(include, str) else tuple(include)
    if not names:
        raise InvalidSetting(f"include is empty; there are: {', '.join(KINDS)}")
    for name in names:
        if name not in KINDS:
            raise InvalidSetting(f"include={name!r} is not known; there are: {', '.join(KINDS)}")
        if lacking[name]:
            what = f"{name} have no {lacking[name][0]}, by which they should be filtered"
            raise InvalidSetting(f"{what}. Leave one of the two out; nothing was written")
    return tuple(kind for kind in KINDS if kind in names)


def _check_folder(files: Files, path: Path, format: str, *, force: bool) -> None:
    """Raise InvalidSetting where something is in the way that is no earlier export."""
    if not files.exists(path):
        return
    if not force:
        raise InvalidSetting(f"{path} is there already. Nothing was changed; replace it with force=True (--force)")
    known = {f"{name}.{format}" for name in (*KINDS, FINAL_STATES)}
    if path.is_symlink() or not path.is_dir() or not set(files.names(path)) <= known:
        raise InvalidSetting(f"{path} is there, and is no earlier export. Nothing was changed; name another folder")


class _Writing:
    """One export being written. lists: the names of its tables. rows: how many of each were."""

    def __init__(
        self,
        files: Files,
        sources: Callable[[], Sequence[Source]],
        kinds: Sequence[str],
        format: str,
        condition: str,
        superseded: bool,
        last: int | None,
        excel_safe: bool,
        output: Path,
        progress: Progress,
    ) -> None:
        self._files, self._sources, self._kinds, self._format = files, sources, kinds, format
        self._condition, self._superseded, self._last, self._excel_safe = condition, superseded, last, excel_safe
        self._output, self._progress = output, progress
        self.lists = [name for kind in kinds for name in ((kind, FINAL_STATES) if kind == "states" else (kind,))]
        self.rows: dict[str, int] = {}

    def fill_folder(self, folder: Path) -> None:
        """Write a file a table, all synced."""
        for path in self._tables(folder):
            file = self._files.open(path)
            try:
                file.sync()
            finally:
                file.close()

    def fill_file(self, folder: Path) -> Path:
        """Write one file."""
        paths = self._tables(folder)
        if len(paths) == 1:
            return paths[0]
        document = folder / "document"
        write_synced(self._files, document, self._document(paths))
        return document

    def _document(self, paths: Iterable[Path]) -> Iterator[bytes]:
        """An object with a list a kind; each goes once it is in it."""
        for index, (name, path) in enumerate(zip(self.lists, paths, strict=True)):
            yield (b"," if index else b"{") + b'\n"%b": ' % name.encode()
            file = self._files.open(path)
            try:
                yield from chunks_of(file, file.size())
            finally:
                file.close()
            self._files.unlink(path)
        yield b"}\n"

    def _tables(self, folder: Path) -> list[Path]:
        import duckdb

        for tries_left in reversed(range(_TRIES)):
            relations = Relations(memory_bytes=_MEMORY_BYTES, threads=1)  # with more, memory grows with the rows
            sources = self._sources()
            try:
                return self._tables_of(relations, sources, folder)
            except duckdb.IOException as error:
                is_gone = any(not self._files.exists(stretch.path) for stretch in sealed_stretches(sources) if stretch.path)
                if not (is_gone and tries_left):  # else what took its place is found anew
                    raise self._failure(error, is_gone=is_gone) from None
            except duckdb.OutOfMemoryException as error:
                raise failure(self._output, OSError(errno.ENOMEM, _first_line(error))) from None
            finally:
                relations.close()
        raise AssertionError

    def _tables_of(self, relations: Relations, sources: Sequence[Source], folder: Path) -> list[Path]:
        relations.take_in(sources, [KINDS[kind] for kind in self._kinds], self._progress)
        writer = _Writer(relations.cursor(), self._format, self._excel_safe, self._progress)
        paths: list[Path] = []
        for name in self.lists:
            rows = self._select("states" if name == FINAL_STATES else name, relations, sources)
            columns = dict(TABLES[KINDS[name]].columns) if name != FINAL_STATES else _FINAL_COLUMNS
            if name == FINAL_STATES:
                order = ", ".join(literal(source.session) for source in sources) or "''"
                last = f"SELECT session, max(n) AS n, max_by(ts, n) AS ts, max_by(after, n) AS state FROM ({rows}) GROUP BY ALL"
                rows = f"SELECT * FROM ({last}) ORDER BY list_position([{order}], session)"
            elif self._last is not None:
                rows = f"{rows} OFFSET {max(0, writer.count(rows) - self._last)}"
            paths.append(folder / f"{name}.{self._format}")
            self.rows[name] = writer.write(name, rows, columns, paths[-1])
        return paths

    def _select(self, kind: str, relations: Relations, sources: Sequence[Source]) -> str:
        """SQL for the wanted rows of all sessions, in order."""
        table = KINDS[kind]
        columns = ", ".join(quoted(name) for name in TABLES[table].columns)
        rows = relations.in_order(
            sources,
            table,
            superseded=self._superseded,
            json="JSON" if self._format == "json" else "VARCHAR",
            part=_ROW_GROUP if self._format == "parquet" else None,
        )
        return f"SELECT {columns} FROM ({rows}) WHERE {self._condition}"

    def _failure(self, error: Exception, *, is_gone: bool) -> Exception:
        what = _first_line(error)
        if is_gone:
            return ReadFailed(self._output, f"a session was sealed or deleted while it was read ({what}). Ask again")
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            if _says(what, number):
                return failure(self._output, OSError(number, what))
        return failure(self._output, OSError(errno.EIO, what))


class _Writer:
    """Writes the rows of selects to files, in their order."""

    def __init__(self, cursor: "duckdb.DuckDBPyConnection", format: str, excel_safe: bool, progress: Progress) -> None:
        self._cursor, self._format, self._excel_safe, self._progress = cursor, format, excel_safe, progress
        for setting in ("enable_progress_bar = true", "enable_progress_bar_print = false", "progress_bar_time = 0"):
            cursor.execute(f"SET {setting}")
        # It would leave room for NULL in a Parquet column only where statistics do not rule it out, which sealed files do.
        cursor.execute("SET disabled_optimizers = 'statistics_propagation'")

    def count(self, rows: str) -> int:
        """How many there are."""
        return self._run("counting", f"SELECT count(*) FROM ({rows})")

    def write(self, name: str, rows: str, columns: dict[str, str], path: Path) -> int:
        """Write them to a file, and return how many they were."""
        selected = f"SELECT {', '.join(self._columns(columns))} FROM ({rows})"
        return int(
            self._run(name, f"COPY ({selected}) TO {literal(str(path))} ({_OPTIONS[self._format].format(rows=_ROW_GROUP)})")
        )

    def _columns(self, columns: dict[str, str]) -> Iterator[str]:
        for index, (name, kind) in enumerate(columns.items()):
            column, shown = quoted(name), name
            if self._format == "json":
                if name == "exact":
                    continue
                if name == "value":
                    column = '"exact"'  # any value at all, and NaN as the log has it: JSON has none
                elif kind == "DOUBLE":
                    column = f"if(isfinite({column}), {column}, NULL)"
            elif kind == "JSON":
                column = f"{column}::VARCHAR"  # Parquet's own type for JSON is bytes to many
            if self._excel_safe:
                if kind in ("VARCHAR", "JSON"):
                    text = f"{column}::VARCHAR"
                    column = f"if(regexp_matches({text}, {literal(_FORMULAS)}), '''' || {text}, {text})"
                shown = name if index else f"\N{BYTE ORDER MARK}{name}"
            yield f"{column} AS {quoted(shown)}"

    def _run(self, name: str, statement: str) -> int:
        """The number that a statement answers."""
        cursor = self._cursor

        def told() -> None:
            self._progress(name, max(0, int(cursor.query_progress())), 100)

        found = call_interruptibly(cursor, lambda: cursor.execute(statement).fetchone(), told)
        return int(found[0]) if found else 0


def _condition(wanted: Filter) -> str:
    parts = ["true"]
    for field, column in _FILTERS.items():
        value = getattr(wanted, field)
        if value is None:
            continue
        if field == "z":
            parts.append(f"{column} BETWEEN {value[0]!r}::DOUBLE AND {value[1]!r}::DOUBLE")
        else:
            entries = ", ".join(literal(entry) if isinstance(entry, str) else str(entry) for entry in sorted(value))
            parts.append(f"{quoted(column)} IN ({entries})" if entries else "false")
    if wanted.since is not None:
        parts.append(f"ts >= {wanted.since}")
    if wanted.until is not None:
        parts.append(f"ts < {wanted.until}")
    return " AND ".join(parts)


def _says(what: str, number: int) -> bool:
    import os

    return os.strerror(number).lower() in what.lower()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
