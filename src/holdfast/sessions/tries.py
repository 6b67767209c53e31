"""Steps that failed: what was recorded in them before the position of a resume, which the program does again."""

from collections import deque
from collections.abc import Iterator

from holdfast.records import Failed, Range


class FailedTries:
    """What failed steps recorded before the position and the program has not repeated yet, by lane and in order; and what the
    step that it is in now repeats. records: all `failed` records that a resume found."""

    def __init__(self) -> None:
        self.records: list[Failed] = []
        self._queues: dict[str, deque[tuple[int, Failed]]] = {}
        self._is_in_step = False
        self._repeated: tuple[int, int] | None = None  # what no record tells of

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def add(self, record: Failed) -> None:
        """Take in a `failed` record, once."""
        if all(known.n != record.n for known in self.records):
            self.records.append(record)

    def expect(self, n: int, lane: str, record: Failed) -> None:
        """Record n of a lane was made in that step."""
        self._queues.setdefault(lane, deque()).append((n, record))

    def next(self, lane: str) -> int | None:
        """n of the record that a lane has to repeat next, None where there is none."""
        queue = self._queues.get(lane)
        return queue[0][0] if queue else None

    def pop(self, lane: str) -> None:
        """It was repeated."""
        self._queues[lane].popleft()

    def drop(self, lane: str | None) -> None:
        """Expect nothing more of a lane, or of any."""
        for name in list(self._queues) if lane is None else [lane]:
            self._queues.pop(name, None)

    def pass_step(self, key: str, n: int) -> None:
        """The program passes a step that is not run again, whose result is record n: it does not repeat that step's tries, nor
        what came before."""
        for lane, queue in self._queues.items():
            self._queues[lane] = deque(entry for entry in queue if entry[0] > n and entry[1].key != key)

    def firsts(self) -> Iterator[tuple[int, str]]:
        """n of what each lane has to repeat next, and the lane."""
        return ((queue[0][0], lane) for lane, queue in self._queues.items() if queue)

    def ranges(self, lane: str | None) -> list[Range]:
        """What is still expected of a lane, or of all, one range for each try."""
        spans: dict[tuple[str, int], tuple[int, int]] = {}
        for name, queue in sorted(self._queues.items()):
            for n, record in queue if lane in (None, name) else ():
                first, _ = spans.get((name, record.n), (n, n))
                spans[name, record.n] = first, n
        return [Range(first=first, last=last, lane=name, failed=True) for (name, _), (first, last) in spans.items()]

    # The step that the program is in ----------------------------------------------------------------------------------

    def begin(self) -> None:
        """The program runs a step outside every other."""
        self._is_in_step, self._repeated = True, None

    def end(self) -> None:
        """… and has left it."""
        self._is_in_step = False

    def note(self, n: int) -> None:
        """Record n was repeated, and is not top-level."""
        if self._is_in_step and not any(record.first <= n <= record.last for record in self.records):
            first, last = self._repeated or (n, n)
            self._repeated = min(first, n), max(last, n)

    def span(self, before: int, last: int) -> tuple[int, int] | None:
        """First and last of what was recorded or repeated in the step, None where the log tells that already. before, last: of
        the records when it began, and now."""
        spans = [(before + 1, last)] if last > before else []
        if self._repeated is not None:
            spans.append(self._repeated)
        return (min(first for first, _ in spans), max(to for _, to in spans)) if spans else None
