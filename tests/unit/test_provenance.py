"""Provenance: what is known of a process, and never an exception."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast import codec
from holdfast.sessions.provenance import provenance


@pytest.fixture(autouse=True)
def _no_settings_of_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)


def git(folder: Path, *command: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *command], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_what_is_known_of_this_process_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", "--lr", "0.1"])
    found = provenance()
    assert found["argv"] == ["train.py", "--lr", "0.1"]
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["pid"] == os.getpid()
    assert found["folder"] == str(tmp_path)
    assert found["packages"]["msgspec"]
    assert not set(found["packages"]) & set(sys.stdlib_module_names)
    assert "git" not in found


@pytest.mark.parametrize(
    ("typed", "argv", "launch"),
    [
        (["python", "train.py", "--lr", "1"], ["train.py", "--lr", "1"], ["train.py"]),
        (["python", "-W", "error", "-u", "train.py"], ["train.py"], ["-W", "error", "-u", "train.py"]),
        (["python", "-m", "tool.train", "x"], ["/lib/tool/train.py", "x"], ["-m", "tool.train"]),
        (["python", "-O", "-m", "tool"], ["/lib/tool/__main__.py"], ["-O", "-m", "tool"]),
        (["python", "train.py", "--lr", "1"], ["train.py"], ["train.py"]),  # the program has dropped its arguments
        (["python", "-c", "from multiprocessing.spawn …", "--multiprocessing-fork"], ["train.py"], ["train.py"]),
        ([], ["train.py"], ["train.py"]),
        (["python", "-c", "import holdfast"], ["-c"], None),
        (["python"], [""], None),
        (["python", "-"], ["-"], None),
    ],
)
def test_how_the_program_was_started_is_told(
    monkeypatch: pytest.MonkeyPatch, typed: list[str], argv: list[str], launch: list[str] | None
) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", typed)
    found = provenance()
    assert found.get("launch") == launch
    assert found["interpreter"] == sys.executable


def test_the_workspace_of_the_environment_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOLDFAST_ROOT", raising=False)
    assert "environment" not in provenance()
    monkeypatch.setenv("HOLDFAST_ROOT", "names")
    assert provenance()["environment"] == {"HOLDFAST_ROOT": "names"}


def test_it_can_be_stored_even_where_arguments_are_no_unicode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "caf\udce9"])
    assert codec.decode(codec.snapshot(provenance(), "info"))["argv"] == ["train.py", "caf\udce9"]  # type: ignore[index]


def test_the_commit_and_whether_files_differ_from_it_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-q", "-m", "a")
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert provenance()["git"] == {"commit": commit, "dirty": False}
    (tmp_path / "untracked").write_text("1")
    assert provenance()["git"]["dirty"] is False
    (tmp_path / "a").write_text("2")
    assert provenance()["git"] == {"commit": commit, "dirty": True}


def test_a_repository_without_a_commit_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q")
    monkeypatch.chdir(tmp_path)
    assert "git" not in provenance()


def test_without_git_the_rest_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance()["folder"] == str(tmp_path)


def test_a_git_that_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(command: list[str], *, timeout: float, **options: object) -> None:
        assert 0 < timeout <= 5
        raise subprocess.TimeoutExpired(command, timeout)

    git(tmp_path, "init", "-q")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("subprocess.run", hangs)
    assert "git" not in provenance()


def test_a_working_directory_that_is_gone_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    found = provenance()
    assert "folder" not in found
    assert found["pid"] == os.getpid()


def test_a_module_with_an_odd_version_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd:
        __version__ = 5

    class Raising:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError(name)

    monkeypatch.setitem(sys.modules, "odd_module", Odd())
    monkeypatch.setitem(sys.modules, "raising_module", Raising())
    packages = provenance()["packages"]
    assert "odd_module" not in packages
    assert "raising_module" not in packages
