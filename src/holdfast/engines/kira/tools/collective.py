"""collective_memory_sync: values under keys that several instances share, and how two such memories become one."""

from typing import Annotated

from msgspec import Meta, field

from holdfast.engines.kira.tools.arguments import Count, Name, Plain, Result, Unit
from holdfast.engines.kira.tools.fingerprint import canonical_json
from holdfast.engines.kira.tools.tool import Memory, Tool, copied, refused

KEYS_ALLOWED = 64
VALUE_LIMIT_CHARACTERS = 1_000

Key = Annotated[Name, Meta(examples=["pattern"])]


class Shared(Memory):
    value: Plain
    version: Annotated[int, Meta(ge=1)]
    z: Unit


class Incoming(Memory):
    value: Plain
    version: Annotated[int, Meta(ge=1, le=2**53)] = 1
    z: Unit = 0.0


class CollectiveMemory(Memory):
    entries: dict[str, Shared] = field(default_factory=dict)
    merges: Count = 0


class CollectiveMemorySync(Tool[CollectiveMemory]):
    """A memory that can be merged in any order with the same outcome.

    Our choice: of two entries under one key the higher version stays; of equal versions the one whose JSON, then whose z,
    is greater.
    """

    name, default_action, empty = "collective_memory_sync", "list", CollectiveMemory

    def do_store(self, *, key: Key, value: Plain) -> Result:
        """Keep a value; one that was there is replaced, with the next version."""
        entries = self.memory.entries
        self._refuse_excess({**entries, key: value})
        self._refuse_large(key, value)
        version = entries[key].version + 1 if key in entries else 1
        entries[key] = Shared(value=value, version=version, z=self.engine.state.z)
        return {"stored": key, "version": version, "keys": len(entries)}

    def do_retrieve(self, *, key: Key) -> Result:
        if key not in self.memory.entries:
            raise refused(self, f"there is nothing under {key!r}", "store it first, or see action='list'")
        return {"key": key, **copied(self.memory.entries[key])}

    def do_merge(
        self,
        *,
        memories: Annotated[dict[Key, Incoming], Meta(min_length=1, examples=[{"pattern": {"value": 1, "version": 2}}])],
    ) -> Result:
        """Take over what another instance knows better: {key: {value, version, z}}, as action='list' gives it."""
        entries, taken, kept = self.memory.entries, [], []
        self._refuse_excess({**entries, **memories})
        for key, incoming in memories.items():
            self._refuse_large(key, incoming.value)
        for key, incoming in memories.items():
            theirs = Shared(value=incoming.value, version=incoming.version, z=incoming.z)
            if key in entries and _rank(theirs) <= _rank(entries[key]):
                kept.append(key)
            else:
                entries[key] = theirs
                taken.append(key)
        self.memory.merges += 1
        return {"taken": taken, "kept": kept, "keys": len(entries), "merges": self.memory.merges}

    def do_forget(self, *, key: Key) -> Result:
        if key not in self.memory.entries:
            raise refused(self, f"there is nothing under {key!r}", "see action='list'")
        del self.memory.entries[key]
        return {"forgotten": key, "keys": len(self.memory.entries)}

    def do_list(self) -> Result:
        """Everything, in the form that merge takes."""
        return {"memories": copied(self.memory.entries), "keys": len(self.memory.entries), "merges": self.memory.merges}

    def _refuse_excess(self, keys: dict[str, object]) -> None:
        if len(keys) > KEYS_ALLOWED:
            raise refused(self, f"there would be {len(keys)} keys, and {KEYS_ALLOWED} is the most", "forget some first")

    def _refuse_large(self, key: str, value: object) -> None:
        size = len(canonical_json(value))
        if size > VALUE_LIMIT_CHARACTERS:
            raise refused(
                self, f"the value under {key!r} has {size:,} characters", f"keep at most {VALUE_LIMIT_CHARACTERS:,} under a key"
            )


def _rank(entry: Shared) -> tuple[int, str, float]:
    return entry.version, canonical_json(entry.value), entry.z
