"""Where a run goes on, and what it is expected to repeat (docs/format.md, "Resume")."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any

import msgspec

from holdfast.errors import HoldfastError
from holdfast.reading.superseded import is_dead
from holdfast.recording.matching import Divergence
from holdfast.records import (
    CANONICAL_KINDS,
    UNREADABLE,
    BadRecord,
    Checkpoint,
    Closed,
    Failed,
    Opened,
    Range,
    Record,
    Superseded,
    canonical_bytes,
    decode_bookkeeping,
    encode_record,
    kind_of,
)
from holdfast.sessions.tries import FailedTries
from holdfast.storage.reader import LogReader

Stream = tuple[str, bool]
"""Lane, and whether top."""

_decode = msgspec.json.decode


class Place(msgspec.Struct):
    kind: str
    n: int
    lane: str | None = None
    top: bool = False
    back: int | None = None


_place_of = msgspec.json.Decoder(Place).decode


def place_of(line: bytes) -> Place:
    """The place of a record's line. Raises BadRecord."""
    try:
        return _place_of(line)
    except UNREADABLE as error:
        raise BadRecord(line, str(error)) from None


class ResumePoint(msgspec.Struct):
    """What reading a log back to its last good checkpoint found.

    checkpoint: the one to restore, None to begin at the start. chain: the last record of the chain. skipped: sentences
    about checkpoints that could not be taken. last_number: of the last checkpoint recorded, good or not. failed: the steps that
    failed behind it.
    """

    checkpoint: Checkpoint | None = None
    opened: Opened | None = None
    closed: Closed | None = None
    superseded: list[Superseded] = msgspec.field(default_factory=list)
    failed: list[Failed] = msgspec.field(default_factory=list)
    skipped: list[str] = msgspec.field(default_factory=list)
    chain: int = 0
    last_number: int = 0

    @property
    def position(self) -> int:
        """n of the last canonical record before the point; 0 at the start."""
        return self.checkpoint.position["main"] if self.checkpoint else 0

    @property
    def is_finished(self) -> bool:
        """Whether the run came to its end."""
        return self.closed is not None and self.closed.status == "finished"


def find_resume_point(reader: LogReader, verify: Callable[[Checkpoint], None]) -> ResumePoint:
    """Read the log backwards to the checkpoint with the greatest position that is alive and verifies. Costs the tail, not the
    history. `verify` raises where a checkpoint's files are not what was written."""
    found = ResumePoint()
    chain: int | None = None
    was_end = True  # nothing but remarks so far
    if reader.last:
        first = decode_bookkeeping(reader.find(1))
        found.opened = first if isinstance(first, Opened) else None
    for n, line in reader.read_backwards():
        if found.checkpoint is not None and n <= found.position:
            break
        kind = kind_of(line)
        is_end, was_end = was_end, was_end and kind in ("annotated", "flushed")
        if kind in CANONICAL_KINDS:
            if chain is None and b'"top":true' in line and place_of(line).top:
                chain = n
            continue
        record = decode_bookkeeping(line)
        if isinstance(record, Superseded):
            found.superseded.append(record)
            chain = n if chain is None else chain
        elif isinstance(record, Failed):
            found.failed.append(record)
            chain = n if chain is None else chain
        elif isinstance(record, Closed):
            if is_end:
                found.closed = record
        elif isinstance(record, Checkpoint):
            if chain is None:
                chain = record.back or 0
            found.last_number = max(found.last_number, record.number)
            best = found.checkpoint.position["main"] if found.checkpoint else -1
            if record.at is None or record.position["main"] <= best or is_dead(record, found.superseded):
                continue
            try:
                verify(record)
            except HoldfastError as error:
                found.skipped.append(f"checkpoint {record.number} (record {n}) is passed over: {error}")
            else:
                found.checkpoint = record
    found.chain = chain or 0
    return found


