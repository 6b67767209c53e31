"""One struct a kind of record, as it stands in a line of the log (docs/format.md, "Records")."""

import re
from typing import Any

import msgspec

from holdfast.codec import canonical
from holdfast.errors import Corrupted


class Record(msgspec.Struct, tag_field="kind", omit_defaults=True, gc=False):
    """What every record carries.

    n: number in the writer's log, from 1, without gaps. ts: microseconds since 1970. lane: absent in the default
    lane. top: made outside every loop and step. back: n of the record before this one that a resume must find without
    reading the history (docs/format.md, "The chain"). info: what may differ between equal runs.
    """

    n: int = 0
    ts: int = 0
    lane: str | None = None
    top: bool = False
    back: int | None = None
    info: dict[str, Any] | None = None


# Canonical kinds: the run itself ------------------------------------------------------------------------------------


class Token(Record, tag="token"):
    """One token: a string, an int id, or bytes (tagged). raw: base64 of the exact UTF-8, where `token` shows U+FFFD."""

    token: Any = None
    z: float | None = None
    phase: str | None = None
    tier: int | None = None
    source: str | None = None
    meta: Any = None
    raw: str | None = None


class Tokens(Record, tag="tokens", kw_only=True):
    """A batch of tokens under one number: columns of equal length."""

    tokens: Any
    columns: dict[str, Any] = {}


class Emission(Record, tag="emission", kw_only=True):
    """A text put together from tokens."""

    text: str
    tokens: Any = ()
    z: float | None = None
    phase: str | None = None
    quality: float | None = None
    meta: Any = None
    raw: str | None = None


class Metric(Record, tag="metric", kw_only=True):
    """Named numbers at one moment."""

    values: Any


class Module(Record, tag="module", kw_only=True):
    """The result of a module, stage, step or tool. key: place and occurrence, where `run.step` made it."""

    name: str
    status: str = "ok"
    result: Any = None
    index: int | None = None
    phase: str | None = None
    key: str | None = None


class Once(Record, tag="once", kw_only=True):
    """What must not be repeated; the value is volatile."""

    key: str
    value: Any = None


class Transition(Record, tag="transition", kw_only=True):
    """A change of state."""

    before: Any
    after: Any


class Event(Record, tag="event", kw_only=True):
    """Anything else that happened, by name."""

    name: str
    data: Any = None


class File(Record, tag="file", kw_only=True):
    """A file's content, copied once to files/<sha256>."""

    name: str
    sha256: str
    size: int


class Note(Record, tag="note", kw_only=True):
    """A remark."""

    text: str
    raw: str | None = None


# Bookkeeping: how the log came about ---------------------------------------------------------------------------------


class Opened(Record, tag="opened", kw_only=True):
    """The first attempt began."""

    session: str
    config: Any = None
    tags: list[str] = []
    notes: str | None = None
    epoch: int | None = None
    save_mode: str = ""
    durability: str = ""


class Resumed(Record, tag="resumed", kw_only=True):
    """A further attempt began: from which checkpoint, and how many records it has to repeat. config: the run's settings from
    here on, where they were changed."""

    attempt: int
    checkpoint: int | None = None
    replay: int = 0
    skipped: list[str] = []
    epoch: int | None = None
    config: Any = None


class Range(msgspec.Struct, omit_defaults=True, frozen=True):
    """Numbers first to last (both included) of one lane; top: only its top-level records, else only the others.

    failed: they were recorded in a step that failed, and are part of no checkpoint's state.
    """

    first: int
    last: int
    lane: str = ""
    top: bool = False
    failed: bool = False

    def covers(self, n: int, lane: str, top: bool) -> bool:
        """Whether the record with these three is inside."""
        return self.first <= n <= self.last and lane == self.lane and top == self.top


class Superseded(Record, tag="superseded", kw_only=True):
    """The records of these ranges are no longer part of the run. expected and found are the first difference.

    rewound: n of the checkpoint that the run was set back to; those between that and this record are dead.
    """

    ranges: list[Range]
    reason: str
    expected: Any = None
    found: Any = None
    rewound: int | None = None


