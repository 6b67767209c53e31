"""One method a kind of record, each of which gives its record a mark and tells the parent when the call has returned."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import holdfast
from tests.crash.witness import Witness


@dataclass
class Scribe:
    """Records with marks: section, step and place in it, so that an equal run gives equal marks to equal records."""

    run: holdfast.Run
    witness: Witness
    section: int
    _next: int = 0

    def at(self, step: int) -> "Scribe":
        """Go on at a step of the section."""
        self._next = self.section << 20 | step << 8
        return self

    @property
    def made(self) -> int:
        """Marks given since `at`."""
        return self._next & 0xFF

    def mark(self) -> int:
        """A mark for the next record."""
        self._next += 1
        return self._next

    def token(self, z: float, phase: str | None = None, **fields: Any) -> None:
        mark = self.mark()
        self.run.token(f"u{mark}|Reactor", z=z, phase=phase, source="program", **fields)
        self.witness.recorded(mark)

    def tokens(self, values: list[float]) -> None:
        mark = self.mark()
        self.run.tokens([f"u{mark}|a", 7, b"\xfe", *map(str, values)], z=[0.5, 0.25, 1.0, *(0.0 for _ in values)])
        self.witness.recorded(mark)

    def emission(self, text: str, phase: str) -> None:
        mark = self.mark()
        self.run.emission(f"u{mark}|{text}", tokens=("x", 3), quality=0.75, phase=phase, meta={"deep": [(), {1: None}]})
        self.witness.recorded(mark)

    def metric(self, loss: float) -> None:
        mark = self.mark()
        self.run.metric(loss=loss, mark=mark, info={"pid": os.getpid()})
        self.witness.recorded(mark)

    def event(self, name: str, **data: Any) -> None:
        mark = self.mark()
        self.run.event(name, mark=mark, **data)
        self.witness.recorded(mark)

    def note(self, text: str) -> None:
        mark = self.mark()
        self.run.note(f"u{mark}|{text} \ud83d")
        self.witness.recorded(mark)

    def module(self, name: str, **result: Any) -> None:
        mark = self.mark()
        self.run.module(name, {"mark": mark, **result}, index=3)
        self.witness.recorded(mark)

    def transition(self, before: str, after: str) -> None:
        mark = self.mark()
        self.run.transition(before, f"u{mark}|{after}")
        self.witness.recorded(mark)

    def file(self, folder: Path) -> None:
        mark = self.mark()
        path = folder / f"u{mark}-input.txt"
        path.write_bytes(b"input %d\n" % (mark % 11) * 500)
        self.run.file(path)
        path.unlink()
        self.witness.recorded(mark)

    def once(self) -> None:
        """What must not be repeated: its value is told, so that the parent sees a repetition."""
        mark = self.mark()
        value = self.run.once(f"u{mark}|dice", lambda: int.from_bytes(os.urandom(4), "little"))
        self.witness.recorded(mark, value)
