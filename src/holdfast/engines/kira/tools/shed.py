"""shed_builder_v2: the user's own tools, each a list of calls of the others."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, field

from holdfast.engines.kira.tools.arguments import Action, Count, Name, Plain, Result, Text
from holdfast.engines.kira.tools.fingerprint import canonical_json
from holdfast.engines.kira.tools.tool import Memory, Tool, copied, refused

TOOLS_ALLOWED = 16
SIZE_LIMIT_CHARACTERS = 2_000

ToolName = Annotated[Name, Meta(examples=["survey"])]


class Step(Memory):
    tool: str
    arguments: dict[str, Plain] = field(default_factory=dict)


class Built(Memory):
    steps: list[Step]
    description: str = ""
    runs: Count = 0


Steps = Annotated[list[Step], Meta(min_length=1, max_length=8, examples=[[{"tool": "orchestrator", "arguments": {}}]])]


class ShedMemory(Memory):
    built: dict[str, Built] = field(default_factory=dict)
    runs: Count = 0


class ShedBuilder(Tool[ShedMemory]):
    """Builds tools out of tools. Steps are checked when a tool is created; none may call the shed again."""

    name, default_action, empty = "shed_builder_v2", "list", ShedMemory

    def do_create(self, *, name: ToolName, steps: Steps, description: Text | None = None) -> Result:
        """Keep a tool under a name: its steps are [{tool, arguments}], run in order."""
        built = self.memory.built
        if name in built or name in self.engine.tools.facts:
            raise refused(self, f"there is a tool {name!r} already", "remove your own first, or take another name")
        if len(built) >= TOOLS_ALLOWED:
            raise refused(self, f"{TOOLS_ALLOWED} tools are built", "remove one first")
        size = len(canonical_json(copied(steps)))
        if size > SIZE_LIMIT_CHARACTERS:
            raise refused(self, f"the steps have {size:,} characters", f"keep them within {SIZE_LIMIT_CHARACTERS:,}")
        for number, step in enumerate(steps, start=1):
            self._checked(number, step)
        built[name] = Built(steps=steps, description=description or "")
        return {"created": name, **self._described(name), "tools": len(built)}

    def do_describe(self, *, name: ToolName) -> Result:
        self._tool(name)
        return {"name": name, **self._described(name)}

    def do_run(self, *, name: ToolName) -> Result:
        """Run the steps in order; stops at the first that fails. What the steps before it did stays done, and is told."""
        tool, tools = self._tool(name), self.engine.tools
        # Before anything runs: is every step within reach?
        for number, step in enumerate(tool.steps, start=1):
            required, z = tools.facts[step.tool].required_z, self.engine.state.z
            if z < required:
                raise refused(
                    self, f"step {number} of {name!r} ({step.tool}) needs z {required}, and z is {z:.4f}", "climb first"
                )
        results: list[Result] = []
        for number, step in enumerate(tool.steps, start=1):
            result = tools.invoke(step.tool, **copied(step.arguments))
            if "error" in result:
                done = f"the {len(results)} before it are done" if results else "nothing was done"
                return {"error": f"{self.name}: step {number} of {name!r}: {result['error']}; {done}", "results": results}
            results.append({"tool": step.tool, "result": result})
        tool.runs += 1
        self.memory.runs += 1
        return {"ran": name, "results": results, "runs": tool.runs}

    def do_list(self) -> Result:
        tools = {name: self._described(name) for name in self.memory.built}
        return {"tools": tools, "count": len(tools), "runs_total": self.memory.runs}

    def do_remove(self, *, name: ToolName) -> Result:
        self._tool(name)
        del self.memory.built[name]
        return {"removed": name, "tools": len(self.memory.built)}

    def _checked(self, number: int, step: Step) -> tuple[Action, dict[str, Any]]:
        facts = self.engine.tools.facts
        if step.tool not in facts or step.tool == self.name:
            possible = ", ".join(name for name in facts if name != self.name)
            raise refused(self, f"step {number} names {step.tool!r}, which a tool cannot be built of", f"use one of {possible}")
        arguments = dict(step.arguments)
        action = facts[step.tool].tool.action(str(arguments.pop("action", "")))
        return action, action.bound(arguments)

    def _tool(self, name: str) -> Built:
        if name not in self.memory.built:
            raise refused(self, f"there is no tool {name!r}", "create it first, or see action='list'")
        return self.memory.built[name]

    def _described(self, name: str) -> Result:
        tool, facts = self.memory.built[name], self.engine.tools.facts
        required = max(facts[step.tool].required_z for step in tool.steps)
        return {
            "description": tool.description,
            "steps": [{"tool": step.tool, "arguments": copied(step.arguments)} for step in tool.steps],
            "required_z": max(required, facts[self.name].required_z),
            "runs": tool.runs,
        }
