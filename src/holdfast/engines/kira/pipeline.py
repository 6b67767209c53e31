"""Running the 33 modules, one, a phase or all, and counting what became of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from holdfast.engines.kira.grammar import part_of_speech
from holdfast.engines.kira.modules import (
    CLIMB_TO,
    MODULES,
    MODULES_OF_PHASE,
    PHASES,
    Failed,
    Module,
    module_number,
    phase_number,
)
from holdfast.engines.kira.tools.arguments import Count, Result
from holdfast.engines.kira.tools.fingerprint import fingerprint
from holdfast.errors import InvalidValue

if TYPE_CHECKING:
    from holdfast.engines.kira.engine import Kira

Status = Literal["ok", "error", "skipped"]
STATUSES: tuple[Status, ...] = ("ok", "error", "skipped")
CODEX = "emissions_codex"
STRONG_PAIR = 0.4
"""Our choice: two words linked both ways with so much strength are a pattern."""


class PipelineMemory(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    statuses: dict[str, Status] = msgspec.field(default_factory=dict)
    runs: Count = 0
    manifests: Count = 0
    last_manifest: str = ""

    def __post_init__(self) -> None:
        if not {str(module.number) for module in MODULES}.issuperset(self.statuses):
            raise ValueError(f"the keys of statuses are modules, 1 to {len(MODULES)}")


class Pipeline:
    """The pipeline of one engine. It remembers the last status of each module, and nothing of a run in progress:
    modules may be run one by one, with the engine stored and restored between any two."""

    def __init__(self, engine: Kira) -> None:
        self._engine = engine
        self.memory = PipelineMemory()

    def run_module(self, number: int, *, announce: bool = True) -> Result:
        """Run a module, 1 to 33: {module, name, phase, status, result, z_before, z, state_phase, crystal, triggered}.

        status is ok, error (the result has `error`; an argument or z that a tool refused) or skipped; what else goes
        wrong is raised. announce=False leaves the module and the transition to be recorded by the caller; tokens,
        emissions and events are announced as they happen.
        """
        module, engine = MODULES[module_number(number) - 1], self._engine
        before = engine.state.recorded()
        self._climb(module)
        try:
            result = module.work(engine)
        except Failed as failure:
            result = failure.result
        status: Status = "error" if "error" in result else "skipped" if result.get("status") == "skipped" else "ok"
        self.memory.statuses[str(module.number)] = status
        self.memory.runs += 1
        triggered = engine.tools["autonomous_trigger_detector"].run("check")["fired"]
        state, phase = engine.state, f"phase{module.phase}"
        if announce and engine.listener is not None:
            engine.listener.module(module.name, result, status=status, index=module.number, phase=phase)
            engine.listener.transition(before, state.recorded())
        return {
            "module": module.number,
            "name": module.name,
            "phase": phase,
            "status": status,
            "result": result,
            "z_before": before["z"],
            "z": state.z,
            "state_phase": state.phase.value,
            "crystal": state.crystal.value,
            "triggered": triggered,
        }

    def run_phase(self, phase: int | str, *, announce: bool = True) -> Result:
        """Run a phase, given as 3 or "phase3": {phase, name, modules, executed, counts, results}.

        An error in one module does not keep the next from running. `executed` counts those that were not skipped.
        """
        number = phase_number(phase)
        modules = MODULES_OF_PHASE[number]
        results = [self.run_module(module.number, announce=announce) for module in modules]
        counts = _counted([result["status"] for result in results])
        return {
            "phase": f"phase{number}",
            "name": PHASES[number],
            "modules": [module.number for module in modules],
            "executed": counts["ok"] + counts["error"],
            "counts": counts,
            "results": results,
        }

    def run_all(self) -> Result:
        """All seven phases, as /hit_it answers."""
        engine = self._engine
        tokens, emissions = len(engine.tokens_emitted), len(engine.emissions)
        phases = [self.run_phase(number) for number in PHASES]
        counts = {status: sum(phase["counts"][status] for phase in phases) for status in STATUSES}
        closing = next((result["result"].get("closing") for result in phases[-1]["results"] if result["name"] == CODEX), None)
        final_state = {**engine.state.recorded(), "k_formation": engine.state.k_formation()}
        return {
            "command": "/hit_it",
            "status": "COMPLETE" if not counts["error"] else "COMPLETE_WITH_ERRORS",
            "message": f"{len(MODULES)} modules in {len(phases)} phases: "
            + ", ".join(f"{count} {status}" for status, count in counts.items()),
            "phases": phases,
            "pipeline": {"phases": phases, "total_modules": len(MODULES), "counts": counts, "final_state": final_state},
            "tokens": {"emitted": len(engine.tokens_emitted) - tokens, "total": len(engine.tokens_emitted)},
            "emissions": {"made": len(engine.emissions) - emissions, "total": len(engine.emissions)},
            "emission": closing,
            "final_state": final_state,
            "hint": "run_phase('phase3') runs one phase again, run_module(15) one module",
        }

    def totals(self) -> Result:
        """How many modules ended how, at their last run; `not_run` are those that never were."""
        counts = _counted(list(self.memory.statuses.values()))
        return {**counts, "not_run": len(MODULES) - len(self.memory.statuses), "runs_total": self.memory.runs}

    def teaching_counts(self) -> Result:
        """What the engine has to teach: words, the verbs among them, links, and patterns."""
        network = self._engine.network
        patterns = sum(
            word < other and strength >= STRONG_PAIR and network.strength(other, word) >= STRONG_PAIR
            for word, links in network.links.items()
            for other, strength in links.items()
        )
        verbs = sum(part_of_speech(word) == "verb" for word in network.links)
        return {"vocabulary": network.word_count, "verbs": verbs, "connections": network.link_count, "patterns": patterns}

    def manifest(self) -> Result:
        """What was done and where it led, with a digest of it all and of the manifest before."""
        engine, memory = self._engine, self.memory
        content = {
            "number": memory.manifests + 1,
            "previous": memory.last_manifest,
            "modules": dict(memory.statuses),
            "totals": self.totals(),
            "final_state": engine.state.recorded(),
            "k_formation": engine.state.k_formation(),
            "teaching": self.teaching_counts(),
            "tokens_emitted": len(engine.tokens_emitted),
            "emissions_generated": len(engine.emissions),
            "tool_calls": dict(engine.tools.calls),
        }
        memory.manifests += 1
        memory.last_manifest = fingerprint(content)
        return {**content, "digest": memory.last_manifest}

    def clear(self) -> None:
        """Forget which modules were run."""
        self.memory = PipelineMemory()

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = msgspec.to_builtins(self.memory)
        return state

    def read_state(self, state: object) -> PipelineMemory:
        """The memory that a state_dict holds, for the caller to put in place. InvalidValue names a wrong field."""
        try:
            return msgspec.convert(state, PipelineMemory)
        except msgspec.ValidationError as error:
            reason, _, place = str(error).partition(" - at `$")
            raise InvalidValue(f"pipeline{place.rstrip('`')}", reason) from None

    def _climb(self, module: Module) -> None:
        target = CLIMB_TO[module.phase]
        if module is MODULES_OF_PHASE[module.phase][0] and self._engine.state.z < target:
            self._engine.move_to(target)


def _counted(statuses: list[Status]) -> Result:
    return {status: statuses.count(status) for status in STATUSES}
