"""Which records hold a text: an SQLite database of trigrams, WORKSPACE/index/texts.db. It can be deleted.

A change is one transaction: killed in it, the database is as it was before. It holds no texts, only where trigrams stand; who
asks looks at the records themselves.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.storage.files import Files, make_folders

if TYPE_CHECKING:
    import apsw

TEXTS_VERSION = 1
_BUSY_MS = 5_000
_SHORTEST = 3
_TABLES = """
CREATE TABLE sessions (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, last INTEGER NOT NULL, mark INTEGER NOT NULL);
CREATE TABLE places (id INTEGER PRIMARY KEY, session INTEGER NOT NULL, n INTEGER NOT NULL);
CREATE UNIQUE INDEX by_place ON places (session, n);
CREATE VIRTUAL TABLE texts USING fts5 (text, content='', contentless_delete=1,
                                       tokenize='trigram case_sensitive 1');
"""


class TextsUnusable(Exception):
    """The database cannot be used; the message says why, and what then."""


class Texts:
    """The database of a workspace, made where there is none. Texts are folded (`str.casefold`) before they come here.

    Everything raises TextsUnusable. One that is no database, or damaged, is deleted: the next search makes it anew.
    """

    def __init__(self, files: Files, root: Path) -> None:
        self._files, self._path = files, root / "index" / "texts.db"
        self._connection: apsw.Connection | None = None
        try:
            with self._opened() as connection, connection:
                self._prepare(connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the database. A second call does nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def known_up_to(self, session: str) -> tuple[int, int]:
        """The last record of a session that was taken in, and its mark; zeros where there is none."""
        with self._opened() as connection:
            for last, mark in connection.execute("SELECT last, mark FROM sessions WHERE name = ?", (session,)):
                return int(last), int(mark)
            return 0, 0

    def numbers(self, session: str, folded: str) -> list[int]:
        """The records of a session that may hold a text, ascending: all that do, and perhaps others."""
        query = "SELECT n FROM places JOIN sessions ON sessions.id = session WHERE name = ?"
        with self._opened() as connection:
            if len(folded) < _SHORTEST or "\0" in folded:  # too short for a trigram
                found = connection.execute(f"{query} ORDER BY n", (session,))
            else:
                phrase = '"' + folded.replace('"', '""') + '"'
                inner = "places.id IN (SELECT rowid FROM texts WHERE texts MATCH ?)"
                found = connection.execute(f"{query} AND {inner} ORDER BY n", (session, phrase))
            return [int(n) for (n,) in found]

    def add(self, session: str, last: int, mark: int, texts: Iterable[tuple[int, str]]) -> None:
        """Take in the texts of a session up to its record `last`, by number of their record, in one transaction."""
        with self._opened() as connection, connection:
            connection.execute(
                "INSERT INTO sessions (name, last, mark) VALUES (?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET last = excluded.last, mark = excluded.mark",
                (session, last, mark),
            )
            ((number,),) = list(connection.execute("SELECT id FROM sessions WHERE name = ?", (session,)))
            for n, folded in texts:
                connection.execute("INSERT OR IGNORE INTO places (session, n) VALUES (?, ?)", (number, n))
                if connection.changes():
                    row = connection.last_insert_rowid()
                    connection.execute("INSERT INTO texts (rowid, text) VALUES (?, ?)", (row, folded.replace("\0", " ")))

    def forget(self, session: str) -> None:
        """Leave out a session."""
        of_it = "SELECT places.id FROM places JOIN sessions ON sessions.id = session WHERE name = ?"
        with self._opened() as connection, connection:
            rows = list(connection.execute(of_it, (session,)))
            connection.executemany("DELETE FROM texts WHERE rowid = ?", rows)
            connection.executemany("DELETE FROM places WHERE id = ?", rows)
            connection.execute("DELETE FROM sessions WHERE name = ?", (session,))

    def sessions(self) -> list[str]:
        """The sessions that were taken in."""
        with self._opened() as connection:
            return [str(name) for (name,) in connection.execute("SELECT name FROM sessions")]

    def _prepare(self, connection: "apsw.Connection") -> None:
        version = int(connection.pragma("user_version") or 0)
        if version > TEXTS_VERSION:
            raise TextsUnusable(
                f"{self._path}: of version {version}, and this Holdfast reads up to {TEXTS_VERSION}; "
                "the log itself was searched instead; upgrade, or delete it"
            )
        if version < TEXTS_VERSION:
            connection.execute(_TABLES)
            connection.pragma("user_version", TEXTS_VERSION)

    @contextmanager
    def _opened(self) -> Iterator["apsw.Connection"]:
        import apsw  # here: it is needed for this only

        try:
            if self._connection is None:
                if not self._files.exists(self._path.parent):
                    make_folders(self._files, self._path.parent)
                self._connection = apsw.Connection(str(self._path))
                self._connection.set_busy_timeout(_BUSY_MS)
            yield self._connection
        except (apsw.CorruptError, apsw.NotADBError) as error:
            self.close()
            self._remove()
            what = "the log itself was searched instead, and the next search makes it anew"
            raise TextsUnusable(f"{self._path}: {error}; {what}") from None
        except (apsw.Error, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise TextsUnusable(f"{self._path}: {reason}; the log itself was searched instead") from None

    def _remove(self) -> None:
        for name in (self._path.name, f"{self._path.name}-journal"):
            try:
                self._files.unlink(self._path.with_name(name))
            except OSError:
                pass  # it is not there, or it stays and is told of again
