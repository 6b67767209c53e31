"""The canonical view of a log: the run itself, without bookkeeping and superseded records."""

from collections.abc import Iterator
from typing import Any

import msgspec

from holdfast.records import CANONICAL_KINDS, Superseded, decode_bookkeeping
from holdfast.storage.reader import LogReader


class _Place(msgspec.Struct):
    kind: str
    lane: str | None = None
    top: bool = False


_place_of = msgspec.json.Decoder(_Place).decode
_fields_of = msgspec.json.Decoder(dict[str, Any]).decode


def superseded_records(reader: LogReader, first: int = 1) -> list[Superseded]:
    """All `superseded` records from number `first` on."""
    found = []
    for _, line in reader.read(first):
        if line.startswith(b'{"kind":"superseded"'):
            record = decode_bookkeeping(line)
            assert isinstance(record, Superseded)
            found.append(record)
    return found


def canonical_records(reader: LogReader, first: int = 1) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and decoded line of the canonical records from number `first` on, in the order of the log.

    User values are still encoded (holdfast.codec.decode gives them back).
    """
    superseded = superseded_records(reader, first)
    for n, line in reader.read(first):
        place = _place_of(line)
        if place.kind in CANONICAL_KINDS and not is_superseded(n, place.lane or "", place.top, superseded):
            yield n, _fields_of(line)


def all_records(reader: LogReader, first: int = 1) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and decoded line of every record, bookkeeping too; superseded ones have "superseded": true."""
    superseded = superseded_records(reader, first)
    for n, line in reader.read(first):
        fields = _fields_of(line)
        if fields["kind"] in CANONICAL_KINDS and is_superseded(n, fields.get("lane", ""), fields.get("top", False), superseded):
            fields["superseded"] = True
        yield n, fields


def is_superseded(n: int, lane: str, top: bool, superseded: list[Superseded]) -> bool:
    """Whether one of the superseded records behind n takes it back."""
    return any(record.n > n and span.covers(n, lane, top) for record in superseded for span in record.ranges)
