"""holdfast compare: what it prints, and how it ends."""

import json
from pathlib import Path

import pytest

import holdfast
from tests.helpers.command import call, count, keys, promised


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, last in (("first", 1.0), ("second", 2.0)):
        with holdfast.session(name, root=tmp_path, config={"lr": last}) as run:
            run.token("Φ×|Reactor|celestial_em", phase="TRUE")
            run.token("e" * int(last))
            run.metric(loss=0.5)
            run.metric(loss=last)
            run.module("stage\x1b[31m", last)
    return tmp_path


def test_equal_runs_are_status_0(tmp_path: Path) -> None:
    count(tmp_path)
    count(tmp_path / "elsewhere")
    done = call("compare", "count", "count", "--root", tmp_path, "--other-root", tmp_path / "elsewhere")
    assert done.status == 0
    assert done.out.splitlines()[0] == "equal: the same run"
    assert "first difference" not in done.out


def test_runs_that_differ_are_status_1_and_the_difference_is_named(root: Path) -> None:
    done = call("compare", "first", "second", "--root", root)
    assert done.status == 1
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert lines[0] == "different"
    assert "lr 1 2" in lines
    assert "first difference in the main program (5 and 5 records)" in lines
    assert "after 1 equal record: token, number 3 in a, 3 in b" in lines
    assert "token: e → ee" in lines
    assert any(line.startswith("loss a 2 1 0.5 1 0.75 1 at 1") for line in lines)
    assert "\x1b" not in done.out


def test_a_run_that_ends_earlier_is_told(root: Path) -> None:
    with holdfast.session("short", root=root, config={"lr": 1.0}) as run:
        run.token("Φ×|Reactor|celestial_em", phase="TRUE")
    done = call("compare", "short", "first", "--root", root)
    assert done.status == 1
    assert "after 1 record a ends, and b goes on with token 3" in done.out
    assert "not recorded" in done.out


def test_the_fields_of_json_are_those_that_are_promised(root: Path) -> None:
    done = call("compare", "first", "second", "--root", root, "--json")
    assert done.status == 1
    document = json.loads(done.out)
    assert keys(document) == promised("compare")
    assert document["equal"] is False
    assert document["lanes"][0]["first"]["changes"] == [{"name": "token", "a": "e", "b": "ee", "absent": None}]
    assert [entry["by"] for entry in document["tokens"]] == ["text", "spiral", "operator", "machine", "domain", "phase"]


def test_an_unknown_session_is_status_2(root: Path) -> None:
    done = call("compare", "first", "secand", "--root", root)
    assert done.status == 2
    assert "did you mean 'second'" in done.err
