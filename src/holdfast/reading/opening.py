"""Open a session's log for reading: one that was closed costs a look at each segment's ends, not a pass over the last one."""

from pathlib import Path

from holdfast.errors import NewerFormat, StorageError
from holdfast.reading.catalog import closed_with
from holdfast.storage.files import Files
from holdfast.storage.lines import CLOSE_BYTES, FORMAT_VERSION, Header, NotAHeader, UnknownVersion, read_head, read_header
from holdfast.storage.reader import LogReader
from holdfast.storage.recovery import Extent, Past, segment_numbers, segment_path

_HEADER_BYTES = _END_BYTES = 64 << 10


def open_log(files: Files, folder: Path, boot: str, known: LogReader | None = None) -> LogReader:
    """The log of the session in `folder`. What is wrong with one that was closed shows when it is read, not before.

    known: a reader of this log, which is refreshed where the session is still going, and handed back.
    """
    log = folder / "log" / "main"
    records = closed_with(files, folder)
    past = _closed_past(files, log, records) if records else None
    if known is not None and past is None:
        known.refresh()
        return known
    return LogReader(files, log, boot, past)


def _closed_past(files: Files, log: Path, records: int) -> Past | None:
    """What counts of a log that was closed with so many records, all of them synced: its last file ends with the last of them.

    None where that is not quite so: recovery finds out.
    """
    try:
        numbers = segment_numbers(files, log)
        if len(numbers) != len([name for name in files.names(log) if name[:1].isdigit() and ".torn-" not in name]):
            return None  # sealed ones too
        extents: list[Extent] = []
        following: Header | None = None
        for number in reversed(numbers):
            if following is not None and (following.prev is None or following.prev.segment != number):
                continue  # abandoned
            extent = _extent_of(files, segment_path(log, number), following, records)
            if extent is None:
                return None
            extents.append(extent)
            following = extent.header
    except (OSError, NotAHeader, StorageError):
        return None
    if following is None or following.prev is not None:
        return None
    return Past(tuple(reversed(extents)), highest_segment=numbers[-1])


def _extent_of(files: Files, path: Path, following: Header | None, records: int) -> Extent | None:
    file = files.open(path)
    try:
        try:
            header, start, _ = read_header(file.read(_HEADER_BYTES, 0))
        except UnknownVersion as error:
            raise NewerFormat(path, error.args[0], FORMAT_VERSION) from None
        size = file.size()
        if following is not None:
            prev = following.prev
            if prev is None or size < prev.length or following.first != prev.n + 1:
                return None
            return Extent(path, header, start, prev.length, prev.n, int(prev.crc, 16))
        end = file.read(min(size, _END_BYTES), max(0, size - _END_BYTES))
    finally:
        file.close()
    line = end.rpartition(b"\n")[0].rpartition(b"\n")[2]
    head = read_head(line)
    if not end.endswith(b'"}\n') or head is None or head.n != records or head.kind != "closed":
        return None
    return Extent(path, header, start, size, records, int(line[-CLOSE_BYTES:][8:16], 16))
