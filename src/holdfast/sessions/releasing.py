"""Letting go of the checkpoints that are kept no longer: by a record first, then their files."""

from collections.abc import Callable

from holdfast.records import Checkpoint, Released
from holdfast.sessions.checkpoints import CheckpointStore
from holdfast.sessions.parts import Parts
from holdfast.sessions.retention import bytes_in, deletable_folders, folders_of


class Releasing:
    """Knows which checkpoints of the session are there, and lets go of those that its retention does not keep."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._kept: list[Checkpoint] | None = None  # None: to be read from the log
        self._dead: set[int] = set()

    def release(self, newest: Checkpoint | None) -> None:
        """Let go of what is superfluous behind the newest checkpoint, which has just been taken."""
        recorder, retention = self._parts.recorder, self._parts.settings.retention
        if self._kept is None:
            self._kept, self._dead = self._parts.kept_checkpoints()
            named = folders_of(self._kept)
            self.remove_files(lambda store: store.remove_released(named))
        elif newest is not None and newest not in self._kept[-1:]:
            self._kept.append(newest)
        if gone := retention.superfluous(self._kept, self._dead):
            self._kept = [record for record in self._kept if record not in gone]
            recorder.append_group([Released(checkpoints=[record.n for record in gone], reason="retention")])
            recorder.flush("synced")  # else a power loss could bring back a checkpoint without its files
            folders = deletable_folders(gone, self._kept)
            if self.remove_files(lambda store: store.remove(folders)):
                recorder.file_bytes -= bytes_in(folders, gone)

    def look_again(self) -> None:
        """Some of the checkpoints may be dead now."""
        self._kept = None

    def remove_files(self, remove: Callable[[CheckpointStore], None]) -> bool:
        """Remove files of checkpoints that no record names. Where that fails (False) they only take space; the next attempt
        tries again."""
        recorder = self._parts.recorder
        began = recorder.timer_ns()
        try:
            remove(self._parts.store)
        except OSError as error:
            self._parts.notice(f"files of a released checkpoint could not be removed: {error}; the next attempt tries again")
            return False
        finally:
            recorder.spend(began)
        return True
