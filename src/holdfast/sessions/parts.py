"""What a run is put together of: made by opening, and shared by the files that each see to one side of it."""

from collections.abc import Callable
from typing import Literal

import msgspec

from holdfast.recording.recorder import Recorder
from holdfast.records import Checkpoint, Closed, Record
from holdfast.sessions.checkpoints import CheckpointStore, Tracked
from holdfast.sessions.folder import SessionFolder
from holdfast.sessions.resume import Expectations, ResumePoint
from holdfast.sessions.retention import Retention

OnDivergence = Literal["supersede", "raise", "fork"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a session behaves, apart from saving."""

    on_divergence: OnDivergence = "supersede"
    max_seconds: float | None = None
    extend: bool = False
    allow_change: tuple[str, ...] = ()
    retention: Retention = msgspec.field(default_factory=Retention)


class Parts(msgspec.Struct):
    """The parts of one open session. A fork changes its folder, its store and the number of its attempt, and nothing else.

    notices, notice: what the user should see, and adding to it. fork: go on in a new session, behind these records. on_closed:
    the run has let go of its log. checkpoint_at: the checkpoint that a record of the log is. kept_checkpoints: those that are
    not released, in order, and the numbers of the records of the dead ones.
    """

    folder: SessionFolder
    attempt: int
    recorder: Recorder
    tracked: Tracked
    store: CheckpointStore
    point: ResumePoint
    expectations: Expectations
    settings: Settings
    is_config_changed: bool
    notices: list[str]
    notice: Callable[[str], None]
    fork: Callable[[list[Record]], None]
    on_closed: Callable[[Closed], None]
    checkpoint_at: Callable[[int], Checkpoint | None]
    kept_checkpoints: Callable[[], tuple[list[Checkpoint], set[int]]]
    began_ns: int
    """When opening began, by perf_counter_ns."""

    @property
    def name(self) -> str:
        """The session's name."""
        return self.folder.name
