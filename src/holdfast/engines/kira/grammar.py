"""A text word by word: its part of speech, and the operator that stands for it."""

from functools import cache
from typing import Any

from holdfast.engines.kira.fields import WrongArgument
from holdfast.engines.kira.syntax import syntax_tier_at, z_of_length
from holdfast.engines.kira.tiers import phase_at
from holdfast.engines.kira.words import word_lists

OPERATOR_OF = {
    "noun": "+",
    "pronoun": "+",
    "verb": "−",
    "adjective": "^",
    "adverb": "^",
    "determiner": "()",
    "auxiliary": "()",
    "preposition": "×",
    "conjunction": "×",
    "question": "÷",
    "negation": "÷",
}

_ADJECTIVE_ENDINGS = ("ous", "ful", "ive", "less", "able", "ible", "ical", "ic", "al")
_VERB_ENDINGS = ("ize", "izes", "ized", "ify", "ifies", "ified", "ing")


def part_of_speech(word: str) -> str:
    """Our choice: by lists, then by endings, else a noun. Questions and negations are told apart (there: never)."""
    word = word.lower()
    if found := _listed().get(word):
        return found
    if is_verb(word) or word.endswith(_VERB_ENDINGS) or _is_inflected_verb(word):
        return "verb"
    if word.endswith("ly") and len(word) > 4:
        return "adverb"
    return "adjective" if word.endswith(_ADJECTIVE_ENDINGS) and len(word) > 5 else "noun"


def is_verb(word: str) -> bool:
    """Whether a word is a verb in its base form: on the list, or ending in -ify or -ize."""
    return word in _verbs() or (word.endswith(("ify", "ize")) and len(word) > 4)


def analyse(text: str) -> dict[str, Any]:
    """What /grammar answers. Our choice: z_estimate is the lowest z at which the syntax allows so long a sentence,
    and tier (the syntax's) and phase are those of that z: they tell of the text, not of the engine."""
    if not isinstance(text, str) or not (words := _words(text)):
        raise WrongArgument("text", f"there is no word in {text!r}; give a sentence")
    analysis = []
    for word in words:
        part = part_of_speech(word)
        analysis.append({"word": word, "pos": part, "apl_operator": OPERATOR_OF[part]})
    z = z_of_length(len(words))
    return {
        "input": text,
        "analysis": analysis,
        "apl_sequence": [entry["apl_operator"] for entry in analysis],
        "tier": f"t{syntax_tier_at(z)}",
        "phase": phase_at(z).value,
        "z_estimate": z,
    }


def _words(text: str) -> list[str]:
    stripped = (word.strip(".,!?;:\"'()[]") for word in text.lower().split())
    return [word for word in stripped if word]


def _is_inflected_verb(word: str) -> bool:
    """Whether taking off an ending leaves a verb of the list."""
    bases = [word.removesuffix(ending) for ending in ("s", "es", "d", "ed") if word.endswith(ending)]
    bases += [word[: -len(ending)] + "y" for ending in ("ies", "ied") if word.endswith(ending)]
    return any(base in _verbs() for base in bases)


@cache
def _verbs() -> frozenset[str]:
    return frozenset(word_lists()["verbs"]) | {verb for phase in word_lists()["phases"].values() for verb in phase["verbs"]}


@cache
def _listed() -> dict[str, str]:
    return {word: part for part, words in word_lists()["parts_of_speech"].items() for word in words}
