"""cybernetic_control: sixteen coupled oscillators (Kuramoto's model), whose coupling follows z."""

import cmath
import math
import random
from typing import Annotated

from msgspec import Meta, field

from holdfast.engines.kira.constants import Z_CRITICAL
from holdfast.engines.kira.tools.arguments import Count, Result
from holdfast.engines.kira.tools.tool import Memory, Tool

OSCILLATORS = 16
LOWEST_HZ, HIGHEST_HZ = 5.0, 40.0
STEP_SECONDS = 0.001
"""Our choice: small against the fastest period, 25 ms."""
FREQUENCIES_HZ = tuple(LOWEST_HZ + (HIGHEST_HZ - LOWEST_HZ) * index / (OSCILLATORS - 1) for index in range(OSCILLATORS))

Coupling = Annotated[float, Meta(ge=0, le=10_000)]
Steps = Annotated[int, Meta(ge=1, le=1_000)]


def coupling_at(z: float) -> float:
    """K in radians per second: greatest at z_c."""
    return 10 * z if z < Z_CRITICAL else 10 * (2 * Z_CRITICAL - z)


def order_of(phases: list[float]) -> complex:
    """The mean of exp(iθ): its length is the order parameter r, its angle the mean phase."""
    return sum(map(cmath.rect, [1.0] * len(phases), phases)) / len(phases)


def stepped(phases: list[float], coupling: float) -> list[float]:
    """The phases a step later (Euler). (K/N) Σ sin(θj − θi) is K r sin(ψ − θi), with the mean's length r and angle ψ."""
    r, mean = cmath.polar(order_of(phases))
    return [
        (theta + STEP_SECONDS * (2 * math.pi * hertz + coupling * r * math.sin(mean - theta))) % (2 * math.pi)
        for theta, hertz in zip(phases, FREQUENCIES_HZ, strict=True)
    ]


class ControlMemory(Memory):
    phases: list[float] = field(default_factory=list)
    steps: Count = 0

    def __post_init__(self) -> None:
        if len(self.phases) not in (0, OSCILLATORS) or not all(map(math.isfinite, self.phases)):
            raise ValueError(f"{OSCILLATORS} finite phases belong here, or none")


class CyberneticControl(Tool[ControlMemory]):
    """Runs the loop. The first step draws the phases from the engine's generator; later ones draw nothing.

    Its order parameter is its own: it moves neither z nor coherence.
    """

    name, default_action, empty = "cybernetic_control", "status", ControlMemory

    def do_status(self) -> Result:
        return self._status(None)

    def do_step(self, *, coupling: Coupling | None = None) -> Result:
        """One step, a millisecond."""
        return self.do_run(steps=1, coupling=coupling)

    def do_run(self, *, steps: Steps = 100, coupling: Coupling | None = None) -> Result:
        """Several steps, with the coupling of the present z unless one is given."""
        memory = self.memory
        phases = memory.phases or _drawn(self.engine.rng)
        before = abs(order_of(phases))
        strength = coupling_at(self.engine.state.z) if coupling is None else coupling
        for _ in range(steps):
            phases = stepped(phases, strength)
        memory.phases = phases
        memory.steps += steps
        return {"ran": steps, "order_before": before, **self._status(coupling)}

    @property
    def order(self) -> float:
        """The order parameter r, 0 to 1; 0 before the first step."""
        return min(1.0, abs(order_of(self.memory.phases))) if self.memory.phases else 0.0

    def _status(self, coupling: float | None) -> Result:
        return {
            "order": self.order,
            "coupling": coupling_at(self.engine.state.z) if coupling is None else coupling,
            "oscillators": OSCILLATORS,
            "is_started": bool(self.memory.phases),
            "steps_total": self.memory.steps,
            "simulated_seconds": self.memory.steps * STEP_SECONDS,
        }


def _drawn(rng: random.Random) -> list[float]:
    return [rng.random() * 2 * math.pi for _ in range(OSCILLATORS)]
