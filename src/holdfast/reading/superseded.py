"""What of a log was superseded: the ranges, ready to be asked about single records and whole stretches."""

from bisect import bisect_right
from collections.abc import Iterable

from holdfast.reading.blocks import Block, line_blocks
from holdfast.records import Checkpoint, Superseded, decode_bookkeeping
from holdfast.storage.reader import LogReader
from holdfast.storage.recovery import Extent

_MOST_SEGMENTS = 4096
_known: dict[tuple[str, int, int, int], tuple[Superseded, ...]] = {}  # by segment, how far it counts, and the sum over that
_MARK = b'{"kind":"superseded"'


class SupersededSpans:
    """The numbers that `superseded` records take back, lane by lane, the top-level ones apart."""

    def __init__(self, records: Iterable[Superseded] = ()) -> None:
        self._spans: dict[tuple[str, bool], list[tuple[int, int]]] = {}
        self.records = tuple(records)
        for record in self.records:
            for span in record.ranges:
                if span.first <= (last := min(span.last, record.n - 1)):
                    self._spans.setdefault((span.lane, span.top), []).append((span.first, last))
        for key, spans in self._spans.items():
            self._spans[key] = _merged(spans)

    def __bool__(self) -> bool:
        return bool(self._spans)

    def covers(self, n: int, lane: str | None, top: bool) -> bool:
        """Whether record n, of this lane and level, was superseded."""
        spans = self._spans.get((lane or "", top))
        return spans is not None and _covers(spans, n)

    def touches(self, first: int, last: int) -> bool:
        """Whether any of the records first to last may have been superseded."""
        return any(_touches(spans, first, last) for spans in self._spans.values())

    def between(self, first: int, last: int) -> list[tuple[str, bool, int, int]]:
        """The ranges that touch the records first to last: lane ("" for the default one), level, first and last number."""
        return [
            (lane, top, begin, end)
            for (lane, top), spans in self._spans.items()
            for begin, end in spans
            if begin <= last and end >= first
        ]


def superseded_spans(reader: LogReader, first: int = 1) -> SupersededSpans:
    """What the `superseded` records from number `first` on take back; reads at the pace of memory, and decodes only those.

    The log's first attempt is passed over: one only ever supersedes what earlier ones recorded (docs/format.md, "The
    canonical view"). What was found in a segment is remembered as long as the process lives.
    """
    found: list[Superseded] = []
    for extent in reader.past.extents:
        if extent.header.attempt != reader.past.extents[0].header.attempt and extent.last >= first:
            found += (record for record in _superseded_of(reader, extent) if record.n >= first)
    return SupersededSpans(found)


def _superseded_of(reader: LogReader, extent: Extent) -> tuple[Superseded, ...]:
    key = str(extent.path), extent.header.first, extent.end, extent.crc
    found = _known.get(key)
    if found is None:
        blocks = line_blocks(reader, extent.header.first, extent.last)
        found = tuple(record for block in blocks for record in superseded_in(block))
        while len(_known) >= _MOST_SEGMENTS:
            _known.pop(next(iter(_known)), None)
        _known[key] = found
    return found


def superseded_in(block: Block) -> list[Superseded]:
    """The `superseded` records among the lines of a block. Raises BadRecord."""
    if _MARK not in block.data:
        return []
    found = [decode_bookkeeping(line) for line in block.lines() if line.startswith(_MARK)]
    return [record for record in found if isinstance(record, Superseded)]


def is_dead(record: Checkpoint, later: Iterable[Superseded]) -> bool:
    """Whether a checkpoint's state contains what one of the superseded records behind it took back."""
    for superseded in later:
        if superseded.rewound is not None and superseded.rewound < record.n < superseded.n:
            return True
        for span in superseded.ranges:
            matched_up_to = record.position["main"]
            if span.lane in record.behind:
                matched_up_to = min(matched_up_to, record.behind[span.lane] - 1)
            if not span.top and not span.failed and superseded.n > record.n and span.first <= matched_up_to:
                return True
    return False


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return merged


def _covers(spans: list[tuple[int, int]], n: int) -> bool:
    at = bisect_right(spans, (n, 1 << 63)) - 1
    return at >= 0 and n <= spans[at][1]


def _touches(spans: list[tuple[int, int]], first: int, last: int) -> bool:
    at = bisect_right(spans, (last, 1 << 63)) - 1
    return at >= 0 and first <= spans[at][1]
