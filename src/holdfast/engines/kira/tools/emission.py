"""emission_pipeline: texts from concepts, and the codex in which they are kept."""

from typing import Annotated

from msgspec import Meta, field

from holdfast.engines.kira.tools.arguments import Count, Name, Result, Unit
from holdfast.engines.kira.tools.tool import Kept, Memory, Tool, copied

RECENT_KEPT = 10
CODEX_KEPT = 20

Concepts = Annotated[list[Name], Meta(min_length=1, max_length=5, examples=[["pattern", "emergence"]])]


class Emitted(Memory):
    text: str
    z: Unit
    phase: str
    quality: Unit
    tokens: Count


class EmissionMemory(Memory):
    recent: Kept[Emitted] = field(default_factory=Kept[Emitted])
    codex: Kept[Emitted] = field(default_factory=Kept[Emitted])
    seen: Count = 0


class EmissionPipeline(Tool[EmissionMemory]):
    """Has the engine compose a text in its nine stages, and keeps what came out."""

    name, default_action, empty = "emission_pipeline", "emit", EmissionMemory

    def do_emit(self, *, concepts: Concepts) -> Result:
        """Compose a text from concepts. It counts as the engine's emission, and its tokens as emitted."""
        composed = self.engine.compose(concepts)
        emission = composed["emission"]
        self.memory.recent.add(
            Emitted(
                text=emission["text"],
                z=emission["z"],
                phase=emission["phase"],
                quality=emission["quality"],
                tokens=len(emission["tokens"]),
            ),
            RECENT_KEPT,
        )
        return {
            "emission": copied(emission),
            "stages": copied(composed["stages"]),
            "tier": composed["tier"],
            "made_total": self.memory.recent.total,
        }

    def do_codex(self) -> Result:
        """Append to the codex what this tool has made since the last time, as far as it is still kept here."""
        memory = self.memory
        fresh = memory.recent.items[-(memory.recent.total - memory.seen) :] if memory.recent.total > memory.seen else []
        for emission in fresh:
            memory.codex.add(emission, CODEX_KEPT)
        missed = memory.recent.total - memory.seen - len(fresh)
        memory.seen = memory.recent.total
        return {"status": "APPENDED", "appended": copied(fresh), "missed": missed, "codex_total": memory.codex.total}

    def do_recent(self) -> Result:
        """The last texts, oldest first, and the codex."""
        memory = self.memory
        return {
            "recent": copied(memory.recent.items),
            "codex": copied(memory.codex.items),
            "made_total": memory.recent.total,
            "codex_total": memory.codex.total,
        }
