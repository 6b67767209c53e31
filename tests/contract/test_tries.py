"""Steps that fail after they recorded something, which a resume does again, and the names of their checkpoints."""

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast import Diverged, InvalidValue, Outcome, Workspace
from tests.helpers.programs import (
    Fuse,
    Tick,
    assert_goes_on_equal,
    canonical,
    die,
    digest,
    everything,
    in_child,
    kill,
    never,
    result_of,
    superseded,
)


class Box:
    """State that may refuse to be copied."""

    def __init__(self) -> None:
        self.value, self.refusals = 0, 0

    def state_dict(self) -> dict[str, Any]:
        if self.refusals:
            self.refusals -= 1
            raise RuntimeError("not now")
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = state["value"]


def plain(run: holdfast.Run, number: int, tick: Tick) -> None:
    run.note(f"try {number}")
    tick()
    run.metric(drawn=random.random())


def nested(run: holdfast.Run, number: int, tick: Tick) -> None:
    run.step("inner", lambda: number)
    for _ in run.loop(2):
        tick()
        run.once("asked", lambda: number)
        run.step("inner", lambda: number)


def in_lanes(run: holdfast.Run, number: int, tick: Tick) -> None:
    def work() -> None:
        for index in range(3):
            run.event("work", number=number, index=index)

    threads = [threading.Thread(target=work, name=f"worker {index}") for index in range(2)]
    for thread in threads:
        thread.start()
    run.token("meanwhile")
    for thread in threads:
        thread.join()
    tick()
    with run.lane("side"):
        run.note(f"side {number}")


Body = Callable[[holdfast.Run, int, Tick], None]


def trying(root: Path, tick: Tick, body: Body = plain, **options: Any) -> tuple[list[Any], int]:
    """Steps that need several tries, with records between them, around a loop."""
    random.seed(5)
    box = Box()
    results: list[Any] = []
    with holdfast.session("run", root=root, track={"box": box}, **options) as run:

        def attempt(name: str, number: int, fails: bool) -> int:
            body(run, number, tick)
            box.value = box.value * 31 + number
            if fails:
                raise ConnectionError(name)
            return box.value

        for name in ("one", "two"):
            for number in range(3):
                try:
                    results.append(run.step(name, attempt, name, number, number < 2))
                except ConnectionError:
                    tick()
                    run.event("failed", name=name, number=number)
            tick()
        try:
            run.step("never", attempt, "never", 7, True)
        except ConnectionError:
            run.note("never")
        for step in run.loop(4, checkpoint_every=2):
            box.value += step
            run.metric(value=box.value)
            tick()
        results.append(run.step("last", attempt, "last", 9, False))
    return results, box.value


@pytest.mark.parametrize("body", [plain, nested, in_lanes])
@pytest.mark.parametrize("kills", [[1], [2], [3], [4], [6], [8], [9], [11], [13], [17], [2, 3, 4], [8, 8, 8], [14, 5, 12, 3]])
def test_failed_steps_that_recorded_something_go_on_equal(tmp_path: Path, body: Body, kills: list[int]) -> None:
    assert_goes_on_equal(lambda root, tick: trying(root, tick, body), tmp_path, kills)


@pytest.mark.parametrize("mode", ["batch", "checkpoint"])
@pytest.mark.parametrize("kills", [[4], [9], [14, 5, 12]])
def test_they_do_in_every_mode(tmp_path: Path, mode: str, kills: list[int]) -> None:
    assert_goes_on_equal(lambda root, tick: trying(root, tick, save_mode=mode), tmp_path, kills)


def test_a_repetition_of_them_is_no_difference_and_is_told_once(tmp_path: Path) -> None:
    kill(lambda: trying(tmp_path, Fuse(14)))
    told = [record for record in everything(tmp_path) if record["kind"] == "failed"]
    for nth in (14, 13, 12):
        in_child(lambda nth=nth: trying(tmp_path, Fuse(nth), on_divergence="raise"))  # type: ignore[misc]
    result_of(lambda: trying(tmp_path, never, on_divergence="raise"))
    assert [record["key"] for record in told] == ["one#0", "one#0", "two#0", "two#0", "never#0"]
    assert [record for record in everything(tmp_path) if record["kind"] == "failed"] == told
    before = everything(tmp_path)
    result_of(lambda: trying(tmp_path, never, on_divergence="raise"))
    assert everything(tmp_path) == before


