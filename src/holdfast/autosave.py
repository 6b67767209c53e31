"""The front door for KIRA: the engine with saving attached."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from holdfast.engines.kira import Kira
from holdfast.errors import InvalidSetting
from holdfast.guide.current import export_current, export_run
from holdfast.sessions import options as settings
from holdfast.sessions.opening import start
from holdfast.workflows.saving import Saving


class KiraEngine(Kira):
    """KIRA in a session: everything it does is recorded as it happens, from the opening to `close`.

    `run` is the session. `tokens_emitted` and `emissions` are lazy sequences over its log: they hold all that the engine
    emitted since it began, or was reset, in little memory, and can be appended to and assigned to, which is recorded too.
    options: see holdfast.session; what that raises is raised here, and the workspace is as it was.
    """

    def __init__(self, session: str | None = None, *, seed: int = 0, k_threshold: int = 7, **options: Any) -> None:
        super().__init__(seed=seed, k_threshold=k_threshold)
        saving = self._saving = Saving(self)
        track = _joined("track", {"kira": saving}, options)
        config = _joined("config", {"seed": seed, "k_threshold": k_threshold}, options)
        self.run = start(session, track=track, config=config, **options)
        saving.attach(self.run)

    @property
    def tokens_emitted(self) -> Sequence[str]:
        """Every token, as plain text. Assigning any list of tokens records a copy of it."""
        return super().tokens_emitted

    @tokens_emitted.setter
    def tokens_emitted(self, items: Sequence[str]) -> None:
        if items is self._saving.tokens:
            self._tokens = self._saving.tokens
        else:
            self._saving.tokens.assign(items)

    @property
    def emissions(self) -> Sequence[dict[str, Any]]:
        """Every emission (text, z, phase, tokens, quality); the same holds as for tokens_emitted."""
        return super().emissions

    @emissions.setter
    def emissions(self, items: Sequence[dict[str, Any]]) -> None:
        if items is self._saving.emissions:
            self._emissions = self._saving.emissions
        else:
            self._saving.emissions.assign(items)

    def export_current_state(self, label: str) -> Path:
        """Write the run so far in the guide's layout to exports/LABEL in the session's folder, and record that as an event
        "exported" with the state. Returns the folder. A resumed program does it again, and the event is matched."""
        counts = {"tokens": len(self.tokens_emitted), "emissions": len(self.emissions)}
        return export_current(self.run, label, self.state.recorded(), counts)

    def export_training_data(
        self,
        *,
        format: str = "guide",
        include: Collection[str] | None = None,
        output: str | os.PathLike[str],
        force: bool = False,
    ) -> Path:
        """Write the run so far to a file or folder outside the session, for other programs; it records nothing.

        format: "json", "csv", "parquet" or "guide". include: of what that format has (see Workspace.export); all where None.
        force: an earlier export of that name is replaced. Returns the path. Raises InvalidSetting, WriteFailed.
        """
        state = self.state.recorded()
        return export_run(self.run, Path(output), format=format, include=include, force=force, state=state)

    def close(self) -> None:
        """Close the session as finished."""
        self.run.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.run.__exit__(kind, error, trace)


def _joined(name: str, own: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The engine's own entries of an option, which is taken out of the options, with those that were given."""
    given = settings.mapping(name, options.pop(name, None))
    for key in own:
        if key in given:
            what = (
                "the engine's state is tracked under that name" if name == "track" else f"it is KiraEngine's own: give {key}="
            )
            raise InvalidSetting(f"{name}={{{key!r}: …}}: {what}. Nothing was created; leave it out of {name}=")
    return {**own, **given}
