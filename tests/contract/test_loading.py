"""Loading refuses filters that make no sense, says what is damaged, and hands rows to other libraries."""

import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from holdfast import Corrupted, InvalidSetting, SessionNotFound, UsageError, Workspace
from holdfast.reading import outline
from holdfast.sessions.opening import start
from tests.helpers.dying import kill
from tests.helpers.quick import QuickFiles


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    with start("first", root=tmp_path, files=QuickFiles(), epoch=1) as run:
        run.token("a", z=0.25, phase="A", tier=1, meta={"k": (1, 2)})
        run.tokens(["b", 7, b"c"], z=[0.5, None, 1.0], score=[1, 2, 3])
        run.metric(loss=0.5, steps=3)
        run.metric(loss=float("nan"))
        run.event("began", host="here")
        run.module("sum", (1, 2), phase="phase3")
        run.emission("text \ud800", tokens=["a"], z=0.5)
    with start("second", root=tmp_path, files=QuickFiles(), epoch=2) as run:
        run.token("\ud800")
    return Workspace(tmp_path)


def test_sessions_are_chosen_by_name_and_by_epoch(workspace: Workspace) -> None:
    assert [row.token for row in workspace.tokens()] == ["a", "b", 7, b"c", "\ud800"]
    assert [row.token for row in workspace.tokens(["second", "first"])] == ["\ud800", "a", "b", 7, b"c"]
    assert [row.session for row in workspace.tokens(epoch=2)] == ["second"]
    assert len(workspace.tokens("first", epoch=2)) == 0
    assert [row.text for row in workspace.emissions()] == ["text \ud800"]
    assert [row.result for row in workspace.modules("phase3")] == [(1, 2)]
    assert [row.value for row in workspace.metrics("steps")] == [3]
    assert [row.data for row in workspace.events("began")] == [{"host": "here"}]
    assert not workspace.files()
    assert not workspace.tokens(phase="none of them")


def test_rows_are_frozen_and_say_where_they_stand(workspace: Workspace) -> None:
    row = workspace.tokens("first")[3]
    assert (row.session, row.n, row.place, row.token, row.z, row.others) == ("first", 3, 2, b"c", 1.0, {"score": 3})
    with pytest.raises(AttributeError):
        row.z = 0.5  # type: ignore[misc]
    assert workspace.tokens("first")[0].meta == {"k": (1, 2)}
    assert repr(workspace.tokens("first")) == "<TokenRows of first>"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"z": (0.5, 1.5)}, "1.5 does not"),
        ({"z": (-0.1, None)}, "-0.1 does not"),
        ({"z": (float("nan"), None)}, "nan does not"),
        ({"z": (0.9, 0.1)}, "the lowest comes first"),
        ({"z": 0.5}, "is no range"),
        ({"z": ("a", None)}, "'a' does not"),
        ({"phase": 3}, "3 is not a name"),
        ({"phase": ["A", 3]}, "3 is not a name"),
        ({"tier": "1"}, "'1' is not a whole number"),
        ({"tier": True}, "True is not a whole number"),
        ({"source": b"x"}, "is not a name"),
        ({"since": datetime(2026, 1, 1)}, "has no time zone"),
        ({"until": "2026-01-01"}, "is no time"),
        ({"since": 1.5}, "is no time"),
        ({"since": 10, "until": 5}, "lies behind"),
        ({"last": -1}, "is no number of rows"),
        ({"last": True}, "is no number of rows"),
        ({"epoch": "1"}, "is no training epoch"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_at_once(workspace: Workspace, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidSetting, match=words):
        workspace.tokens(**options)


def test_an_unknown_session_is_refused_with_names_that_come_close(workspace: Workspace) -> None:
    with pytest.raises(SessionNotFound, match="did you mean 'first'"):
        workspace.tokens("frist")
    with pytest.raises(SessionNotFound):
        workspace.metrics("loss", session=["first", "third"])


def test_times_with_any_zone_are_the_same_moment(workspace: Workspace) -> None:
    moments = [row.ts for row in workspace.tokens("first")]
    exact = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moments[1])
    elsewhere = exact.astimezone(timezone(timedelta(hours=5)))
    assert [row.ts for row in workspace.tokens("first", since=elsewhere)] == [ts for ts in moments if ts >= moments[1]]
    assert [row.ts for row in workspace.tokens("first", until=elsewhere)] == [ts for ts in moments if ts < moments[1]]


@pytest.mark.parametrize("use", [list, len, lambda rows: rows[2], lambda rows: rows[-1], lambda rows: rows[1:3]])
def test_a_damaged_line_is_an_error_that_names_file_and_byte(workspace: Workspace, use: Any) -> None:
    """Each time it is met: what failed once is not taken for the end. Rows that can be had without the line can be had."""
    (segment,) = (workspace.root / "sessions" / "first" / "log" / "main").iterdir()
    data = segment.read_bytes()
    at = data.index(b'{"kind":"tokens"')
    segment.write_bytes(data[:at] + data[at:].replace(b'"z":[0.5', b'"z":{0.5', 1))
    rows = workspace.tokens("first")
    for _ in range(2):
        with pytest.raises(Corrupted) as caught:
            use(rows)
        assert (str(caught.value.path), caught.value.offset) == (str(segment), at)


