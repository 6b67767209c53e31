"""What a log is made of: records and bytes by kind."""

import msgspec

from holdfast.records import kind_of
from holdfast.storage.reader import LogReader


class KindStatistics(msgspec.Struct, frozen=True):
    """Records of one kind, and the bytes their lines take."""

    kind: str
    records: int
    bytes: int


def statistics_of(reader: LogReader) -> list[KindStatistics]:
    """Every kind in a log, the largest first; lines with their newlines and closes."""
    counts: dict[str, tuple[int, int]] = {}
    for _, line in reader.read():
        kind = kind_of(line)
        records, size = counts.get(kind, (0, 0))
        counts[kind] = records + 1, size + len(line) + 1
    found = [KindStatistics(kind, records, size) for kind, (records, size) in counts.items()]
    return sorted(found, key=lambda entry: entry.bytes, reverse=True)
