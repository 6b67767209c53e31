"""Being asked to stop: SIGTERM and SIGINT, once for the next boundary, twice for at once."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from holdfast.errors import Interrupted

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Preemption:
    """Takes the two signals while a session is open, where it is opened on the main thread.

    requested: why the run is to stop at its next boundary, or None. Outside every loop and step there is no boundary to
    wait for, so that Interrupted is raised on the spot. A second signal does what it did before the session was opened.
    """

    def __init__(self, is_inside: Callable[[], bool], notice: Callable[[str], None]) -> None:
        self.requested: str | None = None
        self._is_inside, self._notice = is_inside, notice
        self._before: dict[signal.Signals, Any] = {}
        self._is_over = False
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                _give_back_what_is_over(signal.getsignal(number))
                before = signal.getsignal(number)
                if before in (signal.SIG_DFL, signal.default_int_handler):  # a program's own handler stays
                    self._before[number] = signal.signal(number, self._stop)

    def release(self) -> None:
        """Give the signals back; on another thread than the main one, which may not, as soon as one comes."""
        self._is_over = True
        if threading.current_thread() is not threading.main_thread():
            return
        for number, before in self._before.items():
            if signal.getsignal(number) == self._stop:
                signal.signal(number, before)
        self._before = {}

    def _stop(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self.requested is not None or self._is_over:
            self.release()
            signal.raise_signal(number)
            return
        self.requested = name
        if not self._is_inside():
            raise Interrupted(name)
        self._notice(f"{name}: stopping at the next boundary; once more stops at once")


def _give_back_what_is_over(handler: object) -> None:
    """Of a session that was closed on another thread than the main one."""
    owner = getattr(handler, "__self__", None)
    if isinstance(owner, Preemption) and owner._is_over:
        owner.release()
