"""A log that was closed is opened by its ends, and found as recovery finds it; any other goes to recovery."""

from pathlib import Path

import msgspec
import pytest

from holdfast import Workspace
from holdfast.reading import opening
from holdfast.reading.opening import open_log
from holdfast.sessions.opening import start
from holdfast.sessions.session import Run
from holdfast.storage.files import File
from holdfast.storage.host import boot_id
from holdfast.storage.recovery import recover
from tests.helpers.dying import kill
from tests.helpers.quick import QuickFiles

FILES = QuickFiles()


def begin(root: Path, **options: object) -> Run:
    return start("s", root=root, files=FILES, **options)  # type: ignore[arg-type]


def record(root: Path, count: int, *, killed: bool = False) -> Path:
    run = begin(root, extend=True)
    run.checkpoint()
    for number in run.loop(count):
        run.token(f"{number}")
    kill(run) if killed else run.close()
    return root / "sessions" / "s"


class Reads(QuickFiles):
    """Files that add up what is read of the log."""

    bytes_read = 0

    def open(self, path: Path, *, write: bool = False, create: bool = False, exclusive: bool = False) -> File:
        file = super().open(path, write=write, create=create, exclusive=exclusive)
        read = file.read

        def counted(size: int, offset: int) -> bytes:
            data = read(size, offset)
            self.bytes_read += len(data) if path.suffix == ".jsonl" else 0
            return data

        file.read = counted  # type: ignore[method-assign]
        return file


@pytest.mark.parametrize("boot", [boot_id(), "another boot"])
def test_a_closed_log_is_found_as_recovery_finds_it(tmp_path: Path, boot: str) -> None:
    record(tmp_path, 5, killed=True)
    record(tmp_path, 10)
    folder = record(tmp_path, 20)
    found = recover(FILES, folder / "log" / "main", boot, strict=False)
    assert len(found.extents) == 3
    assert open_log(FILES, folder, boot).past == found


def test_a_closed_log_is_not_read_to_be_opened(tmp_path: Path) -> None:
    run = begin(tmp_path)
    for number in range(20_000):
        run.token(f"{number}")
    run.close()
    size = sum(path.stat().st_size for path in run.path.rglob("*.jsonl"))
    for boot in (boot_id(), "another boot"):
        files = Reads()
        assert open_log(files, run.path, boot).last == 20_002
        assert 0 < files.bytes_read < size / 5


@pytest.mark.parametrize("what", ["killed", "going on", "annotated", "resumed", "torn"])
def test_any_other_log_goes_to_recovery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    folder = record(tmp_path, 10, killed=what == "killed")
    run = None
    if what in ("going on", "resumed"):
        run = begin(tmp_path, extend=True)
        run.token("more")
    if what == "resumed":
        assert run is not None
        kill(run)
    if what == "annotated":
        manifest = (folder / "session.json").read_bytes()
        Workspace(tmp_path).note("s", "a remark")
        (folder / "session.json").write_bytes(manifest)
    if what == "torn":
        with max((folder / "log" / "main").iterdir()).open("ab") as file:
            file.write(b'{"kind":"tok')
    log = folder / "log" / "main"
    found = recover(FILES, log, boot_id(), strict=False)
    reader = open_log(FILES, folder, boot_id())
    assert reader.past == found
    monkeypatch.setattr(opening, "_closed_past", lambda *_: None)
    assert open_log(FILES, folder, boot_id(), reader) is reader
    assert reader.past.last == found.last
    if run is not None and what == "going on":
        run.token("and more")
        assert open_log(FILES, folder, boot_id(), reader).last == found.last + 1
        run.close()


def test_a_manifest_that_says_more_than_the_log_has_is_not_believed(tmp_path: Path) -> None:
    folder = record(tmp_path, 10)
    manifest = msgspec.json.decode((folder / "session.json").read_bytes())
    expected = open_log(FILES, folder, boot_id()).last
    (folder / "session.json").write_bytes(msgspec.json.encode({**manifest, "records": manifest["records"] + 5}))
    assert open_log(FILES, folder, boot_id()).last == expected
