"""workspace: the engine's work as named documents, for whoever writes them to a disk."""

from typing import Annotated, Any

from msgspec import Meta, field

from holdfast.engines.kira.tools.arguments import Result
from holdfast.engines.kira.tools.fingerprint import canonical_json, fingerprint
from holdfast.engines.kira.tools.tool import Kept, Memory, Tool, copied, refused

EXPORTS_KEPT = 5
DOCUMENTS = {
    "log.json": "coordinate_logger",
    "consents.json": "consent_protocol",
    "triggers.json": "autonomous_trigger_detector",
    "memories.json": "collective_memory_sync",
    "tools.json": "shed_builder_v2",
    "vaultnodes.json": "vaultnode_generator",
    "emissions.json": "emission_pipeline",
    "tokens.json": "token_vault",
    "registry.json": "token_index",
}
"""Document → the tool whose memory it holds."""

WorkspaceName = Annotated[str, Meta(pattern=r"^\w[\w.-]{0,79}$", examples=["demo"])]


class Exported(Memory):
    digest: str
    documents: int
    characters: int


class WorkspaceMemory(Memory):
    name: str = ""
    exports: Kept[Exported] = field(default_factory=Kept[Exported])


class Workspace(Tool[WorkspaceMemory]):
    """Gathers documents. Our choice: the engine touches no disk, so an export is an answer, and init only names it."""

    name, default_action, empty = "workspace", "status", WorkspaceMemory

    def do_init(self, *, name: WorkspaceName) -> Result:
        """Give the workspace its name, once."""
        if self.memory.name:
            raise refused(self, f"the workspace is {self.memory.name!r} already", "export it, or reset the engine first")
        self.memory.name = name
        return self.do_status()

    def do_export(self, *, with_documents: bool = True) -> Result:
        """All documents as {name: JSON text} and their digest; without them only their sizes."""
        if not self.memory.name:
            raise refused(self, "the workspace has no name yet", "call it with action='init', name='demo' first")
        documents = self._documents()
        sizes = {name: len(text) for name, text in documents.items()}
        exported = Exported(digest=fingerprint(documents), documents=len(documents), characters=sum(sizes.values()))
        self.memory.exports.add(exported, EXPORTS_KEPT)
        answer: Result = {"status": "EXPORTED", "name": self.memory.name, "sizes": sizes, "digest": exported.digest}
        return {**answer, "exports": self.memory.exports.total, **({"documents": documents} if with_documents else {})}

    def do_status(self) -> Result:
        memory = self.memory
        return {
            "status": "READY" if memory.name else "NOT_INITIALIZED",
            "name": memory.name or None,
            "exports": memory.exports.total,
            "recent": copied(memory.exports.items),
        }

    def _documents(self) -> dict[str, str]:
        engine = self.engine
        state: dict[str, Any] = {"state": engine.state.recorded(), "k_formation": engine.state.k_formation()}
        memories = {document: engine.tools[tool].state_dict() for document, tool in DOCUMENTS.items()}
        return {"state.json": canonical_json(state), **{name: canonical_json(memory) for name, memory in memories.items()}}
