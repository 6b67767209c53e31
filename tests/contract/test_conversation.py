"""A conversation is recorded line by line: left or killed anywhere, it goes on as if it had never stopped."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.engines.kira import Kira
from tests.helpers.programs import (
    Tick,
    canonical,
    die,
    digest,
    everything,
    kill,
    run_through_kills,
    superseded,
)
from tests.helpers.talking import Scripted

LINES = [
    "/evolve 0.88",
    "the lens holds a pattern",
    "/emit consciousness,pattern",
    "/evolve abc",
    "/evolve 0.8",
    "/ucf:logger",
    "",
]


def talk(root: Path, partner: Scripted, **options: Any) -> Scripted:
    settings = {name: options.pop(name) for name in ("seed", "k_threshold") if name in options}
    holdfast.converse(partial(holdfast.session, "run", root=root, **options), partner, **settings)
    return partner


def ticking(root: Path, tick: Tick) -> Any:
    """The program that is killed: at any of its records, and before and behind each line and reply."""

    @contextmanager
    def session(**options: Any) -> Iterator[holdfast.Run]:
        with holdfast.session("run", root=root, **options) as run:
            run.on("*", lambda record, replayed: tick())
            yield run

    class Ticking(Scripted):
        def ask(self, state: Mapping[str, Any]) -> str | None:
            tick()
            return super().ask(state)

        def answer(self, reply: Mapping[str, Any]) -> None:
            tick()
            super().answer(reply)

    partner = Ticking(LINES)
    holdfast.converse(session, partner)
    return partner.facts["lines"], [(reply["number"], reply["line"]) for reply in partner.replies]


def test_a_conversation_that_is_left_and_taken_up_again_is_the_one_that_was_not(tmp_path: Path) -> None:
    whole = talk(tmp_path / "whole", Scripted(LINES))
    replies = []
    for until in (0, 1, 4, 4, None):
        replies += talk(tmp_path / "parts", Scripted(LINES, until=until)).replies
    assert replies == whole.replies
    assert [reply["number"] for reply in replies] == [1, 2, 3, 4, 5, 6, 7]
    assert digest(tmp_path / "parts") == digest(tmp_path / "whole")
    assert holdfast.Workspace(tmp_path / "parts").session("run").status == "interrupted"


def test_a_conversation_killed_at_any_record_line_or_reply_ends_as_one_that_is_not(tmp_path: Path) -> None:
    ticks = 0

    def counting() -> None:
        nonlocal ticks
        ticks += 1

    ticking(tmp_path / "whole", counting)
    whole, state = digest(tmp_path / "whole"), canonical(tmp_path / "whole")
    assert ticks > 4 * len(LINES)
    for nth in range(1, ticks, 3):
        root = tmp_path / f"killed{nth}"
        run_through_kills(ticking, root, [nth, 1 + nth % 5] if nth < ticks - 10 else [nth])
        assert (digest(root), canonical(root), superseded(root)) == (whole, state, [])


def test_a_line_that_was_recorded_and_not_answered_is_answered_first(tmp_path: Path) -> None:
    @contextmanager
    def dying(**options: Any) -> Iterator[holdfast.Run]:
        with holdfast.session("run", root=tmp_path, **options) as run:
            run.on("transition", lambda record, replayed: die())
            yield run

    kill(lambda: holdfast.converse(dying, Scripted(LINES)))
    again = talk(tmp_path, Scripted(LINES, until=2))
    assert (again.facts["lines"], again.facts["owed"]) == (1, True)
    assert [(reply["number"], reply["line"], reply["replayed"]) for reply in again.replies] == [
        (1, LINES[0], True),
        (2, LINES[1], False),
    ]


@pytest.mark.parametrize("save_mode", ["continuous", "batch", "checkpoint"])
def test_what_was_answered_survives_a_kill_in_every_mode(tmp_path: Path, save_mode: str) -> None:
    class Dying(Scripted):
        def answer(self, reply: Mapping[str, Any]) -> None:
            if reply["number"] == 3:
                die()

    kill(lambda: talk(tmp_path, Dying(LINES), save_mode=save_mode))
    again = talk(tmp_path, Scripted(LINES), save_mode=save_mode)
    assert (again.facts["lines"], again.facts["owed"]) == (3, True)
    talk(tmp_path / "whole", Scripted(LINES))
    assert digest(tmp_path) == digest(tmp_path / "whole")


def test_what_ask_raises_ends_the_conversation_and_is_recorded_nowhere(tmp_path: Path) -> None:
    class Stopping(Scripted):
        def ask(self, state: Mapping[str, Any]) -> str | None:
            if self.replies:
                raise holdfast.Interrupted("SIGTERM")
            return super().ask(state)

    with pytest.raises(holdfast.Interrupted):
        talk(tmp_path, Stopping(LINES))
    info = holdfast.Workspace(tmp_path).session("run")
    assert (info.status, info.reason) == ("interrupted", "SIGTERM")
    assert [fields["value"] for fields in canonical(tmp_path) if fields["kind"] == "once"] == LINES[:1]


@pytest.mark.parametrize("word", ["/exit", " /quit ", "/EXIT"])
def test_a_line_that_leaves_is_recorded_nowhere(tmp_path: Path, word: str) -> None:
    assert len(talk(tmp_path, Scripted(["/state", word, "/state"])).replies) == 1
    assert [fields["value"] for fields in canonical(tmp_path) if fields["kind"] == "once"] == ["/state"]


@pytest.mark.parametrize("line", ["x" * 16_001, "/evolve " + "1" * 1_000_000, "a\udcffb"])
def test_a_line_that_is_not_run_is_answered_and_changes_nothing(tmp_path: Path, line: str) -> None:
    for _ in range(2):
        partner = talk(tmp_path, Scripted(["/evolve 0.88", line, "/state"]))
    refused, stands = talk(tmp_path / "other", Scripted(["/evolve 0.88", line, "/state"])).replies[1:]
    assert (refused["type"], "Nothing was changed" in refused["result"]["error"]) == ("error", True)
    assert len(refused["line"]) <= 16_001
    assert stands["state"] == refused["state"]
    assert (partner.facts["lines"], partner.facts["owed"]) == (3, False)


def test_16000_characters_are_said(tmp_path: Path) -> None:
    (reply,) = talk(tmp_path, Scripted(["ä" * 16_000])).replies
    assert reply["type"] == "dialogue"


def test_a_fault_of_the_engine_is_answered_and_undone_so_that_no_line_blocks_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = Kira.execute

    def failing(engine: Kira, line: str) -> dict[str, Any]:
        if line == "boom":
            engine.move_to(0.95)
            raise ZeroDivisionError("division by zero")
        return execute(engine, line)

    monkeypatch.setattr(Kira, "execute", failing)
    before, fault, after = talk(tmp_path, Scripted(["/evolve 0.88", "boom", "/state"])).replies
    assert "ZeroDivisionError: division by zero" in fault["result"]["error"]
    assert before["state"] == fault["state"] == after["state"]
    (recorded,) = (fields for fields in canonical(tmp_path) if fields["kind"] == "module" and fields.get("status") == "error")
    assert recorded["result"]["result"] == fault["result"]


def test_what_ends_the_run_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(engine: Kira, line: str) -> dict[str, Any]:
        raise holdfast.DiskFull("log", "no space")

    monkeypatch.setattr(Kira, "execute", full)
    with pytest.raises(holdfast.DiskFull):
        talk(tmp_path, Scripted(LINES))
    monkeypatch.undo()
    assert talk(tmp_path, Scripted(LINES)).replies[0]["replayed"]


@pytest.mark.parametrize("settings", [{"seed": 8}, {"k_threshold": 3}])
def test_other_settings_are_refused(tmp_path: Path, settings: dict[str, int]) -> None:
    talk(tmp_path, Scripted(LINES, until=1), seed=7)
    recorded = everything(tmp_path)
    with pytest.raises(holdfast.SettingsDiffer):
        talk(tmp_path, Scripted(LINES), **({"seed": 7} | settings))
    assert everything(tmp_path) == recorded
    with pytest.raises(holdfast.InvalidSetting):
        talk(tmp_path / "other", Scripted(LINES), k_threshold=5)
    assert not (tmp_path / "other").exists()


def test_the_names_are_all_that_a_line_may_begin_with(tmp_path: Path) -> None:
    names = list(talk(tmp_path, Scripted(["/state"])).facts["names"])
    assert {"/evolve", "/hit", "/exit", "/ucf:helix", "/ucf:helix_loader", "/ucf:phase7", "/ucf:help"} <= set(names)
    assert len(names) == len(set(names))
    replies = talk(tmp_path, Scripted(["/state", *(name for name in names if name not in ("/exit", "/quit"))])).replies
    assert [reply["line"] for reply in replies if "no command" in reply["result"].get("error", "")] == []
    assert [reply["line"] for reply in replies if "no such command" in reply["result"].get("error", "")] == []
