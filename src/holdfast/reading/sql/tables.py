"""The tables of SQL and export: their names, the rows that stand in them, and the type of each column."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from holdfast.reading import shelves
from holdfast.reading.blocks import Block
from holdfast.reading.columns import TOKEN_FIELDS, batch_of, shown_text
from holdfast.reading.filters import Filter
from holdfast.reading.index.build import text_of
from holdfast.reading.rows import (
    CheckpointRow,
    EmissionRow,
    EventRow,
    FileRow,
    MetricRow,
    ModuleRow,
    NoteRow,
    Row,
    TokenRow,
    TransitionRow,
)
from holdfast.reading.shelves import Shelf
from holdfast.reading.superseded import SupersededSpans
from holdfast.reading.tables import json_of

_SQL_TYPES: dict[Any, str] = {int: "BIGINT", float: "DOUBLE", str: "VARCHAR", bool: "BOOLEAN"}


@dataclass(frozen=True)
class Table:
    """One table. Its columns are the fields of its rows, in their order; user values are JSON, as the log has them."""

    name: str
    row_type: type[Row]
    shelf: Callable[[Filter], Shelf[Any]]

    @cached_property
    def columns(self) -> dict[str, str]:
        """The SQL type of each column. A token is its text. `value` of a metric is its number, if it is one; `exact` is any."""
        types: dict[str, str] = {}
        for field in msgspec.structs.fields(self.row_type):
            types[field.name] = _sql_type(field.type)
        if self.row_type is TokenRow:
            types["token"] = "VARCHAR"
        if self.row_type is MetricRow:
            types["value"], types["exact"] = "DOUBLE", "JSON"
        return types

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of records in which its rows stand."""
        return self.shelf(_EVERYTHING).kinds

    def read(self, session: str, block: Block, spans: SupersededSpans) -> dict[str, list[Any]]:
        """The rows of a block of lines, superseded ones too, as columns of numbers and texts."""
        if self.row_type is TokenRow:
            return self._read_tokens(session, block, spans)
        columns: dict[str, list[Any]] = {}
        rows = self.shelf(_EVERYTHING).rows(session, block, spans)
        for name, kind in self.columns.items():
            found: list[Any] = [getattr(row, name if name != "exact" else "value") for row in rows]
            if name == "value":
                found = [_number(value) for value in found]
            elif kind == "JSON":
                found = [None if value is None and name != "exact" else json_of(value) for value in found]
            elif kind == "VARCHAR":
                found = [None if value is None else shown_text(value) for value in found]
            columns[name] = found
        return columns

    def _read_tokens(self, session: str, block: Block, spans: SupersededSpans) -> dict[str, list[Any]]:
        batch = batch_of(block, _TOKEN_FIELDS, spans, canonical=False)
        columns: dict[str, list[Any]] = {}
        for name, kind in self.columns.items():
            found: list[Any] = [session] * len(batch) if name == "session" else getattr(batch, name)
            if name == "token":
                found = [text_of(value) for value in found]
            elif kind == "JSON":
                found = [None if value is None else json_of(value) for value in found]
            columns[name] = found
        return columns


_EVERYTHING = Filter(superseded=True)
_TOKEN_FIELDS = frozenset((*TOKEN_FIELDS, "meta", "info", "others"))
TABLES = {
    table.name: table
    for table in (
        Table("tokens", TokenRow, shelves.token_shelf),
        Table("emissions", EmissionRow, shelves.emission_shelf),
        Table("metrics", MetricRow, shelves.metric_shelf),
        Table("modules", ModuleRow, shelves.module_shelf),
        Table("transitions", TransitionRow, shelves.transition_shelf),
        Table("checkpoints", CheckpointRow, shelves.checkpoint_shelf),
        Table("events", EventRow, shelves.event_shelf),
        Table("files", FileRow, shelves.file_shelf),
        Table("notes", NoteRow, shelves.note_shelf),
    )
}


def _sql_type(annotation: Any) -> str:
    for kind, name in _SQL_TYPES.items():
        if annotation in (kind, kind | None):
            return name
    return "JSON"


def _number(value: Any) -> str | None:
    """A number as SQL reads it from a text; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return repr(float(value))
    except OverflowError:  # an integer beyond all floats
        return "inf" if value > 0 else "-inf"
