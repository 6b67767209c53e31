"""What a program that is to be killed tells its parent, over a pipe: a message after each call that returned."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from types import FrameType
from typing import Literal, NamedTuple

import holdfast
from holdfast.storage.faulty import KillingFiles
from holdfast.storage.files import RealFiles

MESSAGE = Struct("<7I")
OPENED, RECORDED, CLOSING, CLOSED, DYING = range(1, 6)


class Message(NamedTuple):
    """kind: of those above. mark: of the record. accepted, flushed, synced: the watermarks after the call. value: of a `once`;
    OPENED: records to be replayed; DYING: index of the place in PLACES. replaying: whether records are still to be repeated."""

    kind: int
    mark: int
    accepted: int
    flushed: int
    synced: int
    value: int
    replaying: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one start ends. by "nobody": at its own end. "parent", "itself": when that many calls have been acknowledged.
    "replay": by itself, after this share of the replay. "files": before, halfway through or after the nth of an operation
    on paths that contain `role`. signal: the one that the program sends itself."""

    by: Literal["nobody", "parent", "itself", "replay", "files"] = "nobody"
    record: int = 0
    signal: int = signal.SIGKILL
    share: float = 0.0
    operation: str = ""
    role: str = ""
    when: Literal["before", "half", "holed", "after"] = "before"
    nth: int = 0


NOBODY = Plan()

PLACES = (
    *("recovery", "roll", "first segment", "retention", "checkpoint files", "checkpoint record"),
    *("manifest", "close", "kept file", "growth", "sync", "replay", "record"),
)
_PLACE_OF = {  # function → the place that its presence in the stack means; the first of PLACES wins
    "Attempt.__init__": "recovery",
    "LogWriter._roll": "roll",
    "LogWriter._begin": "first segment",
    "CheckpointStore.remove": "retention",
    "CheckpointStore.store": "checkpoint files",
    "Checkpointing.take": "checkpoint record",
    "Releasing.release": "retention",
    "Outlet.append_group": "checkpoint record",
    "Attempt._write_manifest": "manifest",
    "Closing._close": "close",
    "Face._copy": "kept file",
    "Segment.make_room": "growth",
    "Syncing.sync": "sync",
}


class Witness:
    """Tells the parent. Every call is one write to a pipe, which no other thread's message can divide."""

    def __init__(self, fd: int, plan: Plan) -> None:
        self._fd, self._plan = fd, plan
        self._run: holdfast.Run | None = None
        self._stop_after = plan.record if plan.by == "itself" else 0
        self._count = 0

    def opened(self, run: holdfast.Run) -> None:
        """The session is open."""
        self._run = run
        if self._plan.by == "replay":
            self._stop_after = int(self._plan.share * run.replay_total) + 1 if run.replay_total else self._plan.record
        self._tell(OPENED, 0, run.replay_total)

    def recorded(self, mark: int, value: int = 0) -> None:
        """The call that recorded `mark` has returned."""
        self._tell(RECORDED, mark, value)
        self._count += 1
        if self._count == self._stop_after:
            os.kill(os.getpid(), self._plan.signal)

    def closing(self) -> None:
        """The program has done everything but closing."""
        self._tell(CLOSING, 0, 0)

    def closed(self) -> None:
        """The session is closed."""
        self._run = None
        self._tell(CLOSED, 0, 0)

    def dying(self) -> None:
        """The next instant is the planned one."""
        place = place_of(sys._getframe(1))
        is_replaying = self._run is not None and self._run.replay_left > 0
        if place == "record" and is_replaying:
            place = "replay"
        self._send(Message(DYING, 0, 0, 0, 0, PLACES.index(place), is_replaying))

    def _tell(self, kind: int, mark: int, value: int) -> None:
        if self._run is None:
            return self._send(Message(kind, mark, 0, 0, 0, value, 0))
        marks = self._run.watermarks()
        is_replaying = self._run.replay_left > 0
        return self._send(Message(kind, mark, marks.accepted, marks.flushed, marks.synced, value, is_replaying))

    def _send(self, message: Message) -> None:
        if self._fd >= 0:
            os.write(self._fd, MESSAGE.pack(*message))


class ReportingFiles(KillingFiles):
    """Files that tell the parent where the program is when they kill it."""

    def __init__(self, plan: Plan, witness: Witness) -> None:
        super().__init__(RealFiles(), operation=plan.operation, nth=plan.nth, when=plan.when, role=plan.role)
        self._witness = witness

    def is_due(self) -> bool:
        due = super().is_due()
        if due:
            self._witness.dying()
        return due

    def die_within(self, data: bytes, write: Callable[[bytes], None]) -> None:
        if self._operation == "store":  # which is counted elsewhere
            self._witness.dying()
        super().die_within(data, write)


def place_of(frame: FrameType | None) -> str:
    """Which of PLACES a stack is in."""
    found = {"record"}
    while frame is not None:
        if (place := _PLACE_OF.get(frame.f_code.co_qualname)) is not None:
            found.add(place)
        frame = frame.f_back
    return next(place for place in PLACES if place in found)
