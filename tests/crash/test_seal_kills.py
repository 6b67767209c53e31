"""Sealing is killed at the operations on files that it makes: the log is whole each time, and the next call goes on.

HOLDFAST_FULL=1 kills at every one of them, before, halfway and after.
"""

import os
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest

from holdfast.reading.digest import Digest, digest_of
from holdfast.reading.seal import seal_log
from holdfast.reading.verify import verify_log
from holdfast.storage.faulty import FailingFiles, KillingFiles
from holdfast.storage.files import RealFiles
from holdfast.storage.host import boot_id
from holdfast.storage.lines import strip_close
from holdfast.storage.seals import check_seal, find_seals
from tests.helpers.logs import line, names_in, reader_of, seal, write_log
from tests.helpers.programs import in_child, kill
from tests.helpers.quick import QuickFiles

When = Literal["before", "after", "half"]
MOST_BYTES = 2000  # of lines in a sealed file: two segments
EVERY = bool(os.environ.get("HOLDFAST_FULL"))
"""Whether to kill at all points, one after the other: minutes."""
STRIDE = 29


def a_session(folder: Path, *, repeated: int = 1) -> Path:
    """Five closed segments with records of several kinds, one of them superseded."""
    records: list[bytes] = []
    for n in range(1, 50 * repeated):
        meta = f',"meta":{{"step":{n},"source":"a"}}' if n % 7 else ',"meta":{"odd":[1]}'
        records.append(
            line("note", n, ',"text":"a \\"remark\\""')
            if n % 11 == 0
            else line("superseded", n, ',"ranges":[{"first":3,"last":5}],"reason":"r"')
            if n == 23
            else line("token", n, f',"token":"Φ×|Reactor|{n % 5}","z":0.{n}1,"tier":3{meta}')
        )
    records.append(line("closed", len(records) + 1, ',"status":"finished"'))
    size = -(-len(records) // 5)
    session = folder / "made"
    write_log(session / "log" / "main", [records[at : at + size] for at in range(0, len(records), size)])
    return session


def facts(session: Path) -> tuple[Digest, list[bytes]]:
    """What must stay: the digest and the lines, closes apart."""
    reader = reader_of(session)
    return digest_of(reader), [strip_close(kept) for _, kept in reader.read()]


def check(session: Path, expected: tuple[Digest, list[bytes]]) -> None:
    """Nothing is lost or there twice, and what has a sealed file's name is one."""
    log = session / "log" / "main"
    assert facts(session) == expected
    assert verify_log(QuickFiles(), log, boot_id()).problems == ()
    for name in names_in(session):
        if name.endswith(".parquet") and not name.startswith("."):
            check_seal(QuickFiles(), log / name)
    found = find_seals(QuickFiles(), log)
    assert found.broken == ()
    once = [segment.header for _, seal in found.seals for segment in seal.segments]
    assert len(once) == len(set(once))


def run(session: Path, files: Any) -> None:
    seal(session, files=files, most_bytes=MOST_BYTES)


def points(folder: Path) -> list[tuple[str, int, When]]:
    """Every operation of a healthy run, before, after and, for a write, halfway."""
    files = FailingFiles(QuickFiles(), operation="open", nth=0, error=0, role="/log/main")
    run(a_session(folder), files)
    return [
        (operation, nth, when)
        for operation, count in sorted(files.calls.items())
        for nth in range(1, count + 1)
        for when in (("before", "half", "after") if operation == "write" else ("before", "after"))
    ]


def test_a_kill_at_any_operation_of_sealing_loses_nothing(tmp_path: Path) -> None:
    session = a_session(tmp_path / "whole")
    expected = facts(session)
    every = points(tmp_path / "healthy")
    assert len(every) >= 300
    assert {name for name, _, _ in every} >= {
        "open",
        "read",
        "write",
        "sync",
        "rename",
        "sync_folder",
        "unlink",
        "lock",
        "names",
    }
    names: Counter[str] = Counter()
    chosen = every if EVERY else every[::STRIDE]
    for operation, nth, when in chosen:
        killed = tmp_path / f"{operation}-{nth}-{when}"
        shutil.copytree(session.parent, killed)
        files = KillingFiles(QuickFiles(), operation=operation, nth=nth, when=when, role="/log/main")
        kill(lambda killed=killed, files=files: run(killed / "made", files))  # type: ignore[misc]  # bound at once
        check(killed / "made", expected)
        names.update(Path(name).suffix for name in names_in(killed / "made"))
        run(killed / "made", QuickFiles())
        check(killed / "made", expected)
        assert {Path(name).suffix for name in names_in(killed / "made")} == {".parquet"}
        shutil.rmtree(killed)
    assert {".jsonl", ".parquet", ".tmp"} <= set(names)  # kills came early, late, and between
    places = Counter(operation for operation, _, _ in chosen)
    print(f"{places.total()} kills while sealing: " + ", ".join(f"{name} {count}" for name, count in sorted(places.items())))


@pytest.mark.parametrize("awaited", ["lines", "columns", "parquet"])
def test_a_kill_while_a_file_is_being_made_loses_nothing(tmp_path: Path, awaited: str) -> None:
    session = a_session(tmp_path, repeated=400)
    expected = facts(session)
    path = session / "log" / "main" / f".000001.{awaited}.tmp"
    child = os.fork()
    if child == 0:
        try:
            seal(session, files=RealFiles())
        finally:
            os._exit(3)
    while not path.exists():
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "it was through before it was seen"
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    check(session, expected)
    assert seal(session).files == 1
    check(session, expected)
    assert names_in(session) == ["000001.parquet"]


def test_a_killed_sealing_leaves_its_session_free(tmp_path: Path) -> None:
    session = a_session(tmp_path)
    files = KillingFiles(QuickFiles(), operation="rename", nth=1, role="/log/main")
    kill(lambda: run(session, files))
    ended = in_child(
        lambda: seal_log(RealFiles(), session / "log" / "main", session / "lock", "made", boot_id(), least_bytes=0)
    )
    assert (ended.status, ended.result.files) == (0, 1)
