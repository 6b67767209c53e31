"""What a search found: counted without being read, read from either end, grouped, or as columns."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.errors import InvalidSetting
from holdfast.reading.columns import token_batches
from holdfast.reading.filters import Filter
from holdfast.reading.index.dictionary import Selection
from holdfast.reading.index.piece import NAMED, Dead, Piece
from holdfast.reading.index.session import Snapshot
from holdfast.reading.patterns import Pattern
from holdfast.reading.superseded import SupersededSpans
from holdfast.records import CANONICAL_KINDS
from holdfast.tokens import parse

if TYPE_CHECKING:
    from holdfast.reading.index.sorted_lines import Array

GROUPS = ("spiral", "operator", "machine", "domain", "phase", "tier", "source", "session")
_PARTS_OF_TOKENS = GROUPS[:4]
_PAGE_ROWS = 10_000
_GAP = 4096


class Hit(msgspec.Struct, frozen=True):
    """A token that was found.

    n: number of its record in the session's log. place: its index in a batch that was recorded under one number, else 0. ts:
    microseconds since 1970. token: its text; an id's digits. superseded: no longer part of the run.
    """

    session: str
    n: int
    place: int
    ts: int
    token: str
    z: float | None
    phase: str | None
    tier: int | None
    source: str | None
    lane: str | None
    superseded: bool


@dataclass(frozen=True)
class Meta:
    """A key that a token's metadata must have, and what must stand there: a text as it is, or a value as JSON writes it."""

    key: str
    value: str | None = None

    def passes(self, meta: Any, others: dict[str, Any] | None) -> bool:
        """Whether one of these has it: the token's own metadata, or the further columns of its batch."""
        for values in (meta, others):
            if isinstance(values, dict) and self.key in values:
                return self.value is None or self._is_meant(values[self.key])
        return False

    def _is_meant(self, value: Any) -> bool:
        if value == self.value:
            return True
        try:
            meant = json.loads(self.value or "")
        except ValueError:
            return False
        return (
            type(meant) in (type(value), int, float)
            and isinstance(value, bool) == isinstance(meant, bool)
            and bool(meant == value)
        )


def meta_of(text: str) -> Meta:
    """`key` or `key=value` as what to ask for. Raises InvalidSetting."""
    key, equals, value = text.partition("=")
    if not key:
        raise InvalidSetting(f"meta={text!r} names no key; give KEY or KEY=VALUE")
    return Meta(key, value if equals else None)


