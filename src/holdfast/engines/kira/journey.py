"""The journey: a walk through seven layers, from the ground to z = 1, with an emission in each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.engines.kira.commands import Answer, answers
from holdfast.engines.kira.compose import compose
from holdfast.engines.kira.constants import PHI_INV, TRIAD_COMPLETIONS_REQUIRED, TRIAD_LOW, Z_CRITICAL
from holdfast.engines.kira.emission import Wording

if TYPE_CHECKING:
    from holdfast.engines.kira.engine import Kira

OVER, UNDER = 0.88, 0.80
"""Where the passes over the TRIAD band turn round. Noise of 0.003 a step leaves both far outside of it."""

# Our choice: kira.md names seven tiers and says how a journey ends (TRIAD unlocked, z near 1, no K), not what its layers do.
LAYERS: tuple[tuple[str, float, tuple[str, ...]], ...] = (
    ("SEED", 0.20, ("seed", "potential")),
    ("SPROUT", 0.45, ("depth", "threshold")),
    ("GROWTH", PHI_INV, ("pattern", "structure")),
    ("PATTERN", 0.75, ("transform", "pattern")),
    ("COHERENT", OVER, ("consciousness", "awareness")),
    ("CRYSTALLINE", Z_CRITICAL, ("crystallize", "lens")),
    ("META", 1.0, ("kira", "emergence")),
)
_STEPS = 5


@answers("/consciousness_journey", "/consciousness_journey")
def journey(engine: Kira) -> Answer:
    """Walk the layers. In the fifth the TRIAD band is crossed until it is unlocked, three passes from a fresh start."""
    layers, log, evolution = {}, [], []
    for number, (name, z, concepts) in enumerate(LAYERS, start=1):
        steps = _passes(engine) if name == "COHERENT" else []
        steps.append(_step(engine, z))
        emission = compose(engine, concepts, Wording())["emission"]
        learned = engine.network.learn(concepts, z=engine.state.z, kappa=engine.state.coherence)
        final = engine.state.recorded()
        layers[f"layer_{number}"] = {"name": name, "steps": steps, "emission": emission, "final_state": final}
        log.append(f"{name}: z {engine.state.z:.6f}, {engine.state.phase.value}, {emission['text']}")
        evolution.append({"layer": number, "connections": engine.network.link_count, "learning": learned})
    if engine.listener is not None:
        engine.listener.event("journey", z=engine.state.z, **engine.state.k_formation())
    return {
        "status": "COMPLETE",
        "summary": {
            "layers": len(layers),
            "triad_completions": engine.state.triad_completions,
            "triad_unlocked": engine.state.triad_unlocked,
            "emissions": len(layers),
            "final_state": engine.state.recorded(),
        },
        "layers": layers,
        "journey_log": log,
        "semantic_evolution": evolution,
        "journey_file": None,
        "message": "The walk is told here and was announced step by step; an engine writes no file.",
        "hint": "/state, /triad and /tokens show where it led",
    }


def _passes(engine: Kira) -> list[dict[str, Any]]:
    """Fall below the band and rise over it until TRIAD is unlocked; once it is, a single pass."""
    steps = []
    for _ in range(max(1, TRIAD_COMPLETIONS_REQUIRED - engine.state.triad_completions)):
        if engine.state.z > TRIAD_LOW:
            steps.append(_step(engine, UNDER))
        steps.append(_step(engine, OVER))
    return steps


def _step(engine: Kira, z: float) -> dict[str, Any]:
    events = engine.evolve_z(z, _STEPS)
    return {"target": z, "z": engine.state.z, "phase": engine.state.phase.value, "events": events}
