"""What is known of a log's segments without reading them again: how many records of which kind stand where."""

import threading
import zlib
from collections import Counter, OrderedDict
from collections.abc import Iterator
from itertools import chain

import msgspec

from holdfast.reading.blocks import Block, line_blocks
from holdfast.reading.shelves import Ranges
from holdfast.records import kind_of
from holdfast.storage.reader import LogReader
from holdfast.storage.recovery import Extent

MAX_STRETCHES = 50_000  # of about 5,000 records: some 15 MB that tell of 250 million records
FIRST_PAGE = 256
"""Records that are looked at on their own, at the beginning of a log: who wants the first rows does not pay for more."""
_STRETCH_ROWS = 4096
_SEALED_ROWS = 64 * _STRETCH_ROWS  # that are asked for at once
_TOKEN = b'{"kind":"token",'


class Stretch(msgspec.Struct, kw_only=True):
    """The records first to last of a segment: how many of which kind, and of the tokens the ranges, once somebody looked."""

    first: int
    last: int
    kinds: dict[str, int]
    ranges: Ranges | None = None


class SegmentOutline:
    """The stretches of one segment, as far as it was looked through: that is never read again for them."""

    def __init__(self) -> None:
        self.stretches: list[Stretch] = []
        self._lock = threading.Lock()

    def walk(self, reader: LogReader, extent: Extent) -> Iterator[tuple[Stretch, Block | None]]:
        """Every stretch up to the end of the extent, and its block where it had to be read; in order, and gap-free."""
        n = extent.header.first
        for stretch in tuple(self.stretches):
            if stretch.last > extent.last:
                break  # another reader saw more
            yield stretch, None
            n = stretch.last + 1
        page = min(n + FIRST_PAGE, extent.last + 1) if n == 1 else n
        if extent.is_sealed:
            for stretch in _sealed_stretches(reader, extent, n):
                self._keep(stretch, extent)
                yield stretch, None
            return
        for block in chain(line_blocks(reader, n, page - 1), line_blocks(reader, page, extent.last)):
            stretch = Stretch(first=block.first, last=block.last, kinds=_kinds_of(block))
            self._keep(stretch, extent)
            yield stretch, block

    def _keep(self, stretch: Stretch, extent: Extent) -> None:
        with self._lock:
            if stretch.first == (self.stretches[-1].last + 1 if self.stretches else extent.header.first):
                self.stretches.append(stretch)


class Outlines:
    """The outlines of the segments that were read last, in bounded memory; they may be shared by threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int, int], SegmentOutline] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, reader: LogReader, extent: Extent) -> SegmentOutline:
        """The outline of a segment: the same one as long as its file begins with the same record."""
        if extent.is_sealed:
            key = str(extent.path), extent.header.first, extent.crc
        else:  # its crc changes as it grows
            first = reader.find(extent.header.first)
            key = str(extent.path), extent.header.first, zlib.crc32(first, zlib.crc32(extent.header.boot.encode()))
        with self._lock:
            found = self._known.pop(key, None) or SegmentOutline()
            self._known[key] = found
            while sum(len(outline.stretches) for outline in self._known.values()) > MAX_STRETCHES and len(self._known) > 1:
                self._known.popitem(last=False)
            return found


def _sealed_stretches(reader: LogReader, extent: Extent, first: int) -> Iterator[Stretch]:
    """The stretches of a sealed segment from record `first` on, by the one column that says it, without a look at the lines."""
    sealed = reader.sealed(extent.path)
    while first <= extent.last:
        end = min(first + (_SEALED_ROWS if first > 1 else FIRST_PAGE) - 1, extent.last)
        kinds = sealed.columns(("kind",), first, end)["kind"].tolist()
        for start in range(0, len(kinds), _STRETCH_ROWS):
            piece = kinds[start : start + _STRETCH_ROWS]
            yield Stretch(first=first + start, last=first + start + len(piece) - 1, kinds=dict(Counter(map(str, piece))))
        first = end + 1


def _kinds_of(block: Block) -> dict[str, int]:
    records = block.last - block.first + 1
    tokens = block.data.count(b"\n" + _TOKEN) + block.data.startswith(_TOKEN)
    if tokens == records:
        return {"token": tokens}
    return dict(Counter(map(kind_of, block.lines())))