def test_a_step_that_failed_without_a_record_leaves_none(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        run.note("begun")
        with pytest.raises(ZeroDivisionError):
            run.step("a", lambda: 1 / 0)
        run.step("a", lambda: 1)
    assert [record["kind"] for record in everything(tmp_path)] == ["opened", "note", "module", "checkpoint", "closed"]


@pytest.mark.parametrize("failure", ["bad outcome", "bad value", "state"])
def test_what_a_step_raises_behind_its_records_is_such_a_failure(tmp_path: Path, failure: str) -> None:
    def program(root: Path, tick: Tick) -> list[Any]:
        box, results = Box(), []
        with holdfast.session("run", root=root, track={"box": box}) as run:

            def attempt(number: int) -> Any:
                run.note(f"try {number}")
                tick()
                if number == 0:
                    box.refusals = int(failure == "state")
                    return {"bad outcome": Outcome(1, status="lost"), "bad value": object()}.get(failure, 1)
                return number

            for number in range(2):
                try:
                    results.append(run.step("a", attempt, number))
                except (InvalidValue, RuntimeError):
                    run.event("refused")
            tick()
            results.append(run.step("b", attempt, 5))
        return results

    for nth in range(1, 5):
        assert_goes_on_equal(program, tmp_path / str(nth), [nth])


def test_a_failure_that_ended_the_run_is_not_expected_once_the_step_succeeded(tmp_path: Path) -> None:
    """The next attempt repeats what the failed one recorded, and goes on; from then on the step is not run again."""

    def program(root: Path, works: bool, tick: Tick = never) -> list[str]:
        with holdfast.session("run", root=root, on_divergence="raise") as run:

            def fetch() -> int:
                run.note("connecting")
                if not works:
                    raise ConnectionError
                run.note("connected")
                return 5

            run.step("fetch", fetch)
            tick()
            for step in run.loop(3, checkpoint_every=1):
                run.metric(step=step)
                tick()
            return [fields["kind"] for fields in canonical(root)]

    for _ in range(2):
        assert in_child(lambda: program(tmp_path, works=False)).status == 1
    for nth in (1, 2):
        kill(lambda nth=nth: program(tmp_path, True, Fuse(nth)))  # type: ignore[misc]
    assert result_of(lambda: program(tmp_path, works=True)) == ["note", "note", "module", "metric", "metric", "metric"]
    result_of(lambda: program(tmp_path / "whole", works=True))
    assert digest(tmp_path) == digest(tmp_path / "whole")


def test_a_step_that_is_tried_until_it_succeeds_is_passed_at_once(tmp_path: Path) -> None:
    """Where nothing was recorded outside between the tries; in a resumed run nothing fails any more."""

    def program(root: Path, failures: int, tick: Tick = never) -> None:
        left = failures
        with holdfast.session("run", root=root, on_divergence="raise") as run:

            def fetch() -> int:
                nonlocal left
                run.note(f"{left} failures left")
                left -= 1
                if left >= 0:
                    raise ConnectionError
                return 5

            while True:
                try:
                    assert run.step("fetch", fetch) == 5
                    break
                except ConnectionError:
                    continue
            run.step("next", tick)

    kill(lambda: program(tmp_path, 2, Fuse(1)))
    result_of(lambda: program(tmp_path, 0))
    texts = [fields["text"] for fields in canonical(tmp_path) if fields["kind"] == "note"]
    assert texts == ["2 failures left", "1 failures left", "0 failures left"]


def answering(root: Path, answer: str, tick: Tick = never, **options: Any) -> None:
    """A failed step whose record may be another one each time, and a loop behind it."""
    box = Box()
    with holdfast.session("run", root=root, track={"box": box}, **options) as run:

        def fetch() -> None:
            run.note("asked")
            run.note(answer)
            raise ConnectionError

        with pytest.raises(ConnectionError):
            run.step("fetch", fetch)
        for step in run.loop(6, checkpoint_every=2):
            box.value += step
            run.metric(value=box.value)
            tick()


def test_another_record_in_a_failed_step_leaves_the_loops_history(tmp_path: Path) -> None:
    kill(lambda: answering(tmp_path, "first", Fuse(5)))
    for number, answer in enumerate(("second", "third")):
        kill(lambda answer=answer: answering(tmp_path, answer, Fuse(1)))  # type: ignore[misc]
        assert len(superseded(tmp_path)) == number + 1
        assert not any(info.dead for info in Workspace(tmp_path).checkpoints("run"))
    assert superseded(tmp_path)[0]["ranges"][0] == {"first": 3, "last": 3, "failed": True}
    result_of(lambda: answering(tmp_path, "third"))
    assert len(superseded(tmp_path)) == 2
    shown = [fields.get("text") or fields["values"]["value"] for fields in canonical(tmp_path)]
    assert shown == ["asked", 0, 1, 3, 6, "third", 10, 15]


def test_another_record_in_a_failed_step_is_refused_where_differences_raise(tmp_path: Path) -> None:
    kill(lambda: answering(tmp_path, "first", Fuse(5)))

    def refused() -> str:
        with pytest.raises(Diverged) as raised:
            answering(tmp_path, "second", on_divergence="raise")
        return str(raised.value)

    before = everything(tmp_path)
    assert "first" in result_of(refused)
    assert [record["kind"] for record in everything(tmp_path)[len(before) :]] in ([], ["resumed", "closed"])


def test_a_difference_in_a_step_is_no_failure_of_it(tmp_path: Path) -> None:
    def program(text: str) -> None:
        with holdfast.session("run", root=tmp_path, on_divergence="raise") as run:

            def act() -> None:
                run.note("begun")
                run.note(text)
                die()

            run.step("act", act)

    kill(lambda: program("first"))
    assert in_child(lambda: program("second")).status == 1
    assert [record["kind"] for record in everything(tmp_path)][:3] == ["opened", "note", "note"]
    assert "failed" not in [record["kind"] for record in everything(tmp_path)]


def test_the_names_that_a_failed_step_asked_for_are_not_the_next_ones(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:

        def bad() -> None:
            run.checkpoint("of the failed one")
            raise ConnectionError

        with pytest.raises(ConnectionError):
            run.step("a", bad)
        run.step("b", lambda: 1)
        for _ in run.loop(1):
            run.checkpoint("kept")
            with pytest.raises(ConnectionError):
                run.step("c", bad)
    assert [(info.at, info.name) for info in Workspace(tmp_path).checkpoints("run")] == [("b#0", None), ("loop:0", "kept")]


@pytest.mark.parametrize("keep_last", [None, 2])
def test_each_name_that_is_asked_for_gets_a_checkpoint(tmp_path: Path, keep_last: int | None) -> None:
    with holdfast.session("run", root=tmp_path, keep_last=keep_last) as run:

        def act() -> None:
            run.checkpoint("one")
            run.checkpoint("two")
            run.note("acted")

        run.step("a", act)
        for _ in run.loop(2):
            act()
            break
        for _ in run.loop(1):
            act()
    assert [(info.at, info.name) for info in Workspace(tmp_path).checkpoints("run")] == [
        (at, name) for at in ("a#0", "loop:0", "loop:1") for name in ("one", "two")
    ]
    assert Workspace(tmp_path).verify("run").problems == ()
    before = everything(tmp_path)
    with holdfast.session("run", root=tmp_path, keep_last=keep_last) as run:
        assert run.step("a", lambda: 1 / 0) is None
        assert list(run.loop(2)) == list(run.loop(1)) == []
    assert everything(tmp_path) == before
