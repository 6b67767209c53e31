"""Exports and imports are killed, at operations on files and at instants: nothing half has the name, nothing comes twice.

HOLDFAST_FULL=1 kills at every operation, and at many more instants.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast import Workspace
from holdfast.storage.faulty import FailingFiles, KillingFiles
from tests.helpers.programs import in_child
from tests.helpers.quick import QuickFiles
from tests.helpers.sources import ROOT

FOLDER = ROOT / "tests" / "data" / "kira_folder"
EVERY = bool(os.environ.get("HOLDFAST_FULL"))
INSTANTS = 40 if EVERY else 6
STRIDE = 1 if EVERY else 7
FORMATS = ("json", "csv", "parquet", "guide")


def killed_at(call: Callable[[], Any], seconds: float) -> bool:
    """Run a call in a process of its own, which dies at an instant; whether it did."""

    def program() -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        call()
        signal.setitimer(signal.ITIMER_REAL, 0)

    return in_child(program).status == -signal.SIGALRM


def killed_in(workspace: Workspace, call: Callable[[], Any], operation: str, nth: int, role: str) -> bool:
    """The same, at the nth of an operation on files."""

    def program() -> None:
        workspace._files = KillingFiles(QuickFiles(), operation=operation, nth=nth, when="after", role=role)
        call()

    return in_child(program).status == -signal.SIGKILL


def operations_of(workspace: Workspace, call: Callable[[], Any], role: str) -> dict[str, int]:
    """How many operations of each kind a healthy run makes that can be killed."""

    def program() -> dict[str, int]:
        files = FailingFiles(QuickFiles(), operation="open", nth=0, error=0, role=role)
        workspace._files = files
        call()
        return dict(files.calls)

    ended = in_child(program)
    assert ended.status == 0
    return {name: count for name, count in ended.result.items() if name not in ("read", "size", "names", "exists", "same_as")}


def seconds_of(call: Callable[[], Any]) -> float:
    def program() -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    return float(in_child(program).result)


def contents(path: Path) -> dict[str, bytes]:
    """A file, or all files of a folder."""
    files = [path] if path.is_file() else sorted(entry for entry in path.rglob("*") if entry.is_file())
    return {str(entry.relative_to(path)): entry.read_bytes() for entry in files}


def shown(what: str, kills: Counter[str]) -> str:
    return f"{kills.total()} kills while {what}: {', '.join(f'{name} {count}' for name, count in kills.items())}"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("saved")
    with holdfast.KiraEngine("k", root=root, seed=3, files=QuickFiles()) as engine:
        engine.cmd_hit_it()
        for step in engine.run.loop(40, checkpoint_every=10):
            engine.run.tokens([f"t{step}-{index}" for index in range(200)])
            engine.run.metric(loss=1 / (step + 1))
    return root


@pytest.mark.parametrize("format", FORMATS)
def test_a_killed_export_leaves_all_or_nothing(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    monkeypatch.setattr("holdfast.reading.export.tables._ROW_GROUP", 150)
    monkeypatch.setattr("holdfast.reading.export.tables._PORTION", 150)
    workspace = Workspace(saved)
    workspace._files = QuickFiles()
    target = tmp_path / "in" / "out"
    (tmp_path / "in").mkdir()
    workspace.export(format=format, output=tmp_path / "whole", session="k")
    whole = contents(tmp_path / "whole")
    kills: Counter[str] = Counter()

    def export() -> None:
        workspace.export(format=format, output=target, session="k", force=True)

    def check() -> None:
        assert not target.exists() or contents(target) == whole
        assert all(path == target or path.name.startswith(".") for path in (tmp_path / "in").iterdir())

    for operation, count in operations_of(workspace, export, "/in").items():
        for nth in range(1, count + 1, STRIDE):
            kills[operation] += killed_in(workspace, export, operation, nth, "/in")
            check()
    longest = seconds_of(export)
    for instant in range(INSTANTS):
        kills["instant"] += killed_at(export, longest * (instant + 0.5) / INSTANTS)
        check()
    workspace._files = QuickFiles()
    export()
    assert contents(target) == whole
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["out"]
    assert kills.total() >= INSTANTS // 2 + 3
    print(shown(f"exporting {format}", kills))


def test_a_killed_import_ends_as_one_that_was_not(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    kills: Counter[str] = Counter()

    def into(root: Path) -> Callable[[], Any]:
        def bring() -> None:
            workspace.root = root
            workspace.import_files(FOLDER)

        return bring

    def digests(root: Path) -> dict[str, str]:
        return {info.name: Workspace(root).digest(info.name) for info in Workspace(root).sessions()}

    workspace._files = QuickFiles()
    into(tmp_path / "whole")()
    whole = digests(tmp_path / "whole")
    many = operations_of(workspace, into(tmp_path / "counted"), "/sessions/")
    for operation, count in many.items():
        root = tmp_path / operation  # killed again and again, it gets further each time
        for nth in range(1, count + 1, STRIDE):
            if not killed_in(workspace, into(root), operation, nth, "/sessions/"):
                break
            kills[operation] += 1
        workspace._files = QuickFiles()
        into(root)()
        assert digests(root) == whole
        for name in whole:
            assert Workspace(root).verify(name).problems == ()
    longest = seconds_of(into(tmp_path / "timed"))
    for instant in range(INSTANTS):
        root = tmp_path / f"instant{instant}"
        kills["instant"] += killed_at(into(root), longest * (instant + 0.5) / INSTANTS)
        into(root)()
        assert digests(root) == whole
    assert kills.total() > 10
    print(shown("importing", kills))
