"""The append end of one writer's log: numbers, lines, closes, segments, syncs."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import msgspec

from holdfast.errors import Corrupted, DiskFull, InvalidValue, WriteFailed
from holdfast.records import Checkpoint, Flushed, Record, Superseded, encode_into, encode_lines, encode_record
from holdfast.storage.files import Files, failure, make_folders, replace_file
from holdfast.storage.lines import (
    CLOSE_BYTES,
    FORMAT_VERSION,
    MAX_LINE_BYTES,
    Header,
    Predecessor,
    close_line,
    header_line,
    join_line,
    largest_field,
    read_closes,
    read_head,
    stamp_synced,
    strip_close,
)
from holdfast.storage.recovery import Past, sealed_meanwhile, segment_path
from holdfast.storage.segments import Segment, Watch, unwatched

MAX_SEGMENT_BYTES = 64 << 20
_CLOSE_EVERY = 64  # lines that go through the map
_CRC_EVERY = 16  # lines: the crc follows in small pieces, so that no single record pays for 64
_CLOSE_ROOM = 64  # bytes that a stamp and a close add to a line, at most


class Closing(NamedTuple):
    """How far the chain of closes is: `crc` covers all from the last close to offset `at`; `n` is the record closed last."""

    crc: int
    at: int
    n: int


Tail = tuple[int, int, Closing, Segment | None, int]
"""Where the log ends: last n, offset behind it, closing, segment, last n of the chain. One attribute holds it, so that it
changes in one step."""


class Sync(msgspec.Struct, frozen=True):
    """A sync that was begun: these segments, the last of which holds everything up to `target`."""

    segments: tuple[Segment, ...]
    target: Tail


class LogWriter:
    """Appends records to `folder` (log/main), continuing `past`. One caller at a time: the recorder holds a lock.

    With `use_map` and durability "process", `append` returns when the line is with the operating system, without a
    system call; otherwise, and for groups and batches, it is one write. The number n advances as the last step of an
    append: an exception, a KeyboardInterrupt too, leaves neither a gap nor half a record. The first record opens a
    segment of its own. After DiskFull the call can be repeated; after another WriteFailed every further one raises it.
    """

    def __init__(
        self,
        files: Files,
        folder: Path,
        past: Past,
        *,
        session: str,
        attempt: int,
        boot: str,
        durability: str,
        use_map: bool,
        chain: int = 0,
        max_segment_bytes: int = MAX_SEGMENT_BYTES,
    ) -> None:
        self._files, self._folder, self._past = files, folder, past
        self._session, self._attempt, self._boot, self._durability = session, attempt, boot, durability
        self._is_power = durability == "power"
        self._use_map = use_map and not self._is_power
        self._max_segment_bytes = max_segment_bytes
        self._tail: Tail = (past.last, 0, Closing(0, 0, past.last), None, chain)
        self._pending: Tail = self._tail  # what the tail is about to become; the same object between two appends
        self._synced: Tail = (0, 0, Closing(0, 0, 0), None, 0)
        self._full: list[Segment] = []  # rolled segments that still have to be synced or closed
        self._bytes_before = self._lines_before = 0  # of the segments before the one at the tail
        self.closes_dropped: Counter[str] = Counter()  # kind → bytes of closes that its lines lost when they were repeated
        self._line = bytearray()  # the one being appended
        self.marks = self.mark_bytes = 0  # `flushed` records
        self.failure: WriteFailed | None = None
        self.watch: Watch = unwatched  # of segments that are made from then on

    @property
    def n(self) -> int:
        """Number of the last record. Can be asked from any thread and signal handler: while one is being appended, it is the
        one before that."""
        return self._tail[0]

    def settle(self) -> Tail:
        """The tail, with an append that was interrupted done or undone. For who holds the recorder's lock, outside appends."""
        return self._tail if self._pending is self._tail else self._repair()

    @property
    def synced(self) -> int:
        """Number of the last record that is known to be on the disk: of this attempt, or before it once that was synced."""
        return self._synced[0]

    @property
    def has_begun(self) -> bool:
        """Whether there is a segment of this attempt."""
        return self._tail[3] is not None

    @property
    def bytes_appended(self) -> int:
        """Bytes of this attempt, headers and closes included."""
        return self._bytes_before + self._tail[1]

    @property
    def line_bytes(self) -> int:
        """Bytes of all lines of this attempt as they were first appended: closes included, headers not."""
        tail = self._tail
        return self._lines_before + tail[1] - (tail[3].header_end if tail[3] is not None else 0)

    @property
    def header_bytes(self) -> int:
        """Bytes of this attempt's headers."""
        return self.bytes_appended + self.closes_dropped.total() - self.line_bytes

    def append(self, record: Record) -> int:
        """Give a canonical record its number, append its line, and return the number. After DiskFull and InvalidValue
        nothing has changed."""
        tail = self._tail
        if self._pending is not tail:
            tail = self._repair()
        n, pos, closing, segment, chain = tail
        if record.top:
            if chain != n:
                record.back = chain
            chain = n + 1
        n += 1
        record.n = n
        line = self._line
        encode_into(record, line)
        end = pos + len(line)
        if segment is None or end + _CLOSE_ROOM >= segment.limit:
            self._append_lines([bytes(line)], 1, chain, is_closed=False)
            return n
        window, base = segment.window, segment.base
        if not n & 15:  # _CRC_EVERY
            crc, at, closed = closing
            crc = crc32(window[at - base : pos - base], crc)  # type: ignore[index]  # limit > 0 means there is a window
            if n & 63:  # _CLOSE_EVERY
                closing = Closing(crc, pos, closed)
            else:
                closed_line, crc = close_line(bytes(line), crc)
                line[:] = closed_line
                end = pos + len(line)
                closing = Closing(crc, end + 1, n)
        self._pending = after = (n, end + 1, closing, segment, chain)
        window[pos - base : end - base] = line  # type: ignore[index]
        self._tail = after
        return n

    def append_batch(self, records: Sequence[Record]) -> bytes:
        """Append many records with one write and one close. After a kill, those before the tear count. Returns their lines,
        without that close."""
        if not records:
            return b""
        chain = self._number(records)
        lines = encode_lines(records)[:-1]
        self._append_lines([lines], len(records), chain)
        return lines

    def append_group(self, records: Sequence[Record]) -> list[bytes]:
        """Append records that stand or fall together, with one close. Returns their lines, without that close."""
        if not records:
            return []
        chain = self._number(records)
        lines = [encode_record(record) for record in records]
        lines = [*map(join_line, lines[:-1]), lines[-1]]
        self._append_lines(lines, len(lines), chain)
        return lines

    def ends_closed(self) -> bool:
        """Whether the last line carries a close."""
        tail = self.settle()
        return tail[0] == tail[2].n

    def close_lines(self, ts: int) -> None:
        """Make sure that the last line carries a close, by a `flushed` record where it does not."""
        if not self.ends_closed():
            before = self.line_bytes
            self.append_batch([Flushed(ts=ts)])
            self.marks += 1
            self.mark_bytes += self.line_bytes - before

    def sync(self, ts: int) -> None:
        """Sync everything appended. Raises WriteFailed, for good, where that fails twice (see end_sync)."""
        if (begun := self.begin_sync(ts)) is not None:
            self.end_sync(begun, run_sync(begun))

    def begin_sync(self, ts: int) -> Sync | None:
        """What has to be synced now, for `run_sync` outside the recorder's lock; None where everything is. Each is followed by
        end_sync or cancel_sync."""
        self._raise_failure()
        n, _, _, current, _ = self.settle()
        if self._synced[0] == n:
            return None
        if current is None:
            try:
                self._sync_past()
            except OSError as error:
                raise self._fail(self._folder, error) from error
            self._synced = self._tail
            return None
        self.close_lines(ts)
        segments = (*(full for full in self._full if full is not current), current)
        for segment in segments:
            segment.syncs_running += 1
        return Sync(segments, self._tail)

    def forget_syncs(self) -> None:
        """No sync is running: one that was interrupted on its way to cancel_sync counts no more."""
        for segment in (*self._full, self._tail[3]):
            if segment is not None:
                segment.syncs_running = 0

    def cancel_sync(self, begun: Sync) -> None:
        """A sync was interrupted: nothing is known of it, and the next one does it all."""
        for segment in begun.segments:
            segment.syncs_running -= 1

    def end_sync(self, begun: Sync, failed: tuple[Segment, OSError] | None) -> None:
        """Tell how a sync went. Where it failed, the segment is abandoned and everything since the last sync is repeated in
        the next one and synced there; raises WriteFailed, for good, where that fails too."""
        for segment in begun.segments:
            segment.syncs_running -= 1
        self._raise_failure()
        current = self._tail[3]
        if failed is not None:
            segment, error = failed
            if segment is not current:
                raise self._fail(segment.path, error) from error
            self._abandon(segment, error)
            return
        for segment in begun.segments[:-1]:
            if segment in self._full and segment.syncs_running == 0:
                self._full.remove(segment)
                segment.close()
        if begun.target[0] > self._synced[0]:
            self._synced = begun.target

    def close(self, record: Record) -> None:
        """Append a last record, sync, and give back the space taken ahead."""
        self.append_batch([record])
        self.sync(record.ts)
        segment, pos = self._tail[3], self._tail[1]
        assert segment is not None  # there is a record in it
        try:
            segment.trim(pos)
        except OSError as error:
            raise self._fail(segment.path, error) from error
        finally:
            self.release()

    def release(self) -> None:
        """Let go of the files without another byte. Whatever is appended afterwards raises WriteFailed."""
        self.failure = self.failure or WriteFailed(self._folder, "the log is closed")
        n = self.settle()[0]
        segments = [*self._full, *([self._tail[3]] if self._tail[3] else [])]
        self._full = []
        self._bytes_before, self._lines_before = self._bytes_before + self._tail[1], self.line_bytes
        self._pending = self._tail = (n, 0, self._tail[2], None, self._tail[4])
        for segment in segments:
            segment.close()

    # How it is done --------------------------------------------------------------------------------------------------

    def _number(self, records: Sequence[Record]) -> int:
        """Give records their numbers and places in the chain; return the last n of the chain behind them."""
        tail = self.settle()
        chain = tail[4]
        for n, record in enumerate(records, tail[0] + 1):
            record.n = n
            kind = type(record)
            if record.top or kind is Superseded:
                record.back = chain if chain != n - 1 else None
                chain = n
            elif kind is Checkpoint:
                record.back = chain
        return chain

    def _append_lines(self, lines: list[bytes], count: int, chain: int, *, is_closed: bool = True) -> None:
        """The careful way, where room, rolling and closing are seen to: one line, the lines of a group, or in one piece the
        `count` lines of a batch; all without the last newline. is_closed: whether the last line carries a close in any case."""
        self._raise_failure()
        size = sum(map(len, lines)) + len(lines) + _CLOSE_ROOM
        if size > MAX_LINE_BYTES:
            longest = max((line for piece in lines for line in piece.split(b"\n")), key=len)
            if len(longest) + _CLOSE_ROOM > MAX_LINE_BYTES:
                raise InvalidValue(*largest_field(longest))
        segment = self._room(size)
        n, pos, closing, _, _ = self._tail
        closing = self._follow(segment, pos, closing)
        n += count
        is_full = pos + size >= self._max_segment_bytes  # then the next record rolls, and a header builds on a close
        # Without a map each line is closed: another machine of a network file system, or one that cannot tell its boots
        # apart, recovers what stands under closes.
        if is_closed or not self._use_map or is_full or not n & (_CLOSE_EVERY - 1):
            *before, last = lines
            crc = closing.crc
            for line in before:
                crc = crc32(b"\n", crc32(line, crc))
            if self._is_power:
                last = stamp_synced(last, self._synced[0])
            last, crc = close_line(last, crc)
            lines = [*before, last]
            closing = Closing(crc, pos + sum(map(len, lines)) + len(lines), n)
        self._pending = after = (n, pos + sum(map(len, lines)) + len(lines), closing, segment, chain)
        try:
            if count > len(lines):
                segment.write(lines[0], pos)
            else:
                segment.put(lines, pos)
        except OSError as error:
            self._pending = self._tail
            if isinstance(full := failure(segment.path, error), DiskFull):
                raise full from error  # a file system that copies what is overwritten; the next write covers what is torn
            raise self._fail(segment.path, error) from error
        self._tail = after
        if is_full:
            segment.limit = 0

    def _follow(self, segment: Segment, pos: int, closing: Closing) -> Closing:
        """The closing with its crc brought up to pos."""
        if closing.at == pos:
            return closing
        return Closing(crc32(segment.read(closing.at, pos), closing.crc), pos, closing.n)

    def _room(self, size: int) -> Segment:
        """The segment to append to, with room for size bytes. After DiskFull nothing has changed that counts."""
        n, pos, closing, segment, _ = self._tail
        try:
            if segment is None:
                segment = self._begin()
            elif pos + _CLOSE_ROOM >= self._max_segment_bytes and closing.n == n:
                segment = self._roll(segment)
            segment.make_room(self._tail[1], size, self._max_segment_bytes)
        except OSError as error:
            if segment is not None and segment.has_failed:
                return self._room_elsewhere(segment, size, error)
            path = segment.path if segment is not None else self._folder
            full = failure(path, error)
            if isinstance(full, DiskFull):
                raise full from error
            raise self._fail(path, error) from error
        return segment

    def _room_elsewhere(self, segment: Segment, size: int, error: OSError) -> Segment:
        """A sync failed while room was made: go on in the next segment, as after any sync that fails."""
        self._abandon(segment, error)
        fresh = self._tail[3]
        assert fresh is not None
        try:
            fresh.make_room(self._tail[1], size, self._max_segment_bytes)
        except OSError as second:
            if isinstance(full := failure(fresh.path, second), DiskFull) and not fresh.has_failed:
                raise full from second
            raise self._fail(fresh.path, second) from second
        return fresh

    def _sync_past(self) -> None:
        """Sync what the last attempt left, and its names: it may only be flushed."""
        past = self._past
        for extent in past.extents:
            if extent.header.attempt == past.attempts and not extent.is_sealed:
                try:
                    file = self._files.open(extent.path)
                except FileNotFoundError:
                    if sealed_meanwhile(self._files, extent) is None:
                        raise
                    continue  # synced before it got its name
                try:
                    self.watch("sync", extent.path, file.sync)
                finally:
                    file.close()
        if past.extents:
            self.watch("sync", self._folder, lambda: self._files.sync_folder(self._folder))

    def _begin(self) -> Segment:
        """Open this attempt's first segment. What its header builds on is synced first."""
        make_folders(self._files, self._folder, own=2)
        past = self._past
        self._sync_past()
        prev = None
        if past.extents:
            last = past.extents[-1]
            prev = Predecessor(last.header.segment, last.end, last.last, f"{last.crc:08x}")
        if past.torn is not None:
            path, offset, data = past.torn
            replace_file(self._files, path.with_name(f"{path.stem}.torn-{offset}"), [data])
        segment = self._next_segment(past.highest_segment + 1, past.last, prev)
        self._synced = self._tail
        return segment

    def _roll(self, full: Segment) -> Segment:
        """Begin the next segment of this attempt; the last line of the full one is closed."""
        n, pos, closing, _, _ = self._tail
        if self._is_power:
            full.sync()
            done = [segment for segment in self._full if not segment.syncs_running and segment is not full]
            self._full = [segment for segment in self._full if segment not in done]
            for segment in done:
                segment.close()
        if full not in self._full:  # it may be, from a roll that the disk was too full for
            self._full.append(full)
        number = full.header.segment
        segment = self._next_segment(number + 1, n, Predecessor(number, pos, n, f"{closing.crc:08x}"))
        self._bytes_before += pos
        self._lines_before += pos - full.header_end
        if self._is_power:
            self._synced = self._tail
        return segment

    def _next_segment(self, number: int, n: int, prev: Predecessor | None, block: bytes = b"", count: int = 0) -> Segment:
        """Make a segment, with `count` unclosed lines to begin with where there is a block, and go on in it. In one step: an
        exception leaves the log where it was."""
        header = Header(
            format=FORMAT_VERSION,
            session=self._session,
            writer=self._folder.name,
            segment=number,
            attempt=self._attempt,
            boot=self._boot,
            durability=self._durability,
            first=n + 1,
            prev=prev,
        )
        crc = header_line(header)[1]
        if block:
            block, crc = close_line(block, crc)
            block += b"\n"
        path = segment_path(self._folder, number)
        segment = Segment(path, header, use_map=self._use_map, presync=self._is_power, content=block, watch=self.watch)
        end = segment.header_end + len(block)
        self._pending = after = (n + count, end, Closing(crc, end, n + count), segment, self._tail[4])
        try:
            segment.create(self._files)
        except OSError:
            self._pending = self._tail
            raise
        self._tail = after
        return segment

    def _repair(self) -> Tail:
        """Something was interrupted between its two last steps: its bytes, or its file, are there in full or not at all."""
        _, _, _, segment, _ = self._tail
        pending = self._pending
        if pending[3] is not segment:
            is_there = pending[3] is not None and self._files.exists(pending[3].path)
        else:
            # What is written or stored comes from the front: its last byte says whether all of it came.
            is_there = segment is not None and segment.read(pending[1] - 2, pending[1] - 1) == b"}"
            if segment is not None and not is_there:
                segment.tear(pending[1])
        if is_there:
            self._tail = pending
        self._pending = self._tail
        return self._tail

    def _abandon(self, segment: Segment, error: OSError) -> None:
        """Repeat everything since the last sync in a new segment, as the kernel may have dropped it here."""
        since = self._synced if self._synced[3] is segment else _start_of(segment)
        try:
            lines, closes = _read_back(segment, since, self._tail)
            n, pos, closing, _, _ = since
            number = segment.header.segment
            prev = Predecessor(number, pos, n, f"{closing.crc:08x}")
            self._next_segment(number + 1, n, prev, b"\n".join(lines), len(lines))
            self._bytes_before += pos
            self._lines_before += pos - segment.header_end + closes.total()
            self.closes_dropped.update(closes)
            self._synced = self._tail
            if segment in self._full:
                self._full.remove(segment)
            segment.close()
        except (OSError, Corrupted) as second:
            raise self._fail(segment.path, error) from second

    def _fail(self, path: Path, error: OSError) -> WriteFailed:
        """A failure for good, a full disk too: it came where space had been taken."""
        self.failure = WriteFailed(path, error.strerror or type(error).__name__)
        return self.failure

    def _raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure


