"""Where a line stands that turns out to be no record."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.errors import Corrupted
from holdfast.records import BadRecord
from holdfast.storage.files import Files, read_errors, read_whole
from holdfast.storage.lines import read_head
from holdfast.storage.recovery import segment_numbers, segment_path
from holdfast.storage.seals import find_seals


@contextmanager
def located(files: Files, folder: Path) -> Iterator[None]:
    """Have what is raised inside for a line of the log in `folder` name the file and the byte."""
    try:
        yield
    except BadRecord as error:
        raise Corrupted(*_find(files, folder, error.line), error.reason) from None


def _find(files: Files, folder: Path, line: bytes) -> tuple[Path, int]:
    """The file and the offset of a record's line."""
    with read_errors(folder):
        for number in segment_numbers(files, folder):
            path = segment_path(folder, number)
            at = read_whole(files, path).find(b"\n%b\n" % line)  # no record stands first: a header does
            if at >= 0:
                return path, at + 1
        head = read_head(line)
        for path, seal in find_seals(files, folder).seals:
            if head is not None and seal.first <= head.n <= seal.last:
                return path, 0
    return folder, 0
