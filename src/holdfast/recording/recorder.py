"""One place where records enter the log: modes, buffer, lanes, matching, watermarks, failures."""

import itertools
import os
import re
import sys
import threading
import time
from _thread import get_ident
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from time import perf_counter_ns
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from holdfast.errors import DiskFull, HoldfastError, InvalidSetting, InvalidValue, UsageError, WriteFailed
from holdfast.recording.bus import Bus
from holdfast.recording.fields import text_value
from holdfast.recording.health import Samples
from holdfast.recording.policy import SavePolicy
from holdfast.recording.shortway import NOT_SHORT, TokenFunction, buffered_way, direct_way, exact_token_of
from holdfast.records import Once, Record, Token, encode_record
from holdfast.storage.lines import MAX_LINE_BYTES, largest_field
from holdfast.storage.log import LogWriter, run_sync

STALL_NS = 10**9
"""A flush or a sync that takes as long is a stall: it is counted, and the first one told."""
_FULL_WAIT_SECONDS = 0.5
_TURN_SECONDS = 1.0  # until a thread looks again whose turn it is: the one it waits for may have been interrupted
_TOKEN_SECONDS = 50e-6  # between two looks whether the opening thread is through with its token
_AUTOMATIC_NAME = re.compile(r"Thread-\d+( \(.*\))?|ThreadPoolExecutor-\d+_\d+|asyncio_\d+|Dummy-\d+", re.DOTALL)
_HAS_GIL: bool = getattr(sys, "_is_gil_enabled", lambda: True)()  # builds of Python since 3.13 may have none
_LATER_BYTES = 256  # what a line still gets when it is appended: number, place in the chain, close
T = TypeVar("T")


class Divergence(msgspec.Struct, frozen=True):
    """The program did not repeat itself: record n of the lane was `expected`, and now came `found` (None: the run ended)."""

    n: int
    lane: str
    expected: Any
    found: Any
    reason: str


class Matcher(Protocol):
    """What a resumed program is expected to repeat."""

    @property
    def remaining(self) -> int:
        """Records that are still expected."""

    def match(self, record: Record) -> int | Divergence | None:
        """n of the expected record where this is it; None where its lane expects nothing any more."""


class Lane(msgspec.Struct, frozen=True):
    """A promise of order among the records of one lane; top: they are made outside every loop and step."""

    name: str
    top: bool


class Watermarks(msgspec.Struct, frozen=True):
    """Record numbers up to which all is accepted (in memory), flushed (survives a kill), synced (survives power loss)."""

    accepted: int
    flushed: int
    synced: int


current_lane: ContextVar[Lane | None] = ContextVar("holdfast_lane", default=None)


