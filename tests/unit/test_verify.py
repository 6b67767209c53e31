"""reading/verify.py: what is found in a log that is being written while it is looked at."""

from pathlib import Path

import holdfast
from holdfast.reading.verify import LogCheck, verify_log
from holdfast.storage.files import File, RealFile, RealFiles
from holdfast.storage.host import boot_id


class HoledFile(RealFile):
    """Reads newlines where the middle of one line stands, as who reads a page just before its writer stores it there does."""

    def read(self, size: int, offset: int) -> bytes:
        data = super().read(size, offset)
        lines = data.split(b"\n")
        if size > 1 << 16:  # the whole segment, and not its header alone
            lines[-9] = lines[-9][:20] + b"\n" * (len(lines[-9]) - 20)
        return b"\n".join(lines)


class HoledFiles(RealFiles):
    """The first `holes` whole reads of a segment show a hole."""

    def __init__(self, holes: int) -> None:
        self.holes = holes

    def open(self, path: Path, *, write: bool = False, create: bool = False, exclusive: bool = False) -> File:
        file = super().open(path, write=write, create=create, exclusive=exclusive)
        if self.holes and file.size() > 1 << 16:
            self.holes -= 1
            return HoledFile(file._fd)  # type: ignore[attr-defined]  # a real file, and its only owner from here
        return file


def check(tmp_path: Path, holes: int) -> LogCheck:
    """Look at a log of many records, with nothing behind its last line."""
    with holdfast.session("run", root=tmp_path) as run:
        for index in range(2_000):
            run.note(f"{index}")
    return verify_log(HoledFiles(holes), tmp_path / "sessions" / "run" / "log" / "main", boot_id())


def test_a_line_that_is_being_stored_while_it_is_read_is_no_problem(tmp_path: Path) -> None:
    found = check(tmp_path, holes=4)
    assert found.problems == ()
    assert found.records == 2_002


def test_what_is_wrong_at_a_second_look_too_is_a_problem(tmp_path: Path) -> None:
    assert check(tmp_path, holes=1_000).problems
