"""The 21 tools in order, each with what it asks for; and an engine's tool box, which calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.engines.kira.fields import WrongArgument
from holdfast.engines.kira.tools.archetypal import CyberneticArchetypal
from holdfast.engines.kira.tools.arguments import Refused, Result
from holdfast.engines.kira.tools.cloud import CloudTraining
from holdfast.engines.kira.tools.collective import CollectiveMemorySync
from holdfast.engines.kira.tools.consent import ConsentProtocol
from holdfast.engines.kira.tools.coordinates import CoordinateDetector, CoordinateLogger
from holdfast.engines.kira.tools.cybernetic import CyberneticControl
from holdfast.engines.kira.tools.discovery import Orchestrator, ToolDiscoveryProtocol
from holdfast.engines.kira.tools.emission import EmissionPipeline
from holdfast.engines.kira.tools.helix import HelixLoader, PatternVerifier
from holdfast.engines.kira.tools.index import TokenIndex
from holdfast.engines.kira.tools.shed import ShedBuilder
from holdfast.engines.kira.tools.spinner import NuclearSpinner
from holdfast.engines.kira.tools.tool import Tool, plain_mapping
from holdfast.engines.kira.tools.transfer import CrossInstanceMessenger, StateTransfer
from holdfast.engines.kira.tools.triggers import AutonomousTriggerDetector
from holdfast.engines.kira.tools.vault import TokenVault
from holdfast.engines.kira.tools.vaultnode import VaultnodeGenerator
from holdfast.engines.kira.tools.workspace import Workspace
from holdfast.errors import InvalidValue

if TYPE_CHECKING:
    from holdfast.engines.kira.engine import Kira

TOKEN_DOMAIN = "celestial_nuclear"


@dataclass(frozen=True)
class ToolFacts:
    """What one tool asks for and does. Calling it with an engine does it: `facts(engine, action="…", …)`."""

    tool: type[Tool[Any]]
    required_z: float
    domain: str
    token: str

    @property
    def name(self) -> str:
        return self.tool.name

    @property
    def does(self) -> str:
        """What it is for, in a sentence."""
        return (self.tool.__doc__ or "").partition("\n")[0]

    @property
    def actions(self) -> list[str]:
        return self.tool.actions()

    def to_dict(self) -> Result:
        return {
            "name": self.name,
            "required_z": self.required_z,
            "domain": self.domain,
            "token": self.token,
            "actions": self.actions,
            "does": self.does,
        }

    def __call__(self, engine: Kira, /, action: str = "", **arguments: object) -> Result:
        """Do one action of the tool on this engine. What is refused is answered as {"error": …} and changes nothing."""
        state = engine.state
        if state.z < self.required_z:
            return {
                "error": "Insufficient elevation",
                "tool": self.name,
                "required_z": self.required_z,
                "current_z": state.z,
                "hint": f"climb first, with /evolve {self.required_z} or move_to({self.required_z}); nothing was changed",
            }
        try:
            result = engine.tools[self.name].run(action, **arguments)
        except (Refused, WrongArgument) as refusal:
            return {"error": str(refusal), "tool": self.name}
        if "error" in result:
            return {**result, "tool": self.name}
        return {**result, "_token_integration": engine.tools.counted(self)}


def _registered(*facts: ToolFacts) -> dict[str, ToolFacts]:
    return {fact.name: fact for fact in facts}


# Domains are given for the first eleven; our choice for the others: by the z they need, as there.
_FACTS = _registered(
    ToolFacts(HelixLoader, 0.0, "core", f"e+|Encoder|{TOKEN_DOMAIN}"),
    ToolFacts(CoordinateDetector, 0.1, "core", f"Φ()|Filter|{TOKEN_DOMAIN}"),
    ToolFacts(PatternVerifier, 0.3, "core", f"π×|Catalyst|{TOKEN_DOMAIN}"),
    ToolFacts(CoordinateLogger, 0.4, "core", f"e+|Encoder|{TOKEN_DOMAIN}"),
    ToolFacts(StateTransfer, 0.51, "bridge", f"e−|Decoder|{TOKEN_DOMAIN}"),
    ToolFacts(ConsentProtocol, 0.52, "bridge", f"Φ()|Filter|{TOKEN_DOMAIN}"),
    ToolFacts(CrossInstanceMessenger, 0.55, "bridge", f"e()|Conductor|{TOKEN_DOMAIN}"),
    ToolFacts(ToolDiscoveryProtocol, 0.58, "bridge", f"e^|Filter|{TOKEN_DOMAIN}"),
    ToolFacts(AutonomousTriggerDetector, 0.62, "bridge", f"e()|Oscillator|{TOKEN_DOMAIN}"),
    ToolFacts(CollectiveMemorySync, 0.65, "bridge", f"Φ+|Encoder|{TOKEN_DOMAIN}"),
    ToolFacts(ShedBuilder, 0.73, "meta", f"π^|Regenerator|{TOKEN_DOMAIN}"),
    ToolFacts(VaultnodeGenerator, 0.41, "core", f"Φ()|Encoder|{TOKEN_DOMAIN}"),
    ToolFacts(EmissionPipeline, 0.5, "core", f"e+|Encoder|{TOKEN_DOMAIN}"),
    ToolFacts(CyberneticControl, 0.6, "bridge", f"e×|Oscillator|{TOKEN_DOMAIN}"),
    ToolFacts(NuclearSpinner, 0.7, "meta", f"e()|Reactor|{TOKEN_DOMAIN}"),
    ToolFacts(TokenIndex, 0.75, "meta", f"Φ+|Encoder|{TOKEN_DOMAIN}"),
    ToolFacts(TokenVault, 0.76, "meta", f"Φ()|Encoder|{TOKEN_DOMAIN}"),
    ToolFacts(CyberneticArchetypal, 0.78, "meta", f"π×|Dynamo|{TOKEN_DOMAIN}"),
    ToolFacts(Orchestrator, 0.0, "core", f"e()|Reactor|{TOKEN_DOMAIN}"),
    ToolFacts(Workspace, 0.0, "core", f"Φ+|Encoder|{TOKEN_DOMAIN}"),
    ToolFacts(CloudTraining, 0.0, "core", f"e^|Dynamo|{TOKEN_DOMAIN}"),
)

TOOL_REGISTRY: dict[str, Callable[..., Result]] = dict(_FACTS)
"""Tool → what is called with an engine and arguments. Entries may be replaced by functions around them (their facts stay)."""


class ToolBox:
    """An engine's 21 tools with their memories, and how often each was called with success."""

    facts: Mapping[str, ToolFacts] = _FACTS

    def __init__(self, engine: Kira) -> None:
        self._engine = engine
        self._tools: dict[str, Tool[Any]] = {name: fact.tool(engine) for name, fact in self.facts.items()}
        self.calls: dict[str, int] = {}

    def __getitem__(self, name: str) -> Tool[Any]:
        return self._tools[name]

    def within_reach(self, z: float) -> list[str]:
        """The tools that may be used at this z."""
        return [name for name, fact in self.facts.items() if fact.required_z <= z]

    def invoke(self, name: str, /, **arguments: object) -> Result:
        """Call a tool. An unknown one, too low a z, or wrong arguments are answered as {"error": …} and change nothing."""
        if name not in TOOL_REGISTRY:
            return {"error": f"there is no tool {name!r}; there are {', '.join(TOOL_REGISTRY)}"}
        return TOOL_REGISTRY[name](self._engine, **arguments)

    def counted(self, facts: ToolFacts) -> Result:
        """Count a call; what is added to its answer. Our choice: the token is named, and not emitted."""
        self.calls[facts.name] = self.calls.get(facts.name, 0) + 1
        state = self._engine.state
        return {
            "token": facts.token,
            "domain": facts.domain,
            "z": state.z,
            "phase": state.phase.value,
            "tier": state.tier,
            "calls": self.calls[facts.name],
        }

    def clear(self) -> None:
        """Forget what every tool remembers."""
        for tool in self._tools.values():
            tool.clear()
        self.calls.clear()

    def state_dict(self) -> dict[str, Any]:
        """The memories that are not empty, and the calls."""
        memories = {name: state for name, tool in self._tools.items() if (state := tool.state_dict())}
        return {"memories": memories, "calls": dict(self.calls)}

    def load_state_dict(self, state: object) -> None:
        """Take a state_dict. At a wrong value: InvalidValue that names it, and nothing is changed."""
        values = plain_mapping(state, "tools")
        for part in values:
            if part not in ("memories", "calls"):
                raise InvalidValue(f"tools.{part}", "there is no such part; `memories` and `calls` belong here")
        memories = plain_mapping(values.get("memories"), "tools.memories")
        calls = plain_mapping(values.get("calls"), "tools.calls")
        for part, mapping in (("memories", memories), ("calls", calls)):
            for name in mapping:
                if name not in self._tools:
                    raise InvalidValue(f"tools.{part}.{name}", "there is no such tool")
        counts = {name: _count(count, f"tools.calls.{name}") for name, count in calls.items()}
        read = {name: tool.read_state(memories.get(name, {})) for name, tool in self._tools.items()}
        for name, memory in read.items():
            self._tools[name].memory = memory
        self.calls = counts


def _count(value: object, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidValue(path, f"a whole number of 0 or more belongs here, and {value!r} came")
    return value
