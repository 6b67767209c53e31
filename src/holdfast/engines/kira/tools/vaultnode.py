"""vaultnode_generator: named places on the way, sealed into a chain so that a later change shows."""

from typing import Annotated

from msgspec import Meta, field

from holdfast.engines.kira.tools.arguments import Count, Name, Result, Unit
from holdfast.engines.kira.tools.fingerprint import fingerprint
from holdfast.engines.kira.tools.tool import Memory, Tool, copied, refused

NODES_KEPT = 16
"""Our choice: the oldest node goes when one more is made. The chain of seals goes on over it."""

NodeName = Annotated[Name, Meta(examples=["lens"])]


class KFormation(Memory):
    k_formed: bool
    kappa: Unit
    eta: Unit
    R: Count
    threshold: Count


class Measured(Memory):
    z: Unit
    coordinate: str
    phase: str
    crystal: str
    frequency: Count
    triad_completions: Count
    triad_unlocked: bool
    k_formation: KFormation


class Node(Memory):
    measured: Measured
    tokens: Count
    emissions: Count
    previous: str = ""
    seal: str = ""


class VaultnodeMemory(Memory):
    nodes: dict[str, Node] = field(default_factory=dict)
    made: Count = 0
    sealed: Count = 0
    last_seal: str = ""


class VaultnodeGenerator(Tool[VaultnodeMemory]):
    """Measures the present state, keeps it under a name, and seals it: the hash of the node and of the seal before it."""

    name, default_action, empty = "vaultnode_generator", "measure", VaultnodeMemory

    def do_measure(self) -> Result:
        """What a node made now would hold. Keeps nothing."""
        return {"status": "MEASURED", **copied(self._measured()), "nodes": list(self.memory.nodes)}

    def do_create(self, *, name: NodeName) -> Result:
        """Keep the present state under a name, which no node may have yet."""
        nodes = self.memory.nodes
        if name in nodes:
            raise refused(self, f"there is a node {name!r} already", "take another name, or seal the one that is there")
        if len(nodes) >= NODES_KEPT:
            del nodes[next(iter(nodes))]
        engine = self.engine
        nodes[name] = Node(measured=self._measured(), tokens=len(engine.tokens_emitted), emissions=len(engine.emissions))
        self.memory.made += 1
        return {"status": "CREATED", "name": name, **_shown(nodes[name]), "made_total": self.memory.made}

    def do_seal(self, *, name: NodeName) -> Result:
        """Close a node for good, chained to the node that was sealed before."""
        node = self._node(name)
        if node.seal:
            raise refused(self, f"node {name!r} is sealed already ({node.seal})", "create another one")
        node.previous = self.memory.last_seal
        node.seal = _seal(name, node)
        self.memory.last_seal = node.seal
        self.memory.sealed += 1
        return {"status": "SEALED", "name": name, **_shown(node), "sealed_total": self.memory.sealed}

    def do_verify(self, *, name: NodeName) -> Result:
        """Whether a sealed node still is what was sealed."""
        node = self._node(name)
        if not node.seal:
            raise refused(self, f"node {name!r} is not sealed", "seal it first")
        return {"name": name, "verified": node.seal == _seal(name, node), "seal": node.seal}

    def do_list(self) -> Result:
        memory = self.memory
        nodes = {
            name: {"z": node.measured.z, "phase": node.measured.phase, "seal": node.seal} for name, node in memory.nodes.items()
        }
        return {"nodes": nodes, "made_total": memory.made, "sealed_total": memory.sealed, "last_seal": memory.last_seal or None}

    def _node(self, name: str) -> Node:
        if name not in self.memory.nodes:
            raise refused(self, f"there is no node {name!r}", "create it first, or see action='list'")
        return self.memory.nodes[name]

    def _measured(self) -> Measured:
        state = self.engine.state
        return Measured(
            z=state.z,
            coordinate=state.coordinate,
            phase=state.phase.value,
            crystal=state.crystal.value,
            frequency=state.frequency,
            triad_completions=state.triad_completions,
            triad_unlocked=state.triad_unlocked,
            k_formation=KFormation(
                k_formed=state.k_formed,
                kappa=state.coherence,
                eta=state.negentropy,
                R=state.triad_completions,
                threshold=state.k_threshold,
            ),
        )


def _shown(node: Node) -> Result:
    shown: Result = copied(node)
    measured: Result = shown.pop("measured")
    return {**measured, "tokens": node.tokens, "emissions": node.emissions, "previous": node.previous, "seal": node.seal}


def _seal(name: str, node: Node) -> str:
    return fingerprint([name, copied(node.measured), node.tokens, node.emissions, node.previous])
