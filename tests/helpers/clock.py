"""A timer that stands still until a test lets time pass."""

from functools import partial
from pathlib import Path

import pytest

from holdfast.recording.recorder import Recorder
from holdfast.storage.files import File, RealFile
from tests.helpers.quick import QuickFile, QuickFiles


class Timer:
    """What a recorder measures with: nanoseconds from 1,000 s on. tick_ns: how long it takes to look at the time of day,
    which is done once for every record."""

    def __init__(self, *, tick_ns: int = 0) -> None:
        self.ns, self.tick_ns = 1_000 * 10**9, tick_ns

    def __call__(self) -> int:
        return self.ns

    def time_ns(self) -> int:
        """The time of day."""
        self.ns += self.tick_ns
        return self.ns

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.ns += round(seconds * 1e9)


def use(monkeypatch: pytest.MonkeyPatch, timer: Timer) -> None:
    """Have every session that is opened from now on go by this timer."""
    monkeypatch.setattr(
        "holdfast.sessions.attempt.Recorder", partial(Recorder, timer_ns=timer, clock_ns=timer.time_ns, wait=timer.wait)
    )


class SlowFiles(QuickFiles):
    """Files of a disk that takes so many seconds of the timer for a write, and for a sync."""

    def __init__(self, timer: Timer, *, write: float = 0.0, sync: float = 0.0) -> None:
        self.timer, self.write, self.sync = timer, write, sync

    def open(self, path: Path, *, write: bool = False, create: bool = False, exclusive: bool = False) -> File:
        file = super().open(path, write=write, create=create, exclusive=exclusive)
        assert isinstance(file, RealFile)
        return _SlowFile(file._fd, self)

    def sync_folder(self, path: Path) -> None:
        self.timer.wait(self.sync)


class _SlowFile(QuickFile):
    def __init__(self, fd: int, files: SlowFiles) -> None:
        super().__init__(fd)
        self._files = files

    def write(self, data: bytes, offset: int) -> None:
        super().write(data, offset)
        self._files.timer.wait(self._files.write)

    def sync(self) -> None:
        self._files.timer.wait(self._files.sync)
