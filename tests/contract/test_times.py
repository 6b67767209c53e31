"""What comes after some time: checkpoints, the end of a run, and batch mode's flushes."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

import holdfast
from holdfast.recording.flusher import Flusher
from holdfast.recording.recorder import Recorder
from tests.helpers.clock import Timer, use


@pytest.fixture
def timer(monkeypatch: pytest.MonkeyPatch) -> Timer:
    """The timer of every session of the test."""
    timer = Timer()
    use(monkeypatch, timer)
    return timer


def checkpoint_count(run: holdfast.Run) -> int:
    return run.health().records_by_kind.get("checkpoint", 0)


def steps_with_checkpoint(
    run: holdfast.Run, timer: Timer, *, each: float, during: Callable[[int], None] = lambda step: None, **options: Any
) -> list[int]:
    """The steps of a loop of 12, each as many seconds long, at whose end a checkpoint was taken; but for the last one."""
    taken, before = [], checkpoint_count(run)
    for step in run.loop(12, **options):
        if checkpoint_count(run) > before:
            taken.append(step - 1)
            before = checkpoint_count(run)
        during(step)
        timer.wait(each)
    return taken


@pytest.mark.parametrize(
    ("each", "options", "taken"),
    [
        (4.0, {"checkpoint_seconds": 10}, [2, 5, 8]),  # after 12 s; then 12 s after that
        (5.0, {"checkpoint_seconds": 10}, [1, 3, 5, 7, 9]),  # after 10 s, not more
        (4.9, {"checkpoint_seconds": 10}, [2, 5, 8]),
        (0.9, {"checkpoint_seconds": 10}, []),
        (4.0, {"checkpoint_seconds": 10, "checkpoint_every": 7}, [2, 5, 6, 9]),
        (150.0, {}, [1, 3, 5, 7, 9]),  # the session's 300 s
        (74.9, {}, [4, 9]),
        (300.0, {"checkpoint_every": 5}, [4, 9]),  # then steps count, and time does not
    ],
)
def test_a_checkpoint_is_taken_at_the_first_end_of_a_step_after_the_time(
    tmp_path: Path, timer: Timer, each: float, options: dict[str, Any], taken: list[int]
) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        assert steps_with_checkpoint(run, timer, each=each, **options) == taken


def test_the_time_until_a_checkpoint_runs_from_the_last_one_of_any_cause(tmp_path: Path, timer: Timer) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        timer.wait(6)
        run.step("prepare", lambda: timer.wait(3))
        assert checkpoint_count(run) == 1
        assert steps_with_checkpoint(run, timer, each=4, checkpoint_seconds=10) == [2, 5, 8]
        timer.wait(9)
        assert steps_with_checkpoint(run, timer, each=1, checkpoint_seconds=10) == [0, 10]


def test_an_interval_that_is_set_holds_in_the_loop_that_runs_too(tmp_path: Path, timer: Timer) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        run.set_interval(checkpoint=20)
        assert steps_with_checkpoint(run, timer, each=8) == [2, 5, 8]

        def change(step: int) -> None:
            if step == 4:
                run.set_interval(checkpoint=8)

        assert steps_with_checkpoint(run, timer, each=8, during=change) == [2, 4, 5, 6, 7, 8, 9, 10]
        assert steps_with_checkpoint(run, timer, each=8, checkpoint_seconds=90) == []


def test_max_seconds_stops_at_the_first_end_of_a_step_after_the_time(tmp_path: Path, timer: Timer) -> None:
    seen = []

    def program() -> None:
        with holdfast.session("run", root=tmp_path, max_seconds=10) as run:
            for step in run.loop(12):
                seen.append(step)
                run.metric(step=step)
                timer.wait(2.5)

    for _ in range(2):
        with pytest.raises(holdfast.Interrupted, match="max_seconds=10"):
            program()
    program()
    assert seen == list(range(12))  # four steps each time: nothing is done twice, so each stop took its checkpoint
    assert holdfast.Workspace(tmp_path).session("run").status == "finished"
    assert holdfast.Workspace(tmp_path).session("run").attempts == 3


# Batch mode's timer ------------------------------------------------------------------------------------------------------


def test_the_timer_of_batch_mode_flushes_what_it_has_seen_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.sessions.session.Flusher", _NoFlusher)
    with holdfast.session("run", root=tmp_path, save_mode="batch") as run:
        look = run._recorder.flush_if_aged
        look()
        assert run.watermarks().accepted == 0
        run.token("first")
        look()
        run.token("second")
        assert run.health().lag_records == 2
        look()  # the first is old now, and takes the second along
        assert run.health().lag_records == 0
        run.token("third")
        look()
        assert run.health().lag_records == 1
        run.flush()
        run.token("fourth")
        look()  # another one is the oldest now
        assert run.health().lag_records == 1
        look()
        assert run.health().lag_records == 0
    assert [record["token"] for record in holdfast.Workspace(tmp_path).records("run")] == ["first", "second", "third", "fourth"]


def test_what_the_timer_of_batch_mode_flushes_is_synced_where_flushed_means_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.sessions.session.Flusher", _NoFlusher)
    with holdfast.session("run", root=tmp_path, save_mode="batch", durability="power") as run:
        run.token("first")
        for _ in range(2):
            run._recorder.flush_if_aged()
        marks = run.watermarks()
        assert marks.accepted == marks.flushed == marks.synced


def test_the_flusher_looks_until_it_is_stopped() -> None:
    class Looked:
        def __init__(self) -> None:
            self.left, self.enough = 3, threading.Event()

        def flush_if_aged(self) -> None:
            self.left -= 1
            if self.left == 0:
                self.enough.set()

    looked = Looked()
    flusher = Flusher(cast(Recorder, looked), 0.001)
    assert looked.enough.wait(30)
    flusher.stop()
    left = looked.left
    assert not flusher._thread.is_alive()
    assert looked.left == left


class _NoFlusher:
    """In place of the thread that looks by itself."""

    def __init__(self, recorder: Recorder, seconds: float) -> None: ...

    def stop(self) -> None: ...
