"""A run that is killed, stopped or extended ends as the one that was not: loops, steps, lanes, generators, checkpoints."""

import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import Interrupted, InvalidSetting, SessionBusy, SettingsDiffer, UsageError, Workspace, codec
from holdfast.storage import host
from tests.helpers.programs import (
    Fuse,
    Tick,
    assert_goes_on_equal,
    canonical,
    digest,
    everything,
    in_child,
    kill,
    never,
    result_of,
    superseded,
)


class Counter:
    """State that a step changes, and that shows in what is recorded."""

    def __init__(self) -> None:
        self.value = 1

    def advance(self, step: int) -> int:
        self.value = (self.value * 31 + step) % 1_000_003
        return self.value

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = state["value"]


class Arrays:
    """Large state: a fixed array, one that each step changes, and one that is a copy of the fixed one."""

    def __init__(self) -> None:
        self.fixed = np.arange(5000, dtype="f8")
        self.moving = np.zeros(3000)

    def state_dict(self) -> dict[str, Any]:
        return {"fixed": self.fixed, "again": self.fixed.copy(), "moving": self.moving}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.fixed, self.moving = state["fixed"], state["moving"]


class TorchLike:
    """Adam with a state of torch's shape: int keys, tuples, fields that are born late."""

    def __init__(self) -> None:
        self.weights = [0.5, -0.25]
        self.state: dict[int, dict[str, Any]] = {}
        self.groups = [{"lr": 0.1, "betas": (0.9, 0.999), "params": (0, 1)}]

    def step(self, number: int) -> None:
        for index in (0, 1) if number > 3 else (0,):  # the second parameter's state is born at the fifth step
            state = self.state.setdefault(index, {"step": 0, "moments": (0.0, 0.0)})
            first, second = state["moments"]
            gradient = self.weights[index] - 0.1 * number
            state["step"] += 1
            state["moments"] = (0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2)
            if state["step"] > 2:
                state["largest"] = max(state.get("largest", 0.0), abs(gradient))
            self.weights[index] -= 0.1 * state["moments"][0]

    def state_dict(self) -> dict[str, Any]:
        return {"weights": self.weights, "state": self.state, "param_groups": self.groups}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        assert all(type(key) is int for key in state["state"])
        assert type(state["param_groups"][0]["betas"]) is tuple
        self.weights, self.state, self.groups = state["weights"], state["state"], state["param_groups"]


def train(root: Path, tick: Tick = never, *, steps: int = 10, every: int = 3, **options: Any) -> int:
    """A run with one record a step and its sum at the end."""
    counter = Counter()
    with holdfast.session("run", root=root, track={"counter": counter}, **options) as run:
        run.note("begin")
        for step in run.loop(steps, checkpoint_every=every):
            tick()
            run.metric(value=counter.advance(step))
        run.event("end", value=counter.value)
    return counter.value


# What is brought back exactly -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kills", [[1], [2], [5, 5, 3], [11, 6], [10], [14]])
def test_an_optimizer_with_int_keys_tuples_and_late_born_fields_is_brought_back(tmp_path: Path, kills: list[int]) -> None:
    def program(root: Path, tick: Tick) -> object:
        optimizer = TorchLike()
        with holdfast.session("run", root=root, track={"optimizer": optimizer}) as run:
            for step in run.loop(14, checkpoint_every=4):
                tick()
                optimizer.step(step)
                run.metric(weights=list(optimizer.weights))
        return optimizer.weights, optimizer.state

    assert_goes_on_equal(program, tmp_path, kills)


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_torch_modules_and_optimizers_are_brought_back(tmp_path: Path) -> None:
    def program(root: Path, tick: Tick) -> object:
        import torch

        torch.manual_seed(5)
        model = torch.nn.Linear(4, 2)
        optimizer = torch.optim.AdamW(model.parameters())
        with holdfast.session("run", root=root, track={"model": model, "optimizer": optimizer}) as run:
            for _ in run.loop(9, checkpoint_every=4):
                tick()
                loss = model(torch.rand(8, 4)).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.metric(loss=loss)
        return [parameter.tolist() for parameter in model.parameters()]

    assert_goes_on_equal(program, tmp_path, [6, 3])


def test_a_loss_that_is_nan_or_infinite_is_recorded_and_matched(tmp_path: Path) -> None:
    def program(root: Path, tick: Tick) -> object:
        losses = [1.0, float("inf"), float("nan"), float("-inf"), -0.0, float("nan")]
        with holdfast.session("run", root=root) as run:
            for step in run.loop(6, checkpoint_every=4):
                tick()
                run.metric(loss=losses[step])
        return None

    assert_goes_on_equal(program, tmp_path, [6, 2])
    stored = [codec.decode(fields["values"]["loss"]) for fields in canonical(tmp_path / "killed")]
    assert repr(stored) == "[1.0, inf, nan, -inf, -0.0, nan]"


@pytest.mark.parametrize("kills", [[2], [6], [9, 2], [3, 3, 5, 5]])
def test_generators_drawn_before_the_loop_go_on_where_they_were(tmp_path: Path, kills: list[int]) -> None:
    def program(root: Path, tick: Tick) -> object:
        random.seed(1)
        np.random.seed(2)
        passed: dict[str, Any] = {
            "generator": np.random.default_rng(3),
            "state": np.random.RandomState(4),
            "python": random.Random(5),
        }
        drawn: list[Any] = []
        with holdfast.session("run", root=root, track=passed) as run:
            run.note(f"{random.random()} {np.random.rand()} {passed['generator'].normal()}")
            random.shuffle(order := list(range(10)))
            for step in run.loop(10, checkpoint_every=4):
                tick()
                drawn = [random.gauss(0, 1), np.random.randn(), passed["generator"].integers(1000), order[step]]
                drawn += [passed["state"].standard_normal(), passed["python"].random()]
                run.metric(drawn=list(map(float, drawn)))
        return list(map(float, drawn)), random.random(), float(np.random.rand())

    assert_goes_on_equal(program, tmp_path, kills)


def test_a_generator_that_is_first_drawn_in_the_tail_comes_back_too(tmp_path: Path) -> None:
    def program(root: Path, tick: Tick) -> object:
        random.seed(7)
        with holdfast.session("run", root=root) as run:
            for step in run.loop(10, checkpoint_every=2):
                tick()
                run.metric(value=random.random() if step >= 5 else 0.0)
        return random.random()

    assert_goes_on_equal(program, tmp_path, [8, 4])


# Loops ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["continuous", "batch", "checkpoint"])
@pytest.mark.parametrize("kills", [[1], [3], [4], [5, 5, 4], [10]])
def test_a_killed_loop_ends_as_the_one_that_was_not(tmp_path: Path, mode: str, kills: list[int]) -> None:
    assert_goes_on_equal(lambda root, tick: train(root, tick, save_mode=mode), tmp_path, kills)


