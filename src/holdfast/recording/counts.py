"""How much an attempt has recorded: records and bytes, by kind."""

from collections.abc import Sequence

from holdfast.records import Record, Token
from holdfast.storage.log import LogWriter


class Counts:
    """Counts all records but the short ways' tokens: those have what the others leave of the log.

    first: n before this attempt's first record in the log, once that is there. file_bytes: of files beside the log, added by
    this attempt, less what it removed.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self.file_bytes = 0
        self._kinds: dict[str, list[int]] = {}
        self._left_bytes = 0  # of the log before a fork

    def add(self, record: Record, size: int, count: int = 1) -> str:
        """Count a record of so many bytes; returns its kind."""
        kind = str(type(record).__struct_config__.tag)
        counted = self._kinds.setdefault(kind, [0, 0])
        counted[0] += count
        counted[1] += size
        return kind

    def add_lines(self, records: Sequence[Record], lines: Sequence[bytes], total: int | None, count: int = 1) -> None:
        """Count records by the lines they became, the close with the last one. total: bytes of all lines and that close; None
        where the close is not theirs. count: 0 for records that are counted already, and only their bytes are not."""
        sizes = [len(line) + 1 for line in lines]
        if total is not None:
            sizes[-1] += total - sum(sizes)
        for record, size in zip(records, sizes, strict=True):
            if count or type(record) is not Token:
                self.add(record, size, count)

    def go_on_behind(self, left: LogWriter, n: int) -> None:
        """From now on it is another log that is counted, behind its record n."""
        self._left_bytes += left.bytes_appended
        self.first = n
        self._kinds.clear()

    def short_count(self, log: LogWriter, waiting: int) -> int:
        """Tokens that took the short way. waiting: records in the buffer."""
        others = sum(count for count, _ in list(self._kinds.values()))
        return 0 if self.first is None else max(0, log.n - self.first - others - log.marks + waiting)

    def by_kind(self, log: LogWriter, waiting: int) -> tuple[dict[str, int], dict[str, int]]:
        """Records and bytes of this attempt by kind, matched ones left out; "segment" is the headers' bytes."""
        counted = list(self._kinds.items())
        records = {kind: count for kind, (count, _) in counted}
        sizes = {kind: size for kind, (_, size) in counted}
        if self.first is not None:
            records["token"] = records.get("token", 0) + self.short_count(log, waiting)
            records["flushed"], sizes["flushed"], sizes["segment"] = log.marks, log.mark_bytes, log.header_bytes
            for kind, dropped in list(log.closes_dropped.items()):
                sizes[kind] = sizes.get(kind, 0) - dropped
            sizes["token"] = 0
            sizes["token"] = max(0, log.bytes_appended - sum(sizes.values()))
        return {kind: count for kind, count in records.items() if count}, {kind: size for kind, size in sizes.items() if size}

    def bytes_taken(self, log: LogWriter) -> int:
        """Bytes that this attempt has taken of the disk: the log's, and those of other files."""
        return self._left_bytes + log.bytes_appended + self.file_bytes
