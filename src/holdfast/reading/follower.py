"""Hand every record to a consumer once: whatever is killed when, it goes on behind what the consumer has committed."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import msgspec

from holdfast.errors import Corrupted, InvalidSetting, StorageError
from holdfast.reading.blocks import Block, line_blocks
from holdfast.reading.loader import Source
from holdfast.reading.superseded import superseded_in
from holdfast.records import UNREADABLE, BadRecord, Range
from holdfast.storage.lines import read_head
from holdfast.storage.reader import LogReader


class Position(NamedTuple):
    """Up to which record a consumer has a session: its number and its time, which tells it from another log's."""

    n: int
    ts: int


class Batch(msgspec.Struct, frozen=True):
    """Records that follow each other in a session, all that were recorded, bookkeeping too.

    lines: one for each record from `first` on, without newlines (docs/format.md, "Records"). superseded: ranges that
    records of this batch take back, of this batch or of earlier ones: what they cover is no longer part of the run.
    Whoever takes in the lines first, and then takes these out, has what a reader of the whole log has. end: the
    position behind the batch.
    """

    session: str
    first: int
    lines: tuple[bytes, ...]
    superseded: tuple[Range, ...]
    end: Position

    @property
    def last(self) -> int:
        """n of the last record."""
        return self.end.n

    def records(self) -> list[dict[str, Any]]:
        """The decoded lines; user values are as they are stored (holdfast.codec.decode gives back what was put in)."""
        found = []
        for line in self.lines:
            try:
                found.append(msgspec.json.decode(line, type=dict[str, Any]))
            except UNREADABLE as error:
                raise BadRecord(line, str(error)) from None
        return found


class Consumer(Protocol):
    """Who takes in records. It keeps its own place, in the same store as its work."""

    def position(self, session: str) -> Position | None:
        """What was committed with the last batch of a session; None before the first."""

    def apply(self, batch: Batch) -> None:
        """Do the work for a batch, and commit it together with batch.end: both or neither, whatever is killed when."""

    def forget(self, session: str) -> None:
        """Commit that nothing is known of a session: another log has its name now, or a power loss took records that were
        handed over."""


class Follower:
    """Feeds a consumer from the logs of sessions that may be running. For one thread at a time.

    sources: the sessions as they are now, asked at each poll.
    """

    def __init__(self, sources: Callable[[], Iterable[Source]], consumer: Consumer, *, batch_records: int = 5000) -> None:
        if isinstance(batch_records, bool) or not isinstance(batch_records, int) or batch_records < 1:
            raise InvalidSetting(f"batch_records={batch_records!r} must be a whole number from 1 on")
        self._sources, self._consumer, self._batch_records = sources, consumer, batch_records
        self._readers: dict[str, LogReader] = {}

    def poll(self) -> int:
        """Hand over what came since the consumer's positions, session by session; returns how many records.

        What the consumer raises comes through, and the next poll begins again at its position. Where a log cannot be
        read, the other sessions are served first, and its error is raised then.
        """
        count = 0
        failures: dict[str, StorageError] = {}
        sources = {source.session: source for source in self._sources()}
        for gone in self._readers.keys() - sources.keys():
            del self._readers[gone]
        for source in sources.values():
            try:
                with source.located():
                    count += self._catch_up(source)
            except StorageError as error:
                self._readers.pop(source.session, None)
                failures[source.session] = error
        if failures:
            for source in self._sources():  # one that was deleted meanwhile has not failed
                if source.session in failures:
                    raise failures[source.session]
        return count

    def _catch_up(self, source: Source) -> int:
        reader, position = self._reader_behind(source)
        count = 0
        for block in line_blocks(reader, position + 1):
            lines = block.lines()
            for start in range(0, len(lines), self._batch_records):
                batch = _batch_of(source.session, block.first + start, lines[start : start + self._batch_records])
                self._consumer.apply(batch)
                count += len(batch.lines)
        return count

    def _reader_behind(self, source: Source) -> tuple[LogReader, int]:
        """The session's log as it is now, and the consumer's position in it."""
        position = self._consumer.position(source.session)
        known = self._readers.pop(source.session, None)
        reader = source.opened(known if position is not None and known is not None and _has(known, position) else None)
        if position is not None and not _has(reader, position):
            reader = source.opened(None)
            if not _has(reader, position):
                self._consumer.forget(source.session)
                position = None
        self._readers[source.session] = reader
        return reader, position.n if position is not None else 0


class _Place(msgspec.Struct):
    n: int
    ts: int


_place_of = msgspec.json.Decoder(_Place).decode


def _has(reader: LogReader, position: Position) -> bool:
    """Whether a log has the very record that was committed last."""
    try:
        place = _place_of(reader.find(position.n))
    except (KeyError, *UNREADABLE, StorageError):
        return False  # offsets of another log; what is damaged shows when it is read
    return (place.n, place.ts) == position


def _batch_of(session: str, first: int, lines: list[bytes]) -> Batch:
    head = read_head(lines[0])
    try:
        end = _place_of(lines[-1])
    except UNREADABLE as error:
        raise BadRecord(lines[-1], str(error)) from None
    if head is None or head.n != first or end.n != first + len(lines) - 1:
        raise Corrupted("the log", 0, f"record {first} of session {session!r} does not stand where it stood")
    block = Block(first, end.n, b"\n".join(lines))
    ranges = tuple(
        msgspec.structs.replace(span, last=min(span.last, record.n - 1))
        for record in superseded_in(block)
        for span in record.ranges
        if span.first < record.n
    )
    return Batch(session, first, tuple(lines), ranges, Position(end.n, end.ts))
