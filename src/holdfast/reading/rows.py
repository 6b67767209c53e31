"""What the loader hands out: a frozen, typed row for each token, value, result or event. User values are as they were given."""

from typing import Any

import msgspec


class Row(msgspec.Struct, frozen=True):
    """What every row says: where it stands, and when it was recorded.

    n: number of its record in the session's log. ts: microseconds since 1970. lane: None in the default one. top: made
    outside every loop and step. superseded: no longer part of the run; False throughout unless superseded ones were
    asked for. info: what may differ between equal runs.
    """

    session: str
    n: int
    ts: int
    lane: str | None
    top: bool
    superseded: bool
    info: Any


class TokenRow(Row, frozen=True):
    """One token. place: its index in a batch that was recorded under one number, else 0. others: what a batch's further columns
    say of it."""

    place: int
    token: str | int | bytes
    z: float | None
    phase: str | None
    tier: int | None
    source: str | None
    meta: Any
    others: dict[str, Any] | None


class EmissionRow(Row, frozen=True):
    """A text put together from tokens."""

    text: str
    tokens: Any
    z: float | None
    phase: str | None
    quality: float | None
    meta: Any


class MetricRow(Row, frozen=True):
    """One named value; those that were recorded together have the same n."""

    name: str
    value: Any


class ModuleRow(Row, frozen=True):
    """The result of a module, stage, step or tool. key: of a step, its place and occurrence."""

    name: str
    status: str
    result: Any
    index: int | None
    phase: str | None
    key: str | None


class TransitionRow(Row, frozen=True):
    """A change of state."""

    before: Any
    after: Any


class EventRow(Row, frozen=True):
    """Anything else that happened."""

    name: str
    data: Any


class FileRow(Row, frozen=True):
    """A file whose content lies in the session's files/<sha256>. size: bytes."""

    name: str
    sha256: str
    size: int


class NoteRow(Row, frozen=True):
    """A remark."""

    text: str


class CheckpointRow(Row, frozen=True):
    """A checkpoint's record. position: n of the last record its state contains. size: bytes of its files."""

    number: int
    name: str | None
    position: int
    at: str | None
    metrics: Any
    size: int
