"""Tiers: which operators they allow, and which tokens follow from that."""

import pytest

from holdfast.engines.kira.tiers import SPIRAL_OF_PHASE, TIERS, allowed_tokens, phase_at, tier_at, window_at
from holdfast.tokens import SLOTS, SlotToken, parse

OPERATORS = {
    1: "+",
    2: "+ ()",
    3: "+ () ^",
    4: "+ () ^ −",
    5: "+ () ^ − × ÷",
    6: "+ ÷ () −",
    7: "+ ()",
    8: "+ () ^ − ×",
    9: "+ () ^ − × ÷",
}


def test_each_tier_allows_the_operators_of_the_table() -> None:
    assert {tier.index: " ".join(tier.operators) for tier in TIERS} == OPERATORS


def test_only_the_end_of_tier_6_moves_when_triad_is_unlocked() -> None:
    differ = [z / 1000 for z in range(1001) if tier_at(z / 1000, unlocked=False) != tier_at(z / 1000, unlocked=True)]
    assert (differ[0], differ[-1]) == (0.83, 0.866)


@pytest.mark.parametrize("z", [0.0, 0.15, 0.3, 0.5, 0.63, 0.7, 0.8, 0.84, 0.9, 0.95, 1.0])
@pytest.mark.parametrize("unlocked", [False, True])
def test_every_allowed_token_keeps_to_the_tier_the_slot_and_the_phase(z: float, unlocked: bool) -> None:
    tier = tier_at(z, unlocked=unlocked)
    tokens = [parse(text) for text in window_at(z, unlocked=unlocked).tokens]
    assert len(set(tokens)) == 3 * len(tier.operators)
    for token in tokens:
        assert isinstance(token, SlotToken)
        assert token.operator in tier.operators
        assert token.slot == SLOTS[token.operator]
        assert token.spiral == SPIRAL_OF_PHASE[phase_at(z)]
        assert token.tier == tier.index
        assert token.index in (0, 1, 2)


def test_the_window_says_where_it_holds() -> None:
    window = window_at(0.84, unlocked=True)
    assert (window.z, window.is_unlocked, window.phase, window.tier_index) == (0.84, True, "PARADOX", 7)
    assert window.tokens == allowed_tokens(phase_at(0.84), 7)
