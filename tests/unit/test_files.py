"""A file that is written whole is synced as it grows, and at its end."""

from pathlib import Path

import pytest

from holdfast.storage.faulty import FailingFiles
from holdfast.storage.files import write_synced
from tests.helpers.quick import QuickFiles


@pytest.mark.parametrize(("chunks", "syncs"), [((), 1), ((5, 4), 1), ((10,), 2), ((3,) * 10, 3), ((25, 1), 2)])
def test_no_more_than_so_much_waits_to_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunks: tuple[int, ...], syncs: int
) -> None:
    monkeypatch.setattr("holdfast.storage.files._UNSYNCED_BYTES", 10)
    files = FailingFiles(QuickFiles(), operation="open", nth=0, error=0, role="file")
    write_synced(files, tmp_path / "file", (b"x" * size for size in chunks))
    assert (tmp_path / "file").read_bytes() == b"x" * sum(chunks)
    assert files.calls["sync"] == syncs
