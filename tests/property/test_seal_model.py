"""Whatever stands in a log: sealed, it comes back byte for byte, but for the closes."""

import random
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.reading.digest import digest_of
from holdfast.reading.sealing import is_regular, new_seal, stage
from holdfast.storage.files import RealFiles
from holdfast.storage.sealed import connection, float_text
from holdfast.storage.seals import find_seals
from tests.helpers import docs_reader
from tests.helpers.logs import json_of, line, names_in, reader_of, seal, write_log

TEXTS = st.one_of(
    st.sampled_from(
        ["Φ×|Reactor|bio_prion", "e()|Dynamo|celestial_em", "", "a", "\x00", 'q"\\', "\n\t\x1f\x7f", "null", "5", "😀", "\x01"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 1e-5, 9.9e-5, 1e-7, 1e16, 5e-324, 0.1, 0.8660254037844386, -3.5e-5, 1.5e300]),
    st.floats(allow_nan=False, allow_infinity=False),
)
INTS = st.one_of(st.integers(-3, 20), st.integers(-(2**63), 2**63 - 1))
TAGS = st.sampled_from(
    [
        '{"$t":"float","v":"nan"}',
        '{"$t":"int","v":"0xffffffffffffffffff"}',
        '{"$t":"str","v":"7aCA"}',
        '{"$t":"bytes","v":"AP8="}',
    ]
)
SCALARS = st.one_of(TEXTS, FLOATS, INTS, st.booleans(), st.none())
JSON = st.recursive(
    st.one_of(SCALARS.map(json_of), TAGS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.lists(st.tuples(TEXTS, inner), max_size=3).map(
            lambda pairs: "{" + ",".join(f"{json_of(key)}:{value}" for key, value in pairs) + "}"
        ),
    ),
    max_leaves=6,
)
REGULAR_META = st.tuples(TEXTS, INTS, FLOATS, st.booleans()).map(
    lambda it: f'{{"source":{json_of(it[0])},"step":{it[1]},"loss":{json_of(it[2])},"ok":{json_of(it[3])}}}'
)
META = st.one_of(
    REGULAR_META,
    REGULAR_META,
    st.sampled_from(
        [
            "{}",
            "null",
            "[]",
            '{"step":1,"source":"a"}',
            '{"source":"a","step":1.0}',
            '{"source":"a","step":1,"loss":1}',
            '{"source":null,"step":1}',
            '{"Source":"a"}',
            '{"source":"a","new":true}',
            '{"source":{"$t":"tuple","v":[1]}}',
            '{"source":"a","source":"b"}',
        ]
    ),
    JSON,
)


