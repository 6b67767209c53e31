"""autonomous_trigger_detector: conditions on the engine's state that are told when they come true."""

import operator
import re
from collections.abc import Callable
from typing import Annotated

from msgspec import Meta, field

from holdfast.engines.kira.state import State
from holdfast.engines.kira.tiers import Phase
from holdfast.engines.kira.tools.arguments import Count, Name, Result
from holdfast.engines.kira.tools.tool import Memory, Tool, copied, refused

TRIGGERS_ALLOWED = 32

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}
_NUMBERS: dict[str, Callable[[State], float]] = {
    "z": lambda state: state.z,
    "coherence": lambda state: state.coherence,
    "negentropy": lambda state: state.negentropy,
    "completions": lambda state: state.triad_completions,
    "tier": lambda state: state.tier_index,
}
_NUMERIC = re.compile(rf"({'|'.join(_NUMBERS)})\s*(>=|<=|==|>|<)\s*(\d+(?:\.\d+)?)")
_PHASE = re.compile(rf"phase\s*==\s*({'|'.join(Phase)})")
_TRIAD = re.compile(r"triad\s*==\s*(unlocked|locked)")

TriggerName = Annotated[Name, Meta(examples=["lens"])]
Condition = Annotated[str, Meta(min_length=1, max_length=80, examples=["z >= 0.85"])]


def condition_of(text: str) -> Callable[[State], bool] | None:
    """What a condition's text asks of a state: `z >= 0.85`, `phase == TRUE`, `triad == unlocked`, `k_formed`; None if
    it is no condition. Nothing is evaluated as code."""
    text = text.strip()
    if numeric := _NUMERIC.fullmatch(text):
        value, compare, bound = _NUMBERS[numeric[1]], _COMPARISONS[numeric[2]], float(numeric[3])
        return lambda state: compare(value(state), bound)
    if phase := _PHASE.fullmatch(text):
        return lambda state: state.phase.value == phase[1]
    if triad := _TRIAD.fullmatch(text):
        return lambda state: state.triad_unlocked is (triad[1] == "unlocked")
    return (lambda state: state.k_formed) if text == "k_formed" else None


class Trigger(Memory):
    condition: Condition
    is_met: bool
    fired: Count = 0

    def __post_init__(self) -> None:
        if condition_of(self.condition) is None:
            raise ValueError(f"{self.condition!r} is no condition")


class TriggerMemory(Memory):
    triggers: dict[str, Trigger] = field(default_factory=dict)
    checks: Count = 0
    fired: Count = 0


class AutonomousTriggerDetector(Tool[TriggerMemory]):
    """Watches conditions. One fires when it is met and was not at the look before: at registering, or at a check.

    Our choice: after every module of the pipeline the engine checks by itself; else whoever uses the tool does.
    """

    name, default_action, empty = "autonomous_trigger_detector", "list", TriggerMemory

    def do_register(self, *, name: TriggerName, condition: Condition) -> Result:
        """Watch a condition from now on. Being met already does not fire it."""
        triggers = self.memory.triggers
        if name in triggers:
            raise refused(self, f"trigger {name!r} is registered already", "remove it first, or take another name")
        if len(triggers) >= TRIGGERS_ALLOWED:
            raise refused(self, f"{TRIGGERS_ALLOWED} triggers are registered", "remove one first")
        holds = condition_of(condition)
        if holds is None:
            raise refused(
                self,
                f"{condition!r} is no condition",
                f"compare {', '.join(_NUMBERS)} as in `z >= 0.85`, or write `phase == TRUE`, `triad == unlocked`, `k_formed`",
            )
        triggers[name] = Trigger(condition=condition, is_met=holds(self.engine.state))
        return {"registered": name, **copied(triggers[name]), "triggers": len(triggers)}

    def do_check(self) -> Result:
        """Look at every condition; those that came true fire, and each is announced as an event."""
        state, fired = self.engine.state, []
        for name, trigger in self.memory.triggers.items():
            holds = condition_of(trigger.condition)
            was_met, trigger.is_met = trigger.is_met, holds is not None and holds(state)
            if trigger.is_met and not was_met:
                trigger.fired += 1
                fired.append(name)
        self.memory.checks += 1
        self.memory.fired += len(fired)
        if self.engine.listener is not None:
            for name in fired:
                self.engine.listener.event("trigger", trigger=name, condition=self.memory.triggers[name].condition, z=state.z)
        return {"fired": fired, "checks": self.memory.checks, "fired_total": self.memory.fired}

    def do_list(self) -> Result:
        return {"triggers": copied(self.memory.triggers), "checks": self.memory.checks, "fired_total": self.memory.fired}

    def do_remove(self, *, name: TriggerName) -> Result:
        """Stop watching."""
        if name not in self.memory.triggers:
            raise refused(self, f"there is no trigger {name!r}", "see action='list'")
        del self.memory.triggers[name]
        return {"removed": name, "triggers": len(self.memory.triggers)}
