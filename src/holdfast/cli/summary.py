"""What `show` tells of a session, taken in record by record: its memory grows with the attempts, not with the log."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.cli.charts import Series, Timeline
from holdfast.cli.describe import plain_number

BOOKKEEPING = frozenset(("opened", "resumed", "superseded", "checkpoint", "released", "closed", "annotated", "flushed"))
_SHOWN_CHECKPOINTS = 5


@dataclass
class Attempt:
    """One process life of the session. ended: None while nothing says how."""

    number: int
    began: int
    origin: str
    until: int
    records: int = 0
    checkpoints: int = 0
    ended: str | None = None
    reason: str | None = None


@dataclass
class Remark:
    """Something between or in attempts: what was superseded, and what was done from outside."""

    ts: int
    text: str


@dataclass
class Summary:
    """Everything but the last records. `add` takes all records of a session, bookkeeping too, in order. last: n of the last."""

    kinds: Counter[str] = field(default_factory=Counter)
    superseded: int = 0
    last: int = 0
    metrics: dict[str, Series] = field(default_factory=dict)
    z: Series = field(default_factory=lambda: Series(width=64))
    phases: Timeline = field(default_factory=Timeline)  # of tokens and emissions
    stages: Timeline = field(default_factory=Timeline)  # the phases of modules
    timeline: list[Attempt | Remark] = field(default_factory=list)
    checkpoints: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_SHOWN_CHECKPOINTS))
    checkpoint_count: int = 0
    released: set[int] = field(default_factory=set)
    opened: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    _attempt: Attempt | None = None
    _before: dict[str, Any] = field(default_factory=dict)

    @property
    def attempts(self) -> list[Attempt]:
        """The timeline without the remarks."""
        return [entry for entry in self.timeline if isinstance(entry, Attempt)]

    def add(self, fields: dict[str, Any]) -> None:
        """Take in the next record."""
        kind, self.last = fields["kind"], fields["n"]
        if kind in BOOKKEEPING:
            self._bookkeeping(kind, fields)
            self._before = fields
            return
        if fields.get("superseded"):
            self.superseded += 1
        else:
            self.kinds[kind] += 1
            if kind == "metric":
                self._metric(fields["values"])
            elif kind == "tokens":
                self._columns(fields.get("columns", {}))
            else:
                if kind == "token" and "z" in fields:
                    self.z.add(fields["z"])
                if "phase" in fields:
                    (self.stages if kind == "module" else self.phases).add(fields["phase"])
        if self._attempt is not None:
            self._attempt.records += 1
            self._attempt.until = fields["ts"]
        self._before = fields

    def _metric(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if (number := plain_number(value)) is not None:
                self.metrics.setdefault(name, Series()).add(number)

    def _columns(self, columns: Mapping[str, Any]) -> None:
        for z in columns.get("z", ()):
            if (number := plain_number(z)) is not None:
                self.z.add(number)
        for phase in columns.get("phase", ()):
            if isinstance(phase, str):
                self.phases.add(phase)

    def _bookkeeping(self, kind: str, fields: dict[str, Any]) -> None:
        attempt = self._attempt
        if kind in ("opened", "resumed"):
            if attempt is not None and attempt.ended is None:
                attempt.ended = "killed"
            self._begin(kind, fields)
        elif kind == "checkpoint":
            self.checkpoint_count += 1
            self.checkpoints.append(fields)
            if attempt is not None:
                attempt.checkpoints += 1
                attempt.until = fields["ts"]
        elif kind == "released":
            self.released.update(fields["checkpoints"])
        elif kind in ("superseded", "annotated"):
            text = fields["text"] if kind == "annotated" else f"{_extent(fields)} superseded: {fields['reason']}"
            self.timeline.append(Remark(fields["ts"], text))
        elif kind == "closed" and attempt is not None:
            self._end(attempt, fields)

    def _begin(self, kind: str, fields: dict[str, Any]) -> None:
        if kind == "opened":
            self.opened = fields
            origin = "opened"
        elif fields.get("checkpoint"):
            origin = f"resumed from checkpoint {fields['checkpoint']}, replay {fields.get('replay', 0):,}"
        else:
            origin = f"resumed from the start, replay {fields.get('replay', 0):,}"
        self.info = fields.get("info") or self.info
        self._attempt = Attempt(fields.get("attempt", 1), fields["ts"], origin, fields["ts"])
        self.timeline.append(self._attempt)

    def _end(self, attempt: Attempt, fields: dict[str, Any]) -> None:
        """A change from outside (rewind, fork, note) closes the log again: it is not how the attempt ended."""
        if attempt.ended is not None:
            return
        before = self._before
        if fields.get("reason") and fields["reason"] in (before.get("reason"), before.get("text")):
            # A fork shares a part of the attempt: how that ended stands in the other session.
            attempt.ended = "forked off" if fields["reason"].startswith("forked from ") else "killed"
            return
        attempt.ended, attempt.reason = fields["status"], fields.get("reason")
        attempt.until = max(attempt.until, fields["ts"]) if before.get("kind") != "annotated" else attempt.until


def _extent(fields: Mapping[str, Any]) -> str:
    ranges = fields["ranges"]
    first, last = min(span["first"] for span in ranges), max(span["last"] for span in ranges)
    return f"records {first:,} to {last:,}"