def optional(name: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A field that may be left out."""
    return st.one_of(st.just(""), values.map(lambda value: f',"{name}":{value}'))


SHARED = st.tuples(
    optional("lane", TEXTS.map(json_of)),
    st.sampled_from(["", "", ',"top":true', ',"top":false']),
    optional("back", st.integers(0, 9).map(str)),
    optional("info", JSON),
).map("".join)
TOKEN = st.tuples(
    SHARED,
    st.one_of(TEXTS.map(json_of), TEXTS.map(json_of), INTS.map(str), TAGS).map(lambda token: f',"token":{token}'),
    optional("z", st.one_of(FLOATS.map(json_of), st.sampled_from(["1", "0", "-0.0", "0.00001"]))),
    optional("phase", TEXTS.map(json_of)),
    optional("tier", st.one_of(INTS.map(str), st.just("1.0"))),
    optional("source", TEXTS.map(json_of)),
    optional("meta", META),
    optional("raw", st.just('"7aCA"')),
    optional("later", JSON),  # a field of a newer version
    st.sampled_from(["", "", ',"join":true']),
).map(lambda parts: ("token", "".join(parts)))
OTHERS = st.one_of(
    st.tuples(SHARED, TEXTS.map(json_of)).map(lambda it: ("note", f'{it[0]},"text":{it[1]}')),
    st.tuples(SHARED, JSON).map(lambda it: ("metric", f'{it[0]},"values":{{"loss":{it[1]}}}')),
    st.tuples(SHARED, JSON).map(lambda it: ("once", f'{it[0]},"key":"clock","value":{it[1]}')),
    st.tuples(SHARED, JSON).map(lambda it: ("event", f'{it[0]},"name":"e","data":{{"a":{it[1]}}}')),
    st.just(("transition", ',"before":"A","after":"B"')),
    st.just(("tokens", ',"tokens":["a","b"],"columns":{"z":[0.5,1.0]}')),
    st.just(("superseded", ',"ranges":[{"first":1,"last":2}],"reason":"r"')),
    st.just(("flushed", "")),
)
RECORDS = st.lists(st.one_of(TOKEN, TOKEN, OTHERS), min_size=1, max_size=40)


def numbered(records: list[tuple[str, str]]) -> list[bytes]:
    """Lines of these records, and of the close of the session."""
    rest = [
        (kind, text.replace(',"join":true', "") if index == len(records) else text)
        for index, (kind, text) in enumerate(records, 1)
    ]
    return [line(kind, n, text) for n, (kind, text) in enumerate([*rest, ("closed", ',"status":"finished"')], 1)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(RECORDS, st.integers(1, 5), st.integers(1, 4), st.booleans(), st.sampled_from([1, 600, 1 << 30]))
def test_every_line_comes_back_and_the_digest_stays(
    records: list[tuple[str, str]], parts: int, close_every: int, power: bool, most_bytes: int
) -> None:
    lines = numbered(records)
    size = -(-len(lines) // parts)
    with tempfile.TemporaryDirectory() as scratch:
        session = Path(scratch) / "made"
        write_log(
            session / "log" / "main",
            [lines[start : start + size] for start in range(0, len(lines), size)],
            close_every=close_every,
            power=power,
        )
        before = digest_of(reader_of(session))
        assert seal(session, most_bytes=most_bytes).records == len(lines)
        assert not [name for name in names_in(session) if not name.endswith(".parquet")]
        reader = reader_of(session)
        assert [kept for _, kept in reader.read()] == lines
        assert list(reader.read_backwards()) == list(enumerate(lines, 1))[::-1]
        assert [reader.find(n) for n in range(1, len(lines) + 1)] == lines
        assert digest_of(reader) == before
        assert docs_reader.lines_of(session) == lines


def a_token(seed: int) -> tuple[str, str]:
    draw = random.Random(seed)
    meta = {"source": draw.choice("abc"), "step": seed // 20, "loss": draw.random() ** 9}
    fields = {"token": f"Φ×|Reactor|{draw.randrange(9)}", "z": draw.random(), "phase": "PARADOX", "tier": 6, "meta": meta}
    return "token", "".join(f",{json_of(name)}:{json_of(value)}" for name, value in fields.items())


def test_regular_tokens_stand_in_columns_and_take_a_tenth(tmp_path: Path) -> None:
    lines = numbered([a_token(seed) for seed in range(5000)])
    write_log(tmp_path / "made" / "log" / "main", [lines], close_every=64)
    done = seal(tmp_path / "made")
    ((path, _),) = find_seals(RealFiles(), tmp_path / "made" / "log" / "main").seals
    kept = connection().execute("SELECT kind FROM read_parquet(?) WHERE line IS NOT NULL OR meta IS NOT NULL", [str(path)])
    assert kept.fetchall() == [("closed",)]
    assert done.sealed_bytes < done.line_bytes / 6


def test_a_token_that_is_unlike_the_sampled_ones_is_found_out_and_kept_as_its_line(tmp_path: Path) -> None:
    records = [a_token(seed) for seed in range(200)]
    records[150] = ("token", ',"token":"odd","z":1,"meta":{"step":1,"source":"a"}')
    folder = tmp_path / "made" / "log" / "main"
    write_log(folder, [numbered(records)], close_every=64)
    staged = stage(RealFiles(), folder, reader_of(tmp_path / "made").past.extents)
    assert is_regular(staged, new_seal(staged, reader_of(tmp_path / "made").past.extents))
    seal(tmp_path / "made")
    ((path, _),) = find_seals(RealFiles(), folder).seals
    kept = connection().execute("SELECT n FROM read_parquet(?) WHERE kind = 'token' AND line IS NOT NULL", [str(path)])
    assert kept.fetchall() == [(151,)]


def test_floats_are_written_as_lines_have_them() -> None:
    draw = random.Random(5)
    values = [struct.unpack("<d", draw.randbytes(8))[0] for _ in range(20_000)]
    values += [draw.random() * 10 ** draw.randint(-9, 1) for _ in range(20_000)]
    values += [float(draw.randint(0, 10 ** draw.randint(1, 22))) for _ in range(5_000)]
    values = [value for value in values if value == value and abs(value) != float("inf")]
    sql = f"SELECT {float_text('x')} FROM (SELECT unnest(?::DOUBLE[]) AS x)"
    found: list[tuple[Any, ...]] = connection().execute(sql, [values]).fetchall()
    assert [text for (text,) in found] == [json_of(value) for value in values]


@pytest.mark.parametrize("size", [1, 1 << 20, (1 << 20) + 1, 5 << 20])
def test_long_lines_come_back(tmp_path: Path, size: int) -> None:
    lines = numbered([("note", f',"text":"{"x" * size}"'), a_token(1), ("note", f',"text":"{"Φ" * (size // 2)}"')])
    write_log(tmp_path / "made" / "log" / "main", [lines])
    seal(tmp_path / "made")
    assert [kept for _, kept in reader_of(tmp_path / "made").read()] == lines
