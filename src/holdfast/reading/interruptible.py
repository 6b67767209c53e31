"""DuckDB at work on threads of its own, so that Ctrl-C, a limit of time and progress are heard of meanwhile."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

    import duckdb

Result = TypeVar("Result")
_POLL_SECONDS = 0.1


class Workers:
    """A thread for each of some cursors. As a context: none of them works any more once it is left."""

    def __init__(self, cursors: "Sequence[duckdb.DuckDBPyConnection]") -> None:
        from concurrent.futures import ThreadPoolExecutor, wait  # it has logging imported, which takes its time

        self._cursors, self._free, self._wait = cursors, deque(cursors), wait
        self._pool = ThreadPoolExecutor(len(cursors), thread_name_prefix="holdfast-duckdb")
        self._asked: deque[Future[Any]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._pool.shutdown()

    def in_order(
        self, calls: "Iterable[Callable[[duckdb.DuckDBPyConnection], Result]]", tick: Callable[[], object] = lambda: None
    ) -> Generator[Result]:
        """What the calls return, one after the other; each gets a cursor. As many work at once as there are threads, and as
        many again may be done before their turn. tick: called now and then while one is waited for.

        What a call, a signal handler or tick raises ends all the work, and then comes out. One such iterator at a time.
        """
        try:
            for call in calls:
                self._asked.append(self._pool.submit(self._work, call))
                if len(self._asked) >= 2 * len(self._cursors):
                    yield self._next(tick)
            while self._asked:
                yield self._next(tick)
        finally:
            self._stop()

    def _work(self, call: "Callable[[duckdb.DuckDBPyConnection], Result]") -> Result:
        cursor = self._free.pop()  # there are as many as threads
        try:
            return call(cursor)
        finally:
            self._free.append(cursor)

    def _next(self, tick: Callable[[], object]) -> Any:
        while not self._wait([self._asked[0]], _POLL_SECONDS).done:
            tick()
        return self._asked.popleft().result()

    def _stop(self) -> None:
        for future in self._asked:
            future.cancel()
        while working := [future for future in self._asked if not future.done()]:
            for cursor in self._cursors:  # one may not have begun when it is told to stop
                cursor.interrupt()
            self._wait(working, _POLL_SECONDS)
        self._asked.clear()


def call_interruptibly(
    cursor: "duckdb.DuckDBPyConnection", call: Callable[[], Any], tick: Callable[[], object] = lambda: None
) -> Any:
    """The result of a call that works with a cursor, or what it raises. tick: called now and then while it works.

    What is raised meanwhile, by a signal handler or by tick, ends the work, and then comes out.
    """
    with Workers([cursor]) as workers, closing(workers.in_order([lambda _: call()], tick)) as found:
        return next(found)
