"""The sessions of a workspace, from their manifests; from the log itself where a manifest is missing or stale."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from holdfast.errors import HoldfastError, StorageError
from holdfast.reading.locate import located
from holdfast.records import UNREADABLE, BadRecord, Closed, Opened, Resumed, decode_bookkeeping
from holdfast.storage.files import Files, read_whole
from holdfast.storage.host import boot_id
from holdfast.storage.lines import read_head
from holdfast.storage.lock import living_holder
from holdfast.storage.reader import LogReader
from holdfast.storage.recovery import has_segments, segment_numbers, segment_path
from holdfast.storage.seals import read_seal, sealed_numbers, sealed_path

MANIFEST_NAME = "session.json"
NO_SEGMENT = "no segment of the log is left"
_END_BYTES = 64 << 10
_ENDED = frozenset(("finished", "interrupted", "failed", "forked"))


class _Time(msgspec.Struct):
    ts: int


def time_of(line: bytes) -> int:
    """When a line's record was made. Raises BadRecord."""
    try:
        return msgspec.json.decode(line, type=_Time).ts
    except UNREADABLE as error:
        raise BadRecord(line, str(error)) from None


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


def had_records(files: Files, folder: Path) -> bool:
    """Whether something was recorded in a session's folder, by its log, or by its manifest where the log is gone."""
    manifest = read_manifest(files, folder)
    return has_segments(files, folder / "log" / "main") or (manifest is not None and manifest.records > 0)


def _reaches(files: Files, log: Path, n: int) -> bool:
    """Whether the log's last line is record n or a later one. Costs one look at the end of its last file; False is no proof."""
    try:
        numbers, sealed = segment_numbers(files, log), sealed_numbers(files, log)
        if sealed and (not numbers or numbers[-1] < sealed[-1]):
            return read_seal(files, sealed_path(log, sealed[-1])).last >= n
        file = files.open(segment_path(log, numbers[-1] if numbers else 0))
        try:
            size = file.size()
            end = file.read(min(size, _END_BYTES), max(0, size - _END_BYTES))
        finally:
            file.close()
    except (OSError, StorageError):
        return False
    head = read_head(end.rstrip(b"\n\0").rpartition(b"\n")[2])
    return head is not None and head.n >= n


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
        updated=time_of(last),
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
            # Another one stands first in a segment that rolled.
            record = decode_bookkeeping(line) if line.startswith((b'{"kind":"opened"', b'{"kind":"resumed"')) else None
            if isinstance(record, Opened | Resumed):
                yield record


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
    is_held = living_holder(files, folder / "lock") is not None
    closed_with = manifest.records if manifest is not None and manifest.status in _ENDED and not is_held else 0
    if manifest is not None and closed_with and _reaches(files, log, closed_with):
        return msgspec.structs.replace(manifest, name=name)
    known = manifest or Manifest(name=name, status="", attempts=0, records=0, bytes=0, created=0, updated=0)
    try:
        with located(files, log):
            rebuilt = rebuild_manifest(LogReader(files, log, boot_id()), name)
        is_gone = known.records > 0 and not is_held and not has_segments(files, log)
    except (HoldfastError, OSError) as error:
        return msgspec.structs.replace(known, name=name, status="damaged", reason=str(error))
    ends = rebuilt.records if rebuilt is not None else 0
    if is_gone or ends < closed_with:
        reason = NO_SEGMENT if is_gone else f"the log ends with record {ends}, and it was closed with record {closed_with}"
        return msgspec.structs.replace(known, name=name, status="damaged", reason=reason)
    if rebuilt is None:
        return None
    if is_held:
        rebuilt.status, rebuilt.reason = "running", None
    elif rebuilt.status not in _ENDED:
        rebuilt.status = "killed"
    return rebuilt
