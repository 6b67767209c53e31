"""One thread syncs for all that wait for it."""

import threading
from _thread import get_ident
from collections.abc import Callable

from holdfast.recording.outlet import Outlet
from holdfast.recording.turn import Turn
from holdfast.storage.log import run_sync

_TURN_SECONDS = 1.0  # until a thread looks again whose turn it is: the one it waits for may have been interrupted


class Syncing:
    """Syncs the log of an outlet. The sync itself keeps nobody from recording: only its beginning and its end take a turn."""

    def __init__(self, outlet: Outlet, turn: Turn) -> None:
        self._outlet, self._turn = outlet, turn
        self._next = threading.Condition()
        self._syncing = 0  # the thread that syncs for all

    def sync(self) -> None:
        """Sync everything flushed. Threads that come while another one syncs share the next one."""
        me, outlet = get_ident(), self._outlet
        wanted = outlet.log.n
        if self._syncing == me:  # a signal handler, in the middle of this thread's own sync
            self._sync_now(is_nested=True)
            return
        try:
            with self._next:
                while self._syncing and outlet.log.synced < wanted and outlet.failure is None:
                    self._next.wait(_TURN_SECONDS)
                if outlet.failure is not None:
                    raise outlet.failure
                if outlet.log.synced >= wanted:
                    return
                self._syncing = me
            self._sync_now()
        finally:
            if self._syncing == me:
                self._syncing = 0  # first: an interrupt may come with the next call, and then nobody is told
                with self._next:
                    self._next.notify_all()

    def between(self, act: Callable[[], None]) -> None:
        """Do something while no thread syncs, nor begins to."""
        with self._next:
            while self._syncing not in (0, get_ident()):  # its own: this is a signal handler
                self._next.wait(_TURN_SECONDS)
            act()

    def forget(self) -> None:
        """In a forked child: nobody syncs, whatever other threads of the parent did at the fork."""
        self._next, self._syncing = threading.Condition(), 0

    def _sync_now(self, *, is_nested: bool = False) -> None:
        turn, outlet = self._turn, self._outlet
        with turn.lock:
            if turn.busy == get_ident():
                return  # a signal handler, in the middle of a record: that one's own sync comes
            if outlet.failure is not None:
                raise outlet.failure
            if not is_nested:
                outlet.log.forget_syncs()
            begun = turn.alone(lambda: outlet.call(lambda: outlet.log.begin_sync(outlet.now())))
        if begun is None:
            return
        try:
            failed = run_sync(begun)
        except BaseException:
            outlet.log.cancel_sync(begun)
            raise
        if failed is not None:
            outlet.cost.stall(f"a sync of {failed[0].path} failed ({failed[1].strerror}); its records are being repeated")
        with turn.lock:
            turn.alone(lambda: outlet.call(lambda: outlet.log.end_sync(begun, failed)))
