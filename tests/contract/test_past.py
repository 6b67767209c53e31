"""workflows/past.py: sequences over the log."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import holdfast
from holdfast import InvalidSetting, InvalidValue, KiraEngine, NoSession, UsageError, Workspace
from holdfast.engines.kira import Kira
from holdfast.engines.kira.fields import a_text
from holdfast.storage.reader import LogReader
from holdfast.workflows.past import Logged, text_of
from tests.helpers.programs import Fuse, Tick, assert_goes_on_equal, kill, never, result_of


def logged(run: holdfast.Run | None = None, *, recent: int = 4) -> Logged[str]:
    items: Logged[str] = Logged(
        kind="token",
        belongs=lambda fields: fields.get("source") is not None,
        item_of=text_of,
        record=lambda run, text: run.token(text, source="a"),
        checked=a_text,
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


def test_it_is_gone_over_as_it_is_at_the_beginning(tmp_path: Path) -> None:
    with KiraEngine("s", root=tmp_path, seed=1) as engine:
        made, seen = [engine.emit_token() for _ in range(300)], []
        for token in engine.tokens_emitted:
            seen.append(token)
            engine.emit_token()
        assert seen == made
        begun = iter(engine.tokens_emitted)
        engine.tokens_emitted = ["Φ+|NP0|t4"]
        assert list(islice(begun, 300)) == made


def test_it_is_gone_over_backwards_and_searched_without_asking_for_each_item(tmp_path: Path) -> None:
    with holdfast.session("s", root=tmp_path) as run:
        items, plain = logged(run), [f"t{number % 1000}" for number in range(1_300)]
        items.extend(plain)
        assert list(reversed(items)) == plain[::-1]
        assert items == plain
        assert items != plain[1:]
        assert items != [*plain[:-1], "other"]
        assert (items.index("t7"), items.index("t7", 8), items.index("t999", -301)) == (7, 1007, 999)
        for wanted in (("t7", 8, 1007), ("other",)):
            with pytest.raises(ValueError, match="none of the items"):
                items.index(*wanted)


@pytest.mark.parametrize("policy", ["fork", "supersede"])
def test_after_a_difference_older_items_are_those_of_the_log_that_goes_on(tmp_path: Path, policy: Any) -> None:
    def program(tick: Tick, *, is_changed: bool) -> bool:
        made = []
        with KiraEngine("run", root=tmp_path, seed=3, on_divergence=policy) as engine:
            for step in engine.run.loop(6, checkpoint_every=3):
                for _ in range(300):
                    made.append((len(engine.tokens_emitted), engine.emit_token()))
                engine.tokens_emitted[0], engine.tokens_emitted[len(engine.tokens_emitted) - 70]
                if is_changed and step == 3:
                    engine.move_to(0.99)
                if step == 5:
                    tick()
            return [engine.tokens_emitted[place] for place, _ in made] == [token for _, token in made]

    kill(lambda: program(Fuse(1), is_changed=False))
    assert result_of(lambda: program(never, is_changed=True))


def test_records_of_the_programs_own_are_none_of_the_engines_past(tmp_path: Path) -> None:
    with KiraEngine("s", root=tmp_path, seed=1) as engine:
        engine.run.token("mine", source="emit_token", meta={"a": 1})
        engine.run.emission("Mine.", meta={"past": "mine"})
        tokens = [engine.emit_token(source="my own") for _ in range(100)]
        texts = [engine.cmd_emit(["lens"])["emission"]["text"] for _ in range(20)]
        assert engine.tokens_emitted[:100] == tokens
        assert [emission["text"] for emission in engine.emissions] == texts


LINES = (
    *("/evolve 0.9", "/emit", "/spin", "/ucf:spinner step", "/ucf:spinner run steps=5", "/ucf:spinner tokens"),
    *("/tokens 1000", "/reset", "/tokens 3", "the lens and the pattern", "/state", "/hit_it", "/export", "/tokens 500"),
)


def test_an_engine_in_a_session_answers_as_one_without(tmp_path: Path) -> None:
    plain = Kira(seed=4)
    with KiraEngine("s", root=tmp_path, seed=4) as engine:
        for one in (plain, engine):
            for _ in range(150):
                one.emit_token(source="mine")
        for line in LINES:
            answers = [one.execute(line) for one in (plain, engine)]
            for answer in answers:
                answer["result"].pop("status", None), answer["result"].pop("message", None)
            assert answers[0] == answers[1], line
        assert engine.tokens_emitted == list(plain.tokens_emitted)
        assert engine.emissions == list(plain.emissions)


@pytest.mark.parametrize("save_mode", ["continuous", "batch"])
def test_reading_records_nothing(tmp_path: Path, save_mode: Any) -> None:
    with KiraEngine("s", root=tmp_path, seed=1, save_mode=save_mode) as engine:
        made = [engine.emit_token() for _ in range(130)]
        for place in range(30):
            before = engine.run.watermarks().accepted
            assert engine.tokens_emitted[place] == made[place]
            assert engine.run.watermarks().accepted == before
            engine.run.metric(loss=0.5)


def test_older_items_can_be_read_after_the_end(tmp_path: Path) -> None:
    with KiraEngine("s", root=tmp_path, seed=1, save_mode="batch") as engine:
        made = [engine.emit_token() for _ in range(130)]
    assert list(engine.tokens_emitted) == made
    with pytest.raises(holdfast.SessionClosed):
        engine.tokens_emitted = ["Φ+|NP0|t4"]
    assert engine.tokens_emitted[0] == made[0]


def test_an_older_item_costs_what_is_read_and_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def counted(reader: LogReader, first: int = 1, last: int | None = None) -> Iterator[tuple[int, bytes]]:
        for n, line in original(reader, first, last):
            read.append(n)
            yield n, line

    original = LogReader.read
    monkeypatch.setattr(LogReader, "read", counted)
    with KiraEngine("s", root=tmp_path, seed=1) as engine:
        made = []
        for _ in range(5_000):
            made.append(engine.emit_token())
            engine.run.token("not the engine's")
        assert engine.tokens_emitted[4_000] == made[4_000]
        assert len(read) <= 10_010 + 8_010
        for place in (0, 10, 4_000, 300, 1_000, 3_999):
            read.clear()
            assert engine.tokens_emitted[place] == made[place]
            assert len(read) <= 520
        made += [engine.emit_token() for _ in range(100)]
        read.clear()
        assert engine.tokens_emitted[5] == made[5]
        assert len(read) <= 620


SURROGATE = "\ud800x"


def test_an_item_is_the_same_whether_recent_or_old(tmp_path: Path) -> None:
    def added(engine: Any, *, is_old: bool) -> list[Any]:
        engine.tokens_emitted = [SURROGATE, "Φ"]
        engine.tokens_emitted.append("added")
        engine.emissions = [{"text": SURROGATE, "tokens": [SURROGATE]}]
        engine.emissions.append({"text": "b", "z": 1, "phase": "TRUE", "quality": 2, "tokens": ("Φ",)})
        for _ in range(70 if is_old else 0):
            engine.emit_token()
            engine.cmd_emit(["lens"])
        return [*engine.tokens_emitted[:3], *engine.emissions[:2]]

    with KiraEngine("recent", root=tmp_path) as engine:
        recent = added(engine, is_old=False)
    with KiraEngine("old", root=tmp_path) as engine:
        old = added(engine, is_old=True)
    unknown = {"z": None, "phase": None, "quality": None}
    assert recent == old
    assert recent[:4] == [SURROGATE, "Φ", "added", {"text": SURROGATE, "tokens": [SURROGATE], **unknown}]
    assert recent[4] == {"text": "b", "z": 1.0, "phase": "TRUE", "quality": 2.0, "tokens": ["Φ"]}


def test_nothing_is_recorded_or_cleared_where_one_of_the_items_is_wrong(tmp_path: Path) -> None:
    with KiraEngine("s", root=tmp_path) as engine:
        past: Any = engine
        token = engine.emit_token()
        engine.emissions = [{"text": "Lens."}]
        before = engine.run.watermarks().accepted
        for wrong in ("b", b"b", None, 5):
            for put in (past.tokens_emitted.append, lambda item: setattr(past, "tokens_emitted", ["a", item])):
                if wrong != "b":
                    with pytest.raises(InvalidValue, match=r"token\[1\]: a text belongs here"):
                        put(wrong)
        for items in ("text", b"bytes", {"a": 1}):
            with pytest.raises(InvalidValue, match="a list of them belongs here"):
                past.tokens_emitted = items
        for emission in ({}, {"text": 5}, {"text": "a", "mine": 1}, {"text": "a", "z": 2.0}, "a"):
            for put in (past.emissions.append, lambda item: setattr(past, "emissions", [{"text": "a"}, item])):
                with pytest.raises(InvalidValue, match=r"emission\[1\]"):
                    put(emission)
        assert engine.run.watermarks().accepted == before
        assert list(engine.tokens_emitted) == [token]
        assert [emission["text"] for emission in engine.emissions] == ["Lens."]


def test_emissions_are_handed_out_as_copies(tmp_path: Path) -> None:
    with KiraEngine("s", root=tmp_path) as engine:
        given: dict[str, Any] = {"text": "a", "tokens": ["Φ"]}
        engine.emissions = [given]
        state = engine._saving.emissions.state_dict()
        for emission in (given, engine.emissions[0], next(iter(engine.emissions)), engine.emissions[:1][0], state["recent"][0]):
            emission["text"] = "changed"
            emission["tokens"].append("changed")
        assert (engine.emissions[0]["text"], engine.emissions[0]["tokens"]) == ("a", ["Φ"])


def test_the_past_of_another_session_is_copied(tmp_path: Path) -> None:
    with KiraEngine("a", root=tmp_path, seed=1) as engine, KiraEngine("b", root=tmp_path, seed=2) as other:
        made = [other.emit_token() for _ in range(100)]
        engine.tokens_emitted = other.tokens_emitted
        engine.emit_token()
        assert (len(engine.tokens_emitted), len(other.tokens_emitted)) == (101, 100)
        assert engine.tokens_emitted[:100] == made
        own = engine.tokens_emitted
        engine.tokens_emitted = own
        assert engine.tokens_emitted is own
        assert len(own) == 101


def test_the_state_of_an_engine_in_a_session_can_be_taken_by_one_without(tmp_path: Path) -> None:
    with KiraEngine("s", root=tmp_path) as engine:
        for _ in range(30):
            engine.emit_token()
        plain = Kira()
        plain.load_state_dict(engine.state_dict())
    assert plain.execute("/tokens 5")["result"]["total_emitted"] == 30


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"track": {"kira": Kira()}}, "tracked under that name"),
        ({"config": {"seed": 3}}, "give seed="),
        ({"config": {"k_threshold": 3}}, "give k_threshold="),
        ({"config": 5}, "must be a mapping"),
    ],
)
def test_what_is_the_engines_own_cannot_be_given_as_an_option(tmp_path: Path, options: Any, why: str) -> None:
    with pytest.raises(InvalidSetting, match=f"{why}.*Nothing was created"):
        KiraEngine("s", root=tmp_path, **options)
    assert list(tmp_path.iterdir()) == []
