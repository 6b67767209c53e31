"""What saving costs the program: the time spent in it, its parts, and stalls."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from holdfast.recording.health import Samples

STALL_NS = 10**9
"""A flush or a sync that takes as long is a stall: it is counted, and the first one told."""


class Cost:
    """Nanoseconds by `timer_ns`, which never goes backwards.

    samples: tokens of the short way that were measured. spent_ns: in everything but the short way; of it records_ns in records
    that are new and in flushing them, and opening_ns in the first records of the attempt, which are none of the program's.
    sampling: while a token of the short way is measured, the time of it that is counted already; else None.
    """

    def __init__(self, timer_ns: Callable[[], int], notice: Callable[[str], None]) -> None:
        self.timer_ns, self._notice = timer_ns, notice
        self.samples, self.flushes, self.syncs = Samples(), Samples(), Samples()
        self.spent_ns = self.records_ns = self.opening_ns = 0
        self.sampling: int | None = None
        self.stalls = 0
        self._told: set[str] = set()

    def spend(self, began: int, *, on_records: bool = False) -> None:
        """Count the time since the timer said `began` as spent on saving. on_records: on new ones that waited to be flushed."""
        took = self.timer_ns() - began
        self.spent_ns += took
        if on_records:
            self.records_ns += took

    def append(self, took: int) -> None:
        """A record went straight to the log."""
        self.flushes.add(took)
        if took >= STALL_NS:
            self._look_for_stall("flush", took, self.stalls)
        self.spent_ns += took
        self.records_ns += took

    def flush(self, took: int, stalls: int) -> None:
        """A flush took so long. stalls: how many there had been before it."""
        self.flushes.add(took)
        self._look_for_stall("flush", took, stalls)

    def take_sample(self, took: int, stalls: int, *, is_flush: bool) -> None:
        """A token of the opening thread was measured, of which `sampling` tells; it counts where it was on the short way all
        the time, and without what it flushed. is_flush: it goes to the log. stalls: how many there had been before it."""
        if self.sampling is not None:
            self.samples.add(max(0, took - self.sampling))
        self.sampling = None
        if is_flush:
            self._look_for_stall("flush", took, stalls)

    def watch(self, what: Literal["sync", "room"], path: Path, act: Callable[[], None]) -> None:
        """Carry out what the log may have to wait for, measured; also where a token on the short way waits and is no sample."""
        began, stalls = self.timer_ns(), self.stalls
        try:
            act()
        finally:
            took = self.timer_ns() - began
            if what == "sync":
                self.syncs.add(took)
            else:
                self.flushes.largest = max(self.flushes.largest, took)
        self._look_for_stall("sync" if what == "sync" else "flush", took, stalls, f" of {path}")

    def stall(self, notice: str) -> None:
        """Count a stall of another kind, and tell it."""
        self.stalls += 1
        self._notice(notice)

    def _look_for_stall(self, what: Literal["flush", "sync"], took: int, stalls: int, where: str = "") -> None:
        """Count what took too long, and tell the first of its kind; not if what it waited for was counted since there were so
        many stalls."""
        if took < STALL_NS or self.stalls > stalls:
            return
        self.stalls += 1
        if what not in self._told:
            self._told.add(what)
            self._notice(
                f"a {what}{where} took {took / 1e9:.1f} s: the disk is slow, and saving waits for it. Nothing accepted is "
                "lost; further ones are counted, not told (run.health().stalls)"
            )
