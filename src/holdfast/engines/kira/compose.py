"""An emission: concepts, what the network knows beside them, a sentence of them, and a token for each of its words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from holdfast.engines.kira.constants import PHI_INV
from holdfast.engines.kira.emission import Sentence, Word, Wording, say
from holdfast.engines.kira.fields import WrongArgument
from holdfast.engines.kira.grammar import is_verb
from holdfast.engines.kira.semantics import LONGEST_WORD
from holdfast.engines.kira.words import word_lists

if TYPE_CHECKING:
    from holdfast.engines.kira.engine import Kira

DEFAULT_CONCEPTS = ("consciousness", "pattern", "emergence")
MOST_CONCEPTS = 5
NEIGHBOURS_EACH = 2

FRAMES: tuple[tuple[str, ...], ...] = (
    ("SUBJ", "VERB"),
    ("SUBJ", "VERB", "OBJ"),
    ("ADJ", "SUBJ", "VERB"),
    ("SUBJ", "VERB", "PREP", "OBJ"),
)
"""The sentence that is asked for in each quarter of z."""
_SLOTS = {"SUBJ": "SUBJECT", "OBJ": "OBJECT", "ADJ": "ADJECTIVE", "PREP": "PREPOSITION", "VERB": "VERB"}
_SHORT = {slot: short for short, slot in _SLOTS.items()} | {"MODIFIER": "MOD"}


def compose(engine: Kira, concepts: Sequence[str] | None, wording: Wording) -> dict[str, Any]:
    """Make, keep and announce an emission; the answer of /emit. At a wrong concept WrongArgument, and nothing is changed."""
    given = _checked(DEFAULT_CONCEPTS if concepts is None else concepts)
    state = engine.state
    content = engine.network.expanded(given, each=NEIGHBOURS_EACH)
    frame, words = _framed(engine, given, content)
    sentence = say(words, state.z, wording)
    score = state.negentropy * state.coherence
    quality = min(1.0, 1.5 * score)
    tokens = [engine.emit_token("emission") for _ in sentence.text.split()]
    emission = {"text": sentence.text, "z": state.z, "phase": state.phase.value, "tokens": tokens, "quality": quality}
    engine.keep_emission(emission, {"valid": sentence.is_valid, "coherence": sentence.coherence})
    tier, allows = engine.get_tier()
    return {
        "command": "/emit",
        "stages": _stages(sentence, content, frame, score, quality),
        "emission": {**emission, "tokens": list(tokens)},
        "tier": tier,
        "operators_available": allows["operators"],
    }


def _checked(concepts: Sequence[str]) -> list[str]:
    if isinstance(concepts, str) or not isinstance(concepts, list | tuple):
        raise WrongArgument("concepts", f"a list of words belongs here, and {type(concepts).__name__} came")
    for index, concept in enumerate(concepts):
        if not isinstance(concept, str) or not concept.strip() or len(concept) > LONGEST_WORD:
            why = f"a word of 1 to {LONGEST_WORD} letters belongs here, and {concept!r:.80} came"
            raise WrongArgument(f"concepts[{index}]", why)
    if not concepts:
        raise WrongArgument("concepts", "the list is empty; name at least one, or leave it out for the usual ones")
    return list(dict.fromkeys(concept.strip().lower() for concept in concepts))[:MOST_CONCEPTS]


def _framed(engine: Kira, given: list[str], content: list[str]) -> tuple[tuple[str, ...], list[Word | str]]:
    """The frame (empty for a sentence of its own), and the words of the sentence.

    Our choice: concepts with a verb after the first are a sentence of their own and are taken as they stand. Without one
    the frame of z is filled: subject and object from the content, the rest drawn from the phase's vocabulary.
    """
    frame = FRAMES[min(int(4 * engine.state.z), len(FRAMES) - 1)]
    if any(is_verb(word) for word in given[1:]):
        return (), list(given)
    vocabulary = word_lists()["phases"][engine.state.phase.value]
    choose = engine.rng.choice
    sources = {"VERB": vocabulary["verbs"], "ADJ": vocabulary["adjectives"], "PREP": word_lists()["prepositions"]}
    if len(content) < 2 and "OBJ" in frame:
        frame = frame[: frame.index("VERB") + 1]
    fixed = dict(zip(("SUBJ", "OBJ"), content, strict=False))
    return frame, [Word(fixed[place] if place in fixed else choose(sources[place]), _SLOTS[place]) for place in frame]


def _stages(sentence: Sentence, content: list[str], frame: tuple[str, ...], score: float, quality: float) -> dict[str, Any]:
    """What each of the nine stages gave. After a bypass the frame is the one that chose the words, and no slot was kept."""
    slots = [{"slot": _SHORT[word.slot], "word": word.text} for word in sentence.slots if word.slot]
    return {
        "1_content": content,
        "2_emergence": {"score": score, "bypassed": sentence.path == "bypass", "path": sentence.path},
        "3_frame": " ".join(frame or (slot["slot"] for slot in slots)) or "as given",
        "4_slots": slots,
        **sentence.texts,
        "9_validation": {
            "quality": quality,
            "passed": quality > PHI_INV,
            "coherence": sentence.coherence,
            "valid": sentence.is_valid,
            "errors": list(sentence.errors),
            "stages_completed": list(sentence.completed),
        },
    }
