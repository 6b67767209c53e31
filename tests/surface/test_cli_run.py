"""`holdfast run`: workflows with everything saved."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast import Workspace
from tests.helpers.command import call, promised
from tests.helpers.programs import superseded
from tests.helpers.sources import ROOT

LINE = ("run", "full_pipeline", "--session", "demo", "--seed", 7)
MODULES = 33


def test_a_run_ends_with_a_row_for_each_module(tmp_path: Path) -> None:
    done = call(*LINE, "--root", tmp_path)
    assert done.status == 0
    rows = [line for line in done.out.splitlines() if line[:2].strip().isdecimal()]
    assert [int(row[:2]) for row in rows] == list(range(1, MODULES + 1))
    assert sum(" ok " in row for row in rows) == 32
    assert "skipped" in rows[27]
    for fact in ("32 ok, 0 error, 1 skipped", "3 completions, unlocked", "K-formation", Workspace(tmp_path).digest("demo")):
        assert fact in done.out
    assert f"holdfast show demo --root {tmp_path}" in done.out
    assert " 33/33  phase7  final_status  z 0.866 TRUE" in done.err


def test_its_json_says_the_same(tmp_path: Path) -> None:
    done = call(*LINE, "--root", tmp_path, "--json")
    (found,) = done.documents
    assert {*found, *found["stages"][0]} <= promised("run")
    assert list(found)[-2:] == ["returned", "digest"]
    assert found["counts"] == {"ok": 32, "error": 0, "skipped": 1}
    assert [stage["index"] for stage in found["stages"]] == list(range(1, MODULES + 1))
    assert found["digest"] == Workspace(tmp_path).digest("demo")
    assert found["returned"]["state"]["triad_unlocked"] is True
    assert found["records"]["tokens"] == 972


def test_a_third_time_nothing_is_left_to_do(tmp_path: Path) -> None:
    assert call(*LINE, "--root", tmp_path, "--until", "phase2").status == 0
    again = call(*LINE, "--root", tmp_path)
    assert "attempt 2: going on with stage 8, cybernetic_control" in again.err
    third = call(*LINE, "--root", tmp_path)
    assert third.status == 0
    assert "finished: nothing was left to do" in third.err
    another = f"holdfast run full_pipeline --session demo-2 --param seed=7 --root {tmp_path}"
    assert another in third.out
    assert call(*another.split()[1:]).status == 0
    assert call("digest", "demo", "demo-2", "--root", tmp_path).status == 0


def test_it_goes_back_to_a_stage_and_ends_equal(tmp_path: Path) -> None:
    call(*LINE, "--root", tmp_path)
    digest = Workspace(tmp_path).digest("demo")
    back = call(*LINE, "--root", tmp_path, "--from-stage", "phase5")
    assert back.status == 0
    assert "demo is set back to before stage 20, triad_crossing_1; what followed stays in the log, superseded" in back.err
    assert Workspace(tmp_path).digest("demo") == digest
    assert len(superseded(tmp_path, "demo")) == 1
    stages = [record["index"] for record in Workspace(tmp_path).records("demo", canonical=False) if record["kind"] == "module"]
    assert stages == [*range(1, MODULES + 1), *range(20, MODULES + 1)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--from-stage", "phase1"), "'phase1' is where full_pipeline begins: for a run from there give another --session"),
        (("--from-stage", "final_status"), "demo has not come to 'final_status' yet"),
        (("--from-stage", "nothing"), "'nothing' is no stage of full_pipeline"),
        (("--until", "34"), "'34' is no stage of full_pipeline"),
        (("--seed", "x"), "Invalid value for '--seed'"),
        (("--param", "k_threshold=x"), "k_threshold: int = 7 cannot be 'x'"),
        (("--param", "k_threshold=5"), "k_threshold"),
        (("--param", "k_threshold=3"), "recorded under other settings: k_threshold: 7 → 3"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_changed(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    call(*LINE, "--root", tmp_path, "--until", "phase1")
    records = list(Workspace(tmp_path).records("demo", canonical=False))
    done = call(*LINE, *words, "--root", tmp_path)
    assert done.status == 2
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert list(Workspace(tmp_path).records("demo", canonical=False)) == records


def test_a_dry_run_prints_the_plan_as_a_tree(tmp_path: Path) -> None:
    done = call(*LINE, "--root", tmp_path, "--dry-run")
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[0].startswith("full_pipeline  33 stages  seed 7")
    assert sum("phase" in line for line in lines[1:]) == 7
    assert lines[-1].split() == ["└──", "33", "final_status"]
    assert not (tmp_path / "sessions").exists()
    (plan,) = call(*LINE, "--root", tmp_path, "--dry-run", "--json").documents
    assert list(plan) == ["workflow", "parameters", "phases"]
    assert sum(len(phase["stages"]) for phase in plan["phases"]) == MODULES


def test_without_a_name_it_lists_what_there_is() -> None:
    done = call("run")
    assert done.status == 0
    assert "full_pipeline" in done.out
    (first, *_) = call("run", "--json").documents
    assert list(first) == ["workflow", "summary", "parameters"]


def test_on_a_terminal_it_draws_and_leaves_the_table(tmp_path: Path) -> None:
    done = call(*LINE, "--root", tmp_path, terminal=True, COLUMNS="100", TERM="xterm-256color")
    assert done.status == 0
    assert "\x1b[?25h" in done.err  # the cursor is back
    assert "final_status" in done.out


def test_sigterm_ends_with_75_and_the_same_line_goes_on(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import os\n"
        "def train(session):\n"
        "    with session() as run:\n"
        "        for step in run.loop(20, checkpoint_every=5):\n"
        "            run.metric(step=step)\n"
        "            if step == 7 and run.attempt == 1:\n"
        f"                os.kill(os.getpid(), {int(signal.SIGTERM)})\n",
        encoding="utf-8",
    )
    words = [sys.executable, "-m", "holdfast", "run", "slow:train", "--root", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    first = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert first.returncode == 75
    assert "train: stopped (SIGTERM), with a checkpoint; the same line again goes on" in first.stderr
    second = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert second.returncode == 0
    assert [record["values"]["step"] for record in Workspace(tmp_path).records("train")] == list(range(20))


def test_an_error_of_the_function_leaves_the_session_to_be_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "def train(session):\n    with session() as run:\n        run.note('x')\n        raise RuntimeError('why')\n",
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    words = [sys.executable, "-m", "holdfast", "run", "broken:train", "--root", str(tmp_path)]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "RuntimeError: why" in done.stderr
    assert Workspace(tmp_path).session("train").status == "failed"


def test_a_stage_that_failed_shows_in_the_exit_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "staged.py").write_text(
        "import holdfast\n"
        "def plan_of():\n"
        "    def stage(n, status):\n"
        "        act = lambda: holdfast.Outcome({'n': n}, status=status, index=n, phase='all')\n"
        "        return holdfast.Stage(index=n, name=f's{n}', act=act)\n"
        "    stages = tuple(stage(n, status) for n, status in enumerate(('ok', 'error', 'skipped'), 1))\n"
        "    return holdfast.Plan(title='staged', phases=(holdfast.Phase(name='all', title='All', stages=stages),))\n"
        "def staged(session, *, until=None, watch=None):\n"
        "    with session() as run:\n"
        "        holdfast.run_stages(run, plan_of(), until=until, watch=watch)\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    done = call("run", "staged:staged", "--root", tmp_path)
    assert done.status == 1
    assert "1 ok, 1 error, 1 skipped" in done.out
    assert [line.split() for line in done.err.splitlines()[:3]] == [[f"{n}/3", "all", f"s{n}"] for n in (1, 2, 3)]


RETURNING = """
from pathlib import Path
def state(session):
    with session() as run:
        run.note("x")
    return {"state": {"mine": 1}}