class Found:
    """The rows of one piece that a pattern and the filters let through."""

    def __init__(self, snapshot: Snapshot, piece: Piece, pattern: Pattern, wanted: Filter, metas: Sequence[Meta]) -> None:
        self._snapshot, self.piece, self._wanted, self._metas = snapshot, piece, wanted, metas
        self.selection: Selection = piece.dictionary.select(pattern)
        self.dead: Dead | None = piece.dead_rows(snapshot.spans)
        self._left_out = None if wanted.superseded else self.dead
        self._is_plain = wanted.is_open and not metas

    @property
    def session(self) -> str:
        return self._snapshot.session

    @cached_property
    def count(self) -> int:
        """How many rows."""
        return self.piece.count(self.selection, self._left_out) if self._is_plain else len(self.rows)

    @cached_property
    def rows(self) -> "Array":
        """All of them, ascending."""
        return self._passing(self.piece.rows(self.selection))

    def outermost(self, limit: int, *, newest: bool) -> "Array":
        """The first or last so many, ascending."""
        if self._is_plain and self._left_out is None and "rows" not in self.__dict__:
            return self.piece.outermost_rows(self.selection, limit, newest=newest)
        return self.rows[-limit:] if newest and limit else self.rows[:limit]

    def counts(self) -> "tuple[Array, Array]":
        """The ids of the texts that were found, and how many rows each has."""
        import numpy as np

        if self._is_plain:
            selection = self.selection
            ids = np.arange(selection.start, selection.stop) if isinstance(selection, slice) else selection
            return ids, self.piece.counts(selection, self._left_out)
        counts = np.bincount(self.piece.codes[self.rows], minlength=1)
        ids = np.flatnonzero(counts)
        return ids, counts[ids]

    def named_counts(self, name: str) -> Iterator[tuple[Any, int]]:
        """The values of a column, and how many rows have each."""
        import numpy as np

        counts = np.bincount(self.piece.columns[name][self.rows], minlength=1)
        return ((value, int(count)) for value, count in zip(self.piece.names[name], counts, strict=False) if count)

    def hits(self, rows: "Array") -> list[Hit]:
        """Rows as hits."""
        piece = self.piece
        columns = {name: piece.values(name, rows).tolist() for name in piece.columns}
        texts = piece.dictionary.lines.texts(piece.codes[rows].tolist())
        named = {name: [piece.names[name][code] for code in columns[name]] for name in NAMED}
        gone = self.dead.mask[rows].tolist() if self.dead is not None else [False] * len(texts)
        return [
            Hit(self.session, n, place, ts, text, None if z != z else z, phase, tier, source, lane, superseded)
            for n, place, ts, text, z, phase, tier, source, lane, superseded in zip(
                columns["n"],
                columns["place"],
                columns["ts"],
                texts,
                columns["z"],
                named["phase"],
                named["tier"],
                named["source"],
                named["lane"],
                gone,
                strict=True,
            )
        ]

    def _passing(self, rows: "Array") -> "Array":
        import numpy as np

        wanted, piece = self._wanted, self.piece
        if self._left_out is not None:
            rows = rows[~self._left_out.mask[rows]]
        for name, values in (("phase", wanted.phases), ("tier", wanted.tiers), ("source", wanted.sources)):
            if values is not None:
                table = np.array([value in values for value in piece.names[name]], dtype=bool)
                rows = rows[table[piece.columns[name][rows]]] if table.any() else rows[:0]
        if wanted.z is not None:
            z = piece.columns["z"][rows]
            rows = rows[(z >= wanted.z[0]) & (z <= wanted.z[1])]
        if wanted.since is not None or wanted.until is not None:
            ts = piece.values("ts", rows)
            low, high = wanted.since, wanted.until
            rows = rows[(ts >= low if low is not None else True) & (ts < high if high is not None else True)]
        return self._with_metas(rows) if self._metas and len(rows) else rows

    def _with_metas(self, rows: "Array") -> "Array":
        """Those whose metadata has what is asked for: it is read from the log, around the rows that are left."""
        import numpy as np

        numbers = self.piece.values("n", rows)
        breaks = np.flatnonzero(np.diff(numbers) > _GAP) + 1
        keep = np.zeros(len(self.piece), dtype=bool)
        for stretch in np.split(numbers, breaks):
            first, last = int(stretch[0]), int(stretch[-1])
            row = int(np.searchsorted(self.piece.columns["n"], first - self.piece.first))
            for batch in token_batches(
                self._snapshot.reader, first, last, fields=("token", "meta", "others"), canonical=False, spans=SupersededSpans()
            ):
                for meta, others in zip(batch.meta, batch.others, strict=True):
                    keep[row] = all(asked.passes(meta, others) for asked in self._metas)
                    row += 1
        return rows[keep[rows]]


