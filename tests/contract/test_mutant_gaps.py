"""Promises that only a very particular bug breaks (tests/mutants.py plants it)."""

import errno
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from holdfast.errors import Corrupted, DiskFull
from holdfast.records import Note, Record
from holdfast.sessions.opening import start
from holdfast.storage.faulty import FailingFiles
from holdfast.storage.files import RealFiles
from holdfast.storage.host import boot_id
from holdfast.storage.log import LogWriter
from holdfast.storage.reader import LogReader
from holdfast.storage.recovery import Past, recover

REAL = RealFiles()


def writer(folder: Path, durability: str = "process") -> LogWriter:
    past: Past = recover(REAL, folder, boot_id())
    return LogWriter(
        REAL,
        folder,
        past,
        session="s",
        attempt=past.attempts + 1,
        boot=boot_id(),
        durability=durability,
        use_map=True,
    )


def numbers_and_lines(folder: Path) -> list[tuple[int, bytes]]:
    return list(LogReader(REAL, folder, boot_id(), recover(REAL, folder, boot_id())).read())


class Interrupt:
    """Raises KeyboardInterrupt where the kth line of LogWriter.append begins. `hit` tells whether there were so many."""

    def __init__(self, k: int) -> None:
        self._left, self.hit = k, False

    def append(self, log: LogWriter, record: Record) -> None:
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            log.append(record)
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, event: str, argument: object) -> Any:
        return self._look if frame.f_code is LogWriter.append.__code__ else None

    def _look(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            self._left -= 1
            if self._left == 0:
                self.hit = True
                raise KeyboardInterrupt
        return self._look


@pytest.mark.parametrize("before", [14, 62, 70])  # the next one brings the crc up to date, closes the chain, or neither
def test_an_interrupt_at_any_line_of_an_append_leaves_neither_gap_nor_half_record(tmp_path: Path, before: int) -> None:
    for k in range(1, 100):
        folder = tmp_path / str(k)
        log = writer(folder)
        for number in range(before):
            log.append(Note(ts=1, text=f"before {number}"))
        interrupt = Interrupt(k)
        interrupt.append(log, Note(ts=1, text="interrupted"))
        n = log.settle()[0]
        assert n in (before, before + 1)
        log.append(Note(ts=1, text="after"))
        log.release()
        found = numbers_and_lines(folder)
        assert [number for number, _ in found] == list(range(1, n + 2))
        assert b'"after"' in found[-1][1]
        if not interrupt.hit:
            break
    assert k > 10


def test_a_group_that_a_kill_tore_counts_not_at_all(tmp_path: Path) -> None:
    log = writer(tmp_path)
    log.append(Note(ts=1, text="alone"))
    log.append_group([Note(ts=1, text=text) for text in ("first", "second", "third")])
    log.release()
    path = tmp_path / "000001.jsonl"
    whole = path.read_bytes().rstrip(b"\n") + b"\n"
    start = whole.index(b'{"kind":"note","n":2')
    for end in range(start, len(whole), 7):
        path.write_bytes(whole[:end])  # a write leaves a part from the front
        assert [n for n, _ in numbers_and_lines(tmp_path)] == [1], f"after {end - start} bytes of the group"
    path.write_bytes(whole)
    assert [n for n, _ in numbers_and_lines(tmp_path)] == [1, 2, 3, 4]


@pytest.mark.parametrize("mode", ["batch", "checkpoint"])
def test_a_flush_on_a_full_disk_raises_until_there_is_space(tmp_path: Path, mode: Any) -> None:
    files = FailingFiles(REAL, operation="write", nth=0, error=errno.ENOSPC, repeat=True, role=".jsonl")
    run = start("s", root=tmp_path, files=files, save_mode=mode)
    run.note("first")
    run.flush()
    run.note("x" * 200_000)  # more than there is space taken for
    files._nth = files.calls["write"] + 1
    for _ in range(2):
        with pytest.raises(DiskFull):
            run.flush()
    assert run.watermarks().flushed < run.watermarks().accepted
    files._nth = 0
    run.flush()
    assert run.watermarks().flushed == run.watermarks().accepted
    run.close()
    texts = [line[:80] for _, line in numbers_and_lines(tmp_path / "sessions" / "s" / "log" / "main") if b'"note"' in line]
    assert [b'"first"' in text for text in texts] == [True, False]


def test_a_damaged_record_is_no_tear_where_others_follow(tmp_path: Path) -> None:
    log = writer(tmp_path)
    for number in range(40):  # too few for a close
        log.append(Note(ts=1, text=f"note {number}"))
    log.release()
    path = tmp_path / "000001.jsonl"
    whole = path.read_bytes()
    start = whole.index(b'{"kind":"note","n":20')
    path.write_bytes(whole[:start] + b"\0" + whole[start + 1 :])
    with pytest.raises(Corrupted) as refused:
        recover(REAL, tmp_path, boot_id())
    assert (refused.value.path, refused.value.offset) == (path, start)
    last = whole.index(b'{"kind":"note","n":40')
    path.write_bytes(whole[:last] + b"\0" + whole[last + 1 :])  # nothing follows: a kill can leave that
    assert [n for n, _ in numbers_and_lines(tmp_path)] == list(range(1, 40))
