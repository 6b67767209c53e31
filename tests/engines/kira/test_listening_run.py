"""A session's Run can be an engine's listener as it is."""

import json
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.engines.kira import Kira
from holdfast.events import Listener
from tests.engines.kira.hearing import heard_engine

LINES = ("/emit lens,pattern", "/evolve 0.88", "what is the lens?", "/spin")


def records(root: Path) -> list[dict[str, Any]]:
    lines = (root / "sessions" / "kira" / "log" / "main" / "000001.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


def test_a_run_records_everything_that_is_announced(tmp_path: Path) -> None:
    engine = Kira(seed=3)
    with holdfast.session("kira", root=tmp_path, track={"kira": engine}) as run:
        listener: Listener = run
        engine.listener = listener
        for line in LINES:
            engine.execute(line)
    other, hearing = heard_engine(seed=3)
    for line in LINES:
        other.execute(line)
    kinds = ("token", "emission", "event", "transition")
    recorded = [record for record in records(tmp_path) if record["kind"] in kinds]
    assert [record["kind"] for record in recorded] == [kind for kind, _, _ in hearing.heard]
    assert [record["token"] for record in recorded if record["kind"] == "token"] == list(other.tokens_emitted)
    texts = [record["text"] for record in recorded if record["kind"] == "emission"]
    assert texts == [entry["text"] for entry in other.emissions]


def test_an_engine_goes_on_from_a_checkpoint_of_a_session(tmp_path: Path) -> None:
    lines = LINES * 2
    unbroken = Kira(seed=3)
    expected = [unbroken.execute(line) for line in lines]
    done: list[tuple[int, Any]] = []

    def attempt(stop_at: int) -> Kira:
        engine = Kira(seed=3)
        with holdfast.session("kira", root=tmp_path, track={"kira": engine}) as run:
            engine.listener = run
            for step in run.loop(len(lines), checkpoint_every=2):
                done.append((step, engine.execute(lines[step])))
                if step == stop_at:
                    raise KeyboardInterrupt
        return engine

    with pytest.raises(KeyboardInterrupt):
        attempt(stop_at=4)
    engine = attempt(stop_at=-1)
    assert [step for step, _ in done] == [0, 1, 2, 3, 4, 4, 5, 6, 7]
    assert [reply for _, reply in done] == [expected[step] for step, _ in done]
    assert engine.state_dict() == unbroken.state_dict()
