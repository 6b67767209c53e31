"""Commands: what each answers, what it changes, and what it says to what it does not understand."""

from typing import Any

import pytest

from holdfast.engines.kira import Kira
from holdfast.engines.kira.constants import Z_CRITICAL
from holdfast.engines.kira.lattice import LATTICE
from holdfast.engines.kira.prompt import COMMANDS
from holdfast.errors import InvalidValue
from tests.engines.kira.hearing import heard_engine

FIELDS = {
    "/state": "state k_formation turn_count tokens_emitted emissions tier",
    "/train": "stats z lr_multiplier recent_events",
    "/evolve": "z_before z_after target events coordinate phase k_formation",
    "/optimize": "target_z events coordinate learning_rate message k_formation",
    "/grammar the lens": "input analysis apl_sequence tier phase z_estimate",
    "/coherence": "contexts_analyzed base_coherence z_weighted_coherence h1_obstruction phase crystal",
    "/emit": "stages emission tier operators_available",
    "/tokens": "total_emitted showing tokens current_tier available_operators",
    "/triad": "unlocked completions required above_band thresholds current_z t6_gate events",
    "/spin": "status total_tokens sample formula tokens message",
    "/nuclear": "status total_tokens sample formula tokens message",
    "/consciousness_journey": "status summary layers journey_log semantic_evolution journey_file message hint",
    "/reset": "z_before z_after cleared",
    "/save": "status counts message",
    "/export": "status counts spin_tokens message",
    "/help": "text commands",
}


@pytest.mark.parametrize(("line", "fields"), FIELDS.items())
def test_a_command_replies_with_its_fields_and_the_state(line: str, fields: str) -> None:
    engine = Kira()
    reply = engine.execute(line)
    assert list(reply) == ["type", "result", "state"]
    assert reply["type"] == "command"
    assert list(reply["result"]) == ["command", *fields.split()]
    assert reply["state"] == {**engine.state.to_dict(), "k_threshold": 7}


def test_plain_text_is_a_turn_of_conversation() -> None:
    reply = Kira().execute("what is the lens?")
    assert reply["type"] == "dialogue"
    assert list(reply["result"]) == ["response", "metadata"]


def test_the_method_and_the_line_of_a_command_do_the_same() -> None:
    pairs: list[tuple[str, Any]] = [
        ("/evolve 0.7", lambda engine: engine.cmd_evolve(0.7)),
        ("/emit lens, pattern", lambda engine: engine.cmd_emit(["lens", "pattern"])),
        ("/optimize", Kira.cmd_optimize),
        ("  the lens  ", lambda engine: engine.cmd_dialogue("the lens")),
        ("/TOKENS   3", lambda engine: engine.cmd_tokens(3)),
        ("/journey", Kira.cmd_consciousness_journey),
        ("/grammar\tthe lens", lambda engine: engine.cmd_grammar("the lens")),
        ("/coherence alpha beta; beta", lambda engine: engine.cmd_coherence(["alpha beta", "beta"])),
        ("/train", Kira.cmd_train),
        ("/state", Kira.cmd_state),
        ("/triad", Kira.cmd_triad),
        ("/spin", Kira.cmd_spin),
        ("/save", Kira.cmd_save),
        ("/export", Kira.cmd_export),
        ("/help", lambda engine: engine.cmd_help()),
        ("/reset", Kira.cmd_reset),
    ]
    typed, called = Kira(seed=5), Kira(seed=5)
    for line, method in pairs:
        assert typed.execute(line)["result"] == method(called)
        assert typed.state_dict() == called.state_dict()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("/evolve abc", "target: 'abc' is no number from 0 to 1. Nothing was changed. An example: /evolve 0.88"),
        ("/evolve nan", "nan is not a number from 0 to 1"),
        ("/evolve 1.2", "1.2 is not a number from 0 to 1"),
        ("/evolve 0.5 0.6", "'0.5 0.6' is no number"),
        ("/emit lens,,pattern", "concepts[1]: a word of 1 to 64 letters"),
        ("/emit " + "x" * 65, "concepts[0]"),
        ("/tokens none", "count: 'none' is no whole number"),
        ("/tokens 0", "count: 0 is no whole number"),
        ("/tokens -3", "count: '-3' is no whole number"),
        ("/grammar", "there is no word"),
        ("/state now", "/state takes nothing after it"),
        ("/evolv", "/evolv is no command. Nothing was changed; did you mean /evolve"),
        ("/xyzzy", "/help lists the commands"),
        ("/", "/ is no command"),
        ("/read notes.txt", "not offered here: an engine opens no files"),
        ("/claude what now", "not offered here: an engine reaches no other service"),
        ("/training", "not offered here: an engine starts no remote workflow"),
        ("/training:poll 7", "not offered here: there is no remote workflow"),
        ("", "something to answer belongs here"),
        ("   ", "something to answer belongs here"),
    ],
)
def test_what_is_refused_is_an_answer_and_changes_and_announces_nothing(line: str, says: str) -> None:
    engine, hearing = heard_engine()
    engine.execute("/emit")
    hearing.clear()
    before = engine.state_dict()
    reply = engine.execute(line)
    assert reply["type"] == "error"
    assert list(reply["result"]) == ["command", "error"]
    assert says in reply["result"]["error"]
    assert engine.state_dict() == before
    assert hearing.heard == []


