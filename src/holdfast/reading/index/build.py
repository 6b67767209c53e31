"""From the lines of a log to pieces of the index."""

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any
from zlib import crc32

from holdfast.reading.blocks import line_blocks
from holdfast.reading.columns import TokenBatch, token_batches
from holdfast.reading.index.piece import NAMED, Piece, assemble
from holdfast.reading.index.sealed_rows import CodedRows, sealed_lines, sealed_rows
from holdfast.reading.superseded import SupersededSpans, superseded_in
from holdfast.records import Superseded, decode_bookkeeping
from holdfast.storage.lines import strip_close
from holdfast.storage.reader import LogReader

if TYPE_CHECKING:
    from holdfast.reading.index.sorted_lines import Array

MAX_ROWS = 1 << 23
_FIELDS = ("token", "z", "ts", "top", *NAMED)


def mark_of(line: bytes) -> int:
    """By what the record of a line is known again, whichever segment holds it, sealed or not."""
    return crc32(strip_close(line))


def text_of(token: object) -> str:
    """A token as the text that patterns look at: an id's digits, and bytes as UTF-8, with `\\xff` for what is none."""
    if isinstance(token, str):
        return token
    return token.decode("utf-8", "backslashreplace") if isinstance(token, bytes | bytearray) else str(token)


def pieces_of(
    reader: LogReader,
    first: int,
    last: int,
    *,
    max_rows: int = MAX_ROWS,
    progress: Callable[[int], object] = lambda n: None,
) -> Iterator[Piece]:
    """The tokens of the records first to last, superseded ones too, in pieces. `progress` is told the records done."""
    superseded = list(_superseded(reader, first, last))
    gathered = _Gathered()

    def finished(end: int) -> Piece:
        here = [record for record in superseded if first <= record.n <= end]
        return gathered.piece(first, end, mark_of(reader.find(end)), here)

    for batch in _rows_of(reader, first, last):
        begins, ends = (batch.n[0], batch.n[-1]) if isinstance(batch, TokenBatch) else batch.bounds
        if gathered.count and gathered.count + len(batch) > max_rows:
            yield finished(begins - 1)
            gathered, first = _Gathered(), begins
        gathered.add(batch) if isinstance(batch, TokenBatch) else gathered.add_coded(batch)
        progress(ends)
    yield finished(last)


def _superseded(reader: LogReader, first: int, last: int) -> Iterator[Superseded]:
    """The `superseded` records first to last. The first attempt has none: each takes back what earlier ones recorded."""
    extents = reader.past.extents
    for extent in extents:
        begin, end = max(first, extent.header.first), min(last, extent.last)
        if begin > end or extent.header.attempt == extents[0].header.attempt:
            continue
        lines = sealed_lines(extent.path, begin, end, "superseded") if extent.is_sealed else None
        if lines is None:
            for block in line_blocks(reader, begin, end):
                yield from superseded_in(block)
        else:
            yield from (record for record in map(decode_bookkeeping, lines) if isinstance(record, Superseded))


def _rows_of(reader: LogReader, first: int, last: int) -> Iterator[TokenBatch | CodedRows]:
    """The tokens of the records first to last: of sealed segments as columns, of others decoded."""
    for path, together in groupby(reader.past.extents, key=lambda extent: extent.path):  # a sealed file may hold many
        extents = list(together)
        begin, end = max(first, extents[0].header.first), min(last, extents[-1].last)
        if begin > end:
            continue
        found = sealed_rows(path, begin, end) if extents[0].is_sealed else None
        if found is None:
            yield from token_batches(reader, begin, end, fields=_FIELDS, canonical=False, spans=SupersededSpans())
            continue
        rows, others = found
        for n in (*others, end + 1):
            if len(columns := rows.between(begin, n - 1)):
                yield columns
            if n <= end:
                yield from token_batches(reader, n, n, fields=_FIELDS, canonical=False, spans=SupersededSpans())
            begin = n + 1


class _Codes(dict[Any, int]):
    """Numbers values in the order in which they are first seen."""

    def __missing__(self, value: Any) -> int:
        self[value] = found = len(self)
        return found


class _Gathered:
    """Columns that grow batch by batch."""

    def __init__(self) -> None:
        self._tokens = _Codes()
        self._named = {name: _Codes() for name in NAMED}
        self._columns: dict[str, list[Array]] = {}
        self.count = 0

    def add(self, batch: TokenBatch) -> None:
        """Take in a batch."""
        import numpy as np

        count = len(batch)
        columns: dict[str, Array] = {
            "codes": np.fromiter(map(self._tokens.__getitem__, batch.token), dtype=np.uint32, count=count),
            "n": _counting(batch.n),
            "ts": np.array(batch.ts, dtype=np.int64),
            "z": np.array(batch.z, dtype=np.float64),
            "place": np.array(batch.place, dtype=np.uint32) if any(batch.place) else np.zeros(count, dtype=np.uint32),
            "top": np.array(batch.top, dtype=bool),
        }
        for name, codes in self._named.items():
            values = getattr(batch, name)
            if count and values.count(values[0]) == count:
                columns[name] = np.full(count, codes[values[0]], dtype=np.uint32)
            else:
                columns[name] = np.fromiter(map(codes.__getitem__, values), dtype=np.uint32, count=count)
        for name, column in columns.items():
            self._columns.setdefault(name, []).append(column)
        self.count += count

    def add_coded(self, rows: CodedRows) -> None:
        """Take in rows that have codes already: those of their own values."""
        import numpy as np

        count = len(rows)
        columns: dict[str, Array] = {name: rows.columns[name] for name in ("n", "ts", "z", "top")}
        columns["place"] = np.zeros(count, dtype=np.uint32)
        for name, known in (("token", self._tokens), *self._named.items()):
            own = rows.columns[name]
            used = np.flatnonzero(np.bincount(own, minlength=1))
            ours = np.zeros(len(rows.values[name]), dtype=np.uint32)
            ours[used] = [known[rows.values[name][code]] for code in used.tolist()]
            columns["codes" if name == "token" else name] = ours[own]
        for name, column in columns.items():
            self._columns.setdefault(name, []).append(column)
        self.count += count

    def piece(self, first: int, last: int, mark: int, superseded: list[Any]) -> Piece:
        """What was taken in, as a piece."""
        import numpy as np

        if not self.count:
            self.add(TokenBatch(n=[], place=[]))
        columns = {name: np.concatenate(parts) for name, parts in self._columns.items()}
        texts: list[str] = list(self._tokens)
        codes = columns.pop("codes")
        if set(map(type, texts)) - {str}:
            texts = [text_of(token) for token in texts]
            different = dict.fromkeys(texts)  # an id may have the digits of a text
            numbers = {text: number for number, text in enumerate(different)}
            codes = np.array([numbers[text] for text in texts], dtype=np.int64)[codes]
            texts = list(different)
        names = {name: list(known) for name, known in self._named.items()}
        return assemble(first, last, mark, texts, codes, columns, names, superseded)


def _counting(numbers: list[int]) -> "Array":
    """Ascending numbers as an array; those without a gap cost nothing."""
    import numpy as np

    if (
        numbers
        and numbers[-1] - numbers[0] + 1 == len(numbers)
        and numbers[len(numbers) // 2] == numbers[0] + len(numbers) // 2
    ):
        return np.arange(numbers[0], numbers[-1] + 1, dtype=np.int64)
    return np.array(numbers, dtype=np.int64)
