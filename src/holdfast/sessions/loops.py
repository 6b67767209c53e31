"""The loops of a program: where each begins, what the end of a step brings, and how one is left."""

import operator
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from holdfast.errors import UsageError
from holdfast.records import Checkpoint, Loop
from holdfast.sessions import options
from holdfast.sessions.checkpointing import Checkpointing
from holdfast.sessions.differences import Differences
from holdfast.sessions.parts import Parts
from holdfast.sessions.preemption import Preemption
from holdfast.sessions.program import Program
from holdfast.sessions.refusals import refuse_other_length
from holdfast.sessions.restoring import Restoring


class Loops:
    """Yields the steps of the program's loops, with checkpoints at their ends.

    step: of the loop that the program is in, None outside. resumed_step: the one that a loop went on from, None before that.
    """

    def __init__(
        self,
        parts: Parts,
        program: Program,
        checkpoints: Checkpointing,
        restoring: Restoring,
        differences: Differences,
        preemption: Preemption,
        is_closed: Callable[[], bool],
    ) -> None:
        self._parts, self._program, self._checkpoints, self._restoring = parts, program, checkpoints, restoring
        self._differences, self._preemption, self._is_closed = differences, preemption, is_closed
        self._recorder = parts.recorder
        self.step: int | None = None
        self.resumed_step: int | None = None
        # Of a loop that was left, to be recorded once the program goes on; emptied in place, as a signal handler may do that
        # while it is on its way into the log.
        self._left: list[Checkpoint] = []

    def loop(self, n: int | None, checkpoint_every: int | None, checkpoint_seconds: float | None) -> Iterator[int]:
        """The steps still to do of the loop that is being entered (see Run.loop)."""
        n = _whole(n, 0, f"loop({n!r}): the number of steps is a whole number from 0 on, or None")
        every = _whole(checkpoint_every, 1, f"loop(checkpoint_every={checkpoint_every!r}): a whole number of steps, at least 1")
        options.seconds("checkpoint_seconds", checkpoint_seconds)
        if self._program.place:
            if every or checkpoint_seconds:
                raise UsageError("a loop inside a loop or step takes no checkpoints of its own; give them to the outer one")
            return iter(range(n)) if n is not None else _endless()
        key = self._program.next_loop()
        return self._steps(key, n, every, checkpoint_seconds)

    def go_on(self) -> None:
        """The program goes on behind a loop that it left, if it left one."""
        if self._recorder.before_next is None:
            return
        if not self._recorder.top:
            self._recorder.go_to(top=True)
        record = self._left[0] if self._left else None
        if record is not None and not self._checkpoints.is_recorded(record):  # it is after an interrupt behind its append
            self._recorder.append_group(self._left)
        if self._recorder.before_next is None:
            return  # a signal handler recorded something, and all this was done for that
        if record is not None and record.at is not None:
            self._checkpoints.newest = record
            self._program.loops[record.at] = msgspec.structs.replace(self._program.loops[record.at], ended=record.n)
        self._left.clear()
        self._recorder.set_before_next(None)
        if record is not None:
            self._checkpoints.taken()

    def _steps(self, key: str, n: int | None, every: int | None, seconds: float | None) -> Iterator[int]:
        self._recorder.raise_stopped()
        self.go_on()
        start = self._enter(key, n)
        if start is None:
            return
        is_left = True
        is_by_policy = every is None and seconds is None
        try:
            step = start
            while n is None or step < n:
                self.step = step
                self._program.enter(f"{key}:{step}")
                self._recorder.go_to(top=False)
                yield step
                step += 1
                self._program.loops[key] = Loop(key=key, next=step, length=n)
                if is_by_policy:
                    seconds = self._recorder.policy.checkpoint  # asked anew: set_interval may have changed it
                self._boundary(key, is_due=bool(every) and step % (every or 1) == 0, seconds=seconds, is_last=step == n)
            is_left = False
        finally:
            self.step = None
            self._program.leave("")
            if is_left:
                self._leave(key)
            else:
                self._recorder.go_to(top=True)

    def _enter(self, key: str, n: int | None) -> int | None:
        """The step to begin with, None where the loop was left for good; restores everything tracked where the last checkpoint
        lies in this loop."""
        saved = self._program.loops.get(key)
        start = saved.next if saved is not None else 0
        if saved is not None and not saved.left:
            refuse_other_length(self._parts.name, saved, n, self._restoring.at, self._parts.settings)
        if self._restoring.at == key:
            at = self._parts.point.checkpoint
            if at is not None and saved is not None and (saved.left or saved.next == saved.length):
                self._program.loops[key] = saved = msgspec.structs.replace(saved, ended=at.n)
            self._restoring.restore()
            if (saved is None or not saved.left) and (n is None or start < n):
                self.resumed_step = start
        elif saved is not None and saved.ended is not None and self._restoring.at is not None:
            self._restoring.restore_passed(saved.ended, key)
        if saved is not None and saved.left:
            return None
        if saved is None or (saved.length is None or (n is not None and n > saved.length)):
            self._program.loops[key] = Loop(key=key, next=start, length=n)
        if saved is not None and saved.length != n and self._recorder.matcher is not None:
            # What came behind the loop's old end comes again, behind the new one; where that was reached, this is all of it.
            lane, top = (None, None) if saved.next == saved.length else ("", True)
            self._differences.take_back(lane, top, "the loop was extended")
        return start

    def _boundary(self, key: str, *, is_due: bool, seconds: float | None, is_last: bool) -> None:
        """The end of a step: checkpoints that are due, and stopping where that was asked for."""
        checkpoints = self._checkpoints
        names, checkpoints.asked = checkpoints.asked, []
        for name in names:
            checkpoints.take(key, name or None)
        if not is_last:
            self._preemption.note_time()
        is_late = seconds is not None and checkpoints.seconds_since_last() >= seconds
        if not names and (is_due or is_late or is_last or self._preemption.requested):
            checkpoints.take(key, None)
        if is_last and checkpoints.newest is not None:
            self._program.loops[key] = msgspec.structs.replace(self._program.loops[key], ended=checkpoints.newest.n)
        self._preemption.stop_if_asked()

    def _leave(self, key: str) -> None:
        """Copy the state that a loop is left with by a break or an exception. Its record follows once the program goes on, and
        only then is it behind the loop: at an exception that ends the run, the next attempt goes on within it."""
        names, self._checkpoints.asked = self._checkpoints.asked, []
        self._recorder.set_before_next(self.go_on)
        is_ending = (
            self._is_closed() or self._preemption.requested or not self._recorder.is_owner() or self._recorder.is_foreign()
        )
        if (loop := self._program.loops.get(key)) is None or is_ending:
            return
        self._program.loops[key] = msgspec.structs.replace(loop, left=True)
        try:
            self._recorder.flush_accepted()
            position = self._recorder.position
            name = names[-1] or None if names else None
            self._left[:] = [self._checkpoints.record_of(self._checkpoints.copy_state(), key, name, position)]
        except Exception as error:  # state_dict is the program's; and what ends the loop must not be hidden by this
            self._parts.notice(f"the state at the end of {key} could not be kept ({type(error).__name__}: {error})")


def _whole(value: Any, least: int, what: str) -> int | None:
    """A number of steps, NumPy's too; UsageError says `what` it is."""
    if value is None:
        return None
    try:
        number = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = -1
    if number < least:
        raise UsageError(what)
    return number


def _endless() -> Iterator[int]:
    step = 0
    while True:
        yield step
        step += 1
