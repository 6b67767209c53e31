"""What every tool has: actions by name, a memory that is stored and restored, and the engine it works on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import msgspec

from holdfast.engines.kira.tools.arguments import MAX_DEPTH, Action, Count, Refused, Result, plain_value
from holdfast.errors import InvalidValue

if TYPE_CHECKING:
    from holdfast.engines.kira.engine import Kira

T = TypeVar("T")
M = TypeVar("M", bound="Memory")

_LARGEST_STATE = 1_000_000
"""Characters and values in a stored memory; no tool's own limits let it come near."""
_DEEPEST_STATE = MAX_DEPTH + 8
"""Levels of a stored memory: an argument that it keeps lies some levels down (an entry's metadata four)."""


class Memory(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What a tool remembers. Its types, with their bounds, are what a stored one is checked against."""


class Kept(Memory, Generic[T]):
    """The last items of a log, and how many there ever were."""

    total: Count = 0
    items: list[T] = msgspec.field(default_factory=list)

    def add(self, item: T, limit: int) -> None:
        self.total += 1
        self.items.append(item)
        del self.items[:-limit]

    def __post_init__(self) -> None:
        if len(self.items) > self.total:
            raise ValueError(f"{len(self.items)} items are kept of {self.total} that ever were")


class Tool(Generic[M]):
    """One of the 21. Every method `do_<action>` is an action: it changes the memory and answers with plain values.

    An action checks everything before it changes anything: what it refuses leaves tool and engine as they were.
    """

    name: ClassVar[str]
    default_action: ClassVar[str]
    """What is done when no action is named."""
    empty: ClassVar[type[Memory]]

    memory: M

    def __init__(self, engine: Kira) -> None:
        self.engine = engine
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.memory = self.empty()  # type: ignore[assignment]  # each tool names the type of its own memory

    @classmethod
    def actions(cls) -> list[str]:
        return [name.removeprefix("do_") for name in vars(cls) if name.startswith("do_")]

    @classmethod
    def action(cls, name: str) -> Action:
        """An action by its name; "" for the default one."""
        chosen = name or cls.default_action
        if chosen not in cls.actions():
            raise Refused(f"{cls.name}: it has no action {chosen!r}; it has {', '.join(cls.actions())}")
        return _action(cls, chosen)

    def run(self, action: str = "", /, **arguments: object) -> Result:
        """Do one action. Raises Refused, with nothing changed."""
        chosen = self.action(action)
        return chosen.function(self, **chosen.bound(arguments))

    def state_dict(self) -> dict[str, Any]:
        """The memory as plain values; {} while there is none."""
        return {name: value for name, value in copied(self.memory).items() if value != {}}

    def read_state(self, state: object) -> M:
        """The memory that a state_dict holds, for the caller to put in place. InvalidValue names a wrong field."""
        try:
            plain = plain_value(state, f"tools.{self.name}", max_size=_LARGEST_STATE, max_depth=_DEEPEST_STATE)
        except Refused as refusal:
            path, _, reason = str(refusal).partition(": ")
            raise InvalidValue(path, reason) from None
        try:
            return msgspec.convert(plain, self.empty)  # type: ignore[return-value]  # the same type
        except msgspec.ValidationError as error:
            reason, _, place = str(error).partition(" - at `$")
            raise InvalidValue(f"tools.{self.name}{place.rstrip('`')}", reason) from None


def copied(value: object) -> Any:
    """A memory, or a value that holds some, as plain values that share nothing with it."""
    return msgspec.to_builtins(value)


_ACTIONS: dict[tuple[str, str], Action] = {}


def _action(tool: type[Tool[Any]], name: str) -> Action:
    """Made at its first use: reading a signature costs more than a call."""
    if made := _ACTIONS.get((tool.name, name)):
        return made
    opening = f"invoke_tool({tool.name!r}, action={name!r}"
    action = Action(f"{tool.name} {name}", vars(tool)[f"do_{name}"], opening=opening, closing=")", comma=", ")
    return _ACTIONS.setdefault((tool.name, name), action)


def refused(tool: Tool[Any], what: str, remedy: str) -> Refused:
    return Refused(f"{tool.name}: {what}; {remedy}")


def plain_mapping(state: object, path: str) -> Mapping[str, object]:
    """A mapping with texts as keys, as a state_dict has it."""
    if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
        raise InvalidValue(path, f"a mapping with texts as keys belongs here, and {type(state).__name__} came")
    return state
