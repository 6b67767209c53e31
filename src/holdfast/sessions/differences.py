"""What is done where a resumed program does not repeat itself: the run ends, goes on behind a `superseded` record, or forks."""

from collections.abc import Callable
from typing import Any

from holdfast import codec
from holdfast.errors import Diverged
from holdfast.recording.recorder import Divergence
from holdfast.records import Record, Superseded
from holdfast.sessions.parts import Parts
from holdfast.sessions.releasing import Releasing

_SHOWN_CHARACTERS = 2000
_BRIEF_CHARACTERS = 300
_NOT_SHOWN = frozenset(("n", "ts", "info", "crc", "back", "join", "synced", "top"))


class Differences:
    """Takes back what was expected of the program and did not come, by the session's `on_divergence`."""

    def __init__(self, parts: Parts, releasing: Releasing) -> None:
        self._parts, self._releasing = parts, releasing
        self._recorder, self._expectations = parts.recorder, parts.expectations
        self._policy = parts.settings.on_divergence
        self._has_forked = False

    def found(self, difference: Divergence) -> None:
        """The program recorded something else. Called by the recorder, before anything is written."""
        expected, found = _brief(difference.expected), _brief(difference.found)
        if self._policy == "raise":
            raise Diverged(self._parts.name, difference.n, difference.lane, expected, found)
        where = f"record {difference.n} of lane {difference.lane or 'main program'!r}"
        self._parts.notice(
            f"{where}: {difference.reason}: expected {expected}, found {found}; it is superseded, and the run goes on"
        )
        append = self._appending(self._recorder.write_group)
        self._supersede(append, difference.lane, None, difference.reason, difference.expected, difference.found)

    def ended(self) -> None:
        """The program is at its end: what it did not repeat, if anything, counts as a difference."""
        first = self._expectations.first_difference() if self._recorder.matcher is not None else None
        if first is None:
            return
        n, lane, expected = first
        if self._policy == "raise":
            raise Diverged(self._parts.name, n, lane, _brief(expected), "the end of the run")
        others = self._expectations.remaining - 1
        self._parts.notice(f"record {n}: the run ended without repeating it and {others} more; superseded")
        append = self._appending(self._recorder.append_group)
        self._supersede(append, None, None, "the run ended without repeating them", expected)

    def take_back(self, lane: str | None, top: bool | None, reason: str) -> None:
        """Expect nothing more of a lane (None: of any), and supersede it; no difference of the program's."""
        self._supersede(self._recorder.append_group, lane, top, reason)

    def _appending(self, append: Callable[[list[Record]], None]) -> Callable[[list[Record]], None]:
        """What appends a `superseded` record: by policy the first one goes into a fork, where the run goes on."""
        return self._fork if self._policy == "fork" and not self._has_forked else append

    def _fork(self, records: list[Record]) -> None:
        before = self._parts.name
        self._parts.fork(records)
        self._has_forked = True
        self._parts.notice(f"{before}: forked into {self._parts.name}, which that name opens from now on")

    def _supersede(
        self,
        append: Callable[[list[Record]], None],
        lane: str | None,
        top: bool | None,
        reason: str,
        expected: Any = None,
        found: Any = None,
    ) -> None:
        """Take back what is still expected of a lane (None: of all), by one record."""
        self._releasing.look_again()  # some checkpoints may be dead now
        if ranges := self._expectations.ranges(lane, top):
            append([Superseded(ranges=ranges, reason=reason, expected=_shown(expected), found=_shown(found))])
        self._expectations.drop(lane, top)
        if not self._expectations.remaining:
            self._recorder.drop_matcher()


def _brief(value: Any) -> str:
    if value is None:
        return "the end of the run"
    text = repr({key: entry for key, entry in value.items() if key not in _NOT_SHOWN})
    return text if len(text) <= _BRIEF_CHARACTERS else f"{text[:_BRIEF_CHARACTERS]}…"


def _shown(value: Any) -> Any:
    """A record for a report, cut where it is large."""
    if value is None or len(text := codec.canonical(value)) <= _SHOWN_CHARACTERS:
        return value
    return {"kind": value.get("kind"), "cut": text[:_SHOWN_CHARACTERS].decode(errors="replace")}
