"""tool_discovery_protocol and orchestrator: which tools there are, and what was done with them."""

from typing import Annotated

from msgspec import Meta, field

from holdfast.engines.kira.tools.arguments import Count, Result, Unit
from holdfast.engines.kira.tools.tool import Memory, Tool, refused

Query = Annotated[str, Meta(max_length=80)]


class DiscoveryMemory(Memory):
    queries: Count = 0
    last_query: str = ""
    discovered: list[str] = field(default_factory=list)


class ToolDiscoveryProtocol(Tool[DiscoveryMemory]):
    """Finds tools by a word, an elevation or a domain, and remembers which it has come across."""

    name, default_action, empty = "tool_discovery_protocol", "discover", DiscoveryMemory

    def do_discover(self, *, query: Query = "", min_z: Unit = 0.0, max_z: Unit = 1.0, domain: Query = "") -> Result:
        """Tools whose name or purpose holds the query, that need a z from min_z to max_z, of the domain if one is given."""
        facts = self.engine.tools.facts
        domains = sorted({fact.domain for fact in facts.values()})
        if domain and domain not in domains:
            raise refused(self, f"there is no domain {domain!r}", f"give one of {', '.join(domains)}")
        if min_z > max_z:
            raise refused(self, f"min_z {min_z} lies above max_z {max_z}", "give min_z <= max_z")
        wanted = query.lower()
        found = [
            fact
            for fact in facts.values()
            if (not domain or fact.domain == domain)
            and min_z <= fact.required_z <= max_z
            and wanted in f"{fact.name} {fact.does}".lower()
        ]
        memory, z = self.memory, self.engine.state.z
        fresh = [fact.name for fact in found if fact.name not in memory.discovered]
        memory.queries += 1
        memory.last_query = query
        memory.discovered += fresh
        return {
            "tools": [{**fact.to_dict(), "accessible": z >= fact.required_z} for fact in found],
            "count": len(found),
            "new": fresh,
            "discovered_total": len(memory.discovered),
            "queries": memory.queries,
        }

    def do_status(self) -> Result:
        memory = self.memory
        return {"queries": memory.queries, "last_query": memory.last_query, "discovered": list(memory.discovered)}


class OrchestratorMemory(Memory):
    surveys: Count = 0
    calls_then: dict[str, Count] = field(default_factory=dict)


class Orchestrator(Tool[OrchestratorMemory]):
    """Looks over all tools: who is within reach, who was called how often, and what changed since it last looked."""

    name, default_action, empty = "orchestrator", "survey", OrchestratorMemory

    def do_survey(self) -> Result:
        """The status of everything, compared with the survey before; afterwards this one is what is compared with."""
        overview = self.do_status()
        calls = self.engine.tools.calls
        changed = {name: count - self.memory.calls_then.get(name, 0) for name, count in calls.items()}
        self.memory.surveys += 1
        self.memory.calls_then = dict(calls)
        return {
            **overview,
            "surveys": self.memory.surveys,
            "called_since_last": {name: count for name, count in changed.items() if count > 0},
        }

    def do_status(self) -> Result:
        """The same without taking note of it."""
        engine, tools = self.engine, self.engine.tools
        reach = tools.within_reach(engine.state.z)
        return {
            "tools_total": len(tools.facts),
            "tools_accessible": len(reach),
            "out_of_reach": [name for name in tools.facts if name not in reach],
            "calls": dict(tools.calls),
            "with_memory": [name for name in tools.facts if tools[name].state_dict()],
            "state": engine.state.recorded(),
            "k_formation": engine.state.k_formation(),
            "surveys": self.memory.surveys,
        }
