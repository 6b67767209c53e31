"""A piece of the index: the tokens of a stretch of one log, by text and by column; in memory, or mapped from a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from holdfast.reading.index.dictionary import Dictionary, Selection, dictionary_of
from holdfast.reading.superseded import SupersededSpans
from holdfast.records import Superseded

if TYPE_CHECKING:
    from holdfast.reading.index.sorted_lines import Array

NAMED = ("phase", "tier", "source", "lane")
"""Columns that hold few different values: a code a row, and the values by code."""


@dataclass(frozen=True, eq=False)
class Piece:
    """The tokens of the records first to last. A row is a token; rows are in the order of the log.

    mark: of the record `last`, by which a log is known again (store.mark_of). postings: rows by text, those of id i from
    `starts[i]` to `starts[i + 1]`, ascending. codes: the id of each row's text. columns: `n` (counted from first), `place`,
    `z` (NaN: none), `ts` (counted from base_ts), `top`, and a code each for NAMED, whose values are in `names`. superseded: the
    records of that kind in this stretch; what they take back lies before them, perhaps in other pieces.
    """

    first: int
    last: int
    mark: int
    dictionary: Dictionary
    starts: "Array"
    postings: "Array"
    codes: "Array"
    columns: Mapping[str, "Array"]
    names: Mapping[str, Sequence[Any]]
    base_ts: int
    superseded: tuple[Superseded, ...] = ()
    _dead: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.codes)

    def count(self, selection: Selection, dead: "Dead | None" = None) -> int:
        """How many rows have one of the texts."""
        starts = self.starts if dead is None else dead.starts
        if isinstance(selection, slice):
            return int(starts[selection.stop]) - int(starts[selection.start]) if selection.stop > selection.start else 0
        return int((starts[selection + 1].astype("int64") - starts[selection]).sum())

    def counts(self, selection: Selection, dead: "Dead | None" = None) -> "Array":
        """How many rows each of the texts has."""
        import numpy as np

        ids = np.arange(selection.start, selection.stop) if isinstance(selection, slice) else selection
        starts = self.starts if dead is None else dead.starts
        counts: Array = starts[ids + 1].astype(np.int64) - starts[ids]
        return counts

    def rows(self, selection: Selection) -> "Array":
        """All rows with one of the texts, ascending."""
        import numpy as np

        count = self.count(selection)
        if count == len(self):
            return np.arange(count)
        if count * 16 > len(self):
            wanted = np.zeros(len(self.dictionary), dtype=bool)
            wanted[selection] = True
            return np.flatnonzero(wanted[self.codes])
        if isinstance(selection, slice):
            return np.sort(self.postings[int(self.starts[selection.start]) : int(self.starts[selection.stop])])
        return np.sort(self.postings[_stretches(self.starts[selection], self.starts[selection + 1])])

    def outermost_rows(self, selection: Selection, limit: int, *, newest: bool) -> "Array":
        """The first rows with one of the texts, or the last ones, ascending; at most `limit`."""
        import numpy as np

        count = self.count(selection)
        if count * 64 > len(self) and count > limit:  # near enough to an end: look there
            wanted = np.zeros(len(self.dictionary), dtype=bool)
            wanted[selection] = True
            size = 4 * (limit + 16) * (len(self) // count + 1)
            while size < len(self):
                low = len(self) - size if newest else 0
                found = np.flatnonzero(wanted[self.codes[low : low + size]]) + low
                if len(found) >= limit:
                    return found[-limit:] if newest else found[:limit]
                size *= 4
        rows = self.rows(selection)
        if not limit:
            return rows[:0]
        return rows[-limit:] if newest else rows[:limit]

    def values(self, name: str, rows: "Array | slice") -> "Array":
        """A column of these rows: n and ts as they were, codes for NAMED."""
        import numpy as np

        column: Array = self.columns[name][rows]
        if name == "n":
            return column.astype(np.int64) + self.first
        return column.astype(np.int64) + self.base_ts if name == "ts" else column

    def dead_rows(self, spans: SupersededSpans) -> "Dead | None":
        """The rows that were superseded; None where none was."""
        if not spans.touches(self.first, self.last):
            return None
        key = tuple(record.n for record in spans.records)
        if self._dead.get("key") != key:
            self._dead["key"], self._dead["found"] = key, _find_dead(self, spans)
        found: Dead | None = self._dead["found"]
        return found

    @cached_property
    def nbytes(self) -> int:
        """The memory of its arrays."""
        return int(sum(array.nbytes for array in (self.starts, self.postings, self.codes, *self.columns.values())))


@dataclass(frozen=True, eq=False)
class Dead:
    """The superseded rows of a piece, as a mask; starts: as in a piece, counting only the rows that are left."""

    mask: "Array"
    starts: "Array"


def _find_dead(piece: Piece, spans: SupersededSpans) -> Dead | None:
    import numpy as np

    mask = np.zeros(len(piece), dtype=bool)
    numbers, lanes = piece.columns["n"], list(piece.names["lane"])
    for record in spans.records:
        for span in record.ranges:
            last = min(span.last, record.n - 1)
            low, high = np.searchsorted(numbers, [max(0, span.first - piece.first), last - piece.first + 1])
            lane = span.lane or None
            if last < piece.first or low >= high or lane not in lanes:
                continue
            covered = piece.columns["lane"][low:high] == lanes.index(lane)
            mask[low:high] |= covered & (piece.columns["top"][low:high] == span.top)
    if not mask.any():
        return None
    gone = np.bincount(piece.codes[mask], minlength=len(piece.dictionary))
    starts = piece.starts.astype(np.int64)
    starts[1:] -= np.cumsum(gone)
    return Dead(mask, starts)


def _stretches(starts: "Array", ends: "Array") -> "Array":
    """The numbers from each start up to its end, one stretch behind the other."""
    import numpy as np

    starts = starts.astype(np.int64)
    lengths = ends.astype(np.int64) - starts
    kept = lengths > 0
    starts, lengths = starts[kept], lengths[kept]
    if not len(lengths):
        return np.array([], dtype=np.int64)
    steps = np.ones(int(lengths.sum()), dtype=np.int64)
    steps[0] = starts[0]
    begins = np.cumsum(lengths)[:-1]
    steps[begins] = starts[1:] - starts[:-1] - lengths[:-1] + 1
    return np.cumsum(steps)


def assemble(
    first: int,
    last: int,
    mark: int,
    texts: Sequence[str],
    codes: "Array",
    columns: Mapping[str, "Array"],
    names: Mapping[str, Sequence[Any]],
    superseded: Sequence[Superseded] = (),
) -> Piece:
    """A piece of rows whose texts are `texts[codes]`. columns: as in a piece, but n and ts as they are, of 64 bits."""
    import numpy as np

    dictionary, ids = dictionary_of(texts)
    codes = ids[codes].astype(_unsigned(max(0, len(texts) - 1)))
    base_ts = int(columns["ts"].min()) if len(codes) else 0
    narrow = {**columns, "n": columns["n"] - first, "ts": columns["ts"] - base_ts}
    for name in ("n", "place", "ts", *NAMED):
        narrow[name] = narrow[name].astype(_unsigned(int(narrow[name].max()) if len(codes) else 0))
    counted = np.bincount(codes, minlength=len(texts)) if len(texts) else np.zeros(0, dtype=np.int64)
    starts = np.concatenate(([0], np.cumsum(counted))).astype(_unsigned(len(codes)))
    return Piece(
        first=first,
        last=last,
        mark=mark,
        dictionary=dictionary,
        starts=starts,
        postings=_order(codes).astype(_unsigned(len(codes))),
        codes=codes,
        columns=narrow,
        names={name: tuple(names[name]) for name in NAMED},
        base_ts=base_ts,
        superseded=tuple(superseded),
    )


def merge(pieces: Sequence[Piece]) -> Piece:
    """Pieces that follow each other as one."""
    import numpy as np

    if len(pieces) == 1:
        return pieces[0]
    interned: dict[str, int] = {}
    values: dict[str, dict[Any, int]] = {name: {} for name in NAMED}
    codes: list[Array] = []
    columns: dict[str, list[Array]] = {}
    for piece in pieces:
        texts = piece.dictionary.lines.texts(range(len(piece.dictionary)))
        renamed = np.array([interned.setdefault(text, len(interned)) for text in texts], dtype=np.int64)
        codes.append(renamed[piece.codes] if len(texts) else np.zeros(0, dtype=np.int64))
        rows = slice(0, len(piece))
        for name in piece.columns:
            column = piece.values(name, rows)
            if name in NAMED:
                known = values[name]
                coded = np.array([known.setdefault(value, len(known)) for value in piece.names[name]], dtype=np.int64)
                column = coded[column] if len(coded) else np.zeros(0, dtype=np.int64)
            columns.setdefault(name, []).append(column)
    return assemble(
        pieces[0].first,
        pieces[-1].last,
        pieces[-1].mark,
        list(interned),
        np.concatenate(codes),
        {name: np.concatenate(parts) for name, parts in columns.items()},
        {name: list(known) for name, known in values.items()},
        [record for piece in pieces for record in piece.superseded],
    )


def _unsigned(largest: int) -> Any:
    import numpy as np

    return next(kind for kind in (np.uint8, np.uint16, np.uint32, np.uint64) if largest <= np.iinfo(kind).max)


def _order(codes: "Array") -> "Array":
    """What sorts the codes, equal ones in their order. Sixteen bits at a time, for which NumPy counts instead of comparing."""
    import numpy as np

    if codes.dtype.itemsize <= 2:
        return np.argsort(codes, kind="stable")
    order = np.argsort((codes & 0xFFFF).astype(np.uint16), kind="stable")
    return order[np.argsort((codes[order] >> 16).astype(np.uint16), kind="stable")]
