"""Phases, tiers and the operators that each tier allows, as functions of z. Bounds belong to what begins there."""

from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from holdfast.engines.kira.constants import HYPER_TRUE, PHI_INV, TRIAD_T6, Z_CRITICAL
from holdfast.tokens import SLOTS


class Phase(StrEnum):
    """The three regimes of z: below 1/PHI, up to z_c, from z_c on."""

    UNTRUE = "UNTRUE"
    PARADOX = "PARADOX"
    TRUE = "TRUE"


FREQUENCIES_HZ = {Phase.UNTRUE: (174, 285), Phase.PARADOX: (396, 417, 528), Phase.TRUE: (639, 741, 852, 963)}
SPIRAL_OF_PHASE = {Phase.UNTRUE: "Φ", Phase.PARADOX: "e", Phase.TRUE: "π"}

SLOT_INDICES = 3
"""A slot's index in an emitted token is 0, 1 or 2."""


@dataclass(frozen=True, kw_only=True)
class Tier:
    """One of the nine tiers. `label` is the phase written in the original's table, not always that of z (t4)."""

    index: int
    low: float
    operators: tuple[str, ...]
    label: Phase

    @property
    def name(self) -> str:
        return f"t{self.index}"


_ALL = ("+", "()", "^", "−", "×", "÷")
_TABLE: tuple[tuple[float, tuple[str, ...], Phase], ...] = (
    (0.0, ("+",), Phase.UNTRUE),
    (0.10, ("+", "()"), Phase.UNTRUE),
    (0.20, ("+", "()", "^"), Phase.UNTRUE),
    (0.45, ("+", "()", "^", "−"), Phase.PARADOX),
    (0.65, _ALL, Phase.PARADOX),
    (0.75, ("+", "÷", "()", "−"), Phase.PARADOX),
    (Z_CRITICAL, ("+", "()"), Phase.TRUE),
    (0.92, ("+", "()", "^", "−", "×"), Phase.TRUE),
    (0.97, _ALL, Phase.TRUE),
)
TIERS = tuple(
    Tier(index=index, low=low, operators=operators, label=label)
    for index, (low, operators, label) in enumerate(_TABLE, start=1)
)

_LOCKED = tuple(tier.low for tier in TIERS[1:])
_UNLOCKED = tuple(TRIAD_T6 if low == Z_CRITICAL else low for low in _LOCKED)


def phase_at(z: float) -> Phase:
    """The phase, of three."""
    if z >= Z_CRITICAL:
        return Phase.TRUE
    return Phase.PARADOX if z >= PHI_INV else Phase.UNTRUE


def get_phase4(z: float) -> str:
    """The phase, of four: from 0.92 on TRUE is called HYPER_TRUE."""
    return "HYPER_TRUE" if z >= HYPER_TRUE else phase_at(z).value


def tier_at(z: float, *, unlocked: bool) -> Tier:
    """The tier. Once TRIAD is unlocked, tier 6 ends at 0.83 instead of at z_c."""
    return TIERS[bisect_right(_UNLOCKED if unlocked else _LOCKED, z)]


def frequency_at(z: float) -> int:
    """The frequency in Hz. Our choice: the highest of the phase's, so that equal states are equal (there: drawn)."""
    return FREQUENCIES_HZ[phase_at(z)][-1]


@cache
def allowed_tokens(phase: Phase, tier_index: int) -> tuple[str, ...]:
    """Every token that may be emitted there: an operator of the tier's window, its slot, the phase's spiral."""
    return tuple(
        f"{SPIRAL_OF_PHASE[phase]}{operator}|{SLOTS[operator]}{index}|t{tier_index}"
        for operator in TIERS[tier_index - 1].operators
        for index in range(SLOT_INDICES)
    )


class Window(NamedTuple):
    """What may be emitted at a z: kept while z stays, so that drawing a token costs one random number and one look."""

    z: float
    is_unlocked: bool
    phase: str
    tier_index: int
    tokens: tuple[str, ...]


def window_at(z: float, *, unlocked: bool) -> Window:
    phase, tier = phase_at(z), tier_at(z, unlocked=unlocked)
    return Window(z, unlocked, phase.value, tier.index, allowed_tokens(phase, tier.index))
