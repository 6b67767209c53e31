"""KIRA's pipeline in a session: whatever kills it, it ends as the one that was never killed."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast import Stopped, UsageError, Workspace, find_workflow
from tests.helpers.programs import Fuse, Tick, canonical, digest, everything, kill, never, result_of, superseded
from tests.helpers.watching import Noting

PARAMETERS = {"seed": 7}
LAST = 33


def pipeline(root: Path, *, watch: Noting | None = None, until: str | None = None, **options: Any) -> Any:
    """Run it, or go on with it."""
    return find_workflow("full_pipeline").run("run", parameters=PARAMETERS, root=root, watch=watch, until=until, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a run that was never killed."""
    root = tmp_path_factory.mktemp("whole")
    pipeline(root)
    return root


def dying_at(root: Path, stage: int) -> None:
    """A run that is killed when it has begun a stage."""
    kill(lambda: pipeline(root, watch=Noting(lambda begun: Fuse(1)() if begun.index == stage else None)))


def assert_equal(root: Path, whole: Path) -> None:
    assert superseded(root) == []
    assert digest(root) == digest(whole)
    assert canonical(root) == canonical(whole)
    assert Workspace(root).verify("run").problems == ()


@pytest.mark.parametrize("stage", range(1, LAST + 1))
def test_killed_in_any_module_it_ends_equal(tmp_path: Path, whole: Path, stage: int) -> None:
    dying_at(tmp_path, stage)
    again = Noting()
    result_of(lambda: pipeline(tmp_path, watch=again))
    assert_equal(tmp_path, whole)


@pytest.mark.parametrize("seed", range(6))
def test_killed_five_times_at_any_record_it_ends_equal(tmp_path: Path, whole: Path, seed: int) -> None:
    dice = random.Random(seed)

    def dying(root: Path, tick: Tick) -> None:
        watch = Noting(at_open=lambda run: run.on("*", lambda record, replayed: tick()))
        pipeline(root, watch=watch)

    for nth in [dice.randrange(1, 20) for _ in range(5)]:
        kill(lambda nth=nth: dying(tmp_path, Fuse(nth)))  # type: ignore[misc]  # bound at once
    result_of(lambda: dying(tmp_path, never))
    assert_equal(tmp_path, whole)


def test_stages_that_are_recorded_are_not_run_again(tmp_path: Path) -> None:
    dying_at(tmp_path, 12)

    def again() -> Any:
        watch = Noting()
        pipeline(tmp_path, watch=watch)
        return watch.began_stages, watch.ended_stages

    assert result_of(again) == (list(range(12, LAST + 1)), list(range(1, LAST + 1)))
    assert result_of(again) == ([], list(range(1, LAST + 1)))


def test_each_module_is_recorded_with_its_change_and_checkpoint(whole: Path) -> None:
    records = everything(whole)
    places = [place for place, record in enumerate(records) if record["kind"] == "module"]
    assert [records[place]["index"] for place in places] == list(range(1, LAST + 1))
    for place in places:
        assert [record["kind"] for record in records[place : place + 3]] == ["module", "transition", "checkpoint"]
    statuses = Counter(records[place].get("status", "ok") for place in places)
    assert statuses == {"ok": 32, "skipped": 1}  # cloud_training has no cloud
    names = [checkpoint.name for checkpoint in Workspace(whole).checkpoints("run") if checkpoint.name]
    assert names == [f"phase{number}" for number in range(1, 8)]
    assert max(checkpoint.size for checkpoint in Workspace(whole).checkpoints("run")) <= 16 << 10


def test_the_lattice_is_one_batch_and_none_of_the_emitted_tokens(whole: Path) -> None:
    records = canonical(whole)
    (batch,) = [record for record in records if record["kind"] == "tokens"]
    assert len(set(batch["tokens"])) == 972
    assert set(batch["columns"]["source"]) == {"nuclear_spinner"}
    emitted = [record for record in records if record["kind"] == "token"]
    manifest = next(record["result"] for record in records if record.get("name") == "manifest_generator")
    assert manifest["tokens_emitted"] == len(emitted)


def test_it_stops_where_it_is_told_and_goes_on(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(Stopped, match="behind stage 14"):
        pipeline(tmp_path, until="phase3")
    assert Workspace(tmp_path).session("run").status == "interrupted"
    with pytest.raises(Stopped, match="behind stage 20, triad_crossing_1"):
        pipeline(tmp_path, until="20")
    pipeline(tmp_path)
    assert_equal(tmp_path, whole)
    pipeline(tmp_path, until="33")  # its end is no stop


def test_a_stage_that_does_not_exist_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'phase8' is no stage of full_pipeline: give a phase"):
        pipeline(tmp_path, until="phase8")
    assert not (tmp_path / "sessions").exists()


def test_other_seeds_make_other_runs(tmp_path: Path, whole: Path) -> None:
    find_workflow("full_pipeline").run("run", parameters={"seed": 8}, root=tmp_path)
    assert digest(tmp_path) != digest(whole)


def test_both_thresholds_are_recorded_with_what_they_decided(tmp_path: Path) -> None:
    for threshold in (3, 7):
        returned = find_workflow("full_pipeline").run(
            f"run{threshold}", parameters={"k_threshold": threshold}, root=tmp_path / str(threshold)
        )
        assert returned["k_formation"]["threshold"] == threshold
        assert returned["k_formation"]["R"] == 3
        assert returned["state"]["triad_unlocked"]


@pytest.mark.parametrize("save_mode", ["batch", "checkpoint"])
@pytest.mark.parametrize("durability", ["process", "power"])
def test_every_mode_records_the_same_run(tmp_path: Path, whole: Path, save_mode: str, durability: str) -> None:
    kill(
        lambda: pipeline(
            tmp_path,
            watch=Noting(lambda stage: Fuse(1)() if stage.index == 9 else None),
            save_mode=save_mode,
            durability=durability,
        )
    )
    pipeline(tmp_path, save_mode=save_mode, durability=durability)
    assert digest(tmp_path) == digest(whole)


def test_the_session_is_the_engines_past(tmp_path: Path) -> None:
    with holdfast.KiraEngine("past", root=tmp_path, seed=3) as engine:
        for _ in range(200):
            engine.emit_token()
        engine.cmd_emit(["pattern", "lens"])
        made = len(engine.tokens_emitted)
        recorded = [record["token"] for record in Workspace(tmp_path).records("past") if record["kind"] == "token"]
        assert list(engine.tokens_emitted) == recorded
        assert len(recorded) == made > 200
        assert engine.tokens_emitted[0] == recorded[0]
        assert engine.tokens_emitted[10:3:-2] == recorded[10:3:-2]
        assert engine.tokens_emitted[-1] == recorded[-1]
        assert [emission["text"] for emission in engine.emissions] == [engine.emissions[0]["text"]]
