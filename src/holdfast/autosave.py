"""The front door for KIRA: the engine with saving attached."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from holdfast.engines.kira import Kira
from holdfast.sessions.opening import start
from holdfast.workflows.past import Logged
from holdfast.workflows.saving import Saving


class KiraEngine(Kira):
    """KIRA in a session: everything it does is recorded as it happens, from the opening to `close`.

    `run` is the session. `tokens_emitted` and `emissions` are lazy sequences over its log: they are as long as the session,
    take no memory, and can be appended to and assigned to, which is recorded too. options: see holdfast.session; what that
    raises is raised here, and the workspace is as it was.
    """

    def __init__(self, session: str | None = None, *, seed: int = 0, k_threshold: int = 7, **options: Any) -> None:
        super().__init__(seed=seed, k_threshold=k_threshold)
        saving = self._saving = Saving(self)
        track = {"kira": saving, **(options.pop("track", None) or {})}
        config = {"seed": seed, "k_threshold": k_threshold, **(options.pop("config", None) or {})}
        self.run = start(session, track=track, config=config, **options)
        saving.attach(self.run)

    @property
    def tokens_emitted(self) -> Sequence[str]:
        """Every token of the session, as plain text."""
        return super().tokens_emitted

    @tokens_emitted.setter
    def tokens_emitted(self, items: Sequence[str]) -> None:
        if isinstance(items, Logged):
            self._tokens = items
        else:
            self._saving.tokens.assign(items)

    @property
    def emissions(self) -> Sequence[dict[str, Any]]:
        """Every emission of the session (text, z, phase, tokens, quality)."""
        return super().emissions

    @emissions.setter
    def emissions(self, items: Sequence[dict[str, Any]]) -> None:
        if isinstance(items, Logged):
            self._emissions = items
        else:
            self._saving.emissions.assign(items)

    def close(self) -> None:
        """Close the session as finished."""
        self.run.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.run.__exit__(kind, error, trace)
