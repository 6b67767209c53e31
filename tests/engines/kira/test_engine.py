"""The front: how z moves, what is emitted and announced, and in which order."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, overload

import pytest

from holdfast.engines.kira import Kira
from holdfast.engines.kira.constants import PHI_INV, Z_CRITICAL
from holdfast.engines.kira.lattice import LATTICE
from holdfast.engines.kira.tiers import allowed_tokens, phase_at
from holdfast.errors import InvalidSetting, InvalidValue, SessionClosed
from tests.engines.kira.hearing import Hearing, heard_engine


class Foreign(Sequence[Any]):
    """What a session puts in place of a history: a sequence that grows by itself, from what was announced."""

    def __init__(self, hearing: Hearing, kind: str) -> None:
        self.hearing, self.kind = hearing, kind

    def __len__(self) -> int:
        return len(self.hearing.of(self.kind))

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self.hearing.of(self.kind)[index]


@pytest.fixture
def listened() -> tuple[Kira, Hearing]:
    return heard_engine(seed=4)


def test_equal_seeds_make_equal_runs_and_others_do_not() -> None:
    lines = ("/evolve", "/emit", "the lens", "/optimize")
    runs = []
    for seed in (1, 1, 2):
        engine = Kira(seed=seed)
        runs.append([engine.execute(line) for line in lines])
    assert runs[0] == runs[1] != runs[2]


def test_move_to_announces_phase_then_triad_then_k(listened: tuple[Kira, Hearing]) -> None:
    engine, hearing = listened
    engine.state.coherence, engine.state.triad_completions = 0.95, 6
    assert engine.move_to(Z_CRITICAL) == ["★ TRIAD UNLOCKED ★"]
    assert hearing.heard == [
        ("event", "phase_change", {"before": "UNTRUE", "after": "TRUE", "z": Z_CRITICAL}),
        ("event", "triad", {"what": "★ TRIAD UNLOCKED ★", "z": Z_CRITICAL, "completions": 7, "unlocked": True}),
        ("event", "k_formation", {"z": Z_CRITICAL, "k_formed": True, "kappa": 0.95, "eta": 1.0, "R": 7, "threshold": 7}),
    ]


def test_k_is_announced_in_the_very_step_in_which_triad_completes() -> None:
    engine, hearing = heard_engine(k_threshold=3)
    engine.state.coherence = 1.0
    for z in (0.88, 0.8, 0.88, 0.8):
        engine.move_to(z)
    assert hearing.of("k_formation") == []
    engine.move_to(0.88)
    assert [entry["R"] for entry in hearing.of("k_formation")] == [3]


def test_k_is_announced_again_only_after_it_was_lost() -> None:
    engine, hearing = heard_engine(k_threshold=3)
    engine.state.coherence, engine.state.triad_completions = 1.0, 3
    for z in (0.9, 0.91, 0.99, 0.9, 0.9):
        engine.move_to(z)
    assert [entry["z"] for entry in hearing.of("k_formation")] == [0.9, 0.9]


@pytest.mark.parametrize("z", [math.nan, math.inf, -0.1, 1.1, "0.5", None, True])
def test_a_wrong_z_moves_and_announces_nothing(z: Any, listened: tuple[Kira, Hearing]) -> None:
    engine, hearing = listened
    before = engine.state_dict()
    for call in (engine.move_to, engine.evolve_z):
        with pytest.raises(InvalidValue):
            call(z)
    assert engine.state_dict() == before
    assert hearing.heard == []


@pytest.mark.parametrize("steps", [0, -1, 2.0, True, "3"])
def test_steps_are_a_whole_number(steps: Any) -> None:
    with pytest.raises(InvalidValue, match="steps"):
        Kira().evolve_z(0.8, steps)


def test_evolution_goes_in_equal_steps_with_little_noise_and_is_one_transition(listened: tuple[Kira, Hearing]) -> None:
    engine, hearing = listened
    before = engine.state.recorded()
    engine.evolve_z(0.9, 4)
    assert engine.state.z == pytest.approx(0.9, abs=0.02)
    assert engine.state.z != 0.9
    assert hearing.names() == ["phase_change", "phase_change", "triad", "transition"]
    assert hearing.heard[-1] == ("transition", before, engine.state.recorded())
    still = Kira()
    still.evolve_z(0.9, 4, noise=0)
    assert still.state.z == 0.9
    assert still.rng.getstate() == Kira().rng.getstate()


def test_evolution_stays_within_0_and_1_and_coherence_below_1() -> None:
    engine = Kira(seed=1)
    for target in (1.0, 0.0) * 20:
        engine.evolve_z(target)
        assert 0 <= engine.state.z <= 1
    assert engine.state.coherence == 1.0


def test_tokens_are_drawn_evenly_from_the_window_of_the_present_z(listened: tuple[Kira, Hearing]) -> None:
    engine, _ = listened
    for z in (0.05, 0.3, 0.64, 0.7, 0.84, 0.95, 0.99):
        engine.move_to(z)
        drawn = Counter(engine.emit_token() for _ in range(2_000))
        allowed = allowed_tokens(phase_at(z), engine.state.tier_index)
        assert set(drawn) == set(allowed)
        assert min(drawn.values()) > 0.5 * 2_000 / len(allowed)


def test_the_window_follows_the_unlocking_and_a_z_that_was_assigned() -> None:
    engine = Kira()
    engine.move_to(0.84)
    assert engine.emit_token().endswith("|t6")
    engine.state.triad_unlocked = True
    assert engine.emit_token().endswith("|t7")
    engine.state.z = 0.05
    assert engine.emit_token().startswith("Φ+|NP")


def test_a_token_is_announced_with_where_it_was_emitted(listened: tuple[Kira, Hearing]) -> None:
    engine, hearing = listened
    first, second = engine.emit_token(), engine.emit_token("mine")
    assert hearing.heard == [
        ("token", first, {"z": 0.5, "phase": "UNTRUE", "tier": 4, "source": "emit_token"}),
        ("token", second, {"z": 0.5, "phase": "UNTRUE", "tier": 4, "source": "mine"}),
    ]
    assert list(engine.tokens_emitted) == [first, second]


def test_an_emission_is_announced_after_the_tokens_of_its_words(listened: tuple[Kira, Hearing]) -> None:
    engine, hearing = listened
    engine.move_to(0.9)
    hearing.clear()
    answer = engine.compose(["lens", "pattern"])
    emission = answer["emission"]
    words = emission["text"].split()
    assert hearing.names() == ["token"] * len(words) + ["emission"]
    assert hearing.of("token") == emission["tokens"] == list(engine.tokens_emitted)
    validation = answer["stages"]["9_validation"]
    assert hearing.heard[-1] == (
        "emission",
        emission["text"],
        {
            **{name: emission[name] for name in ("tokens", "z", "phase", "quality")},
            "meta": {"valid": True, "coherence": validation["coherence"]},
        },
    )
    assert list(engine.emissions) == [emission]


def test_an_emission_fills_all_nine_stages() -> None:
    engine = Kira(seed=2)
    for z in (0.3, 0.7, 0.9):
        engine.move_to(z)
        stages = engine.compose()["stages"]
        assert [name.partition("_")[0] for name in stages] == list("123456789")
        assert stages["8_punctuation"] == engine.emissions[-1]["text"]
        assert stages["9_validation"]["passed"] == (stages["9_validation"]["quality"] > PHI_INV)
        assert stages["2_emergence"]["bypassed"] == (z == 0.3) == (stages["4_slots"] == [])


def test_concepts_without_a_verb_fill_the_frame_of_z_and_with_one_stand_as_they_are() -> None:
    engine = Kira(seed=2)
    engine.move_to(0.9)
    framed = engine.compose(["lens", "pattern"])
    assert framed["stages"]["3_frame"] == "SUBJ VERB PREP OBJ"
    assert [slot["slot"] for slot in framed["stages"]["4_slots"]] == ["SUBJ", "VERB", "PREP", "OBJ"]
    generator = engine.rng.getstate()
    own = engine.compose(["pattern", "emerge", "consciousness"])
    assert own["stages"]["3_frame"] == "SUBJ VERB OBJ"
    assert own["emission"]["text"] == "The pattern emerges the consciousness."
    assert generator != engine.rng.getstate()  # for the tokens of its words
    led = engine.compose(["transform", "lens"])  # a verb in front is the subject
    assert [slot["slot"] for slot in led["stages"]["4_slots"]] == ["SUBJ", "VERB", "PREP", "OBJ"]
    alone = engine.compose(["zither"])
    assert [slot["slot"] for slot in alone["stages"]["4_slots"]] == ["SUBJ", "VERB"]


def test_a_composition_can_be_worded() -> None:
    engine = Kira()
    engine.move_to(0.9)
    asked = engine.compose(["pattern", "emerge"], intent="question", tense="past")
    assert asked["emission"]["text"] == "Did the pattern emerge?"
    with pytest.raises(InvalidValue, match="intent"):
        engine.compose(["pattern"], intent="shout")


def test_the_lattice_is_given_anew_and_changes_nothing(listened: tuple[Kira, Hearing]) -> None:
    engine, hearing = listened
    before = engine.state_dict()
    engine.generate_spinner_tokens().clear()
    assert engine.generate_spinner_tokens() == list(LATTICE)
    assert engine.state_dict() == before
    assert hearing.heard == []


def test_the_tier_is_told_with_what_it_allows() -> None:
    name, allows = Kira().get_tier()
    assert name == "t4"
    assert allows == {"index": 4, "from_z": 0.45, "operators": ["+", "()", "^", "−"], "label": "PARADOX"}


def test_histories_count_all_and_keep_a_thousand() -> None:
    engine = Kira()
    tokens = [engine.emit_token() for _ in range(1_200)]
    assert len(engine.tokens_emitted) == 1_200
    assert list(engine.tokens_emitted) == tokens[200:]
    assert engine.tokens_emitted[-1] == tokens[-1]


def test_a_list_can_be_put_in_place_of_a_history() -> None:
    engine = Kira()
    engine.tokens_emitted = ["Φ+|NP0|t4"]
    engine.emissions = [{"text": "Lens.", "z": 0.5, "phase": "UNTRUE", "tokens": [], "quality": 0.0}]
    token = engine.emit_token()
    assert list(engine.tokens_emitted) == ["Φ+|NP0|t4", token]
    assert len(engine.emissions) == 1
    with pytest.raises(InvalidValue, match=r"tokens_emitted\[1\]"):
        engine.tokens_emitted = ["Φ+|NP0|t4", 3]  # type: ignore[list-item]
    with pytest.raises(InvalidValue, match=r"emissions\[0\]"):
        engine.emissions = ["Lens."]  # type: ignore[list-item]
    assert list(engine.tokens_emitted) == ["Φ+|NP0|t4", token]


def test_an_emission_that_is_assigned_has_a_text_and_only_what_an_emission_has() -> None:
    engine = Kira()
    given = {"text": "Lens.", "z": 1, "tokens": ["Φ+|NP0|t4"]}
    engine.emissions = [given]
    kept = {"text": "Lens.", "z": 1.0, "phase": None, "tokens": ["Φ+|NP0|t4"], "quality": None}
    given["tokens"] = "changed"
    assert list(engine.emissions) == [kept]
    restored = Kira()
    restored.load_state_dict(engine.state_dict())
    assert list(restored.emissions) == [kept]
    for wrong, field in (
        ({}, "text"),
        ({"text": 5}, "text"),
        ({"text": "a", "mine": 1}, "mine"),
        ({"text": "a", "z": 1.5}, "z"),
        ({"text": "a", "quality": 10**400}, "quality"),
        ({"text": "a", "quality": float("nan")}, "quality"),
        ({"text": "a", "tokens": [1]}, r"tokens\[0\]"),
        ({"text": "a", "phase": "\ud800"}, "phase"),
    ):
        with pytest.raises(InvalidValue, match=rf"emissions\[1\]\.{field}: .*Nothing was changed"):
            engine.emissions = [{"text": "Lens."}, wrong]
    assert list(engine.emissions) == [kept]


def test_the_history_of_another_engine_is_copied() -> None:
    engine, other = Kira(seed=1), Kira(seed=2)
    for _ in range(1_100):
        other.emit_token()
    engine.tokens_emitted = other.tokens_emitted
    engine.emit_token()
    assert (len(engine.tokens_emitted), len(other.tokens_emitted)) == (1_101, 1_100)
    assert engine.tokens_emitted[1_099] == other.tokens_emitted[1_099]
    with pytest.raises(InvalidValue, match="a list belongs here, and str came"):
        engine.tokens_emitted = "Φ+|NP0|t4"


def test_a_sessions_sequence_grows_by_what_is_announced_and_is_not_stored() -> None:
    engine, hearing = heard_engine()
    engine.tokens_emitted, engine.emissions = Foreign(hearing, "token"), Foreign(hearing, "emission")
    engine.execute("/emit")
    engine.emit_token()
    assert list(engine.tokens_emitted) == hearing.of("token")
    assert engine.cmd_tokens(2)["total_emitted"] == len(hearing.of("token"))
    state = engine.state_dict()
    assert state["tokens"] == {"count": len(hearing.of("token")), "kept": []}
    assert state["emissions"] == {"count": 1, "kept": []}
    tokens = engine.tokens_emitted
    engine.load_state_dict(state)
    assert engine.tokens_emitted is tokens
    plain = Kira()
    plain.load_state_dict(state)
    assert (len(plain.tokens_emitted), list(plain.tokens_emitted)) == (state["tokens"]["count"], [])
    shown = plain.execute("/tokens 5")["result"]
    assert (shown["total_emitted"], shown["tokens"]) == (state["tokens"]["count"], [])


class Closed(Hearing):
    """A listener whose session has ended."""

    def token(self, text: str, /, **rest: Any) -> None:
        raise SessionClosed("the session is closed")


@pytest.mark.parametrize("line", ["/emit", "/spin", "the lens", "/journey"])
def test_what_a_listener_raises_is_not_taken_for_a_refusal(line: str) -> None:
    with pytest.raises(SessionClosed):
        Kira(listener=Closed()).execute(line)


@pytest.mark.parametrize("seed", [1.5, "7", None, True])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(InvalidValue, match="seed"):
        Kira(seed=seed)


def test_another_threshold_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="k_threshold"):
        Kira(k_threshold=4)
