"""What a log is made of: records and bytes by kind."""

import msgspec

from holdfast.records import kind_of
from holdfast.storage.reader import LogReader


class KindStatistics(msgspec.Struct, frozen=True):
    """Records of one kind, and the bytes their lines take, or took before they were sealed. sealed: how many of them are."""

    kind: str
    records: int
    bytes: int
    sealed: int = 0


def statistics_of(reader: LogReader) -> list[KindStatistics]:
    """Every kind in a log, the largest first; lines with their newlines and closes."""
    counts: dict[str, tuple[int, int, int]] = {}
    for extent in reader.past.extents:
        is_sealed = extent.path.suffix != ".jsonl"
        for _, line in reader.read(extent.header.first, extent.last):
            kind = kind_of(line)
            records, size, sealed = counts.get(kind, (0, 0, 0))
            counts[kind] = records + 1, size + len(line) + 1, sealed + is_sealed
    found = [KindStatistics(kind, *facts) for kind, facts in counts.items()]
    return sorted(found, key=lambda entry: entry.bytes, reverse=True)
