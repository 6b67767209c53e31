"""What goes wrong is said in one line with the next step, and the exit status is 2."""

from pathlib import Path

import pytest

import holdfast
from tests.helpers.command import Called, call, count, counting, damage


def failed(done: Called) -> str:
    """The one line of a call that failed."""
    assert (done.status, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith("holdfast: ")
    return line


EVERY = [
    ["show", "coumt"],
    ["show", "coumt", "--follow"],
    ["checkpoints", "coumt"],
    ["stats", "coumt"],
    ["digest", "coumt"],
    ["digest", "count", "coumt"],
    ["verify", "coumt"],
    ["verify", "coumt", "--salvage"],
    ["resume", "coumt", "--at", "1"],
    ["fork", "coumt", "--at", "1"],
    ["export-checkpoint", "coumt", "1", "x.json"],
    ["note", "coumt", "hello"],
    ["rename", "coumt", "other"],
    ["delete", "coumt"],
]


@pytest.mark.parametrize("words", EVERY)
def test_an_unknown_session_is_named_with_the_one_that_was_meant(tmp_path: Path, words: list[str]) -> None:
    count(tmp_path)
    assert "did you mean 'count'?" in failed(call(*words, "--root", tmp_path))


def test_where_no_name_comes_close_the_list_is_the_next_step(tmp_path: Path) -> None:
    assert "holdfast sessions" in failed(call("show", "x", "--root", tmp_path))


@pytest.mark.parametrize(
    "words",
    [
        ["resume", "count", "--at", "1"],
        ["fork", "count", "--at", "1"],
        ["note", "count", "hello"],
        ["rename", "count", "other"],
        ["delete", "count", "--yes"],
    ],
)
def test_a_running_session_is_left_alone(tmp_path: Path, words: list[str]) -> None:
    count(tmp_path)
    with counting(tmp_path, extend=True) as (run, _):
        for step in run.loop(21):
            run.metric(step=step)
            line = failed(call(*words, "--root", tmp_path))
    assert "is open in process" in line
    assert holdfast.Workspace(tmp_path).session("count").status == "finished"


@pytest.mark.parametrize("command", ["show", "checkpoints", "stats", "digest", "note"])
def test_a_damaged_file_is_named_with_its_byte_and_what_is_left(tmp_path: Path, command: str) -> None:
    count(tmp_path)
    path = damage(tmp_path, offset=10)
    line = failed(call(command, "count", *(["x"] if command == "note" else []), "--root", tmp_path))
    assert f"{path}, byte 0: " in line
    assert "holdfast verify --salvage" in line


def test_a_damaged_session_does_not_hide_the_others(tmp_path: Path) -> None:
    count(tmp_path)
    count(tmp_path, "good")
    damage(tmp_path, offset=10)
    (tmp_path / "sessions" / "count" / "session.json").write_bytes(b"")
    found = {entry["name"]: entry["status"] for entry in call("sessions", "--root", tmp_path, "--json").documents}
    assert found == {"count": "damaged", "good": "finished"}


def test_a_workspace_that_is_a_file_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    line = failed(call("sessions", "--root", tmp_path / "file"))
    assert "Not a directory" in line
    assert "--root" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shw", "count"], "Did you mean 'show'? See: holdfast --help"),
        (["show"], "Missing argument 'SESSION'. See: holdfast show --help"),
        (["show", "count", "--lst"], "See: holdfast show --help"),
        (["show", "count", "--last", "-1"], "See: holdfast show --help"),
        (["resume", "count"], "Missing option '--at'. See: holdfast resume --help"),
        (["verify", "a", "b", "--salvage"], "one session at a time. See: holdfast verify --help"),
        (["show", "../count"], "choose another name"),
        (["rename", "count", "a/b"], "choose another name"),
        (["rename", "count", "count"], "nothing was changed"),
        (["fork", "count", "--at", "1", "--to", "count"], "already"),
        (["fork", "count", "--at", "99"], "holdfast checkpoints"),
        (["resume", "count", "--at", "99"], "holdfast checkpoints"),
        (["export-checkpoint", "count", "99", "x.json"], "holdfast checkpoints"),
        (["export-checkpoint", "count", "1", "x.txt"], ".safetensors"),
        (["export-checkpoint", "count", "1", "/dev/null/x.json"], "/dev/null/x.json: "),
    ],
)
def test_wrong_usage_is_sent_to_what_is_right(tmp_path: Path, words: list[str], said: str) -> None:
    count(tmp_path)
    assert said in failed(call(*words, HOLDFAST_ROOT=str(tmp_path)))


def test_ctrl_c_ends_quietly_with_130(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(workspace: holdfast.Workspace) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(holdfast.Workspace, "sessions", interrupted)
    assert call("sessions", "--root", tmp_path) == Called(130, "", "")
