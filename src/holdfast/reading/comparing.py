"""Sessions side by side: the part of a workspace that compares."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from holdfast.reading.loader import Source

if TYPE_CHECKING:
    from holdfast.reading.compare import Comparison


class Comparing:
    """Runs side by side."""

    def _checked(self, session: str) -> tuple[Source, str]:
        raise NotImplementedError  # the workspace knows its sessions

    def compare(
        self,
        a: str,
        b: str,
        *,
        other: "Comparing | None" = None,
        progress: Callable[[int], object] = lambda records: None,
    ) -> "Comparison":
        """Session a beside session b, which is in the workspace `other` where one is given.

        Each as it stands at this moment, also while it runs. `progress` is told the records done of both. Raises Corrupted
        where a byte is not what was written.
        """
        from holdfast.reading.compare import compare_runs  # here: most who open a workspace do not need it

        where = self if other is None else other
        one, status = self._checked(a)
        if where is self and a == b:
            return compare_runs(one, one, (status, status), progress)
        another, status_b = where._checked(b)
        return compare_runs(one, another, (status, status_b), progress)
