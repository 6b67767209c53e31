"""What a log is made of: records and bytes by kind, as lines and sealed."""

import msgspec

from holdfast.records import kind_of
from holdfast.storage.reader import LogReader
from holdfast.storage.sealed import SHARED_COLUMNS, SealedReader


class KindStatistics(msgspec.Struct, frozen=True):
    """Records of one kind, and the bytes of their lines.

    Of these sealed_records are sealed: sealed_line_bytes of lines take sealed_bytes in the sealed files, by the sizes of the
    columns that hold them. A column of many kinds is shared out by the lines that stand in it, or by the number of records.
    """

    kind: str
    records: int
    bytes: int
    sealed_records: int = 0
    sealed_line_bytes: int = 0
    sealed_bytes: int = 0

    @property
    def live_records(self) -> int:
        """Those that stand as lines."""
        return self.records - self.sealed_records

    @property
    def stored_bytes(self) -> int:
        """What all of them take on the disk."""
        return self.bytes - self.sealed_line_bytes + self.sealed_bytes


def statistics_of(reader: LogReader) -> list[KindStatistics]:
    """Every kind in a log, the largest first; lines with their newlines, and with closes where they are not sealed."""
    counts: dict[str, list[float]] = {}
    for extent in reader.past.extents:
        for _, line in reader.read(extent.header.first, extent.last):
            entry = counts.setdefault(kind_of(line), [0, 0, 0, 0, 0])
            entry[0] += 1
            entry[1] += len(line) + 1
            if extent.is_sealed:
                entry[2] += 1
                entry[3] += len(line) + 1
    for path in dict.fromkeys(extent.path for extent in reader.past.extents if extent.is_sealed):
        for kind, size in _shares_of(reader.sealed(path)).items():
            if kind in counts:
                counts[kind][4] += size
    found = [KindStatistics(kind, *map(round, entry)) for kind, entry in counts.items()]
    return sorted(found, key=lambda entry: entry.bytes, reverse=True)


def _shares_of(reader: SealedReader) -> dict[str, float]:
    """What each kind takes of a sealed file."""
    columns, kinds = reader.column_bytes(), reader.kinds()
    of_lines = columns.pop("line", 0)
    of_tokens = sum(size for name, size in columns.items() if name not in SHARED_COLUMNS)
    rest = reader.file_bytes - of_lines - of_tokens
    all_rows, all_lines = sum(kind.rows for kind in kinds), sum(kind.line_bytes for kind in kinds) or 1
    return {
        kind.name: of_lines * kind.line_bytes / all_lines
        + rest * kind.rows / all_rows
        + (of_tokens if kind.name == "token" else 0)
        for kind in kinds
    }
