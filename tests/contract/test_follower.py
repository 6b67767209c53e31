"""A follower hands each record to its consumer once, and tells what was superseded; the consumer's commit decides."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast import Corrupted, InvalidSetting, SessionNotFound, Workspace
from holdfast.reading.follower import Batch, Position
from holdfast.records import Range
from holdfast.sessions.opening import start
from holdfast.sessions.session import Run
from tests.helpers.dying import kill
from tests.helpers.following import SqliteConsumer, scan
from tests.helpers.quick import QuickFiles
from tests.helpers.sources import ROOT


def begin(root: Path, name: str = "s", **options: Any) -> Run:
    return start(name, root=root, files=QuickFiles(), **options)


def two_attempts(root: Path, name: str = "s") -> None:
    """The second one does something else from the fifth token on."""
    run = begin(root, name)
    for number in range(10):
        run.token(f"old {number}", z=0.5)
    kill(run)
    run = begin(root, name)
    for number in range(8):
        run.token(f"{'old' if number < 4 else 'new'} {number}", z=0.5)
    run.close()


class Listed:
    """A consumer in memory; commits are immediate."""

    def __init__(self) -> None:
        self.ends: dict[str, Position] = {}
        self.seen: list[tuple[str, int]] = []
        self.ranges: list[Range] = []
        self.forgotten: list[str] = []

    def position(self, session: str) -> Position | None:
        return self.ends.get(session)

    def apply(self, batch: Batch) -> None:
        self.seen += [(batch.session, record["n"]) for record in batch.records()]
        self.ranges += batch.superseded
        self.ends[batch.session] = batch.end

    def forget(self, session: str) -> None:
        self.ends.pop(session)
        self.seen = [entry for entry in self.seen if entry[0] != session]
        self.forgotten.append(session)


def test_every_record_comes_once_and_in_order(tmp_path: Path) -> None:
    run = begin(tmp_path)
    workspace, consumer = Workspace(tmp_path), Listed()
    follower = workspace.follower(consumer, batch_records=3)
    handed = follower.poll()
    for number in range(20):
        run.token(f"{number}")
        if number % 6 == 0:
            handed += follower.poll()
    run.close()
    handed += follower.poll()
    assert follower.poll() == 0
    assert consumer.seen == [("s", n) for n in range(1, workspace.session("s").records + 1)]
    assert handed == len(consumer.seen)
    assert consumer.forgotten == []


def test_another_process_goes_on_at_the_committed_position(tmp_path: Path) -> None:
    two_attempts(tmp_path)
    consumer = Listed()
    Workspace(tmp_path).follower(consumer).poll()
    Workspace(tmp_path).note("s", "a remark")
    handed = Workspace(tmp_path).follower(consumer).poll()
    assert handed == 2
    assert [n for _, n in consumer.seen] == list(range(1, Workspace(tmp_path).session("s").records + 1))


def test_superseded_ranges_are_told_also_of_records_handed_over_before(tmp_path: Path) -> None:
    run = begin(tmp_path)
    for number in range(10):
        run.token(f"old {number}", z=0.5)
    kill(run)
    workspace = Workspace(tmp_path)
    consumer = SqliteConsumer(tmp_path / "f.db")
    follower = workspace.follower(consumer)
    follower.poll()
    assert [record["token"] for record in consumer.contents()["s"]] == [f"old {number}" for number in range(10)]
    run = begin(tmp_path)
    for number in range(6):
        run.token(f"{'old' if number < 4 else 'new'} {number}", z=0.5)
    run.close()
    follower.poll()
    assert [record["token"] for record in consumer.contents()["s"]] == [
        *(f"old {number}" for number in range(4)),
        *(f"new {number}" for number in range(4, 6)),
    ]
    assert consumer.contents() == scan(workspace)
    told = [span for batch in consumer.batches for span in batch.superseded]
    assert [(span.first, span.last) for span in told] == [(6, 11)]


def test_a_consumer_that_fails_gets_the_same_batch_again(tmp_path: Path) -> None:
    two_attempts(tmp_path)

    class Failing(Listed):
        is_broken = True

        def apply(self, batch: Batch) -> None:
            if batch.first > 3 and self.is_broken:
                raise RuntimeError("no room")
            super().apply(batch)

    consumer = Failing()
    follower = Workspace(tmp_path).follower(consumer, batch_records=2)
    with pytest.raises(RuntimeError, match="no room"):
        follower.poll()
    assert consumer.ends["s"].n == 4
    consumer.is_broken = False
    follower.poll()
    assert [n for _, n in consumer.seen] == list(range(1, len(consumer.seen) + 1))


def test_sessions_that_begin_later_are_followed_too(tmp_path: Path) -> None:
    two_attempts(tmp_path, "a")
    consumer = Listed()
    everything, one = Workspace(tmp_path).follower(consumer), Workspace(tmp_path).follower(Listed(), session="a")
    everything.poll()
    two_attempts(tmp_path, "b")
    one.poll()
    everything.poll()
    assert {session for session, _ in consumer.seen} == {"a", "b"}
    assert one.poll() == 0


def test_another_log_of_the_same_name_begins_anew(tmp_path: Path) -> None:
    two_attempts(tmp_path)
    workspace, consumer = Workspace(tmp_path), SqliteConsumer(tmp_path / "f.db")
    follower = workspace.follower(consumer)
    follower.poll()
    workspace.delete("s")
    run = begin(tmp_path)
    for number in range(40):
        run.token(f"other {number}")
    run.close()
    follower.poll()
    assert consumer.forgotten == ["s"]
    assert consumer.contents() == scan(workspace)
    assert [record["token"] for record in consumer.contents()["s"]] == [f"other {number}" for number in range(40)]


def test_a_log_that_lost_its_end_begins_anew(tmp_path: Path) -> None:
    """As after a power loss, or when an older copy was put back."""
    two_attempts(tmp_path)
    shutil.copytree(tmp_path / "sessions", tmp_path / "older")
    run = begin(tmp_path, "s", extend=True)
    run.close()
    Workspace(tmp_path).note("s", "a remark")
    consumer = SqliteConsumer(tmp_path / "f.db")
    Workspace(tmp_path).follower(consumer).poll()
    shutil.rmtree(tmp_path / "sessions")
    shutil.move(tmp_path / "older", tmp_path / "sessions")
    follower = Workspace(tmp_path).follower(consumer)
    follower.poll()
    assert consumer.forgotten == ["s"]
    assert consumer.contents() == scan(Workspace(tmp_path))


def test_a_damaged_session_holds_up_no_other(tmp_path: Path) -> None:
    two_attempts(tmp_path, "a")
    two_attempts(tmp_path, "b")
    first = min((tmp_path / "sessions" / "a" / "log" / "main").iterdir())
    data = first.read_bytes()
    at = data.index(b'{"kind":"token"')
    first.write_bytes(data[:at] + b"#" * 9 + data[at + 9 :])
    consumer = Listed()
    follower = Workspace(tmp_path).follower(consumer, batch_records=1)
    with pytest.raises(Corrupted) as caught:
        follower.poll()
    assert str(caught.value.path) == str(first)
    assert caught.value.offset == at
    assert {session for session, _ in consumer.seen} == {"a", "b"}
    Workspace(tmp_path).delete("a")
    assert follower.poll() == 0


def test_nonsense_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    two_attempts(tmp_path)
    with pytest.raises(SessionNotFound, match="did you mean 's'"):
        Workspace(tmp_path).follower(Listed(), session="ss")
    for count in (0, -1, True, 1.5):
        with pytest.raises(InvalidSetting, match="batch_records"):
            Workspace(tmp_path).follower(Listed(), batch_records=count)  # type: ignore[arg-type]


def test_a_consumer_killed_at_any_operation_ends_with_what_a_scan_finds(tmp_path: Path) -> None:
    root = tmp_path / "root"
    two_attempts(root, "a")
    two_attempts(root, "b")
    run = begin(root, "c")
    run.tokens(["x", "y"], z=[0.1, 0.2])
    kill(run)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "tests.helpers.following", str(root), str(scratch)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 80