@pytest.mark.parametrize("kills", [[2], [5], [7], [9], [4, 5, 3]])
def test_two_loops_and_the_code_around_them_go_on(tmp_path: Path, kills: list[int]) -> None:
    def program(root: Path, tick: Tick) -> object:
        counter = Counter()
        with holdfast.session("run", root=root, track={"counter": counter}) as run:
            run.note("begin")
            for step in run.loop(5, checkpoint_every=2):
                tick()
                run.metric(first=counter.advance(step))
            run.note("between")
            for step in run.loop(5, checkpoint_every=2):
                tick()
                run.metric(second=counter.advance(step))
            run.note("end")
        return counter.value

    assert_goes_on_equal(program, tmp_path, kills)


@pytest.mark.parametrize("length", [None, 100])
@pytest.mark.parametrize("kills", [[2], [5], [8], [9], [10], [8, 3]])
def test_a_loop_left_by_a_break_is_not_entered_again(tmp_path: Path, length: int | None, kills: list[int]) -> None:
    def program(root: Path, tick: Tick) -> object:
        counter, entered = Counter(), []
        with holdfast.session("run", root=root, track={"counter": counter}) as run:
            for step in run.loop(length, checkpoint_every=2):
                tick()
                run.metric(first=counter.advance(step))
                if step == 4:
                    break
            for step in run.loop(6, checkpoint_every=2):
                tick()
                entered.append(step)
                run.metric(second=counter.advance(step))
        return counter.value

    assert_goes_on_equal(program, tmp_path, kills)


def test_a_loop_without_end_goes_on_and_is_left_by_a_break(tmp_path: Path) -> None:
    def program(root: Path, tick: Tick) -> object:
        counter = Counter()
        with holdfast.session("run", root=root, track={"counter": counter}) as run:
            for step in run.loop(checkpoint_every=3):
                tick()
                run.metric(value=counter.advance(step))
                if step == 10:
                    break
            run.note("end")
        return counter.value

    assert_goes_on_equal(program, tmp_path, [4, 5, 5])


def test_a_loop_within_a_loop_begins_anew_with_the_step_around_it(tmp_path: Path) -> None:
    def program(root: Path, tick: Tick) -> object:
        counter = Counter()
        with holdfast.session("run", root=root, track={"counter": counter}) as run:
            for _ in run.loop(4, checkpoint_every=1):
                for inner in run.loop(3):
                    tick()
                    run.metric(value=counter.advance(inner))
        return counter.value

    assert_goes_on_equal(program, tmp_path, [5, 2, 4])


def test_a_loop_consumed_through_zip_stops_with_its_data(tmp_path: Path) -> None:
    def program(root: Path, tick: Tick) -> object:
        seen = []
        with holdfast.session("run", root=root) as run:
            for step, letter in zip(run.loop(10, checkpoint_every=2), "abcde", strict=False):
                tick()
                seen.append(step)
                run.token(letter)
            run.note("end")
        return seen[-1:]

    whole = result_of(lambda: program(tmp_path / "whole", never))
    assert whole == [4]
    assert [fields.get("token") for fields in canonical(tmp_path / "whole")] == [*"abcde", None]


def test_a_finished_run_is_finished_and_changes_nothing_when_it_is_run_again(tmp_path: Path) -> None:
    first = result_of(lambda: train(tmp_path))
    before = digest(tmp_path), len(everything(tmp_path))

    def again() -> object:
        counter, stepped = Counter(), list[int]()
        with holdfast.session("run", root=tmp_path, track={"counter": counter}) as run:
            was_finished = run.finished
            run.note("begin")
            stepped.extend(run.loop(10, checkpoint_every=3))
            run.event("end", value=counter.value)
        return was_finished, stepped, counter.value

    assert result_of(again) == (True, [], first)
    assert (digest(tmp_path), len(everything(tmp_path))) == before
    assert Workspace(tmp_path).session("run").status == "finished"


def test_an_extended_run_equals_a_run_of_that_length_from_the_start(tmp_path: Path) -> None:
    result_of(lambda: train(tmp_path / "grown", steps=6))
    grown = result_of(lambda: train(tmp_path / "grown", steps=11, extend=True))
    whole = result_of(lambda: train(tmp_path / "whole", steps=11))
    assert grown == whole
    assert digest(tmp_path / "grown") == digest(tmp_path / "whole")
    assert [fields["kind"] for fields in canonical(tmp_path / "grown")] == ["note", *["metric"] * 11, "event"]


@pytest.mark.parametrize("kills", [[1], [2], [4], [2, 2, 2]])
def test_an_extended_run_may_be_killed_while_it_grows(tmp_path: Path, kills: list[int]) -> None:
    result_of(lambda: train(tmp_path / "grown", steps=6))
    for nth in kills:
        kill(lambda nth=nth: train(tmp_path / "grown", Fuse(nth), steps=11, extend=True))  # type: ignore[misc]
    grown = result_of(lambda: train(tmp_path / "grown", steps=11, extend=True))
    assert grown == result_of(lambda: train(tmp_path / "whole", steps=11))
    assert digest(tmp_path / "grown") == digest(tmp_path / "whole")


def test_a_loop_killed_in_the_middle_can_grow_at_once(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path / "grown", Fuse(5), steps=6))
    grown = result_of(lambda: train(tmp_path / "grown", steps=11, extend=True))
    assert grown == result_of(lambda: train(tmp_path / "whole", steps=11))
    assert digest(tmp_path / "grown") == digest(tmp_path / "whole")


def two_loops(root: Path, first: int, tick: Tick = never, **options: Any) -> int:
    counter = Counter()
    with holdfast.session("run", root=root, track={"counter": counter}, **options) as run:
        for step in run.loop(first, checkpoint_every=2):
            run.metric(first=counter.advance(step))
        for step in run.loop(4, checkpoint_every=2):
            tick()
            run.metric(second=counter.advance(step))
    return counter.value


@pytest.mark.parametrize("allowed", [{"extend": True}, {"allow_change": ("loop",)}])
def test_a_loop_before_the_last_checkpoints_loop_never_grows_on_another_ones_state(
    tmp_path: Path, allowed: dict[str, Any]
) -> None:
    result_of(lambda: two_loops(tmp_path, 4))
    before = digest(tmp_path)

    def grow() -> str:
        with pytest.raises(SettingsDiffer) as refused:
            two_loops(tmp_path, 6, **allowed)
        return str(refused.value)

    message = result_of(grow)
    assert "loop:0 had 4 steps, and now has 6" in message
    assert "loop:1" in message
    assert "rewind" in message
    assert digest(tmp_path) == before


def test_a_loop_grows_though_what_came_behind_it_was_recorded(tmp_path: Path) -> None:
    """The second loop had begun, and had no checkpoint yet: all of that comes again."""
    kill(lambda: two_loops(tmp_path / "grown", 4, Fuse(2)))
    grown = result_of(lambda: two_loops(tmp_path / "grown", 6, extend=True, on_divergence="raise"))
    assert grown == result_of(lambda: two_loops(tmp_path / "whole", 6))
    assert digest(tmp_path / "grown") == digest(tmp_path / "whole")


