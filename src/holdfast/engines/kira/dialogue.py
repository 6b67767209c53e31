"""A turn of conversation: what is said moves z towards the lens, is answered in the phase's voice, and is learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.engines.kira.constants import Z_CRITICAL
from holdfast.engines.kira.fields import WrongArgument
from holdfast.engines.kira.semantics import content_words
from holdfast.engines.kira.words import word_lists

if TYPE_CHECKING:
    from holdfast.engines.kira.engine import Kira

STEPS = 3
TOKENS = 3
REACH = 0.3
"""The share of the way to the lens that the deepest text goes."""
MOST_WORDS = 16
"""Our choice: of a long text the first so many content words are learned; links grow with their square."""
KEPT_CHARACTERS = 240
"""Our choice: so much of a text is kept in the engine's state, for /coherence; the listener hears all of it."""


def depth_of(text: str) -> float:
    """How deep a text goes, 0 to 1: three times the share of its words that are on the list of deep ones."""
    words = [word.strip(".,!?") for word in text.lower().split()]
    deep = word_lists()["depth_words"]
    return min(1.0, 3 * sum(word in deep for word in words) / len(words)) if words else 0.0


def take_turn(engine: Kira, text: str) -> dict[str, Any]:
    """Answer a text; the answer of plain text at the prompt. At a text without words WrongArgument, nothing is changed."""
    if not isinstance(text, str) or not text.strip():
        raise WrongArgument("text", f"something to answer belongs here, and {text!r} came")
    state = engine.state
    heard = list(dict.fromkeys(content_words(text)))[:MOST_WORDS]
    depth = depth_of(text)
    events = engine.evolve_z(state.z + (Z_CRITICAL - state.z) * depth * REACH, STEPS)
    response, topics = _response(engine, heard)
    tokens = [engine.emit_token("dialogue") for _ in range(TOKENS)]
    learning = engine.network.learn(heard, content_words(response), topics, z=state.z, kappa=state.coherence)
    engine.keep_turn(text, response, depth=depth)
    tier, allows = engine.get_tier()
    return {
        "response": response,
        "metadata": {
            "coordinate": state.coordinate,
            "phase": state.phase.value,
            "crystal": state.crystal.value,
            "coherence": state.coherence,
            "tier": tier,
            "operators": allows["operators"],
            "tokens": tokens,
            "triad_events": events,
            "triad_unlocked": state.triad_unlocked,
            "frequency": state.frequency,
            "learning": learning,
        },
    }


def _response(engine: Kira, heard: list[str]) -> tuple[str, list[str]]:
    """A sentence in the phase's voice, about the word the network knows best, and the words it is about."""
    phase, choose = engine.state.phase.value, engine.rng.choice
    vocabulary = word_lists()["phases"][phase]
    topic = max(heard, key=lambda word: len(engine.network.related(word)), default="") or choose(vocabulary["nouns"])
    related = [other for other, _ in engine.network.related(topic) if other not in heard] or vocabulary["nouns"]
    words = {
        "topic": topic,
        "related": choose(related),
        "noun": choose(vocabulary["nouns"]),
        "verb": choose(vocabulary["verbs"]),
        "adjective": choose(vocabulary["adjectives"]),
    }
    sentence = str(choose(word_lists()["responses"][phase])).format(**words)
    return sentence[:1].upper() + sentence[1:], [words["topic"], words["related"]]
