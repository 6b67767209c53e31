"""A consumer that keeps records in SQLite, and a process that kills it at each of its operations in turn.

`python -m tests.helpers.following ROOT SCRATCH`: for each k a fresh database is fed from the workspace ROOT by a child that
SIGKILLs itself before its kth operation (a read of a file, or an SQL statement), then by children that die at later ones, until
one comes to its end. Prints how many operations there were; fails where a database is not what a scan finds.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec

from holdfast import Workspace
from holdfast.reading.follower import Batch, Position
from holdfast.storage.files import File, RealFiles

TABLES = """
CREATE TABLE IF NOT EXISTS records (session TEXT, n INTEGER, lane TEXT, top INTEGER, line BLOB, PRIMARY KEY (session, n));
CREATE TABLE IF NOT EXISTS positions (session TEXT PRIMARY KEY, n INTEGER, ts INTEGER);
"""


class Head(msgspec.Struct):
    n: int
    lane: str = ""
    top: bool = False


class SqliteConsumer:
    """The run itself, as a table. before: called before each statement."""

    def __init__(self, path: Path, before: Callable[[], object] = lambda: None) -> None:
        self.database = apsw.Connection(str(path))
        self.database.execute(TABLES)
        self.database.exec_trace = self._traced
        self._before = before
        self.batches: list[Batch] = []
        self.forgotten: list[str] = []

    def _traced(self, cursor: apsw.Cursor, sql: str, bindings: Any) -> bool:
        self._before()
        return True

    def position(self, session: str) -> Position | None:
        for n, ts in self.database.execute("SELECT n, ts FROM positions WHERE session = ?", (session,)):
            return Position(int(str(n)), int(str(ts)))
        return None

    def apply(self, batch: Batch) -> None:
        with self._transaction():
            for line in batch.lines:
                head = msgspec.json.decode(line, type=Head)
                row = (batch.session, head.n, head.lane, head.top, line)
                self.database.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?)", row)
            for span in batch.superseded:
                self.database.execute(
                    "DELETE FROM records WHERE session = ? AND n BETWEEN ? AND ? AND lane = ? AND top = ?",
                    (batch.session, span.first, span.last, span.lane, span.top),
                )
            self.database.execute("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", (batch.session, *batch.end))
        self.batches.append(batch)

    def forget(self, session: str) -> None:
        with self._transaction():
            self.database.execute("DELETE FROM records WHERE session = ?", (session,))
            self.database.execute("DELETE FROM positions WHERE session = ?", (session,))
        self.forgotten.append(session)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    def contents(self) -> dict[str, list[dict[str, Any]]]:
        """The records of each session, in order, without bookkeeping."""
        found: dict[str, list[dict[str, Any]]] = {}
        for session, line in self.database.execute("SELECT session, line FROM records ORDER BY session, n"):
            assert isinstance(line, bytes)
            found.setdefault(str(session), []).append(msgspec.json.decode(line, type=dict[str, Any]))
        bookkeeping = {"opened", "resumed", "superseded", "checkpoint", "released", "closed", "annotated", "flushed"}
        return {name: [entry for entry in entries if entry["kind"] not in bookkeeping] for name, entries in found.items()}


def scan(workspace: Workspace) -> dict[str, list[dict[str, Any]]]:
    """The same by reading the logs."""
    return {entry.name: list(workspace.records(entry.name)) for entry in workspace.sessions()}


class CountingFiles(RealFiles):
    """Real files that call `before` before each file is opened."""

    def __init__(self, before: Callable[[], object]) -> None:
        self._before = before

    def open(self, path: Path, *, write: bool = False, create: bool = False, exclusive: bool = False) -> File:
        self._before()
        return super().open(path, write=write, create=create, exclusive=exclusive)


def feed(root: Path, database: Path, deadly: int) -> None:
    """Follow once, and die before the operation of that number."""
    seen = 0

    def before() -> None:
        nonlocal seen
        seen += 1
        if seen == deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    workspace = Workspace(root)
    workspace._files = CountingFiles(before)
    workspace.follower(SqliteConsumer(database, before), batch_records=4).poll()


def feed_in_child(root: Path, database: Path, deadly: int) -> bool:
    """Whether it came to its end."""
    child = os.fork()
    if not child:
        try:
            feed(root, database, deadly)
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0, "a follower failed"
    return True


def main(root: Path, scratch: Path) -> None:
    expected = scan(Workspace(root))
    deadly, is_through = 0, False
    while not is_through:
        deadly += 1
        database = scratch / f"{deadly}.db"
        is_through = feed_in_child(root, database, deadly)
        more = deadly
        while not is_through and not feed_in_child(root, database, more):
            more += 7
        found = SqliteConsumer(database)
        assert found.contents() == expected, f"killed before operation {deadly}"
        found.database.close()
        database.unlink()
    print(deadly - 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