def test_an_earlier_loop_grows_after_a_rewind_to_it(tmp_path: Path) -> None:
    result_of(lambda: two_loops(tmp_path / "grown", 4))
    workspace = Workspace(tmp_path / "grown")
    last = max(info.number for info in workspace.checkpoints("run") if info.at == "loop:0")
    workspace.rewind("run", at=last)
    grown = result_of(lambda: two_loops(tmp_path / "grown", 6, extend=True))
    assert grown == result_of(lambda: two_loops(tmp_path / "whole", 6))
    assert digest(tmp_path / "grown") == digest(tmp_path / "whole")


# Steps and once ---------------------------------------------------------------------------------------------------------


def stages(root: Path, tick: Tick, calls: Callable[[str], object] = lambda name: None) -> object:
    """Four top-level steps, each with records of its own and a generator, and code between them."""
    counter = Counter()

    def stage(name: str, run: holdfast.Run) -> tuple[str, int]:
        calls(name)
        run.token(f"{name}-a")
        tick()
        counter.advance(len(name))
        run.token(f"{name}-b")
        return name, counter.value

    results: list[Any] = []
    with holdfast.session("run", root=root, track={"counter": counter}) as run:
        for name in ("load", "clean", "clean", "train"):
            tick()
            results.append(run.step(name, stage, name, run))
            run.note(f"after {name}")
    return results, counter.value


@pytest.mark.parametrize("kills", [[1], [2], [3], [4], [6], [7, 3], [8], [2, 2, 2, 2]])
def test_killed_steps_end_as_those_that_were_not(tmp_path: Path, kills: list[int]) -> None:
    assert_goes_on_equal(stages, tmp_path, kills)


def test_a_step_before_the_position_is_not_run_again(tmp_path: Path) -> None:
    kill(lambda: stages(tmp_path, Fuse(6)))  # in the third step
    ran: list[str] = []

    def again() -> object:
        return stages(tmp_path, never, ran.append), ran

    (results, _), called = result_of(again)
    assert called == ["clean", "train"]
    assert [name for name, _ in results] == ["load", "clean", "clean", "train"]


def test_a_step_returns_the_decoded_value_the_first_time_too(tmp_path: Path) -> None:
    given = {"pair": (1, 2), 3: {4, 5}, "big": 2**70, "array": np.arange(3)}
    with holdfast.session("run", root=tmp_path) as run:
        top = run.step("top", lambda: given)
        for _ in run.loop(1):
            inner = run.step("inner", lambda: given)
    for returned in (top, inner):
        assert returned is not given
        assert returned["pair"] == (1, 2)
        assert returned[3] == {4, 5}
        assert returned["big"] == 2**70
        assert returned["array"].tolist() == [0, 1, 2]
    assert top["array"] is not given["array"]


def test_steps_in_a_loop_are_part_of_the_loops_step(tmp_path: Path) -> None:
    def program(root: Path, tick: Tick) -> object:
        counter = Counter()
        with holdfast.session("run", root=root, track={"counter": counter}) as run:
            total = 0
            for step in run.loop(6, checkpoint_every=2):
                tick()
                total = run.step("advance", counter.advance, step)
                tick()
                run.metric(total=run.step("advance", counter.advance, step))
        return total, counter.value

    assert_goes_on_equal(program, tmp_path, [7, 4])
    keys = [fields["key"] for fields in canonical(tmp_path / "killed") if fields["kind"] == "module"]
    assert keys[:4] == ["loop:0:0/advance#0", "loop:0:0/advance#1", "loop:0:1/advance#0", "loop:0:1/advance#1"]


def test_steps_within_steps_are_run_with_the_outer_one(tmp_path: Path) -> None:
    def program(root: Path, tick: Tick) -> object:
        counter = Counter()
        with holdfast.session("run", root=root, track={"counter": counter}) as run:

            def outer() -> int:
                first = run.step("inner", counter.advance, 1)
                tick()
                return int(first + run.step("inner", counter.advance, 2))

            results = [run.step("outer", outer), run.step("outer", outer)]
            run.note("end")
        return results, counter.value

    assert_goes_on_equal(program, tmp_path, [2, 1])


@pytest.mark.parametrize("kills", [[3], [4], [5], [6]])
def test_a_step_whose_name_holds_a_slash_is_found_by_its_occurrence(tmp_path: Path, kills: list[int]) -> None:
    def program(root: Path, tick: Tick) -> object:
        counter, dice = Counter(), random.Random(3)
        with holdfast.session("run", root=root, track={"counter": counter, "dice": dice}) as run:
            for part in range(6):
                tick()
                name = f"data/{part % 2}"
                run.step(name, lambda part=part: counter.advance(part) + dice.randrange(10))
        return counter.value, dice.random()

    assert_goes_on_equal(program, tmp_path, kills)
    keys = [fields["key"] for fields in canonical(tmp_path / "killed")]
    assert keys == [f"data/{part % 2}#{part // 2}" for part in range(6)]


def test_a_step_that_fails_is_run_again_by_the_next_attempt(tmp_path: Path) -> None:
    def fails() -> None:
        raise RuntimeError("no network")

    def attempt() -> None:
        with holdfast.session("run", root=tmp_path) as run:
            run.step("first", lambda: 1)
            run.step("second", fails)

    with pytest.raises(RuntimeError):
        attempt()
    info = Workspace(tmp_path).session("run")
    assert (info.status, info.reason) == ("failed", "RuntimeError: no network")
    ran = []
    with holdfast.session("run", root=tmp_path) as run:
        run.step("first", lambda: ran.append("first"))
        assert run.step("second", lambda: 2) == 2
    assert ran == []
    assert [fields["result"] for fields in canonical(tmp_path)] == [1, 2]


def test_a_once_that_was_recorded_is_returned_without_a_call(tmp_path: Path) -> None:
    calls = 0

    def program(root: Path, tick: Tick) -> object:
        nonlocal calls

        def ask() -> tuple[str, int]:
            nonlocal calls
            calls += 1
            return "answer", 40 + calls

        with holdfast.session("run", root=root) as run:
            first = run.once("model", ask)
            tick()
            second = run.once("model", ask)
            for _ in run.loop(2):
                tick()
                third = run.once("in loop", ask)
                tick()
        return first, second, third, calls

    kill(lambda: program(tmp_path, Fuse(3)))  # behind the third of four calls
    first, second, third, called = result_of(lambda: program(tmp_path, never))
    assert (first, second) == (("answer", 41), ("answer", 42))
    assert third == ("answer", 41)  # the fourth call of the run, and this process's first
    assert called == 1


