"""DuckDB at work on threads of its own, so that Ctrl-C, a limit of time and progress are heard of meanwhile."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    import duckdb

Result = TypeVar("Result")
_POLL_SECONDS = 0.1


class Workers:
    """A thread for each of some cursors. As a context: none of them works any more once it is left."""

    def __init__(self, cursors: "Sequence[duckdb.DuckDBPyConnection]") -> None:
        self._cursors = cursors
        self._crew: _Crew | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._crew is not None:
            self._crew.stop()

    def in_order(
        self, calls: "Iterable[Callable[[duckdb.DuckDBPyConnection], Result]]", tick: Callable[[], object] = lambda: None
    ) -> Generator[Result]:
        """What the calls return, one after the other; each gets a cursor. As many work at once as there are threads, and as
        many again may be done before their turn. tick: called now and then while one is waited for.

        What a call, a signal handler or tick raises ends all the work, and then comes out. One such iterator at a time.
        """
        crew = self._crew = _Crew(self._cursors)
        asked: deque[_Asked] = deque()
        try:
            crew.start()
            for call in calls:
                asked.append(_Asked(call))
                crew.waiting.put(asked[-1])
                if len(asked) >= 2 * len(self._cursors):
                    yield asked.popleft().result(tick)
            while asked:
                yield asked.popleft().result(tick)
        finally:
            crew.stop()


class _Asked:
    """One call, and what comes of it once it is done."""

    def __init__(self, call: "Callable[[duckdb.DuckDBPyConnection], Any]") -> None:
        self._call, self.done = call, threading.Event()
        self._found: Any = None
        self._failed: BaseException | None = None

    def work(self, cursor: "duckdb.DuckDBPyConnection") -> None:
        try:
            self._found = self._call(cursor)
        except BaseException as error:
            self._failed = error

    def result(self, tick: Callable[[], object]) -> Any:
        while not self.done.wait(_POLL_SECONDS):
            tick()
        found, failed = self._found, self._failed
        del self._call, self._found, self._failed  # else what was raised would hold itself, and with it DuckDB
        try:
            if failed is not None:
                raise failed
            return found
        finally:
            del failed


class _Crew:
    """The threads of one iterator. They end where `stop` is called, wherever an exception came from before that."""

    def __init__(self, cursors: "Sequence[duckdb.DuckDBPyConnection]") -> None:
        self.waiting: SimpleQueue[_Asked | None] = SimpleQueue()
        self._is_over = False
        self._at_work: dict[int, duckdb.DuckDBPyConnection] = {}
        self._threads = [
            threading.Thread(target=self._work, args=each, name="holdfast-duckdb", daemon=True) for each in enumerate(cursors)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        try:
            self._stop()
        except BaseException:  # Ctrl-C, just now
            self._stop()
            raise

    def _stop(self) -> None:
        self._is_over = True
        for _ in self._threads:
            self.waiting.put(None)
        while alive := [thread for thread in self._threads if thread.is_alive()]:
            for cursor in list(self._at_work.values()):  # again and again: it may not have begun when it is told to stop
                cursor.interrupt()
            alive[0].join(_POLL_SECONDS)

    def _work(self, number: int, cursor: "duckdb.DuckDBPyConnection") -> None:
        while (asked := self.waiting.get()) is not None and not self._is_over:
            self._at_work[number] = cursor
            asked.work(cursor)
            del self._at_work[number]  # before anybody knows: an interrupt that comes late would end what is asked of it next
            asked.done.set()


def call_interruptibly(
    cursor: "duckdb.DuckDBPyConnection", call: Callable[[], Any], tick: Callable[[], object] = lambda: None
) -> Any:
    """The result of a call that works with a cursor, or what it raises. tick: called now and then while it works.

    What is raised meanwhile, by a signal handler or by tick, ends the work, and then comes out.
    """
    with closing(Workers([cursor]).in_order([lambda _: call()], tick)) as found:
        return next(found)
