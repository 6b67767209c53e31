"""A session's folder: where what stands, and making and removing it."""

from pathlib import Path

import msgspec

from holdfast.errors import Corrupted, WorkspaceUnusable
from holdfast.reading.catalog import closed_with
from holdfast.storage.files import Files, make_folders, replace_file
from holdfast.storage.recovery import Past, has_segments
from holdfast.storage.seals import SEALING_NAME, is_sealing

_WRITER = "main"


class SessionFolder(msgspec.Struct, frozen=True):
    """The folder of one session in a workspace."""

    files: Files
    root: Path
    name: str

    @property
    def path(self) -> Path:
        """training/sessions/<name>"""
        return self.root / "sessions" / self.name

    @property
    def log(self) -> Path:
        """The writer's segments."""
        return self.path / "log" / _WRITER

    @property
    def checkpoints(self) -> Path:
        """Large states."""
        return self.path / "checkpoints"

    @property
    def kept_files(self) -> Path:
        """Contents recorded by `run.file`."""
        return self.path / "files"

    @property
    def lock(self) -> Path:
        """The lock file."""
        return self.path / "lock"

    @property
    def exists(self) -> bool:
        """Whether something was recorded here."""
        return has_segments(self.files, self.log)

    def refuse_lost_end(self, past: Past) -> None:
        """Raise Corrupted where the log ends before the record that `session.json` says it was closed with."""
        if past.last < (closed := closed_with(self.files, self.path)):
            path, end = (past.extents[-1].path, past.extents[-1].end) if past.extents else (self.log, 0)
            raise Corrupted(path, end, f"the log ends here with record {past.last}, and it was closed with record {closed}")

    def make(self) -> None:
        """Make the folder, and the workspace around it. Raises WorkspaceUnusable."""
        try:
            ignore = self.root / ".gitignore"
            is_new = not self.files.exists(ignore)
            make_folders(self.files, self.path, own=3 if is_new else 2)
            if is_new:
                replace_file(self.files, ignore, [b"*\n"])  # at once: half of one would stay for ever
        except OSError as error:
            self.remove_unlocked()
            raise WorkspaceUnusable(self.root, error.strerror or type(error).__name__) from error

    def sweep(self) -> None:
        """Remove the temporary files that a kill left; the lock is held. Those of a process that is sealing stay."""
        sealing = self.log if is_sealing(self.files, self.log) else None
        for folder in (self.path, self.kept_files, self.log):
            for name in self.files.names(folder):
                is_left = name.startswith(".") and name.endswith(".tmp")
                if is_left and not (folder == sealing and SEALING_NAME.fullmatch(name)):
                    self.files.unlink(folder / name)

    def remove_unlocked(self) -> None:
        """Remove the folder if nothing at all stands in it, so that no lock is needed for that."""
        try:
            self.files.rmdir(self.path)
        except OSError:
            pass  # it is a session's, or another process has just begun here

    def remove_if_empty(self) -> None:
        """Remove the folder if nothing was recorded; the lock is held, and its file goes too."""
        try:
            if self.exists or closed_with(self.files, self.path):
                return
            for folder in (self.log, self.log.parent):
                if self.files.exists(folder):
                    for name in self.files.names(folder):
                        self.files.unlink(folder / name)  # a segment that never got its name
                    self.files.rmdir(folder)
            if self.files.names(self.path) == [self.lock.name]:
                self.files.unlink(self.lock)
                self.files.rmdir(self.path)
        except OSError:
            pass  # another process has just begun here: then it is not empty; or the disk is failing
