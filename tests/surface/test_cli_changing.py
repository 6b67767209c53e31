"""What the commands do that change a session."""

import json
import os
from pathlib import Path

import pytest

from holdfast import Workspace
from tests.helpers.command import call, count, count_until_killed, keys, promised


def test_a_session_is_set_back_and_the_command_to_run_is_printed(tmp_path: Path) -> None:
    count(tmp_path)
    digest = Workspace(tmp_path).digest("count")
    done = call("resume", "count", "--at", 2, "--root", tmp_path)
    assert done.status == 0
    assert "goes on from checkpoint 2" in done.err
    assert Workspace(tmp_path).session("count").status == "interrupted"
    assert len(list(Workspace(tmp_path).records("count"))) == 10
    count(tmp_path)
    assert Workspace(tmp_path).digest("count") == digest


def test_the_command_to_run_is_the_recorded_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for argv, line in {
        ("train.py", "--name", "a b"): "python train.py --name 'a b'",
        ("/bin/tool", "-x"): "/bin/tool -x",
        ("-c",): None,
    }.items():
        monkeypatch.setattr("sys.argv", list(argv))
        name = f"s{len(argv)}"
        count(tmp_path, name)
        (found,) = call("resume", name, "--at", 1, "--root", tmp_path, "--json").documents
        assert (found["argv"], found["command"], found["folder"]) == (list(argv), line, os.getcwd())
    monkeypatch.chdir(tmp_path)
    (found,) = call("resume", "s3", "--at", 1, "--root", tmp_path, "--json").documents
    assert found["command"].startswith(f"cd {found['folder']} && python train.py")
    assert "was not recorded" in call("resume", "s1", "--at", 1, "--root", tmp_path).err


def test_a_session_is_not_set_back_to_what_was_superseded(tmp_path: Path) -> None:
    count(tmp_path)
    call("resume", "count", "--at", 2, "--root", tmp_path)
    records = Workspace(tmp_path).session("count").records
    done = call("resume", "count", "--at", 4, "--root", tmp_path)
    assert done.status == 2
    assert "holdfast fork count --at 4" in done.err
    assert Workspace(tmp_path).session("count").records == records
    assert call("fork", "count", "--at", 4, "--root", tmp_path).status == 0
    assert len(list(Workspace(tmp_path).records("count~2"))) == 20


def test_a_fork_goes_on_by_itself(tmp_path: Path) -> None:
    count_until_killed(tmp_path)
    before = list(Workspace(tmp_path).records("count"))
    done = call("fork", "count", "--at", 1, "--to", "other", "--root", tmp_path)
    assert done.status == 0
    assert done.out.startswith("other shares the past of count up to checkpoint 1")
    count(tmp_path, "other")
    count(tmp_path, "straight")
    assert call("digest", "other", "straight", "--root", tmp_path).status == 0
    assert list(Workspace(tmp_path).records("count")) == before


def test_forks_without_a_name_get_one_that_is_free(tmp_path: Path) -> None:
    count(tmp_path)
    made = [call("fork", "count", "--at", 1, "--root", tmp_path, "--json").documents[0]["fork"] for _ in range(2)]
    assert made == ["count~2", "count~3"]


def test_a_checkpoint_is_exported(tmp_path: Path) -> None:
    count(tmp_path)
    target = tmp_path / "state.json"
    done = call("export-checkpoint", "count", 2, target, "--root", tmp_path)
    assert done.status == 0
    assert str(target) in done.out
    assert json.loads(target.read_text())["track"]["counter"] == {"total": sum(range(10))}


def test_a_note_is_kept_and_the_digest_too(tmp_path: Path) -> None:
    count(tmp_path)
    digest = Workspace(tmp_path).digest("count")
    assert call("note", "count", "the good one", "--root", tmp_path).status == 0
    assert "the good one" in call("show", "count", "--root", tmp_path).out
    assert Workspace(tmp_path).digest("count") == digest


def test_a_renamed_session_is_found_by_its_new_name_only(tmp_path: Path) -> None:
    count(tmp_path)
    assert call("rename", "count", "first", "--root", tmp_path).status == 0
    assert [session.name for session in Workspace(tmp_path).sessions()] == ["first"]
    assert call("verify", "first", "--root", tmp_path).status == 0
    assert call("verify", "count", "--root", tmp_path).status == 2


def test_delete_only_prints_what_would_go_until_it_is_told_yes(tmp_path: Path) -> None:
    count(tmp_path)
    dry = call("delete", "count", "--root", tmp_path)
    assert dry.status == 0
    assert "000001.jsonl" in dry.out
    assert "would be deleted: count, 3 files" in dry.out
    assert "holdfast delete count --yes" in dry.err
    assert call("verify", "count", "--root", tmp_path).status == 0
    done = call("delete", "count", "--yes", "--root", tmp_path)
    assert done.out.startswith("deleted count: 3 files")
    assert not (tmp_path / "sessions" / "count").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["resume", "count", "--at", "1"],
        ["fork", "count", "--at", "1"],
        ["export-checkpoint", "count", "1", "STATE"],
        ["note", "count", "hello"],
        ["rename", "count", "other"],
        ["delete", "count"],
        ["delete", "count", "--yes"],
    ],
)
def test_the_fields_of_json_are_those_of_the_page(tmp_path: Path, words: list[str]) -> None:
    count(tmp_path)
    target = str(tmp_path / "state.json")
    done = call(*(target if word == "STATE" else word for word in words), "--root", tmp_path, "--json")
    (found,) = done.documents
    assert keys(found) == promised(words[0])
    assert (done.status, done.err) == (0, "")
