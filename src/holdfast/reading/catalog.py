"""The sessions of a workspace, from their manifests; from the log itself where a manifest is missing or stale."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from holdfast.errors import HoldfastError
from holdfast.records import Closed, Opened, Resumed, decode_bookkeeping
from holdfast.storage.files import Files, read_whole
from holdfast.storage.host import boot_id
from holdfast.storage.lock import living_holder
from holdfast.storage.reader import LogReader

MANIFEST_NAME = "session.json"
_ENDED = frozenset(("finished", "interrupted", "failed", "forked"))


class _Time(msgspec.Struct):
    ts: int


class Manifest(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What a list of sessions shows. Times are microseconds since 1970.

    status: running, killed, finished, interrupted, failed, forked, or damaged.
    """

    name: str
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


def read_manifest(files: Files, folder: Path) -> Manifest | None:
    """The manifest, or None where it is missing, emptied or not one of ours: then the log tells."""
    try:
        return msgspec.json.decode(read_whole(files, folder / MANIFEST_NAME), type=Manifest)
    except (OSError, ValueError, msgspec.DecodeError):
        return None


def closed_with(files: Files, folder: Path) -> int:
    """The last record that was synced when the session was closed, by its manifest; 0 where it was not closed."""
    manifest = read_manifest(files, folder)
    return manifest.records if manifest is not None and manifest.status in _ENDED else 0


def rebuild_manifest(reader: LogReader, session: str) -> Manifest | None:
    """What the log itself says; None where nothing was recorded."""
    if not reader.last:
        return None
    first, last = reader.find(1), reader.find(reader.last)
    opened = decode_bookkeeping(first)
    ended = decode_bookkeeping(last) if last.startswith(b'{"kind":"closed"') else None
    closed = ended if isinstance(ended, Closed) else None
    assert isinstance(opened, Opened)
    return Manifest(
        name=session,
        status=closed.status if closed else "running",
        reason=closed.reason if closed else None,
        to=closed.to if closed else None,
        attempts=reader.past.attempts,
        records=reader.last,
        bytes=sum(extent.end for extent in reader.past.extents),
        created=opened.ts,
        updated=msgspec.json.decode(last, type=_Time).ts,
        epoch=next((start.epoch for start in attempt_starts(reader)), None),
        tags=opened.tags,
        notes=opened.notes,
        config=config_of(reader),
    )


def attempt_starts(reader: LogReader) -> Iterator[Opened | Resumed]:
    """The record that began each attempt of a program, newest first. Costs a look a segment."""
    for extent in reversed(reader.past.extents):
        if extent.last >= extent.header.first:
            line = reader.find(extent.header.first)
            if line.startswith(
                (b'{"kind":"opened"', b'{"kind":"resumed"')
            ):  # another one stands first in a segment that rolled
                yield decode_bookkeeping(line)


def config_of(reader: LogReader) -> Any:
    """The settings that the last attempt ran with; None where there are none."""
    return next((start.config for start in attempt_starts(reader) if start.config is not None), None)


def provenance_of(reader: LogReader) -> dict[str, Any]:
    """The `info` of the record that began the last attempt of a program; empty where there is none."""
    return next((start.info or {} for start in attempt_starts(reader)), {})


def list_sessions(files: Files, root: Path) -> list[Manifest]:
    """Every session in which something was recorded, newest first. One whose log cannot be read has the status "damaged"."""
    # A name with a dot in front is what is left of a deletion that was killed.
    names = [name for name in files.names(root / "sessions") if not name.startswith(".")]
    found = [describe_session(files, root, name) for name in names]
    return sorted((manifest for manifest in found if manifest is not None), key=lambda entry: entry.created, reverse=True)


def describe_session(files: Files, root: Path, name: str) -> Manifest | None:
    """A session's manifest; None where nothing was recorded. A process that is gone without closing has the status "killed"."""
    folder = root / "sessions" / name
    log = folder / "log" / "main"
    manifest = read_manifest(files, folder)
    if manifest is not None and manifest.status in _ENDED and living_holder(files, folder / "lock") is None:
        return msgspec.structs.replace(manifest, name=name)
    try:
        rebuilt = rebuild_manifest(LogReader(files, log, boot_id()), name)
    except (HoldfastError, OSError) as error:
        return Manifest(name=name, status="damaged", reason=str(error), attempts=0, records=0, bytes=0, created=0, updated=0)
    if rebuilt is None:
        return None
    if living_holder(files, folder / "lock") is not None:
        rebuilt.status, rebuilt.reason = "running", None
    elif rebuilt.status not in _ENDED:
        rebuilt.status = "killed"
    return rebuilt
