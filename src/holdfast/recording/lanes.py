"""Where a thread records: lanes, and whether the program is outside every loop and step."""

import itertools
import re
import threading
from _thread import get_ident
from contextvars import ContextVar

import msgspec

from holdfast.recording.fields import text_value

_AUTOMATIC_NAME = re.compile(r"Thread-\d+( \(.*\))?|ThreadPoolExecutor-\d+_\d+|asyncio_\d+|Dummy-\d+", re.DOTALL)


class Lane(msgspec.Struct, frozen=True):
    """A promise of order among the records of one lane; top: they are made outside every loop and step."""

    name: str
    top: bool


current_lane: ContextVar[Lane | None] = ContextVar("holdfast_lane", default=None)


class Lanes:
    """Knows the lane of every thread. The one that made this is the owner, whose records are the program's own lane.

    top: whether the program is outside every loop and step. entered: how many lanes the owner is in.
    """

    def __init__(self) -> None:
        self.owner = get_ident()
        self.top = True
        self.entered = 0
        self._unnamed = itertools.count()  # of the threads without a name that record in this step, or between two of them
        self._threads = threading.local()  # lane: the count it was drawn from, or this object, and its name

    def go_to(self, *, top: bool) -> None:
        """The program is now in another step, or outside all of them."""
        self.top, self._unnamed = top, itertools.count()

    def place(self) -> tuple[str, bool]:
        """Lane that this thread records in, "" for the program's own, and whether outside every loop and step."""
        lane = current_lane.get()
        if lane is not None:
            return lane.name, lane.top
        return "" if get_ident() == self.owner else self._thread_lane(), self.top

    def is_owner(self) -> bool:
        """Whether this thread opened the session, and is in no lane."""
        return get_ident() == self.owner and current_lane.get() is None

    def _thread_lane(self) -> str:
        """The thread's name. One that Python made up counts all threads of this process, which a resumed one has fewer of:
        then it is a number among the threads that record in this step, in the order of their first records."""
        drawn_from, name = getattr(self._threads, "lane", (None, ""))
        if drawn_from is not self and drawn_from is not self._unnamed:
            name, drawn_from = text_value(threading.current_thread().name, "name of the thread")[0], self
            if _AUTOMATIC_NAME.fullmatch(name):
                name, drawn_from = f"thread {next(self._unnamed)}", self._unnamed
            self._threads.lane = drawn_from, name
        return name
