"""Sentences of operators: how complex they may be at a z, and the slot tokens that write them.

The tiers here are the syntax's own nine, by sentence length; they are not those of tiers.py, which bound single tokens.
"""

import re
from bisect import bisect_right

from holdfast.engines.kira.constants import PHI_INV, Z_CRITICAL
from holdfast.engines.kira.fields import WrongArgument
from holdfast.engines.kira.tiers import SPIRAL_OF_PHASE, phase_at
from holdfast.tokens import ALIASES, OPERATORS, SLOTS

BOUNDS = (0.20, 0.40, PHI_INV, 0.70, 0.80, 0.82, Z_CRITICAL, 0.95)
"""Where syntax tiers 2 to 9 begin."""

MOST_OPERATORS = (1, 2, 3, 4, 5, 6, 7, 8, 10)
"""The most operators in a sentence of tiers 1 to 9."""

PATTERNS: tuple[tuple[str, ...], ...] = (
    ("+", "−"),
    ("+−", "−+"),
    ("+−+", "+−^"),
    ("()+−+", "+−×+", "+^−+"),
    ("()+−×+", "()^+−+", "+−()^+"),
    ("()^+−×+", "÷()+−+"),
    ("()^+−()^+", "+−×()+−"),
    ("()^+()−×()+", "+×+−^×()+"),
    ("()^+()^−×()^+",),
)
"""The nineteen patterns, by tier."""

_OPERATOR = re.compile("|".join(re.escape(operator) for operator in (*OPERATORS, *ALIASES)))


def syntax_tier_at(z: float) -> int:
    """1 to 9."""
    return bisect_right(BOUNDS, z) + 1


def patterns_at(z: float) -> tuple[str, ...]:
    """The patterns of the tier at z; the first is the one it is known by."""
    return PATTERNS[syntax_tier_at(z) - 1]


def operators_of(pattern: str) -> list[str]:
    """A pattern's operators in order, aliases resolved."""
    operators = _OPERATOR.findall(pattern)
    if "".join(operators) != pattern or not operators:
        raise WrongArgument("pattern", f"{pattern!r} is not a row of operators ({' '.join(OPERATORS)})")
    return [ALIASES.get(operator, operator) for operator in operators]


def slots_of(operators: list[str]) -> list[str]:
    """The slots that a sentence fills, each kind counted from 0: NP0, VP0, NP1."""
    counts: dict[str, int] = {}
    slots = []
    for operator in operators:
        kind = SLOTS[operator]
        slots.append(f"{kind}{counts.get(kind, 0)}")
        counts[kind] = counts.get(kind, 0) + 1
    return slots


def sentence_tokens(pattern: str, z: float) -> list[str]:
    """The slot tokens that write a pattern at z: the phase's spiral, the syntax tier."""
    spiral, tier, operators = SPIRAL_OF_PHASE[phase_at(z)], syntax_tier_at(z), operators_of(pattern)
    return [f"{spiral}{operator}|{slot}|t{tier}" for operator, slot in zip(operators, slots_of(operators), strict=True)]


def z_of_length(operator_count: int) -> float:
    """The lowest z at which a sentence of so many operators may be said; that of tier 9 for longer ones."""
    tier = next((index for index, most in enumerate(MOST_OPERATORS) if operator_count <= most), len(BOUNDS))
    return 0.0 if tier == 0 else BOUNDS[tier - 1]
