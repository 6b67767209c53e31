"""The tokens of a log as columns: a record each, or many in a batch, they come out one after the other."""

from base64 import b64decode
from collections.abc import Collection, Iterator
from functools import lru_cache
from itertools import repeat
from operator import attrgetter
from typing import Any

import msgspec

from holdfast.codec import decode
from holdfast.errors import InvalidSetting
from holdfast.reading.blocks import Block, line_blocks
from holdfast.reading.superseded import SupersededSpans, superseded_spans
from holdfast.records import UNREADABLE, BadRecord, Bookkeeping, Canonical, Record, kind_of
from holdfast.storage.reader import LogReader

TOKEN_FIELDS = ("token", "z", "phase", "tier", "ts", "source", "lane", "top")
"""What token_batches gives where nothing is said."""
_OTHER_FIELDS = ("meta", "info", "exact", "others")
_OWN_COLUMNS: dict[str, tuple[type, ...]] = {
    "z": (float, int),
    "phase": (str,),
    "tier": (int,),
    "source": (str,),
    "meta": (dict,),
}
_TYPES: dict[str, tuple[Any, Any]] = {
    "token": (Any, None),
    "z": (float | None, None),
    "phase": (str | None, None),
    "tier": (int | None, None),
    "ts": (int, 0),
    "source": (str | None, None),
    "lane": (str | None, None),
    "top": (bool, False),
    "meta": (Any, None),
    "info": (Any, None),
    "raw": (str | None, None),
}
_TOKEN_MARKS = (b'{"kind":"token",', b'{"kind":"tokens",')


class TokenBatch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Tokens that follow each other in the log, a list a column; columns that were not asked for are empty lists.

    n: of their records. place: 0, and within a batch record 0, 1, 2, …  token: a str, an int id or bytes; a text with
    lone surrogates has U+FFFD in their place, and stands as it was in `exact`, which is None for all others. ts:
    microseconds since 1970. lane: None in the default one. meta and info: as they were given. others: the further
    columns of a batch as a dict, None where there are none; what has one of our names but not its type is among them.
    superseded: False throughout in the canonical view.
    """

    n: list[int]
    place: list[int]
    token: list[Any] = []
    z: list[float | None] = []
    phase: list[str | None] = []
    tier: list[int | None] = []
    ts: list[int] = []
    source: list[str | None] = []
    lane: list[str | None] = []
    top: list[bool] = []
    meta: list[Any] = []
    info: list[Any] = []
    exact: list[str | None] = []
    others: list[dict[str, Any] | None] = []
    superseded: list[bool] = []

    def __len__(self) -> int:
        return len(self.n)


def token_batches(
    reader: LogReader,
    first: int = 1,
    last: int | None = None,
    *,
    fields: Collection[str] = TOKEN_FIELDS,
    canonical: bool = True,
    spans: SupersededSpans | None = None,
) -> Iterator[TokenBatch]:
    """The tokens of the records first to last, in order, some thousands at a time; none of the batches is empty.

    fields: the columns that are wanted, of those of TokenBatch (`n` and `place` always come, `superseded` too): the fewer, the
    quicker. canonical: without the superseded ones. spans: what was superseded, where that is known already. Raises
    BadRecord where a line is no record, and what LogReader.read raises.
    """
    if strange := [name for name in fields if name not in (*TOKEN_FIELDS, *_OTHER_FIELDS)]:
        known = ", ".join((*TOKEN_FIELDS, *_OTHER_FIELDS))
        raise InvalidSetting(f"fields={strange[0]!r} is no column of tokens; there are: {known}")
    if spans is None:
        spans = superseded_spans(reader, first)
    for block in line_blocks(reader, first, last):
        batch = batch_of(block, frozenset(fields), spans, canonical=canonical)
        if batch.n:
            yield batch
        del batch  # its memory serves the next one


def batch_of(block: Block, fields: frozenset[str], spans: SupersededSpans, *, canonical: bool) -> TokenBatch:
    """The tokens of one block; see token_batches."""
    if not any(mark in block.data for mark in _TOKEN_MARKS):
        return TokenBatch(n=[], place=[])
    is_doubtful = spans.touches(block.first, block.last)
    single, batched, decoder = _decoder(fields | {"lane", "top"} if is_doubtful else fields)
    numbers: list[int] | range = range(block.first, block.last + 1)
    records = _records_of(block, decoder, single, batched)
    kinds = set(map(type, records))
    if kinds != {single}:
        kept = [(n, record) for n, record in zip(numbers, records, strict=True) if type(record) in (single, batched)]
        numbers, records = [n for n, _ in kept], [record for _, record in kept]
    if is_doubtful:
        marks = [spans.covers(n, record.lane, record.top) for n, record in zip(numbers, records, strict=True)]
        if canonical and any(marks):
            numbers = [n for n, is_out in zip(numbers, marks, strict=True) if not is_out]
            records = [record for record, is_out in zip(records, marks, strict=True) if not is_out]
            marks = [False] * len(records)
    else:
        marks = [False] * len(records)
    is_plain = b"$" not in block.data or b'"$t"' not in block.data  # one sign is looked for ten times as fast as four
    if batched in kinds:
        return _expanded(numbers, records, marks, single, fields, is_plain=is_plain)
    columns: dict[str, list[Any]] = {name: [*map(attrgetter(name), records)] for name in _single_columns(fields)}
    if not is_plain:
        for name in ("token", "meta", "info"):
            if name in columns:
                columns[name] = [decode(value) if type(value) in (dict, list) else value for value in columns[name]]
    if "exact" in fields:
        raws = [record.raw for record in records]
        columns["exact"] = raws if not any(raws) else [None if raw is None else with_surrogates(raw) for raw in raws]
    if "others" in fields:
        columns["others"] = [None] * len(records)
    return TokenBatch(n=list(numbers), place=[0] * len(records), superseded=marks, **columns)


def _single_columns(fields: Collection[str]) -> list[str]:
    return [name for name in fields if name not in ("exact", "others")]


def _records_of(block: Block, decoder: "msgspec.json.Decoder[Any]", single: Any, batched: Any) -> list[Any]:
    try:
        records: list[Any] = decoder.decode_lines(block.data)
    except UNREADABLE:
        pass  # a damaged line, or a kind that this version does not know
    else:
        if len(records) == block.last - block.first + 1:
            return records
    records = []
    for line in block.lines():
        try:
            records.append(decoder.decode(line) if kind_of(line) in ("token", "tokens") else None)
        except UNREADABLE as error:
            raise BadRecord(line, str(error)) from None
    return records


def _expanded(
    numbers: Collection[int],
    records: list[Any],
    marks: list[bool],
    single: Any,
    fields: frozenset[str],
    *,
    is_plain: bool,
) -> TokenBatch:
    """The same where batch records are among them."""
    out: dict[str, list[Any]] = {name: [] for name in ("n", "place", "superseded", *fields)}
    for n, record, mark in zip(numbers, records, marks, strict=True):
        tokens: list[Any] = [] if type(record) is single else record.tokens
        count = 1 if type(record) is single else len(tokens)
        out["n"] += repeat(n, count)
        out["place"] += range(count)
        out["superseded"] += repeat(mark, count)
        for name in ("ts", "lane", "top"):
            if name in fields:
                out[name] += repeat(getattr(record, name), count)
        if "info" in fields:
            out["info"] += repeat(record.info if is_plain else decode(record.info), count)
        if type(record) is single:
            for name in ("token", "z", "phase", "tier", "source", "meta"):
                if name in fields:
                    value = getattr(record, name)
                    out[name].append(decode(value) if type(value) in (dict, list) else value)
            if "exact" in fields:
                out["exact"].append(None if record.raw is None else with_surrogates(record.raw))
            if "others" in fields:
                out["others"].append(None)
            continue
        texts = tokens if is_plain else [decode(token) if type(token) is dict else token for token in tokens]
        exact: list[str | None] = [None] * count
        if not is_plain:
            exact = [text if type(text) is str and shown_text(text) != text else None for text in texts]
            texts = [shown_text(text) if type(text) is str else text for text in texts]
        if "token" in fields:
            out["token"] += texts
        if "exact" in fields:
            out["exact"] += exact
        own, others = _columns_of(n, record.columns, count, is_plain=is_plain)
        for name in _OWN_COLUMNS:
            if name in fields:
                out[name] += own.get(name) or repeat(None, count)
        if "others" in fields:
            out["others"] += others
    return TokenBatch(**out)


def _columns_of(
    n: int, columns: dict[str, Any], count: int, *, is_plain: bool
) -> tuple[dict[str, list[Any]], list[dict[str, Any] | None]]:
    """A batch's columns: those of our names and types, and the others by token."""
    own: dict[str, list[Any]] = {}
    others: list[dict[str, Any] | None] = [None] * count
    for name, stored in columns.items():
        values: Any = stored if is_plain else decode(stored)
        if not isinstance(values, list) or len(values) != count:
            raise BadRecord(b'{"n":%d}' % n, f"its column {name!r} is no list of {count} values")
        wanted = _OWN_COLUMNS.get(name, ())
        if wanted and set(map(type, values)) <= {*wanted, type(None)}:
            own[name] = [float(value) if type(value) is int else value for value in values] if name == "z" else values
            continue
        kept: list[Any] = []
        for index, value in enumerate(values):
            if wanted and type(value) in (*wanted, type(None)):
                kept.append(value)
                continue
            kept.append(None)
            others[index] = {**(others[index] or {}), name: value}
        if wanted:
            own[name] = kept
    return own, others