@pytest.mark.parametrize("mode", ["continuous", "batch", "checkpoint"])
def test_a_once_is_flushed_before_it_returns(tmp_path: Path, mode: str) -> None:
    def program() -> None:
        run = holdfast.start("run", root=tmp_path, save_mode=mode)  # type: ignore[arg-type]
        run.token("before")
        run.once("clock", lambda: 7)
        Fuse(1)()

    kill(program)
    assert [fields["kind"] for fields in canonical(tmp_path)] == ["token", "once"]


def test_the_value_of_a_once_is_no_part_of_the_digest(tmp_path: Path) -> None:
    for name, value in (("a", 1), ("b", 2)):
        with holdfast.session(name, root=tmp_path) as run:
            run.once("clock", lambda value=value: value)  # type: ignore[misc]
    assert digest(tmp_path, "a") == digest(tmp_path, "b")


# Lanes and top-level records ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kills", [[1], [3], [8], [5, 5]])
def test_lanes_of_threads_go_on_in_their_own_order(tmp_path: Path, kills: list[int]) -> None:
    def program(root: Path, tick: Tick) -> object:
        counter = Counter()
        with holdfast.session("run", root=root, track={"counter": counter}) as run:
            for step in run.loop(8, checkpoint_every=3):
                lanes = [run.lane("left"), run.lane("right")]

                def work(number: int, step: int = step, lanes: list[Any] = lanes) -> None:
                    with lanes[number]:
                        for part in range(3):
                            run.token(f"{number}:{step}:{part}")

                threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
                for thread in threads:
                    thread.start()
                tick()
                run.metric(value=counter.advance(step))
                for thread in threads:
                    thread.join()
        return counter.value

    assert_goes_on_equal(program, tmp_path, kills)


def test_a_lane_of_the_program_itself_is_matched_apart_from_the_default_one(tmp_path: Path) -> None:
    def program(root: Path, tick: Tick) -> object:
        with holdfast.session("run", root=root) as run:
            for step in run.loop(8, checkpoint_every=3):
                tick()
                run.token(f"main {step}")
                with run.lane("side"):
                    run.token(f"side {step}")
        return None

    assert_goes_on_equal(program, tmp_path, [5, 3])
    lanes = Workspace(tmp_path / "killed").digest_parts("run").lanes
    assert {lane: count for lane, (count, _) in lanes.items()} == {"": 8, "side": 8}


def test_top_level_records_run_again_and_stand_once(tmp_path: Path) -> None:
    assert_goes_on_equal(lambda root, tick: train(root, tick), tmp_path, [2, 5, 6])
    records = canonical(tmp_path / "killed")
    assert [fields["kind"] for fields in records] == ["note", *["metric"] * 10, "event"]
    assert [fields.get("top", False) for fields in records] == [True, *[False] * 10, True]


def test_a_run_of_top_level_records_alone_goes_on(tmp_path: Path) -> None:
    def program(root: Path, tick: Tick) -> object:
        with holdfast.session("run", root=root) as run:
            for number in range(20):
                tick()
                run.token(f"t{number}", z=number / 20)
        return None

    assert_goes_on_equal(program, tmp_path, [5, 1, 12])


# Being stopped ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_at_the_next_boundary_with_a_checkpoint(tmp_path: Path, number: signal.Signals) -> None:
    def stopped() -> object:
        return train(tmp_path / "stopped", _signal_at(number, 5), every=100)

    assert in_child(stopped).status == 75
    info = Workspace(tmp_path / "stopped").session("run")
    assert (info.status, info.reason) == ("interrupted", number.name)
    assert [checkpoint.step for checkpoint in Workspace(tmp_path / "stopped").checkpoints("run")] == [5]
    assert len(canonical(tmp_path / "stopped")) == 1 + 5  # the step in which the signal came was finished
    assert result_of(lambda: train(tmp_path / "stopped")) == result_of(lambda: train(tmp_path / "whole"))
    assert digest(tmp_path / "stopped") == digest(tmp_path / "whole")


def _signal_at(number: signal.Signals, nth: int) -> Tick:
    left = [nth]

    def tick() -> None:
        left[0] -= 1
        if not left[0]:
            signal.raise_signal(number)

    return tick


def test_max_seconds_stops_at_each_boundary_and_the_same_line_goes_on(tmp_path: Path) -> None:
    attempts = 0
    while (ended := in_child(lambda: train(tmp_path / "stopped", max_seconds=1e-9, every=100))).status == 75:
        attempts += 1
        assert Workspace(tmp_path / "stopped").session("run").reason == "max_seconds=1e-09"
    assert attempts == 9  # the tenth step is the last one, and ends the loop anyhow
    assert ended.result == result_of(lambda: train(tmp_path / "whole"))
    assert digest(tmp_path / "stopped") == digest(tmp_path / "whole")


def test_a_step_outside_a_loop_is_a_boundary_too(tmp_path: Path) -> None:
    def program() -> None:
        with holdfast.session("run", root=tmp_path) as run:
            run.step("first", lambda: signal.raise_signal(signal.SIGTERM))
            run.step("second", lambda: 2)

    assert in_child(program).status == 75
    assert [fields["name"] for fields in canonical(tmp_path)] == ["first"]


def test_outside_loops_and_steps_a_signal_stops_on_the_spot(tmp_path: Path) -> None:
    def program() -> None:
        with holdfast.session("run", root=tmp_path) as run:
            run.note("before")
            signal.raise_signal(signal.SIGTERM)
            run.note("never")

    assert in_child(program).status == 75
    assert [fields["text"] for fields in canonical(tmp_path)] == ["before"]
    assert Workspace(tmp_path).session("run").status == "interrupted"


def test_a_second_sigint_stops_at_once(tmp_path: Path) -> None:
    reached = []

    def program() -> None:
        with holdfast.session("run", root=tmp_path) as run:
            for step in run.loop(5):
                run.metric(step=step)
                signal.raise_signal(signal.SIGINT)
                reached.append("after the first")
                signal.raise_signal(signal.SIGINT)
                reached.append("after the second")

    def interrupted() -> list[str]:
        with pytest.raises(KeyboardInterrupt):
            program()
        return reached

    assert result_of(interrupted) == ["after the first"]
    info = Workspace(tmp_path).session("run")
    assert (info.status, info.reason) == ("interrupted", "KeyboardInterrupt")
    assert len(canonical(tmp_path)) == 1


def test_a_second_sigterm_kills_at_once(tmp_path: Path) -> None:
    def program() -> None:
        with holdfast.session("run", root=tmp_path) as run:
            for step in run.loop(5):
                run.metric(step=step)
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(signal.SIGTERM)

    assert in_child(program).status == -signal.SIGTERM
    assert len(canonical(tmp_path)) == 1


def test_the_signals_are_given_back_at_the_end(tmp_path: Path) -> None:
    def program() -> object:
        before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        with holdfast.session("run", root=tmp_path) as run:
            during = signal.getsignal(signal.SIGTERM)
            run.note("x")
        after = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        return before == after, during != before[0]

    assert result_of(program) == (True, True)


