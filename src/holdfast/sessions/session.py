"""A session that is open: what a program holds on to while it runs."""

import operator
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import Any, Self

import msgspec

from holdfast import codec
from holdfast.errors import (
    DiskFull,
    HoldfastError,
    Interrupted,
    SessionClosed,
    UsageError,
)
from holdfast.recording import fields
from holdfast.recording.face import Face
from holdfast.recording.flusher import Flusher
from holdfast.recording.health import Health, health_of
from holdfast.recording.recorder import Divergence, Lane, Recorder, Watermarks, current_lane
from holdfast.records import Checkpoint, Closed, Loop, Module, Once
from holdfast.sessions import options
from holdfast.sessions.checkpointing import Checkpointing
from holdfast.sessions.checkpoints import CheckpointStore
from holdfast.sessions.differences import Differences
from holdfast.sessions.folder import SessionFolder
from holdfast.sessions.parts import Parts
from holdfast.sessions.preemption import Preemption
from holdfast.sessions.program import Program
from holdfast.sessions.refusals import refuse_other_length
from holdfast.sessions.releasing import Releasing
from holdfast.sessions.restoring import Restoring

_SHOWN_CHARACTERS = 2000


class Run(Face):
    """One open session. Made by `holdfast.session` or `holdfast.start`, not by its constructor.

    Loops, steps and checkpoints belong to the thread that opened it; records may come from any thread.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.recorder, parts.folder.files, parts.folder.kept_files)
        self._parts, self._notice = parts, parts.notice
        self.notices = parts.notices
        self.attempt = parts.attempt
        point = parts.point
        self.finished = point.closed is not None and point.closed.status == "finished"
        self.resumed_step: int | None = None
        self.replay_total = parts.expectations.rerun
        self._program = Program(point.checkpoint.loops if point.checkpoint else ())
        self._restoring = Restoring(parts)
        if point.checkpoint is not None and isinstance(point.checkpoint.metrics, dict):
            self._latest_metrics.update({key: codec.decode(value) for key, value in point.checkpoint.metrics.items()})
        self._releasing = Releasing(parts)
        self._checkpoints = Checkpointing(parts, self._program, self._latest_metrics, self._releasing)
        self._left: Checkpoint | None = None  # of a loop that was left, to be recorded once the program goes on
        self._differences = Differences(parts, self._releasing)
        self._is_closed = False
        max_seconds = parts.settings.max_seconds
        self._preemption = Preemption(lambda: bool(self._program.place), parts.notice, max_seconds, parts.recorder.timer_ns)
        policy = parts.recorder.policy
        self._flusher = Flusher(parts.recorder, policy.seconds) if policy.save_mode == "batch" else None
        opening_ns = perf_counter_ns() - parts.began_ns
        parts.recorder.spent_ns += opening_ns
        self._began_ns = parts.recorder.timer_ns() - opening_ns

    # What it is -----------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The session's name."""
        return self._parts.folder.name

    @property
    def path(self) -> Path:
        """The session's folder."""
        return self._parts.folder.path

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can be recorded."""
        return self._is_closed

    @property
    def replay_left(self) -> int:
        """Records that the program still has to repeat; top-level ones included."""
        return self._parts.expectations.remaining

    @property
    def step_index(self) -> int | None:
        """The step of the loop the program is in, None outside."""
        return self._step

    _step: int | None = None

    def watermarks(self) -> Watermarks:
        """Record numbers up to which everything is accepted, flushed and synced."""
        return self._recorder.watermarks

    def health(self) -> Health:
        """What saving costs, and what a kill would lose now."""
        try:
            free = self._files.free_bytes(self.path)
        except OSError:
            free = 0  # the folder is gone: then that is what there is
        return health_of(self._recorder, self._checkpoints.times, self._began_ns, free)

    def flush(self, level: str = "flushed") -> None:
        """Return when everything accepted is "flushed" (survives a kill) or "synced" (survives power loss); raise otherwise."""
        self._recorder.flush(level)

    def on(self, kind: str, hook: Callable[..., object]) -> Callable[[], None]:
        """Call hook(record, replayed=bool) for every record of a kind ("*": all). Its exceptions are counted and shown, never
        raised. The returned function ends that."""
        return self._recorder.on(kind, hook)

    def set_interval(self, *, tokens: int | None = None, emissions: int | None = None, checkpoint: float | None = None) -> None:
        """Change when batch mode flushes (records of a kind), and the seconds between time-driven checkpoints; from the next
        record or end of a step on."""
        given = {"tokens": tokens, "emissions": emissions, "checkpoint": checkpoint}
        changed = {key: value for key, value in given.items() if value is not None}
        policy = msgspec.structs.replace(self._recorder.policy, **changed)
        self._recorder.change_policy(policy)
        self.token = self._recorder.token

    # Loops and steps --------------------------------------------------------------------------------------------------

    def loop(
        self, n: int | None = None, *, checkpoint_every: int | None = None, checkpoint_seconds: float | None = None
    ) -> Iterator[int]:
        """Yield the steps 0 to n−1 (without end for None); after a kill, from the step of the last checkpoint on.

        A checkpoint is taken every `checkpoint_every` steps, every `checkpoint_seconds` (of the session, 300 s, where neither
        is given) at the end of a step, and at the end. On entering the loop that the last checkpoint lies in, everything
        tracked gets its state back. A loop inside a loop or step takes no checkpoints: it begins anew with the body around
        it. Raises SettingsDiffer where the loop was recorded with another length, Interrupted when the run is to stop.
        """
        self._need_program_thread("loop")
        n = _whole(n, 0, f"loop({n!r}): the number of steps is a whole number from 0 on, or None")
        every = _whole(checkpoint_every, 1, f"loop(checkpoint_every={checkpoint_every!r}): a whole number of steps, at least 1")
        options.seconds("checkpoint_seconds", checkpoint_seconds)
        if self._program.place:
            if every or checkpoint_seconds:
                raise UsageError("a loop inside a loop or step takes no checkpoints of its own; give them to the outer one")
            return iter(range(n)) if n is not None else _endless()
        key = self._program.next_loop()
        return self._steps(key, n, every, checkpoint_seconds)

    def _steps(self, key: str, n: int | None, every: int | None, seconds: float | None) -> Iterator[int]:
        self._recorder.raise_stopped()
        self._go_on()
        start = self._enter_loop(key, n)
        if start is None:
            return
        is_left = True
        is_by_policy = every is None and seconds is None
        try:
            step = start
            while n is None or step < n:
                self._step = step
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
            self._step = None
            self._program.leave("")
            if is_left:
                self._leave_loop(key)
            else:
                self._recorder.go_to(top=True)

    def _enter_loop(self, key: str, n: int | None) -> int | None:
        """The step to begin with, None where the loop was left for good; restores everything tracked where the last checkpoint
        lies in this loop."""
        saved = self._program.loops.get(key)
        start = saved.next if saved is not None else 0
        if saved is not None and not saved.left:
            refuse_other_length(self.name, saved, n, self._restoring.at, self._parts.settings)
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

    def _leave_loop(self, key: str) -> None:
        """Copy the state that a loop is left with by a break or an exception. Its record follows once the program goes on, and
        only then is it behind the loop: at an exception that ends the run, the next attempt goes on within it."""
        names, self._checkpoints.asked = self._checkpoints.asked, []
        self._recorder.set_before_next(self._go_on)
        is_ending = (
            self._is_closed or self._preemption.requested or not self._recorder.is_owner() or self._recorder.is_foreign()
        )
        if (loop := self._program.loops.get(key)) is None or is_ending:
            return
        self._program.loops[key] = msgspec.structs.replace(loop, left=True)
        try:
            self._recorder.flush_accepted()
            position = self._recorder.position
            name = names[-1] or None if names else None
            self._left = self._checkpoints.record_of(self._checkpoints.copy_state(), key, name, position)
        except Exception as error:  # state_dict is the program's; and what ends the loop must not be hidden by this
            self._notice(f"the state at the end of {key} could not be kept ({type(error).__name__}: {error})")

    def _go_on(self) -> None:
        """The program goes on behind a loop that it left, if it left one."""
        if self._recorder.before_next is None:
            return
        record, self._left = self._left, None
        self._recorder.go_to(top=True)
        self._recorder.set_before_next(None)
        if record is not None and record.at is not None:
            self._recorder.append_group([record])
            self._checkpoints.newest = record
            self._program.loops[record.at] = msgspec.structs.replace(self._program.loops[record.at], ended=record.n)
            self._checkpoints.taken()

    def step(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call fn(*args, **kwargs), record its result as a module, and return the recorded result, decoded.

        Outside a loop, the result and a checkpoint are appended as one piece, and a step before the position of a resume is
        not run again. In a loop it is part of the step around it. An exception of fn is recorded nowhere: the next attempt
        runs the step again.
        """
        self._need_program_thread("step")
        name = fields.text_value(name, "step.name")[0]
        outside = self._program.place
        if not outside:
            self._go_on()
        key = self._program.next_step(name)
        if not outside and (recorded := self._recorded_step(key)) is not None:
            return codec.decode(recorded.get("result"))
        self._recorder.raise_stopped()
        self._program.enter(key)
        is_recorded = False
        try:
            if outside:
                tree = codec.snapshot(fn(*args, **kwargs), f"step[{name!r}]")
            else:
                self._recorder.go_to(top=False)
                tree = codec.snapshot(fn(*args, **kwargs), f"step[{name!r}]")
                self._recorder.go_to(top=True)
            self._record_step(Module(name=name, result=tree, key=key), outside)
            is_recorded = True
        finally:
            self._program.leave(outside)
            self._recorder.top = not outside
            if not is_recorded:
                self._program.take_back_step(key, name)
        if not outside:
            self._checkpoints.taken()
            self._preemption.note_time()
            self._preemption.stop_if_asked()
        return codec.decode(tree)

    def _record_step(self, record: Module, outside: str) -> None:
        """The result of a step, and a checkpoint where there is no loop or step around it."""
        self._recorder.raise_stopped()  # in a child that was forked in the step
        if outside:
            self._recorder.record(record)
            if self._recorder.policy.save_mode == "batch":
                self._recorder.flush()
        elif self._restoring.at is not None:
            # The program has changed: it does something before the step or loop whose state is to come back.
            self._recorder.record(record)
        else:
            checkpoints = self._checkpoints
            names, checkpoints.asked = checkpoints.asked or [""], []
            stored, key = checkpoints.copy_state(), record.key
            self._recorder.record(record, lambda position: [checkpoints.record_of(stored, key, names[-1] or None, position)])

    def _recorded_step(self, key: str) -> dict[str, Any] | None:
        """The record of a step that lies before the position, or None. It counts as repeated."""
        expected = self._expected("", True)
        if expected is None or expected[1]["kind"] != "module" or expected[1].get("key") != key:
            return None
        n, stored = expected
        if n > self._parts.point.position:
            return None
        self._recorder.record(_module_of(stored))
        if self._restoring.at == key:
            self._restoring.restore()
        elif self._restoring.at is not None:
            self._restoring.restore_passed(n + 1, key)
        return stored

    def once(self, key: str, fn: Callable[[], Any]) -> Any:
        """Call fn() for what must not be repeated (clock, network, a model call) and return its recorded value, decoded.

        Flushed in every mode before it returns. A resumed program gets the recorded value, and fn is not called; a kill
        between the call and its record repeats the call. The value is no part of the digest.
        """
        key = fields.text_value(key, "once.key")[0]
        if self._recorder.is_owner():
            self._go_on()
        lane, top = self._recorder.place()
        expected = self._expected(lane, top)
        if expected is not None and expected[1]["kind"] == "once" and expected[1]["key"] == key:
            tree = expected[1].get("value")
        else:
            self._recorder.raise_stopped()
            tree = codec.snapshot(fn(), f"once[{key!r}]")
        self._recorder.record(Once(key=key, value=tree))
        return codec.decode(tree)

    def _expected(self, lane: str, top: bool) -> tuple[int, dict[str, Any]] | None:
        """The record that a stream has to repeat next, or None. Locked, as other threads match theirs meanwhile."""
        with self._recorder.lock:
            return self._parts.expectations.peek(lane, top) if self._recorder.matcher is not None else None

    def lane(self, name: str) -> "_Lane":
        """A context manager: what this thread or task records inside has an order of its own.

        Whether its records are top-level is decided by this call: make it before the thread is started.
        """
        shown = fields.text_value(name, "lane")[0]
        if not shown:
            raise UsageError("lane(''): a lane has a name. Nothing was recorded; give it one")
        if self._recorder.is_owner():
            self._go_on()
        return _Lane(Lane(shown, self._recorder.top), self._recorder)

    # Checkpoints ------------------------------------------------------------------------------------------------------

    def checkpoint(self, name: str | None = None) -> None:
        """Take a checkpoint: in a loop or step at its end, elsewhere now. One with a name is kept for ever.

        One taken outside every loop and step can be exported and forked; a resume begins at the loop or step before it,
        as code outside runs again.
        """
        self._need_program_thread("checkpoint")
        self._recorder.raise_stopped()
        name = fields.text_value(name, "checkpoint.name")[0] if name is not None else None
        if self._program.place:
            self._checkpoints.asked.append(name or "")
        elif self._restoring.at is None:
            self._go_on()
            self._checkpoints.take(None, name)

    def _boundary(self, key: str, *, is_due: bool, seconds: float | None, is_last: bool) -> None:
        """The end of a loop's step: checkpoints that are due, and stopping where that was asked for."""
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

    def _need_program_thread(self, what: str) -> None:
        if not self._recorder.is_owner():
            raise UsageError(
                f"run.{what} belongs to the thread that opened the session, outside its lanes. Nothing was changed; call it "
                "there (records may come from any thread)"
            )

    # Divergence -------------------------------------------------------------------------------------------------------

    def diverged(self, difference: Divergence) -> None:
        """The program did not repeat itself. Called by the recorder, before anything is written."""
        self._differences.found(difference)

    def move_to(self, folder: SessionFolder, store: CheckpointStore) -> None:
        """Go on in another folder, which shares the past: after a fork."""
        self._parts.folder, self._parts.store = folder, store
        self._files_folder = folder.kept_files
        self.token = self._recorder.token

    # The end ----------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, Interrupted):
            self._close("interrupted", error.reason)
        elif isinstance(error, KeyboardInterrupt):
            self._close("interrupted", "KeyboardInterrupt")
        elif error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
            try:
                self.close()
            except DiskFull as full:  # nobody will call it again
                self._close("failed", f"DiskFull: {full}"[:_SHOWN_CHARACTERS])
                raise
        else:
            self._close("failed", f"{type(error).__name__}: {error}"[:_SHOWN_CHARACTERS])

    def close(self) -> None:
        """Close the session as finished. What is still expected and was not repeated counts as a difference; but a program that
        recorded nothing new in a finished session, or nothing at all, has only looked, and leaves it as it was. A second call
        does nothing; but where DiskFull was raised before everything accepted was flushed, the session is open still, and it
        works once there is space. Raises UsageError, and leaves it open, in the middle of a record (in a signal handler)."""
        if self._is_closed or self._recorder.is_foreign():
            return
        self._recorder.refuse_inside("run.close")
        try:
            if self._recorder.failure is None:
                self._recorder.flush_accepted()
                self._go_on()
            if not self._has_only_looked():
                self._differences.ended()
        except DiskFull:
            raise
        except BaseException as error:
            self._close("failed", f"{type(error).__name__}: {error}"[:_SHOWN_CHARACTERS])
            raise
        self._close("finished", None)

    def _has_only_looked(self) -> bool:
        """Whether nothing came of this attempt: the program entered no loop or step, and ended before the place where the run
        is to go on, or without all that it has to repeat."""
        is_short = self.replay_left > 0 or self._restoring.at is not None
        is_idle = self.finished or not self._recorder.matched
        return is_short and is_idle and not self._recorder.has_begun and not self._program.has_entered

    def end(self, status: str, reason: str) -> None:
        """Close the session as it is, to be gone on with; what fails is shown. For the end of the process."""
        try:
            self._close(status, reason[:_SHOWN_CHARACTERS])
        except HoldfastError as error:
            self._notice(f"{self.name} could not be closed: {error}")

    def let_go_of_signals(self) -> None:
        """In a forked child: signals do there what they did before the session was opened."""
        self._preemption.release()

    def _close(self, status: str, reason: str | None) -> None:
        if self._is_closed or self._recorder.is_foreign():
            return
        closed = SessionClosed(f"session {self.name!r} is closed; open it again to record more")
        record = Closed(status="interrupted", reason="closing was interrupted")
        was_finished = self.finished and not self._recorder.has_begun and not self._parts.is_config_changed
        leaves_it = was_finished or self._has_only_looked()
        failed: HoldfastError | None = None
        self._is_closed = True
        try:
            self._preemption.release()
            if self._flusher is not None:
                self._flusher.stop()
            if status == "finished" and not leaves_it and self._recorder.log.n and self._recorder.failure is None:
                self._recorder.ensure_begun()
            self._recorder.close(Closed(status=status, reason=reason), closed)
            record = Closed(status=status, reason=reason)
        except HoldfastError as error:
            failed = error
            record = Closed(status="failed", reason=f"{type(error).__name__}: {error}"[:_SHOWN_CHARACTERS])
        finally:
            try:
                self._recorder.let_go(closed)
                self._parts.expectations.close()
            finally:
                self._parts.on_closed(record)
        if failed is not None and status == "finished":
            raise failed  # else what ended the run is on its way already, and says more


class _Lane:
    """Entering and leaving a lane, on whichever thread or task."""

    def __init__(self, lane: Lane, recorder: Recorder) -> None:
        self._lane, self._recorder = lane, recorder

    def __enter__(self) -> None:
        self._token = current_lane.set(self._lane)
        self._recorder.enter_lane(1)

    def __exit__(self, *exception: object) -> None:
        current_lane.reset(self._token)
        self._recorder.enter_lane(-1)


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


def _module_of(stored: Mapping[str, Any]) -> Module:
    return Module(
        name=stored["name"],
        status=stored.get("status", "ok"),
        result=stored.get("result"),
        index=stored.get("index"),
        phase=stored.get("phase"),
        key=stored.get("key"),
    )
