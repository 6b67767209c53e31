"""What a file is, before anything of it is recorded: its kind, its hash, its epoch."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec

from holdfast.importing.documents import Unreadable, read_document, read_lines
from holdfast.importing.findings import Findings
from holdfast.importing.items import Item
from holdfast.importing.kinds import Kind
from holdfast.importing.readers import archives, emissions, lines, states, tensorboard, tokens, words
from holdfast.importing.reading import Reading
from holdfast.importing.walk import DOCUMENTS, EVENTS, Found

KINDS: tuple[Kind, ...] = (
    *archives.JOURNEYS,
    *states.SESSIONS,
    *words.KINDS,
    *states.KINDS,
    *archives.KINDS,
    *emissions.KINDS,
    *tokens.KINDS,
)
TABLE = "table"
TENSORBOARD = "tensorboard"
LINE_KINDS = ("token stream", "module stream", "events", "metrics", TABLE)
"""The kinds of documents, the special ones first, and those of files of lines."""
NAMES = (*(kind.name for kind in KINDS), *LINE_KINDS, TENSORBOARD)
"""All of them."""
_FIRST_LINES = 100
_MOST_EPOCHS = 1_000_000  # a larger number is none
_EPOCH = re.compile(r"epoch[-_ ]?(\d{1,6})", re.IGNORECASE)


class Looked(msgspec.Struct, frozen=True):
    """What is known of a file. kind: None where it is of none, for the reason. written: its own time, as it has it. columns:
    those of its first lines, where it is one of lines."""

    found: Found
    sha256: str
    kind: str | None
    reason: str = ""
    epoch: int | None = None
    session_id: str | None = None
    written: str | None = None
    columns: tuple[str, ...] = ()


def look(found: Found) -> Looked:
    """Look at a file. Raises ReadFailed where it cannot be read."""
    if found.ending in DOCUMENTS:
        return _look_at_document(found)
    digest = hashlib.sha256()
    for chunk in found.chunks():
        digest.update(chunk)
    kind: str | None
    columns: tuple[str, ...]
    if found.ending == EVENTS:
        kind, columns = TENSORBOARD if tensorboard.is_there() else None, ()
        reason = "" if kind else tensorboard.MISSING
    else:
        kind, columns = _lines_of(found)
        reason = "" if kind else "no line of it is a JSON object"
    return Looked(found, digest.hexdigest(), kind, reason, _epoch_in(found.path, None), columns=columns)


def _look_at_document(found: Found) -> Looked:
    data = b"".join(found.chunks())
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        document = read_document(data, Findings(found.path))
    except Unreadable as error:
        return Looked(found, sha256, None, str(error))
    kind = next((kind.name for kind in KINDS if kind.fits(document, found.path)), None)
    fields = document if isinstance(document, dict) else {}
    session_id, written = fields.get("session_id", fields.get("session")), fields.get("timestamp")
    return Looked(
        found=found,
        sha256=sha256,
        kind=kind,
        reason="" if kind else "no kind of document that is known",
        epoch=_epoch_in(found.path, fields.get("epoch")),
        session_id=session_id if isinstance(session_id, str) else None,
        written=written if isinstance(written, str) else None,
    )


def read(looked: Looked, chunks: Iterator[bytes], reading: Reading, columns: Mapping[str, str] | None = None) -> Iterator[Item]:
    """What the content of a file of a known kind says, in order."""
    kind = looked.kind
    if kind == TENSORBOARD and looked.found.file is not None:
        yield from tensorboard.read_events(looked.found.file, b"".join(chunks), reading)
    elif kind == TABLE:
        yield from lines.read_csv(chunks, reading, columns)
    elif kind in LINE_KINDS:
        yield from lines.read_json_lines(chunks, reading, kind, columns)
    else:
        document = read_document(b"".join(chunks), reading.findings)
        yield from next(known for known in KINDS if known.name == kind).read(document, reading)


def _lines_of(found: Found) -> tuple[str | None, tuple[str, ...]]:
    """The kind of a file of lines, and the columns of the first of them."""
    unheard = Findings(found.path)
    if found.ending in lines.TABLES:
        return TABLE, tuple(lines.columns_of_table(found.chunks()))
    first = [value for _, value in islice(read_lines(found.chunks(), unheard), _FIRST_LINES) if isinstance(value, dict)]
    columns = dict.fromkeys(name for value in first for name in value)
    return lines.kind_of_lines(first[0]) if first else None, tuple(columns)


def _epoch_in(path: str, told: Any) -> int | None:
    """The epoch that a file tells, or its name."""
    if isinstance(told, int) and not isinstance(told, bool) and 0 <= told < _MOST_EPOCHS:
        return told
    found = _EPOCH.search(path.rpartition("/")[2])
    return int(found[1]) if found else None