def closed_by_another_thread(root: Path) -> None:
    """Open a session, and have another thread close it."""
    run = holdfast.start("first", root=root)
    run.note("x")
    thread = threading.Thread(target=run.close)
    thread.start()
    thread.join()
    assert run.is_closed


def test_after_a_close_by_another_thread_the_signals_do_what_they_did_before(tmp_path: Path) -> None:
    def program() -> None:
        closed_by_another_thread(tmp_path)
        signal.raise_signal(signal.SIGTERM)

    assert in_child(program).status == -signal.SIGTERM
    assert Workspace(tmp_path).session("first").status == "finished"


def test_after_a_close_by_another_thread_the_next_session_takes_the_signals(tmp_path: Path) -> None:
    def program() -> None:
        closed_by_another_thread(tmp_path)
        with holdfast.session("second", root=tmp_path) as run:
            for step in run.loop(5):
                run.metric(step=step)
                signal.raise_signal(signal.SIGTERM)

    assert in_child(program).status == 75
    assert Workspace(tmp_path).session("second").status == "interrupted"


def test_a_programs_own_signal_handler_stays(tmp_path: Path) -> None:
    def program() -> object:
        seen: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
        with holdfast.session("run", root=tmp_path) as run:
            for step in run.loop(2):
                run.metric(step=step)
                signal.raise_signal(signal.SIGTERM)
        return seen

    assert result_of(program) == [signal.SIGTERM, signal.SIGTERM]
    assert Workspace(tmp_path).session("run").status == "finished"


def test_an_interruption_says_why_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Interrupted) as stopped:
        train(tmp_path, max_seconds=1e-9)
    assert stopped.value.code == 75
    assert str(stopped.value) == "stopped at a boundary (max_seconds=1e-09); run the same line again to go on"


@pytest.mark.parametrize("kills", [[], [3]])
def test_an_exception_leaves_the_session_to_be_gone_on_with(tmp_path: Path, kills: list[int]) -> None:
    def fails() -> None:
        raise ValueError("the batch is empty")

    def attempt() -> None:
        with pytest.raises(ValueError, match="the batch is empty"):
            train(tmp_path / "failed", _call_at(fails, 6))

    for nth in kills:
        kill(lambda nth=nth: train(tmp_path / "failed", Fuse(nth)))  # type: ignore[misc]
    result_of(attempt)
    info = Workspace(tmp_path / "failed").session("run")
    assert (info.status, info.reason) == ("failed", "ValueError: the batch is empty")
    assert everything(tmp_path / "failed")[-1]["status"] == "failed"
    assert result_of(lambda: train(tmp_path / "failed")) == result_of(lambda: train(tmp_path / "whole"))
    assert digest(tmp_path / "failed") == digest(tmp_path / "whole")
    assert Workspace(tmp_path / "failed").session("run").status == "finished"


def _call_at(call: Callable[[], None], nth: int) -> Tick:
    left = [nth]

    def tick() -> None:
        left[0] -= 1
        if not left[0]:
            call()

    return tick


def test_an_exit_with_a_status_is_a_failure_and_one_without_is_none(tmp_path: Path) -> None:
    def leave(name: str, code: int | None) -> None:
        with holdfast.session(name, root=tmp_path) as run:
            run.note("x")
            sys.exit(code)

    for name, code, status in (("a", 3, "failed"), ("b", None, "finished"), ("c", 0, "finished")):
        with pytest.raises(SystemExit):
            leave(name, code)
        assert Workspace(tmp_path).session(name).status == status


# Replay -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["continuous", "checkpoint"])
def test_a_long_tail_is_replayed_once_as_checkpoints_are_taken_on_the_way(tmp_path: Path, mode: str) -> None:
    """Each attempt dies sooner than a whole replay takes, and the run still ends."""

    def program(root: Path, tick: Tick, every: int = 4) -> object:
        return train(root, tick, steps=40, every=every, save_mode=mode)

    root = tmp_path / "killed"
    kill(lambda: program(root, Fuse(38), 1000))  # a tail of 37 steps, without a checkpoint
    reached = []
    for _ in range(8):
        kill(lambda: program(root, Fuse(6)))
        reached.append(Workspace(root).checkpoints("run")[-1].step)
    assert reached == [4, 8, 12, 16, 20, 24, 28, 32]
    assert result_of(lambda: program(root, never)) == result_of(lambda: program(tmp_path / "whole", never))
    assert digest(root) == digest(tmp_path / "whole")
    assert superseded(root) == []


def test_a_resumed_run_says_where_it_goes_on_and_what_is_to_be_repeated(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path, Fuse(9)))
    with holdfast.session("run", root=tmp_path, track={"counter": (counter := Counter())}) as run:
        assert (run.attempt, run.replay_total) == (2, 2)
        run.note("begin")
        left = []
        for step in run.loop(10, checkpoint_every=3):
            assert run.resumed_step == 6
            left.append(run.replay_left)
            run.metric(value=counter.advance(step))
        run.event("end", value=counter.value)
    assert left == [2, 1, 0, 0]
    resumed = [fields for fields in everything(tmp_path) if fields["kind"] == "resumed"]
    assert [(fields["attempt"], fields["checkpoint"], fields["replay"]) for fields in resumed] == [(2, 2, 2)]


def test_hooks_see_matched_records_as_replayed(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path, Fuse(9)))
    counter, seen = Counter(), []
    with holdfast.session("run", root=tmp_path, track={"counter": counter}) as run:
        run.on("metric", lambda record, *, replayed: seen.append((record.values["value"], replayed)))
        run.on("note", lambda record, *, replayed: seen.append((record.text, replayed)))
        run.note("begin")
        for step in run.loop(10, checkpoint_every=3):
            run.metric(value=counter.advance(step))
        run.event("end", value=counter.value)
    values = [fields["values"]["value"] for fields in canonical(tmp_path) if fields["kind"] == "metric"]
    assert seen == [("begin", True), (values[6], True), (values[7], True), (values[8], False), (values[9], False)]


def test_a_hook_that_fails_is_counted_and_shown_and_the_run_goes_on(tmp_path: Path) -> None:
    def broken(record: object, *, replayed: bool) -> None:
        raise KeyError("loss")

    with holdfast.session("run", root=tmp_path) as run:
        run.on("*", broken)
        for step in range(5):
            run.metric(step=step)
        health = run.health()
    assert health.hook_failures == 5
    [notice] = run.notices
    assert "broken failed at record 2: KeyError: 'loss'" in notice
    assert "the run goes on" in notice
    assert len(canonical(tmp_path)) == 5


