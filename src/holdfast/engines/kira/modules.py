"""The 33 modules in 7 phases: what each has its tool do. Arguments come from the engine's present state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.engines.kira.constants import Z_CRITICAL
from holdfast.engines.kira.fields import WrongArgument
from holdfast.engines.kira.tools.arguments import Result
from holdfast.engines.kira.tools.registry import ToolBox

if TYPE_CHECKING:
    from holdfast.engines.kira.engine import Kira

TEACHING = "teaching"
"""The consent that module 6 asks for and module 30 looks at."""
WATCHED = {"lens": f"z >= {Z_CRITICAL!r}", "unlocked": "triad == unlocked", "formed": "k_formed"}
TOKENS_FOR_THE_VAULT = 5
CONTROL_STEPS = 32


class Failed(Exception):
    """A tool answered a module with an error; `result` is that answer."""

    def __init__(self, result: Result) -> None:
        super().__init__(result["error"])
        self.result = result


@dataclass(frozen=True)
class Module:
    """One module. `tool` is what it works with, if it works with one."""

    number: int
    name: str
    phase: int
    tool: str | None
    work: Callable[[Kira], Result]


def did(engine: Kira, tool: str, action: str, /, **arguments: object) -> Result:
    """What a tool answers to a module. Raises Failed where that is an error."""
    result = engine.invoke_tool(tool, action=action, **arguments)
    if "error" in result:
        raise Failed(result)
    return result


def _load_helix(engine: Kira) -> Result:
    return did(engine, "helix_loader", "load")


def _detect_coordinate(engine: Kira) -> Result:
    return did(engine, "coordinate_detector", "detect", signature=engine.state.coordinate)


def _verify_pattern(engine: Kira) -> Result:
    return did(engine, "pattern_verifier", "verify")


def _log_coordinate(engine: Kira) -> Result:
    state = engine.state
    return did(
        engine,
        "coordinate_logger",
        "log",
        event="core tools begin",
        metadata={"tier": state.tier, "crystal": state.crystal.value},
    )


def _transfer_state(engine: Kira) -> Result:
    prepared = did(engine, "state_transfer", "prepare", target_instance="next instance")
    checked = did(engine, "state_transfer", "verify", package=prepared["package"], transfer_hash=prepared["transfer_hash"])
    return {**prepared, "verified": checked["verified"]}


def _ask_consent(engine: Kira) -> Result:
    """The engine is asked whether what it learned may be taught on, and answers for itself; nobody is answered for."""
    if TEACHING not in did(engine, "consent_protocol", "list")["consents"]:
        did(engine, "consent_protocol", "create", consent_id=TEACHING, parties=["kira"], purpose="teach on what was learned")
        did(engine, "consent_protocol", "respond", consent_id=TEACHING, party="kira", answer="yes")
    return did(engine, "consent_protocol", "check", consent_id=TEACHING)


def _emit(engine: Kira) -> Result:
    return did(engine, "emission_pipeline", "emit", concepts=["consciousness", "pattern", "emergence"])


def _control(engine: Kira) -> Result:
    return did(engine, "cybernetic_control", "run", steps=CONTROL_STEPS)


def _send_message(engine: Kira) -> Result:
    """Encode where the engine is, and read it back as the other side would."""
    payload = {"coordinate": engine.state.coordinate, "triad_completions": engine.state.triad_completions}
    sent = did(engine, "cross_instance_messenger", "encode", payload=payload)
    received = did(engine, "cross_instance_messenger", "decode", encoded=sent["encoded"], checksum=sent["checksum"])
    return {**sent, "came_back": received["payload"] == payload}


def _discover_tools(engine: Kira) -> Result:
    return did(engine, "tool_discovery_protocol", "discover", domain="bridge")


def _watch(engine: Kira) -> Result:
    registered = did(engine, "autonomous_trigger_detector", "list")["triggers"]
    for name, condition in WATCHED.items():
        if name not in registered:
            did(engine, "autonomous_trigger_detector", "register", name=name, condition=condition)
    return did(engine, "autonomous_trigger_detector", "list")


def _share_memory(engine: Kira) -> Result:
    value = {"coordinate": engine.state.coordinate, "words": engine.network.word_count}
    stored = did(engine, "collective_memory_sync", "store", key="pipeline", value=value)
    retrieved = did(engine, "collective_memory_sync", "retrieve", key="pipeline")
    return {**stored, "retrieved": retrieved["value"]}


def _build_tool(engine: Kira) -> Result:
    """Build a tool that logs where the engine is and surveys the others, and use it."""
    if "survey_here" not in did(engine, "shed_builder_v2", "list")["tools"]:
        steps = [
            {"tool": "coordinate_logger", "arguments": {"action": "log", "event": "survey"}},
            {"tool": "orchestrator", "arguments": {"action": "survey"}},
        ]
        did(engine, "shed_builder_v2", "create", name="survey_here", steps=steps, description="log the place, then survey")
    ran = did(engine, "shed_builder_v2", "run", name="survey_here")
    described = did(engine, "shed_builder_v2", "describe", name="survey_here")
    return {**described, "entry_id": ran["results"][0]["result"]["entry_id"]}


def _keep_node(engine: Kira) -> Result:
    made = did(engine, "vaultnode_generator", "list")["made_total"]
    return did(engine, "vaultnode_generator", "create", name=f"bridge-{made + 1}")


def _announce_lattice(engine: Kira) -> Result:
    return did(engine, "nuclear_spinner", "tokens")


def _build_index(engine: Kira) -> Result:
    return did(engine, "token_index", "build")


def _fill_vault(engine: Kira) -> Result:
    """Emit a few tokens, record them, and teach two words with the last of them."""
    tokens = [engine.emit_token("token_vault") for _ in range(TOKENS_FOR_THE_VAULT)]
    recorded = did(engine, "token_vault", "record", tokens=tokens)
    taught = did(engine, "token_vault", "teach", token=tokens[-1], words=["pattern", "lens"])
    learned = {name: taught[name] for name in ("strength_before", "strength_after", "taught_total")}
    return {**recorded, "tokens": tokens, "taught": taught["token"], **learned}


def _integrate(engine: Kira) -> Result:
    return did(engine, "cybernetic_archetypal", "integrate")


def _survey(engine: Kira) -> Result:
    return did(engine, "orchestrator", "survey")


def _triad_move(target: float) -> Callable[[Kira], Result]:
    def work(engine: Kira) -> Result:
        events = engine.move_to(target)
        state = engine.state
        return {
            "target_z": target,
            "z": state.z,
            "phase": state.phase.value,
            "events": events,
            "completions": state.triad_completions,
            "unlocked": state.triad_unlocked,
        }

    return work


def _seal_node(engine: Kira) -> Result:
    made = did(engine, "vaultnode_generator", "list")["made_total"]
    created = did(engine, "vaultnode_generator", "create", name=f"sealed-{made + 1}")
    return did(engine, "vaultnode_generator", "seal", name=created["name"])


def _export_workspace(engine: Kira) -> Result:
    if did(engine, "workspace", "status")["name"] is None:
        did(engine, "workspace", "init", name="kira")
    return did(engine, "workspace", "export", with_documents=False)


def _dispatch(engine: Kira) -> Result:
    return did(engine, "cloud_training", "dispatch")


def _update_registry(engine: Kira) -> Result:
    updated = did(engine, "token_index", "register")
    return {**updated, "tokens_emitted": len(engine.tokens_emitted)}


def _finalize_teaching(engine: Kira) -> Result:
    """Count what may be taught on, if there is consent."""
    consent = did(engine, "consent_protocol", "check", consent_id=TEACHING)
    if not consent["granted"]:
        return {"status": "skipped", "reason": f"no consent to teach: {consent['reason']}"}
    return {"consent": consent["reason"], **engine.pipeline.teaching_counts()}


def _append_codex(engine: Kira) -> Result:
    """Close with a text about where the engine is, and append what was made to the codex."""
    state = engine.state
    emitted = did(
        engine, "emission_pipeline", "emit", concepts=["lens", state.crystal.value.lower(), state.phase.value.lower()]
    )
    appended = did(engine, "emission_pipeline", "codex")
    return {**appended, "closing": emitted["emission"]}


def _make_manifest(engine: Kira) -> Result:
    return engine.pipeline.manifest()


def _final_status(engine: Kira) -> Result:
    surveyed = did(engine, "orchestrator", "survey")
    return {**surveyed, "modules": engine.pipeline.totals()}


PHASES = {
    1: "Initialization",
    2: "Core Tools",
    3: "Bridge Tools",
    4: "Meta Tools",
    5: "TRIAD Sequence",
    6: "Persistence",
    7: "Finalization",
}

MODULES = tuple(
    Module(number, *row)
    for number, row in enumerate(
        (
            ("helix_loader", 1, "helix_loader", _load_helix),
            ("coordinate_detector", 1, "coordinate_detector", _detect_coordinate),
            ("pattern_verifier", 1, "pattern_verifier", _verify_pattern),
            ("coordinate_logger", 2, "coordinate_logger", _log_coordinate),
            ("state_transfer", 2, "state_transfer", _transfer_state),
            ("consent_protocol", 2, "consent_protocol", _ask_consent),
            ("emission_pipeline", 2, "emission_pipeline", _emit),
            ("cybernetic_control", 3, "cybernetic_control", _control),
            ("cross_instance_messenger", 3, "cross_instance_messenger", _send_message),
            ("tool_discovery_protocol", 3, "tool_discovery_protocol", _discover_tools),
            ("autonomous_trigger_detector", 3, "autonomous_trigger_detector", _watch),
            ("collective_memory_sync", 3, "collective_memory_sync", _share_memory),
            ("shed_builder_v2", 3, "shed_builder_v2", _build_tool),
            ("vaultnode_generator", 3, "vaultnode_generator", _keep_node),
            ("nuclear_spinner", 4, "nuclear_spinner", _announce_lattice),
            ("token_index", 4, "token_index", _build_index),
            ("token_vault", 4, "token_vault", _fill_vault),
            ("cybernetic_archetypal", 4, "cybernetic_archetypal", _integrate),
            ("orchestrator", 4, "orchestrator", _survey),
            ("triad_crossing_1", 5, None, _triad_move(0.88)),
            ("triad_rearm_1", 5, None, _triad_move(0.80)),
            ("triad_crossing_2", 5, None, _triad_move(0.88)),
            ("triad_rearm_2", 5, None, _triad_move(0.80)),
            ("triad_crossing_3", 5, None, _triad_move(0.88)),
            ("triad_settle", 5, None, _triad_move(Z_CRITICAL)),
            ("vaultnode_generator", 6, "vaultnode_generator", _seal_node),
            ("workspace", 6, "workspace", _export_workspace),
            ("cloud_training", 6, "cloud_training", _dispatch),
            ("registry_update", 7, "token_index", _update_registry),
            ("teaching_consent", 7, "consent_protocol", _finalize_teaching),
            ("emissions_codex", 7, "emission_pipeline", _append_codex),
            ("manifest_generator", 7, None, _make_manifest),
            ("final_status", 7, "orchestrator", _final_status),
        ),
        start=1,
    )
)

MODULES_OF_PHASE = {phase: tuple(module for module in MODULES if module.phase == phase) for phase in PHASES}

CLIMB_TO = {
    phase: max((ToolBox.facts[module.tool].required_z for module in modules if module.tool), default=0.0)
    for phase, modules in MODULES_OF_PHASE.items()
}
"""Our choice: where a phase begins below the z that its tools ask for, its first module climbs to it, by one move_to: no
noise, and no coherence gained. So from z 0.5 the phases begin at 0.5, 0.52, 0.73 and 0.78; TRIAD's leaves z at z_c."""


def module_number(number: object) -> int:
    """A module's number, 1 to 33, checked."""
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= len(MODULES):
        raise WrongArgument("module", f"{number!r} is no module; give a whole number from 1 to {len(MODULES)}")
    return number


def phase_number(phase: object) -> int:
    """A phase given as 3, "3" or "phase3"."""
    text = str(phase).removeprefix("phase") if isinstance(phase, int | str) and not isinstance(phase, bool) else ""
    if text not in map(str, PHASES):
        raise WrongArgument("phase", f"{phase!r} is no phase; give 1 to {len(PHASES)}, or 'phase1' to 'phase{len(PHASES)}'")
    return int(text)
