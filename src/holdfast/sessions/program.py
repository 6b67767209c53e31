"""Where the program stands: its loops, their steps, and the keys of its `run.step` calls."""

from collections.abc import Iterable

from holdfast.records import Loop


class Program:
    """Cursors of the top-level loops, in the order they are entered, and the place the program is in now.

    place: key of the loop's step or of the `run.step` it is in, "" outside. A loop within a loop or step is the body's own
    affair: it begins anew whenever the body does. `loops` are the cursors to begin with, from a checkpoint.
    """

    def __init__(self, loops: Iterable[Loop] = ()) -> None:
        self.loops = {loop.key: loop for loop in loops}
        self.place = ""
        self._entered = 0
        self._occurrences: dict[tuple[str, str], int] = {}  # by place and name

    @property
    def has_entered(self) -> bool:
        """Whether the program came to a loop or a `run.step`."""
        return bool(self._entered or self._occurrences)

    @property
    def has_loops_ahead(self) -> bool:
        """Whether there are cursors of loops that it has not come to yet."""
        return self._entered < len(self.loops)

    def next_loop(self) -> str:
        """The key of the loop that is being entered."""
        key = f"loop:{self._entered}"
        self._entered += 1
        return key

    def next_step(self, name: str) -> str:
        """The key of a `run.step` call: place, name, and how often that name came there before."""
        count = self._occurrences.get((self.place, name), 0)
        self._occurrences[self.place, name] = count + 1
        return f"{self.place}/{name}#{count}" if self.place else f"{name}#{count}"

    def take_back_step(self, key: str, name: str) -> None:
        """The step failed: a further try of it gets the same key, and so do the steps in it."""
        self._occurrences = {at: count for at, count in self._occurrences.items() if not _is_within(at[0], key)}
        self._occurrences[self.place, name] -= 1

    def enter(self, place: str) -> None:
        """The program is in a loop's step, or in a `run.step`, from now on."""
        self.place = place
        if len(self._occurrences) > 1:  # those of other iterations and steps are never asked for again
            self._occurrences = {key: count for key, count in self._occurrences.items() if _is_within(place, key[0])}

    def leave(self, place: str) -> None:
        """… and is back in `place`."""
        self.place = place


def _is_within(place: str, outer: str) -> bool:
    return not outer or place == outer or place.startswith(f"{outer}/")
