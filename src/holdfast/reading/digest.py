"""The digest of a run: equal digests mean the same run (docs/format.md, "Digest")."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from holdfast.reading.view import canonical_records
from holdfast.records import canonical_bytes
from holdfast.storage.reader import LogReader

if TYPE_CHECKING:
    import hashlib


class Digest(msgspec.Struct, frozen=True):
    """The digest as hexadecimal text, and per lane its records and its own SHA-256."""

    sha256: str
    records: int
    lanes: dict[str, tuple[int, str]]


def digest_of(reader: LogReader, progress: Callable[[int], object] = lambda n: None) -> Digest:
    """SHA-256 over the lanes' SHA-256s, each over its canonical records without their volatile parts, a line each.

    `progress` is told how far it is, as a record number, every 10,000 records.
    """
    from hashlib import sha256  # here: it takes a while to import

    lanes: dict[str, tuple[int, hashlib._Hash]] = {}
    count = 0
    for n, fields in canonical_records(reader):
        lane = fields.get("lane", "")
        records, running = lanes.get(lane) or (0, sha256())
        running.update(canonical_bytes(fields) + b"\n")
        lanes[lane] = (records + 1, running)
        count += 1
        if not count % 10_000:
            progress(n)
    total = sha256()
    for lane, (records, running) in sorted(lanes.items()):
        total.update(f"{len(lane.encode())}:{lane}:{records}:{running.hexdigest()}\n".encode())
    found = {lane: (records, running.hexdigest()) for lane, (records, running) in sorted(lanes.items())}
    return Digest(total.hexdigest(), count, found)
