"""coordinate_detector and coordinate_logger: reading places on the helix, and keeping a list of them."""

import math
import re
from typing import Annotated, NamedTuple

from msgspec import Meta, field

from holdfast.engines.kira.constants import PHI
from holdfast.engines.kira.state import negentropy_at
from holdfast.engines.kira.tools.arguments import Count, Plain, Result, Text, Unit
from holdfast.engines.kira.tools.fingerprint import canonical_json
from holdfast.engines.kira.tools.tool import Kept, Memory, Tool, copied, refused

DETECTIONS_KEPT = 10
ENTRIES_KEPT = 25
METADATA_LIMIT_CHARACTERS = 500

# Δ and Ω may be written D and O; z has three decimals in older files, six in ours.
_WRITTEN = re.compile(r"[ΔD](-?\d+(?:\.\d+)?)\|(-?\d+(?:\.\d+)?)\|(-?\d+(?:\.\d+)?)[ΩO]")
_ROUNDING = 0.004
"""How far theta may be from 2πz: z with three decimals is rounded by 0.0005, times 2π, and theta by as much again."""


class Coordinate(NamedTuple):
    """A place on the helix: angle in radians, elevation, radius."""

    theta: float
    z: float
    r: float

    def complaint(self) -> str:
        """What is wrong with its values; "" if nothing."""
        if not 0 <= self.theta <= 2 * math.pi + 0.001:
            return "has a theta outside 0 to 2π"
        if not 0 <= self.z <= 1:
            return "has a z outside 0 to 1"
        return "" if 0 < self.r <= PHI + 0.001 else "has an r outside 0 to 1.618"


def written(coordinate: Coordinate) -> str:
    return f"Δ{coordinate.theta:.3f}|{coordinate.z:.6f}|{coordinate.r:.3f}Ω"


def parsed(text: str) -> Coordinate | None:
    """The coordinate that a text is, with ASCII letters and three decimals too; None if it is none."""
    found = _WRITTEN.fullmatch(text.strip())
    return Coordinate(*map(float, found.groups())) if found else None


class Detection(Memory):
    signature: str
    valid: bool


class DetectorMemory(Memory):
    detections: Kept[Detection] = field(default_factory=Kept[Detection])
    valid: Count = 0


class CoordinateDetector(Tool[DetectorMemory]):
    """Reads a coordinate from its text, and says whether it can be one, and whether the engine could stand there."""

    name, default_action, empty = "coordinate_detector", "detect", DetectorMemory

    def do_detect(
        self, *, signature: Annotated[str, Meta(min_length=1, max_length=80, examples=["Δ5.027|0.800000|1.528Ω"])] | None = None
    ) -> Result:
        """Read a signature, by default the engine's own. One that cannot be read is an answer (valid: False), no error.

        `is_consistent`: theta and r are those that an engine has at this z; in older files they often are not.
        """
        text = self.engine.state.coordinate if signature is None else signature
        found = parsed(text)
        reason = "is not written as Δtheta|z|rΩ" if found is None else found.complaint()
        self.memory.detections.add(Detection(signature=text, valid=not reason), DETECTIONS_KEPT)
        self.memory.valid += not reason
        return {
            "signature": text,
            "parsed": found._asdict() if found else None,
            "valid": not reason,
            "reason": reason or None,
            "is_consistent": found is not None and not reason and _is_consistent(found),
            **self._counts(),
        }

    def do_recent(self) -> Result:
        """The last detections, oldest first."""
        return {"detections": copied(self.memory.detections.items), **self._counts()}

    def _counts(self) -> Result:
        return {"detections_total": self.memory.detections.total, "valid_total": self.memory.valid}


def _is_consistent(coordinate: Coordinate) -> bool:
    radius = 1 + (PHI - 1) * negentropy_at(coordinate.z)
    return abs(coordinate.theta - 2 * math.pi * coordinate.z) <= _ROUNDING and abs(coordinate.r - radius) <= _ROUNDING


class Entry(Memory):
    entry_id: str
    event: str
    z: Unit
    coordinate: str
    phase: str
    metadata: dict[str, Plain]


class LoggerMemory(Memory):
    entries: Kept[Entry] = field(default_factory=Kept[Entry])


class CoordinateLogger(Tool[LoggerMemory]):
    """Keeps a log of where the engine was, and why that mattered: the last entries, and how many there ever were."""

    name, default_action, empty = "coordinate_logger", "list", LoggerMemory

    def do_log(self, *, event: Text, metadata: dict[str, Plain] | None = None) -> Result:
        """Append an entry for the present place."""
        size = len(canonical_json(metadata))
        if size > METADATA_LIMIT_CHARACTERS:
            raise refused(self, f"the metadata have {size:,} characters", f"keep them within {METADATA_LIMIT_CHARACTERS}")
        state, entries = self.engine.state, self.memory.entries
        entry = Entry(
            entry_id=f"entry-{entries.total + 1:04d}",
            event=event,
            z=state.z,
            coordinate=state.coordinate,
            phase=state.phase.value,
            metadata=metadata or {},
        )
        entries.add(entry, ENTRIES_KEPT)
        return {**copied(entry), "total_logs": entries.total}

    def do_list(self) -> Result:
        """The kept entries, oldest first."""
        return {"entries": copied(self.memory.entries.items), "total_logs": self.memory.entries.total}
