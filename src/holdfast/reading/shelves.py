"""From the lines of a block to rows of one kind: one shelf a kind."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from holdfast.codec import decode
from holdfast.reading.blocks import Block
from holdfast.reading.columns import TOKEN_FIELDS, TokenBatch, batch_of, with_surrogates
from holdfast.reading.filters import Filter
from holdfast.reading.rows import (
    CheckpointRow,
    EmissionRow,
    EventRow,
    FileRow,
    MetricRow,
    ModuleRow,
    NoteRow,
    Row,
    TokenRow,
    TransitionRow,
)
from holdfast.reading.superseded import SupersededSpans
from holdfast.records import (
    UNREADABLE,
    BadRecord,
    Checkpoint,
    Emission,
    Event,
    File,
    Metric,
    Module,
    Note,
    Record,
    Transition,
)

RowT = TypeVar("RowT", bound=Row)
Shared = tuple[str, int, int, str | None, bool, bool, Any]
"""The fields that every row begins with."""
_ALL_TOKEN_FIELDS = frozenset((*TOKEN_FIELDS, "meta", "info", "exact", "others"))


class Ranges(msgspec.Struct, frozen=True):
    """The lowest and highest ts, and z, of the tokens of a stretch; z is None where none has one."""

    ts: tuple[int, int]
    z: tuple[float, float] | None


class Shelf(Protocol[RowT]):
    """Rows of one kind that pass a filter. All methods take a block of the log, and what was superseded of it."""

    row_type: type[Row]
    kinds: tuple[str, ...]
    filter: Filter

    def rows(self, session: str, block: Block, spans: SupersededSpans) -> list[RowT]:
        """The rows, in order."""

    def count(self, block: Block, spans: SupersededSpans) -> tuple[int, Ranges | None]:
        """How many there are, and what was seen of ts and z on the way."""


class TokenShelf:
    """Tokens, those of batches one by one."""

    row_type: type[Row] = TokenRow
    kinds: tuple[str, ...] = ("token", "tokens")

    def __init__(self, wanted: Filter) -> None:
        self.filter = wanted
        fields = {"z"} if wanted.z else set()
        fields |= {"ts"} if wanted.since is not None or wanted.until is not None else set()
        fields |= {"ts", "z"} if fields else set()  # one look gives both ranges
        for name, asked in (("phase", wanted.phases), ("tier", wanted.tiers), ("source", wanted.sources)):
            fields |= {name} if asked is not None else set()
        self._fields = frozenset(fields)

    def rows(self, session: str, block: Block, spans: SupersededSpans) -> list[TokenRow]:
        batch = batch_of(block, _ALL_TOKEN_FIELDS, spans, canonical=not self.filter.superseded)
        texts = batch.token
        if any(batch.exact):
            texts = [text if exact is None else exact for text, exact in zip(texts, batch.exact, strict=True)]
        rows = [
            *map(
                partial(TokenRow, session),
                *(batch.n, batch.ts, batch.lane, batch.top, batch.superseded, batch.info, batch.place, texts),
                *(batch.z, batch.phase, batch.tier, batch.source, batch.meta, batch.others),
            )
        ]
        if self.filter.is_open:
            return rows
        return [row for row, is_wanted in zip(rows, self._wanted(batch), strict=True) if is_wanted]

    def count(self, block: Block, spans: SupersededSpans) -> tuple[int, Ranges | None]:
        batch = batch_of(block, self._fields, spans, canonical=not self.filter.superseded)
        count = len(batch) if self.filter.is_open else sum(self._wanted(batch))
        ranges = None
        if batch.ts and (self.filter.superseded or not spans.touches(block.first, block.last)):
            known = [z for z in batch.z if z is not None]
            ranges = Ranges((min(batch.ts), max(batch.ts)), (min(known), max(known)) if known else None)
        return count, ranges

    def _wanted(self, batch: TokenBatch) -> list[bool]:
        wanted, marks = self.filter, [True] * len(batch)
        if wanted.z is not None:
            low, high = wanted.z
            marks = [z is not None and low <= z <= high for z in batch.z]
        if wanted.since is not None or wanted.until is not None:
            begin = wanted.since if wanted.since is not None else -(1 << 63)
            end = wanted.until if wanted.until is not None else 1 << 63
            marks = [mark and begin <= ts < end for mark, ts in zip(marks, batch.ts, strict=True)]
        columns: tuple[tuple[frozenset[Any] | None, list[Any]], ...] = (
            (wanted.phases, batch.phase),
            (wanted.tiers, batch.tier),
            (wanted.sources, batch.source),
        )
        for asked, column in columns:
            if asked is not None:
                marks = [mark and value in asked for mark, value in zip(marks, column, strict=True)]
        return marks


class RecordShelf(Generic[RowT]):
    """Rows of any other kind: `build` makes those of one record, in order."""

    def __init__(
        self,
        wanted: Filter,
        row_type: type[RowT],
        record_type: type[Record],
        build: Callable[[Any, Shared], Iterator[RowT]],
    ) -> None:
        self.filter, self._build = wanted, build
        self.row_type: type[Row] = row_type
        tag = str(record_type.__struct_config__.tag)
        self.kinds: tuple[str, ...] = (tag,)
        self._mark = b'{"kind":"%b"' % tag.encode()
        self._decode = msgspec.json.Decoder(record_type).decode

    def rows(self, session: str, block: Block, spans: SupersededSpans) -> list[RowT]:
        if self._mark not in block.data:
            return []
        found: list[RowT] = []
        wanted, is_doubtful = self.filter, spans.touches(block.first, block.last)
        for n, line in enumerate(block.lines(), block.first):
            if not line.startswith(self._mark):
                continue
            try:
                record = self._decode(line)
            except UNREADABLE as error:
                raise BadRecord(line, str(error)) from None
            is_out = is_doubtful and self.kinds != ("checkpoint",) and spans.covers(n, record.lane, record.top)
            if is_out and not wanted.superseded:
                continue
            shared: Shared = (session, n, record.ts, record.lane, record.top, is_out, decode(record.info))
            for row in self._build(record, shared):
                phase, z = getattr(row, "phase", None), getattr(row, "z", None)
                if wanted.passes(row.ts, name=getattr(row, "name", None), phase=phase, z=z):
                    found.append(row)
        return found

    def count(self, block: Block, spans: SupersededSpans) -> tuple[int, Ranges | None]:
        return len(self.rows("", block, spans)), None


def emission_shelf(wanted: Filter) -> Shelf[EmissionRow]:
    """Emissions."""

    def build(record: Emission, shared: Shared) -> Iterator[EmissionRow]:
        text = record.text if record.raw is None else with_surrogates(record.raw)
        tokens, meta = decode(record.tokens), decode(record.meta)
        yield EmissionRow(*shared, text, tokens, record.z, record.phase, record.quality, meta)

    return RecordShelf(wanted, EmissionRow, Emission, build)


def metric_shelf(wanted: Filter) -> Shelf[MetricRow]:
    """Metrics, a row for each value."""

    def build(record: Metric, shared: Shared) -> Iterator[MetricRow]:
        values: Any = decode(record.values)
        return (MetricRow(*shared, name, value) for name, value in values.items())

    return RecordShelf(wanted, MetricRow, Metric, build)


def module_shelf(wanted: Filter) -> Shelf[ModuleRow]:
    """Results of modules, stages, steps and tools."""

    def build(record: Module, shared: Shared) -> Iterator[ModuleRow]:
        yield ModuleRow(*shared, record.name, record.status, decode(record.result), record.index, record.phase, record.key)

    return RecordShelf(wanted, ModuleRow, Module, build)


def transition_shelf(wanted: Filter) -> Shelf[TransitionRow]:
    """Changes of state."""

    def build(record: Transition, shared: Shared) -> Iterator[TransitionRow]:
        yield TransitionRow(*shared, decode(record.before), decode(record.after))

    return RecordShelf(wanted, TransitionRow, Transition, build)


def event_shelf(wanted: Filter) -> Shelf[EventRow]:
    """Events."""

    def build(record: Event, shared: Shared) -> Iterator[EventRow]:
        yield EventRow(*shared, record.name, decode(record.data))

    return RecordShelf(wanted, EventRow, Event, build)


def file_shelf(wanted: Filter) -> Shelf[FileRow]:
    """Files."""

    def build(record: File, shared: Shared) -> Iterator[FileRow]:
        yield FileRow(*shared, record.name, record.sha256, record.size)

    return RecordShelf(wanted, FileRow, File, build)


def note_shelf(wanted: Filter) -> Shelf[NoteRow]:
    """Remarks."""

    def build(record: Note, shared: Shared) -> Iterator[NoteRow]:
        yield NoteRow(*shared, record.text if record.raw is None else with_surrogates(record.raw))

    return RecordShelf(wanted, NoteRow, Note, build)


def checkpoint_shelf(wanted: Filter) -> Shelf[CheckpointRow]:
    """Checkpoints; being superseded is nothing that happens to them."""

    def build(record: Checkpoint, shared: Shared) -> Iterator[CheckpointRow]:
        position = record.position.get("main", 0)
        metrics = decode(record.metrics)
        yield CheckpointRow(*shared, record.number, record.name, position, record.at, metrics, record.size)

    return RecordShelf(wanted, CheckpointRow, Checkpoint, build)


def token_shelf(wanted: Filter) -> Shelf[TokenRow]:
    """Tokens, those of batches one by one."""
    return TokenShelf(wanted)
