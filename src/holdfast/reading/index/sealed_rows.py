"""The tokens of a sealed file as columns of codes, without a Python object a row."""

from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.storage.sealed import connection, literal, quoted

if TYPE_CHECKING:
    import duckdb

    from holdfast.reading.index.sorted_lines import Array

_MOST_LINES = 1_000
"""With more tokens than these that stand as lines among the columns, all of them are read as lines."""
_names = count()


@dataclass(frozen=True)
class CodedRows:
    """Tokens in order: numbers, and for each of the texts and of NAMED the values, and a code a row."""

    columns: "dict[str, Array]"
    values: dict[str, list[Any]]

    def between(self, first: int, last: int) -> "CodedRows":
        """Those of the records first to last."""
        import numpy as np

        low, high = np.searchsorted(self.columns["n"], [first, last + 1])
        return CodedRows({name: column[low:high] for name, column in self.columns.items()}, self.values)

    @property
    def bounds(self) -> tuple[int, int]:
        """Its first record, and its last."""
        return int(self.columns["n"][0]), int(self.columns["n"][-1])

    def __len__(self) -> int:
        return len(self.columns["n"])


def sealed_rows(path: Path, first: int, last: int) -> "tuple[CodedRows, list[int]] | None":
    """The tokens of the records first to last that stand in columns, and the numbers of those records that hold tokens and
    stand as lines; None where those are many, or DuckDB cannot read it: then reading the lines says why."""
    import duckdb

    where = f"FROM read_parquet({literal(str(path))}) WHERE n BETWEEN {first} AND {last}"
    try:
        asked = connection()
        lines = f"SELECT n {where} AND kind IN ('token', 'tokens') AND line IS NOT NULL ORDER BY n LIMIT {_MOST_LINES + 1}"
        others = [int(n) for (n,) in asked.execute(lines).fetchall()]
        if len(others) > _MOST_LINES:
            return None
        return _coded(asked, f"{where} AND kind = 'token' AND line IS NULL"), others
    except duckdb.Error:
        return None


def sealed_lines(path: Path, first: int, last: int, kind: str) -> list[bytes] | None:
    """The lines of a kind that stands in no columns, of the records first to last; None where DuckDB cannot read them."""
    import duckdb

    where = f"FROM read_parquet({literal(str(path))}) WHERE n BETWEEN {first} AND {last} AND kind = {literal(kind)}"
    try:
        found = connection().execute(f"SELECT line {where} ORDER BY n").fetchall()
    except duckdb.Error:
        return None
    return None if any(line is None for (line,) in found) else [line.encode() for (line,) in found]


def _coded(asked: "duckdb.DuckDBPyConnection", where: str) -> CodedRows:
    import numpy as np

    values: dict[str, list[Any]] = {}
    types: dict[str, str] = {}
    try:
        for name in ("token", "phase", "source", "lane"):
            kind = f"holdfast_{next(_names)}"
            asked.execute(f"CREATE TYPE {kind} AS ENUM (SELECT DISTINCT {quoted(name)} {where} AND {quoted(name)} IS NOT NULL)")
            types[name] = kind
            different = asked.execute(f"SELECT unnest(enum_range(NULL::{kind}))").fetchall()
            values[name] = [*(value for (value,) in different), None]
        codes = [f"enum_code({quoted(name)}::{kind}) AS {quoted(name)}" for name, kind in types.items()]
        found = asked.execute(f"SELECT {', '.join(['n', 'ts', 'z', 'tier', 'top', *codes])} {where}").fetchnumpy()
    finally:
        for kind in types.values():
            asked.execute(f"DROP TYPE IF EXISTS {kind}")
    columns = {"n": _filled(found["n"], 0), "ts": _filled(found["ts"], 0), "z": _filled(found["z"], float("nan"))}
    columns["top"] = _filled(found["top"], False)
    for name in ("token", "phase", "source", "lane"):
        columns[name] = _filled(found[name].astype(np.uint32), len(values[name]) - 1)
    tiers, columns["tier"] = np.unique(_filled(found["tier"], _NO_TIER), return_inverse=True)
    values["tier"] = [None if tier == _NO_TIER else tier for tier in tiers.tolist()]
    return CodedRows(columns, values)


_NO_TIER = -(1 << 63)


def _filled(column: Any, missing: Any) -> "Array":
    found: Array = column.filled(missing) if hasattr(column, "filled") else column
    return found
