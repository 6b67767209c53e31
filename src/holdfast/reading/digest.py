"""The digest of a run: equal digests mean the same run (docs/format.md, "Digest")."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.reading.view import canonical_records
from holdfast.records import canonical_bytes
from holdfast.storage.reader import LogReader

if TYPE_CHECKING:
    import hashlib

MARK_EVERY = 1024  # records of a lane


class Digest(msgspec.Struct, frozen=True):
    """The digest as hexadecimal text, and per lane its records and its own SHA-256."""

    sha256: str
    records: int
    lanes: dict[str, tuple[int, str]]


class Mark(msgspec.Struct, frozen=True):
    """A place in a lane: n of the record there, and the SHA-256 over all that came before it in the lane."""

    n: int
    before: bytes


class RunningDigest:
    """The digest of a run as its canonical records come; `add` takes them all, in order.

    marks: lane → a Mark at its first record, and at every 1,024th from there on.
    """

    def __init__(self) -> None:
        from hashlib import sha256  # here: it takes a while to import

        self._sha256 = sha256
        self._lanes: dict[str, tuple[int, hashlib._Hash]] = {}
        self.marks: dict[str, list[Mark]] = {}

    def add(self, n: int, fields: dict[str, Any]) -> None:
        """Take in the next record."""
        lane = fields.get("lane", "")
        records, running = self._lanes.get(lane) or (0, self._sha256())
        if not records % MARK_EVERY:
            self.marks.setdefault(lane, []).append(Mark(n, running.digest()))
        running.update(canonical_bytes(fields) + b"\n")
        self._lanes[lane] = (records + 1, running)

    def digest(self) -> Digest:
        """Of what came so far: SHA-256 over the lanes' SHA-256s, each over its records without volatile parts, a line each."""
        total, lanes = self._sha256(), sorted(self._lanes.items())
        for lane, (records, running) in lanes:
            total.update(f"{len(lane.encode())}:{lane}:{records}:{running.hexdigest()}\n".encode())
        found = {lane: (records, running.hexdigest()) for lane, (records, running) in lanes}
        return Digest(total.hexdigest(), sum(records for records, _ in found.values()), found)


def digest_of(reader: LogReader, progress: Callable[[int], object] = lambda n: None) -> Digest:
    """The digest of a log. `progress` is told how far it is, as a record number, every 10,000 records."""
    running = RunningDigest()
    for count, (n, fields) in enumerate(canonical_records(reader), 1):
        running.add(n, fields)
        if not count % 10_000:
            progress(n)
    return running.digest()