class Recorder:
    """Gives records their time and lane, then matches, buffers or appends them, by a policy.

    Safe for threads, and for signal handlers that record. `token` is the short way for the opening thread's tokens;
    `gate` is that thread's id while it may be taken, and 0 during a replay, with hooks, in a lane, after a failure.
    """

    def __init__(
        self,
        log: LogWriter,
        policy: SavePolicy,
        *,
        on_begin: Callable[[], list[Record]],
        on_divergence: Callable[[Divergence], None],
        notice: Callable[[str], None],
        matcher: Matcher | None = None,
        position: int = 0,
        clock_ns: Callable[[], int] = time.time_ns,
        timer_ns: Callable[[], int] = perf_counter_ns,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self.log, self.policy, self.clock_ns = log, policy, clock_ns
        self.timer_ns = timer_ns  # of everything measured, and of what comes after some time; it never goes backwards
        self.matcher = matcher if matcher is not None and matcher.remaining else None
        self.bus = Bus(notice)
        self.top = True  # whether the program is outside every loop and step
        self._unnamed = itertools.count()  # of the threads without a name that record in this step, or between two of them
        self.failure: HoldfastError | None = None  # of a write: raised by every further call
        self.ended: HoldfastError | None = None  # closed, or a forked child
        self.capturing = 0  # the thread that is copying state, or bringing it back, which must not record
        self._captured_by: str | None = None
        self.matched = self.stalls = 0
        self._stalls_told: set[str] = set()
        self.file_bytes = 0  # of files beside the log: added by this attempt, less what it removed
        self._left_bytes = 0  # of the log before a fork
        self.samples, self.flushes, self.syncs = Samples(), Samples(), Samples()
        self.spent_ns = 0  # in everything but the short way, which is sampled; of it:
        self.records_ns = 0  # in records that are new, and in flushing them
        self._opening_ns = 0  # in the first records of the attempt, which are none of the program's
        self.sampling: int | None = None  # while a token of the short way is measured: the time of it that is counted already
        self._on_begin, self._on_divergence, self._notice = on_begin, on_divergence, notice
        self._wait = wait or threading.Event().wait
        self.lock, self._sync_turn = threading.RLock(), threading.Condition()
        self._syncing = 0  # the thread that syncs for all
        self._owner, self._pid = get_ident(), os.getpid()
        self._threads = threading.local()  # lane: the count it was drawn from, or this recorder, and its name
        self._lanes_entered = 0
        self.busy = 0  # the thread that is in the middle of a record, of a flush, or of a token's short way
        self.deferred: list[Record] = []
        self._first: int | None = None  # n before this attempt's first record, once that is there
        self._behind: int | None = None  # the same, once it is being written
        self.before_next: Callable[[], object] | None = None
        self._last_matched = position
        self._kinds: dict[str, list[int]] = {}  # count and bytes, of all but the short way's tokens
        self.buffer: list[Record | tuple[Any, ...]] = []
        self._flushing: tuple[int, int, int] | None = None  # n and bytes before it, records in it
        self._seen: object = None
        self._buffered_bytes = self._buffered_emissions = self._buffered_others = 0  # others: no tokens
        self.phase: str | None = None
        self.names: set[str] = set()  # keys of meta that the short ways know
        self._is_power = policy.durability == "power"
        self._is_direct = policy.save_mode == "continuous" and not self._is_power
        log.watch = self._watch
        self.gate = 0
        self.token: TokenFunction
        self._choose_short_way()
        self.open_gate()

    # The way in ------------------------------------------------------------------------------------------------------

    def record(self, record: Record) -> None:
        """Take a record."""
        me = get_ident()
        if me != self.gate or not self._is_direct:
            return self._come_in([record], None)
        # Nothing stands between this thread and the log: as in direct_way, without a lock.
        began = self.timer_ns()
        log, record.top, record.ts = self.log, self.top, self.now()
        before = log.line_bytes
        if self.busy:
            return self._come_in([record], None)
        self.busy = me
        try:
            is_appended = log.append(record) > 0
        except NOT_SHORT:
            is_appended = False
        finally:
            self.busy = 0
        if not is_appended:
            return self._come_in([record], None)  # it does it, or says why not
        took = self.timer_ns() - began
        self.flushes.add(took)
        self._look_for_stall("flush", took, self.stalls)
        self.spent_ns += took
        self.records_ns += took
        self._count(record, log.line_bytes - before)
        if self.deferred:
            self.take_deferred()
        return None

    def record_group(self, records: list[Record], followers: Callable[[int], list[Record]]) -> None:
        """Take records that stand or fall together with their followers, which are made from the n of the last of them.
        Of those that are matched, nothing but the followers is appended."""
        self._come_in(records, followers)

    def _come_in(self, records: list[Record], followers: Callable[[int], list[Record]] | None) -> None:
        before_next = self.before_next
        if before_next is not None and self.is_owner() and self.busy != get_ident():
            before_next()  # which does nothing if a signal handler's record had it done in between
        began, opening_ns = self.timer_ns(), self._opening_ns
        for record in records:
            self._place(record)
        with self.lock:
            if self.busy == get_ident():  # a signal handler, in the middle of another record: this one goes right behind that
                self.deferred.extend(records)
                return
            fresh = self._alone(lambda: self._take(records, followers))
        if self._is_power and self.log.synced < self.log.n:
            self._sync()
        took = self.timer_ns() - began
        self.spent_ns += took
        if fresh:
            self.records_ns += took - (self._opening_ns - opening_ns)
        if not self.bus.is_empty:
            for record in records:
                self.bus.publish(record, replayed=not any(record is new for new in fresh))

    def append_group(self, records: Sequence[Record]) -> None:
        """Append bookkeeping that stands or falls together, behind everything accepted; synced in power durability."""
        began = self.timer_ns()
        self._do_alone(lambda: self.write_group(records))
        if self._is_power:
            self._sync()
        self.spend(began)

    def write_group(self, records: Sequence[Record]) -> None:
        """append_group for who is called by the recorder itself, in the middle of a record."""
        self.raise_stopped()
        if not records:
            return
        self.begin()
        self.flush_buffer()
        for record in records:
            record.ts = record.ts or self.now()
        before, lines = self.log.line_bytes, list[bytes]()
        self._write(lambda: lines.extend(self.log.append_group(records)))
        self._count_lines(records, lines, before)

    def flush(self, level: str = "flushed") -> None:
        """Return when everything accepted is "flushed" or "synced"; raise where it cannot be."""
        if level not in ("flushed", "synced"):
            what = "no mirror of that name is attached" if level.startswith("copied:") else "there is no such level"
            raise InvalidSetting(f"flush({level!r}): {what}; the levels are flushed and synced")
        began = self.timer_ns()
        self._do_alone(self._flush_and_close_lines)
        self.spend(began, is_flush=True)
        if level == "synced" or self._is_power:
            began = self.timer_ns()
            self._sync()
            self.spend(began)

    def flush_if_aged(self) -> None:
        """Flush the buffer if its oldest record was there at the last call of this already; for batch mode's timer."""
        oldest = self.buffer[0] if self.buffer else None
        if oldest is None or oldest is not self._seen:
            self._seen = oldest
            return
        if self.ended is not None or self.failure is not None:
            return
        began = self.timer_ns()
        try:
            self._do_alone(self.flush_buffer)
            self.records_ns += self.timer_ns() - began  # not spent_ns: the program does not wait
            if self._is_power:
                self._sync()
        except HoldfastError as error:
            # Shown now; the program's next call raises it on its own thread.
            self._notice(f"flushing in the background failed: {error}")

    def close(self, record: Record, error: HoldfastError) -> None:
        """Flush, append a last record, sync and let go. What is recorded afterwards raises `error`.

        Raises the failure of an earlier write where there was one: then not everything accepted is there.
        """
        with self._sync_turn:
            while self._syncing not in (0, get_ident()):  # its own: this is a signal handler
                self._sync_turn.wait(_TURN_SECONDS)
            try:
                self._do_alone(lambda: self._close_log(record, error))
            finally:
                self.let_go(error)

    def let_go(self, error: HoldfastError) -> None:
        """Record nothing more, and leave the log as it is. A second call does nothing."""
        me = get_ident()
        self.gate, self.ended = 0, self.ended or error
        while self.busy not in (0, me):
            time.sleep(_TOKEN_SECONDS)
        self.log.release()

    def forget_in_child(self, error: HoldfastError) -> None:
        """In a forked child: every further call raises `error`, whatever other threads of the parent held at the fork."""
        self.gate, self.ended, self.busy = 0, error, 0
        self.lock, self._sync_turn, self._syncing = threading.RLock(), threading.Condition(), 0
        self.log.release()

    def ensure_begun(self) -> None:
        """Have this attempt's first record in the log, if nothing else brought it there."""
        self._do_alone(self.begin)

    def flush_accepted(self) -> None:
        """Flush the buffer, in any mode."""
        began = self.timer_ns()
        self._do_alone(self.flush_buffer)
        self.spend(began, is_flush=True)

    def change_policy(self, policy: SavePolicy) -> None:
        """Go on by another policy of the same mode and durability."""
        with self.lock:
            self.policy = policy
            self._choose_short_way()

    def is_foreign(self) -> bool:
        """Whether this process is a forked child of the one that records."""
        return os.getpid() != self._pid

    def open_gate(self) -> None:
        """Let the opening thread's tokens take the short way, if nothing stands against it."""
        is_plain = self.matcher is None and self.bus.is_empty and not self._lanes_entered and not self.capturing
        is_going = self._first is not None and self.failure is None and self.ended is None and self.before_next is None
        # Straight to the log goes only what needs no sync, and what no thread can come between.
        is_safe = self.buffers or (_HAS_GIL and not self._is_power)
        self.gate = self._owner if is_plain and is_going and is_safe else 0

    def on(self, kind: str, hook: Callable[..., object]) -> Callable[[], None]:
        """Attach a hook (see Bus.on)."""
        detach = self.bus.on(kind, hook)
        self.open_gate()

        def end() -> None:
            detach()
            self.open_gate()

        return end

    def go_to(self, *, top: bool) -> None:
        """The program is now in another step, or outside all of them."""
        self.top, self._unnamed = top, itertools.count()

    def set_before_next(self, act: Callable[[], object] | None) -> None:
        """Have this done before the next record of the opening thread."""
        self.before_next = act
        self.open_gate()

    def enter_lane(self, entered: int) -> None:
        """Count the opening thread's lanes (+1 entered, −1 left)."""
        if get_ident() == self._owner:
            self._lanes_entered += entered
            self.open_gate()

    def reopen_gate(self) -> bool:
        """Open the gate for one sample; whether this thread may pass it."""
        self.open_gate()
        return self.gate == get_ident()

    def take_deferred(self) -> None:
        """Take what a signal handler recorded in the middle of another record."""
        self._do_alone(lambda: None)

    def settled(self) -> int:
        """n of the last record, once an append that was interrupted is done or undone."""
        self._do_alone(lambda: None)
        return self.log.n

    def flush_full_buffer(self) -> None:
        """Flush after the short way filled the buffer; what it cannot write stays accepted, and the next call raises."""
        began = self.timer_ns()
        with self.lock:
            if self.busy == get_ident():
                return  # a signal handler; the record it interrupted sees to the buffer
            self._alone(self._flush_or_keep)
        if self._is_power and self.log.synced < self.log.n:
            self._sync()
        if self.sampling is not None:
            self.sampling += self.timer_ns() - began
        self.spend(began, is_flush=True)

    def spend(self, began: int, *, is_flush: bool = False) -> None:
        """Count the time since the timer said `began` as spent on saving. is_flush: on the records that waited for it."""
        took = self.timer_ns() - began
        self.spent_ns += took
        if is_flush and self.buffers:
            self.records_ns += took

    def take_sample(self, took: int, stalls: int) -> None:
        """A token of this thread was measured, of which `sampling` tells; it counts where it was on the short way all the time,
        and without what it flushed. stalls: how many there had been before it."""
        if self.sampling is not None:
            self.samples.add(max(0, took - self.sampling))
        self.sampling = None
        if not self.buffers:
            self._look_for_stall("flush", took, stalls)

    def continue_in(self, log: LogWriter) -> None:
        """Go on in another log, in which an attempt of this process has begun already."""
        self.log.release()
        self._left_bytes += self.log.bytes_appended
        self.log, log.watch = log, self._watch
        self._first, self._behind = log.n, None
        self._kinds.clear()

    def drop_matcher(self) -> None:
        """Nothing is expected any more."""
        self.matcher = None
        self.open_gate()

    def now(self) -> int:
        """Microseconds since 1970."""
        return self.clock_ns() // 1000

    def place(self) -> tuple[str, bool]:
        """Lane that this thread records in, "" for the program's own, and whether outside every loop and step."""
        lane = current_lane.get()
        if lane is not None:
            return lane.name, lane.top
        return "" if get_ident() == self._owner else self._thread_lane(), self.top

    def _thread_lane(self) -> str:
        """The thread's name. One that Python made up counts all threads of this process, which a resumed one has fewer of:
        then it is a number among the threads that record in this step, in the order of their first records."""
        drawn_from, name = getattr(self._threads, "lane", (None, ""))
        if drawn_from is not self and drawn_from is not self._unnamed:
            name, drawn_from = text_value(threading.current_thread().name, "name of the thread")[0], self
            if _AUTOMATIC_NAME.fullmatch(name):
                name, drawn_from = f"thread {next(self._unnamed)}", self._unnamed
            self._threads.lane = drawn_from, name
        return name

    def refuse_inside(self, what: str) -> None:
        """Raise UsageError where this is called in the middle of a record: by a signal handler or finalizer."""
        if self.busy == get_ident():
            raise UsageError(
                f"{what} was called in the middle of a record, by a signal handler or finalizer; only records can be made "
                "there (they follow that one). Nothing was changed"
            )

    def is_owner(self) -> bool:
        """Whether this thread opened the session, and is in no lane."""
        return get_ident() == self._owner and current_lane.get() is None

    def capture(self, what: str | None) -> None:
        """While a state_dict or load_state_dict runs (None: no more), its thread must not record."""
        self.capturing = get_ident() if what else 0
        self._captured_by = what
        self.open_gate()

    # Where it stands ---------------------------------------------------------------------------------------------------

    @property
    def watermarks(self) -> Watermarks:
        """How far records are accepted, flushed and synced."""
        while True:
            flushed, waiting = self.log.n, len(self.buffer)
            if self.log.n == flushed:  # else another thread flushed between the two looks
                return Watermarks(flushed + waiting, flushed, self.log.synced)

    @property
    def position(self) -> int:
        """n of the last record produced; while others are still expected, of the last one produced or matched."""
        return self.log.n if self.matcher is None else self._last_matched

    @property
    def buffers(self) -> bool:
        """Whether records wait in memory, so that values of the caller have to be copied."""
        return self.policy.save_mode != "continuous"

    @property
    def buffered(self) -> int:
        """Records that a kill would take."""
        return len(self.buffer)

    @property
    def short_count(self) -> int:
        """Tokens that took the short way."""
        others = sum(count for count, _ in list(self._kinds.values()))
        return 0 if self._first is None else max(0, self.log.n - self._first - others - self.log.marks + len(self.buffer))

    @property
    def has_begun(self) -> bool:
        """Whether this attempt has recorded something new."""
        return self._first is not None

    @property
    def bytes_taken(self) -> int:
        """Bytes that this attempt has taken of the disk: the log's, and those of other files."""
        return self._left_bytes + self.log.bytes_appended + self.file_bytes

    def counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """Records and bytes of this attempt by kind, matched ones left out; "segment" is the headers' bytes. Tokens have what
        all others leave of the bytes appended: the short ways count none."""
        counted, log = list(self._kinds.items()), self.log
        records = {kind: count for kind, (count, _) in counted}
        sizes = {kind: size for kind, (_, size) in counted}
        if self._first is not None:
            records["token"] = records.get("token", 0) + self.short_count
            records["flushed"], sizes["flushed"], sizes["segment"] = log.marks, log.mark_bytes, log.header_bytes
            for kind, dropped in list(log.closes_dropped.items()):
                sizes[kind] = sizes.get(kind, 0) - dropped
            sizes["token"] = 0
            sizes["token"] = max(0, log.bytes_appended - sum(sizes.values()))
        return {kind: count for kind, count in records.items() if count}, {kind: size for kind, size in sizes.items() if size}

    # How it is done ------------------------------------------------------------------------------------------------------

    def _place(self, record: Record) -> None:
        """Time, lane and top of a record."""
        if get_ident() == self.capturing:
            doing = "copied, which would never end" if self._captured_by == "state_dict" else "brought back"
            raise InvalidValue(str(self._captured_by), f"it recorded something while its state was being {doing}")
        lane, record.top = self.place()
        record.lane = lane or None
        record.ts = self.now()

    def _choose_short_way(self) -> None:
        self.token = direct_way(self) if self.policy.save_mode == "continuous" else buffered_way(self)

    def _do_alone(self, work: Callable[[], object]) -> None:
        """Do something with the log that no signal handler may come between; refuses such a handler itself."""
        with self.lock:
            self.refuse_inside("this")
            self._alone(work)

    def _alone(self, work: Callable[[], T]) -> T:
        """Do it, then what signal handlers recorded meanwhile. The lock is held, and this thread does nothing else."""
        me, has_waited = get_ident(), False
        while self.busy:  # the opening thread is in the middle of a token; its next one waits for the lock
            self.gate, has_waited = 0, True
            time.sleep(_TOKEN_SECONDS)
        self.busy = me  # no call between the look and this, so that no other thread comes in between
        try:
            self.log.settle()
            self._take_deferred()  # of a call that was interrupted
            return work()
        finally:
            try:
                self._take_deferred()
            finally:
                self.busy = 0
                if has_waited:
                    self.open_gate()

    def _take_deferred(self) -> None:
        if self.ended is not None and self.deferred:
            self._notice(
                f"what a signal handler recorded while the session closed is not there ({len(self.deferred)} of its records)"
            )
            self.deferred.clear()
        while self.deferred:
            try:
                self._take(self.deferred[:1], None)
            except InvalidValue as error:  # who made it is gone
                self._notice(f"a record of a signal handler was refused: {error}")
            del self.deferred[0]

    def _take(self, records: list[Record], followers: Callable[[int], list[Record]] | None) -> list[Record]:
        """Match or accept one record, or a group; return those that were not matched."""
        self.raise_stopped()
        fresh = [record for record in records if self.matcher is None or not self._match(record)]
        if fresh:
            self.begin()
        if followers is not None:
            if fresh:
                self.flush_buffer()
            self.write_group([*fresh, *followers(self.log.n + len(fresh) if fresh else self.position)])
        elif fresh:
            if self.buffers:
                self._accept(fresh[0])
            else:
                before = self.log.line_bytes
                self._write(lambda: self.log.append(fresh[0]))
                self._count(fresh[0], self.log.line_bytes - before)
        if fresh and self.matcher is not None:
            self._last_matched = self.log.n + len(self.buffer)
        return fresh

    def _match(self, record: Record) -> bool:
        matcher = self.matcher
        assert matcher is not None
        found = matcher.match(record)
        if isinstance(found, Divergence):
            self._on_divergence(found)
            found = None
        if found is not None:
            self.matched += 1
            self._last_matched = max(self._last_matched, found)
        if not matcher.remaining:  # a divergence may have dropped the rest already
            self.drop_matcher()
        return found is not None

    def begin(self) -> None:
        """Before the first new record of an attempt: the record that says so."""
        if self._first is None:
            if self._behind is None:
                self._behind = self.log.n
            n, began = self._behind, self.timer_ns()
            for record in self._on_begin()[self.log.n - n :]:  # all of them, but where an interrupt came in between
                record.ts = self.now()
                before = self.log.line_bytes
                self._write(lambda record=record: self.log.append_batch([record]))  # type: ignore[misc]  # bound at once
                self._count(record, self.log.line_bytes - before)
            self._first = n
            self._opening_ns += self.timer_ns() - began
            self.open_gate()

    def _accept(self, record: Record) -> None:
        """Into the buffer; flushed where a limit is reached. After an exception the record was not accepted."""
        line = encode_record(record)
        size = len(line)
        if size + _LATER_BYTES > MAX_LINE_BYTES:
            raise InvalidValue(*largest_field(line))
        phase = getattr(record, "phase", None)
        changed = phase is not None and phase != self.phase
        if self.is_full() or (changed and self.policy.save_mode == "batch"):
            self.flush_buffer()
        if changed:
            self.phase = phase
        if type(record) is Once:  # flushed before its caller goes on, in every mode
            self.flush_buffer()
            before = self.log.line_bytes
            self._write(lambda: self.log.append_batch([record]))
            self._count(record, self.log.line_bytes - before)
            return
        kind = self._count(record, 0)  # its bytes follow when it is flushed
        self._buffered_others += kind != "token"
        self._buffered_bytes += size
        self._buffered_emissions += kind == "emission"
        self.buffer.append(record)
        if self.is_full():
            self._flush_or_keep()

    def _flush_or_keep(self) -> None:
        """Flush; where the disk is full all stays accepted, and the next record raises it before it is."""
        try:
            self.flush_buffer()
        except DiskFull as error:
            self.stalls += 1
            self._notice(f"the buffer cannot be flushed: {error}")

    def _flush_and_close_lines(self) -> None:
        self.raise_stopped()
        self.flush_buffer()
        if self._first is not None and not self.log.ends_closed():
            self._write(lambda: self.log.close_lines(self.now()))

    def _close_log(self, record: Record, error: HoldfastError) -> None:
        self.raise_stopped()
        self.flush_buffer()
        record.ts = self.now()
        try:
            if self._first is not None or self.log.has_begun:  # else there is nothing to close
                before = self.log.line_bytes
                self._write(lambda: self.log.close(record))
                if self.log.line_bytes > before:
                    self._count(record, self.log.line_bytes - before)
        finally:
            self.gate, self.ended = 0, error  # before another thread's record comes to its turn

    def is_full(self) -> bool:
        """Whether the buffer has to be flushed before more is accepted."""
        policy = self.policy
        emissions = policy.emissions if policy.save_mode == "batch" else policy.buffer_records
        return (
            len(self.buffer) >= policy.flush_at
            or self._buffered_bytes >= policy.buffer_bytes
            or self._buffered_emissions >= emissions
        )

    def flush_buffer(self) -> None:
        """Flush what is accepted; the lock is held. After DiskFull it is all still there."""
        self.raise_stopped()
        buffer = self.buffer
        if self._flushing is not None:  # interrupted: between the write and what follows it, or before
            n, before, count = self._flushing
            self._flushing = None
            if self.log.settle()[0] > n:
                done = [entry for entry in buffer[:count] if isinstance(entry, Record)]
                self._count_lines(done, [*map(encode_record, done)], before if len(done) == count else None, 0)
                del buffer[:count]
        if not buffer:
            return
        self.begin()
        taken, lines = buffer[:], list[bytes]()  # other threads may append meanwhile
        self._flushing = (self.log.n, before := self.log.line_bytes, len(taken))
        try:
            records = [Token(*entry) if isinstance(entry, tuple) else entry for entry in taken]
            self._write(lambda: lines.append(self.log.append_batch(records)))
        except UnicodeEncodeError:  # before anything was written
            exact = [exact_token_of(entry) if isinstance(entry, tuple) else entry for entry in taken]
            self._write(lambda: lines.append(self.log.append_batch(exact)))
        del buffer[: len(taken)]
        self._flushing = None
        if self._buffered_others:
            self._count_lines(records, lines[0].split(b"\n"), before, 0)
        self._buffered_bytes = self._buffered_emissions = self._buffered_others = 0

    def _write(self, write: Callable[[], object]) -> None:
        """Do a write of the log, timed; a full disk is waited for where the policy says so, another failure stays."""
        began, stalls = self.timer_ns(), self.stalls
        waited = False
        while True:
            try:
                self._log_call(write)
                break
            except DiskFull as error:
                if self.policy.on_full == "raise":
                    raise
                if not waited:
                    self.stalls += 1
                    self._notice(f"waiting for space: {error.path}: {error.reason}; nothing accepted is lost")
                waited = True
                self._wait(_FULL_WAIT_SECONDS)
        took = self.timer_ns() - began
        self.flushes.add(took)
        self._look_for_stall("flush", took, stalls)

    def _watch(self, what: Literal["sync", "room"], path: Path, act: Callable[[], None]) -> None:
        """Carry out what the log may have to wait for, measured; also where a token on the short way waits and is no sample."""
        began, stalls = self.timer_ns(), self.stalls
        try:
            act()
        finally:
            took = self.timer_ns() - began
            if what == "sync":
                self.syncs.add(took)
            else:
                self.flushes.largest = max(self.flushes.largest, took)
        self._look_for_stall("sync" if what == "sync" else "flush", took, stalls, f" of {path}")

    def _look_for_stall(self, what: Literal["flush", "sync"], took: int, stalls: int, where: str = "") -> None:
        """Count what took too long, and tell the first of its kind; not if what it waited for was counted since there were so
        many stalls."""
        if took < STALL_NS or self.stalls > stalls:
            return
        self.stalls += 1
        if what not in self._stalls_told:
            self._stalls_told.add(what)
            self._notice(
                f"a {what}{where} took {took / 1e9:.1f} s: the disk is slow, and saving waits for it. Nothing accepted is "
                "lost; further ones are counted, not told (run.health().stalls)"
            )

    def _sync(self) -> None:
        """Sync everything flushed. One thread does it for all that wait; those that come meanwhile share the next one."""
        me, wanted = get_ident(), self.log.n
        if self._syncing == me:  # a signal handler, in the middle of this thread's own sync
            self._sync_now(is_nested=True)
            return
        try:
            with self._sync_turn:
                while self._syncing and self.log.synced < wanted and self.failure is None:
                    self._sync_turn.wait(_TURN_SECONDS)
                if self.failure is not None:
                    raise self.failure
                if self.log.synced >= wanted:
                    return
                self._syncing = me
            self._sync_now()
        finally:
            if self._syncing == me:
                self._syncing = 0  # first: an interrupt may come with the next call, and then nobody is told
                with self._sync_turn:
                    self._sync_turn.notify_all()

    def _sync_now(self, *, is_nested: bool = False) -> None:
        with self.lock:
            if self.busy == get_ident():
                return  # a signal handler, in the middle of a record: that one's own sync comes
            if self.failure is not None:
                raise self.failure
            if not is_nested:
                self.log.forget_syncs()
            begun = self._alone(lambda: self._log_call(lambda: self.log.begin_sync(self.now())))
        if begun is None:
            return
        try:
            failed = run_sync(begun)
        except BaseException:
            self.log.cancel_sync(begun)
            raise
        if failed is not None:
            self.stalls += 1
            self._notice(f"a sync of {failed[0].path} failed ({failed[1].strerror}); its records are being repeated")
        with self.lock:
            self._alone(lambda: self._log_call(lambda: self.log.end_sync(begun, failed)))

    def _log_call(self, call: Callable[[], T]) -> T:
        """Call the log; a failure of it, other than a full disk, is the recorder's from then on."""
        try:
            return call()
        except DiskFull:
            raise
        except WriteFailed as error:
            self.fail(error)
            raise

    def _count(self, record: Record, size: int, count: int = 1) -> str:
        kind = str(type(record).__struct_config__.tag)
        counted = self._kinds.setdefault(kind, [0, 0])
        counted[0] += count
        counted[1] += size
        return kind

    def _count_lines(self, records: Sequence[Record], lines: list[bytes], before: int | None, count: int = 1) -> None:
        """Count records by the lines they became, the close with the last one. before: the log's line_bytes before them; None
        where that close is not theirs. count: 0 for records that are counted already, and only their bytes are not."""
        sizes = [len(line) + 1 for line in lines]
        if before is not None:
            sizes[-1] += self.log.line_bytes - before - sum(sizes)
        for record, size in zip(records, sizes, strict=True):
            if count or type(record) is not Token:
                self._count(record, size, count)

    def fail(self, error: HoldfastError) -> None:
        """Record nothing more: a failure that stays, raised by every further call."""
        self.failure, self.gate = error, 0

    def raise_stopped(self) -> None:
        """Raise what ended recording, if something did."""
        if self.ended is not None:
            raise self.ended
        if self.failure is not None:
            raise self.failure
