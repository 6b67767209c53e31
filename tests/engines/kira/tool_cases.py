"""One case for each of the 21 tools: calls that change its memory, what then is there, and a call that is refused."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from holdfast.engines.kira import Kira
from holdfast.engines.kira.constants import Z_CRITICAL

Call = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """`facts` reads what the calls are to change; `before` and `after` are what it reads then."""

    tool: str
    calls: list[Call]
    facts: Callable[[Any], dict[str, Any]]
    before: dict[str, Any]
    after: dict[str, Any]
    refused: Call
    because: str
    prepare: list[tuple[str, Call]] = field(default_factory=list)

    def engine(self) -> Kira:
        """An engine at the lens, where every tool is within reach, with what the calls need."""
        engine = Kira(seed=5)
        engine.move_to(Z_CRITICAL)
        for tool, call in self.prepare:
            assert "error" not in engine.invoke_tool(tool, **call)
        return engine

    def memory(self, engine: Kira) -> dict[str, Any]:
        return copy.deepcopy(self.facts(engine.tools[self.tool].memory))


ENCODED = {"encoded": "eyJhIjoxfQ==", "checksum": "e71cf359"}
WATCH = {"action": "register", "name": "unlocked", "condition": "triad == unlocked"}
BUILD = {
    "action": "create",
    "name": "note",
    "steps": [{"tool": "coordinate_logger", "arguments": {"action": "log", "event": "x"}}],
}
ASK = {"action": "create", "consent_id": "teaching", "parties": ["kira", "guest"]}

CASES = (
    Case(
        tool="helix_loader",
        calls=[{"action": "load", "pattern": "spiral", "z": 0.7}],
        facts=lambda memory: {"pattern": memory.pattern, "z": memory.z, "loads": memory.loads},
        before={"pattern": "", "z": 0.0, "loads": 0},
        after={"pattern": "spiral", "z": 0.7, "loads": 1},
        refused={"action": "load", "theta": 9.0},
        because="theta outside 0 to 2π",
    ),
    Case(
        tool="coordinate_detector",
        calls=[{"signature": "Δ5.027|0.800000|1.528Ω"}, {"signature": "no coordinate"}],
        facts=lambda memory: {"detections": memory.detections.total, "valid": memory.valid},
        before={"detections": 0, "valid": 0},
        after={"detections": 2, "valid": 1},
        refused={"signature": 7},
        because="signature: Expected `str | null`, got `int`",
    ),
    Case(
        tool="pattern_verifier",
        calls=[{}, {"expected": "0123456789abcdef"}],
        facts=lambda memory: {"checks": memory.checks, "mismatches": memory.mismatches, "measured": bool(memory.last_hash)},
        before={"checks": 0, "mismatches": 0, "measured": False},
        after={"checks": 2, "mismatches": 1, "measured": True},
        refused={"expected": "short"},
        because="expected: Expected `str` matching regex",
    ),
    Case(
        tool="coordinate_logger",
        calls=[{"action": "log", "event": "arrived", "metadata": {"why": "lens"}}],
        facts=lambda memory: {"entries": [(e.entry_id, e.event, e.metadata) for e in memory.entries.items]},
        before={"entries": []},
        after={"entries": [("entry-0001", "arrived", {"why": "lens"})]},
        refused={"action": "log"},
        because="event= is missing; for example invoke_tool('coordinate_logger', action='log', event=",
    ),
    Case(
        tool="state_transfer",
        calls=[{"action": "prepare", "target_instance": "kira-2"}],
        facts=lambda memory: {"transfers": [transfer.target for transfer in memory.transfers.items]},
        before={"transfers": []},
        after={"transfers": ["kira-2"]},
        refused={"action": "prepare", "to": "kira-2"},
        because="it has no argument 'to'; it takes target_instance",
    ),
    Case(
        tool="consent_protocol",
        calls=[ASK, {"action": "respond", "consent_id": "teaching", "party": "kira", "answer": "yes"}],
        facts=lambda memory: {name: record.answers for name, record in memory.records.items()},
        before={},
        after={"teaching": {"kira": "yes", "guest": "silent"}},
        refused={"action": "respond", "consent_id": "teaching", "party": "stranger", "answer": "yes"},
        because="there is no consent 'teaching'",
    ),
    Case(
        tool="cross_instance_messenger",
        calls=[{"action": "encode", "payload": {"a": 1}}, {"action": "decode", **ENCODED}],
        facts=lambda memory: {"encoded": memory.encoded, "decoded": memory.decoded, "kept": len(memory.messages.items)},
        before={"encoded": 0, "decoded": 0, "kept": 0},
        after={"encoded": 1, "decoded": 1, "kept": 2},
        refused={"action": "decode", **ENCODED, "checksum": "00000000"},
        because="the message has the checksum e71cf359, and 00000000 was given",
    ),
    Case(
        tool="tool_discovery_protocol",
        calls=[{"domain": "bridge", "max_z": 0.53}],
        facts=lambda memory: {"queries": memory.queries, "discovered": memory.discovered},
        before={"queries": 0, "discovered": []},
        after={"queries": 1, "discovered": ["state_transfer", "consent_protocol"]},
        refused={"domain": "nowhere"},
        because="there is no domain 'nowhere'; give one of bridge, core, meta",
    ),
    Case(
        tool="autonomous_trigger_detector",
        calls=[WATCH, {"action": "check"}],
        facts=lambda memory: {"watched": [(name, t.is_met) for name, t in memory.triggers.items()], "checks": memory.checks},
        before={"watched": [], "checks": 0},
        after={"watched": [("unlocked", False)], "checks": 1},
        refused={"action": "register", "name": "odd", "condition": "z > __import__('os')"},
        because="is no condition; compare z",
    ),
    Case(
        tool="collective_memory_sync",
        calls=[{"action": "store", "key": "pattern", "value": [1, "two"]}, {"action": "store", "key": "pattern", "value": 3}],
        facts=lambda memory: {key: (entry.value, entry.version) for key, entry in memory.entries.items()},
        before={},
        after={"pattern": (3, 2)},
        refused={"action": "store", "key": "pattern", "value": float("nan")},
        because="value: nan cannot be kept",
    ),
    Case(
        tool="shed_builder_v2",
        calls=[BUILD, {"action": "run", "name": "note"}],
        facts=lambda memory: {name: built.runs for name, built in memory.built.items()},
        before={},
        after={"note": 1},
        refused={**BUILD, "steps": [{"tool": "coordinate_logger", "arguments": {"action": "log"}}]},
        because="event= is missing",
    ),
    Case(
        tool="vaultnode_generator",
        calls=[{"action": "create", "name": "lens"}, {"action": "seal", "name": "lens"}],
        facts=lambda memory: {"nodes": {name: bool(node.seal) for name, node in memory.nodes.items()}, "sealed": memory.sealed},
        before={"nodes": {}, "sealed": 0},
        after={"nodes": {"lens": True}, "sealed": 1},
        refused={"action": "seal", "name": "nowhere"},
        because="there is no node 'nowhere'",
    ),
    Case(
        tool="emission_pipeline",
        calls=[{"concepts": ["pattern", "emerge", "lens"]}, {"action": "codex"}],
        facts=lambda memory: {"made": memory.recent.total, "codex": memory.codex.total, "seen": memory.seen},
        before={"made": 0, "codex": 0, "seen": 0},
        after={"made": 1, "codex": 1, "seen": 1},
        refused={"action": "emit"},
        because="invoke_tool('emission_pipeline', action='emit', concepts=['pattern', 'emergence'])",
    ),
    Case(
        tool="cybernetic_control",
        calls=[{"action": "run", "steps": 25}, {"action": "step"}],
        facts=lambda memory: {"oscillators": len(memory.phases), "steps": memory.steps},
        before={"oscillators": 0, "steps": 0},
        after={"oscillators": 16, "steps": 26},
        refused={"action": "run", "steps": 0},
        because="steps: Expected `int` >= 1",
    ),
    Case(
        tool="nuclear_spinner",
        calls=[{"action": "run", "steps": 9}, {"action": "tokens"}],
        facts=lambda memory: {"steps": memory.steps, "visits": sum(memory.visits), "lattices": memory.lattices},
        before={"steps": 0, "visits": 0, "lattices": 0},
        after={"steps": 9, "visits": 9, "lattices": 1},
        refused={"action": "parse", "token": "α⊕|CELL|T0"},
        because="'α⊕|CELL|T0' is no token",
    ),
    Case(
        tool="token_index",
        calls=[{"action": "build"}, {"action": "lookup", "pattern": "Φ×|*|celestial"}, {"action": "register"}],
        facts=lambda memory: {"builds": memory.builds, "last": memory.last_pattern, "registered": memory.registered},
        before={"builds": 0, "last": "", "registered": {}},
        after={"builds": 1, "last": "Φ×|*|celestial", "registered": {"e+|NP0|t4": 1}},
        refused={"action": "lookup", "pattern": "a|b|c|d"},
        because="is not one to three parts between bars",
        prepare=[("token_vault", {"action": "record", "tokens": ["e+|NP0|t4"]})],
    ),
    Case(
        tool="token_vault",
        calls=[
            {"action": "record", "tokens": ["e+|NP0|t4", "e+|NP0|t4"]},
            {"action": "teach", "token": "e+|NP0|t4", "words": ["river"]},
        ],
        facts=lambda memory: {"nodes": {t: met.count for t, met in memory.nodes.items()}, "taught": memory.taught},
        before={"nodes": {}, "taught": 0},
        after={"nodes": {"e+|NP0|t4": 2}, "taught": 1},
        refused={"action": "teach", "token": "π−|VP0|t9", "words": ["river"]},
        because="'π−|VP0|t9' is not in the vault",
    ),
    Case(
        tool="cybernetic_archetypal",
        calls=[{"action": "integrate"}],
        facts=lambda memory: {"stages": list(memory.activations), "integrations": memory.integrations},
        before={"stages": [], "integrations": 0},
        after={"stages": ["CRYSTALLINE"], "integrations": 1},
        refused={"action": "dissolve"},
        because="it has no action 'dissolve'; it has integrate, status",
    ),
    Case(
        tool="orchestrator",
        calls=[{"action": "survey"}],
        facts=lambda memory: {"surveys": memory.surveys, "calls_then": memory.calls_then},
        before={"surveys": 0, "calls_then": {}},
        after={"surveys": 1, "calls_then": {"helix_loader": 1}},
        refused={"action": "survey", "deep": True},
        because="it has no argument 'deep'; it takes none",
        prepare=[("helix_loader", {})],
    ),
    Case(
        tool="workspace",
        calls=[{"action": "init", "name": "demo"}, {"action": "export"}],
        facts=lambda memory: {"name": memory.name, "exports": memory.exports.total},
        before={"name": "", "exports": 0},
        after={"name": "demo", "exports": 1},
        refused={"action": "export"},
        because="the workspace has no name yet",
    ),
    Case(
        tool="cloud_training",
        calls=[
            {"action": "configure", "repository": "owner/name", "workflow": "train.yml"},
            {"action": "dispatch", "inputs": {"epochs": 3}},
        ],
        facts=lambda memory: {"repository": memory.repository, "waiting": list(memory.waiting)},
        before={"repository": "", "waiting": []},
        after={"repository": "owner/name", "waiting": ["request-0001"]},
        refused={"action": "configure", "repository": "owner", "workflow": "train.yml"},
        because="repository: Expected `str` matching regex",
    ),
)