@pytest.mark.parametrize(
    "call",
    [
        lambda engine: engine.cmd_evolve([0.5]),
        lambda engine: engine.cmd_emit("lens"),
        lambda engine: engine.cmd_emit([]),
        lambda engine: engine.cmd_emit([3]),
        lambda engine: engine.cmd_tokens(2.5),
        lambda engine: engine.cmd_tokens(True),
        lambda engine: engine.cmd_coherence("lens"),
        lambda engine: engine.cmd_coherence(["lens", 3]),
        lambda engine: engine.cmd_grammar(3),
        lambda engine: engine.cmd_dialogue(None),
    ],
)
def test_a_wrong_argument_of_a_method_is_answered_too(call: Any) -> None:
    engine = Kira()
    before = engine.state_dict()
    assert "Nothing was changed." in call(engine)["error"]
    assert engine.state_dict() == before


def test_a_line_that_is_no_text_is_an_error_of_the_caller() -> None:
    with pytest.raises(InvalidValue, match="line"):
        Kira().execute(None)  # type: ignore[arg-type]


def test_every_command_stands_in_the_help_with_its_names() -> None:
    text = Kira().cmd_help()["text"]
    assert all(name in text for command in COMMANDS for name in command.names)
    names = [name for command in COMMANDS for name in command.names]
    assert len(names) == len(set(names))


def test_optimize_stays_between_the_lens_and_0_95_from_wherever_it_starts() -> None:
    engine = Kira(seed=1)
    for start in (0.1, 0.9, 0.97, 1.0):
        engine.move_to(start)
        target = engine.cmd_optimize()["target_z"]
        assert max(Z_CRITICAL, start if start <= 0.95 else 0) <= target <= 0.95
    assert engine.cmd_optimize()["learning_rate"] == pytest.approx(
        0.1 * (1 + engine.state.z) * (1 + 0.5 * engine.state.coherence)
    )


def test_a_spin_makes_the_lattice_and_emits_its_first_twelve() -> None:
    engine, hearing = heard_engine()
    assert engine.last_spin_tokens == []
    answer = engine.cmd_spin()
    assert answer["tokens"] == engine.last_spin_tokens == list(LATTICE)
    assert (answer["total_tokens"], answer["sample"]) == (972, list(LATTICE[:6]))
    assert list(engine.tokens_emitted) == hearing.of("token") == list(LATTICE[:12])
    assert {rest["source"] for _, _, rest in hearing.heard} == {"spin"}


def test_tokens_are_shown_with_their_meanings_and_none_is_made() -> None:
    engine = Kira()
    engine.cmd_spin()
    engine.emit_token()
    before = engine.state_dict()
    answer = engine.cmd_tokens(2)
    lattice, slot = answer["tokens"]
    assert (answer["total_emitted"], answer["showing"]) == (13, 2)
    assert (lattice["spiral_meaning"], lattice["operator_meaning"], lattice["slot"], lattice["tier"]) == (
        "Structure",
        "Boundary",
        None,
        None,
    )
    assert (slot["token"], slot["tier"]) == (engine.tokens_emitted[-1], "t4")
    assert slot["token"].split("|")[1] == slot["slot"]
    assert engine.cmd_tokens(5_000)["showing"] == 13
    assert engine.state_dict() == before


def test_tokens_shows_no_more_than_are_kept() -> None:
    engine = Kira()
    for _ in range(1_500):
        engine.emit_token()
    answer = engine.cmd_tokens(1_400)
    assert (answer["total_emitted"], answer["showing"]) == (1_500, 1_000)


def test_saving_says_whether_someone_listens() -> None:
    engine, _ = heard_engine()
    assert engine.cmd_save()["status"] == engine.cmd_export()["status"] == "announced_as_it_happens"
    assert Kira().cmd_save()["status"] == Kira().cmd_export("x")["status"] == "no_listener"


def test_a_reset_clears_all_history_and_goes_on_with_the_generator() -> None:
    engine, hearing = heard_engine(seed=3, k_threshold=3)
    for line in ("/journey", "the lens", "/spin", "/emit"):
        engine.execute(line)
    tokens, generator, before = len(engine.tokens_emitted), engine.rng.getstate(), engine.state.recorded()
    hearing.clear()
    answer = engine.cmd_reset()
    assert answer["cleared"]["tokens"] == tokens > 12
    fresh = Kira(k_threshold=3)
    fresh.rng.setstate(generator)
    assert engine.state_dict() == fresh.state_dict()
    assert hearing.names() == ["reset", "transition"]
    assert hearing.heard[1] == ("transition", before, fresh.state.recorded())


def test_the_journey_walks_seven_layers_with_an_emission_in_each() -> None:
    engine, hearing = heard_engine(seed=2)
    answer = engine.cmd_consciousness_journey()
    assert list(answer["layers"]) == [f"layer_{number}" for number in range(1, 8)]
    assert [layer["emission"]["text"] for layer in answer["layers"].values()] == hearing.of("emission")
    assert answer["summary"]["final_state"] == engine.state.recorded()
    assert hearing.of("journey") == [{"z": engine.state.z, **engine.state.k_formation()}]
    assert answer["layers"]["layer_4"]["final_state"]["z"] == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("threshold", [3, 7])
def test_k_is_formed_by_typed_commands_under_both_thresholds(threshold: int) -> None:
    engine, hearing = heard_engine(seed=7, k_threshold=threshold)
    formed = []
    for _ in range(8):
        for line in ("/evolve 0.88", "/evolve 0.80"):
            formed.append(engine.execute(line)["result"]["k_formation"])
    first = next(index for index, entry in enumerate(formed) if entry["k_formed"])
    assert first == 2 * (threshold - 1)
    assert formed[first]["R"] == formed[first]["threshold"] == threshold
    assert len(hearing.of("k_formation")) == 1
    assert hearing.of("k_formation")[0]["R"] == threshold
