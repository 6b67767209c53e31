"""Signals that ask a command to stop while it waits for the next line."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from holdfast import Interrupted

_ASKS_TO_STOP = ("SIGTERM", "SIGHUP", "SIGINT")


class Stops:
    """Where a line is awaited, a signal raises at once; elsewhere it waits for the next time, and a second one does what it
    did before. on_ctrl_c: what Ctrl-C raises. Signals that the process was started to ignore stay ignored."""

    def __init__(self, on_ctrl_c: Callable[[], BaseException]) -> None:
        self._on_ctrl_c = on_ctrl_c
        self._is_awaiting = False
        self._asked: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take the signals for the length of a block. Only a main thread has some."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.Signals[name] for name in _ASKS_TO_STOP if name in signal.Signals.__members__):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._stop)
        try:
            yield
        finally:
            for number, before in self._before.items():
                signal.signal(number, before)

    @contextmanager
    def awaiting(self) -> Iterator[None]:
        """A line is awaited in this block."""
        self._is_awaiting = True
        try:
            if self._asked is not None:  # looked at after the flag: no signal falls in between
                raise self._exception()
            yield
        finally:
            self._is_awaiting = False

    def _stop(self, number: int, frame: FrameType | None) -> None:
        is_again, self._asked = self._asked is not None, signal.Signals(number)
        if self._is_awaiting:
            raise self._exception()
        if is_again:
            signal.signal(number, self._before[self._asked])
            signal.raise_signal(number)

    def _exception(self) -> BaseException:
        asked, self._asked = self._asked, None
        if asked is None or asked is signal.SIGINT:
            return self._on_ctrl_c()
        return Interrupted(asked.name)
