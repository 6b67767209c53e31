"""Lazy sequences of typed rows over what was saved: they read what is asked for, and keep little of it."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import msgspec

from holdfast.reading.blocks import Block, block_of, line_blocks
from holdfast.reading.outline import FIRST_PAGE, Outlines, Stretch
from holdfast.reading.rows import Row
from holdfast.reading.shelves import Shelf
from holdfast.reading.superseded import SupersededSpans, superseded_spans
from holdfast.storage.reader import LogReader

if TYPE_CHECKING:
    from numpy.typing import NDArray

R = TypeVar("R", bound=Row)
_LAST_ONES = 64  # rows that an index from the end may ask for without counting
_NEAR_THE_END = 4096  # rows that are read backwards; more are counted off from the beginning
_CACHED_ROWS = 50_000


class Source:
    """One session to read from: opened when it is first needed, and the same snapshot from then on.

    opened: gives its log as it is now; takes a reader of an earlier moment, which makes that cheaper, or None. located: has
    what is raised for a line say where that stands.
    """

    def __init__(
        self,
        session: str,
        opened: Callable[[LogReader | None], LogReader],
        located: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.session, self.opened, self.located = session, opened, located
        self._reader: LogReader | None = None
        self._spans: SupersededSpans | None = None

    @property
    def reader(self) -> LogReader:
        """The snapshot."""
        if self._reader is None:
            self._reader = self.opened(None)
        return self._reader

    @property
    def spans(self) -> SupersededSpans:
        """What was superseded in it."""
        if self._spans is None:
            self._spans = superseded_spans(self.reader)
        return self._spans


class _Page(msgspec.Struct, frozen=True):
    """A stretch in which rows were found: they are the ones up to `end` in the whole sequence."""

    source: int
    first: int
    last: int
    end: int


class Rows(Sequence[R], Generic[R]):
    """Rows of one kind, session after session, each in the order of its log. Nothing is read before it is asked for.

    A slice is a list. len() counts without decoding where it can, a second time from memory. An index near either end
    costs a page; one in between counts up to there once. What was decoded last is kept, some 50,000 rows. A running
    session is seen as it stood when it was first read from: ask the workspace again for what came since. Raises
    Corrupted, naming the byte, where something turns out damaged.
    """

    def __init__(self, sources: Sequence[Source], shelf: Shelf[R], outlines: Outlines, *, last: int | None = None) -> None:
        self._sources, self._shelf, self._outlines, self._last = sources, shelf, outlines, last
        self._pages: list[_Page] = []
        self._counting: Iterator[_Page] | None = None  # None before it has begun
        self._is_counted = False
        self._cached: OrderedDict[int, list[R]] = OrderedDict()
        self._tail: list[R] | None = None

    def __iter__(self) -> Iterator[R]:
        if self._last is None:
            return self._forwards() if not self._is_counted else self._over_pages()
        return iter(self._last_rows()) if self._is_near_end else map(self._at, self._span(len(self)))

    def __len__(self) -> int:
        if self._is_near_end:
            return len(self._last_rows())
        total = self._count_to(None)
        return total if self._last is None else min(self._last, total)

    @overload
    def __getitem__(self, index: int) -> R: ...
    @overload
    def __getitem__(self, index: slice) -> list[R]: ...
    def __getitem__(self, index: int | slice) -> R | list[R]:
        if self._is_near_end:
            return self._last_rows()[index]
        if isinstance(index, slice):
            return [self._at(position) for position in self._positions(index)]
        if self._last is None and -_LAST_ONES <= index < 0:
            return self._from_end(index)
        position = index if index >= 0 else len(self) + index
        if self._last is not None:
            inside = 0 <= position < len(self)
            position = position + self._span(len(self)).start if inside else -1
        if position < 0 or self._count_to(position) <= position:
            raise IndexError(f"row {index} of {len(self)}")
        return self._at(position)

    def __bool__(self) -> bool:
        return next(iter(self), None) is not None

    def __repr__(self) -> str:
        sessions = ", ".join(source.session for source in self._sources[:3]) + (", …" if len(self._sources) > 3 else "")
        return f"<{self._shelf.row_type.__name__}s of {sessions or 'no session'}>"

    def to_numpy(self) -> "dict[str, NDArray[Any]]":
        """All rows as a dict of arrays, a column each; an absent number is NaN, what is no number an object."""
        from holdfast.reading.tables import to_numpy

        return to_numpy(self, self._shelf.row_type)

    def to_arrow(self) -> Any:
        """All rows as a pyarrow.Table; user values as JSON text. Raises UsageError where pyarrow is not installed."""
        from holdfast.reading.tables import to_arrow

        return to_arrow(self, self._shelf.row_type)

    def to_pandas(self) -> Any:
        """All rows as a pandas.DataFrame, user values as they are. Raises UsageError where pandas is not installed."""
        from holdfast.reading.tables import to_pandas

        return to_pandas(self, self._shelf.row_type)

    def to_polars(self) -> Any:
        """All rows as a polars.DataFrame; user values as JSON text. Raises UsageError where polars is not installed."""
        from holdfast.reading.tables import to_polars

        return to_polars(self, self._shelf.row_type)

    # How it is done --------------------------------------------------------------------------------------------------

    def _forwards(self) -> Iterator[R]:
        for source in self._sources:
            with source.located():
                start, spans = min(FIRST_PAGE, source.reader.last), source.spans
                for first, last in ((1, start), (start + 1, None)):
                    for block in line_blocks(source.reader, first, last):
                        yield from self._shelf.rows(source.session, block, spans)

    def _over_pages(self) -> Iterator[R]:
        for index in range(len(self._pages)):
            yield from self._page_rows(index)

    def _span(self, total: int) -> range:
        """The positions of the last rows among all, `total` of which are wanted."""
        everything = self._count_to(None)
        return range(everything - total, everything)

    def _positions(self, index: slice) -> range:
        if self._last is not None:
            return self._span(len(self))[index]
        start, stop, step = index.start, index.stop, index.step
        if (start is None or start >= 0) and stop is not None and stop >= 0 and (step is None or step > 0):
            return range(min(stop, self._count_to(stop)))[index]
        return range(len(self))[index]

    def _from_end(self, index: int) -> R:
        if self._tail is None:
            self._tail = self._backwards(_LAST_ONES)
        return self._tail[index]

    @property
    def _is_near_end(self) -> bool:
        """Whether no more than the last few are wanted, which are found from the end on."""
        return self._last is not None and self._last <= _NEAR_THE_END

    def _last_rows(self) -> list[R]:
        if self._tail is None:
            self._tail = self._backwards(self._last or 0)
        return self._tail

    def _backwards(self, count: int) -> list[R]:
        """The last rows, in order, from the end on."""
        found: list[list[R]] = []  # newest first
        missing = count
        for source in reversed(self._sources):
            if missing <= 0:
                break
            with source.located():
                reader, spans, end, size = source.reader, source.spans, source.reader.last, FIRST_PAGE
                lines = reader.read_backwards()
                while end > 0 and missing > 0:
                    piece = [line for _, line in islice(lines, size)][::-1]
                    block = Block(end - len(piece) + 1, end, b"\n".join(piece))
                    rows = self._shelf.rows(source.session, block, spans)[-missing:]
                    found.append(rows)
                    end, missing, size = block.first - 1, missing - len(rows), _NEAR_THE_END
        return [row for rows in reversed(found) for row in rows]

    def _at(self, position: int) -> R:
        """The row at a position that was counted."""
        index = bisect_right(self._pages, position, key=lambda page: page.end)
        return self._page_rows(index)[position - self._pages[index].end]

    def _page_rows(self, index: int) -> list[R]:
        rows = self._cached.get(index)
        if rows is not None:
            self._cached.move_to_end(index)
            return rows
        page = self._pages[index]
        source = self._sources[page.source]
        with source.located():
            block = block_of(source.reader, page.first, page.last)
            rows = self._cached[index] = self._shelf.rows(source.session, block, source.spans)
        while len(self._cached) > 1 and sum(map(len, self._cached.values())) > _CACHED_ROWS:
            self._cached.popitem(last=False)
        return rows

    def _count_to(self, position: int | None) -> int:
        """How many rows there are, as far as is known; at least up to `position`, all of them where that is None."""
        if self._counting is None:
            self._counting = self._count()
        try:
            while not self._is_counted and (position is None or self._known <= position):
                page = next(self._counting, None)
                if page is None:
                    self._is_counted = True
                else:
                    self._pages.append(page)
        except BaseException:  # what failed once is asked again from the beginning
            self._counting = None
            self._pages.clear()
            self._cached.clear()
            raise
        return self._known

    @property
    def _known(self) -> int:
        return self._pages[-1].end if self._pages else 0

    def _count(self) -> Iterator[_Page]:
        end = 0
        for index, source in enumerate(self._sources):
            with source.located():
                for extent in source.reader.past.extents:
                    if extent.last < extent.header.first:
                        continue
                    outline = self._outlines.of(source.reader, extent)
                    for stretch, block in outline.walk(source.reader, extent):
                        if count := self._count_in(source, stretch, block):
                            end += count
                            yield _Page(index, stretch.first, stretch.last, end)

    def _count_in(self, source: Source, stretch: Stretch, block: Block | None) -> int:
        wanted, kinds, spans = self._shelf.filter, self._shelf.kinds, source.spans
        records = sum(stretch.kinds.get(kind, 0) for kind in kinds)
        if not records or _is_outside(self._shelf, stretch):
            return 0
        is_whole = wanted.is_open and (wanted.superseded or not spans.touches(stretch.first, stretch.last))
        if is_whole and not ({"tokens", "metric"} & stretch.kinds.keys() & set(kinds)):  # those hold several rows a record
            return records
        if block is None:
            block = block_of(source.reader, stretch.first, stretch.last)
        count, ranges = self._shelf.count(block, spans)
        if ranges is not None:
            stretch.ranges = ranges
        return count


def _is_outside(shelf: Shelf[R], stretch: Stretch) -> bool:
    """Whether no token of the stretch can pass, by its ranges."""
    wanted, ranges = shelf.filter, stretch.ranges
    if ranges is None or shelf.kinds != ("token", "tokens"):
        return False
    if wanted.z is not None and (ranges.z is None or ranges.z[1] < wanted.z[0] or wanted.z[1] < ranges.z[0]):
        return True
    if wanted.since is not None and ranges.ts[1] < wanted.since:
        return True
    return wanted.until is not None and ranges.ts[0] >= wanted.until
