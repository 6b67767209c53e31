"""The way of a record into the log, from accepted to flushed, for the thread whose turn it is."""

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from holdfast.errors import DiskFull, HoldfastError, InvalidValue, WriteFailed
from holdfast.recording.buffer import Buffer
from holdfast.recording.cost import Cost
from holdfast.recording.counts import Counts
from holdfast.recording.policy import SavePolicy
from holdfast.records import Once, Record, encode_record
from holdfast.storage.lines import MAX_LINE_BYTES, largest_field
from holdfast.storage.log import LogWriter

_FULL_WAIT_SECONDS = 0.5
_LATER_BYTES = 256  # what a line still gets when it is appended: number, place in the chain, close
T = TypeVar("T")


class Watermarks(msgspec.Struct, frozen=True):
    """Record numbers up to which all is accepted (in memory), flushed (survives a kill), synced (survives power loss)."""

    accepted: int
    flushed: int
    synced: int


class Outlet:
    """Buffers or appends records by a policy, measures and counts that, and remembers what ended it.

    buffers: whether records wait in memory, so that values of the caller have to be copied.
    failure: of a write; every further call raises it. ended: the session is closed, or this is a forked child.
    on_begin: makes the records that an attempt begins with. begun, failed: called once they stand, and with a failure.
    """

    def __init__(
        self,
        log: LogWriter,
        policy: SavePolicy,
        cost: Cost,
        *,
        on_begin: Callable[[], list[Record]],
        begun: Callable[[], None],
        failed: Callable[[], None],
        clock_ns: Callable[[], int],
        wait: Callable[[float], object] | None,
    ) -> None:
        self.log, self.policy, self.cost, self.clock_ns = log, policy, cost, clock_ns
        self.buffers = policy.save_mode != "continuous"
        self.buffer, self.counts = Buffer(), Counts()
        self.failure: HoldfastError | None = None
        self.ended: HoldfastError | None = None
        self._behind: int | None = None  # n before this attempt's first record, once that is being written
        self._on_begin, self._begun, self._failed = on_begin, begun, failed
        self._wait = wait or threading.Event().wait
        log.watch = cost.watch

    # Where it stands ---------------------------------------------------------------------------------------------------

    @property
    def watermarks(self) -> Watermarks:
        """How far records are accepted, flushed and synced."""
        while True:
            flushed, waiting = self.log.n, len(self.buffer.entries)
            if self.log.n == flushed:  # else another thread flushed between the two looks
                return Watermarks(flushed + waiting, flushed, self.log.synced)

    @property
    def has_begun(self) -> bool:
        """Whether this attempt has recorded something new."""
        return self.counts.first is not None

    def now(self) -> int:
        """Microseconds since 1970."""
        return self.clock_ns() // 1000

    def raise_stopped(self) -> None:
        """Raise what ended recording, if something did."""
        if self.ended is not None:
            raise self.ended
        if self.failure is not None:
            raise self.failure

    # What is done to it ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Before the first new record of an attempt: the record that says so."""
        if self.counts.first is None:
            if self._behind is None:
                self._behind = self.log.n
            n, began = self._behind, self.cost.timer_ns()
            for record in self._on_begin()[self.log.n - n :]:  # all of them, but where an interrupt came in between
                record.ts = self.now()
                before = self.log.line_bytes
                self.write(lambda record=record: self.log.append_batch([record]))  # type: ignore[misc]  # bound at once
                self.counts.add(record, self.log.line_bytes - before)
            self.counts.first = n
            self.cost.opening_ns += self.cost.timer_ns() - began
            self._begun()

    def take(self, record: Record) -> None:
        """Append a record, or accept it into the buffer; the attempt has begun. After an exception it is in neither."""
        if self.buffers:
            self._accept(record)
        else:
            before = self.log.line_bytes
            self.write(lambda: self.log.append(record))
            self.counts.add(record, self.log.line_bytes - before)

    def append_group(self, records: Sequence[Record]) -> None:
        """Append records that stand or fall together, behind everything accepted."""
        self.raise_stopped()
        if not records:
            return
        self.begin()
        self.flush()
        for record in records:
            record.ts = record.ts or self.now()
        before, lines = self.log.line_bytes, list[bytes]()
        self.write(lambda: lines.extend(self.log.append_group(records)))
        self.counts.add_lines(records, lines, self.log.line_bytes - before)

    def flush(self) -> None:
        """Flush what is accepted. After DiskFull it is all still there."""
        self.raise_stopped()
        self.buffer.settle(self.log, self.counts)
        if self.buffer.entries:
            self.begin()
            self.buffer.flush(self.log, self.write, self.counts)

    def flush_or_keep(self) -> None:
        """Flush; where the disk is full all stays accepted, and the next record raises it before it is."""
        try:
            self.flush()
        except DiskFull as error:
            self.cost.stall(f"the buffer cannot be flushed: {error}")

    def flush_and_close_lines(self) -> None:
        """Flush, and have the last line carry a close."""
        self.flush()
        if self.has_begun and not self.log.ends_closed():
            self.write(lambda: self.log.close_lines(self.now()))

    def close(self, record: Record) -> None:
        """Append a last record, behind everything accepted, sync, and let go of the log; where nothing was recorded there is
        nothing to close."""
        record.ts = self.now()
        if self.has_begun or self.log.has_begun:
            before = self.log.line_bytes
            self.write(lambda: self.log.close(record))
            if self.log.line_bytes > before:
                self.counts.add(record, self.log.line_bytes - before)

    def continue_in(self, log: LogWriter) -> None:
        """Go on in another log, in which an attempt of this process has begun already."""
        self.log.release()
        self.counts.go_on_behind(self.log, log.n)
        self.log, log.watch = log, self.cost.watch
        self._behind = None

    def fail(self, error: HoldfastError) -> None:
        """Record nothing more: a failure that stays."""
        self.failure = error
        self._failed()

    def write(self, write: Callable[[], object]) -> None:
        """Do a write of the log, timed; a full disk is waited for where the policy says so, another failure stays."""
        began, stalls = self.cost.timer_ns(), self.cost.stalls
        waited = False
        while True:
            try:
                self.call(write)
                break
            except DiskFull as error:
                if self.policy.on_full == "raise":
                    raise
                if not waited:
                    self.cost.stall(f"waiting for space: {error.path}: {error.reason}; nothing accepted is lost")
                waited = True
                self._wait(_FULL_WAIT_SECONDS)
        self.cost.flush(self.cost.timer_ns() - began, stalls)

    def call(self, call: Callable[[], T]) -> T:
        """Call the log; a failure of it, other than a full disk, stays."""
        try:
            return call()
        except DiskFull:
            raise
        except WriteFailed as error:
            self.fail(error)
            raise

    def _accept(self, record: Record) -> None:
        """Into the buffer; flushed where a limit is reached."""
        line = encode_record(record)
        size = len(line)
        if size + _LATER_BYTES > MAX_LINE_BYTES:
            raise InvalidValue(*largest_field(line))
        buffer = self.buffer
        phase = getattr(record, "phase", None)
        changed = phase is not None and phase != buffer.phase
        if buffer.is_full(self.policy) or (changed and self.policy.save_mode == "batch"):
            self.flush()
        if changed:
            buffer.phase = phase
        if type(record) is Once:  # flushed before its caller goes on, in every mode
            self.flush()
            before = self.log.line_bytes
            self.write(lambda: self.log.append_batch([record]))
            self.counts.add(record, self.log.line_bytes - before)
            return
        kind = self.counts.add(record, 0)  # its bytes follow when it is flushed
        buffer.add(record, kind, size)
        if buffer.is_full(self.policy):
            self.flush_or_keep()
