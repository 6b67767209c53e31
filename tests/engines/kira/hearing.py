"""A listener that writes down what it hears, for tests."""

from collections.abc import Iterable
from typing import Any

from holdfast.engines.kira import Kira


class Hearing:
    """Everything announced, in order: (kind, what, the rest)."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any, dict[str, Any]]] = []

    def token(self, text: str, /, **rest: Any) -> None:
        self.heard.append(("token", text, rest))

    def tokens(self, texts: Iterable[str], /, **columns: Any) -> None:
        self.heard.append(("tokens", list(texts), columns))

    def emission(self, text: str, /, *, tokens: Iterable[str] = (), **rest: Any) -> None:
        self.heard.append(("emission", text, {"tokens": list(tokens), **rest}))

    def module(self, name: str, result: Any, /, **rest: Any) -> None:
        self.heard.append(("module", name, {"result": result, **rest}))

    def transition(self, before: Any, after: Any, /) -> None:
        self.heard.append(("transition", before, after))

    def event(self, name: str, /, **data: Any) -> None:
        self.heard.append(("event", name, data))

    def names(self) -> list[str]:
        """The kinds that were heard, events by their names."""
        return [what if kind == "event" else kind for kind, what, _ in self.heard]

    def of(self, kind: str) -> list[Any]:
        """What was heard of a kind, or of an event by its name."""
        if kind in ("token", "tokens", "emission", "module"):
            return [what for heard, what, _ in self.heard if heard == kind]
        return [rest for heard, what, rest in self.heard if heard == "event" and what == kind]

    def clear(self) -> None:
        self.heard.clear()


def heard_engine(**options: Any) -> tuple[Kira, Hearing]:
    """An engine, and who listens to it."""
    hearing = Hearing()
    return Kira(listener=hearing, **options), hearing
