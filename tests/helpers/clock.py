"""A timer that stands still until a test lets time pass."""

from functools import partial

import pytest

from holdfast.recording.recorder import Recorder


class Timer:
    """What a recorder measures with: nanoseconds from 1,000 s on."""

    def __init__(self) -> None:
        self.ns = 1_000 * 10**9

    def __call__(self) -> int:
        return self.ns

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.ns += round(seconds * 1e9)


def use(monkeypatch: pytest.MonkeyPatch, timer: Timer) -> None:
    """Have every session that is opened from now on go by this timer."""
    monkeypatch.setattr("holdfast.sessions.opening.Recorder", partial(Recorder, timer_ns=timer))
