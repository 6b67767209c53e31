"""workflows/past.py: sequences over the log."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import holdfast
from holdfast import KiraEngine, NoSession, UsageError, Workspace
from holdfast.engines.kira import Kira
from holdfast.workflows.past import Logged, text_of
from tests.helpers.programs import Fuse, Tick, assert_goes_on_equal, kill, never, result_of


def logged(run: holdfast.Run | None = None, *, recent: int = 4) -> Logged[str]:
    items: Logged[str] = Logged(
        belongs=lambda fields: fields["kind"] == "token" and fields.get("source") is not None,
        item_of=text_of,
        record=lambda run, text: run.token(text, source="a"),
        recent=recent,
    )
    items.run = run
    return items


@pytest.mark.parametrize("save_mode", ["continuous", "batch"])
def test_it_is_the_list_of_what_was_appended(tmp_path: Path, save_mode: Any) -> None:
    with holdfast.session("s", root=tmp_path, save_mode=save_mode) as run:
        items, plain = logged(run), list[str]()
        for number in range(3000):
            items.append(f"t{number}")
            plain.append(f"t{number}")
            run.token("not one of them")
            if number in (0, 3, 4, 700):
                assert list(items) == plain
        for index in (0, 1, 511, 512, 513, 1500, 2999, -1, -4, -5, -3000):
            assert items[index] == plain[index]
        assert items[1000:1010] == plain[1000:1010]
        assert items[2990:] == plain[2990:]
        assert items[::-700] == plain[::-700]
        assert items[5:5] == []
        assert "t2500" in items
        assert items.index("t600") == 600
        for index in (3000, -3001):
            with pytest.raises(IndexError, match="3000 items were recorded"):
                items[index]


@settings(max_examples=25)
@given(st.lists(st.one_of(st.integers(0, 40), st.tuples(st.just("assign"), st.integers(0, 6))), max_size=12), st.data())
def test_it_agrees_with_a_list_through_assignments(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any], data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("past")
    with holdfast.session("s", root=root) as run:
        items, plain, made = logged(run), list[str](), 0
        for step in steps:
            if isinstance(step, tuple):
                plain = [f"n{made + number}" for number in range(step[1])]
                made += step[1]
                items.assign(plain)
            else:
                for _ in range(step):
                    items.append(f"n{made}")
                    plain.append(f"n{made}")
                    made += 1
        assert list(items) == plain
        bounds = st.one_of(st.none(), st.integers(-60, 60))
        wanted = slice(data.draw(bounds), data.draw(bounds), data.draw(st.sampled_from([None, 1, 2, -1, -3])))
        assert items[wanted] == plain[wanted]


def test_what_was_recorded_cannot_be_changed(tmp_path: Path) -> None:
    with holdfast.session("s", root=tmp_path) as run:
        items = logged(run)
        items.append("a")
        with pytest.raises(UsageError, match="nothing was"):
            items.insert(0, "b")
        with pytest.raises(UsageError, match="nothing was"):
            items[0] = "b"
        with pytest.raises(UsageError, match="nothing was"):
            del items[0]
        with pytest.raises(UsageError, match="nothing was"):
            items.pop()
        assert list(items) == ["a"]


def test_without_a_session_there_is_nothing_to_append_to() -> None:
    items = logged()
    assert len(items) == 0
    with pytest.raises(NoSession):
        items.append("a")
    assert len(items) == 0


def test_its_state_is_small_and_comes_back(tmp_path: Path) -> None:
    with holdfast.session("s", root=tmp_path) as run:
        items = logged(run)
        for number in range(100):
            items.append(f"t{number}")
        state = items.state_dict()
        assert state == {"count": 100, "skipped": 0, "recent": ["t96", "t97", "t98", "t99"]}
        again = logged(run)
        again.load_state_dict(state)
        assert list(again) == list(items)
        assert again[3] == "t3"


def talking(root: Path, tick: Tick) -> Any:
    """An engine in steps that looks at its own past, older than what its checkpoints hold."""
    engine = KiraEngine("run", root=root, seed=5)

    def stage(number: int) -> Any:
        for _ in range(60):
            engine.emit_token()
        tick()
        if number == 2:
            engine.tokens_emitted = ["Φ+|NP0|t4", "e−|VP0|t4"]
        engine.cmd_emit(["pattern"])
        tick()
        return [len(engine.tokens_emitted), engine.tokens_emitted[0], engine.emissions[0]["text"]]

    with engine:
        found = [engine.run.step("stage", stage, number) for number in range(4)]
    return found


@pytest.mark.parametrize("kills", [[1], [2], [3], [5], [6], [8], [2, 2, 2]])
def test_an_engine_that_is_killed_has_the_same_past(tmp_path: Path, kills: list[int]) -> None:
    assert_goes_on_equal(talking, tmp_path, kills)


def test_an_engine_that_is_run_again_sees_its_past(tmp_path: Path) -> None:
    kill(lambda: talking(tmp_path, Fuse(5)))
    found = result_of(lambda: talking(tmp_path, never))
    tokens = [record["token"] for record in Workspace(tmp_path).records("run") if record["kind"] == "token"]
    assert found[0][1] == tokens[0]
    assert found[3][1] == "Φ+|NP0|t4"


def test_what_is_recorded_past_the_engine_is_none_of_its_past(tmp_path: Path) -> None:
    with KiraEngine("s", root=tmp_path, seed=1) as engine:
        for _ in range(100):
            engine.emit_token()
            engine.run.token("not the engine's")
        engine.generate_spinner_tokens()
        assert len(engine.tokens_emitted) == 100
        assert "not the engine's" not in list(engine.tokens_emitted)
        assert len(set(engine.tokens_emitted[:30])) > 1


def test_a_reset_clears_a_past_that_a_session_holds_as_it_clears_any(tmp_path: Path) -> None:
    plain = Kira(seed=1)
    with KiraEngine("s", root=tmp_path, seed=1) as engine:
        for one in (plain, engine):
            for line in ("/evolve 0.7", "/emit pattern", "/reset"):
                answer = one.execute(line)
            assert answer["result"]["cleared"]["tokens"] > 0
            assert len(one.tokens_emitted) == len(one.emissions) == 0
            assert one.execute("/tokens")["result"]["total_emitted"] == 0
            one.emit_token()
            assert len(one.tokens_emitted) == 1
        assert engine.tokens_emitted[0] == plain.tokens_emitted[0]
