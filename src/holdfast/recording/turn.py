"""Whose turn it is: one thread at a time is in the middle of a record or of a flush."""

import threading
import time
from _thread import get_ident
from collections.abc import Callable
from typing import TypeVar

from holdfast.errors import UsageError
from holdfast.recording.outlet import Outlet
from holdfast.records import Record

_TOKEN_SECONDS = 50e-6  # between two looks whether the opening thread is through with its token
T = TypeVar("T")


class Turn:
    """`busy` is the thread in the middle of a record, of a flush or of a short way, 0 if none is.

    Every thread takes `lock` first, but for the opening thread while `gate` is its id: the short ways look at `busy` and
    take it without a lock. Nothing comes between the two, as there is no call in between and nothing else is switched to or
    handled there (tests/unit/test_shortway.py looks at the bytecode). So who has the lock shuts the gate and waits until that
    thread is through; its next record comes for the lock too.

    deferred: what a signal handler recorded in the middle of a record of its own thread; it follows that one. on_deferred:
    takes them, if there are any. open_gate: opens the gate, if nothing stands against it.
    """

    def __init__(self, outlet: Outlet, *, on_deferred: Callable[[], None], open_gate: Callable[[], None]) -> None:
        self.lock = threading.RLock()
        self.busy = 0
        self.gate = 0
        self.deferred: list[Record] = []
        self._outlet, self._on_deferred, self._open_gate = outlet, on_deferred, open_gate

    def do(self, work: Callable[[], object]) -> None:
        """Do something that no other thread and no signal handler may come between; refuses such a handler itself."""
        with self.lock:
            self.refuse_inside("this")
            self.alone(work)

    def alone(self, work: Callable[[], T]) -> T:
        """Do it, then what signal handlers recorded meanwhile. The lock is held, and this thread does nothing else."""
        me, has_waited = get_ident(), False
        while self.busy:  # the opening thread is in the middle of a token; its next one waits for the lock
            self.gate, has_waited = 0, True
            time.sleep(_TOKEN_SECONDS)
        self.busy = me  # no call between the look and this, so that no other thread comes in between
        try:
            self._outlet.log.settle()
            self._on_deferred()  # of a call that was interrupted
            return work()
        finally:
            try:
                self._on_deferred()
            finally:
                self.busy = 0
                if has_waited:
                    self._open_gate()

    def take_deferred(self) -> None:
        """Take what a signal handler recorded in the middle of another record."""
        self.do(lambda: None)

    def refuse_inside(self, what: str) -> None:
        """Raise UsageError where this is called in the middle of a record: by a signal handler or finalizer."""
        if self.busy == get_ident():
            raise UsageError(
                f"{what} was called in the middle of a record, by a signal handler or finalizer; only records can be made "
                "there (they follow that one). Nothing was changed"
            )

    def wait_for_token(self) -> None:
        """Shut the gate, and wait until no other thread is in the middle of a record."""
        me = get_ident()
        self.gate = 0
        while self.busy not in (0, me):
            time.sleep(_TOKEN_SECONDS)

    def forget(self) -> None:
        """In a forked child: it is nobody's turn, whatever other threads of the parent held at the fork."""
        self.gate = self.busy = 0
        self.lock = threading.RLock()
