"""A session that is open: what a program holds on to while it runs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import Any, Self

import msgspec

from holdfast import codec
from holdfast.errors import UsageError
from holdfast.recording import fields
from holdfast.recording.face import Face
from holdfast.recording.flusher import Flusher
from holdfast.recording.health import Health, health_of
from holdfast.recording.lanes import Lane, current_lane
from holdfast.recording.matching import Divergence
from holdfast.recording.outlet import Watermarks
from holdfast.recording.recorder import Recorder
from holdfast.sessions.checkpointing import Checkpointing
from holdfast.sessions.checkpoints import CheckpointStore
from holdfast.sessions.closing import Closing
from holdfast.sessions.differences import Differences
from holdfast.sessions.folder import SessionFolder
from holdfast.sessions.loops import Loops
from holdfast.sessions.parts import Parts
from holdfast.sessions.preemption import Preemption
from holdfast.sessions.program import Program
from holdfast.sessions.releasing import Releasing
from holdfast.sessions.restoring import Restoring
from holdfast.sessions.steps import Steps
from holdfast.storage.files import Files
from holdfast.storage.host import boot_id
from holdfast.storage.reader import LogReader


class Run(Face):
    """One open session. Made by `holdfast.session` or `holdfast.start`, not by its constructor.

    Loops, steps and checkpoints belong to the thread that opened it; records may come from any thread.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.recorder, parts.folder.files, parts.folder.kept_files)
        self._parts = parts
        self.notices = parts.notices
        self.finished = parts.point.is_finished
        self.replay_total = parts.expectations.rerun
        saved, settings, policy = parts.point.checkpoint, parts.settings, parts.recorder.outlet.policy
        restoring = self._restoring = Restoring(parts)
        if saved is not None and isinstance(saved.metrics, dict):
            self._latest_metrics.update({key: codec.decode(value) for key, value in saved.metrics.items()})
        program = self._program = Program(saved.loops if saved else ())
        releasing = Releasing(parts)
        checkpoints = self._checkpoints = Checkpointing(parts, program, self._latest_metrics, releasing)
        differences = self._differences = Differences(parts, releasing)
        preemption = self._preemption = Preemption(
            lambda: bool(program.place), parts.notice, settings.max_seconds, parts.recorder.timer_ns
        )
        flusher = Flusher(parts.recorder, policy.seconds) if policy.save_mode == "batch" else None
        loops = self._loops = Loops(
            parts, program, checkpoints, restoring, differences, preemption, is_closed=lambda: self.is_closed
        )
        self._steps = Steps(parts, program, checkpoints, restoring, preemption, loops.go_on)
        self._closing = Closing(parts, program, restoring, differences, preemption, flusher, loops.go_on)
        opening_ns = perf_counter_ns() - parts.began_ns
        parts.recorder.cost.spent_ns += opening_ns
        self._began_ns = parts.recorder.timer_ns() - opening_ns

    # What it is -----------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The session's name."""
        return self._parts.name

    @property
    def path(self) -> Path:
        """The session's folder."""
        return self._parts.folder.path

    @property
    def attempt(self) -> int:
        """Which of the session's attempts this is, from 1, by the log that it writes; a fork is one more."""
        return self._parts.attempt

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can be recorded."""
        return self._closing.is_closed

    @property
    def replay_left(self) -> int:
        """Records that the program still has to repeat; top-level ones included."""
        return self._parts.expectations.remaining

    @property
    def step_index(self) -> int | None:
        """The step of the loop the program is in, None outside."""
        return self._loops.step

    @property
    def resumed_step(self) -> int | None:
        """The step that the loop went on from, None before that and at a start."""
        return self._loops.resumed_step

    def watermarks(self) -> Watermarks:
        """Record numbers up to which everything is accepted, flushed and synced."""
        return self._recorder.outlet.watermarks

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
        policy = msgspec.structs.replace(self._recorder.outlet.policy, **changed)
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
        return self._loops.loop(n, checkpoint_every, checkpoint_seconds)

    def step(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call fn(*args, **kwargs), record its result as a module, and return the recorded result, decoded.

        Outside a loop, the result and a checkpoint are appended as one piece, and a step before the position of a resume is
        not run again. In a loop it is part of the step around it. An exception of fn is recorded nowhere, what fn
        recorded before it stays, and the next try has the same place. Where fn returns an Outcome, it says more of the record,
        and `step` returns its result.
        """
        self._need_program_thread("step")
        return self._steps.step(name, fn, args, kwargs)

    def once(self, key: str, fn: Callable[[], Any]) -> Any:
        """Call fn() for what must not be repeated (clock, network, a model call) and return its recorded value, decoded.

        Flushed in every mode before it returns. A resumed program gets the recorded value, and fn is not called; a kill
        between the call and its record repeats the call. The value is no part of the digest. While fn runs, its thread can
        record nothing (UsageError): do that before or behind, or return what is to be recorded.
        """
        return self._steps.once(key, fn)

    def lane(self, name: str) -> "_Lane":
        """A context manager: what this thread or task records inside has an order of its own.

        Whether its records are top-level is decided by this call: make it before the thread is started.
        """
        shown = fields.text_value(name, "lane")[0]
        if not shown:
            raise UsageError("lane(''): a lane has a name. Nothing was recorded; give it one")
        if self._recorder.lanes.is_owner():
            self._loops.go_on()
        return _Lane(Lane(shown, self._recorder.lanes.top), self._recorder)

    # Checkpoints ------------------------------------------------------------------------------------------------------

    def checkpoint(self, name: str | None = None) -> None:
        """Take a checkpoint: in a loop or step at its end, elsewhere now. One with a name is kept for ever.

        One taken outside every loop and step can be exported and forked; a resume begins at the loop or step before it,
        as code outside runs again.
        """
        self._need_program_thread("checkpoint")
        self._recorder.outlet.raise_stopped()
        name = fields.text_value(name, "checkpoint.name")[0] if name is not None else None
        if self._program.place:
            self._checkpoints.asked.append(name or "")
        elif self._restoring.at is None:
            self._loops.go_on()
            self._checkpoints.take(None, name)

    def _need_program_thread(self, what: str) -> None:
        if not self._recorder.lanes.is_owner():
            raise UsageError(
                f"run.{what} belongs to the thread that opened the session, outside its lanes. Nothing was changed; call it "
                "there (records may come from any thread)"
            )

    # The end ----------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing.at_end_of_block(error)

    def close(self) -> None:
        """Close the session as finished. What is still expected and was not repeated counts as a difference; but a program that
        recorded nothing new in a finished session, or nothing at all, has only looked, and leaves it as it was. A second call
        does nothing; but where DiskFull was raised before everything accepted was flushed, the session is open still, and it
        works once there is space. Raises UsageError, and leaves it open, in the middle of a record (in a signal handler)."""
        self._closing.close()

    # For other parts ---------------------------------------------------------------------------------------------------

    def reader(self) -> LogReader:
        """A reader of what is flushed of this session's log."""
        return LogReader(self._files, self._parts.folder.log, boot_id())

    def file_operations(self) -> Files:
        """What the session's files are read and written with."""
        return self._files

    def date_with(self, clock_ns: Callable[[], int]) -> None:
        """Take the times of records from this clock: for who records what happened at other times. Nanoseconds since 1970."""
        self._recorder.date_with(clock_ns)
        self.token = self._recorder.token

    def produced(self) -> int:
        """n of the last record that the program has produced, or, while it repeats itself, matched."""
        return self._recorder.position

    def is_at_top(self) -> bool:
        """Whether the program is outside every loop and step, where it does again at a resume what it did before."""
        return not self._program.place

    def flush_accepted(self) -> None:
        """Have `reader` find everything accepted, as `flush` does, but append nothing else. At the end of a session it does."""
        if not self.is_closed:
            self._recorder.flush_accepted()

    def diverged(self, difference: Divergence) -> None:
        """The program did not repeat itself. Called by the recorder, before anything is written."""
        self._differences.found(difference)

    def move_to(self, folder: SessionFolder, store: CheckpointStore, attempt: int) -> None:
        """Go on in another folder, which shares the past, as an attempt of that session: after a fork."""
        self._parts.folder, self._parts.store, self._parts.attempt = folder, store, attempt
        self._files_folder = folder.kept_files
        self.token = self._recorder.token

    def end(self, status: str, reason: str) -> None:
        """Close the session as it is, to be gone on with; what fails is shown. For the end of the process."""
        self._closing.end(status, reason)

    def let_go_of_signals(self) -> None:
        """In a forked child: signals do there what they did before the session was opened."""
        self._preemption.release()


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