def odd(session):
    with session() as run:
        run.note("x")
    return {"path": Path("a"), "set": {1}, 5: float("nan"), "object": object}
def never(session):
    return 3
def more(session):
    with session(on_divergence="supersede") as run:
        for number in range(run.attempt):
            run.note(str(number))
def own(*, root: str):
    import holdfast
    with holdfast.session("own", root=root) as run:
        run.note("x")
"""


@pytest.fixture
def returning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module with functions that return this and that."""
    name = f"returning_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(RETURNING, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


@pytest.mark.parametrize("json", [(), ("--json",)])
@pytest.mark.parametrize("function", ["state", "odd"])
def test_whatever_a_function_returns_is_shown(tmp_path: Path, returning: str, function: str, json: tuple[str, ...]) -> None:
    done = call("run", f"{returning}:{function}", "--root", tmp_path, *json)
    assert done.status == 0
    assert ("mine" if function == "state" else "'a'") in done.out or "PosixPath" in done.out


def test_a_function_that_opens_no_session_is_told_of(tmp_path: Path, returning: str) -> None:
    done = call("run", f"{returning}:never", "--root", tmp_path)
    assert done.status == 0
    assert '"returned":3' in done.out
    assert f"{returning}:never opened no session" in done.err


def test_nothing_was_left_to_do_only_where_nothing_was_done(tmp_path: Path, returning: str) -> None:
    for attempt in range(3):
        done = call("run", f"{returning}:more", "--root", tmp_path)
        assert ("finished: nothing was left to do" in done.err) is False, attempt
    again = call("run", f"{returning}:state", "--root", tmp_path)
    again = call("run", f"{returning}:state", "--root", tmp_path)
    assert "finished: nothing was left to do" in again.err


def test_options_that_would_say_nothing_are_refused(tmp_path: Path, returning: str) -> None:
    line = ("run", f"{returning}:own", "--param", f"root={tmp_path}")
    assert call(*line).status == 0
    for option in (("--save-mode", "batch"), ("--root", tmp_path), ("--session", "x"), ("--allow-change", "lr")):
        done = call(*line, *option)
        assert done.status == 2
        assert "opens its own" in done.err
    assert call(*line, HOLDFAST_ROOT=str(tmp_path)).status == 0


def test_an_empty_name_of_a_session_is_refused(tmp_path: Path) -> None:
    done = call("run", "full_pipeline", "--session", "", "--root", tmp_path)
    assert done.status == 2
    assert not (tmp_path / "sessions").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seed", 8), "demo was recorded with other parameters: seed: 7 → 8. Nothing was changed"),
        (("--seed", 7, "--until", "bogus"), "'bogus' is no stage of full_pipeline"),
    ],
)
def test_a_run_that_would_be_refused_is_not_set_back_either(tmp_path: Path, words: tuple[object, ...], message: str) -> None:
    call(*LINE, "--root", tmp_path)
    before = Workspace(tmp_path).session("demo")
    done = call("run", "full_pipeline", "--session", "demo", *words, "--from-stage", "phase5", "--root", tmp_path)
    assert done.status == 2
    assert message in done.err
    assert Workspace(tmp_path).session("demo") == before