class Loop(msgspec.Struct, omit_defaults=True, frozen=True):
    """Where a loop stood: the next step to do, of how many (None: without end).

    left: by a break, for good. ended: n of the checkpoint taken at its end.
    """

    key: str
    next: int
    length: int | None = None
    left: bool = False
    ended: int | None = None


class StoredFile(msgspec.Struct, frozen=True):
    """A file of a checkpoint, relative to checkpoints/."""

    name: str
    size: int
    sha256: str


class Checkpoint(Record, tag="checkpoint", kw_only=True):
    """Full state at a log position (docs/format.md, "Checkpoints").

    position: writer → n of the last canonical record produced or matched when the state was copied. behind: lane → n
    of its first record not yet matched then, where that is before the position. at: key of the loop or step that the
    position lies in, None outside. Either state (inline) or folder and files.
    """

    number: int
    position: dict[str, int]
    behind: dict[str, int] = {}
    at: str | None = None
    loops: list[Loop] = []
    name: str | None = None
    metrics: Any = None
    state: Any = None
    folder: str | None = None
    files: list[StoredFile] = []
    size: int = 0


class Released(Record, tag="released", kw_only=True):
    """The files of these checkpoints (by number of their record, n) may be gone from now on."""

    checkpoints: list[int]
    reason: str = ""


class Closed(Record, tag="closed", kw_only=True):
    """An attempt ended: finished, interrupted, failed, or forked (the name now belongs to another session)."""

    status: str
    reason: str | None = None
    to: str | None = None


class Failed(Record, tag="failed", kw_only=True):
    """A step outside every loop and step failed after something was recorded in it: what is not top-level of the records first
    to last. The program does it again at every resume. key: of the step."""

    key: str
    first: int
    last: int


class Annotated(Record, tag="annotated", kw_only=True):
    """A remark made about the session from outside, after the fact."""

    text: str


class Flushed(Record, tag="flushed", kw_only=True):
    """Nothing but a line to carry a close, where one was asked for between records."""


Canonical = Token | Tokens | Emission | Metric | Module | Once | Transition | Event | File | Note
Bookkeeping = Opened | Resumed | Superseded | Checkpoint | Released | Closed | Failed | Annotated | Flushed
STATUSES = ("ok", "error", "skipped")
CANONICAL_KINDS = frozenset(("token", "tokens", "emission", "metric", "module", "once", "transition", "event", "file", "note"))
VOLATILE_FIELDS = frozenset(("n", "ts", "info", "crc", "synced", "join", "back"))

encode_record = msgspec.json.Encoder().encode
encode_into = msgspec.json.Encoder().encode_into
encode_lines = msgspec.json.Encoder().encode_lines
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoders raise for a line that is no record of its kind."""
_decode_bookkeeping = msgspec.json.Decoder(Bookkeeping).decode


class BadRecord(Corrupted):
    """A whole line that is no record of its kind. Who knows the log says where it stands (reading/locate.py)."""

    def __init__(self, line: bytes, what: str) -> None:
        number = re.search(rb'"n":([0-9]+)', line)
        super().__init__("the log", 0, f"record {int(number[1]) if number else '?'} cannot be read: {what}")
        self.args = line, what
        self.line = line

    def __str__(self) -> str:
        return f"{self.reason}. Nothing was changed; see where it stands with: holdfast verify SESSION"


def kind_of(line: bytes) -> str:
    """The kind of a record's line: its first field. Raises BadRecord."""
    try:
        return line[9 : line.index(b'"', 9)].decode()
    except ValueError:
        raise BadRecord(line, "it does not begin with its kind") from None


def decode_bookkeeping(line: bytes) -> Bookkeeping:
    """A line of bookkeeping as its record. Raises BadRecord."""
    try:
        record: Bookkeeping = _decode_bookkeeping(line)
    except UNREADABLE as error:
        raise BadRecord(line, str(error)) from None
    return record


def canonical_bytes(fields: dict[str, Any]) -> bytes:
    """What equal runs have equal of a record: its decoded line without the volatile fields, keys sorted.

    The value of a `once` is volatile too.
    """
    kept = {key: value for key, value in fields.items() if key not in VOLATILE_FIELDS}
    if fields.get("kind") == "once":
        kept.pop("value", None)
    return canonical(kept)
