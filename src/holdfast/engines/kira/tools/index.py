"""token_index: all 1,326 entries by set, and the registry of the tokens that were met."""

from functools import cache
from typing import Annotated

from msgspec import Meta, field

from holdfast.engines.kira.lattice import LATTICE
from holdfast.engines.kira.tools.arguments import Count, Result
from holdfast.engines.kira.tools.fingerprint import fingerprint
from holdfast.engines.kira.tools.spinner import matching
from holdfast.engines.kira.tools.tool import Memory, Tool, refused
from holdfast.tokens import CORE_MACHINES, DOMAINS, MACHINES, SPIRALS, TRUTHS

CORE_TIERS = (1, 2, 3)
REGISTERED_KEPT = 100
SHOWN = 20

Pattern = Annotated[str, Meta(min_length=1, max_length=120, examples=["Φ×|*|celestial"])]


@cache
def index_sets() -> dict[str, tuple[str, ...]]:
    """Set → its entries, all different: 162 + 54 + 54 + 30 core tokens, the lattice of 972, and its 54 families.

    Only the sizes are given; what makes them is our choice. Core tokens are `field:machine(on)TRUTH@tier`: identity is
    each machine on itself, at every truth and tier; meta on the next machine, at tier 2; domain on the one before, at
    tier 3; safety is each machine on each other one, UNTRUE, at tier 1, in the field Φ. A family is a machine with a
    domain, 18 tokens of the lattice.
    """
    pairs = [(first, other) for first in CORE_MACHINES for other in CORE_MACHINES if first != other]
    return {
        "identity": tuple(
            f"{field}:{machine}({machine}){truth}@{tier}"
            for field in SPIRALS
            for machine in CORE_MACHINES
            for truth in TRUTHS
            for tier in CORE_TIERS
        ),
        "meta": _neighbours(1, 2),
        "domain": _neighbours(-1, 3),
        "safety": tuple(f"Φ:{first}({other})UNTRUE@1" for first, other in pairs),
        "lattice": LATTICE,
        "families": tuple(f"{machine}|{domain}" for machine in MACHINES for domain in DOMAINS),
    }


def _neighbours(distance: int, tier: int) -> tuple[str, ...]:
    return tuple(
        f"{field}:{machine}({CORE_MACHINES[(position + distance) % len(CORE_MACHINES)]}){truth}@{tier}"
        for field in SPIRALS
        for position, machine in enumerate(CORE_MACHINES)
        for truth in TRUTHS
    )


CORE_SETS = ("identity", "meta", "domain", "safety")


class IndexMemory(Memory):
    builds: Count = 0
    lookups: Count = 0
    last_pattern: str = ""
    registered: dict[str, Count] = field(default_factory=dict)
    updates: Count = 0


class TokenIndex(Tool[IndexMemory]):
    """Builds the index, looks tokens up by pattern, and registers how often those in the vault were met."""

    name, default_action, empty = "token_index", "status", IndexMemory

    def do_build(self) -> Result:
        """Count every set, and check that no entry stands twice."""
        entries = [entry for entries in index_sets().values() for entry in entries]
        if len(set(entries)) != len(entries):
            raise refused(self, "an entry of the index stands twice", "this is a fault of the index itself; report it")
        self.memory.builds += 1
        return {**self.do_status(), "digest": fingerprint(entries)}

    def do_lookup(self, *, pattern: Pattern) -> Result:
        """The entries of the lattice that match a pattern, component by component; else core tokens of exactly that text."""
        found = {
            "lattice": matching(self, pattern),
            **{name: [entry for entry in index_sets()[name] if entry == pattern] for name in (*CORE_SETS, "families")},
        }
        hits = [entry for entries in found.values() for entry in entries]
        self.memory.lookups += 1
        self.memory.last_pattern = pattern
        return {
            "pattern": pattern,
            "count": len(hits),
            "showing": hits[:SHOWN],
            "by_set": {name: len(entries) for name, entries in found.items() if entries},
        }

    def do_register(self) -> Result:
        """Bring the registry up to date with the token vault: token → how often it was recorded there."""
        vault = self.engine.tools["token_vault"].state_dict().get("nodes", {})
        registered = self.memory.registered
        fresh = [token for token in vault if token not in registered]
        changed = [token for token, node in vault.items() if registered.get(token, 0) != node["count"]]
        for token in changed:
            registered[token] = vault[token]["count"]
        for token in list(registered)[:-REGISTERED_KEPT]:
            del registered[token]
        self.memory.updates += 1
        return {
            "status": "REGISTERED",
            "new": fresh,
            "updated": len(changed) - len(fresh),
            "registered_total": len(registered),
            "updates": self.memory.updates,
        }

    def do_status(self) -> Result:
        sizes, memory = {name: len(entries) for name, entries in index_sets().items()}, self.memory
        return {
            "core": sum(sizes[name] for name in CORE_SETS),
            "grand_total": sum(sizes.values()),
            "sets": sizes,
            "is_built": memory.builds > 0,
            "builds": memory.builds,
            "lookups": memory.lookups,
            "registered_total": len(memory.registered),
        }