def shown_text(text: str) -> str:
    """A text with U+FFFD for each lone surrogate, as records show it."""
    if text.isascii():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if "\ud800" <= sign <= "\udfff" else sign for sign in text)


def with_surrogates(raw: str) -> str:
    """The exact text of a record that has `raw`."""
    return b64decode(raw).decode("utf-8", "surrogatepass")


@lru_cache(maxsize=64)
def _decoder(fields: frozenset[str]) -> tuple[Any, Any, "msgspec.json.Decoder[Any]"]:
    """Structs of no more than the wanted fields, for a token and for a batch, and their decoder for every kind of line."""
    wanted = [name for name in _TYPES if name in fields or (name == "raw" and "exact" in fields)]
    own = [(name, *_TYPES[name]) for name in wanted]
    single = msgspec.defstruct("token", own, tag="token", tag_field="kind", gc=False)
    shared: list[Any] = [(name, *_TYPES[name]) for name in wanted if name in ("ts", "lane", "top", "info")]
    batch: list[Any] = [("tokens", list[Any]), ("columns", dict[str, Any], msgspec.field(default_factory=dict)), *shared]
    batched = msgspec.defstruct("tokens", batch, tag="tokens", tag_field="kind")
    kinds = [str(record.__struct_config__.tag) for record in _known_kinds()]
    rest = [msgspec.defstruct(kind, [], tag=kind, tag_field="kind", gc=False) for kind in kinds if kind not in _TOKENS]
    union: Any = single | batched
    for kind in rest:
        union = union | kind
    return single, batched, msgspec.json.Decoder(union)


_TOKENS = ("token", "tokens")


def _known_kinds() -> list[type[Record]]:
    return [*Canonical.__args__, *Bookkeeping.__args__]
