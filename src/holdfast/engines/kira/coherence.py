"""How much texts that follow one another have in common."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from holdfast.engines.kira.fields import WrongArgument
from holdfast.engines.kira.state import State

SHORTEST_WORD = 4


def analyse(contexts: Sequence[str], state: State) -> dict[str, Any]:
    """What /coherence answers: the mean Jaccard index of neighbouring texts, and the same weighted by z.

    h1_obstruction is what the weighted one lacks to 1; it is not capped, so it may be negative. Our choice: fewer than
    two texts, or two without a long word, have nothing in common (0).
    """
    for index, text in enumerate(contexts):
        if not isinstance(text, str):
            raise WrongArgument(f"contexts[{index}]", f"a text belongs here, and {type(text).__name__} came")
    vocabularies = [{word for word in _words(text) if len(word) >= SHORTEST_WORD} for text in contexts]
    shares = [len(one & next_one) / len(one | next_one) if one | next_one else 0.0 for one, next_one in pairwise(vocabularies)]
    base = sum(shares) / len(shares) if shares else 0.0
    weighted = base * (1 + state.z / 2)
    return {
        "contexts_analyzed": len(contexts),
        "base_coherence": base,
        "z_weighted_coherence": min(1.0, weighted),
        "h1_obstruction": 1 - weighted,
        "phase": state.phase.value,
        "crystal": state.crystal.value,
    }


def _words(text: str) -> list[str]:
    return [word.strip(".,!?;:\"'()") for word in text.lower().split()]
