"""Files in pieces are one file for all that read the format."""

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.reading.export.joining import JOINED
from holdfast.reading.export.thrift import (
    BINARY,
    BYTE,
    DOUBLE,
    FALSE,
    I64,
    LIST,
    STRUCT,
    TRUE,
    Field,
    Listed,
    read_struct,
    write_struct,
)
from holdfast.storage.files import File, RealFiles

pandas: Any = pytest.importorskip("pandas")
polars: Any = pytest.importorskip("polars")
pyarrow: Any = pytest.importorskip("pyarrow")
parquet: Any = pytest.importorskip("pyarrow.parquet")
ROWS = """SELECT i, i / 7 AS d, 'x' || (i % 5) AS repeated, 'y' || i AS own, NULL::VARCHAR AS none, i % 2 = 0 AS b
FROM range({}, {}) r(i)"""
CUTS = (0, 3000, 3001, 3001, 12_000, 20_000)


def written(folder: Path, options: Callable[[int], str]) -> Iterator[File]:
    """A file of each piece, some of them empty."""
    for index, (first, behind) in enumerate(pairwise(CUTS)):
        path = folder / f"piece{index}"
        duckdb.execute(f"COPY ({ROWS.format(first, behind)}) TO '{path}' ({options(index)})")
        file = RealFiles().open(path)
        yield file
        file.close()


def join(folder: Path, format: str, options: Callable[[int], str]) -> Path:
    path = folder / f"joined.{format}"
    path.write_bytes(b"".join(JOINED[format](written(folder, options))))
    return path


def whole() -> list[tuple[Any, ...]]:
    return duckdb.execute(ROWS.format(0, CUTS[-1])).fetchall()


def test_parquet_in_pieces_is_one_file_to_all_readers(tmp_path: Path) -> None:
    path = join(tmp_path, "parquet", lambda index: "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 2048")
    assert duckdb.execute(f"FROM '{path}'").fetchall() == whole()
    assert duckdb.execute(f"SELECT i FROM '{path}' WHERE own = 'y12345'").fetchall() == [(12_345,)]  # by its Bloom filters
    assert duckdb.execute(f"SELECT count(*) FROM '{path}' WHERE repeated = 'x3'").fetchall() == [(CUTS[-1] // 5,)]
    expected = polars.DataFrame(whole(), schema=["i", "d", "repeated", "own", "none", "b"], orient="row")
    for found in (
        polars.read_parquet(path),
        polars.from_arrow(parquet.read_table(path)),
        polars.from_pandas(pandas.read_parquet(path)),
    ):
        assert found.rows() == expected.rows()
    known = parquet.ParquetFile(path).metadata
    assert known.num_rows == CUTS[-1]
    groups = [known.row_group(index) for index in range(known.num_row_groups)]
    assert sum(group.num_rows for group in groups) == CUTS[-1]
    starts = [group.column(0).data_page_offset for group in groups]
    assert starts == sorted(set(starts))


def test_indexes_of_pages_move_along(tmp_path: Path) -> None:
    def by_arrow() -> Iterator[File]:
        for index, (first, behind) in enumerate(pairwise(CUTS)):
            asked = duckdb.sql(ROWS.format(first, behind))
            assert asked is not None
            table = asked.to_arrow_table()
            parquet.write_table(table, tmp_path / f"{index}", row_group_size=1500, write_page_index=True, data_page_size=512)
            yield RealFiles().open(tmp_path / f"{index}")

    path = tmp_path / "joined.parquet"
    path.write_bytes(b"".join(JOINED["parquet"](by_arrow())))
    for found in (polars.read_parquet(path), polars.scan_parquet(path).filter(polars.col("i") >= 0).collect()):
        assert found.rows() == whole()
    assert duckdb.execute(f"SELECT max(d) FROM '{path}' WHERE i BETWEEN 11990 AND 12010").fetchall() == [(12_010 / 7,)]
    assert parquet.ParquetFile(path).metadata.row_group(5).column(0).has_offset_index


def test_footers_are_written_as_they_were_read(tmp_path: Path) -> None:
    frame = polars.DataFrame({"a": [1, None, 3], "b": [[1.5], [], None], "c": [{"x": "é"}, None, {"x": ""}]})
    frame.write_parquet(tmp_path / "polars", statistics=True)
    parquet.write_table(frame.to_arrow(), tmp_path / "arrow", write_page_index=True, store_schema=True)
    duckdb.execute(f"COPY ({ROWS.format(0, 9000)}) TO '{tmp_path / 'duckdb'}' (FORMAT parquet, KV_METADATA {{k: 'v'}})")
    for name in ("polars", "arrow", "duckdb"):
        data = (tmp_path / name).read_bytes()
        footer = data[-8 - int.from_bytes(data[-8:-4], "little") : -8]
        assert write_struct(read_struct(footer)) == footer


def test_json_and_csv_in_pieces_are_as_written_at_once(tmp_path: Path) -> None:
    options: dict[str, Callable[[int], str]] = {
        "json": lambda _: "FORMAT json, ARRAY true",
        "csv": lambda index: f"FORMAT csv, HEADER {index == 0}",
    }
    for format, words in options.items():
        path = join(tmp_path, format, words)
        duckdb.execute(f"COPY ({ROWS.format(0, CUTS[-1])}) TO '{tmp_path / 'once'}' ({words(0)})")
        assert path.read_bytes() == (tmp_path / "once").read_bytes()


def test_no_entries_are_an_empty_list(tmp_path: Path) -> None:
    duckdb.execute(f"COPY ({ROWS.format(0, 0)}) TO '{tmp_path / 'none'}' (FORMAT json, ARRAY true)")
    data = b"".join(JOINED["json"]([RealFiles().open(tmp_path / "none")]))
    assert data == (tmp_path / "none").read_bytes()
    assert json.loads(data) == []


INTEGERS = st.integers(min_value=-(1 << 63), max_value=(1 << 63) - 1)
PLAIN = st.one_of(
    st.tuples(st.just(I64), INTEGERS),
    st.tuples(st.just(BINARY), st.binary(max_size=300)),
    st.tuples(st.just(DOUBLE), st.binary(min_size=8, max_size=8)),
    st.tuples(st.just(BYTE), st.binary(min_size=1, max_size=1)),
    st.sampled_from([(TRUE, True), (FALSE, False)]),
)


def holding(inner: st.SearchStrategy[tuple[int, Any]]) -> st.SearchStrategy[tuple[int, Any]]:
    fields = st.dictionaries(st.integers(1, 300), inner, max_size=5).map(
        lambda found: (STRUCT, {number: Field(*found[number]) for number in sorted(found)})
    )
    lists = st.one_of(
        st.lists(INTEGERS, max_size=20).map(lambda values: Listed(I64, values)),
        st.lists(st.booleans(), max_size=20).map(lambda values: Listed(TRUE, values)),
        st.lists(fields.map(lambda found: found[1]), max_size=17).map(lambda values: Listed(STRUCT, values)),
    )
    return st.one_of(fields, lists.map(lambda found: (LIST, found)))


@given(st.dictionaries(st.integers(1, 40), st.recursive(PLAIN, holding, max_leaves=15), max_size=8))
def test_any_structure_comes_back(found: dict[int, tuple[int, Any]]) -> None:
    struct = {number: Field(*found[number]) for number in sorted(found)}
    data = write_struct(struct)
    assert read_struct(data) == struct
    for end in range(len(data)):
        with pytest.raises(ValueError, match=r"ends early|not known|comes? after"):
            read_struct(data[:end])
    with pytest.raises(ValueError, match="1 bytes come after"):
        read_struct(data + b"\0")
