"""cybernetic_archetypal: how far the tools have grown together, and which of seven stages that makes stronger."""

from bisect import bisect_right
from typing import Annotated

from msgspec import Meta, field

from holdfast.engines.kira.constants import PHI_INV, Z_CRITICAL
from holdfast.engines.kira.state import State
from holdfast.engines.kira.tiers import Phase
from holdfast.engines.kira.tools.arguments import Count, Result, Unit
from holdfast.engines.kira.tools.cybernetic import CyberneticControl
from holdfast.engines.kira.tools.tool import Memory, Tool

STAGES = ("SEED", "SPROUT", "GROWTH", "PATTERN", "COHERENT", "CRYSTALLINE")
_BOUNDS = (0.25, 0.50, PHI_INV, 0.75, Z_CRITICAL)
LAST_STAGE = "META"
FAMILY_OF_PHASE = {Phase.UNTRUE: "Planet", Phase.PARADOX: "Garden", Phase.TRUE: "Rose"}
BLEND = 0.2
"""Our choice: how far a stage's activation moves towards what an integration measures."""

Stage = Annotated[str, Meta(pattern=f"^({'|'.join((*STAGES, LAST_STAGE))})$")]


def stage_of(state: State) -> str:
    """The stage by z; META if and only if K is formed."""
    return LAST_STAGE if state.k_formed else STAGES[bisect_right(_BOUNDS, state.z)]


class ArchetypalMemory(Memory):
    activations: dict[Stage, Unit] = field(default_factory=dict)
    integrations: Count = 0


class CyberneticArchetypal(Tool[ArchetypalMemory]):
    """Measures integration, 0 to 1, and moves the activation of the present stage towards it.

    Our choice: integration is the mean of the share of tools that have a memory, the oscillators' order parameter,
    negentropy and coherence.
    """

    name, default_action, empty = "cybernetic_archetypal", "integrate", ArchetypalMemory

    def do_integrate(self) -> Result:
        """Measure, and let it count."""
        measured = self._measured()
        stage = measured["stage"]
        before = self.memory.activations.get(stage, 0.0)
        self.memory.activations[stage] = before + BLEND * (measured["integration"] - before)
        self.memory.integrations += 1
        return {**measured, "activation_before": before, **self._remembered()}

    def do_status(self) -> Result:
        """Measure only."""
        return {**self._measured(), **self._remembered()}

    def _remembered(self) -> Result:
        return {"activations": dict(self.memory.activations), "integrations": self.memory.integrations}

    def _measured(self) -> Result:
        tools, state = self.engine.tools, self.engine.state
        control = tools["cybernetic_control"]
        with_memory = sum(1 for name in tools.facts if tools[name].state_dict())
        parts = {
            "tools": with_memory / len(tools.facts),
            "order": control.order if isinstance(control, CyberneticControl) else 0.0,
            "negentropy": state.negentropy,
            "coherence": state.coherence,
        }
        return {
            "stage": stage_of(state),
            "family": FAMILY_OF_PHASE[state.phase],
            "frequency": state.frequency,
            "integration": sum(parts.values()) / len(parts),
            "parts": parts,
        }
