"""The function of a `once`: its thread records nothing while it runs."""

import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast import UsageError
from tests.helpers.programs import canonical


def the_short_way(run: holdfast.Run) -> None:
    run.token("x")


def a_step(run: holdfast.Run) -> None:
    run.step("within", lambda: 1)


def a_once(run: holdfast.Run) -> None:
    run.once("within", lambda: 1)


def a_checkpoint(run: holdfast.Run) -> None:
    run.checkpoint("within")


@pytest.mark.parametrize("mode", ["continuous", "batch"])
@pytest.mark.parametrize(
    "record",
    [
        pytest.param(lambda run: run.note("within"), id="run"),
        *(the_short_way, a_step, a_once, a_checkpoint),
    ],
)
def test_the_function_of_a_once_records_nothing(tmp_path: Path, record: Callable[[holdfast.Run], None], mode: Any) -> None:
    with holdfast.session("run", root=tmp_path, save_mode=mode) as run:
        run.token("before")
        for lane in ("", "side"):
            for _ in run.loop(1):
                with run.lane(lane) if lane else nullcontext():
                    with pytest.raises(UsageError, match=r"once\('key'\).*before or behind the call, or return"):
                        run.once("key", lambda: record(run))
                    assert run.once("key", lambda: 5) == 5
                run.token("behind")
    kinds = [fields["kind"] for fields in canonical(tmp_path)]
    assert kinds == ["token", "once", "token", "once", "token"]


def test_other_threads_record_while_a_once_asks(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:

        def ask() -> int:
            thread = threading.Thread(target=lambda: run.note("meanwhile"), name="other")
            thread.start()
            thread.join()
            return 5

        assert run.once("key", ask) == 5
    assert [fields["kind"] for fields in canonical(tmp_path)] == ["note", "once"]
