"""Check every byte of a log: headers, closes, gaps, sealed files, and that every record can be read."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from holdfast.errors import HoldfastError, StorageError
from holdfast.reading.view import check_record
from holdfast.records import BadRecord, File, kind_of
from holdfast.storage.files import Files, chunks_of, read_whole
from holdfast.storage.lines import read_head
from holdfast.storage.reader import LogReader
from holdfast.storage.recovery import Extent, Past, failing_closes, recover, sealed_meanwhile, segment_numbers, segment_path
from holdfast.storage.sealed import SealedReader
from holdfast.storage.seals import Seal, failing_pieces, find_seals, sealed_numbers, sealed_path

_decode_file = msgspec.json.Decoder(File).decode


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
    sealed = dict.fromkeys(sealed_path(folder, number) for number in sealed_numbers(files, folder))
    whole = {path for path in sealed if not _add(problems, _check_sealed_bytes(files, path))}
    for extent in past.extents:
        try:
            _add(problems, _check_extent(files, extent, whole))
        except FileNotFoundError:  # sealed meanwhile
            if (extent_now := sealed_meanwhile(files, extent)) is None:
                raise
            _add(problems, _check_sealed_bytes(files, extent_now.path))
        done += extent.end
        progress(done)
    if past.last < closed_with and not problems:
        where, end = (str(past.extents[-1].path), past.extents[-1].end) if past.extents else (str(folder), 0)
        what = f"the log ends here with record {past.last}, and it was closed with record {closed_with}"
        problems.append(Problem(where, end, what))
    torn = len(past.torn[2]) if past.torn and not problems else 0
    return LogCheck(past.last, done, len(past.extents), tuple(problems), torn)


def _add(problems: list[Problem], found: Iterator[Problem]) -> int:
    """Take in problems that are not known yet; returns how many came, known ones too."""
    count = 0
    for problem in found:
        count += 1
        if all((problem.path, problem.offset) != (known.path, known.offset) for known in problems):
            problems.append(problem)
    return count


def salvage(files: Files, folder: Path) -> Iterator[bytes]:
    """Every line of every segment file that is a whole record, in the order of the files: what a damaged log still has."""
    for number in segment_numbers(files, folder):
        for line in read_whole(files, segment_path(folder, number)).split(b"\n"):
            if line and read_head(line) is not None:
                yield line
    with_lines = set(segment_numbers(files, folder))
    for path, seal in find_seals(files, folder).seals:
        for first, last in _spans(seal, with_lines):
            yield from _salvage_sealed(SealedReader(files, path, seal), first, last)


def _spans(seal: Seal, besides: set[int]) -> Iterator[tuple[int, int]]:
    """The records of a sealed file's segments, first and last of each, besides some."""
    for part in seal.segments:
        header, _ = part.read_header()
        if header.segment not in besides and part.n >= header.first:
            yield header.first, part.n


def _salvage_sealed(reader: SealedReader, first: int, last: int) -> Iterator[bytes]:
    """What lines of a sealed file can be had, block by block."""
    try:
        for _, line in reader.read(first, last):
            yield line
            first += 1
    except StorageError:
        behind = next((block.first for block in reader.seal.blocks if block.first > first), last + 1)
        if behind <= last:
            yield from _salvage_sealed(reader, behind, last)


def _what_can_be_followed(files: Files, folder: Path, boot: str) -> Past:
    try:
        return recover(files, folder, boot, strict=False)
    except (HoldfastError, OSError):
        return Past()


def _check_sealed_bytes(files: Files, path: Path) -> Iterator[Problem]:
    try:
        for offset, what in failing_pieces(files, path):
            yield Problem(str(path), offset, what)
    except FileNotFoundError:
        return  # deleted meanwhile, or another file has taken its place
    except (HoldfastError, OSError) as error:
        yield Problem(str(path), 0, getattr(error, "reason", str(error)))


def _check_sealed_lines(files: Files, extent: Extent) -> Iterator[Problem]:
    path, n = str(extent.path), extent.header.first
    try:
        for _, line in SealedReader(files, extent.path).read(extent.header.first, extent.last):
            head = read_head(line)
            if head is None or head.n != n:
                yield Problem(path, 0, f"record {n} should stand here, and {'none' if head is None else head.n} does")
            else:
                try:
                    check_record(line)
                except BadRecord as error:
                    yield Problem(path, 0, error.reason)
            n += 1
    except HoldfastError as error:
        yield Problem(path, getattr(error, "offset", 0), getattr(error, "reason", str(error)))
        return
    if n != extent.last + 1:
        yield Problem(path, 0, f"the segment ends with record {n - 1}, and should end with {extent.last}")


def _check_extent(files: Files, extent: Extent, whole: set[Path]) -> Iterator[Problem]:
    """whole: the sealed files whose bytes are what was written; the lines of others are not looked at."""
    if extent.is_sealed:
        if extent.path in whole:
            yield from _check_sealed_lines(files, extent)
        return
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
    for offset, what in failing_closes(data, extent):
        yield Problem(path, offset, what)
    if n != extent.last + 1:
        yield Problem(path, pos, f"the segment ends with record {n - 1}, and should end with {extent.last}")


def verify_kept_files(reader: LogReader, files: Files, folder: Path) -> Iterator[Problem]:
    """What is wrong with the contents that `file` records name by their hash."""
    from hashlib import sha256  # here: it takes a while to import

    known: set[str] = set()
    for _, line in reader.read():
        if kind_of(line) != "file":
            continue
        record = _decode_file(line)
        if record.sha256 in known:
            continue
        known.add(record.sha256)
        path, content = folder / record.sha256, sha256()
        try:
            file = files.open(path)
            try:
                size = file.size()
                for chunk in chunks_of(file, size):
                    content.update(chunk)
            finally:
                file.close()
        except OSError as error:
            yield Problem(str(path), 0, f"file {record.name!r}: {error.strerror}")
            continue
        if size != record.size:
            yield Problem(str(path), min(size, record.size), f"file {record.name!r} has {size} bytes, and had {record.size}")
        elif content.hexdigest() != record.sha256:
            yield Problem(str(path), 0, f"file {record.name!r}: the bytes are not the ones that were copied (SHA-256 differs)")
