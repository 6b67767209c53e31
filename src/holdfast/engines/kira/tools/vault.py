"""token_vault: tokens that were met, how often and where, and words that are taught together with them."""

from typing import Annotated

from msgspec import Meta, field

from holdfast.engines.kira.tools.arguments import Count, Name, Result, Unit
from holdfast.engines.kira.tools.tool import Memory, Tool, copied, refused
from holdfast.tokens import OPERATORS, SPIRALS, LatticeToken, SlotToken, parse

NODES_KEPT = 64
"""Our choice: the token that was recorded longest ago goes when one more comes."""

Token = Annotated[str, Meta(min_length=1, max_length=120, pattern=r"^\S+$", examples=["e+|NP0|t4"])]
Tokens = Annotated[list[Token], Meta(min_length=1, max_length=100)]
Words = Annotated[list[Name], Meta(min_length=1, max_length=16, examples=[["pattern", "lens"]])]


class Met(Memory):
    count: Count
    z: Unit


class VaultMemory(Memory):
    nodes: dict[str, Met] = field(default_factory=dict)
    recorded: Count = 0
    taught: Count = 0


def words_of(token: str) -> list[str]:
    """What a token of lattice or slot means: its spiral, its operator and its machine, as words; [] for any other."""
    found = parse(token)
    if isinstance(found, LatticeToken):
        words = [SPIRALS[found.spiral], OPERATORS[found.operator], found.machine]
    elif isinstance(found, SlotToken):
        words = [SPIRALS[found.spiral], OPERATORS[found.operator]]
    else:
        words = []
    return [word.lower() for word in words]


class TokenVault(Tool[VaultMemory]):
    """Keeps tokens with their counts, and teaches: the words given are learned with the words that the token means."""

    name, default_action, empty = "token_vault", "status", VaultMemory

    def do_record(self, *, tokens: Tokens) -> Result:
        """Count these tokens, at the present z."""
        nodes, z = self.memory.nodes, self.engine.state.z
        fresh = [token for token in dict.fromkeys(tokens) if token not in nodes]
        for token in tokens:
            before = nodes.pop(token, None)
            nodes[token] = Met(count=(before.count if before else 0) + 1, z=z)
        for token in list(nodes)[:-NODES_KEPT]:
            del nodes[token]
        self.memory.recorded += len(tokens)
        return {"recorded": len(tokens), "new": fresh, **self._counts()}

    def do_teach(self, *, token: Token, words: Words) -> Result:
        """Learn words with a recorded token: the network's links between them grow."""
        if token not in self.memory.nodes:
            raise refused(self, f"{token!r} is not in the vault", "record it first")
        meaning = words_of(token)
        if not meaning:
            raise refused(self, f"{token!r} has no spiral and operator to teach", "teach a token as e+|NP0|t4")
        network, state = self.engine.network, self.engine.state
        said = list(dict.fromkeys(word.lower() for word in words))
        pairs = [(word, other) for word in said for other in meaning if word != other]
        before = {f"{word} → {other}": network.strength(word, other) for word, other in pairs}
        learned = network.learn(said, meaning, z=state.z, kappa=state.coherence)
        self.memory.taught += 1
        return {
            "token": token,
            "meaning": meaning,
            "strength_before": before,
            "strength_after": {f"{word} → {other}": network.strength(word, other) for word, other in pairs},
            "learning": learned,
            **self._counts(),
        }

    def do_lookup(self, *, token: Token) -> Result:
        if token not in self.memory.nodes:
            raise refused(self, f"{token!r} is not in the vault", "record it first")
        return {"token": token, **copied(self.memory.nodes[token]), "meaning": words_of(token)}

    def do_status(self) -> Result:
        most = sorted(self.memory.nodes.items(), key=lambda node: -node[1].count)[:5]
        return {"most_recorded": {token: met.count for token, met in most}, **self._counts()}

    def _counts(self) -> Result:
        return {"nodes": len(self.memory.nodes), "recorded_total": self.memory.recorded, "taught_total": self.memory.taught}
