"""What health says was recorded is what stands in the log."""

import errno
import json
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

import holdfast
from holdfast.recording.policy import Durability, SaveMode
from holdfast.storage.faulty import FailingFiles
from holdfast.storage.host import boot_id
from holdfast.storage.log import LogWriter
from holdfast.storage.recovery import recover
from tests.helpers.clock import Timer, use
from tests.helpers.dying import kill
from tests.helpers.quick import QuickFiles

QUICK = QuickFiles()
MODES: list[SaveMode] = ["continuous", "batch", "checkpoint"]


def standing(run: holdfast.Run) -> tuple[Counter[str], Counter[str]]:
    """Records and bytes by kind that stand in the segments of the run's attempt, their headers too."""
    past = recover(QUICK, run.path / "log" / "main", boot_id())
    records: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for extent in past.extents:
        if extent.header.attempt == run.attempt:
            for line in extent.path.read_bytes()[: extent.end].splitlines(keepends=True):
                kind = json.loads(line)["kind"]
                records[kind] += kind != "segment"
                sizes[kind] += len(line)
    return +records, sizes


def assert_true(run: holdfast.Run) -> Counter[str]:
    """Compare health with the log; returns the bytes by kind."""
    health = run.health()
    records, sizes = standing(run)
    assert health.bytes_by_kind == sizes
    assert health.records_by_kind == records
    assert health.bytes == sizes.total() == run._recorder.outlet.log.bytes_appended
    assert health.records == records.total()
    return sizes


class State:
    def __init__(self) -> None:
        self.words: list[str] = []

    def state_dict(self) -> dict[str, object]:
        return {"words": self.words}

    def load_state_dict(self, state: dict[str, list[str]]) -> None:
        self.words = state["words"]


def all_kinds(run: holdfast.Run, state: State, source: Path) -> None:
    """Records of every kind, with and without tokens around them."""
    run.note("begin", info={"a": 1})
    run.once("seed", lambda: 7)
    run.step("prepare", lambda: "r" * 300)
    for step in run.loop(20, checkpoint_every=3):
        state.words.append(f"{step}")
        for number in range(step):
            run.token(f"t{number}", z=0.5, phase="odd" if step % 2 else "even")
        run.token(step)
        run.tokens([1, 2, 3])
        run.metric(loss=1 / (step + 1))
        run.emission("e" * step, tokens=["a", "b"])
        if step % 5 == 0:
            run.flush("synced")
            run.event("flushed", step=step)
            run.step("inside", lambda: None)
    run.file(source)
    run.module("ends", {"words": state.words})
    run.transition("a", "b")


@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("mode", MODES)
def test_records_and_bytes_by_kind_are_those_of_the_lines(tmp_path: Path, mode: SaveMode, durability: Durability) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")
    for attempt in (1, 2):
        state = State()
        run = holdfast.start(
            "run", root=tmp_path, save_mode=mode, durability=durability, track={"state": state}, keep_last=2, files=QUICK
        )
        all_kinds(run, state, source)
        if attempt == 2:
            for number in range(500):
                run.token(f"more{number}")
        run.flush("synced")
        assert_true(run)
        if attempt == 1:
            kill(run)
        else:
            run.close()
            assert assert_true(run)["closed"] > 0


@pytest.mark.parametrize("mode", MODES)
def test_what_the_recorder_writes_itself_is_no_token(tmp_path: Path, mode: SaveMode) -> None:
    with holdfast.session("run", root=tmp_path, save_mode=mode) as run:
        run.note("alone")
        run.flush()
        sizes = assert_true(run)
        assert set(sizes) == {"segment", "opened", "note"} | ({"flushed"} if mode == "continuous" else set())
        assert min(sizes.values()) > 50
    assert set(assert_true(run)) == {*sizes, "closed"}


@pytest.mark.parametrize("mode", MODES)
def test_bytes_by_kind_are_true_over_many_segments(tmp_path: Path, mode: SaveMode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.sessions.attempt.LogWriter", partial(LogWriter, max_segment_bytes=4_000))
    with holdfast.session("run", root=tmp_path, save_mode=mode, files=QUICK) as run:
        for number in range(300):
            run.token(f"token {number}", source="s" * (number % 90))
            if number % 7 == 0:
                run.metric(number=number)
            if number % 20 == 0:
                run.flush()
        run.flush()
        assert assert_true(run)["segment"] > 1_000
    assert_true(run)


@pytest.mark.parametrize(("mode", "durability"), [("continuous", "process"), ("batch", "power"), ("continuous", "power")])
@pytest.mark.parametrize("with_tokens", [True, False])
def test_bytes_by_kind_are_true_after_records_were_repeated(
    tmp_path: Path, mode: SaveMode, durability: Durability, with_tokens: bool
) -> None:
    files = FailingFiles(QUICK, operation="sync", nth=0, error=errno.EIO, role=".jsonl")
    with holdfast.session("run", root=tmp_path, save_mode=mode, durability=durability, files=files) as run:
        for number in range(200):
            if with_tokens:
                run.token(f"token {number}")
            run.note(f"note {number}")
            if number % 50 == 20:
                files._nth = files.calls["sync"] + 1
                run.flush("synced")
        run.flush("synced")
        assert run.health().stalls == 4
        assert_true(run)
    assert_true(run)


@pytest.mark.parametrize("with_tokens", [True, False])
def test_bytes_of_a_flush_that_was_interrupted_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_tokens: bool
) -> None:
    class Pressed(Timer):
        left = -1

        def __call__(self) -> int:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
            return super().__call__()

    use(monkeypatch, timer := Pressed())
    with holdfast.session("run", root=tmp_path, save_mode="checkpoint") as run:
        run.note("first")
        run.flush()
        for left in range(1, 6):
            for number in range(3):
                run.note(f"note {number}")
                if with_tokens:
                    run.token(f"token {number}")
            run.note("last")
            timer.left = left
            try:
                run.flush()
            except KeyboardInterrupt:
                run.flush()
            timer.left = -1
            health, sizes = run.health(), standing(run)[1]
            assert health.bytes == sizes.total()
            if not with_tokens:  # else a close may be counted with them
                assert health.bytes_by_kind == sizes


def test_health_of_a_session_that_has_recorded_nothing_holds_nothing(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        pass
    health = run.health()
    assert (health.records_by_kind, health.bytes_by_kind) == ({}, {})
