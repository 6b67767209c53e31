"""Being asked to stop: by SIGTERM and SIGINT, once for the next boundary, twice for at once; and by `max_seconds`."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from holdfast.errors import Interrupted

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_before: dict[signal.Signals, Any] = {}  # what the signals did before the first session took them
_open: list["Preemption"] = []


class Preemption:
    """Takes the two signals while a session is open, where one is opened on the main thread. timer_ns: what max_seconds are
    measured with, from now on.

    requested: why the run is to stop at its next boundary, or None. A signal asks every open session; where none is inside a
    loop or step there is no boundary to wait for, so that Interrupted is raised on the spot. A second signal does what it
    did before the first session was opened.
    """

    def __init__(
        self,
        is_inside: Callable[[], bool],
        notice: Callable[[str], None],
        max_seconds: float | None,
        timer_ns: Callable[[], int],
    ) -> None:
        self.requested: str | None = None
        self._max_seconds, self._timer_ns, self._began_ns = max_seconds, timer_ns, timer_ns()
        self._pid = os.getpid()
        self._is_inside, self._notice = is_inside, notice
        if threading.current_thread() is threading.main_thread():
            if not _open:
                _give_back()  # of sessions that another thread closed
            for number in _SIGNALS:
                before = signal.getsignal(number)
                if before in (signal.SIG_DFL, signal.default_int_handler):  # a program's own handler stays
                    _before[number] = signal.signal(number, _stop)
        _open.append(self)

    def note_time(self) -> None:
        """Ask to stop where max_seconds have passed."""
        limit = self._max_seconds
        if limit is not None and (self._timer_ns() - self._began_ns) / 1e9 >= limit:
            self.requested = self.requested or f"max_seconds={limit:g}"

    def stop_if_asked(self) -> None:
        """Raise Interrupted where it was asked: this is a boundary."""
        if self.requested:
            raise Interrupted(self.requested)

    def release(self) -> None:
        """Ask this one no more. The last one gives the signals back; on another thread than the main one, which may not, that
        happens as soon as one comes."""
        if self in _open:
            _open.remove(self)
        if not _open and threading.current_thread() is threading.main_thread():
            _give_back()


def _give_back() -> None:
    for number, before in _before.items():
        if signal.getsignal(number) == _stop:
            signal.signal(number, before)
    _before.clear()


def _stop(number: int, frame: FrameType | None) -> None:
    name = signal.Signals(number).name
    # It may come in a forked child that has not let go of its parent's sessions yet.
    if not _open or any(session.requested or session._pid != os.getpid() for session in _open):
        _give_back()
        signal.raise_signal(number)
        return
    for session in _open:
        session.requested = name
    inside = [session for session in _open if session._is_inside()]
    if not inside:
        raise Interrupted(name)
    inside[-1]._notice(f"{name}: stopping at the next boundary; once more stops at once")
