"""Opening a session: the options, and the sessions that are open in a context."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ParamSpec, get_args

from holdfast import codec
from holdfast.errors import InvalidSetting, NoSession
from holdfast.recording.policy import Durability, OnFull, SaveMode, SavePolicy
from holdfast.records import Opened
from holdfast.sessions import options
from holdfast.sessions.attempt import Attempt
from holdfast.sessions.checkpoints import Tracked
from holdfast.sessions.parts import OnDivergence, Settings
from holdfast.sessions.retention import Retention
from holdfast.sessions.session import Run
from holdfast.storage.files import Files, RealFiles

P = ParamSpec("P")
REAL_FILES: Files = RealFiles()
_current: ContextVar[Run | None] = ContextVar("holdfast_run", default=None)


def start(
    name: str | None = None,
    *,
    track: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    save_mode: SaveMode = "continuous",
    durability: Durability = "process",
    on_divergence: OnDivergence = "supersede",
    on_full: OnFull = "raise",
    epoch: int | None = None,
    tags: Iterable[str] = (),
    notes: str | None = None,
    max_seconds: float | None = None,
    extend: bool = False,
    allow_change: Iterable[str] = (),
    root: str | os.PathLike[str] | None = None,
    keep_last: int | None = None,
    keep_best: str | None = None,
    files: Files | None = None,
) -> Run:
    """Open a session, new or to be gone on with, and return it; close it with `run.close()`. `session` does both.

    track: objects by name, with state_dict() and load_state_dict(), or random generators. config: the run's settings; ones
    that differ from the recorded ones are refused unless named in allow_change; then the new ones count. epoch: the user's
    training epoch. extend: loops of a recorded session may grow. max_seconds: stop at the first boundary after that time,
    with exit status 75. root: the workspace; else HOLDFAST_ROOT, else "training". keep_last, keep_best: see Retention. files:
    for tests.

    Raises InvalidSetting, InvalidValue (state that cannot be stored), SettingsDiffer, SessionBusy, WorkspaceUnusable,
    Corrupted, NewerFormat: after each of them the workspace is as it was.
    """
    policy = SavePolicy(save_mode=save_mode, durability=durability, on_full=on_full)
    if on_divergence not in get_args(OnDivergence):
        raise InvalidSetting(f"on_divergence={on_divergence!r} is not known; it is one of {', '.join(get_args(OnDivergence))}")
    settings = Settings(
        on_divergence=on_divergence,
        max_seconds=options.seconds("max_seconds", max_seconds),
        extend=extend,
        allow_change=(allow_change,) if isinstance(allow_change, str) else tuple(options.texts("allow_change", allow_change)),
        retention=Retention(keep_last=keep_last, keep_best=keep_best),
    )
    opened = Opened(
        session="",
        config=codec.snapshot(options.mapping("config", config), "config") if config is not None else None,
        tags=options.texts("tags", tags),
        notes=options.text("notes", notes),
        epoch=options.whole("epoch", epoch),
        save_mode=save_mode,
        durability=durability,
    )
    tracked = Tracked(track)
    tracked.copy_state(_Discarded())  # what cannot be stored is refused before anything is made
    place = workspace_root(root)
    run = Attempt(files or REAL_FILES, place, name, policy, settings, opened, tracked).run
    _current.set(run)
    return run


class _Block:
    """A session for the length of a with statement."""

    def __init__(self, opening: Callable[[], Run]) -> None:
        self._opening = opening

    def __enter__(self) -> Run:
        self._outer = _current.get()
        self._run = self._opening()
        return self._run

    def __exit__(self, *exception: Any) -> None:
        _current.set(self._outer)
        self._run.__exit__(*exception)


def _as_block(opening: Callable[P, Run]) -> Callable[P, _Block]:
    """The same arguments, for a with statement."""

    def session(*args: P.args, **kwargs: P.kwargs) -> _Block:
        """`start`, and at the end of the block `close`: finished, or by an exception interrupted or failed, to be gone on with.

        Takes the arguments of `start`. Nothing is opened before the block is entered.
        """
        return _Block(lambda: opening(*args, **kwargs))

    session.__wrapped__ = opening  # type: ignore[attr-defined]  # whose signature is shown
    return session


session = _as_block(start)


def current_run() -> Run:
    """The innermost open session of this context. Raises NoSession where there is none."""
    run = _current.get()
    if run is None or run.is_closed:
        raise NoSession
    return run


def workspace_root(root: str | os.PathLike[str] | None) -> Path:
    """The workspace that is meant: root, else HOLDFAST_ROOT, else "training"; absolute, so that a chdir changes nothing."""
    if root is not None and not isinstance(root, str | os.PathLike):
        raise InvalidSetting(f"root={root!r} must be the path of a folder")
    return Path(root if root is not None else os.environ.get("HOLDFAST_ROOT") or "training").absolute()


class _Discarded:
    """Takes arrays to see that they can be stored."""

    def put(self, path: str, array: Any) -> str:
        return path
