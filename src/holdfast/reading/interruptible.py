"""DuckDB at work on a thread of its own, so that Ctrl-C, a limit of time and progress are heard of meanwhile."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

_POLL_SECONDS = 0.1


def call_interruptibly(
    cursor: "duckdb.DuckDBPyConnection", call: Callable[[], Any], tick: Callable[[], object] = lambda: None
) -> Any:
    """The result of a call that works with a cursor, or what it raises. tick: called now and then while it works.

    What is raised meanwhile, by a signal handler or by tick, ends the work, and then comes out.
    """
    done = threading.Event()
    found: list[Any] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            found.append(call())
        except BaseException as error:
            failed.append(error)
        finally:
            done.set()

    worker = threading.Thread(target=work, name="holdfast-duckdb", daemon=True)
    worker.start()
    try:
        while not done.wait(_POLL_SECONDS):
            tick()
    except BaseException:
        while not done.is_set():  # it may not have begun when it is told to stop
            cursor.interrupt()
            done.wait(_POLL_SECONDS)
        raise
    finally:
        worker.join()
    if failed:
        raise failed[0]
    return found[0]
