"""From the lines of a log to rows in DuckDB."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from holdfast.reading.blocks import Block
from holdfast.reading.sql.tables import Table
from holdfast.reading.superseded import SupersededSpans
from holdfast.storage.sealed import literal, quoted

if TYPE_CHECKING:
    import duckdb

    from holdfast.reading.index.sorted_lines import Array

_ROWS_AT_ONCE = 8192


class Taking:
    """Rows of one table on their way from lines into DuckDB, some thousands at a time, into taken.NAME."""

    def __init__(self, database: "duckdb.DuckDBPyConnection", table: Table) -> None:
        self._database, self._table = database, table
        columns = ", ".join(["log::UINTEGER", *(_typed(name, kind) for name, kind in table.columns.items())])
        self._sql = f"INSERT INTO taken.{table.name} SELECT {columns} FROM taking"
        self._held: dict[str, list[Any]] = {"log": [], **{name: [] for name in table.columns}}

    def add(self, log: int, session: str, block: Block, spans: SupersededSpans) -> None:
        """Take in what a block of lines has of them."""
        columns = self._table.read(session, block, spans)
        for name, values in columns.items():
            self._held[name] += values
        self._held["log"] += [log] * len(columns["n"])
        if len(self._held["log"]) >= _ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Hand on what is still held."""
        if not self._held["log"]:
            return
        types = {"log": "BIGINT", **self._table.columns}
        arrays = {name: _array(name, types[name], values) for name, values in self._held.items()}
        self._database.register("taking", arrays)
        try:
            self._database.execute(self._sql)
        finally:
            self._database.unregister("taking")
        for values in self._held.values():
            values.clear()


def _array(name: str, kind: str, values: Sequence[Any]) -> "Array":
    """A column as DuckDB reads it at once: numbers, or texts, from which `_typed` makes what they are."""
    import numpy as np

    if kind == "BOOLEAN":
        return np.array(values, dtype=bool)
    if kind == "BIGINT" and None not in values:
        return np.array(values, dtype=np.int64)
    if kind == "DOUBLE" and name != "value":
        return np.array(values, dtype=np.float64)
    column = np.empty(len(values), dtype=object)
    column[:] = [None if value is None else str(value) for value in values] if kind == "BIGINT" else values
    return column


def _typed(name: str, kind: str) -> str:
    column = quoted(name)
    if kind == "DOUBLE":
        return f"{column}::VARCHAR::DOUBLE" if name == "value" else f"if(isnan({column}), NULL, {column})"
    return f"{column}::VARCHAR::{kind}" if kind == "JSON" else f"{column}::{kind}"


def dead_sql(spans: SupersededSpans, first: int, last: int) -> str:
    """SQL for whether a row, of the records first to last, is superseded."""
    found = [
        f"(coalesce(lane, '') = {literal(lane)} AND coalesce(top, false) = {str(top).lower()} AND n BETWEEN {begin} AND {end})"
        for lane, top, begin, end in spans.between(first, last)
    ]
    return f"({' OR '.join(found)})" if found else "false"
