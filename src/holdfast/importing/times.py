"""Times as old files write them: ISO 8601 with `+00:00`, with `Z`, or without a zone."""

from datetime import UTC, datetime
from typing import Any

from holdfast.importing.findings import TIME, Findings

_EARLIEST, _LATEST = 0, 253_402_300_799_000_000  # the years 1970 to 9999


class Times:
    """Reads the times of one file. What has no zone is taken as UTC, which is noted once."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._is_noted = False

    def read(self, value: Any, where: str) -> int | None:
        """Microseconds since 1970; None for what is no time. Numbers are seconds, or milli-, micro- or nanoseconds."""
        if not isinstance(value, str):
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            return _of_number(value) if is_number else None
        try:
            found = datetime.fromisoformat(value)
        except (ValueError, OverflowError):
            return None
        if found.tzinfo is None:
            if not self._is_noted:
                self._is_noted = True
                self._findings.add(TIME, where, f"{value!r} has no zone, as others here may: taken as UTC")
            found = found.replace(tzinfo=UTC)
        ts = round(found.timestamp() * 1e6)
        return ts if _EARLIEST <= ts <= _LATEST else None


def _of_number(value: float) -> int | None:
    """By its size: 1e9 is seconds, 1e12 milliseconds, and so on; a smaller one is a count of something, and no time."""
    for unit, low in ((1e-3, 1e17), (1, 1e14), (1e3, 1e11), (1e6, 1e8)):
        if low <= value < low * 1e3:
            return round(value * unit)
    return None
