"""What a resumed program repeats: its records are matched with those that are expected of it."""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from holdfast.records import Record


class Divergence(msgspec.Struct, frozen=True):
    """The program did not repeat itself: record n of the lane was `expected`, and now came `found` (None: the run ended)."""

    n: int
    lane: str
    expected: Any
    found: Any
    reason: str


class Matcher(Protocol):
    """What a resumed program is expected to repeat."""

    @property
    def remaining(self) -> int:
        """Records that are still expected."""

    def match(self, record: Record) -> int | Divergence | None:
        """n of the expected record where this is it; None where its lane expects nothing any more."""


class Matching:
    """A replay, until nothing is expected any more, which is told to `at_end`; then `matcher` is None.

    matched: how many records were. last: n of the last one that was produced or matched.
    """

    def __init__(
        self,
        matcher: Matcher | None,
        position: int,
        *,
        on_divergence: Callable[[Divergence], None],
        at_end: Callable[[], None],
    ) -> None:
        self.matcher = matcher if matcher is not None and matcher.remaining else None
        self.matched, self.last = 0, position
        self._on_divergence, self._at_end = on_divergence, at_end

    def match(self, record: Record) -> bool:
        """Whether a record is the one that its lane expects."""
        matcher = self.matcher
        if matcher is None:
            return False
        found = matcher.match(record)
        if isinstance(found, Divergence):
            self._on_divergence(found)
            found = None
        if found is not None:
            self.matched += 1
            self.last = max(self.last, found)
        if not matcher.remaining:  # a divergence may have dropped the rest already
            self.drop()
        return found is not None

    def drop(self) -> None:
        """Nothing is expected any more."""
        self.matcher = None
        self._at_end()
