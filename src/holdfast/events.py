"""What an engine announces, and to whom. An engine has one listener, or none; it never knows whether that one saves."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol


class Listener(Protocol):
    """Who is told what an engine does, in the order in which it happens, before the call that did it returns.

    A session's Run has these methods, so it can be the listener as it is. What a listener raises goes through the
    engine to its caller.
    """

    def token(
        self,
        text: str,
        /,
        *,
        z: float | None = None,
        phase: str | None = None,
        tier: int | None = None,
        source: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        """One token was emitted."""
        ...

    def tokens(
        self,
        texts: Sequence[str],
        /,
        *,
        z: Sequence[float],
        phase: Sequence[str],
        tier: Sequence[int],
        source: Sequence[str],
    ) -> None:
        """Tokens were made, which do not count as emitted. Each column has a value for every token."""
        ...

    def emission(
        self,
        text: str,
        /,
        *,
        tokens: Iterable[str] = (),
        z: float | None = None,
        phase: str | None = None,
        quality: float | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        """A text was put together; its tokens were announced one by one before."""
        ...

    def module(
        self,
        name: str,
        result: Any,
        /,
        *,
        status: str = "ok",
        index: int | None = None,
        phase: str | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> None:
        """A module or stage ended as ok, error or skipped. What differs between equal runs stands in `info`."""
        ...

    def transition(self, before: Any, after: Any, /) -> None:
        """The state before and after something that changed it."""
        ...

    def event(self, name: str, /, **data: Any) -> None:
        """Anything else that happened."""
        ...
