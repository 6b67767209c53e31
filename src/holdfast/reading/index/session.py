"""The index of one session: pieces from files, and what came since from the log, so that together they are the whole log."""

import threading
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import msgspec

from holdfast.reading.index.build import MAX_ROWS, mark_of, pieces_of
from holdfast.reading.index.piece import Piece, merge
from holdfast.reading.index.store import UnusableIndex, index_folder, piece_path, read_piece, stretches, sweep, write_piece
from holdfast.reading.superseded import SupersededSpans
from holdfast.storage.files import Files
from holdfast.storage.reader import LogReader

WRITTEN_FROM = 250
"""So many records that no file holds are worth one."""
_MERGED_UP_TO = 1 << 22
_KEPT_IN_MEMORY = 4


@dataclass(frozen=True)
class Witness:
    """Where a record's line stands in a segment of lines: a quick look tells whether it is the same log still."""

    n: int
    path: Path
    start: int
    line: bytes

    def stands(self, files: Files) -> bool:
        """Whether it stands there."""
        try:
            file = files.open(self.path)
            try:
                return file.read(len(self.line), self.start) == self.line
            finally:
                file.close()
        except OSError:
            return False  # sealed meanwhile, or gone


def witness_of(reader: LogReader, n: int, line: bytes) -> Witness | None:
    """The witness of the last record of a segment; None where the record stands elsewhere."""
    for extent in reader.past.extents:
        if extent.last == n and extent.path.suffix == ".jsonl":
            return Witness(n, extent.path, extent.end - len(line) - 1, line)
    return None


@dataclass(frozen=True)
class Snapshot:
    """A log as it stood at one moment, as pieces that follow each other from record 1 to its last."""

    session: str
    created: int
    reader: LogReader
    pieces: tuple[Piece, ...]
    spans: SupersededSpans
    notices: tuple[str, ...]


class _Time(msgspec.Struct):
    ts: int


class SessionIndex:
    """Keeps the pieces of a session. What cannot be written stays in memory; what cannot be read is made anew.

    Several processes may do this at once: pieces are added under names that say what they hold, and only then are those deleted
    that others cover. Threads take turns.
    """

    def __init__(self, files: Files, root: Path, session: str, open_reader: Callable[[], LogReader]) -> None:
        self._files, self._folder, self.session = files, index_folder(root, session), session
        self._open_reader, self._lock = open_reader, threading.Lock()
        self._reader: LogReader | None = None
        self._filed: list[Piece] = []
        self._unfiled: list[Piece] = []
        self._is_foreign = False
        self._created = 0
        self._witness: Witness | None = None
        self._notices: list[str] = []

    def snapshot(self, progress: Callable[[int, int], object] = lambda done, total: None) -> Snapshot:
        """The log as it is now. Costs what came since the last call; `progress` is told records done, and of how many.

        Raises what LogReader raises, and BadRecord.
        """
        with self._lock:
            reader = self._current()
            end = self._unfiled[-1].last if self._unfiled else self._filed[-1].last if self._filed else 0
            if reader.last > end:
                self._extend(reader, end, progress)
            pieces = (*self._filed, *self._unfiled)
            spans = SupersededSpans(record for piece in pieces for record in piece.superseded)
            return Snapshot(self.session, self._created, reader, pieces, spans, tuple(self._notices))

    def forget(self) -> None:
        """Forget what patterns found: for measuring."""
        for piece in (*self._filed, *self._unfiled):
            piece.dictionary.forget()

    def _current(self) -> LogReader:
        """A reader of the log as it is now, and the pieces that are of it."""
        if self._reader is not None:
            reader = copy(self._reader)  # who holds the old one goes on seeing the log as it was
            reader.refresh()
            if self._is_known(reader, [*self._filed, *self._unfiled]):
                self._reader = reader
                return reader
        self._reader = self._open_reader()
        self._notices, self._is_foreign, self._unfiled = [], False, []
        self._filed = self._read_files(self._reader)
        self._created = msgspec.json.decode(self._reader.find(1), type=_Time).ts if self._reader.last else 0
        return self._reader

    def _is_known(self, reader: LogReader, pieces: list[Piece]) -> bool:
        """Whether the last of the pieces is of this log: then all are, as a log only grows at its end."""
        if not pieces:
            return True
        last = pieces[-1].last
        if self._witness is not None and self._witness.n == last and self._witness.stands(self._files):
            return True
        try:
            line = reader.find(last)
        except KeyError:
            return False
        self._witness = witness_of(reader, last, line)
        return mark_of(line) == pieces[-1].mark

    def _read_files(self, reader: LogReader) -> list[Piece]:
        pieces: list[Piece] = []
        try:
            for first, last in stretches(self._files, self._folder):
                if first == (pieces[-1].last + 1 if pieces else 1) and last <= reader.last:
                    pieces += self._read_file(first, last)
        except OSError as error:
            self._notices.append(f"{self._folder}: {error.strerror}; the log itself was searched instead")
            return []
        while not self._is_known(reader, pieces):
            pieces.pop()
        return pieces

    def _read_file(self, first: int, last: int) -> Iterator[Piece]:
        path = piece_path(self._folder, first, last)
        try:
            yield read_piece(self._files, path)
        except FileNotFoundError:
            pass  # another process has put a larger one in its place
        except UnusableIndex as error:
            self._is_foreign |= error.is_newer
            then = "the log itself was searched instead; upgrade, or delete it" if error.is_newer else "it is made anew"
            self._notices.append(f"{error}; {then}")
        except OSError as error:
            self._notices.append(f"{path}: {error.strerror}; the log itself was searched instead")

    def _extend(self, reader: LogReader, end: int, progress: Callable[[int, int], object]) -> None:
        filed = self._filed[-1].last if self._filed else 0
        is_worth_a_file = reader.last - filed >= WRITTEN_FROM and not self._is_foreign
        done = reader.last - end
        for piece in pieces_of(reader, end + 1, reader.last, progress=lambda n: progress(n - end, done)):
            self._unfiled.append(piece)
            if is_worth_a_file and sum(map(len, self._unfiled)) >= MAX_ROWS // 2:
                is_worth_a_file = self._file_what_is_in_memory()
        if is_worth_a_file and self._unfiled:
            self._file_what_is_in_memory()
        if len(self._unfiled) > _KEPT_IN_MEMORY:
            self._unfiled = [merge(self._unfiled)] if sum(map(len, self._unfiled)) <= _MERGED_UP_TO else self._unfiled

    def _file_what_is_in_memory(self) -> bool:
        """Write the pieces that have no file, with small ones before them, as one. Whether that went well."""
        together = [*self._unfiled]
        kept = [*self._filed]
        while kept and len(kept[-1]) <= 2 * sum(map(len, together)) and sum(map(len, [kept[-1], *together])) <= _MERGED_UP_TO:
            together.insert(0, kept.pop())
        piece = merge(together)
        try:
            path = write_piece(self._files, self._folder, piece)
            written = read_piece(self._files, path)
            sweep(self._files, self._folder, [*kept, written])
        except (OSError, UnusableIndex) as error:
            reason = getattr(error, "strerror", None) or str(error)
            notice = f"{self._folder}: {reason}; the index could not be written, and the log itself was searched instead"
            if notice not in self._notices:
                self._notices.append(notice)
            return False
        self._filed, self._unfiled = [*kept, written], []
        return True