class Expectations:
    """What a resumed program is expected to repeat: of each lane the records behind the position, and all top-level ones.

    They are read as they are needed. `remaining` counts them; `rerun` of them lie behind the position. tries: what it repeats
    besides, as the steps in which it was recorded failed.
    """

    def __init__(self, reader: LogReader, point: ResumePoint) -> None:
        self._reader = reader
        checkpoint = point.checkpoint
        self.position = point.position
        self._behind = checkpoint.behind if checkpoint else {}
        start = min([self.position + 1, *self._behind.values()])
        self._superseded = list(point.superseded)
        self.tries = FailedTries()
        for failed in reversed(point.failed):
            self.tries.add(failed)
        tops = self._follow_chain(checkpoint.back or 0, start) if checkpoint else []
        for _, line in reader.read(start, checkpoint.n if checkpoint else 0):
            if kind_of(line) == "superseded":
                record = decode_bookkeeping(line)
                assert isinstance(record, Superseded)
                self._superseded.append(record)
        self._counts: dict[Stream, int] = {}
        self._last: dict[Stream, int] = {}
        self._queues: dict[Stream, deque[tuple[int, bytes]]] = {}
        for n, lane in tops:
            if not self._is_superseded(n, lane, True):
                self._expect(n, (lane, True))
                self._queues.setdefault((lane, True), deque()).append((n, b""))
        for n, place in self._expected_from(start):
            self._expect(n, (place.lane or "", place.top))
        self._expect_tries()
        self.rerun = sum(self._counts.values()) - sum(len(queue) for queue in self._queues.values())
        self.remaining = self._count()
        self._source = self._lines_from(start)
        self.trusts_top = False  # top-level records made from a state that is not there any more are not compared

    def match(self, record: Record) -> int | Divergence | None:
        """n of the expected record where this is it (then it is expected no more), None where its lane expects nothing."""
        lane = record.lane or ""
        again = self.tries.next(lane)
        if again is None and not self._counts.get((lane, True)) and not self._counts.get((lane, False)):
            return None
        expected = self.peek(lane, record.top)
        found = _decode(encode_record(record))
        if expected is None:
            firsts = [self._first((lane, top)) for top in (True, False) if self._counts.get((lane, top))]
            n = min(firsts if again is None else [*firsts, again])
            following = _decode(self._reader.find(n))
            return Divergence(n, lane, following, found, "the program recorded something more")
        n, fields = expected
        is_again = not record.top and again is not None
        is_trusted = (
            self.trusts_top
            and (record.top or is_again)
            and all(fields.get(key) == found.get(key) for key in ("kind", "name", "key"))
        )
        if not is_trusted and canonical_bytes(fields) != canonical_bytes(found):
            return Divergence(n, lane, fields, found, "the program recorded something else")
        if is_again:
            self.tries.pop(lane)
        else:
            self._queues[lane, record.top].popleft()
            self._counts[lane, record.top] -= 1
        if not record.top:
            self.tries.note(n)
        self.remaining -= 1
        return n

    def peek(self, lane: str, top: bool) -> tuple[int, dict[str, Any]] | None:
        """n and fields of the record expected next in a stream."""
        stream = lane, top
        if not top and (again := self.tries.next(lane)) is not None:
            return again, _decode(self._reader.find(again))
        if not self._counts.get(stream):
            return None
        n, line = self._head(stream)
        return n, _decode(line or self._reader.find(n))

    def ranges(self, lane: str | None = None, top: bool | None = None) -> list[Range]:
        """What is still expected, of one lane and kind or of all, as ranges for a `superseded` record."""
        ranges = [
            Range(first=self._first(stream), last=self._last[stream], lane=stream[0], top=stream[1])
            for stream in self._streams(lane, top)
        ]
        return ranges if top else [*self.tries.ranges(lane), *ranges]

    def drop(self, lane: str | None = None, top: bool | None = None) -> None:
        """Expect that no more."""
        for stream in self._streams(lane, top):
            self._counts[stream] = 0
        if not top:
            self.tries.drop(lane)
        self.remaining = self._count()

    def pass_step(self, key: str, n: int) -> None:
        """The program passes a step whose result is record n: what it recorded in its failed tries does not come again."""
        self.tries.pass_step(key, n)
        self.remaining = self._count()

    def close(self) -> None:
        """Let go of the log's files."""
        self._source.close()

    def _streams(self, lane: str | None, top: bool | None) -> list[Stream]:
        return [
            stream
            for stream, count in sorted(self._counts.items())
            if count and lane in (None, stream[0]) and top in (None, stream[1])
        ]

    def first_difference(self) -> tuple[int, str, dict[str, Any]] | None:
        """n, lane and fields of the first record still expected."""
        firsts = [(self._first(stream), stream[0]) for stream, count in self._counts.items() if count]
        firsts.extend(self.tries.firsts())
        if not firsts:
            return None
        n, lane = min(firsts)
        return n, lane, _decode(self._reader.find(n))

    def behind(self, position: int) -> dict[str, int]:
        """Lane → n of its first record not yet matched, for those that lie before the position."""
        firsts = {stream[0]: self._first(stream) for stream, count in self._counts.items() if count and not stream[1]}
        return {lane: n for lane, n in firsts.items() if n <= position}

    def _count(self) -> int:
        return sum(self._counts.values()) + len(self.tries)

    def _expect_tries(self) -> None:
        """Of the steps that failed, what lies before the position and is not expected anyway."""
        found: dict[int, tuple[str, Failed]] = {}
        for record in self.tries.records:
            for n, line in self._reader.read(record.first, min(record.last, self.position)):
                if n not in found and kind_of(line) in CANONICAL_KINDS and not (place := place_of(line)).top:
                    lane = place.lane or ""
                    if not self._is_expected(n, place) and not self._is_superseded(n, lane, False):
                        found[n] = lane, record
        for n, (lane, record) in sorted(found.items()):
            self.tries.expect(n, lane, record)

    def _expect(self, n: int, stream: Stream) -> None:
        self._counts[stream] = self._counts.get(stream, 0) + 1
        self._last[stream] = n

    def _first(self, stream: Stream) -> int:
        return self._head(stream)[0]

    def _head(self, stream: Stream) -> tuple[int, bytes]:
        """The next entry of a stream that expects something."""
        queue = self._queues.setdefault(stream, deque())
        while not queue:
            n, place, line = next(self._source)
            self._queues.setdefault((place.lane or "", place.top), deque()).append((n, line))
        return queue[0]

    def _lines_from(self, start: int) -> Generator[tuple[int, Place, bytes], None, None]:
        for n, line in self._reader.read(start):
            if kind_of(line) in CANONICAL_KINDS and self._is_expected(n, place := place_of(line)):
                yield n, place, line

    def _expected_from(self, start: int) -> Iterator[tuple[int, Place]]:
        return ((n, place) for n, place, _ in self._lines_from(start))

    def _is_expected(self, n: int, place: Place) -> bool:
        lane = place.lane or ""
        if not place.top and n < self._behind.get(lane, self.position + 1):
            return False
        return not self._is_superseded(n, lane, place.top)

    def _is_superseded(self, n: int, lane: str, top: bool) -> bool:
        return any(span.covers(n, lane, top) for record in self._superseded if record.n > n for span in record.ranges)

    def _follow_chain(self, n: int, before: int) -> list[tuple[int, str]]:
        """Number and lane of the top-level records before a number, in order; takes in the superseded and failed records on the
        way."""
        tops: list[tuple[int, str]] = []
        while n:
            line = self._reader.find(n)
            place = place_of(line)
            if place.kind == "superseded":
                record = decode_bookkeeping(line)
                assert isinstance(record, Superseded)
                if all(known.n != record.n for known in self._superseded):
                    self._superseded.append(record)
            elif place.kind == "failed":
                failed = decode_bookkeeping(line)
                assert isinstance(failed, Failed)
                self.tries.add(failed)
            elif n < before:
                tops.append((n, place.lane or ""))
            n = n - 1 if place.back is None else place.back
        return tops[::-1]
