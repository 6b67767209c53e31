"""The canonical view of a log: the run itself, without bookkeeping and superseded records."""

from collections.abc import Iterator
from typing import Any

import msgspec

from holdfast.records import CANONICAL_KINDS, UNREADABLE, BadRecord, Superseded, decode_bookkeeping
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
        try:
            place = _place_of(line)
            if place.kind not in CANONICAL_KINDS or is_superseded(n, place.lane or "", place.top, superseded):
                continue
            fields = _fields_of(line)
        except UNREADABLE as error:
            raise BadRecord(line, str(error)) from None
        yield n, fields


def all_records(reader: LogReader, first: int = 1) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and decoded line of every record, bookkeeping too; superseded ones have "superseded": true."""
    superseded = superseded_records(reader, first)
    for n, line in reader.read(first):
        try:
            place, fields = _place_of(line), _fields_of(line)
        except UNREADABLE as error:
            raise BadRecord(line, str(error)) from None
        if place.kind in CANONICAL_KINDS and is_superseded(n, place.lane or "", place.top, superseded):
            fields["superseded"] = True
        yield n, fields


def check_record(line: bytes) -> None:
    """Raise BadRecord where a line cannot be read by what reads logs."""
    try:
        place = _place_of(line)
    except UNREADABLE as error:
        raise BadRecord(line, str(error)) from None
    if place.kind not in CANONICAL_KINDS:
        decode_bookkeeping(line)


def is_superseded(n: int, lane: str, top: bool, superseded: list[Superseded]) -> bool:
    """Whether one of the superseded records behind n takes it back."""
    return any(record.n > n and span.covers(n, lane, top) for record in superseded for span in record.ranges)
