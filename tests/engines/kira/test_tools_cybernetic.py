"""cybernetic_control: that the sixteen oscillators are Kuramoto's, and that their draw is the engine's."""

import cmath
import math

import pytest

from holdfast.engines.kira import Kira
from holdfast.engines.kira.constants import Z_CRITICAL
from holdfast.engines.kira.tools.cybernetic import FREQUENCIES_HZ, OSCILLATORS, STEP_SECONDS, coupling_at, order_of, stepped
from tests.engines.kira.tooling import at_the_lens, does, refuses


@pytest.mark.parametrize(("z", "coupling"), [(0.6, 6.0), (Z_CRITICAL, 10 * Z_CRITICAL), (0.9, 10 * (2 * Z_CRITICAL - 0.9))])
def test_the_coupling_is_greatest_at_the_lens(z: float, coupling: float) -> None:
    assert coupling_at(z) == pytest.approx(coupling)
    assert coupling_at(z) <= coupling_at(Z_CRITICAL)


def test_a_step_is_the_sum_over_all_pairs() -> None:
    phases = [0.1 * index**2 for index in range(OSCILLATORS)]
    strength = 7.0
    expected = [
        theta + STEP_SECONDS * (2 * math.pi * hertz + strength / OSCILLATORS * sum(math.sin(other - theta) for other in phases))
        for theta, hertz in zip(phases, FREQUENCIES_HZ, strict=True)
    ]
    assert stepped(phases, strength) == pytest.approx([theta % (2 * math.pi) for theta in expected])


def test_frequencies_go_from_5_to_40_hz() -> None:
    assert (len(FREQUENCIES_HZ), FREQUENCIES_HZ[0], FREQUENCIES_HZ[-1]) == (16, 5.0, 40.0)


def test_a_strong_coupling_brings_the_oscillators_together_and_none_leaves_them_apart() -> None:
    together, apart = at_the_lens(seed=3), at_the_lens(seed=3)
    assert does(together, "cybernetic_control", "run", steps=500, coupling=900.0)["order"] > 0.97
    assert does(apart, "cybernetic_control", "run", steps=500, coupling=0.0)["order"] < 0.6


def test_only_the_first_step_draws_and_z_and_coherence_stay() -> None:
    engine = at_the_lens(seed=3)
    before = engine.state.recorded()
    does(engine, "cybernetic_control", "step")
    drawn = engine.rng.getstate()
    ran = does(engine, "cybernetic_control", "run", steps=10)
    assert engine.rng.getstate() == drawn != at_the_lens(seed=3).rng.getstate()
    assert engine.state.recorded() == before
    assert (ran["steps_total"], ran["simulated_seconds"]) == (11, pytest.approx(0.011))
    phases = engine.tools["cybernetic_control"].state_dict()["phases"]
    assert (
        ran["order"]
        == pytest.approx(abs(sum(cmath.exp(1j * phase) for phase in phases)) / 16)
        == pytest.approx(abs(order_of(phases)))
    )


def test_looking_starts_nothing_and_what_is_refused_draws_nothing() -> None:
    engine = at_the_lens(seed=3)
    assert does(engine, "cybernetic_control", "status")["is_started"] is False
    for wrong in ({"steps": 1_001}, {"steps": 2.5}, {"coupling": -1.0}, {"coupling": float("inf")}):
        assert refuses(engine, "cybernetic_control", "run", **wrong)
    assert engine.tools["cybernetic_control"].state_dict() == {}


def test_equal_seeds_make_equal_loops() -> None:
    runs = [does(at_the_lens(seed=seed), "cybernetic_control", "run") for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert "Insufficient" in refuses(Kira(), "cybernetic_control", "run")