class Hits:
    """The tokens that a search found, as the sessions stood at that moment: sessions by age, each in the order of its log.

    Counting reads no rows; slices, first and last read just theirs. notices: what a user should know of how it was searched.
    """

    def __init__(self, pattern: Pattern, found: Sequence[Found], snapshots: Sequence[Snapshot], notices: Sequence[str]) -> None:
        self.pattern, self.notices = pattern, tuple(notices)
        self._found, self._snapshots = found, {snapshot.session: snapshot for snapshot in snapshots}

    def __len__(self) -> int:
        return sum(found.count for found in self._found)

    def __bool__(self) -> bool:
        return any(found.count for found in self._found)

    def __iter__(self) -> Iterator[Hit]:
        for found in self._found:
            for start in range(0, found.count, _PAGE_ROWS):
                yield from found.hits(found.rows[start : start + _PAGE_ROWS])

    def __getitem__(self, where: Any) -> Any:
        """A hit, or the hits of a slice as a list."""
        if not isinstance(where, slice):
            index = range(len(self))[where]
            return self._between(index, index + 1)[0]
        places = range(len(self))[where]
        if not places:
            return []
        low, high = min(places[0], places[-1]), max(places[0], places[-1]) + 1
        return self._between(low, high)[:: abs(places.step)] if places.step > 0 else [self[index] for index in places]

    def first(self, count: int) -> list[Hit]:
        """The oldest ones, oldest first."""
        hits: list[Hit] = []
        for found in self._found:
            if len(hits) < count:
                hits += found.hits(found.outermost(count - len(hits), newest=False))
        return hits

    def last(self, count: int) -> list[Hit]:
        """The newest ones, newest last."""
        hits: list[Hit] = []
        for found in reversed(self._found):
            if len(hits) < count:
                hits = found.hits(found.outermost(count - len(hits), newest=True)) + hits
        return hits

    def by_session(self) -> dict[str, int]:
        """How many each session has, the oldest session first; those without any are left out."""
        counts: Counter[str] = Counter()
        for found in self._found:
            counts[found.session] += found.count
        return {session: count for session, count in counts.items() if count}

    def group_by(self, what: str) -> dict[Any, int]:
        """How many there are by spiral, operator, machine or domain of the token (None: it has none), or by phase, tier, source
        or session; the most first."""
        if what not in GROUPS:
            raise InvalidSetting(f"group_by={what!r} is not known; it is one of {', '.join(GROUPS)}")
        counts: Counter[Any] = Counter(self.by_session()) if what == "session" else Counter()
        for found in self._found if what != "session" else ():
            if what in _PARTS_OF_TOKENS:
                ids, numbers = found.counts()
                for text, number in zip(found.piece.dictionary.lines.texts(ids.tolist()), numbers.tolist(), strict=True):
                    counts[getattr(parse(text), what, None) or None] += number
            else:
                for value, number in found.named_counts(what):
                    counts[value] += number
        return {value: count for value, count in counts.most_common() if count}

    def columns(self) -> "dict[str, Array]":
        """All of them as arrays, by the names of a hit: numbers of n, place, ts, z (NaN: none), and objects of the others."""
        import numpy as np

        count = len(self)
        numbers = {"n": np.int64, "place": np.uint32, "ts": np.int64, "z": np.float64}
        columns = {
            name: np.empty(count, numbers.get(name, object)) for name in ("session", "n", "place", "ts", "token", "z", *NAMED)
        }
        start = 0
        for found in self._found:
            piece, rows = found.piece, found.rows
            here = slice(start, start + len(rows))
            start = here.stop
            columns["session"][here] = found.session
            for name in numbers:
                columns[name][here] = piece.values(name, rows)
            codes = piece.codes[rows]
            used = np.flatnonzero(np.bincount(codes, minlength=1))
            texts = np.empty(len(piece.dictionary), dtype=object)
            texts[used] = piece.dictionary.lines.texts(used.tolist())
            np.take(texts, codes, out=columns["token"][here], mode="clip")
            for name in NAMED:
                values = np.empty(len(piece.names[name]), dtype=object)
                values[:] = piece.names[name]
                np.take(values, piece.columns[name][rows], out=columns[name][here], mode="clip")
        return columns

    def around(self, hit: Hit, count: int) -> list[dict[str, Any]]:
        """The decoded lines of the hit's record and of so many log records before and behind it; see Workspace.records."""
        snapshot = self._snapshots[hit.session]
        found = []
        for n, line in snapshot.reader.read(max(1, hit.n - count), hit.n + count):
            fields: dict[str, Any] = msgspec.json.decode(line)
            is_canonical = fields["kind"] in CANONICAL_KINDS
            if is_canonical and snapshot.spans.covers(n, fields.get("lane"), fields.get("top", False)):
                fields["superseded"] = True
            found.append(fields)
        return found

    def _between(self, low: int, high: int) -> list[Hit]:
        hits: list[Hit] = []
        for found in self._found:
            if high <= 0:
                break
            if low < found.count:
                if high <= 2 * _PAGE_ROWS:
                    rows = found.outermost(high, newest=False)[max(0, low) :]
                else:
                    rows = found.rows[max(0, low) : high]
                hits += found.hits(rows)
            low, high = low - found.count, high - found.count
        return hits
