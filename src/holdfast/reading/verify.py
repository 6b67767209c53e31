"""Check every byte of a log: headers, closes, gaps, and that every record can be read."""

import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from holdfast.errors import HoldfastError
from holdfast.reading.view import check_record
from holdfast.records import BadRecord
from holdfast.storage.files import Files, read_whole
from holdfast.storage.lines import read_closes, read_head
from holdfast.storage.recovery import Extent, Past, recover, segment_numbers, segment_path


class Problem(msgspec.Struct, frozen=True):
    """Something that is not as it was written: where, from which byte, and what. checkpoint: its number, where the file is one
    of a checkpoint's and the log is whole without it."""

    path: str
    offset: int
    what: str
    checkpoint: int | None = None


class LogCheck(msgspec.Struct, frozen=True):
    """What checking a log found. torn: bytes behind its end that a kill left, which is no problem."""

    records: int
    bytes: int
    segments: int
    problems: tuple[Problem, ...]
    torn: int


def verify_log(
    files: Files, folder: Path, boot: str, progress: Callable[[int], object] = lambda done: None, *, closed_with: int = 0
) -> LogCheck:
    """Check every byte of the log that counts. Never raises for what it finds; `progress` is told the bytes done.

    closed_with: the last record of which a clean close, that came after its sync, said elsewhere that it is there. What is
    wrong is looked at twice: reading a line while its writer stores it can show a hole with whole lines behind it.
    """
    found = _look(files, folder, boot, progress, closed_with)
    if not found.problems:
        return found
    again = _look(files, folder, boot, lambda done: None, closed_with)
    return msgspec.structs.replace(again, problems=tuple(problem for problem in again.problems if problem in found.problems))


def _look(files: Files, folder: Path, boot: str, progress: Callable[[int], object], closed_with: int) -> LogCheck:
    try:
        past = recover(files, folder, boot, strict=True)
    except (HoldfastError, OSError) as error:
        offset = getattr(error, "offset", 0)
        where = getattr(error, "path", folder)
        problems = [Problem(str(where), offset, getattr(error, "reason", str(error)))]
        past = _what_can_be_followed(files, folder, boot)
    else:
        problems = []
    done = 0
    for index, extent in enumerate(past.extents):
        after = past.extents[index + 1] if index + 1 < len(past.extents) else None
        for problem in _check_extent(files, extent, after):
            if all((problem.path, problem.offset) != (known.path, known.offset) for known in problems):
                problems.append(problem)
        done += extent.end
        progress(done)
    if past.last < closed_with and not problems:
        where, end = (str(past.extents[-1].path), past.extents[-1].end) if past.extents else (str(folder), 0)
        what = f"the log ends here with record {past.last}, and it was closed with record {closed_with}"
        problems.append(Problem(where, end, what))
    torn = len(past.torn[2]) if past.torn and not problems else 0
    return LogCheck(past.last, done, len(past.extents), tuple(problems), torn)


def salvage(files: Files, folder: Path) -> Iterator[bytes]:
    """Every line of every segment file that is a whole record, in the order of the files: what a damaged log still has."""
    for number in segment_numbers(files, folder):
        for line in read_whole(files, segment_path(folder, number)).split(b"\n"):
            if line and read_head(line) is not None:
                yield line


def _what_can_be_followed(files: Files, folder: Path, boot: str) -> Past:
    try:
        return recover(files, folder, boot, strict=False)
    except (HoldfastError, OSError):
        return Past()


def _check_extent(files: Files, extent: Extent, after: Extent | None) -> Iterator[Problem]:
    path = str(extent.path)
    data = read_whole(files, extent.path)[: extent.end]
    if len(data) < extent.end:
        yield Problem(path, len(data), f"the file ends here, and {extent.end} bytes of it count")
        return
    n = extent.header.first
    pos = extent.start
    for line in data[extent.start :].split(b"\n")[:-1]:
        head = read_head(line)
        if head is None:
            yield Problem(path, pos, f"no whole record stands where record {n} should")
        elif head.n != n:
            yield Problem(path, pos, f"record {n} should stand here, and record {head.n} does")
        else:
            try:
                check_record(line)
            except BadRecord as error:
                yield Problem(path, pos, error.reason)
        n += 1
        pos += len(line) + 1
    pos, crc = extent.start, _header_crc(data, extent)
    for close in read_closes(data, extent.start, crc):
        if not close.good:
            yield Problem(path, pos, f"the bytes from here to {close.end} do not match their close")
        pos, crc = close.end, close.crc
    if after is not None and after.header.prev is not None and after.header.prev.segment == extent.header.segment:
        told = int(after.header.prev.crc, 16)
        if zlib.crc32(data[pos:], crc) != told:
            yield Problem(
                path, pos, f"the bytes from here to {extent.end} do not match what segment {after.header.segment} says"
            )
    if n != extent.last + 1:
        yield Problem(path, pos, f"the segment ends with record {n - 1}, and should end with {extent.last}")


def _header_crc(data: bytes, extent: Extent) -> int:
    found = re.search(rb'"crc":"([0-9a-f]{8})"\}\n\Z', data[: extent.start])
    return int(found[1], 16) if found else 0
