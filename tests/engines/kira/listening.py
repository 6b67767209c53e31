"""A listener that keeps what it hears, for tests to compare."""

from collections.abc import Iterable, Mapping
from typing import Any


class Heard:
    """Every announcement in order, as (method, first argument, the others)."""

    def __init__(self) -> None:
        self.all: list[tuple[str, Any, dict[str, Any]]] = []

    def named(self, method: str) -> list[tuple[Any, dict[str, Any]]]:
        """Those of one method."""
        return [(first, others) for heard, first, others in self.all if heard == method]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [data for heard, data in self.named("event") if heard == name]

    def token(self, text: str, /, **others: Any) -> None:
        self.all.append(("token", text, others))

    def tokens(self, texts: Iterable[str], /, **columns: Any) -> None:
        self.all.append(("tokens", list(texts), columns))

    def emission(self, text: str, /, **others: Any) -> None:
        self.all.append(("emission", text, others))

    def module(self, name: str, result: Any, /, **others: Any) -> None:
        self.all.append(("module", name, {"result": result, **others}))

    def transition(self, before: Mapping[str, Any], after: Mapping[str, Any], /) -> None:
        self.all.append(("transition", before, {"after": after}))

    def event(self, name: str, /, **data: Any) -> None:
        self.all.append(("event", name, data))
