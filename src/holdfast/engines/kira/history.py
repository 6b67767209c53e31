"""What was emitted: how much ever, and the last of it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

from holdfast.engines.kira.fields import Fields

T = TypeVar("T")

KEPT = 1_000


class History(Sequence[T], Generic[T]):
    """A sequence that only grows, of which the last `limit` items are kept.

    len() counts all that were ever appended, and positions count from the first of them. Asking for one that is no
    longer kept raises IndexError; iterating goes over those that are.
    """

    def __init__(self, items: Iterable[T] = (), *, limit: int = KEPT) -> None:
        self._kept: deque[T] = deque(maxlen=limit)
        self._count = 0
        for item in items:
            self.append(item)

    def copy(self) -> "History[T]":
        """Another one with the same count and items."""
        copied: History[T] = History(self._kept, limit=self._kept.maxlen or KEPT)
        copied._count = self._count
        return copied

    def append(self, item: T) -> None:
        self._kept.append(item)
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._kept))  # as they are now, whatever is appended meanwhile

    def __contains__(self, item: object) -> bool:
        return item in self._kept

    @property
    def forgotten(self) -> int:
        """How many of the first are no longer kept."""
        return self._count - len(self._kept)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            wanted = range(*index.indices(self._count))
            if wanted and min(wanted[0], wanted[-1]) < self.forgotten:
                raise self._no_longer_kept(min(wanted[0], wanted[-1]))
            kept = list(self._kept)
            return [kept[position - self.forgotten] for position in wanted]
        position = index + self._count if index < 0 else index
        if not 0 <= position < self._count:
            raise IndexError(f"position {index}: {self._count} items were appended")
        if position < self.forgotten:
            raise self._no_longer_kept(position)
        return self._kept[position - self.forgotten]

    def _no_longer_kept(self, position: int) -> IndexError:
        return IndexError(
            f"position {position}: of {self._count} items the last {len(self._kept)} are kept here; "
            "a session keeps all of them in its log"
        )

    def latest(self, count: int) -> list[T]:
        """The last items, at most `count`, and no more than are kept."""
        return self[-min(count, len(self._kept)) :] if self._kept and count > 0 else []

    def __eq__(self, other: object) -> bool:
        if isinstance(other, History):
            return self._count == other._count and self._kept == other._kept
        return isinstance(other, list) and not self.forgotten and list(self._kept) == other

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        return f"History({self._count} items, {len(self._kept)} kept)"

    def clear(self) -> None:
        self._kept.clear()
        self._count = 0

    def state_dict(self) -> dict[str, object]:
        """The count and the kept items, copied: texts, and mappings of plain values and lists of them."""
        return {"count": self._count, "kept": [_copied(item) for item in self._kept]}

    @classmethod
    def from_state(cls, fields: Fields, read: Callable[[object, str], T], *, limit: int = KEPT) -> "History[T]":
        """A history with what a state_dict holds; `read(item, path)` takes each item."""
        items, count = fields.items("kept", read), fields.count("count")
        if len(items) > count:
            raise fields.wrong("kept", f"{len(items)} items are kept of {count} that were ever appended")
        history = cls(items, limit=limit)
        history._count = count
        return history


def _copied(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    return {key: list(value) if isinstance(value, list) else value for key, value in item.items()}