def test_a_log_that_is_gone_is_an_error(workspace: Workspace) -> None:
    (segment,) = (workspace.root / "sessions" / "first" / "log" / "main").iterdir()
    segment.unlink()
    rows = workspace.tokens("first")
    with pytest.raises(Corrupted, match="no segment"):
        len(rows)
    with pytest.raises(Corrupted, match="no segment"):
        list(rows)


def test_numpy_gets_columns(workspace: Workspace) -> None:
    columns = workspace.tokens("first").to_numpy()
    assert columns["n"].dtype == np.int64
    assert columns["n"].tolist() == [2, 3, 3, 3]
    assert columns["z"].dtype == np.float64
    assert np.isnan(columns["z"]).tolist() == [False, False, True, False]
    assert columns["tier"].dtype == np.float64
    assert columns["top"].dtype == np.bool_
    assert columns["token"].tolist() == ["a", "b", 7, b"c"]
    assert columns["meta"].tolist() == [{"k": (1, 2)}, None, None, None]
    loss = workspace.metrics("loss").to_numpy()["value"]
    assert loss.dtype == np.float64
    assert loss[0] == 0.5
    assert np.isnan(loss[1])
    assert workspace.metrics("steps").to_numpy()["value"].dtype == np.int64
    assert workspace.modules().to_numpy()["result"].tolist() == [(1, 2)]
    assert workspace.files().to_numpy()["size"].tolist() == []


@pytest.mark.parametrize(("method", "library"), [("to_arrow", "pyarrow"), ("to_pandas", "pandas"), ("to_polars", "polars")])
def test_a_library_that_is_missing_is_named(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, method: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UsageError, match=f"pip install {library}"):
        getattr(workspace.tokens(), method)()


def test_tables_get_plain_columns(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in for pyarrow that keeps what it is given."""
    arrow = SimpleNamespace(
        int64=lambda: int, float64=lambda: float, bool_=lambda: bool, string=lambda: str, table=lambda arrays: arrays
    )
    arrow.array = lambda values, type: (type, values)
    monkeypatch.setitem(sys.modules, "pyarrow", arrow)
    table = workspace.tokens().to_arrow()
    assert table["token"] == (str, ['"a"', '"b"', "7", '{"$t":"bytes","v":"Yw=="}', '{"$t":"str","v":"7aCA"}'])
    assert table["z"] == (float, [0.25, 0.5, None, 1.0, None])
    assert table["tier"] == (int, [1, None, None, None, None])
    assert table["meta"][1][0] == '{"k":{"$t":"tuple","v":[1,2]}}'
    assert workspace.tokens("second").to_arrow()["token"] == (str, ["\N{REPLACEMENT CHARACTER}"])
    assert workspace.emissions().to_arrow()["text"] == (str, ["text \N{REPLACEMENT CHARACTER}"])
    assert workspace.events().to_arrow()["data"] == (str, ['{"host":"here"}'])


@pytest.mark.parametrize(("method", "library"), [("to_arrow", "pyarrow"), ("to_pandas", "pandas"), ("to_polars", "polars")])
def test_tables_of_libraries_that_are_installed(workspace: Workspace, method: str, library: str) -> None:
    pytest.importorskip(library)
    table = getattr(workspace.tokens("first"), method)()
    numbers, texts = (table[name].to_pylist() if method == "to_arrow" else list(table[name]) for name in ("n", "session"))
    assert numbers == [2, 3, 3, 3]
    assert texts == ["first"] * 4


def test_a_workspace_that_stays_open_sees_what_came_since(workspace: Workspace) -> None:
    """A sequence that was read from stays as it is; a new one has everything, of each attempt."""
    run = start("third", root=workspace.root, files=QuickFiles())
    run.token("1")
    before = workspace.tokens("third")
    assert [row.token for row in before] == ["1"]
    run.token("2")
    assert len(before) == 1
    assert [row.token for row in workspace.tokens("third")] == ["1", "2"]
    kill(run)
    with start("third", root=workspace.root, files=QuickFiles()) as run:
        for text in ("1", "other", "3"):
            run.token(text)
    assert [row.token for row in before] == ["1"]
    assert [row.token for row in workspace.tokens("third")] == ["1", "other", "3"]
    assert [row.token for row in workspace.tokens("third", superseded=True)] == ["1", "2", "other", "3"]


def test_another_session_of_the_same_name_is_not_taken_for_the_old_one(workspace: Workspace) -> None:
    """What is remembered of segments is remembered of these very ones."""
    assert len(workspace.tokens("first")) == 4
    assert len(workspace.tokens("first", z=(0.9, None))) == 1
    workspace.delete("first")
    with start("first", root=workspace.root, files=QuickFiles()) as run:
        for number in range(9):
            run.token(f"{number}", z=0.95)
    assert len(workspace.tokens("first")) == 9
    assert len(workspace.tokens("first", z=(0.9, None))) == 9
    assert [row.token for row in workspace.tokens("first")[3:5]] == ["3", "4"]


def test_little_is_remembered_of_many_segments(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outline, "MAX_STRETCHES", 1)
    for _ in range(2):
        assert len(workspace.tokens()) == 5
        assert workspace.tokens()[4].token == "\ud800"
    assert sum(len(known.stretches) for known in workspace._outlines._known.values()) <= 2
