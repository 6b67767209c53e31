"""The nine stages: what each does to the words, and what is valid in the end."""

from typing import Any

import pytest

from holdfast.engines.kira.constants import Z_CRITICAL
from holdfast.engines.kira.emission import STAGES, Word, Wording, say
from holdfast.errors import InvalidValue
from holdfast.tokens import MACHINES, OPERATORS

PATHS = ((0.6, "bypass"), (0.62, "standard"), (0.7501, "standard"), (0.7505, "novel"), (0.8, "creative"))
WORDS = ("pattern", "emerge", "consciousness")


def test_the_stages_are_nine_of_known_machines_and_operators() -> None:
    machines, operators, purposes = zip(*STAGES, strict=True)
    assert sorted(machines) == sorted(MACHINES)
    assert set(operators) <= set(OPERATORS)
    assert len(set(purposes)) == 9


@pytest.mark.parametrize(
    ("wording", "text"),
    [
        ({}, "The pattern emerges the consciousness."),
        ({"intent": "question"}, "Does the pattern emerge the consciousness?"),
        ({"intent": "question", "tense": "past"}, "Did the pattern emerge the consciousness?"),
        ({"intent": "question", "is_plural": True}, "Do the pattern emerge the consciousness?"),
        ({"intent": "command"}, "Emerge the pattern the consciousness!"),
        ({"intent": "conditional"}, "If the pattern emerges the consciousness."),
        ({"intent": "relative"}, "The pattern that emerges the consciousness."),
        ({"tense": "past"}, "The pattern emerged the consciousness."),
        ({"person": 1}, "The pattern emerge the consciousness."),
        ({"is_plural": True}, "The pattern emerge the consciousness."),
        ({"connects": True}, "And the pattern emerges the consciousness."),
    ],
)
def test_the_wording_decides_how_it_is_said(wording: dict[str, Any], text: str) -> None:
    assert say(WORDS, 0.9, Wording(**wording)).text == text


@pytest.mark.parametrize(
    ("verb", "present", "past"),
    [("bind", "binds", "binded"), ("unify", "unifies", "unified"), ("focus", "focuses", "focused"), ("fuse", "fuses", "fused")],
)
def test_verbs_take_their_endings(verb: str, present: str, past: str) -> None:
    words = (Word("light", "SUBJECT"), Word(verb, "VERB"))
    assert say(words, 0.9).text == f"The light {present}."
    assert say(words, 0.9, Wording(tense="past")).text == f"The light {past}."


def test_articles_follow_certainty_and_stand_before_adjectives() -> None:
    words = (Word("open", "ADJECTIVE"), Word("lens", "SUBJECT"), Word("shine", "VERB"), Word("eye", "OBJECT"))
    assert say(words, 0.7).text == "An open lens shines an eye."
    assert say(words, 0.9).text == "The open lens shines the eye."
    assert say(words, 0.7, Wording(is_plural=True)).text == "Open lens shine eye."


def test_far_from_the_lens_the_words_stay_in_a_row_unless_forced() -> None:
    plain, forced = say(WORDS, 0.3), say(WORDS, 0.3, Wording(force_emergence=True))
    assert (plain.path, plain.text, plain.is_valid) == ("bypass", "Pattern emerge consciousness.", False)
    assert (forced.path, forced.text) == ("novel", "A pattern emerges a consciousness.")
    assert forced.coherence > plain.coherence
    assert (plain.completed, forced.completed) == ((1, 2, 5, 6, 7, 8, 9), (1, 2, 3, 4, 5, 6, 7, 8, 9))


@pytest.mark.parametrize(("z", "path"), PATHS)
def test_the_path_goes_by_negentropy(z: float, path: str) -> None:
    assert say(WORDS, z).path == path


def test_what_is_wrong_with_a_sentence_is_told() -> None:
    assert say((), 0.8).errors == ("empty",)
    assert say((Word("lens", ""),), 0.5).errors[0] == "fewer than two words"
    assert say(WORDS, Z_CRITICAL).errors == ()
    assert say(WORDS, 1.0).errors == ("coherence 0.670 is below 0.7, which TRUE asks for",)
    assert say(WORDS, 0.3).errors == ("coherence 0.267 is below 0.5",)


@pytest.mark.parametrize("wrong", [{"intent": "shout"}, {"person": 4}, {"tense": "future"}])
def test_another_wording_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(wrong))):
        Wording(**wrong)