def test_what_a_hook_records_is_recorded_without_calling_hooks_again(tmp_path: Path) -> None:
    def program(root: Path, tick: Tick) -> object:
        with holdfast.session("run", root=root) as run:
            run.on("metric", lambda record, *, replayed: run.note("seen"))
            run.on("note", lambda record, *, replayed: run.note("never"))
            for step in run.loop(6, checkpoint_every=2):
                tick()
                run.metric(step=step)
        return None

    assert_goes_on_equal(program, tmp_path, [4, 3])
    assert [fields["kind"] for fields in canonical(tmp_path / "killed")] == ["metric", "note"] * 6


# Retention ----------------------------------------------------------------------------------------------------------------


def checkpoint_folders(root: Path, name: str = "run") -> list[str]:
    folder = root / "sessions" / name / "checkpoints"
    return sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []


def grow(root: Path, steps: int = 8, losses: tuple[float, ...] = (), names: tuple[int, ...] = (), **options: Any) -> None:
    """A run with a large state that changes, and a checkpoint at each step."""
    arrays = Arrays()
    with holdfast.session("run", root=root, track={"arrays": arrays}, **options) as run:
        for step in run.loop(steps, checkpoint_every=1):
            arrays.fixed[0], arrays.moving[step] = step, step + 1
            run.metric(loss=losses[step] if losses else 1.0)
            if step in names:
                run.checkpoint(f"milestone {step}")


def test_keep_last_deletes_the_files_of_older_checkpoints(tmp_path: Path) -> None:
    grow(tmp_path, keep_last=3)
    infos = Workspace(tmp_path).checkpoints("run")
    assert [info.released for info in infos] == [*[True] * 5, *[False] * 3]
    assert checkpoint_folders(tmp_path) == ["000006-1", "000007-1", "000008-1"]
    assert Workspace(tmp_path).verify("run").problems == ()


def test_states_that_were_let_go_are_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def program() -> None:
        arrays = Arrays()
        with holdfast.session("run", root=tmp_path, track={"arrays": arrays}, keep_last=2) as run:
            for step in range(5):
                run.step(f"step {step}", lambda step: arrays.moving.__setitem__(step, 1.0), step)

    program()
    caplog.clear()
    program()
    assert [" is not there any more" in message for message in caplog.messages] == [True]


def test_without_keep_last_every_checkpoint_stays(tmp_path: Path) -> None:
    grow(tmp_path)
    assert len(checkpoint_folders(tmp_path)) == 8
    assert not any(info.released for info in Workspace(tmp_path).checkpoints("run"))


@pytest.mark.parametrize(("best", "kept"), [("loss", 3), ("max:loss", 1)])
def test_the_best_checkpoint_stays(tmp_path: Path, best: str, kept: int) -> None:
    grow(tmp_path, losses=(5.0, 3.0, 1.0, float("nan"), 2.0, 4.0, 3.0, 2.0), keep_last=2, keep_best=best)
    assert checkpoint_folders(tmp_path) == [f"{kept:06d}-1", "000007-1", "000008-1"]


def test_milestones_stay_for_ever(tmp_path: Path) -> None:
    grow(tmp_path, names=(1, 4), keep_last=2)
    assert checkpoint_folders(tmp_path) == ["000002-1", "000005-1", "000007-1", "000008-1"]
    names = {info.number: info.name for info in Workspace(tmp_path).checkpoints("run") if info.name}
    assert names == {2: "milestone 1", 5: "milestone 4"}


