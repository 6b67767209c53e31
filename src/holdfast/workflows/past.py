"""An engine's past under a session: sequences over the log, which is where everything that was recorded lies already."""

import operator
from binascii import a2b_base64
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence
from itertools import islice
from typing import Any, Generic, NoReturn, TypeVar, overload

import msgspec

from holdfast import codec
from holdfast.errors import Corrupted, InvalidValue, NoSession, UsageError
from holdfast.reading.view import is_superseded, superseded_records
from holdfast.records import UNREADABLE, BadRecord, Superseded
from holdfast.sessions.session import Run

T = TypeVar("T")
_MARK_EVERY = 512  # records between two places that are remembered
_fields_of = msgspec.json.Decoder(dict[str, Any]).decode


class Logged(MutableSequence[T], Generic[T]):
    """All items of one kind that a session recorded, oldest first. The log holds them; here are their number and the last few.

    It grows by what is recorded: whoever records an item calls `heard`. `append` and `assign` record by themselves. An
    older item is read from the log when it is asked for, also after the session's end: the first time that costs the log
    as it is then, later what was appended since, and some records. Items are handed out as copies. Removing and replacing
    raise UsageError, as a log only grows.

    kind, belongs: of the canonical records that hold the items; belongs looks at a decoded one. item_of: the item. record:
    makes the record of an item. checked: the item for any value, by its path: a copy; raises InvalidValue. run: the
    session, None before it is open; nothing can be asked of the log or recorded until then.
    """

    def __init__(
        self,
        *,
        kind: str,
        belongs: Callable[[Mapping[str, Any]], bool],
        item_of: Callable[[Mapping[str, Any]], T],
        record: Callable[[Run, T], object],
        checked: Callable[[object, str], T],
        recent: int,
    ) -> None:
        self._kind, self._belongs, self._item_of = kind, belongs, item_of
        self._record, self._checked = record, checked
        self.run: Run | None = None
        self._count = self._skipped = 0  # items, and ones of the log before the first of them
        self._recent: deque[T] = deque(maxlen=recent)
        self._log: _Items | None = None

    def heard(self, item: T) -> None:
        """An item was recorded. It is the caller's no more."""
        self._recent.append(item)
        self._count += 1

    def append(self, value: T) -> None:
        """Record an item."""
        item = self._checked(value, f"{self._kind}[{self._count}]")
        self._record(self._session, item)
        self.heard(item)

    def extend(self, values: Iterable[T]) -> None:
        """Record several items, all of which are checked first."""
        for item in self._all_checked(values):
            self._record(self._session, item)
            self.heard(item)

    def assign(self, items: Iterable[T]) -> None:
        """Have these items, and no others; they are recorded. The log keeps the ones before.

        All are checked first; where one is wrong, or the first cannot be recorded, nothing is changed.
        """
        session, new = self._session, self._all_checked(items)
        if not new:
            self._begin_anew()
        for place, item in enumerate(new):
            self._record(session, item)
            if place == 0:
                self._begin_anew()
            self.heard(item)

    def clear(self) -> None:
        """Begin anew, without an item; the log keeps the ones before."""
        self._begin_anew()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        """The items that are there now, whatever is recorded meanwhile."""
        return self._between(0, self._count)

    def __reversed__(self) -> Iterator[T]:
        between, ends = self._now(), range(self._count, 0, -_MARK_EVERY)
        return (item for end in ends for item in reversed(list(between(max(0, end - _MARK_EVERY), end))))

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
        position = operator.index(index)
        position += self._count if position < 0 else 0
        if not 0 <= position < self._count:
            raise IndexError(f"position {index}: {self._count} items were recorded")
        return next(self._between(position, position + 1))

    def index(self, value: object, start: int = 0, stop: int | None = None) -> int:
        """The first position of an item; ValueError where it is none of them."""
        wanted = range(*slice(start, stop).indices(self._count))
        for position, item in zip(wanted, self._between(wanted.start, wanted.stop), strict=False):
            if item == value:
                return position
        raise ValueError(f"{value!r} is none of the items")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list | Logged):
            return NotImplemented
        return self is other or (len(self) == len(other) and all(map(operator.eq, self, other)))

    __hash__ = None  # type: ignore[assignment]  # it grows

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
        return {"count": self._count, "skipped": self._skipped, "recent": [self._copied(item) for item in self._recent]}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Go back to where a state_dict was taken."""
        recent = [self._copied(item) for item in state["recent"]]
        self._count, self._skipped = state["count"], state["skipped"]
        self._recent.clear()
        self._recent.extend(recent)

    @property
    def _session(self) -> Run:
        if self.run is None:
            raise NoSession
        return self.run

    def _only_grows(self) -> UsageError:
        return UsageError(
            "what was recorded cannot be changed or removed; nothing was. append() adds an item, assign() begins anew"
        )

    def _copied(self, item: T) -> T:
        return self._checked(item, self._kind)

    def _all_checked(self, values: Iterable[T]) -> list[T]:
        if isinstance(values, str | bytes | Mapping):
            raise InvalidValue(f"{self._kind}s", f"a list of them belongs here, and {type(values).__name__} came")
        return [self._checked(value, f"{self._kind}[{place}]") for place, value in enumerate(values)]

    def _begin_anew(self) -> None:
        self._skipped, self._count = self._skipped + self._count, 0
        self._recent.clear()

    def _between(self, first: int, end: int) -> Iterator[T]:
        """Items first to end−1 of those that are there now; the recent ones without the log."""
        return self._now()(first, end)

    def _now(self) -> Callable[[int, int], Iterator[T]]:
        """What _between does, for the items as they are now, whatever is recorded or assigned meanwhile."""
        kept, skipped = tuple(self._recent), self._skipped
        kept_from = self._count - len(kept)

        def between(first: int, end: int) -> Iterator[T]:
            if first < kept_from:
                older = self._items().read(first + skipped)
                yield from map(self._item_of, islice(older, min(kept_from, end) - first))
            for place in range(max(first, kept_from), end):
                yield self._copied(kept[place - kept_from])

        return between

    def _items(self) -> "_Items":
        """The items of the log that the session writes now: after a fork, another one."""
        session = self._session
        session.flush_accepted()
        if self._log is None or self._log.folder != session.path:
            self._log = _Items(session, self._kind, self._belongs)
        else:
            self._log.refresh()
        return self._log


class _Items:
    """The canonical records of a log that hold items, found by their place among them."""

    def __init__(self, run: Run, kind: str, belongs: Callable[[Mapping[str, Any]], bool]) -> None:
        self.folder, self._reader = run.path, run.reader()
        self._opening = b'{"kind":"%b"' % kind.encode()  # how a line of that kind begins
        self._belongs = belongs
        self._marks = [(0, 1)]  # items before a record, and n of that record
        self._superseded: list[Superseded] = []
        self._looked_to = 0  # n up to which `superseded` records are known
        self._look()

    def refresh(self) -> None:
        """Take in what was appended since; costs what is new."""
        self._reader.refresh()
        self._look()

    def read(self, first: int) -> Iterator[dict[str, Any]]:
        """The items' records from place `first` on, to the end of the log as it is now. Raises Corrupted there."""
        reader, superseded = self._reader, list(self._superseded)
        marks, last = self._marks, reader.last
        place, start = marks[bisect_right(marks, first, key=operator.itemgetter(0)) - 1]
        for n, line in reader.read(start, last):
            if marks is self._marks and n - marks[-1][1] >= _MARK_EVERY:
                marks.append((place, n))
            if not line.startswith(self._opening):
                continue
            try:
                fields = _fields_of(line)
            except UNREADABLE as error:
                raise BadRecord(line, str(error)) from None
            lane, top = fields.get("lane") or "", fields.get("top", False)
            if not self._belongs(fields) or is_superseded(n, lane, top, superseded):
                continue
            if place >= first:
                yield fields
            place += 1
        raise Corrupted(reader.folder, 0, f"it holds {place} of the items, and more were recorded")

    def _look(self) -> None:
        """Find the `superseded` records that were appended, and forget the marks behind the records they take back."""
        new = superseded_records(self._reader, self._looked_to + 1)
        self._looked_to = self._reader.last
        if new:
            self._superseded += new
            first = min((span.first for record in new for span in record.ranges), default=self._looked_to)
            self._marks = [mark for mark in self._marks if mark[1] <= first]


def text_of(fields: Mapping[str, Any]) -> str:
    """The text of a token's record."""
    return exact_text(codec.decode(fields["token"]), fields.get("raw"))


def exact_text(shown: object, raw: str | None) -> str:
    """A text as it was recorded: raw is base64 of its bytes where it cannot be shown."""
    return str(shown) if raw is None else a2b_base64(raw).decode("utf-8", "surrogatepass")
