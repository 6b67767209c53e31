"""Kills and failures while the index is made: nothing half stands under a final name, and search still is a scan."""

import errno
import os
import shutil
from pathlib import Path
from typing import Literal

import pytest

import holdfast
from holdfast.reading.filters import Filter
from holdfast.reading.hits import Hits
from holdfast.reading.index import session as indexing
from holdfast.reading.index.store import read_piece
from holdfast.reading.patterns import compile_pattern
from holdfast.reading.search import Searcher
from holdfast.storage.faulty import FailingFiles, KillingFiles
from holdfast.storage.files import Files, RealFiles
from tests.helpers.programs import in_child
from tests.helpers.quick import QuickFiles
from tests.helpers.search_oracle import finds

PATTERN = "Φ×|*|celestial"
WORDS = ["Φ×|M|celestial_em", "Φ×|M|bio_x", "e+|N|celestial", "Φ×|N|celestial"]
EVERY = 1 if os.environ.get("HOLDFAST_FULL") else 3
MORE = 40
WhenKilled = Literal["before", "after", "half"]
OPERATIONS: list[tuple[str, WhenKilled]] = [
    *(
        (operation, when)
        for operation in ("open", "rename", "unlink", "write", "sync", "sync_folder")
        for when in ("before", "after")
    ),
    ("write", "half"),
    ("mkdir", "before"),
    ("mkdir", "after"),
    ("names", "before"),
    ("map", "before"),
    ("read", "before"),
    ("truncate", "after"),
]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two sessions; of the first one a part is in the index, and some records came since."""
    monkeypatch.setattr(indexing, "WRITTEN_FROM", 10)
    for name in ("one", "two"):
        record(tmp_path, name, MORE)
    search(QuickFiles(), tmp_path)
    shutil.rmtree(tmp_path / "index" / "two")
    record(tmp_path, "one", 2 * MORE)
    return tmp_path


def record(root: Path, name: str, count: int) -> None:
    with holdfast.session(name, root=root, files=QuickFiles(), extend=True) as run:
        for step in run.loop(count):
            run.token(WORDS[step % len(WORDS)], z=0.5)


def search(files: Files, root: Path, pattern: str = PATTERN) -> Hits:
    wanted = Filter()
    return Searcher(files, root).search(["one", "two"], compile_pattern(pattern), wanted, [], strict=True)


def scan(root: Path, pattern: str = PATTERN) -> list[tuple[str, int]]:
    workspace = holdfast.Workspace(root)
    return [
        (name, record["n"])
        for name in ("one", "two")
        for record in workspace.records(name)
        if record["kind"] == "token" and finds(pattern, record["token"])
    ]


def places(hits: Hits) -> list[tuple[str, int]]:
    return sorted((hit.session, hit.n) for hit in hits)


def assert_whole(root: Path) -> None:
    """Every piece that has its name can be read, and search is a scan, twice: with what is there, and once that was mended."""
    for path in root.glob("index/*/*.tokens"):
        read_piece(RealFiles(), path)
    for _ in range(2):
        hits = search(QuickFiles(), root)
        assert places(hits) == scan(root)
        assert hits.notices == ()
    assert list(root.glob("index/*/.*.tmp")) == []


@pytest.mark.parametrize(("operation", "when"), OPERATIONS)
def test_search_is_a_scan_after_a_kill_in_any_operation(root: Path, tmp_path: Path, operation: str, when: WhenKilled) -> None:
    before = tmp_path / "before"
    shutil.copytree(root / "index", before)

    def attempt(nth: int) -> KillingFiles:
        shutil.rmtree(root / "index")
        shutil.copytree(before, root / "index")
        return KillingFiles(QuickFiles(), operation=operation, nth=nth, when=when)

    healthy = attempt(0)
    search(healthy, root)
    assert healthy.seen > 0
    for nth in range(1, healthy.seen + 1, EVERY):
        files = attempt(nth)
        assert in_child(lambda files=files: search(files, root)).status == -9  # type: ignore[misc]
        assert_whole(root)
    print(f"{len(range(1, healthy.seen + 1, EVERY))} kills while indexing, {when} {operation}")


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize(
    "operation", ["open", "mkdir", "rename", "unlink", "write", "sync", "sync_folder", "names", "map", "truncate"]
)
def test_search_is_a_scan_when_the_index_cannot_be_used(root: Path, tmp_path: Path, operation: str, code: int) -> None:
    before = tmp_path / "before"
    shutil.copytree(root / "index", before)
    healthy = FailingFiles(QuickFiles(), operation=operation, nth=0, error=code, role="/index")
    search(healthy, root)
    assert healthy.calls[operation] > 0
    for nth in range(1, healthy.calls[operation] + 1):
        for repeat in (False, True):
            shutil.rmtree(root / "index")
            shutil.copytree(before, root / "index")
            files = FailingFiles(QuickFiles(), operation=operation, nth=nth, error=code, repeat=repeat, role="/index")
            hits = search(files, root)
            assert places(hits) == scan(root)
            if operation != "unlink" and (operation, nth) != (
                "names",
                healthy.calls["names"],
            ):  # else only something is left over
                assert any(str(root / "index") in notice for notice in hits.notices)
            assert_whole(root)


def test_a_read_only_index_is_told_of_and_worked_around(root: Path) -> None:
    files = FailingFiles(QuickFiles(), operation="open", nth=1, error=errno.EROFS, repeat=True, role=".tmp")
    hits = search(files, root)
    assert places(hits) == scan(root)
    assert len(hits.notices) == 2
    assert all("Read-only file system; the index could not be written" in notice for notice in hits.notices)


def test_two_processes_that_index_at_once_do_no_harm(root: Path) -> None:
    """Each is let go on by the other at each of its operations: every way two orders of writing and sweeping can mix."""
    shutil.rmtree(root / "index")

    class Interrupted(QuickFiles):
        """Files that let another process index, from nothing or further, before one of the operations of this one."""

        def __init__(self, nth: int) -> None:
            self.left = nth

        def _other(self) -> None:
            self.left -= 1
            if self.left == 0:
                record(root, "one", 4 * MORE)
                assert places(search(QuickFiles(), root)) == scan(root)

        def rename(self, source: Path, target: Path) -> None:
            self._other()
            super().rename(source, target)
            self._other()

        def names(self, path: Path) -> list[str]:
            found = super().names(path)
            self._other()
            return found

        def unlink(self, path: Path) -> None:
            self._other()
            super().unlink(path)

    nth, left = 0, 0
    while left <= 0:
        nth += 1
        shutil.rmtree(root / "index", ignore_errors=True)
        shutil.rmtree(root / "sessions" / "one")
        record(root, "one", 2 * MORE)
        search(QuickFiles(), root)
        record(root, "one", 3 * MORE)
        moment = scan(root)
        files = Interrupted(nth)
        hits = search(files, root)
        left = files.left
        assert places(hits) in (moment, scan(root))
        assert_whole(root)
    assert nth > 5
