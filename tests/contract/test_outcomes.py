"""Steps that tell more than their result: status, place in a plan, and the change of state, in one piece with the result."""

from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast import InvalidValue, Outcome
from tests.helpers.programs import (
    Fuse,
    Tick,
    assert_goes_on_equal,
    canonical,
    everything,
    kill,
    never,
    result_of,
    superseded,
)


class Counter:
    """State that a step changes."""

    def __init__(self) -> None:
        self.value = 1

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = state["value"]


def changing(root: Path, tick: Tick) -> Any:
    """Three steps with their changes, and transitions of the program's own beside them."""
    counter = Counter()

    def stage(number: int, run: holdfast.Run) -> Outcome:
        before = counter.state_dict()
        run.token(f"t{number}", source="stage")
        tick()
        counter.value = counter.value * 31 + number
        run.transition("inside", number)
        return Outcome({"value": counter.value}, status="ok", index=number, phase="a", change=(before, counter.state_dict()))

    results = []
    with holdfast.session("run", root=root, track={"counter": counter}) as run:
        run.transition("nothing", "begun")
        for number in range(3):
            tick()
            results.append(run.step("stage", stage, number, run))
            run.transition("step", number)
            tick()
    return results, counter.value


@pytest.mark.parametrize("kills", [[1], [2], [3], [4], [5], [6], [7], [9], [2, 2, 2], [5, 1, 4], [8, 1]])
def test_steps_with_changes_that_are_killed_end_as_those_that_were_not(tmp_path: Path, kills: list[int]) -> None:
    assert_goes_on_equal(changing, tmp_path, kills)


def test_result_change_and_checkpoint_are_one_piece(tmp_path: Path) -> None:
    result_of(lambda: changing(tmp_path, never))
    records = everything(tmp_path)
    places = [place for place, record in enumerate(records) if record["kind"] == "module"]
    assert len(places) == 3
    for number, place in enumerate(places):
        module, change, checkpoint = records[place : place + 3]
        assert (module["name"], module["index"], module["phase"]) == ("stage", number, "a")
        assert (change["kind"], change["after"]) == ("transition", module["result"])
        assert checkpoint["kind"] == "checkpoint"
        assert checkpoint["position"] == {"main": change["n"]}
        assert module["join"]
        assert change["join"]
        assert "join" not in checkpoint


def test_a_step_that_is_not_run_again_brings_its_change_with_it(tmp_path: Path) -> None:
    kill(lambda: changing(tmp_path, Fuse(8)))  # in the third step
    results, value = result_of(lambda: changing(tmp_path, never))
    assert [result["value"] for result in results][-1] == value
    assert superseded(tmp_path) == []
    assert len([record for record in canonical(tmp_path) if record["kind"] == "transition"]) == 1 + 3 * 3


def test_a_step_says_what_became_of_it(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        assert run.step("a", lambda: Outcome(None, status="skipped", info={"took_ms": 3})) is None
        for _ in run.loop(1):
            run.step("b", lambda: Outcome("why", status="error", change=(1, 2)))
    modules = [record for record in everything(tmp_path) if record["kind"] == "module"]
    assert [(record["name"], record.get("status", "ok"), record.get("info")) for record in modules] == [
        ("a", "skipped", {"took_ms": 3}),
        ("b", "error", None),
    ]
    assert [record["before"] for record in canonical(tmp_path) if record["kind"] == "transition"] == [1]


@pytest.mark.parametrize(
    ("outcome", "field"),
    [
        (Outcome(1, status="done"), "step['a'].status"),
        (Outcome(object()), "step['a']"),
        (Outcome(1, change=(1, object())), "step['a'].change"),
        (Outcome(1, change=5), "step['a'].change"),  # type: ignore[arg-type]
        (Outcome(1, change=(1,)), "step['a'].change"),  # type: ignore[arg-type]
        (Outcome(1, change=(1, 2, 3)), "step['a'].change"),  # type: ignore[arg-type]
        (Outcome(1, index=1.5), "step['a'].index"),  # type: ignore[arg-type]  # what is refused
        (Outcome(1, phase=7), "step['a'].phase"),  # type: ignore[arg-type]
        (Outcome(1, info={"a": object()}), "info['a']"),
    ],
)
def test_an_outcome_that_cannot_be_stored_is_refused_by_its_field(tmp_path: Path, outcome: Outcome, field: str) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        with pytest.raises(InvalidValue) as refused:
            run.step("a", lambda: outcome)
        assert refused.value.path == field
        assert run.step("a", lambda: "again") == "again"
    assert [record["result"] for record in canonical(tmp_path)] == ["again"]
