"""A session in the guide's layout: the guide's own code reads it, and a killed export leaves nothing under its name."""

import json
import os
import re
import textwrap
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import holdfast
from holdfast import InvalidSetting, KiraEngine, Workspace, WriteFailed
from holdfast.engines.kira import Kira
from holdfast.guide.export import PARTS, GuideExport, export_guide
from holdfast.sessions.opening import start
from holdfast.storage.files import RealFiles
from tests.helpers.programs import Tick, die, never, result_of, run_through_kills
from tests.helpers.programs import kill as kill_child
from tests.helpers.quick import QuickFiles
from tests.helpers.sources import ROOT

GUIDE = ROOT.parent / "shared" / "guide.md"
without_guide = pytest.mark.skipif(not GUIDE.exists(), reason="the guide (shared/guide.md) is not here")


def export(root: Path, name: str, output: Path, **options: Any) -> GuideExport:
    workspace = Workspace(root)
    return export_guide(QuickFiles(), workspace._source(workspace._folder(name)), output, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def from_the_guide(first_line: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run the code block of the guide that begins with this line, as written, and return what it defines."""
    (code,) = re.findall(rf"^```python\n({re.escape(first_line)}\n.*?)^```", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    exec(compile(code, str(GUIDE), "exec"), names)
    return names


@pytest.fixture
def kira(tmp_path: Path) -> Path:
    with KiraEngine("k_formation_attempt", root=tmp_path, seed=5, epoch=7, files=QuickFiles()) as engine:
        engine.cmd_hit_it()
        engine.cmd_emit()
        engine.cmd_evolve(0.9)
        engine.run.checkpoint("evolved")
        engine.emit_token()
    return tmp_path


@without_guide
def test_the_guides_own_loader_and_index_work_on_it(kira: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [str(row.token) for row in Workspace(kira).tokens()]
    export(kira, "k_formation_attempt", kira / "out")
    monkeypatch.chdir(kira / "out")
    names = from_the_guide("# training/data_loader.py", {"Path": Path, "json": json})
    loader = names["TrainingDataLoader"]()
    assert loader.load_tokens_lazy(epoch=7)["tokens"] == texts
    assert loader.load_tokens_lazy()["tokens"] == texts
    expected: dict[str, list[str]] = defaultdict(list)
    for text in texts:
        expected[text.split("|")[0]].append(text)
    assert loader.build_token_index() == expected
    history = from_the_guide("# Enhance KIRA commands to use saved data", names)["cmd_tokens_from_history"](None, filter="t4")
    assert history == {"tokens": [text for text in texts if "t4" in text], "count": sum("t4" in text for text in texts)}


@without_guide
def test_the_guides_own_restoring_brings_back_the_engine(kira: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(kira, "k_formation_attempt", kira / "out")
    monkeypatch.chdir(kira / "out")
    loader = from_the_guide("# training/data_loader.py", {"Path": Path, "json": json})["TrainingDataLoader"]()
    guide = GUIDE.read_text("utf-8")
    (method,) = re.findall(r"^    def restore_from_session\(.*?(?=^```)", guide, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"Path": Path, "json": json}
    exec(compile(textwrap.dedent(method), str(GUIDE), "exec"), names)
    engine = Kira()
    manifest = names["restore_from_session"](SimpleNamespace(engine=engine, data_loader=loader), "k_formation_attempt")
    assert len(engine.tokens_emitted) == manifest["tokens_count"]
    assert [emission["text"] for emission in engine.emissions] == [row.text for row in Workspace(kira).emissions()]
    assert engine.state.z == manifest["final_state"]["z"]
    assert engine.state.phase.value == manifest["final_state"]["phase"] == "TRUE"


@without_guide
def test_the_guides_own_checkpoint_manager_restores_one(kira: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(kira, "k_formation_attempt", kira / "out")
    monkeypatch.chdir(kira / "out")
    names: dict[str, Any] = {"Path": Path, "json": json, "datetime": datetime}
    manager = from_the_guide("# training/checkpoint_manager.py", names)["CheckpointManager"]()
    manager.engine = Kira()
    found = manager.restore_from_checkpoint(1)
    assert (found["module"], found["emissions_count"]) == ("evolved", 3)
    assert found["tokens_count"] == len(Workspace(kira).tokens()) - 1
    assert manager.engine.state.z == found["z"] == found["state"]["z"]


def test_everything_stands_where_the_guide_has_it(kira: Path) -> None:
    done = export(kira, "k_formation_attempt", kira / "out")
    found, workspace = contents(kira / "out"), Workspace(kira)
    assert (done.tokens, done.modules, done.checkpoints) == (len(workspace.tokens()), 33, 1)
    flat = {"manifest.json", "tokens.json", "emissions.json", "modules.json", "states.json"}
    assert {path for path in found if "/" not in path} == flat
    assert {path for path in found if "/" in path} == {
        *(f"training/sessions/k_formation_attempt/{name}" for name in flat),
        "training/tokens/epochk_formation_attempt_tokens.json",
        "training/tokens/epoch7_tokens.json",
        "training/streams/epoch7_stream.jsonl",
        "training/modules/stream_k_formation_attempt.jsonl",
        "training/checkpoints/checkpoint_001.json",
    }
    manifest = json.loads(found["manifest.json"])
    assert (manifest["session"], manifest["epoch"], manifest["checkpoints"]) == ("k_formation_attempt", 7, ["evolved"])
    assert (manifest["modules_count"], manifest["emissions_count"]) == (33, len(workspace.emissions()))
    assert manifest["final_state"]["coherence"] > 0.5
    stream = [json.loads(line) for line in found["training/streams/epoch7_stream.jsonl"].splitlines()]
    assert [entry["token"] for entry in stream] == json.loads(found["tokens.json"])["tokens"]
    row = workspace.tokens()[-1]
    assert {name: stream[-1][name] for name in ("z", "phase", "tier", "source")} == {
        "z": row.z,
        "phase": row.phase,
        "tier": row.tier,
        "source": "emit_token",
    }
    assert datetime.fromisoformat(stream[-1]["timestamp"]) == datetime.fromtimestamp(row.ts / 1e6, UTC)
    modules = json.loads(found["modules.json"])["modules"]
    assert [entry["index"] for entry in modules] == [*range(1, 34)]
    assert modules == [json.loads(line) for line in found["training/modules/stream_k_formation_attempt.jsonl"].splitlines()]


def test_the_same_records_give_the_same_bytes(kira: Path) -> None:
    export(kira, "k_formation_attempt", kira / "one")
    Workspace(kira).seal("k_formation_attempt")
    export(kira, "k_formation_attempt", kira / "other")
    assert contents(kira / "one") == contents(kira / "other")


def test_tokens_of_every_kind_become_texts_and_what_was_superseded_stays_out(tmp_path: Path) -> None:
    with start("any", root=tmp_path, files=QuickFiles()) as run:
        run.tokens(["Φ×", 7, b"\xff", "\ud800"])
        run.emission("a \ud800", tokens=[b"x"])
        run.module("stage", {"loss": float("nan"), 1: (2,)}, status="error")
    export(tmp_path, "any", tmp_path / "out")
    found = contents(tmp_path / "out")
    replaced = "\N{REPLACEMENT CHARACTER}"
    assert json.loads(found["tokens.json"])["tokens"] == ["Φ×", "7", replaced, replaced]
    (emission,) = json.loads(found["emissions.json"])["emissions"]
    assert emission["text"] == f"a {replaced}"
    (module,) = json.loads(found["modules.json"])["modules"]
    assert (module["success"], module["status"]) == (False, "error")
    assert json.loads(found["manifest.json"])["final_state"] == {}


def test_only_what_is_asked_for_is_written(kira: Path) -> None:
    done = export(kira, "k_formation_attempt", kira / "out", include=["tokens", "states"])
    assert (done.emissions, done.modules, done.checkpoints) == (0, 0, 0)
    assert {path for path in contents(kira / "out") if "/" not in path} == {"manifest.json", "tokens.json", "states.json"}
    with pytest.raises(InvalidSetting, match=f"include='token' has no place.*{', '.join(PARTS)}"):
        export(kira, "k_formation_attempt", kira / "no", include=["token"])
    assert not (kira / "no").exists()


def test_only_an_earlier_export_is_replaced_and_only_by_force(kira: Path) -> None:
    export(kira, "k_formation_attempt", kira / "deep" / "out", include=["tokens"])
    with pytest.raises(InvalidSetting, match="is there already"):
        export(kira, "k_formation_attempt", kira / "deep" / "out")
    export(kira, "k_formation_attempt", kira / "deep" / "out", include=["emissions"], force=True)
    assert not (kira / "deep" / "out" / "tokens.json").exists()
    (kira / "mine").mkdir()
    (kira / "mine" / "thesis.txt").write_text("years of work")
    (kira / "link").symlink_to(kira / "deep" / "out")
    for name in ("mine", "mine/thesis.txt", "link"):
        with pytest.raises(InvalidSetting, match="no earlier export"):
            export(kira, "k_formation_attempt", kira / name, force=True)
    assert (kira / "mine" / "thesis.txt").read_text() == "years of work"
    assert [path.name for path in (kira / "deep").iterdir()] == ["out"]


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_export_leaves_nothing_under_the_name(kira: Path, part: str) -> None:
    def told(at: str, done: int) -> None:
        if at == part:
            die()

    kill_child(lambda: export(kira, "k_formation_attempt", kira / "target" / "out", progress=told))
    assert all(path.name.startswith(".") for path in (kira / "target").iterdir())
    (kira / "target" / f".out.{os.getpid()}-999999.new").mkdir()  # of a process that lives
    assert export(kira, "k_formation_attempt", kira / "target" / "out").modules == 33
    left = sorted(path.name for path in (kira / "target").iterdir())
    assert left == [f".out.{os.getpid()}-999999.new", "out"]


class FailingFiles(QuickFiles):
    """Fails the nth of the operations on names, links aside, which have another way."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise OSError(28, "No space left on device")

    def mkdir(self, path: Path) -> None:
        self._count()
        super().mkdir(path)

    def rename(self, source: Path, target: Path) -> None:
        self._count()
        super().rename(source, target)

    def sync_folder(self, path: Path) -> None:
        self._count()

    def link(self, source: Path, target: Path) -> None:
        raise OSError(1, "Operation not permitted")


def test_a_failed_export_leaves_what_was_there(kira: Path) -> None:
    workspace = Workspace(kira)
    source = workspace._source(workspace._folder("k_formation_attempt"))
    output = kira / "target" / "out"
    export(kira, "k_formation_attempt", output, include=["tokens"])
    before, failed = contents(kira / "target"), 0
    for nth in range(1, 100):
        files = FailingFiles(nth)
        try:
            export_guide(files, source, output, force=True)
        except WriteFailed as error:
            failed += 1
            if files.exists(output / "modules.json"):
                break  # the new one has the name: only syncing that failed
            assert "No space left" in str(error)
            assert contents(kira / "target") == before
        else:
            break
    assert failed > 10
    assert json.loads((output / "tokens.json").read_bytes())["tokens"]


def train(root: Path, tick: Tick) -> tuple[str, list[str]]:
    """A program that exports its state behind each phase."""
    with KiraEngine("run", root=root, seed=3, files=QuickFiles()) as engine:
        engine.export_current_state("before")
        for phase in engine.run.loop(3, checkpoint_every=1):
            for _ in range(3):
                engine.emit_token()
                tick()
            engine.cmd_evolve(0.8)
            engine.export_current_state(f"phase_{phase}_complete")
            tick()
        engine.export_current_state("latest")
    texts = [
        (root / "sessions" / "run" / "exports" / name / "tokens.json").read_text("utf-8")
        for name in ("before", "phase_0_complete", "phase_1_complete", "phase_2_complete", "latest")
    ]
    return Workspace(root).digest("run"), texts


@pytest.mark.parametrize("kills", [[1], [4], [5, 2], [7, 7], [12]])
def test_the_current_state_is_exported_alike_through_kills(tmp_path: Path, kills: list[int]) -> None:
    whole = result_of(lambda: train(tmp_path / "whole", never))
    assert run_through_kills(train, tmp_path / "killed", kills) == whole
    assert [len(json.loads(text)["tokens"]) for text in whole[1]] == [0, 3, 6, 9, 9]
    exported = Workspace(tmp_path / "killed").events("exported")
    assert [row.data["label"] for row in exported] == [
        "before",
        *(f"phase_{index}_complete" for index in range(3)),
        "latest",
    ]
    assert exported[1].data["tokens"] == 3
    assert exported[1].data["state"]["z"] == pytest.approx(0.8, abs=0.02)
    manifest = json.loads((tmp_path / "killed/sessions/run/exports/phase_0_complete/manifest.json").read_bytes())
    assert manifest["final_state"] == exported[1].data["state"]


def test_a_label_must_be_the_name_of_a_folder(tmp_path: Path) -> None:
    with KiraEngine("run", root=tmp_path, files=QuickFiles()) as engine:
        engine.emit_token()
        with pytest.raises(InvalidSetting, match=r"label '\.\./out': it"):
            engine.export_current_state("../out")
        assert not engine.run.path.joinpath("exports").exists()


def test_training_data_is_exported_while_the_engine_runs(tmp_path: Path) -> None:
    with KiraEngine("run", root=tmp_path, save_mode="batch", files=RealFiles()) as engine:
        for _ in range(3):
            engine.emit_token()
        path = engine.export_training_data(format="guide", include=["tokens"], output=tmp_path / "analysis" / "export")
        assert path == tmp_path / "analysis" / "export"
        assert json.loads((path / "tokens.json").read_bytes())["tokens"] == list(engine.tokens_emitted)
        with pytest.raises(InvalidSetting, match="there already"):
            engine.export_training_data(output=path)
        with pytest.raises(InvalidSetting, match="format='sheet'"):
            engine.export_training_data(format="sheet", output=tmp_path / "x")
    assert holdfast.Workspace(tmp_path).verify("run").problems == ()


def test_a_program_that_goes_another_way_exports_what_it_did(tmp_path: Path) -> None:
    def program(z: float) -> str:
        with KiraEngine("run", root=tmp_path, seed=3, files=QuickFiles()) as engine:
            for step in engine.run.loop(2, checkpoint_every=1):
                engine.move_to(z if step else 0.5)
                engine.emit_token()
                engine.export_current_state(f"step_{step}")
            engine.export_current_state("latest")
        manifest = json.loads((tmp_path / "sessions/run/exports/latest/manifest.json").read_bytes())
        assert manifest["tokens_count"] == 2
        texts = [(tmp_path / f"sessions/run/exports/{name}/tokens.json").read_text("utf-8") for name in ("step_1", "latest")]
        assert texts[0] == texts[1]
        return str(manifest["final_state"]["z"])

    assert program(0.7) == "0.7"
    Workspace(tmp_path).rewind("run", at=1)
    assert program(0.9) == "0.9"
    exported = [row.data["state"]["z"] for row in Workspace(tmp_path).events("exported")]
    assert exported == [0.5, 0.9, 0.9]
