"""What does not depend on the machine, and what is said where it does."""

import re
import shutil
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.recording.recorder import Recorder
from holdfast.records import Metric
from holdfast.storage import host
from holdfast.storage.files import RealFiles
from holdfast.storage.log import LogWriter
from holdfast.storage.recovery import Past, recover


def test_a_clock_that_goes_backwards_changes_nothing_but_the_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    defaults: Any = Recorder.__init__.__kwdefaults__
    for name, step in (("forwards", 1_000_000), ("backwards", -1_000_000)):
        clock = count(1_764_000_000_000_000_000, step)
        monkeypatch.setitem(defaults, "clock_ns", clock.__next__)
        for stop in (3, None):  # the second time it goes on
            run = holdfast.start(name, root=tmp_path)
            for index in run.loop(6, checkpoint_every=2):
                run.metric(step=index)
                if index == stop:
                    run.__exit__(ValueError, ValueError("stop"), None)
                    break
            run.close()
    workspace = holdfast.Workspace(tmp_path)
    times = [record["ts"] for record in workspace.records("backwards")]
    assert times == sorted(times, reverse=True)
    assert workspace.digest("backwards") == workspace.digest("forwards")
    assert workspace.verify("backwards").problems == ()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("ext4", None),
        ("xfs", None),
        ("tmpfs", None),
        ("btrfs", "the workspace is on btrfs, where each record costs one write"),
        ("nfs4", "locks and syncs are as good as that file system's own"),
        ("overlay", "locks and syncs are as good as that file system's own"),
        ("fuse.sshfs", "locks and syncs are as good as that file system's own"),
        ("unknown", "where each record costs one write"),
    ],
)
def test_weaker_file_systems_are_said_when_a_session_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, said: str | None
) -> None:
    monkeypatch.setattr(host, "file_system", lambda path: kind)
    with holdfast.session("s", root=tmp_path) as run:
        run.note("recorded all the same")
        notices = list(run.notices)
    assert len(notices) == (0 if said is None else 1)
    assert said is None or said in notices[0]
    assert [record["text"] for record in holdfast.Workspace(tmp_path).records("s")] == ["recorded all the same"]


def test_without_a_map_each_line_is_closed_so_that_another_machine_loses_nothing(tmp_path: Path) -> None:
    folder, files = tmp_path / "log", RealFiles()
    log = LogWriter(
        files,
        folder,
        Past(),
        session="s",
        attempt=1,
        boot="one",
        durability="process",
        use_map=False,
        max_segment_bytes=1 << 20,
    )
    for index in range(10):
        log.append(Metric(ts=1, values={"step": index}))
        assert recover(files, folder, "another machine").last == index + 1
    log.release()


def test_where_boots_cannot_be_told_apart_nothing_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert host.can_map("ext4")
    monkeypatch.setattr(host, "_BOOT_ID", tmp_path / "missing")
    assert not host.can_map("ext4")
    host.boot_id.cache_clear()
    try:
        assert re.fullmatch(r"[0-9a-f]{32}", host.boot_id())
        with holdfast.session("s", root=tmp_path / "first") as run:
            for step in range(5):
                run.metric(step=step)
            shutil.copytree(tmp_path / "first", tmp_path / "killed")  # what a kill would leave here
        host.boot_id.cache_clear()  # the next process: it cannot tell that the machine went on
        with holdfast.session("s", root=tmp_path / "killed") as run:
            assert run.replay_left == 5
            for step in range(5):
                run.metric(step=step)
        assert [record["values"] for record in holdfast.Workspace(tmp_path / "killed").records("s")] == [
            {"step": step} for step in range(5)
        ]
    finally:
        host.boot_id.cache_clear()
