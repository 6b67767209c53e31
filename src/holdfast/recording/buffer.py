"""Records that are accepted and wait to be flushed, in batch and checkpoint mode."""

from collections.abc import Callable
from typing import Any

from holdfast.recording.counts import Counts
from holdfast.recording.policy import SavePolicy
from holdfast.recording.shortway import exact_token_of
from holdfast.records import Record, Token, encode_record
from holdfast.storage.log import LogWriter


class Buffer:
    """entries: records, and the short way's tokens as the fields of one; always the same list. phase: of the last one."""

    def __init__(self) -> None:
        self.entries: list[Record | tuple[Any, ...]] = []
        self.phase: str | None = None
        self._bytes = self._emissions = self._others = 0  # of the records; others: no tokens
        self._flushing: tuple[int, int, int] | None = None  # n and bytes before it, records in it
        self._seen: object = None

    def add(self, record: Record, kind: str, size: int) -> None:
        """Take a record, whose line has so many bytes."""
        self._others += kind != "token"
        self._bytes += size
        self._emissions += kind == "emission"
        self.entries.append(record)

    def is_full(self, policy: SavePolicy) -> bool:
        """Whether it has to be flushed before more is accepted."""
        emissions = policy.emissions if policy.save_mode == "batch" else policy.buffer_records
        return len(self.entries) >= policy.flush_at or self._bytes >= policy.buffer_bytes or self._emissions >= emissions

    def has_aged(self) -> bool:
        """Whether the oldest record was there at the last call of this already."""
        oldest = self.entries[0] if self.entries else None
        if oldest is None or oldest is not self._seen:
            self._seen = oldest
            return False
        return True

    def settle(self, log: LogWriter, counts: Counts) -> None:
        """Where a flush was interrupted between its write and what follows that, do what follows."""
        if self._flushing is None:
            return
        n, before, count = self._flushing
        if log.settle()[0] <= n:  # it was before the write
            self._flushing = None
            return
        done = [entry for entry in self.entries[:count] if isinstance(entry, Record)]
        total = log.line_bytes - before if len(done) == count else None
        lines = [*map(encode_record, done)]
        del self.entries[:count]  # no call between this and the next line, as an interrupt may come with any
        self._flushing = None
        counts.add_lines(done, lines, total, 0)

    def flush(self, log: LogWriter, write: Callable[[Callable[[], object]], None], counts: Counts) -> None:
        """Append all of it by `write`, in one batch. After DiskFull it is all still there."""
        taken, lines = self.entries[:], list[bytes]()  # other threads may append meanwhile
        self._flushing = (log.n, before := log.line_bytes, len(taken))
        try:
            records = [Token(*entry) if isinstance(entry, tuple) else entry for entry in taken]
            write(lambda: lines.append(log.append_batch(records)))
        except UnicodeEncodeError:  # before anything was written
            exact = [exact_token_of(entry) if isinstance(entry, tuple) else entry for entry in taken]
            write(lambda: lines.append(log.append_batch(exact)))
        del self.entries[: len(taken)]
        self._flushing = None
        if self._others:
            counts.add_lines(records, lines[0].split(b"\n"), log.line_bytes - before, 0)
        self._bytes = self._emissions = self._others = 0
