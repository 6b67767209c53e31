"""An engine's past under a session: sequences over the log, which is where everything that was recorded lies already."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence
from itertools import islice
from typing import Any, Generic, NoReturn, TypeVar, overload

from holdfast import codec
from holdfast.errors import Corrupted, NoSession, UsageError
from holdfast.reading.view import canonical_records
from holdfast.sessions.session import Run
from holdfast.storage.reader import LogReader

T = TypeVar("T")
_MARK_EVERY = 512  # items between two places that are remembered


class Logged(MutableSequence[T], Generic[T]):
    """All items of one kind that a session recorded, oldest first. The log holds them; here are their number and the last few.

    It grows by what is recorded: whoever records an item calls `heard`. `append` and `assign` record by themselves. An
    older item is read from the log when it is asked for: the first time that costs the log up to there, later little.
    Removing and replacing raise UsageError, as a log only grows.

    belongs: whether a canonical record holds one of the items. item_of: the item. record: makes the record of an item.
    run: the session, None before it is open; nothing can be asked of the log or recorded until then.
    """

    def __init__(
        self,
        *,
        belongs: Callable[[Mapping[str, Any]], bool],
        item_of: Callable[[Mapping[str, Any]], T],
        record: Callable[[Run, T], object],
        recent: int,
    ) -> None:
        self._belongs, self._item_of, self._record = belongs, item_of, record
        self.run: Run | None = None
        self._count = self._skipped = 0  # items, and ones of the log before the first of them
        self._recent: deque[T] = deque(maxlen=recent)
        self._marks = [(0, 1)]  # items of the log before a record, and n of that record
        self._reader: LogReader | None = None

    def heard(self, item: T) -> None:
        """An item was recorded."""
        self._recent.append(item)
        self._count += 1

    def append(self, value: T) -> None:
        """Record an item."""
        self._record(self._session, value)
        self.heard(value)

    def assign(self, items: Iterable[T]) -> None:
        """Have these items, and no others; they are recorded. The log keeps the ones before."""
        new = list(items)
        self._skipped, self._count = self._skipped + self._count, 0
        self._recent.clear()
        for item in new:
            self.append(item)

    def clear(self) -> None:
        """Begin anew, without an item; the log keeps the ones before."""
        self.assign(())

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        return self._between(0, self._count)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            wanted = range(*index.indices(self._count))
            if not wanted:
                return []
            low, high = min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1])
            items = list(self._between(low, high + 1))
            return [items[position - low] for position in wanted]
        position = index + self._count if index < 0 else index
        if not 0 <= position < self._count:
            raise IndexError(f"position {index}: {self._count} items were recorded")
        return next(self._between(position, position + 1))

    def __repr__(self) -> str:
        return f"Logged({self._count} items)"

    def insert(self, index: int, value: T) -> NoReturn:
        """Raise UsageError."""
        raise self._only_grows()

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise self._only_grows()

    def __delitem__(self, index: Any) -> NoReturn:
        raise self._only_grows()

    def state_dict(self) -> dict[str, Any]:
        """Number and last items: of bounded size, whatever was recorded."""
        return {"count": self._count, "skipped": self._skipped, "recent": list(self._recent)}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Go back to where a state_dict was taken."""
        self._count, self._skipped = state["count"], state["skipped"]
        self._recent.clear()
        self._recent.extend(state["recent"])

    @property
    def _session(self) -> Run:
        if self.run is None:
            raise NoSession
        return self.run

    def _only_grows(self) -> UsageError:
        return UsageError(
            "what was recorded cannot be changed or removed; nothing was. append() adds an item, assign() begins anew"
        )

    def _between(self, first: int, end: int) -> Iterator[T]:
        """Items first to end−1; the recent ones without the log."""
        kept_from = self._count - len(self._recent)
        if first < kept_from:
            yield from islice(self._read(first), min(kept_from, end) - first)
        kept = list(self._recent)
        for place in range(max(first, kept_from), end):
            yield kept[place - kept_from]

    def _read(self, first: int) -> Iterator[T]:
        """The log's items from position `first` on."""
        self._session.flush()
        if self._reader is None:
            self._reader = self._session.reader()
        else:
            self._reader.refresh()
        wanted = first + self._skipped
        place, n = max(mark for mark in self._marks if mark[0] <= wanted)
        for found, fields in canonical_records(self._reader, n):
            if not self._belongs(fields):
                continue
            if place > self._marks[-1][0] and place % _MARK_EVERY == 0:
                self._marks.append((place, found))
            if place >= wanted:
                yield self._item_of(fields)
            place += 1
        raise Corrupted(
            self._reader.folder, 0, f"{place} items are in the log, and {self._skipped + self._count} were recorded"
        )


def text_of(fields: Mapping[str, Any]) -> str:
    """The text of a token's record."""
    return str(codec.decode(fields["token"]))
