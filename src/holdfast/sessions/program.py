"""Where the program stands: its loops, their steps, and the keys of its `run.step` calls."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from holdfast.records import Loop


@dataclass
class Program:
    """Cursors of the top-level loops, in the order they are entered, and the place the program is in now.

    place: key of the loop's step or of the `run.step` it is in, "" outside. A loop within a loop or step is the body's own
    affair: it begins anew whenever the body does.
    """

    loops: dict[str, Loop] = field(default_factory=dict)
    place: str = ""
    at: str | None = None
    _entered: int = 0
    _occurrences: dict[str, int] = field(default_factory=dict)

    @classmethod
    def restored(cls, loops: Iterable[Loop]) -> "Program":
        """The cursors that a checkpoint holds."""
        return cls(loops={loop.key: loop for loop in loops})

    def next_loop(self) -> str:
        """The key of the loop that is being entered."""
        key = f"loop:{self._entered}"
        self._entered += 1
        return key

    def next_step(self, name: str) -> str:
        """The key of a `run.step` call: place, name, and how often that name came there before."""
        base = f"{self.place}/{name}" if self.place else name
        count = self._occurrences.get(base, 0)
        self._occurrences[base] = count + 1
        return f"{base}#{count}"

    def enter(self, place: str) -> None:
        """The program is in a loop's step, or in a `run.step`, from now on."""
        self.place = place
        # Steps of the iteration before are never asked for again.
        self._occurrences = {key: count for key, count in self._occurrences.items() if "/" not in key or key in place}

    def leave(self, place: str) -> None:
        """… and is back in `place`."""
        self.place = place
