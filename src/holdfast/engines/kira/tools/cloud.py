"""cloud_training: requests to train elsewhere, for whoever can send them; skipped while no target is configured."""

from typing import Annotated, Literal

from msgspec import Meta, field

from holdfast.engines.kira.tools.arguments import Count, Plain, Result, Text
from holdfast.engines.kira.tools.fingerprint import canonical_json, fingerprint
from holdfast.engines.kira.tools.tool import Memory, Tool, copied, refused

REQUESTS_ALLOWED = 16
INPUTS_LIMIT_CHARACTERS = 500

Repository = Annotated[str, Meta(pattern=r"^[\w.-]{1,80}/[\w.-]{1,80}$", examples=["owner/name"])]
Workflow = Annotated[str, Meta(pattern=r"^[\w.-]{1,80}$", examples=["train.yml"])]
RequestId = Annotated[str, Meta(pattern=r"^request-\d{4,}$", examples=["request-0001"])]


class Request(Memory):
    workflow: str
    inputs: dict[str, Plain]
    digest: str


class CloudMemory(Memory):
    repository: str = ""
    workflow: str = ""
    waiting: dict[str, Request] = field(default_factory=dict)
    made: Count = 0
    succeeded: Count = 0
    failed: Count = 0


class CloudTraining(Tool[CloudMemory]):
    """An outbox. Our choice: the engine has no network and keeps no credentials, so a request waits here, is announced as
    an event, and is settled by whoever sent it. Without a target every request is answered with status "skipped"."""

    name, default_action, empty = "cloud_training", "status", CloudMemory

    def do_configure(self, *, repository: Repository, workflow: Workflow) -> Result:
        """Name where requests are to go."""
        self.memory.repository, self.memory.workflow = repository, workflow
        return self.do_status()

    def do_dispatch(self, *, inputs: dict[str, Plain] | None = None) -> Result:
        """Put a request into the outbox, with the present state's digest."""
        memory, listener = self.memory, self.engine.listener
        if not memory.repository:
            return {"status": "skipped", "reason": "not configured", "hint": "call it with action='configure' first"}
        if len(memory.waiting) >= REQUESTS_ALLOWED:
            raise refused(self, f"{REQUESTS_ALLOWED} requests are waiting", "settle some first")
        if len(canonical_json(inputs or {})) > INPUTS_LIMIT_CHARACTERS:
            raise refused(self, "the inputs are too large", f"keep them within {INPUTS_LIMIT_CHARACTERS} characters")
        request_id = f"request-{memory.made + 1:04d}"
        digest = fingerprint(self.engine.state.recorded())
        memory.waiting[request_id] = Request(workflow=memory.workflow, inputs=inputs or {}, digest=digest)
        memory.made += 1
        if listener is not None:
            listener.event("cloud_training", request=request_id, repository=memory.repository, workflow=memory.workflow)
        return {"status": "WAITING", "request_id": request_id, **copied(memory.waiting[request_id])}

    def do_settle(self, *, request_id: RequestId, outcome: Literal["succeeded", "failed"], note: Text | None = None) -> Result:
        """Take a request out of the outbox, with what became of it."""
        memory = self.memory
        if request_id not in memory.waiting:
            raise refused(self, f"no request {request_id!r} is waiting", "see action='status'")
        del memory.waiting[request_id]
        memory.succeeded += outcome == "succeeded"
        memory.failed += outcome == "failed"
        return {"settled": request_id, "outcome": outcome, "note": note, "waiting": len(memory.waiting)}

    def do_status(self) -> Result:
        memory = self.memory
        if not memory.repository:
            return {"status": "skipped", "reason": "not configured", "hint": "call it with action='configure' first"}
        return {
            "status": "CONFIGURED",
            "repository": memory.repository,
            "workflow": memory.workflow,
            "waiting": list(memory.waiting),
            "made_total": memory.made,
            "succeeded_total": memory.succeeded,
            "failed_total": memory.failed,
        }
