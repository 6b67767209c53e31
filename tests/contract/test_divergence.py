"""A program that does not repeat what it recorded: what is said, what is kept, and what the run is afterwards."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

import holdfast
from holdfast import Diverged, HoldfastError, SettingsDiffer, Workspace
from tests.helpers.programs import Fuse, Tick, canonical, digest, everything, in_child, kill, never, result_of, superseded

OnDivergence = Literal["supersede", "raise", "fork"]


class Counter:
    """State that each step changes."""

    def __init__(self) -> None:
        self.value = 0

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = state["value"]


def train(
    root: Path,
    tick: Tick = never,
    *,
    twist: dict[int, int] | None = None,
    begin: Iterable[str] = ("begin",),
    end: Iterable[str] = ("end",),
    extra: Iterable[int] = (),
    missing: Iterable[int] = (),
    side_twist: int = 0,
    every: int = 4,
    on_divergence: OnDivergence = "supersede",
) -> tuple[str, list[str]]:
    """Ten steps, with a metric and a record of a side lane each. twist: by step, what is added to the metric."""
    counter = Counter()
    with holdfast.session("run", root=root, track={"counter": counter}, on_divergence=on_divergence) as run:
        for text in begin:
            run.note(text)
        for step in run.loop(10, checkpoint_every=every):
            tick()
            counter.value += step
            if step not in missing:
                run.metric(value=counter.value + (twist or {}).get(step, 0))
            if step in extra:
                run.event("extra", step=step)
            with run.lane("side"):
                run.token(f"side {step + side_twist}")
        for text in end:
            run.note(text)
    return run.name, run.notices


def values(root: Path, name: str = "run") -> list[int]:
    return [fields["values"]["value"] for fields in canonical(root, name) if fields["kind"] == "metric"]


def by_lane(root: Path, name: str = "run") -> list[tuple[str, int]]:
    parts = Workspace(root).digest_parts(name)
    return [(lane, count) for lane, (count, _) in parts.lanes.items()]


PLAIN = [0, 1, 3, 6, 10, 15, 21, 28, 36, 45]


def number_of(root: Path, value: int, name: str = "run") -> int:
    [n] = [fields["n"] for fields in everything(root, name) if fields.get("values") == {"value": value}]
    return int(n)


# Supersede ------------------------------------------------------------------------------------------------------------------


def test_the_report_names_the_record_the_lane_and_both_values(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path, Fuse(8)))
    n = number_of(tmp_path, 15)
    _, notices = result_of(lambda: train(tmp_path, twist={5: 1000}))
    [notice] = notices
    assert notice.startswith(f"record {n} of lane 'main program': the program recorded something else")
    assert "expected {'kind': 'metric', 'values': {'value': 15}}" in notice
    assert "found {'kind': 'metric', 'values': {'value': 1015}}" in notice
    assert "superseded" in notice
    [record] = superseded(tmp_path)
    assert record["expected"]["values"] == {"value": 15}
    assert record["found"]["values"] == {"value": 1015}
    assert record["reason"] == "the program recorded something else"
    assert [(span["first"], span.get("lane", "")) for span in record["ranges"]] == [(n, "")]


def test_afterwards_the_canonical_view_is_what_the_last_attempt_produced(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path / "killed", Fuse(8)))
    result_of(lambda: train(tmp_path / "killed", twist={5: 1000, 9: 7}))
    assert values(tmp_path / "killed") == [0, 1, 3, 6, 10, 1015, 21, 28, 36, 52]
    result_of(lambda: train(tmp_path / "whole", twist={5: 1000, 9: 7}))
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")


def test_superseded_records_are_still_in_the_log(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path, Fuse(8)))
    result_of(lambda: train(tmp_path, twist={5: 1000}))
    records = everything(tmp_path)
    assert [fields["n"] for fields in records] == list(range(1, len(records) + 1))
    gone = [fields["values"]["value"] for fields in records if fields.get("superseded") and fields["kind"] == "metric"]
    assert gone == [15, 21]
    assert Workspace(tmp_path).verify("run").problems == ()


def test_checkpoints_behind_the_difference_are_dead_and_are_not_restored(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path, Fuse(10), every=2))
    folder = Workspace(tmp_path)
    assert [info.step for info in folder.checkpoints("run")] == [2, 4, 6, 8]
    folder.rewind("run", at=2)
    kill(lambda: train(tmp_path, Fuse(3), every=2, twist={5: 1000}))  # in step 6, behind its first checkpoint
    dead = [(info.step, info.dead) for info in folder.checkpoints("run")]
    assert dead == [(2, False), (4, False), (6, True), (8, True), (6, False)]
    result_of(lambda: train(tmp_path, every=2, twist={5: 1000}))
    resumed = [fields["checkpoint"] for fields in everything(tmp_path) if fields["kind"] == "resumed"]
    assert resumed == [2, 5]
    assert values(tmp_path) == [0, 1, 3, 6, 10, 1015, 21, 28, 36, 45]


def test_a_checkpoint_taken_in_a_replay_that_then_differs_stays_alive(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path, Fuse(9), every=100))
    kill(lambda: train(tmp_path, Fuse(8), every=3, twist={6: 1000}))
    infos = Workspace(tmp_path).checkpoints("run")
    assert [(info.step, info.dead) for info in infos] == [(3, False), (6, False)]
    result_of(lambda: train(tmp_path, every=3, twist={6: 1000}))
    assert values(tmp_path) == [0, 1, 3, 6, 10, 15, 1021, 28, 36, 45]


@pytest.mark.parametrize("begin", [("other",), (), ("begin", "more"), ("more", "begin")])
def test_another_top_level_record_before_a_loop_leaves_the_loops_history(tmp_path: Path, begin: tuple[str, ...]) -> None:
    kill(lambda: train(tmp_path / "killed", Fuse(7)))
    steps: list[int] = []
    result_of(lambda: train(tmp_path / "killed", steps_seen(steps), begin=begin))
    resumed = [fields["checkpoint"] for fields in everything(tmp_path / "killed") if fields["kind"] == "resumed"]
    assert resumed == [1]
    assert values(tmp_path / "killed") == PLAIN
    texts = [fields["text"] for fields in canonical(tmp_path / "killed") if fields["kind"] == "note"]
    assert texts == [*begin, "end"]
    history = [fields for fields in everything(tmp_path / "killed") if fields.get("superseded") and not fields.get("top")]
    assert [fields["values"]["value"] for fields in history if fields["kind"] == "metric"] in ([], [10, 15])  # the tail at most


def steps_seen(steps: list[int]) -> Tick:
    return lambda: steps.append(len(steps))


def test_another_top_level_record_at_the_end_of_a_finished_run_is_the_one_that_stands(tmp_path: Path) -> None:
    result_of(lambda: train(tmp_path))
    result_of(lambda: train(tmp_path, end=("another end",)))
    assert values(tmp_path) == PLAIN
    assert [fields["text"] for fields in canonical(tmp_path) if fields["kind"] == "note"] == ["begin", "another end"]
    assert Workspace(tmp_path).session("run").status == "finished"


def test_one_record_more_in_the_tail_supersedes_what_followed(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path / "killed", Fuse(8)))
    _, notices = result_of(lambda: train(tmp_path / "killed", extra=[5]))
    [notice] = notices
    assert "found {'kind': 'event', 'name': 'extra', 'data': {'step': 5}}" in notice
    result_of(lambda: train(tmp_path / "whole", extra=[5]))
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")


def test_one_record_more_at_the_end_of_the_tail_is_none_too_many(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path / "killed", Fuse(8)))
    _, notices = result_of(lambda: train(tmp_path / "killed", extra=[6, 7]))
    assert notices == []
    assert superseded(tmp_path / "killed") == []
    result_of(lambda: train(tmp_path / "whole", extra=[6, 7]))
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")


def test_one_record_fewer_is_a_difference_at_the_next_one(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path / "killed", Fuse(8)))
    _, notices = result_of(lambda: train(tmp_path / "killed", missing=[5]))
    [notice] = notices
    assert "expected {'kind': 'metric', 'values': {'value': 15}}" in notice
    assert "found {'kind': 'metric', 'values': {'value': 21}}" in notice
    result_of(lambda: train(tmp_path / "whole", missing=[5]))
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")


def test_a_record_more_after_everything_of_its_lane_was_repeated_supersedes_the_rest(tmp_path: Path) -> None:
    """The loop ends with a record more, while the top-level ones behind it are still expected."""
    result_of(lambda: train(tmp_path / "killed"))
    last = max(info.number for info in Workspace(tmp_path / "killed").checkpoints("run") if info.step == 8)
    Workspace(tmp_path / "killed").rewind("run", at=last)
    result_of(lambda: train(tmp_path / "killed", extra=[9]))
    result_of(lambda: train(tmp_path / "whole", extra=[9]))
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")


def test_a_difference_in_one_lane_leaves_the_others_matched(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path / "killed", Fuse(8)))
    _, notices = result_of(lambda: train(tmp_path / "killed", side_twist=100))
    [notice] = notices
    assert "of lane 'side'" in notice
    [record] = superseded(tmp_path / "killed")
    assert {span["lane"] for span in record["ranges"]} == {"side"}
    gone = [fields for fields in everything(tmp_path / "killed") if fields.get("superseded")]
    assert {fields.get("lane") for fields in gone} == {"side"}
    metrics = [fields for fields in everything(tmp_path / "killed") if fields["kind"] == "metric"]
    assert len(metrics) == 10  # none of them was written twice
    assert by_lane(tmp_path / "killed") == [("", 12), ("side", 10)]


def test_two_differences_in_a_row_are_two_reports(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path / "killed", Fuse(8)))
    kill(lambda: train(tmp_path / "killed", Fuse(4), twist={5: 100}))
    _, notices = result_of(lambda: train(tmp_path / "killed", twist={5: 200}))
    assert "expected {'kind': 'metric', 'values': {'value': 115}}" in notices[0]
    assert "found {'kind': 'metric', 'values': {'value': 215}}" in notices[0]
    assert [record["expected"]["values"]["value"] for record in superseded(tmp_path / "killed")] == [15, 115]
    result_of(lambda: train(tmp_path / "whole", twist={5: 200}))
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")
    assert Workspace(tmp_path / "killed").verify("run").problems == ()


def test_two_lanes_may_differ_in_one_attempt(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path / "killed", Fuse(8)))
    _, notices = result_of(lambda: train(tmp_path / "killed", twist={5: 100}, side_twist=50))
    assert len(notices) == 2
    assert values(tmp_path / "killed") == [0, 1, 3, 6, 10, 115, 21, 28, 36, 45]
    assert by_lane(tmp_path / "killed") == [("", 12), ("side", 10)]


# What is never repeated -------------------------------------------------------------------------------------------------------


def test_what_is_not_repeated_at_a_clean_end_is_superseded(tmp_path: Path) -> None:
    result_of(lambda: train(tmp_path / "killed"))
    _, notices = result_of(lambda: train(tmp_path / "killed", end=()))
    [notice] = notices
    assert "the run ended without repeating it" in notice
    assert superseded(tmp_path / "killed")[0]["expected"]["text"] == "end"
    result_of(lambda: train(tmp_path / "whole", end=()))
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")


def test_what_is_not_repeated_before_an_exception_stays(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path / "killed", Fuse(8)))
    before = canonical(tmp_path / "killed")

    def fails() -> None:
        raise RuntimeError

    assert in_child(lambda: train(tmp_path / "killed", fails)).status == 1
    assert canonical(tmp_path / "killed") == before
    _, notices = result_of(lambda: train(tmp_path / "killed"))
    assert notices == []
    result_of(lambda: train(tmp_path / "whole"))
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")


def test_what_is_not_repeated_at_a_clean_end_is_refused_where_differences_raise(tmp_path: Path) -> None:
    result_of(lambda: train(tmp_path))
    before = canonical(tmp_path)

    def again() -> str:
        with pytest.raises(Diverged) as raised:
            train(tmp_path, end=(), on_divergence="raise")
        return str(raised.value)

    message = result_of(again)
    assert "'text': 'end'" in message
    assert "now came the end of the run" in message
    assert canonical(tmp_path) == before


# Raise ------------------------------------------------------------------------------------------------------------------------


def test_raise_says_what_differs_and_changes_nothing(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path, Fuse(8)))
    before, n = canonical(tmp_path), number_of(tmp_path, 15)

    def again() -> tuple[int, str, str]:
        with pytest.raises(Diverged) as raised:
            train(tmp_path, twist={5: 1000}, on_divergence="raise")
        return raised.value.n, raised.value.lane, str(raised.value)

    for _ in range(2):
        assert result_of(again)[:2] == (n, "")
    message = result_of(again)[2]
    assert f"session 'run': record {n} of lane 'main program' was {{'kind': 'metric', 'values': {{'value': 15}}}}" in message
    assert "now came {'kind': 'metric', 'values': {'value': 1015}}" in message
    assert "Nothing was written" in message
    assert "track=" in message
    assert "run.once" in message
    assert 'on_divergence="supersede"' in message
    assert canonical(tmp_path) == before
    assert superseded(tmp_path) == []


def test_after_a_raised_difference_the_corrected_program_goes_on(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path / "killed", Fuse(8)))
    assert in_child(lambda: train(tmp_path / "killed", twist={5: 1}, on_divergence="raise")).status == 1
    result_of(lambda: train(tmp_path / "killed", on_divergence="raise"))
    result_of(lambda: train(tmp_path / "whole"))
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")


@pytest.mark.parametrize("change", [{"begin": ("other",)}, {"side_twist": 1}, {"extra": [4]}, {"missing": [4]}])
def test_raise_sees_every_kind_of_difference(tmp_path: Path, change: dict[str, Any]) -> None:
    kill(lambda: train(tmp_path, Fuse(8)))

    def again() -> bool:
        with pytest.raises(Diverged):
            train(tmp_path, on_divergence="raise", **change)
        return True

    assert result_of(again)


# Fork -------------------------------------------------------------------------------------------------------------------------


def test_fork_goes_on_in_a_new_session_and_leaves_the_old_one_as_it_was(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path, Fuse(8)))
    before = canonical(tmp_path)
    name, notices = result_of(lambda: train(tmp_path, twist={5: 1000}, on_divergence="fork"))
    assert name == "run~2"
    assert any("run: forked into run~2" in notice for notice in notices)
    assert canonical(tmp_path) == before
    assert values(tmp_path, "run~2") == [0, 1, 3, 6, 10, 1015, 21, 28, 36, 45]
    old, new = Workspace(tmp_path).session("run"), Workspace(tmp_path).session("run~2")
    assert (old.status, old.to) == ("forked", "run~2")
    assert new.status == "finished"
    assert Workspace(tmp_path).verify("run").problems == Workspace(tmp_path).verify("run~2").problems == ()
    result_of(lambda: train(tmp_path / "whole", twist={5: 1000}))
    assert digest(tmp_path, "run~2") == digest(tmp_path / "whole")


@pytest.mark.parametrize("ending", ["killed", "failed"])
def test_the_old_session_is_listed_as_forked_however_it_ended_before(tmp_path: Path, ending: str) -> None:
    if ending == "killed":
        kill(lambda: train(tmp_path, Fuse(8)))
    else:
        assert in_child(lambda: train(tmp_path, _failing_at(8))).status == 1
    result_of(lambda: train(tmp_path, twist={5: 1000}, on_divergence="fork"))
    statuses = {info.name: info.status for info in Workspace(tmp_path).sessions()}
    assert statuses == {"run": "forked", "run~2": "finished"}


def _failing_at(nth: int) -> Tick:
    left = [nth]

    def tick() -> None:
        left[0] -= 1
        if not left[0]:
            raise RuntimeError("stop")

    return tick


def test_the_name_opens_the_fork_from_then_on(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path, Fuse(8)))
    kill(lambda: train(tmp_path, Fuse(4), twist={5: 1000}, on_divergence="fork"))
    name, notices = result_of(lambda: train(tmp_path, twist={5: 1000}))
    assert (name, notices) == ("run~2", [])
    assert values(tmp_path, "run~2") == [0, 1, 3, 6, 10, 1015, 21, 28, 36, 45]
    again, _ = result_of(lambda: train(tmp_path, twist={5: 1000}))
    assert again == "run~2"
    assert {info.name for info in Workspace(tmp_path).sessions()} == {"run", "run~2"}


def test_a_fork_can_be_forked_again(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path, Fuse(8)))
    kill(lambda: train(tmp_path, Fuse(4), twist={5: 100}, on_divergence="fork"))
    name, _ = result_of(lambda: train(tmp_path, twist={5: 200}, on_divergence="fork"))
    assert values(tmp_path, "run") == PLAIN[:7]
    assert values(tmp_path, name)[5] == 215
    again, notices = result_of(lambda: train(tmp_path, twist={5: 200}, on_divergence="fork"))
    assert (again, notices) == (name, [])
    statuses = {info.name: info.status for info in Workspace(tmp_path).sessions()}
    assert sorted(statuses.values()) == ["finished", "forked", "forked"]
    assert statuses[name] == "finished"


def test_two_lanes_that_differ_are_one_fork(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path, Fuse(8)))
    name, _ = result_of(lambda: train(tmp_path, twist={5: 100}, side_twist=50, on_divergence="fork"))
    assert {info.name for info in Workspace(tmp_path).sessions()} == {"run", name}
    assert values(tmp_path, name) == [0, 1, 3, 6, 10, 115, 21, 28, 36, 45]
    assert by_lane(tmp_path, name) == [("", 12), ("side", 10)]


def test_what_is_not_repeated_at_a_clean_end_forks_too(tmp_path: Path) -> None:
    result_of(lambda: train(tmp_path))
    before = canonical(tmp_path)
    name, _ = result_of(lambda: train(tmp_path, end=(), on_divergence="fork"))
    assert name == "run~2"
    assert canonical(tmp_path) == before
    assert Workspace(tmp_path).session("run").status == "forked"
    assert [fields["text"] for fields in canonical(tmp_path, name) if fields["kind"] == "note"] == ["begin"]
    assert Workspace(tmp_path).session(name).status == "finished"


def test_a_fork_whose_session_is_gone_is_said(tmp_path: Path) -> None:
    kill(lambda: train(tmp_path, Fuse(8)))
    result_of(lambda: train(tmp_path, twist={5: 1000}, on_divergence="fork"))
    Workspace(tmp_path).delete("run~2")
    with pytest.raises(HoldfastError) as raised:
        holdfast.start("run", root=tmp_path)
    message = str(raised.value)
    assert "'run' was forked into 'run~2'" in message
    assert "Nothing was changed" in message
    assert not (tmp_path / "sessions" / "run~2").exists()


def test_checkpoints_and_files_of_a_fork_stand_for_themselves(tmp_path: Path) -> None:
    source = tmp_path / "data.txt"
    source.write_text("abc")

    def program(root: Path, tick: Tick = never, twist: int = 0) -> str:
        import numpy as np

        counter = Counter()
        counter.value = np.zeros(3000)  # type: ignore[assignment]
        with holdfast.session("run", root=root, track={"counter": counter}, on_divergence="fork") as run:
            run.file(source)
            for step in run.loop(8, checkpoint_every=2):
                counter.value = counter.value + 1
                run.metric(value=step + (twist if step > 4 else 0))
                tick()
        return run.name

    kill(lambda: program(tmp_path, Fuse(6)))
    name = result_of(lambda: program(tmp_path, twist=100))
    assert name == "run~2"
    workspace = Workspace(tmp_path)
    workspace.delete("run")
    assert workspace.verify(name).problems == ()
    assert [info.problem for info in workspace.checkpoints(name)] == [None] * 4
    [kept] = (tmp_path / "sessions" / name / "files").iterdir()
    assert kept.read_text() == "abc"


def test_a_fork_keeps_the_settings_that_changed_and_the_epoch(tmp_path: Path) -> None:
    def program(rate: int, epoch: int, twist: int, tick: Tick = never, **options: Any) -> str:
        config = {"rate": rate} if rate else None
        with holdfast.session("run", root=tmp_path, config=config, epoch=epoch, **options) as run:
            for step in run.loop(6, checkpoint_every=2):
                run.metric(value=step + (twist if step == 3 else 0))
                tick()
        return run.name

    kill(lambda: program(1, 1, 0, Fuse(4)))
    name = result_of(lambda: program(2, 7, 100, on_divergence="fork", allow_change=["rate"]))
    (tmp_path / "sessions" / name / "session.json").unlink()
    info = Workspace(tmp_path).session(name)
    assert (info.config, info.epoch) == ({"rate": 2}, 7)
    assert Workspace(tmp_path).session("run").config == {"rate": 1}
    [*_, resumed] = [fields for fields in everything(tmp_path, name) if fields["kind"] == "resumed"]
    assert (resumed["checkpoint"], resumed["replay"]) == (1, 2)
    assert result_of(lambda: program(2, 7, 100)) == name  # and not refused
    with pytest.raises(SettingsDiffer, match="rate: 2 → 1"):
        program(1, 7, 100)


def test_the_number_of_the_attempt_is_the_one_that_the_log_has(tmp_path: Path) -> None:
    """What puts a fork together is an attempt of it, and the program goes on in the next."""
    attempts: list[int] = []

    def program(twist: int = 0, tick: Tick = never) -> list[int]:
        with holdfast.session("run", root=tmp_path, on_divergence="fork") as run:
            for step in run.loop(6):
                attempts.append(run.attempt)
                run.metric(value=step + (twist if step == 3 else 0))
                tick()
        return [*attempts, run.attempt]

    kill(lambda: program(tick=Fuse(5)))
    assert result_of(lambda: program(100)) == [2, 2, 2, 2, 3, 3, 3]
    assert [Workspace(tmp_path).session(name).attempts for name in ("run", "run~2")] == [2, 3]
    segments = sorted((tmp_path / "sessions" / "run~2" / "log" / "main").iterdir())
    headers = [msgspec.json.decode(path.read_bytes().partition(b"\n")[0]) for path in segments]
    assert [header["attempt"] for header in headers] == [1, 2, 3]
    assert result_of(lambda: program(100))[-1] == 4
