"""Grammar, syntax, coherence and turns of conversation."""

from typing import Any

import pytest

from holdfast.engines.kira import Kira
from holdfast.engines.kira.coherence import analyse as shared_words
from holdfast.engines.kira.dialogue import KEPT_CHARACTERS, MOST_WORDS, depth_of
from holdfast.engines.kira.grammar import analyse, part_of_speech
from holdfast.engines.kira.state import State
from holdfast.engines.kira.syntax import MOST_OPERATORS, PATTERNS, operators_of, patterns_at, sentence_tokens, z_of_length
from holdfast.errors import InvalidValue
from holdfast.tokens import SlotToken, parse
from tests.engines.kira.hearing import heard_engine


def test_no_pattern_is_longer_than_its_tier_allows() -> None:
    lengths = [max(len(operators_of(pattern)) for pattern in tier) for tier in PATTERNS]
    assert all(length <= most for length, most in zip(lengths, MOST_OPERATORS, strict=True))
    assert lengths[-1] == MOST_OPERATORS[-1]


@pytest.mark.parametrize("z", [0.0, 0.3, 0.5, 0.65, 0.75, 0.81, 0.85, 0.9, 0.97])
def test_a_pattern_is_written_as_slot_tokens_counted_by_kind(z: float) -> None:
    for pattern in patterns_at(z):
        tokens = [parse(text) for text in sentence_tokens(pattern, z)]
        assert [token.operator for token in tokens if isinstance(token, SlotToken)] == operators_of(pattern)
        assert all(isinstance(token, SlotToken) and token.is_gated for token in tokens)
        assert len(set(tokens)) == len(tokens)


def test_a_pattern_with_aliases_is_the_same() -> None:
    assert operators_of("()^+-%") == ["()", "^", "+", "−", "÷"]
    for wrong in ("", "+x", "(+)", "()("):
        with pytest.raises(InvalidValue, match="row of operators"):
            operators_of(wrong)


def test_the_z_of_a_length_is_where_its_tier_begins() -> None:
    assert [z_of_length(count) for count in (0, 1, 2, 5, 10, 99)] == [0.0, 0.0, 0.2, 0.7, 0.95, 0.95]


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("the", "determiner"),
        ("will", "auxiliary"),
        ("they", "pronoun"),
        ("lens", "noun"),
        ("crystallizes", "verb"),
        ("carried", "verb"),
        ("becomes", "verb"),
        ("quickly", "adverb"),
        ("luminous", "adjective"),
        ("within", "preposition"),
        ("because", "conjunction"),
        ("why", "question"),
        ("never", "negation"),
    ],
)
def test_words_have_their_part_of_speech(word: str, part: str) -> None:
    assert part_of_speech(word) == part


def test_a_grammar_tells_of_its_text() -> None:
    answer = analyse("Why does the quiet lens never shine within?")
    assert answer["apl_sequence"] == ["÷", "()", "()", "+", "+", "÷", "−", "×"]
    assert (answer["tier"], answer["phase"]) == ("t8", "TRUE")
    assert answer["z_estimate"] == pytest.approx(0.8660254)


@pytest.mark.parametrize("text", ["", "  ", "... !", None])
def test_a_text_without_words_has_no_grammar(text: Any) -> None:
    with pytest.raises(InvalidValue, match="no word"):
        analyse(text)


def test_coherence_looks_at_neighbouring_texts_and_long_words() -> None:
    state = State()
    assert shared_words(["alpha beta", "beta the alpha", "gamma"], state)["base_coherence"] == 0.5
    assert shared_words(["Alpha, beta!", "(beta) alpha."], state)["z_weighted_coherence"] == 1.0
    assert shared_words(["alpha", "alpha"], state)["h1_obstruction"] == pytest.approx(-0.25)
    assert shared_words(["a b c", "a b c"], state)["base_coherence"] == 0
    assert shared_words(["alone"], state)["base_coherence"] == 0


def test_depth_is_three_times_the_share_of_deep_words_up_to_1() -> None:
    assert depth_of("the pattern is far away now") == pytest.approx(0.5)
    assert depth_of("consciousness, pattern!") == 1.0
    assert depth_of("nothing here") == 0.0
    assert depth_of("") == 0.0


def test_a_turn_moves_z_toward_the_lens_by_its_depth() -> None:
    deep, shallow = Kira(seed=3), Kira(seed=3)
    deep.cmd_dialogue("consciousness and pattern, emergence and coherence")
    shallow.cmd_dialogue("it rained all day yesterday")
    assert deep.state.z > 0.58
    assert abs(shallow.state.z - 0.5) < 0.03


def test_a_turn_answers_learns_emits_and_is_announced() -> None:
    engine, hearing = heard_engine(seed=3)
    links = engine.network.link_count
    answer = engine.cmd_dialogue("the lens and the harbour")
    assert list(answer) == ["response", "metadata"]
    assert list(answer["metadata"]) == [
        *("coordinate", "phase", "crystal", "coherence", "tier", "operators"),
        *("tokens", "triad_events", "triad_unlocked", "frequency", "learning"),
    ]
    assert answer["metadata"]["tokens"] == list(engine.tokens_emitted) == hearing.of("token")
    assert len(answer["metadata"]["tokens"]) == 3
    assert engine.network.link_count > links
    assert engine.network.strength("lens", "harbour") > 0
    assert engine.turn_count == 1
    assert hearing.of("turn") == [{"turn": 1, "user": "the lens and the harbour", "response": answer["response"], "depth": 0.6}]


def test_responses_speak_in_the_words_of_the_phase() -> None:
    said = {}
    for z in (0.3, 0.7, 0.9):
        engine = Kira(seed=1)
        engine.move_to(z)
        said[z] = {engine.cmd_dialogue("it rains")["response"] for _ in range(30)}
    assert all(len(responses) > 5 for responses in said.values())
    assert not said[0.3] & said[0.7]
    assert not said[0.7] & said[0.9]


def test_a_long_text_is_heard_whole_and_kept_in_part() -> None:
    engine, hearing = heard_engine()
    text = " ".join(f"word{number}" for number in range(1000))
    engine.cmd_dialogue(text)
    assert hearing.of("turn")[0]["user"] == text
    assert engine.turns[0]["user"] == text[:KEPT_CHARACTERS]
    assert sum(word.startswith("word") for word in engine.network.links) == MOST_WORDS
