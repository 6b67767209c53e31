"""The state: derived values follow its facts, and nothing else is accepted as one."""

import math
from typing import Any

import pytest

from holdfast.engines.kira import State, check_k_formation
from holdfast.engines.kira.constants import PHI, Z_CRITICAL
from holdfast.engines.kira.state import Crystal, crystal_at
from holdfast.engines.kira.tiers import Phase
from holdfast.errors import InvalidSetting, InvalidValue

KEYS = "z theta r coordinate phase crystal coherence negentropy frequency triad_completions triad_unlocked above_band k_formed"


def test_to_dict_has_the_thirteen_keys_of_the_original_in_their_order() -> None:
    shown = State().to_dict()
    assert list(shown) == KEYS.split()
    assert {type(value) for value in shown.values()} == {float, str, int, bool}


def test_equal_states_show_equal_values() -> None:
    one, other = State(), State()
    for state in (one, other):
        state.z = 0.7
    assert one.to_dict() == other.to_dict()


def test_what_is_derived_follows_z_at_once() -> None:
    state = State()
    state.z = Z_CRITICAL
    assert (state.phase, state.negentropy, state.r, state.frequency) == (Phase.TRUE, 1.0, PHI, 963)
    assert state.theta == 2 * math.pi * Z_CRITICAL
    before = state.to_dict()
    state.update_from_z()
    assert state.to_dict() == before


def test_the_phase_has_a_value_and_is_an_enum() -> None:
    assert State().phase.value == "UNTRUE"
    assert State().phase is Phase.UNTRUE


def test_the_tier_has_a_name_and_a_number() -> None:
    state = State()
    assert (state.tier, state.tier_index) == ("t4", 4)
    state.z = 0.84
    assert (state.tier, state.tier_index) == ("t6", 6)
    state.triad_unlocked = True
    assert (state.tier, state.tier_index) == ("t7", 7)


@pytest.mark.parametrize("name", ["z", "coherence"])
@pytest.mark.parametrize("value", [1.7, -1e-9, math.nan, math.inf, "0.5", None, True])
def test_what_is_no_number_from_0_to_1_is_refused_and_changes_nothing(name: str, value: Any) -> None:
    state = State()
    before = state.to_dict()
    with pytest.raises(InvalidValue, match=rf"^state\.{name}: "):
        setattr(state, name, value)
    assert state.to_dict() == before


def test_whole_numbers_and_minus_zero_are_taken_as_floats() -> None:
    state = State()
    state.z = 1
    assert state.to_dict()["z"] == 1.0
    assert type(state.z) is float
    state.z = -0.0
    assert math.copysign(1, state.z) == 1


@pytest.mark.parametrize(
    ("coherence", "crystal"),
    [
        (0.0, "Fluid"),
        (0.4999, "Fluid"),
        (0.5, "Transitioning"),
        (0.75, "Crystalline"),
        (0.9199, "Crystalline"),
        (0.92, "Prismatic"),
    ],
)
def test_the_crystal_goes_by_coherence(coherence: float, crystal: str) -> None:
    assert crystal_at(coherence) is Crystal(crystal)


def test_k_formation_is_decided_by_the_threshold_it_is_asked_for() -> None:
    assert check_k_formation(1.0, 1.0, 3, threshold=3)
    assert not check_k_formation(1.0, 1.0, 3)
    state = State(k_threshold=3)
    state.z, state.coherence, state.triad_completions = Z_CRITICAL, 1.0, 3
    assert state.k_formed
    assert state.k_formation() == {"k_formed": True, "kappa": 1.0, "eta": 1.0, "R": 3, "threshold": 3}
    assert state.recorded() == {**state.to_dict(), "k_threshold": 3}


@pytest.mark.parametrize("threshold", [0, 5, True, "7", None])
def test_another_threshold_is_refused(threshold: Any) -> None:
    with pytest.raises(InvalidSetting, match="k_threshold"):
        State(k_threshold=threshold)


def test_load_state_dict_gives_back_what_state_dict_took() -> None:
    state = State(k_threshold=3)
    state.z, state.coherence, state.triad_completions = 0.84, 0.93, 4
    state.triad_unlocked = state.above_band = True
    other = State()
    other.load_state_dict(state.state_dict())
    assert other.recorded() == state.recorded()
    assert other.tier == state.tier == "t7"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("z", 1.5),
        ("z", math.nan),
        ("coherence", "1"),
        ("triad_completions", -1),
        ("triad_completions", 1.0),
        ("triad_unlocked", 1),
        ("above_band", None),
        ("k_threshold", 5),
    ],
)
def test_a_wrong_field_of_a_stored_state_is_named_and_changes_nothing(field: str, value: Any) -> None:
    state = State()
    before = state.state_dict()
    with pytest.raises(InvalidValue, match=rf"^state\.{field}: "):
        state.load_state_dict({**before, "z": 0.9, "coherence": 0.9, field: value})
    assert state.state_dict() == before


def test_a_missing_field_of_a_stored_state_is_named() -> None:
    values = State().state_dict()
    del values["coherence"]
    with pytest.raises(InvalidValue, match=r"^state\.coherence: it is missing"):
        State().load_state_dict(values)


def test_a_reset_keeps_the_threshold_alone() -> None:
    state = State(k_threshold=3)
    state.z, state.coherence, state.triad_completions = 0.9, 0.9, 2
    state.reset()
    assert state.state_dict() == State(k_threshold=3).state_dict()
