"""DuckDB's workers: results come in order, and after any end nothing works on."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import duckdb
import pytest

from holdfast.reading.sql.interruptible import Workers, call_interruptibly

if TYPE_CHECKING:
    Cursor = duckdb.DuckDBPyConnection
LONG = "SELECT count(*) FROM range(100000000) a, range(100000) b WHERE a.range + b.range = 7"
PATIENCE_SECONDS = 60


@pytest.fixture
def cursors() -> "Iterator[list[Cursor]]":
    database = duckdb.connect(config={"threads": 1})
    yield [database.cursor() for _ in range(3)]
    database.close()
    assert at_work() == []


def at_work() -> list[threading.Thread]:
    """Threads that do not end."""
    alive = [thread for thread in threading.enumerate() if thread.name == "holdfast-duckdb" and thread.is_alive()]
    for thread in alive:  # one that was interrupted as it was started ends by itself
        thread.join(PATIENCE_SECONDS)
    return [thread for thread in alive if thread.is_alive()]


def asking(sql: str) -> "Callable[[Cursor], int]":
    def call(cursor: "Cursor") -> int:
        ((found,),) = cursor.execute(sql).fetchall()
        return int(found)

    return call


def test_results_come_in_the_order_of_the_calls(cursors: "list[Cursor]") -> None:
    with Workers(cursors) as workers:
        wanted = [f"SELECT {index} + 0 * count(*) FROM range({(index * 7919) % 400_000})" for index in range(40)]
        assert list(workers.in_order(map(asking, wanted))) == list(range(40))
        assert list(workers.in_order(map(asking, wanted[:1]))) == [0]
        assert list(workers.in_order([])) == []


def test_as_many_work_as_there_are_cursors_and_few_are_ahead(cursors: "list[Cursor]") -> None:
    begun: list[int] = []
    together = threading.Barrier(len(cursors))

    def call(index: int) -> "Callable[[Cursor], int]":
        def work(cursor: "Cursor") -> int:
            begun.append(index)
            together.wait(PATIENCE_SECONDS)  # passed by three at once only
            return index

        return work

    with Workers(cursors) as workers, closing(workers.in_order(call(index) for index in range(12))) as found:
        assert next(found) == 0
        assert max(begun) < 2 * len(cursors)
        assert list(found) == list(range(1, 12))


@pytest.mark.parametrize("long", [1, 3])
def test_what_one_raises_ends_the_others(cursors: "list[Cursor]", long: int) -> None:
    calls = [asking("SELECT no_such_thing"), *(asking(LONG) for _ in range(long))]
    with pytest.raises(duckdb.BinderException, match="no_such_thing"), Workers(cursors) as workers:
        list(workers.in_order(calls))


def test_what_tick_raises_ends_the_work(cursors: "list[Cursor]") -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Workers(cursors) as workers:
        list(workers.in_order([asking(LONG)] * 9, stop))
    with pytest.raises(KeyboardInterrupt):
        call_interruptibly(cursors[0], lambda: cursors[0].execute(LONG), stop)
    assert call_interruptibly(cursors[0], lambda: asking("SELECT 5")(cursors[0])) == 5


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Python lets go of a weak reference just then
def test_an_interrupt_at_any_moment_leaves_nothing_at_work(cursors: "list[Cursor]") -> None:
    ended = 0
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for index in range(80):
            try:
                signal.setitimer(signal.ITIMER_REAL, 2e-5 * (index + 1), 2)
                with Workers(cursors) as workers:
                    list(workers.in_order([asking(LONG)] * 9))
            except KeyboardInterrupt:
                signal.setitimer(signal.ITIMER_REAL, 0)
                ended += 1
            assert at_work() == []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert ended == 80


def test_who_wants_no_more_waits_for_nothing(cursors: "list[Cursor]") -> None:
    start = time.monotonic()
    with Workers(cursors) as workers:
        calls = [asking("SELECT 1"), *(asking(LONG) for _ in range(8))]
        with closing(workers.in_order(calls)) as found:
            assert next(found) == 1
        assert list(workers.in_order([asking("SELECT 2")])) == [2]
        assert next(workers.in_order(calls)) == 1  # left without a word
    assert time.monotonic() - start < PATIENCE_SECONDS
