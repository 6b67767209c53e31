"""Tokens that the present tier allows."""

from functools import cache

from holdfast.engines.kira.tiers import SPIRAL_OF_PHASE, TIERS, Phase
from holdfast.tokens import SLOTS

INDICES = 3
"""A slot's index is 0, 1 or 2."""


@cache
def allowed_tokens(phase: Phase, tier_index: int) -> tuple[str, ...]:
    """Every slot token that may be emitted there: an operator of the tier's window, its slot, the phase's spiral."""
    return tuple(
        f"{SPIRAL_OF_PHASE[phase]}{operator}|{SLOTS[operator]}{index}|t{tier_index}"
        for operator in TIERS[tier_index - 1].operators
        for index in range(INDICES)
    )
