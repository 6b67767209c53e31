"""session.json: a cache of what the log says, for lists that must not read every log. It can be rebuilt at any time."""

from pathlib import Path
from typing import Any

import msgspec

from holdfast.records import Closed, Opened, decode_bookkeeping
from holdfast.storage.files import Files, read_whole, replace_file
from holdfast.storage.reader import LogReader

FILE_NAME = "session.json"


class Manifest(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What a list of sessions shows. status: running, finished, interrupted, failed, forked. Times are microseconds since 1970."""

    session: str
    status: str
    attempts: int
    records: int
    bytes: int
    created: int
    updated: int
    reason: str | None = None
    to: str | None = None
    epoch: int | None = None
    tags: list[str] = []
    notes: str | None = None
    config: Any = None


def write_manifest(files: Files, folder: Path, manifest: Manifest) -> None:
    """Replace session.json atomically."""
    replace_file(files, folder / FILE_NAME, [msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"])


def read_manifest(files: Files, folder: Path) -> Manifest | None:
    """The manifest, or None where it is missing, emptied or not one of ours: then the log tells."""
    try:
        return msgspec.json.decode(read_whole(files, folder / FILE_NAME), type=Manifest)
    except (OSError, msgspec.DecodeError):
        return None


def rebuild_manifest(reader: LogReader, session: str) -> Manifest | None:
    """What the log itself says; None where nothing was recorded."""
    if not reader.last:
        return None
    first, last = reader.find(1), reader.find(reader.last)
    opened = decode_bookkeeping(first)
    ended = decode_bookkeeping(last) if last.startswith(b'{"kind":"closed"') else None
    closed = ended if isinstance(ended, Closed) else None
    times = msgspec.json.Decoder(msgspec.defstruct("_Time", [("ts", int)]))
    assert isinstance(opened, Opened)
    return Manifest(
        session=session,
        status=closed.status if closed else "running",
        reason=closed.reason if closed else None,
        to=closed.to if closed else None,
        attempts=reader.past.attempts,
        records=reader.last,
        bytes=sum(extent.end for extent in reader.past.extents),
        created=opened.ts,
        updated=times.decode(last).ts,  # type: ignore[attr-defined]  # the field of the struct made above
        epoch=opened.epoch,
        tags=opened.tags,
        notes=opened.notes,
        config=opened.config,
    )
