"""What the commands do that change a session."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast import Workspace
from tests.helpers.command import call, count, count_until_killed, keys, promised
from tests.helpers.sources import ROOT

PROGRAM = """
import os, sys, holdfast
from words import word

with holdfast.session(sys.argv[1]) as run:
    for step in run.loop(20, checkpoint_every=5):
        run.note(word(step))
        if step == 13 and "DIE" in os.environ:
            os.kill(os.getpid(), 9)
    print("attempt", run.attempt)
"""


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
    python = shlex.quote(sys.executable)
    monkeypatch.delenv("HOLDFAST_ROOT", raising=False)
    for number, (argv, line) in enumerate(
        {
            ("train.py", "--name", "a b"): f"{python} train.py --name 'a b'",
            ("/bin/tool", "-x"): f"{python} /bin/tool -x",
            ("-c",): None,
            ("train.py", "a\nb"): None,
            ("train.py", "caf\udce9"): None,
        }.items()
    ):
        monkeypatch.setattr("sys.argv", list(argv))
        count(tmp_path, f"s{number}")
        (found,) = call("resume", f"s{number}", "--at", 1, "--root", tmp_path, "--json").documents
        assert (found["command"], found["folder"]) == (line, os.getcwd())
    monkeypatch.chdir(tmp_path)
    (found,) = call("resume", "s0", "--at", 1, "--root", tmp_path, "--json").documents
    assert found["command"].startswith(f"cd {found['folder']} && {python} train.py")
    assert "was not recorded" in call("resume", "s2", "--at", 1, "--root", tmp_path).err


def test_the_command_to_run_names_the_workspace_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["train.py"])
    monkeypatch.setenv("HOLDFAST_ROOT", f"{tmp_path}/a b")
    count(tmp_path, "s")
    (found,) = call("resume", "s", "--at", 1, "--root", tmp_path, "--json").documents
    assert found["command"] == f"HOLDFAST_ROOT='{tmp_path}/a b' {shlex.quote(sys.executable)} train.py"


@pytest.mark.parametrize("module", [False, True])
def test_the_command_that_show_prints_goes_on_wherever_it_is_pasted(tmp_path: Path, module: bool) -> None:
    here, elsewhere = tmp_path / "a b", tmp_path / "elsewhere"
    for folder in (here, elsewhere):
        folder.mkdir()
    (here / "words.py").write_text("def word(n):\n    return f'word {n}'\n")  # found only by who starts the program rightly
    (here / "train.py").write_text(PROGRAM)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    environment |= {"PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error"}
    program = [sys.executable, *(["-m", "train"] if module else ["train.py"]), "it's"]
    killed = subprocess.run(program, cwd=here, env=environment | {"HOLDFAST_ROOT": "my runs", "DIE": "1"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    out = call("show", "it's", "--root", here / "my runs").out
    (line,) = re.findall(r"^go on with +(.*?) *$", out, re.MULTILINE)
    done = subprocess.run(["sh", "-c", line], cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "attempt 2\n", "")
    assert Workspace(here / "my runs").session("it's").status == "finished"


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


@pytest.mark.parametrize("words", [["note", "count", "the good one"], ["resume", "count", "--at", "2"]])
def test_a_cache_that_cannot_be_written_fails_nothing_and_is_told_of(
    tmp_path: Path, words: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    count(tmp_path)
    cache = tmp_path / "sessions" / "count" / "session.json"
    cache.unlink()
    cache.mkdir()  # so that nothing can be renamed to it, whoever runs this
    before = len(list(Workspace(tmp_path).records("count", canonical=False)))
    done = call(*words, "--root", tmp_path)
    assert done.status == 0
    assert len(list(Workspace(tmp_path).records("count", canonical=False))) == before + 2
    (told,) = caplog.messages
    assert told.startswith(f"{cache}: ")
    assert "it is only a cache, and what was done stands in the log" in told
    assert call("verify", "count", "--root", tmp_path).status == 0


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
