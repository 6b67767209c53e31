"""Rows as the tables of other libraries, each imported only when it is asked for."""

from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.codec import encode
from holdfast.errors import UsageError
from holdfast.reading.columns import shown_text
from holdfast.reading.rows import Row

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NUMBERS = (int, float)
_PLAIN = (int, float, str, bool)


def columns_of(rows: Iterable[Row], row_type: type[Row]) -> dict[str, list[Any]]:
    """The fields of rows, a list each, in the order of the row's fields."""
    names = row_type.__struct_fields__
    columns: dict[str, list[Any]] = {name: [] for name in names}
    pairs = [(name, columns[name].append) for name in names]
    for row in rows:
        for name, append in pairs:
            append(getattr(row, name))
    return columns


def to_numpy(rows: Sequence[Row], row_type: type[Row]) -> "dict[str, NDArray[Any]]":
    """Whole columns of ints are int64, of floats and absent numbers float64 with NaN, of bools bool; others of objects."""
    import numpy as np

    found: dict[str, NDArray[Any]] = {}
    for name, values in columns_of(rows, row_type).items():
        kind = _kind_of(name, values, row_type)
        if kind is int and None not in values:
            found[name] = np.array(values, dtype=np.int64)
        elif kind in _NUMBERS:
            found[name] = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        elif kind is bool:
            found[name] = np.array(values, dtype=np.bool_)
        else:
            found[name] = np.fromiter(values, dtype=object, count=len(values))
    return found


def to_arrow(rows: Sequence[Row], row_type: type[Row]) -> Any:
    """A pyarrow.Table. Types depend on the kind of row; where any value may stand, on those that do."""
    arrow = library("pyarrow", "to_arrow")
    types = {int: arrow.int64(), float: arrow.float64(), bool: arrow.bool_(), str: arrow.string()}
    arrays = {
        name: arrow.array(values, type=types[kind])
        for name, (values, kind) in _plain_columns(columns_of(rows, row_type), row_type).items()
    }
    return arrow.table(arrays)


def to_pandas(rows: Sequence[Row], row_type: type[Row]) -> Any:
    """A pandas.DataFrame; the columns are those of to_numpy."""
    pandas = library("pandas", "to_pandas")
    return pandas.DataFrame(to_numpy(rows, row_type))


def to_polars(rows: Sequence[Row], row_type: type[Row]) -> Any:
    """A polars.DataFrame; the columns are those of to_arrow."""
    polars = library("polars", "to_polars")
    types = {int: polars.Int64, float: polars.Float64, bool: polars.Boolean, str: polars.String}
    series = [
        polars.Series(name, values, dtype=types[kind])
        for name, (values, kind) in _plain_columns(columns_of(rows, row_type), row_type).items()
    ]
    return polars.DataFrame(series)


def library(name: str, method: str) -> Any:
    """A library that is not ours, imported. Raises UsageError."""
    try:
        return import_module(name)
    except ImportError as error:
        raise UsageError(f"{method}() needs {name}, which cannot be imported here ({error}): pip install {name}") from None


def _plain_columns(columns: dict[str, list[Any]], row_type: type[Row]) -> dict[str, tuple[list[Any], type]]:
    """Columns of one plain type each. What has none becomes the JSON text that the log has of it; lone surrogates, which no
    table can hold, become U+FFFD."""
    plain: dict[str, tuple[list[Any], type]] = {}
    for name, values in columns.items():
        kind = _kind_of(name, values, row_type)
        if kind is None:
            plain[name] = [None if value is None else json_of(value) for value in values], str
        elif kind is str:
            plain[name] = [None if value is None else shown_text(value) for value in values], str
        else:
            plain[name] = values, kind
    return plain


def _kind_of(name: str, values: list[Any], row_type: type[Row]) -> type | None:
    """The plain type of a column: by its field's type, and by what stands in it where that may be anything; None for no one."""
    annotation = _hints(row_type)[name]
    for kind in _PLAIN:
        if annotation in (kind, kind | None):
            return kind
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {int, float}:
        return float
    if len(kinds) != 1 or not kinds <= set(_PLAIN):
        return None
    is_large = kinds == {int} and not all(value is None or -(2**63) <= value < 2**63 for value in values)
    return None if is_large else kinds.pop()


def _hints(row_type: type[Row]) -> dict[str, Any]:
    return {field.name: field.type for field in msgspec.structs.fields(row_type)}


def json_of(value: object) -> str:
    """A user value as the JSON text that the log has of it."""
    return msgspec.json.encode(encode(value)).decode()
