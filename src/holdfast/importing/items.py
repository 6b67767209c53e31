"""What a file says, as what will be recorded. ts: microseconds since 1970, None where the file does not tell."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec


class Tokens(msgspec.Struct, frozen=True, gc=False):
    """Tokens that belong together, with columns of the same length."""

    texts: Sequence[str]
    columns: Mapping[str, Sequence[Any]] = {}
    ts: int | None = None
    where: str = ""


class Emission(msgspec.Struct, frozen=True, gc=False):
    """A text."""

    text: str
    tokens: Sequence[str] = ()
    z: float | None = None
    phase: str | None = None
    quality: float | None = None
    meta: Mapping[str, Any] | None = None
    ts: int | None = None
    where: str = ""


class Metric(msgspec.Struct, frozen=True, gc=False):
    """Named values of one moment."""

    values: Mapping[str, Any]
    ts: int | None = None
    where: str = ""


class Module(msgspec.Struct, frozen=True, gc=False):
    """The result of a module or stage."""

    name: str
    result: Any
    status: str = "ok"
    index: int | None = None
    phase: str | None = None
    ts: int | None = None
    where: str = ""


class Transition(msgspec.Struct, frozen=True, gc=False):
    """A state, and the one before it."""

    before: Any
    after: Any
    ts: int | None = None
    where: str = ""


class Event(msgspec.Struct, frozen=True, gc=False):
    """Anything else."""

    name: str
    data: Mapping[str, Any]
    ts: int | None = None
    where: str = ""


Item = Tokens | Emission | Metric | Module | Transition | Event
KINDS: Mapping[type, str] = {
    Tokens: "tokens",
    Emission: "emissions",
    Metric: "metrics",
    Module: "modules",
    Transition: "states",
    Event: "events",
}
"""What each is called in a report."""
