"""Real files without the waiting, for tests that look at what is asked of a disk and not at the disk."""

from pathlib import Path

from holdfast.storage.files import File, RealFile, RealFiles
from holdfast.storage.traced import TracedFiles


class QuickFile(RealFile):
    def sync(self) -> None: ...


class QuickFiles(RealFiles):
    """Files whose syncs do nothing."""

    def open(self, path: Path, *, write: bool = False, create: bool = False, exclusive: bool = False) -> File:
        file = super().open(path, write=write, create=create, exclusive=exclusive)
        assert isinstance(file, RealFile)
        return QuickFile(file._fd)

    def sync_folder(self, path: Path) -> None: ...


def quick_traced(root: Path) -> TracedFiles:
    """Traced files over quick ones."""
    files = TracedFiles(root)
    files._real = QuickFiles()
    return files