def run_sync(begun: Sync) -> tuple[Segment, OSError] | None:
    """Sync the segments of a sync that was begun; which one failed, and how."""
    for segment in begun.segments:
        try:
            segment.sync()
        except OSError as error:
            return segment, error
    return None


def _start_of(segment: Segment) -> Tail:
    n = segment.header.first - 1
    return (n, segment.header_end, Closing(segment.header_crc, segment.header_end, n), segment, 0)


def _read_back(segment: Segment, since: Tail, tail: Tail) -> tuple[list[bytes], Counter[str]]:
    """The lines between two tails of one segment, without closes, and by kind the bytes fewer that they are than before, once
    the last one is closed; raises Corrupted where they are not what was written."""
    data = segment.read(since[1], tail[1])
    if not all(close.good for close in read_closes(data, 0, since[2].crc)):
        raise Corrupted(segment.path, since[1], "what was written since the last sync cannot be read back")
    lines = data.split(b"\n")[:-1]
    heads = [head for line in lines if (head := read_head(line)) is not None]
    if [head.n for head in heads] != list(range(since[0] + 1, tail[0] + 1)) or len(heads) < len(lines):
        raise Corrupted(segment.path, since[1], "what was written since the last sync cannot be read back")
    bare = [strip_close(line) for line in lines]
    closes: Counter[str] = Counter()
    for head, line, left in zip(heads, lines, bare, strict=True):
        closes[head.kind] += len(line) - len(left)
    if heads:
        closes[heads[-1].kind] -= CLOSE_BYTES - 1
    return bare, closes
