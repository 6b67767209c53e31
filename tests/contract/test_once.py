"""The function of a `once` that records something itself, and others that record meanwhile."""

import itertools
import signal
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import holdfast
from tests.helpers.programs import Fuse, Tick, canonical, kill, never, result_of, superseded


def asking(root: Path, tick: Tick) -> Any:
    """A value that is another one at each call, from a function that records before it returns."""
    answers = itertools.count(root.stat().st_mtime_ns)

    def ask(run: holdfast.Run, number: int) -> int:
        run.note(f"asking {number}")
        return next(answers)

    with holdfast.session("run", root=root) as run:
        values = []
        for number in range(3):
            values.append(run.once("answer", partial(ask, run, number)))
            tick()
            (root / f"touched-{number}").touch()  # so that the next process has other answers
    return values


@pytest.mark.parametrize("kills", [[1], [2], [3], [2, 2]])
def test_a_function_that_records_is_asked_again_and_the_recorded_value_counts(tmp_path: Path, kills: list[int]) -> None:
    for nth in kills:
        kill(lambda nth=nth: asking(tmp_path, Fuse(nth)))  # type: ignore[misc]  # bound at once
    recorded = [fields["value"] for fields in canonical(tmp_path) if fields["kind"] == "once"]
    values = result_of(lambda: asking(tmp_path, never))
    assert values[: len(recorded)] == recorded
    assert [fields["value"] for fields in canonical(tmp_path) if fields["kind"] == "once"] == values
    assert [fields["text"] for fields in canonical(tmp_path) if fields["kind"] == "note"] == [f"asking {n}" for n in range(3)]
    assert superseded(tmp_path) == []


def test_a_signal_handler_records_while_a_once_asks(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:

        def ask() -> int:
            signal.raise_signal(signal.SIGUSR1)
            return 5

        before = signal.signal(signal.SIGUSR1, lambda *_: run.note("signalled"))
        try:
            assert run.once("key", ask) == 5
        finally:
            signal.signal(signal.SIGUSR1, before)
    assert [fields["kind"] for fields in canonical(tmp_path)] == ["note", "once"]


def test_other_threads_record_while_a_once_asks(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:

        def ask() -> int:
            thread = threading.Thread(target=lambda: run.note("meanwhile"), name="other")
            thread.start()
            thread.join()
            return 5

        assert run.once("key", ask) == 5
    assert [fields["kind"] for fields in canonical(tmp_path)] == ["note", "once"]
