"""Rows of SELECTs as the bytes of a file, by DuckDB: written in pieces by some at once, and put together in their order."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Self

from holdfast.reading.export.joining import JOINED
from holdfast.reading.sql.interruptible import Workers
from holdfast.reading.sql.relations import Progress, Relations
from holdfast.storage.files import File, Files
from holdfast.storage.sealed import literal, quoted

if TYPE_CHECKING:
    import duckdb

FORMATS = ("json", "csv", "parquet")
_OPTIONS = {
    "json": "FORMAT json, ARRAY true",
    "csv": "FORMAT csv, HEADER {is_first}",
    "parquet": "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {group_rows}",
}
_FORMULAS = r"^[=+\-@\t\r]"
_MOST_WORKERS = 4
"""Each holds what it writes of a piece."""


class Copying:
    """Makes files of one format of the rows of SELECTs, in their order. A context: nothing works once it is left.

    folder: where pieces stand while they are needed. group_rows: the most of a row group. excel_safe: nothing in CSV is a
    formula, and its encoding is said. rows: how many of each name there were.
    """

    def __init__(
        self,
        files: Files,
        relations: Relations,
        format: str,
        folder: Path,
        *,
        group_rows: int,
        excel_safe: bool,
        progress: Progress,
    ) -> None:
        self._files, self._format, self._folder = files, format, folder
        self._group_rows, self._excel_safe, self._progress = group_rows, excel_safe, progress
        self.rows: Counter[str] = Counter()
        self._cursors = [relations.cursor() for _ in range(min(_MOST_WORKERS, os.cpu_count() or 1))]
        for cursor in self._cursors:
            # It would leave room for NULL in a Parquet column only where statistics do not rule it out, as sealed files' do.
            cursor.execute("SET disabled_optimizers = 'statistics_propagation'")
        self._workers = Workers(self._cursors)

    def __enter__(self) -> Self:
        self._workers.__enter__()
        return self

    def __exit__(self, *failure: object) -> None:
        self._workers.__exit__(*failure)
        for cursor in self._cursors:
            cursor.close()

    def last(self, pieces: Sequence[str], count: int) -> list[str]:
        """SELECTs for the last so many of their rows. Those at the end are counted, no more than need be."""
        found: list[str] = []
        backwards = [f"SELECT count(*) FROM ({piece})" for piece in reversed(pieces)]
        with closing(self._workers.in_order(map(_answering, backwards))) as counted:
            for piece, rows in zip(reversed(pieces), counted, strict=True):
                found.insert(0, piece if rows <= count else f"{piece} OFFSET {rows - count}")
                count -= rows
                if count <= 0:
                    break
        return found

    def chunks(self, name: str, pieces: Sequence[str], columns: dict[str, str]) -> Iterator[bytes]:
        """The bytes of a file with their rows."""
        self.rows[name] = 0
        return JOINED[self._format](self._written(name, pieces, columns))

    def _written(self, name: str, pieces: Sequence[str], columns: dict[str, str]) -> Iterator[File]:
        """Files of the pieces that have rows, at least one, each for as long as it is looked at."""
        selected = ", ".join(self._columns(columns))
        paths = [self._folder / f"{name}.{index}" for index in range(len(pieces))]
        copies = (
            f"COPY (SELECT {selected} FROM ({piece})) TO {literal(str(path))} ({self._options(index)}, USE_TMP_FILE false)"
            for index, (piece, path) in enumerate(zip(pieces, paths, strict=True))
        )
        self._progress(name, 0, len(pieces))
        for index, rows in enumerate(self._workers.in_order(map(_answering, copies))):
            self.rows[name] += rows
            if rows or not index:
                file = self._files.open(paths[index])
                try:
                    yield file
                finally:
                    file.close()
            self._files.unlink(paths[index])
            self._progress(name, index + 1, len(pieces))

    def _options(self, index: int) -> str:
        return _OPTIONS[self._format].format(is_first=index == 0, group_rows=self._group_rows)

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


def _answering(statement: str) -> "Callable[[duckdb.DuckDBPyConnection], int]":
    """Asks for the number that a statement answers."""

    def call(cursor: "duckdb.DuckDBPyConnection") -> int:
        ((number,),) = cursor.execute(statement).fetchall()
        return int(number)

    return call
