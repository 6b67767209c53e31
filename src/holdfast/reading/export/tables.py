"""What was saved, as JSON, CSV and Parquet for other programs (docs/command.md, "export")."""

import errno
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from holdfast.errors import InvalidSetting, ReadFailed
from holdfast.reading.export.copying import Copying
from holdfast.reading.export.pieces import cut_in_pieces
from holdfast.reading.filters import Filter
from holdfast.reading.loader import Source
from holdfast.reading.sql.relations import Progress, Relations, check_sealed, sealed_stretches
from holdfast.reading.sql.tables import TABLES
from holdfast.storage.files import Files, check_target, failure, write_errors, write_synced
from holdfast.storage.folders import put_file, put_folder, remove_tree
from holdfast.storage.sealed import literal, quoted

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
_FINAL_COLUMNS = {"session": "VARCHAR", "n": "BIGINT", "ts": "BIGINT", "state": "JSON"}
_MEMORY_BYTES = 320 << 20
_ROW_GROUP = 1 << 16
"""Rows of a row group: of so many records, and so one and the same wherever they stand."""
_PORTION = 2 * _ROW_GROUP
"""Records whose rows are written at once where there are no row groups."""
_TRIES = 3
_FILTERS = {"names": "name", "phases": "phase", "tiers": "tier", "sources": "source", "z": "z"}
"""The fields of a filter, and the column that each is about."""
_Tables = Iterator[tuple[str, Iterator[bytes]]]
"""Tables by name, each with the bytes of its file, which are to be asked for before the next one is."""


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
    asked = _Asked(kinds, format, condition, wanted.superseded, last, excel_safe)
    writing = _Writing(files, sources, asked, output, progress)
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


class _Asked(NamedTuple):
    """What is to be written. condition: SQL that a row fulfils. last: so many of each kind."""

    kinds: Sequence[str]
    format: str
    condition: str
    superseded: bool
    last: int | None
    excel_safe: bool


class _Writing:
    """One export being written. lists: the names of its tables. rows: how many of each were."""

    def __init__(
        self, files: Files, sources: Callable[[], Sequence[Source]], asked: _Asked, output: Path, progress: Progress
    ) -> None:
        self._files, self._sources, self._asked = files, sources, asked
        self._output, self._progress = output, progress
        self.lists = [name for kind in asked.kinds for name in ((kind, FINAL_STATES) if kind == "states" else (kind,))]
        self.rows: dict[str, int] = {}

    def fill_folder(self, folder: Path) -> None:
        """Write a file a table, all synced."""

        def write(tables: _Tables) -> None:
            for name, chunks in tables:
                write_synced(self._files, folder / f"{name}.{self._asked.format}", chunks)

        self._try(write, folder)

    def fill_file(self, folder: Path) -> Path:
        """Write one file, and return its path."""
        path = folder / f"all.{self._asked.format}"

        def write(tables: _Tables) -> None:
            write_synced(self._files, path, _document(tables) if len(self.lists) > 1 else next(tables)[1])

        self._try(write, folder)
        return path

    def _try(self, write: Callable[[_Tables], None], folder: Path) -> None:
        """Write the tables, which come with the bytes of each."""
        import duckdb

        for tries_left in reversed(range(_TRIES)):
            relations = Relations(memory_bytes=_MEMORY_BYTES, threads=1)  # with more, memory grows with the rows
            sources = self._sources()
            try:
                with self._copying(relations, folder) as copying:
                    write(self._tables(relations, sources, copying))
                    self.rows = dict(copying.rows)
                return
            except (duckdb.Error, ReadFailed) as error:
                # What took the place of a sealed file that is gone is found anew.
                if not (tries_left and any(not self._files.exists(path) for path in _sealed(sources))):
                    raise self._failure(error, sources) from None
                for begun in self._files.names(folder):  # pieces may be among it that have no place in what is written now
                    remove_tree(self._files, folder / begun)
            finally:
                relations.close()
        raise AssertionError

    def _copying(self, relations: Relations, folder: Path) -> Copying:
        asked = self._asked
        return Copying(
            self._files,
            relations,
            asked.format,
            folder,
            group_rows=_ROW_GROUP,
            excel_safe=asked.excel_safe,
            progress=self._progress,
        )

    def _tables(self, relations: Relations, sources: Sequence[Source], copying: Copying) -> _Tables:
        asked = self._asked
        check_sealed(sources)
        relations.take_in(sources, [KINDS[kind] for kind in asked.kinds], self._progress)
        for name in self.lists:
            if name == FINAL_STATES:
                (rows,) = self._pieces("states", relations, sources)
                yield name, copying.chunks(name, [_final_states(rows, sources)], _FINAL_COLUMNS)
                continue
            pieces = self._pieces(name, relations, sources)
            if asked.last is not None:
                pieces = copying.last(pieces, asked.last)
            yield name, copying.chunks(name, pieces, TABLES[KINDS[name]].columns)

    def _pieces(self, kind: str, relations: Relations, sources: Sequence[Source]) -> list[str]:
        """SQL for the wanted rows of all sessions, in order."""
        table, asked = KINDS[kind], self._asked
        columns = ", ".join(quoted(name) for name in TABLES[table].columns)
        has_groups = asked.format == "parquet"
        pieces = cut_in_pieces(
            relations,
            sources,
            table,
            _ROW_GROUP if has_groups else _PORTION,
            alike=has_groups,
            superseded=asked.superseded,
            json="JSON" if asked.format == "json" else "VARCHAR",
        )
        return [f"SELECT {columns} FROM ({piece}) WHERE {asked.condition}" for piece in pieces]

    def _failure(self, error: Exception, sources: Sequence[Source]) -> Exception:
        """What went wrong: with a sealed file, or with what is written."""
        what = str(error).partition("\n")[0]
        if isinstance(error, ReadFailed):
            return error
        if any(not self._files.exists(path) for path in _sealed(sources)):
            return ReadFailed(self._output, f"a session was sealed or deleted while it was read ({what}). Ask again")
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            if os.strerror(number).lower() in what.lower():
                return failure(self._output, OSError(number, what))
        return failure(self._output, OSError(errno.EIO, what))


def _document(tables: _Tables) -> Iterator[bytes]:
    """An object with a list a kind."""
    for index, (name, chunks) in enumerate(tables):
        yield (b"," if index else b"{") + b'\n"%b": ' % name.encode()
        yield from chunks
    yield b"}\n"


def _sealed(sources: Sequence[Source]) -> list[Path]:
    return [stretch.path for stretch in sealed_stretches(sources) if stretch.path is not None]


def _final_states(rows: str, sources: Sequence[Source]) -> str:
    """SQL for the state that each session was left in, of its changes of state."""
    order = ", ".join(literal(source.session) for source in sources) or "''"
    last = f"SELECT session, max(n) AS n, max_by(ts, n) AS ts, max_by(after, n) AS state FROM ({rows}) GROUP BY ALL"
    return f"SELECT * FROM ({last}) ORDER BY list_position([{order}], session)"


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
