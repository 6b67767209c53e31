"""helix_loader and pattern_verifier: which pattern is loaded, and whether it is still the one that was measured."""

from typing import Annotated

from msgspec import Meta

from holdfast.engines.kira.tools.arguments import Count, Name, Result, Unit
from holdfast.engines.kira.tools.coordinates import Coordinate, written
from holdfast.engines.kira.tools.fingerprint import fingerprint
from holdfast.engines.kira.tools.tool import Memory, Tool, refused

DEFAULT_PATTERN = "helix"
DEFAULT_COORDINATE = Coordinate(2.3, 0.8, 1.0)

Hash = Annotated[str, Meta(pattern="^[0-9a-f]{16}$", examples=["0123456789abcdef"])]


class LoaderMemory(Memory):
    pattern: str = ""
    theta: float = 0.0
    z: Unit = 0.0
    r: float = 0.0
    loads: Count = 0


class HelixLoader(Tool[LoaderMemory]):
    """Loads a pattern with its coordinate, and counts the tools within reach of the present z.

    Our choice: the pattern's z is a reference that other tools read; loading does not move the engine.
    """

    name, default_action, empty = "helix_loader", "load", LoaderMemory

    def do_load(
        self, *, pattern: Name = DEFAULT_PATTERN, theta: float | None = None, z: Unit | None = None, r: float | None = None
    ) -> Result:
        """Load a pattern; what is not given of its coordinate is that of the helix (2.3, 0.8, 1.0)."""
        given = Coordinate(
            DEFAULT_COORDINATE.theta if theta is None else theta,
            DEFAULT_COORDINATE.z if z is None else z,
            DEFAULT_COORDINATE.r if r is None else r,
        )
        if given.complaint():
            raise refused(
                self, f"the coordinate {written(given)} {given.complaint()}", "give theta, z and r within their ranges"
            )
        memory = self.memory
        memory.pattern, memory.theta, memory.z, memory.r = pattern, *given
        memory.loads += 1
        return {"status": "LOADED", **self.do_status()}

    def do_unload(self) -> Result:
        """Let go of the pattern."""
        if not self.memory.pattern:
            raise refused(self, "no pattern is loaded", "load one with action='load'")
        released, loads = self.memory.pattern, self.memory.loads
        self.memory = LoaderMemory(loads=loads)
        return {"status": "UNLOADED", "pattern": released, "loads": loads}

    def do_status(self) -> Result:
        memory, tools = self.memory, self.engine.tools
        return {
            "loaded": bool(memory.pattern),
            "pattern": memory.pattern or None,
            "coordinate": written(Coordinate(memory.theta, memory.z, memory.r)) if memory.pattern else None,
            "loads": memory.loads,
            "tools_total": len(tools.within_reach(1.0)),
            "tools_accessible": len(tools.within_reach(self.engine.state.z)),
            "tools_accessible_at_pattern": len(tools.within_reach(memory.z)),
        }


class VerifierMemory(Memory):
    checks: Count = 0
    mismatches: Count = 0
    last_hash: str = ""


class PatternVerifier(Tool[VerifierMemory]):
    """Hashes where the engine is, what was logged last, and which pattern is loaded.

    Our choice: "continuity" is the id of the last coordinate logged, so the hash tells whether anything was logged since.
    """

    name, default_action, empty = "pattern_verifier", "verify", VerifierMemory

    def do_verify(self, *, expected: Hash | None = None) -> Result:
        """Measure the hash, and compare it with the expected one if there is one. A mismatch is an answer, no error.

        `matches` is None where nothing was expected.
        """
        loader = self.engine.tools["helix_loader"].state_dict()
        seen = {
            "coordinate": self.engine.state.coordinate,
            "continuity": self.engine.tools["coordinate_logger"].state_dict().get("entries", {}).get("total", 0),
            "loaded": loader.get("pattern", ""),
        }
        measured = fingerprint(seen)
        is_match = None if expected is None else expected == measured
        self.memory.checks += 1
        self.memory.mismatches += is_match is False
        self.memory.last_hash = measured
        status = "MEASURED" if expected is None else "VERIFIED" if is_match else "MISMATCH"
        return {"status": status, "hash": measured, "expected": expected, "matches": is_match, **seen, **self._counts()}

    def do_status(self) -> Result:
        return {"last_hash": self.memory.last_hash or None, **self._counts()}

    def _counts(self) -> Result:
        return {"checks": self.memory.checks, "mismatches": self.memory.mismatches}
