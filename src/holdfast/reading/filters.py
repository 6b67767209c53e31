"""Which rows are wanted: checked when it is said, before anything is read."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

import msgspec

from holdfast.errors import InvalidSetting

Names = str | Collection[str] | None
"""One name, or several of which any will do; None for all."""
Moment = datetime | int | None
"""A datetime with a time zone, or microseconds since 1970."""
Bounds = tuple[float | None, float | None] | None
"""Lowest and highest, both included; None for no bound."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What a row must have; None where it does not matter. since is included, until is not. superseded: those too."""

    names: frozenset[str] | None = None
    phases: frozenset[str] | None = None
    tiers: frozenset[int] | None = None
    sources: frozenset[str] | None = None
    z: tuple[float, float] | None = None
    since: int | None = None
    until: int | None = None
    superseded: bool = False

    @property
    def is_open(self) -> bool:
        """Whether every row passes that was not superseded."""
        asked = (self.names, self.phases, self.tiers, self.sources, self.z, self.since, self.until)
        return all(value is None for value in asked)

    def passes(self, ts: int, *, name: str | None = None, phase: str | None = None, z: float | None = None) -> bool:
        """Whether a row with these is wanted. Whether it was superseded is for who knows."""
        if self.names is not None and name not in self.names:
            return False
        if self.phases is not None and phase not in self.phases:
            return False
        if self.z is not None and (z is None or not self.z[0] <= z <= self.z[1]):
            return False
        return (self.since is None or ts >= self.since) and (self.until is None or ts < self.until)


def filter_of(
    *,
    names: Names = None,
    phase: Names = None,
    tier: int | Collection[int] | None = None,
    z: Bounds = None,
    since: Moment = None,
    until: Moment = None,
    source: Names = None,
    superseded: bool = False,
    names_word: str = "name",
) -> Filter:
    """The filter of these words. Raises InvalidSetting for one that makes no sense."""
    begin, end = moment("since", since), moment("until", until)
    if begin is not None and end is not None and begin > end:
        raise InvalidSetting(f"since={since!r} lies behind until={until!r}, so that nothing could be found. Swap them")
    return Filter(
        names=_several(names_word, names, str, "a name"),
        phases=_several("phase", phase, str, "a name"),
        tiers=_several("tier", tier, int, "a whole number"),
        sources=_several("source", source, str, "a name"),
        z=_bounds(z),
        since=begin,
        until=end,
        superseded=superseded,
    )


def moment(word: str, value: Moment) -> int | None:
    """Microseconds since 1970."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if not isinstance(value, datetime):
        raise InvalidSetting(f"{word}={value!r} is no time: give a datetime with a time zone, or microseconds since 1970")
    if value.utcoffset() is None:
        raise InvalidSetting(
            f"{word}={value!r} has no time zone. Say which one is meant: {word}=….astimezone() for this machine's, "
            f"or ….replace(tzinfo=datetime.UTC)"
        )
    from datetime import UTC, timedelta

    return (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def count_of_last(last: int | None) -> int | None:
    """How many of the last ones are wanted; None for all."""
    if last is not None and (isinstance(last, bool) or not isinstance(last, int) or last < 0):
        raise InvalidSetting(f"last={last!r} is no number of rows: give a whole number from 0 on, or leave it out")
    return last


def _several(word: str, value: Any, kind: type, what: str) -> frozenset[Any] | None:
    if value is None:
        return None
    values = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
    for entry in values:
        if isinstance(entry, bool) or not isinstance(entry, kind):
            raise InvalidSetting(f"{word}={value!r}: {entry!r} is not {what}. Give one, or several in a list")
    return frozenset(values)


def _bounds(z: Any) -> tuple[float, float] | None:
    if z is None:
        return None
    if not isinstance(z, tuple | list) or len(z) != 2:
        raise InvalidSetting(f"z={z!r} is no range: give (lowest, highest), such as z=(0.6, 1.0); None for no bound")
    low, high = (0.0 if z[0] is None else z[0]), (1.0 if z[1] is None else z[1])
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not 0.0 <= bound <= 1.0:
            raise InvalidSetting(f"z={z!r}: every z lies in [0, 1], and {bound!r} does not")
    if low > high:
        raise InvalidSetting(f"z={z!r}: the lowest comes first, and {low!r} is above {high!r}")
    return float(low), float(high)
