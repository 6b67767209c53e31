"""One place where records enter: each gets its time and lane, is matched with what is expected, and goes on to the log."""

import os
import sys
import time
from _thread import get_ident
from collections.abc import Callable, Sequence
from time import perf_counter_ns

from holdfast.errors import HoldfastError, InvalidSetting, InvalidValue
from holdfast.recording.bus import Bus
from holdfast.recording.cost import Cost
from holdfast.recording.lanes import Lanes
from holdfast.recording.matching import Divergence, Matcher, Matching
from holdfast.recording.outlet import Outlet
from holdfast.recording.policy import SavePolicy
from holdfast.recording.shortway import NOT_SHORT, TokenFunction, buffered_way, direct_way
from holdfast.recording.syncing import Syncing
from holdfast.recording.turn import Turn
from holdfast.records import Record
from holdfast.storage.log import LogWriter

_HAS_GIL: bool = getattr(sys, "_is_gil_enabled", lambda: True)()  # builds of Python since 3.13 may have none


class Recorder:
    """Takes records, of any thread and of signal handlers, one after the other.

    Its parts: `lanes` knows where a thread records, `matching` what a resumed program repeats, `turn` whose turn it is,
    `outlet` buffers and writes, `cost` measures. `token` is the short way for the opening thread's tokens, open while
    turn.gate is that thread's id: not during a replay, with hooks, in a lane, after a failure.
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
        self.clock_ns = clock_ns
        self.timer_ns = timer_ns  # of everything measured, and of what comes after some time; it never goes backwards
        self._notice = notice
        self.bus = Bus(notice)
        self.lanes = Lanes()
        self.cost = Cost(timer_ns, notice)
        self.matching = Matching(matcher, position, on_divergence=on_divergence, at_end=self.open_gate)
        self.outlet = Outlet(
            log,
            policy,
            self.cost,
            on_begin=on_begin,
            begun=self.open_gate,
            failed=self._shut_gate,
            clock_ns=clock_ns,
            wait=wait,
        )
        self.turn = Turn(self.outlet, on_deferred=self._take_deferred, open_gate=self.open_gate)
        self._syncing = Syncing(self.outlet, self.turn)
        self._pid = os.getpid()
        self.capturing = 0  # the thread that is copying state, or bringing it back, which must not record
        self._captured_by: str | None = None
        self.before_next: Callable[[], object] | None = None
        self.names: set[str] = set()  # keys of meta that the short ways know
        self._is_power = policy.durability == "power"
        self._is_direct = policy.save_mode == "continuous" and not self._is_power
        self.token: TokenFunction
        self._choose_short_way()
        self.open_gate()

    # The way in ------------------------------------------------------------------------------------------------------

    def record(self, record: Record) -> None:
        """Take a record."""
        me, turn = get_ident(), self.turn
        if me != turn.gate or not self._is_direct:
            return self._come_in([record], None)
        # Nothing stands between this thread and the log: as in direct_way, without a lock.
        cost, outlet = self.cost, self.outlet
        began = cost.timer_ns()
        log, record.top, record.ts = outlet.log, self.lanes.top, outlet.now()
        before = log.line_bytes
        if turn.busy:
            return self._come_in([record], None)
        turn.busy = me
        try:
            is_appended = log.append(record) > 0
        except NOT_SHORT:
            is_appended = False
        finally:
            turn.busy = 0
        if not is_appended:
            return self._come_in([record], None)  # it does it, or says why not
        cost.append(cost.timer_ns() - began)
        outlet.counts.add(record, log.line_bytes - before)
        if turn.deferred:
            turn.take_deferred()
        return None

    def record_group(self, records: list[Record], followers: Callable[[int], list[Record]]) -> None:
        """Take records that stand or fall together with their followers, which are made from the n of the last of them.
        Of those that are matched, nothing but the followers is appended."""
        self._come_in(records, followers)

    def _come_in(self, records: list[Record], followers: Callable[[int], list[Record]] | None) -> None:
        before_next, turn, cost = self.before_next, self.turn, self.cost
        if before_next is not None and self.lanes.is_owner() and turn.busy != get_ident():
            before_next()  # which does nothing if a signal handler's record had it done in between
        began, opening_ns = cost.timer_ns(), cost.opening_ns
        for record in records:
            self._place(record)
        with turn.lock:
            if turn.busy == get_ident():  # a signal handler, in the middle of another record: this one goes right behind that
                turn.deferred.extend(records)
                turn.gate = 0  # so that nothing overtakes it on the short way
                return
            fresh = turn.alone(lambda: self._take(records, followers))
        self._sync_if_power()
        took = cost.timer_ns() - began
        cost.spent_ns += took
        if fresh:
            cost.records_ns += took - (cost.opening_ns - opening_ns)
        if not self.bus.is_empty:
            for record in records:
                self.bus.publish(record, replayed=not any(record is new for new in fresh))

    def _place(self, record: Record) -> None:
        """Time, lane and top of a record."""
        if get_ident() == self.capturing:
            doing = "copied, which would never end" if self._captured_by == "state_dict" else "brought back"
            raise InvalidValue(str(self._captured_by), f"it recorded something while its state was being {doing}")
        lane, record.top = self.lanes.place()
        record.lane = lane or None
        record.ts = self.outlet.now()

    def _take(self, records: list[Record], followers: Callable[[int], list[Record]] | None) -> list[Record]:
        """Match or accept one record, or a group; return those that were not matched."""
        outlet, matching = self.outlet, self.matching
        outlet.raise_stopped()
        fresh = [record for record in records if matching.matcher is None or not matching.match(record)]
        if fresh:
            outlet.begin()
        if followers is not None:
            if fresh:
                outlet.flush()
            outlet.append_group([*fresh, *followers(outlet.log.n + len(fresh) if fresh else self.position)])
        elif fresh:
            outlet.take(fresh[0])
        if fresh and matching.matcher is not None:
            matching.last = outlet.watermarks.accepted
        return fresh

    def _take_deferred(self) -> None:
        """Take what signal handlers recorded in the middle of another record."""
        deferred = self.turn.deferred
        if self.outlet.ended is not None and deferred:
            self._notice(
                f"what a signal handler recorded while the session closed is not there ({len(deferred)} of its records)"
            )
            deferred.clear()
        if not deferred:
            return
        while deferred:
            try:
                self._take(deferred[:1], None)
            except InvalidValue as error:  # who made it is gone
                self._notice(f"a record of a signal handler was refused: {error}")
            del deferred[0]
        self.open_gate()

    @property
    def position(self) -> int:
        """n of the last record produced; while others are still expected, of the last one produced or matched."""
        return self.outlet.log.n if self.matching.matcher is None else self.matching.last

    # Bookkeeping and flushing ------------------------------------------------------------------------------------------

    def append_group(self, records: Sequence[Record]) -> None:
        """Append bookkeeping that stands or falls together, behind everything accepted; synced in power durability."""
        began = self.timer_ns()
        self.turn.do(lambda: self.outlet.append_group(records))
        if self._is_power:
            self._syncing.sync()
        self.cost.spend(began)

    def flush(self, level: str = "flushed") -> None:
        """Return when everything accepted is "flushed" or "synced"; raise where it cannot be."""
        if level not in ("flushed", "synced"):
            what = "no mirror of that name is attached" if level.startswith("copied:") else "there is no such level"
            raise InvalidSetting(f"flush({level!r}): {what}; the levels are flushed and synced")
        began = self.timer_ns()
        self.turn.do(self.outlet.flush_and_close_lines)
        self.cost.spend(began, on_records=self.outlet.buffers)
        if level == "synced" or self._is_power:
            began = self.timer_ns()
            self._syncing.sync()
            self.cost.spend(began)

    def flush_accepted(self) -> None:
        """Flush the buffer, in any mode."""
        began = self.timer_ns()
        self.turn.do(self.outlet.flush)
        self.cost.spend(began, on_records=self.outlet.buffers)

    def flush_full_buffer(self) -> None:
        """Flush after the short way filled the buffer; what it cannot write stays accepted, and the next call raises."""
        began, turn, cost = self.timer_ns(), self.turn, self.cost
        with turn.lock:
            if turn.busy == get_ident():
                return  # a signal handler; the record it interrupted sees to the buffer
            turn.alone(self.outlet.flush_or_keep)
        self._sync_if_power()
        if cost.sampling is not None:
            cost.sampling += cost.timer_ns() - began
        cost.spend(began, on_records=self.outlet.buffers)

    def flush_if_aged(self) -> None:
        """Flush the buffer if its oldest record was there at the last call of this already; for batch mode's timer."""
        outlet = self.outlet
        if not outlet.buffer.has_aged() or outlet.ended is not None or outlet.failure is not None:
            return
        began = self.timer_ns()
        try:
            self.turn.do(outlet.flush)
            self.cost.records_ns += self.timer_ns() - began  # not spent_ns: the program does not wait
            if self._is_power:
                self._syncing.sync()
        except HoldfastError as error:
            # Shown now; the program's next call raises it on its own thread.
            self._notice(f"flushing in the background failed: {error}")

    def settled(self) -> int:
        """n of the last record, once an append that was interrupted is done or undone."""
        self.turn.take_deferred()
        return self.outlet.log.n

    def ensure_begun(self) -> None:
        """Have this attempt's first record in the log, if nothing else brought it there."""
        self.turn.do(self.outlet.begin)

    def _sync_if_power(self) -> None:
        if self._is_power and self.outlet.log.synced < self.outlet.log.n:
            self._syncing.sync()

    # The end -----------------------------------------------------------------------------------------------------------

    def close(self, record: Record, error: HoldfastError) -> None:
        """Flush, append a last record, sync and let go. What is recorded afterwards raises `error`.

        Raises the failure of an earlier write where there was one: then not everything accepted is there.
        """

        def close() -> None:
            try:
                self.turn.do(lambda: self._close_log(record, error))
            finally:
                self.let_go(error)

        self._syncing.between(close)

    def _close_log(self, record: Record, error: HoldfastError) -> None:
        self.outlet.flush()
        try:
            self.outlet.close(record)
        finally:
            self.turn.gate, self.outlet.ended = 0, error  # before another thread's record comes to its turn

    def let_go(self, error: HoldfastError) -> None:
        """Record nothing more, and leave the log as it is. A second call does nothing."""
        self.outlet.ended = self.outlet.ended or error
        self.turn.wait_for_token()
        self.outlet.log.release()

    def forget_in_child(self, error: HoldfastError) -> None:
        """In a forked child: every further call raises `error`, whatever other threads of the parent held at the fork."""
        self.outlet.ended = error
        self.turn.forget()
        self._syncing.forget()
        self.outlet.log.release()

    def is_foreign(self) -> bool:
        """Whether this process is a forked child of the one that records."""
        return os.getpid() != self._pid

    # The short way -----------------------------------------------------------------------------------------------------

    def open_gate(self) -> None:
        """Let the opening thread's tokens take the short way, if nothing stands against it."""
        outlet, lanes = self.outlet, self.lanes
        is_plain = self.matching.matcher is None and self.bus.is_empty and not lanes.entered and not self.capturing
        is_going = outlet.has_begun and outlet.failure is None and outlet.ended is None and self.before_next is None
        # Straight to the log goes only what needs no sync, and what no thread can come between.
        is_safe = (outlet.buffers or (_HAS_GIL and not self._is_power)) and not self.turn.deferred
        self.turn.gate = lanes.owner if is_plain and is_going and is_safe else 0

    def reopen_gate(self) -> bool:
        """Open the gate for one sample; whether this thread may pass it."""
        self.open_gate()
        return self.turn.gate == get_ident()

    def _shut_gate(self) -> None:
        self.turn.gate = 0

    def _choose_short_way(self) -> None:
        self.token = buffered_way(self) if self.outlet.buffers else direct_way(self)

    def change_policy(self, policy: SavePolicy) -> None:
        """Go on by another policy of the same mode and durability."""
        with self.turn.lock:
            self.outlet.policy = policy
            self._choose_short_way()

    def date_with(self, clock_ns: Callable[[], int]) -> None:
        """Take the times of records from another clock."""
        with self.turn.lock:
            self.clock_ns = self.outlet.clock_ns = clock_ns
            self._choose_short_way()

    def on(self, kind: str, hook: Callable[..., object]) -> Callable[[], None]:
        """Attach a hook (see Bus.on)."""
        detach = self.bus.on(kind, hook)
        self.open_gate()

        def end() -> None:
            detach()
            self.open_gate()

        return end

    def set_before_next(self, act: Callable[[], object] | None) -> None:
        """Have this done before the next record of the opening thread."""
        self.before_next = act
        self.open_gate()

    def enter_lane(self, entered: int) -> None:
        """Count the opening thread's lanes (+1 entered, −1 left)."""
        if get_ident() == self.lanes.owner:
            self.lanes.entered += entered
            self.open_gate()

    def capture(self, what: str | None) -> None:
        """While a state_dict or load_state_dict runs (None: no more), its thread must not record."""
        self.capturing = get_ident() if what else 0
        self._captured_by = what
        self.open_gate()
