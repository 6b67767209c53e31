"""Refusing to go on with a session under other settings, with other objects or with loops of another length."""

from collections.abc import Mapping
from typing import Any

from holdfast import codec
from holdfast.errors import SettingsDiffer
from holdfast.records import Loop
from holdfast.sessions.checkpoints import Tracked
from holdfast.sessions.parts import Settings


def is_other_config(before: Any, now: Any) -> bool:
    """Whether `config=` is not what was recorded; none at all is an empty one."""
    return codec.canonical(before or {}) != codec.canonical(now or {})


def refuse_other_config(session: str, before: Any, now: Any, settings: Settings) -> None:
    """Raise SettingsDiffer where entries of `config=` that may not change are not what was recorded."""
    before, now = before or {}, now or {}
    differences = [
        f"{key}: {_shown(before, key)} → {_shown(now, key)}"
        for key in sorted({*before, *now})
        if key not in settings.allow_change
        and codec.canonical([before[key]] if key in before else []) != codec.canonical([now[key]] if key in now else [])
    ]
    if differences:
        remedy = "run it as it was, name what may change in allow_change=, or use another session name"
        raise SettingsDiffer(session, differences, remedy)


def refuse_other_objects(session: str, tracked: Tracked, state: Mapping[str, Any], settings: Settings) -> None:
    """Raise SettingsDiffer where `track=` names other objects than the state of a checkpoint has."""
    missing = tracked.missing(state)
    if missing and "track" not in settings.allow_change:
        remedy = 'pass the same track=, or allow_change=("track",) where that is meant, or use another name'
        raise SettingsDiffer(session, missing, remedy)


def refuse_other_length(session: str, saved: Loop, n: int | None, goes_on_in: str | None, settings: Settings) -> None:
    """Raise SettingsDiffer where a loop has another length than it was recorded with, and may not. goes_on_in: key of the loop
    or step that the state is still to come back in."""
    if saved.length == n:
        return
    difference = f"{saved.key} had {saved.length} steps, and now has {n}"
    grows = saved.length is not None and (n is None or n > saved.length)
    if grows and goes_on_in not in (None, saved.key):
        # Its further steps would begin with the state of what came behind it.
        remedy = f"rewind the session to the last checkpoint in {saved.key} first, or use another name"
        raise SettingsDiffer(session, [f"{difference}, and the run has gone on to {goes_on_in} since"], remedy)
    if "loop" in settings.allow_change or (settings.extend and grows):
        return
    remedy = 'open it with extend=True to let it grow, or with allow_change=("loop",), or use another name'
    raise SettingsDiffer(session, [difference], remedy)


def _shown(config: Mapping[str, Any], key: str) -> str:
    return repr(config[key]) if key in config else "not set"