def test_a_milestone_asked_for_in_a_step_is_the_steps_own_checkpoint(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        run.step("first", lambda: run.checkpoint("after first"))
        run.step("second", lambda: None)
        for _ in run.loop(1):
            pass
    assert [info.name for info in Workspace(tmp_path).checkpoints("run")] == ["after first", None, None]


def test_a_milestone_asked_for_in_a_step_that_a_break_leaves_is_taken_there(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        for step in run.loop(5):
            if step == 2:
                run.checkpoint("wanted")
                break
        for step in run.loop(3):
            run.metric(step=step)
        assert run.notices == []
    assert [(info.name, info.step) for info in Workspace(tmp_path).checkpoints("run")] == [("wanted", 2), (None, 3)]


def test_fewer_than_two_checkpoints_cannot_be_kept(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="at least 2 checkpoints are always kept"):
        holdfast.start("run", root=tmp_path, keep_last=1)
    assert not tmp_path.joinpath("sessions").exists()


def test_an_array_that_checkpoints_share_survives_the_release_of_the_first(tmp_path: Path) -> None:
    def program(last: int) -> list[float]:
        arrays = Arrays()
        with holdfast.session("run", root=tmp_path, track={"arrays": arrays}, keep_last=2) as run:
            for step in run.loop(6, checkpoint_every=1):
                arrays.moving[step] = step + 1
                if step == last:
                    raise KeyboardInterrupt
        return [float(arrays.fixed.sum()), float(arrays.moving.sum())]

    def stopped() -> None:
        with pytest.raises(KeyboardInterrupt):
            program(4)

    result_of(stopped)
    assert [info.released for info in Workspace(tmp_path).checkpoints("run")] == [True, True, False, False]
    assert "000001-1" in checkpoint_folders(tmp_path)  # the fixed array stands there
    assert Workspace(tmp_path).verify("run").problems == ()
    assert result_of(lambda: program(-1)) == [float(np.arange(5000).sum()), 21.0]
    assert Workspace(tmp_path).verify("run").problems == ()


def test_a_resumed_run_releases_what_the_attempt_before_left(tmp_path: Path) -> None:
    result_of(lambda: grow(tmp_path, steps=5))
    result_of(lambda: grow(tmp_path, steps=8, extend=True, keep_last=2))
    assert checkpoint_folders(tmp_path) == ["000007-2", "000008-2"]
    assert Workspace(tmp_path).verify("run").problems == ()


def test_dead_checkpoints_never_count_among_those_that_stay(tmp_path: Path) -> None:
    def program(twist: int, steps: int) -> None:
        arrays = Arrays()
        with holdfast.session("run", root=tmp_path, track={"arrays": arrays}, keep_last=2) as run:
            for step in run.loop(8, checkpoint_every=1):
                arrays.fixed[0] = step
                run.metric(step=step * twist if step >= 3 else step)
                if step == steps:
                    Fuse(1)()

    kill(lambda: program(1, 6))
    folder = tmp_path / "sessions" / "run" / "checkpoints"
    shutil.rmtree(folder / "000006-1")  # the attempt goes on from the fifth one, and differs in the seventh step
    kill(lambda: program(100, 6))
    alive = [info for info in Workspace(tmp_path).checkpoints("run") if not (info.dead or info.released or info.problem)]
    assert len(alive) == 2


# What a checkpoint is -----------------------------------------------------------------------------------------------------


def test_small_state_stands_in_the_record_and_large_or_array_state_in_files(tmp_path: Path) -> None:
    class Text:
        def __init__(self, size: int) -> None:
            self.text = "x" * size

        def state_dict(self) -> dict[str, Any]:
            return {"text": self.text}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.text = state["text"]

    for name, tracked, is_inline in (
        ("small", Text(60_000), True),
        ("large", Text(70_000), False),
        ("array", Arrays(), False),
        ("generator", np.random.default_rng(1), True),
    ):
        with holdfast.session(name, root=tmp_path, track={"it": tracked}) as run:
            for _ in run.loop(1):
                run.note("x")
        [record] = [fields for fields in everything(tmp_path, name) if fields["kind"] == "checkpoint"]
        assert ("state" in record) == is_inline
        assert bool(checkpoint_folders(tmp_path, name)) != is_inline


def test_equal_arrays_are_stored_once(tmp_path: Path) -> None:
    arrays = Arrays()
    with holdfast.session("run", root=tmp_path, track={"arrays": arrays}) as run:
        for step in run.loop(3, checkpoint_every=1):
            arrays.moving[step] = 1
    sizes = [info.size for info in Workspace(tmp_path).checkpoints("run")]
    fixed, moving = arrays.fixed.nbytes, arrays.moving.nbytes
    assert fixed + moving < sizes[0] < fixed + moving + 2000
    assert moving < sizes[1] < moving + 2000
    assert moving < sizes[2] < moving + 2000


def damage(root: Path, number: int) -> None:
    [path] = (root / "sessions" / "run" / "checkpoints").glob(f"{number:06d}-*/arrays.safetensors")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def arrays_run(root: Path, tick: Tick = never) -> object:
    arrays = Arrays()
    with holdfast.session("run", root=root, track={"arrays": arrays}) as run:
        for step in run.loop(8, checkpoint_every=2):
            tick()
            arrays.fixed = arrays.fixed + 1
            arrays.moving[step] = arrays.fixed[step]
            run.metric(total=float(arrays.moving.sum()))
    return run.notices, float(arrays.fixed.sum()), float(arrays.moving.sum())


@pytest.mark.parametrize("broken", [1, 2, 3])
def test_a_damaged_checkpoint_is_passed_over_with_a_notice(tmp_path: Path, broken: int) -> None:
    root = tmp_path / "killed"
    kill(lambda: arrays_run(root, Fuse(8)))
    for number in range(3, 3 - broken, -1):
        damage(root, number)
    notices, *values = result_of(lambda: arrays_run(root))
    assert len(notices) == broken
    assert notices[0].startswith("checkpoint 3 (record ")
    assert "is passed over" in notices[0]
    assert "SHA-256 differs" in notices[0]
    _, *expected = result_of(lambda: arrays_run(tmp_path / "whole"))
    assert values == expected
    assert digest(root) == digest(tmp_path / "whole")
    resumed = [fields for fields in everything(root) if fields["kind"] == "resumed"]
    assert resumed[0]["checkpoint"] == (3 - broken or None) if broken < 3 else "checkpoint" not in resumed[0]
    assert resumed[0]["skipped"] == notices


def test_a_checkpoint_that_a_kill_left_half_done_is_swept_away(tmp_path: Path) -> None:
    kill(lambda: arrays_run(tmp_path, Fuse(6)))
    folder = tmp_path / "sessions" / "run" / "checkpoints"
    for name in ("000003-1", ".000003-1.tmp"):
        (folder / name).mkdir()
        (folder / name / "state.json").write_text("{")
    result_of(lambda: arrays_run(tmp_path))
    assert checkpoint_folders(tmp_path) == ["000001-1", "000002-1", "000003-2", "000004-2"]


# Fork, rewind, move ---------------------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


def test_a_fork_goes_on_from_its_checkpoint_and_changes_nothing_of_the_old_session(tmp_path: Path) -> None:
    expected = result_of(lambda: arrays_run(tmp_path))
    before = contents(tmp_path / "sessions" / "run")
    workspace = Workspace(tmp_path)
    assert workspace.fork("run", at=2, to="second") == "second"
    assert [fields["kind"] for fields in workspace.records("second")] == ["metric"] * 4
    assert contents(tmp_path / "sessions" / "run") == before

    def go_on() -> object:
        arrays, steps = Arrays(), []
        with holdfast.session("second", root=tmp_path, track={"arrays": arrays}) as run:
            for step in run.loop(8, checkpoint_every=2):
                steps.append(step)
                arrays.fixed = arrays.fixed + 1
                arrays.moving[step] = arrays.fixed[step]
                run.metric(total=float(arrays.moving.sum()))
        return steps, float(arrays.fixed.sum()), float(arrays.moving.sum())

    steps, *values = result_of(go_on)
    assert steps == [4, 5, 6, 7]
    assert values == list(expected[1:])
    assert workspace.digest("second") == workspace.digest("run")
    assert contents(tmp_path / "sessions" / "run") == before
    assert workspace.verify("second").problems == workspace.verify("run").problems == ()


def test_a_rewound_session_goes_on_from_the_checkpoint_and_keeps_what_came_behind_it(tmp_path: Path) -> None:
    result_of(lambda: train(tmp_path))
    before, records = contents(tmp_path / "sessions" / "run"), len(everything(tmp_path))
    workspace = Workspace(tmp_path)
    workspace.rewind("run", at=2)
    after = contents(tmp_path / "sessions" / "run")
    assert {path for path in before if path.startswith(("log", "checkpoints")) and after[path] != before[path]} == set()
    kinds = [fields["kind"] for fields in workspace.records("run")]
    assert kinds == ["note", *["metric"] * 6]
    assert [fields["n"] for fields in everything(tmp_path)][:records] == list(range(1, records + 1))

    def go_on() -> object:
        counter, steps = Counter(), []
        with holdfast.session("run", root=tmp_path, track={"counter": counter}) as run:
            run.note("begin")
            for step in run.loop(10, checkpoint_every=3):
                steps.append(step)
                run.metric(value=counter.advance(step) + 1000)
            run.event("end", value=counter.value)
        return steps

    assert result_of(go_on) == [6, 7, 8, 9]
    values = [fields["values"]["value"] for fields in workspace.records("run") if fields["kind"] == "metric"]
    assert [value >= 1000 for value in values[6:]] == [True] * 4
    assert len(values) == 10


def test_a_rewind_holds_where_the_steps_recorded_nothing(tmp_path: Path) -> None:
    def program() -> list[int]:
        counter = Counter()
        with holdfast.session("run", root=tmp_path, track={"counter": counter}) as run:
            return list(run.loop(6, checkpoint_every=2))

    assert result_of(program) == [0, 1, 2, 3, 4, 5]
    Workspace(tmp_path).rewind("run", at=1)
    assert result_of(program) == [2, 3, 4, 5]


def test_a_checkpoint_that_is_dead_or_released_is_no_place_to_go_on_from(tmp_path: Path) -> None:
    result_of(lambda: grow(tmp_path, keep_last=2))
    workspace = Workspace(tmp_path)
    with pytest.raises(UsageError, match="checkpoint 3 was released"):
        workspace.rewind("run", at=3)
    with pytest.raises(UsageError, match="checkpoint 3 was released"):
        workspace.fork("run", at=3, to="other")
    workspace.rewind("run", at=7)
    with pytest.raises(UsageError, match=r"checkpoint 8 .* superseded"):
        workspace.rewind("run", at=8)
    assert [info.name for info in workspace.sessions()] == ["run"]


def test_a_checkpoint_outside_every_loop_and_step_cannot_be_forked_at(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        run.note("x")
        run.checkpoint("here")
    with pytest.raises(UsageError, match="outside every loop and step"):
        Workspace(tmp_path).fork("run", at=1, to="other")
    assert [info.name for info in Workspace(tmp_path).sessions()] == ["run"]


def test_a_fork_never_takes_the_place_of_another_session(tmp_path: Path) -> None:
    result_of(lambda: train(tmp_path))
    with holdfast.session("other", root=tmp_path) as run:
        run.note("mine")
    with pytest.raises(holdfast.HoldfastError, match=r"there is a session .*already"):
        Workspace(tmp_path).fork("run", at=1, to="other")
    assert [fields["text"] for fields in canonical(tmp_path, "other")] == ["mine"]


def test_a_session_that_is_open_is_neither_forked_nor_rewound(tmp_path: Path) -> None:
    result_of(lambda: train(tmp_path))
    with holdfast.session("run", root=tmp_path, track={"counter": Counter()}):
        with pytest.raises(SessionBusy, match="process "):
            Workspace(tmp_path).fork("run", at=1, to="other")
        with pytest.raises(SessionBusy, match="process "):
            Workspace(tmp_path).rewind("run", at=1)


@pytest.mark.parametrize("how", ["closed", "killed"])
@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_session_copied_to_another_machine_goes_on_there(
    tmp_path: Path, how: str, durability: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"

    def program(root: Path, tick: Tick = never) -> int:
        return train(root, tick, steps=150, every=40, durability=durability, save_mode="batch")

    if how == "closed":
        result_of(lambda: train(here, steps=100, every=40, durability=durability, save_mode="batch"))
    else:
        kill(lambda: program(here, Fuse(100)))
    shutil.copytree(here, there)
    shutil.rmtree(here)
    monkeypatch.setattr(host, "boot_id", lambda: "another-machine")
    monkeypatch.setattr(host, "host_name", lambda: "elsewhere")
    moved = result_of(lambda: train(there, steps=150, every=40, extend=how == "closed"))
    assert moved == result_of(lambda: train(tmp_path / "whole", steps=150, every=40))
    assert digest(there) == digest(tmp_path / "whole")


def test_a_session_recorded_in_one_working_directory_goes_on_in_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def program(folder: Path, tick: Tick) -> object:
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        return train(tmp_path / "work", tick)

    kill(lambda: program(tmp_path / "a", Fuse(5)))
    assert result_of(lambda: program(tmp_path / "b", never)) == result_of(lambda: train(tmp_path / "whole"))


def test_a_change_of_directory_during_the_run_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with holdfast.session("run", root="work", track={"arrays": Arrays()}) as run:
        for step in run.loop(2, checkpoint_every=1):
            run.metric(step=step)
            (tmp_path / f"{step}").mkdir()
            monkeypatch.chdir(tmp_path / f"{step}")
    assert Workspace(tmp_path / "work").verify("run").problems == ()
    assert Workspace(tmp_path / "work").session("run").status == "finished"


# Files ----------------------------------------------------------------------------------------------------------------------


def test_a_file_is_copied_once_and_found_again(tmp_path: Path) -> None:
    source = tmp_path / "vocabulary.txt"
    source.write_bytes(b"a\nb\n" * 1000)

    def program(root: Path, tick: Tick) -> object:
        with holdfast.session("run", root=root) as run:
            hashes = []
            for _ in run.loop(3, checkpoint_every=2):
                tick()
                hashes.append(run.file(source))
        return hashes[-1]

    assert_goes_on_equal(program, tmp_path, [2, 3])
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    folder = tmp_path / "killed" / "sessions" / "run" / "files"
    assert [path.name for path in folder.iterdir()] == [sha256]
    assert (folder / sha256).read_bytes() == source.read_bytes()
    records = list(Workspace(tmp_path / "killed").records("run"))
    assert [(fields["name"], fields["sha256"], fields["size"]) for fields in records] == [("vocabulary.txt", sha256, 4000)] * 3
    assert records[0]["info"]["path"] == str(source)


# Another process ------------------------------------------------------------------------------------------------------------


def test_a_run_goes_on_under_another_hash_seed_and_time_zone(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys, signal, holdfast\n"
        "class Tags:\n"
        "    seen = set()\n"
        "    def state_dict(self): return {'seen': self.seen}\n"
        "    def load_state_dict(self, state): self.seen = state['seen']\n"
        "tags = Tags()\n"
        "with holdfast.session('run', root=sys.argv[1], track={'tags': tags}) as run:\n"
        "    for step in run.loop(9, checkpoint_every=2):\n"
        "        if step == int(sys.argv[2]): os.kill(os.getpid(), signal.SIGKILL)\n"
        "        tags.seen.add(f'tag {step % 5}')\n"
        "        run.event('seen', tags=set(tags.seen))\n"
    )

    def start(root: Path, die_at: int, seed: int) -> int:
        zone = "Asia/Tokyo" if seed % 2 else "America/New_York"
        path = str(Path(holdfast.__file__).parents[1])
        environment = {"PYTHONPATH": path, "PYTHONHASHSEED": str(seed), "TZ": zone}
        return subprocess.run([sys.executable, program, root, str(die_at)], env=environment, check=False).returncode

    assert start(tmp_path / "killed", 5, seed=1) == -signal.SIGKILL
    assert start(tmp_path / "killed", -1, seed=2) == 0
    assert start(tmp_path / "whole", -1, seed=3) == 0
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")
    assert superseded(tmp_path / "killed") == []


def test_a_manifest_is_a_cache_of_the_log(tmp_path: Path) -> None:
    result_of(lambda: train(tmp_path, config={"lr": 0.1}, tags=["a"], notes="first", epoch=3))
    path = tmp_path / "sessions" / "run" / "session.json"
    before = json.loads(path.read_text())
    path.unlink()
    info = Workspace(tmp_path).session("run")
    for field in ("name", "status", "attempts", "records", "bytes", "created", "tags", "notes", "config", "epoch"):
        assert getattr(info, field) == before[field], field


def stopping(steps: Iterator[int], at: int) -> Iterator[int]:
    for step in steps:
        if step == at:
            return
        yield step


def test_a_loop_that_is_held_by_a_generator_is_left_with_it(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        for step in stopping(run.loop(10, checkpoint_every=2), 5):
            run.metric(step=step)
        run.note("outside")
        for step in run.loop(2, checkpoint_every=1):
            run.metric(step=step)
    assert [fields.get("top", False) for fields in canonical(tmp_path)] == [*[False] * 5, True, False, False]
