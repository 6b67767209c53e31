"""Rows of a SELECT into a file, by DuckDB."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.reading.interruptible import call_interruptibly
from holdfast.reading.relations import Progress
from holdfast.storage.sealed import literal, quoted

if TYPE_CHECKING:
    import duckdb

FORMATS = ("json", "csv", "parquet")
_OPTIONS = {
    "json": "FORMAT json, ARRAY true",
    "csv": "FORMAT csv, HEADER true",
    "parquet": "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {rows}",
}
_FORMULAS = r"^[=+\-@\t\r]"


class Copying:
    """Writes the rows of SELECTs to files of one format, in their order.

    group_rows: the most of a row group. excel_safe: nothing in CSV is a formula, and its encoding is said.
    """

    def __init__(
        self, cursor: "duckdb.DuckDBPyConnection", format: str, *, group_rows: int, excel_safe: bool, progress: Progress
    ) -> None:
        self._cursor, self._format, self._excel_safe, self._progress = cursor, format, excel_safe, progress
        self._options = _OPTIONS[format].format(rows=group_rows)
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
        return self._run(name, f"COPY ({selected}) TO {literal(str(path))} ({self._options})")

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
