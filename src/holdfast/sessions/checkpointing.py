"""Taking checkpoints while a run is going on: the state is copied, stored and recorded."""

from collections.abc import Mapping
from typing import Any

from holdfast import codec
from holdfast.errors import DiskFull
from holdfast.recording.health import Samples
from holdfast.records import Checkpoint
from holdfast.sessions.parts import Parts
from holdfast.sessions.program import Program
from holdfast.sessions.releasing import Releasing


class Checkpointing:
    """Takes the checkpoints of a run.

    asked: names ("" for none) of those that the program asked for in a loop or step, to be taken at its end. newest: the last
    record made, not yet appended where it goes with others. times: what copying and storing the states took.
    """

    def __init__(self, parts: Parts, program: Program, metrics: Mapping[str, Any], releasing: Releasing) -> None:
        self._parts, self._program, self._metrics, self._releasing = parts, program, metrics, releasing
        self._recorder = parts.recorder
        self.asked: list[str] = []
        self.newest: Checkpoint | None = None
        self.times = Samples()
        self._keeps_all = parts.settings.retention.keep_last is None
        self._last_ns = self._recorder.timer_ns()

    def take(self, at: str | None, name: str | None) -> None:
        """Take one now. at: key of the loop that it lies in, None outside."""
        self._recorder.raise_stopped()
        self._recorder.flush_accepted()
        position = self._recorder.position
        stored = self.copy_state()
        try:
            self._recorder.append_group([self.record_of(stored, at, name, position)])
        except BaseException as error:
            self.take_back(stored, error)
            raise
        self.taken()

    def take_back(self, stored: Mapping[str, Any], error: BaseException) -> None:
        """Appending the record of a state failed. Its files go where it is certain that the record is not there: they would
        take space on a disk that is full."""
        record, self.newest = self.newest, None
        if not isinstance(error, DiskFull) or (record is not None and self.is_recorded(record)):
            return
        if self._releasing.remove_files(lambda store: store.take_back(stored)) and "folder" in stored:
            self._recorder.file_bytes -= stored["size"]

    def is_recorded(self, record: Checkpoint) -> bool:
        """Whether a record that was to be appended is in the log; what failed may have failed behind that."""
        if not record.n or record.n > self._recorder.settled():
            return False
        return any(kept.number == record.number for kept in self._parts.kept_checkpoints()[0])

    def copy_state(self) -> dict[str, Any]:
        """Copy the state of everything tracked, and store what does not fit into a record; the record's fields about it."""
        recorder, self.newest = self._recorder, None
        began = recorder.timer_ns()
        try:
            recorder.capture("state_dict")
            stored = self._parts.store.store(self._parts.tracked.copy_state)
            recorder.file_bytes += stored["size"] if "folder" in stored else 0
            return stored
        finally:
            recorder.capturing = 0  # first: an interrupt may come with the call
            recorder.capture(None)
            self.times.add(recorder.timer_ns() - began)

    def record_of(self, stored: Mapping[str, Any], at: str | None, name: str | None, position: int) -> Checkpoint:
        """The record of a state that copy_state stored; `taken` is to be called when it is appended. position: n of the last
        record that was produced or matched before it."""
        with self._recorder.lock:
            behind = self._parts.expectations.behind(position) if self._recorder.matcher is not None else {}
        self.newest = record = Checkpoint(
            position={"main": position},
            behind=behind,
            at=at,
            loops=list(self._program.loops.values()),
            name=name,
            metrics=codec.snapshot(dict(self._metrics), "metrics") if self._metrics else None,
            **stored,
        )
        return record

    def taken(self) -> None:
        """The newest one is recorded: others may go."""
        self._last_ns = self._recorder.timer_ns()
        if not self._keeps_all:
            self._releasing.release(self.newest)

    def seconds_since_last(self) -> float:
        """Since the last checkpoint, or since the session was opened."""
        return (self._recorder.timer_ns() - self._last_ns) / 1e9
