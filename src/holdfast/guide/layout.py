"""What stands in the files of the guide's layout, made of a session's log piece by piece: nothing is held as a whole."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar

import msgspec

from holdfast.codec import encode
from holdfast.reading.blocks import line_blocks
from holdfast.reading.columns import shown_text, token_batches
from holdfast.reading.filters import filter_of
from holdfast.reading.loader import Source
from holdfast.reading.rows import EmissionRow, ModuleRow, Row, TransitionRow
from holdfast.reading.shelves import Shelf, emission_shelf, module_shelf, transition_shelf

R = TypeVar("R", bound=Row)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_json, _lines = msgspec.json.encode, msgspec.json.Encoder().encode_lines
_PIECE = 1000  # entries


class Past:
    """A session up to record `last`, kind by kind. Each call reads anew."""

    def __init__(self, source: Source, last: int | None = None) -> None:
        self.source = source
        self.last = source.reader.last if last is None else min(last, source.reader.last)

    def tokens(self) -> Iterator[list[str]]:
        """The texts of all tokens, some thousands at a time."""
        with self.source.located():
            for batch in token_batches(self.source.reader, 1, self.last, fields=("token",), spans=self.source.spans):
                yield [*map(_text, batch.token)]

    def token_stream(self) -> Iterator[dict[str, Any]]:
        """All tokens with what is known of each."""
        fields = ("token", "ts", "z", "phase", "tier", "source")
        with self.source.located():
            for batch in token_batches(self.source.reader, 1, self.last, fields=fields, spans=self.source.spans):
                columns = zip(batch.token, batch.ts, batch.z, batch.phase, batch.tier, batch.source, strict=True)
                for token, ts, z, phase, tier, source in columns:
                    yield {
                        "token": _text(token),
                        "timestamp": moment(ts),
                        "z": z,
                        "phase": phase,
                        "tier": tier,
                        "source": source,
                    }

    def token_numbers(self) -> Iterator[list[int]]:
        """The number of each token's record, some thousands at a time."""
        with self.source.located():
            for batch in token_batches(self.source.reader, 1, self.last, fields=(), spans=self.source.spans):
                yield batch.n

    def emissions(self) -> Iterator[EmissionRow]:
        """All emissions."""
        return self._rows(emission_shelf(filter_of()))

    def modules(self) -> Iterator[ModuleRow]:
        """All results of modules, stages and steps."""
        return self._rows(module_shelf(filter_of()))

    def transitions(self) -> Iterator[TransitionRow]:
        """All changes of state."""
        return self._rows(transition_shelf(filter_of()))

    def _rows(self, shelf: Shelf[R]) -> Iterator[R]:
        with self.source.located():
            for block in line_blocks(self.source.reader, 1, self.last):
                yield from shelf.rows(self.source.session, block, self.source.spans)


def emission_entry(row: EmissionRow) -> dict[str, Any]:
    """An emission as an engine keeps it, and takes it back: with these fields and no others."""
    return {
        "text": shown_text(row.text),
        "z": row.z,
        "phase": row.phase,
        "tokens": plain(row.tokens),
        "quality": row.quality,
    }


def module_entry(index: int, row: ModuleRow) -> dict[str, Any]:
    """A module's result as the guide's stream has it."""
    return {
        "index": index,
        "module": row.name,
        "timestamp": moment(row.ts),
        "result": plain(row.result),
        "duration_ms": None,
        "success": row.status == "ok",
        "status": row.status,
        "phase": row.phase,
    }


def transition_entry(row: TransitionRow) -> dict[str, Any]:
    """A change of state."""
    return {"timestamp": moment(row.ts), "before": plain(row.before), "after": plain(row.after)}


@lru_cache(maxsize=1024)  # the tokens of a batch have one time
def moment(ts: int) -> str:
    """Microseconds since 1970 as the guide writes times: ISO 8601 in UTC."""
    return (_EPOCH + timedelta(microseconds=ts)).isoformat()


def plain(value: Any) -> Any:
    """A value as the log writes it; what JSON cannot say is a tag there (docs/format.md, "Values")."""
    return encode(value)


def document(value: Any) -> bytes:
    """One JSON document, indented as the guide does."""
    return msgspec.json.format(_json(value), indent=2) + b"\n"


def listing(name: str, entries: Iterable[Any], counted: Callable[[int], object]) -> Iterator[bytes]:
    """A document of one list, an entry a line, in pieces; `counted` is told the number of entries at the end of each."""
    entries, count = iter(entries), 0
    yield b"{\n  %b: [" % _json(name)
    while piece := [*islice(entries, _PIECE)]:
        yield (b"," if count else b"") + b"\n    " + b",\n    ".join(map(_json, piece))
        count += len(piece)
        counted(count)
    yield b"\n  ]\n}\n" if count else b"]\n}\n"


def stream(entries: Iterable[Any]) -> Iterator[bytes]:
    """JSON lines, in pieces."""
    entries = iter(entries)
    while piece := [*islice(entries, _PIECE)]:
        yield _lines(piece)


def _text(token: str | int | bytes) -> str:
    if isinstance(token, str):
        return token
    return token.decode(errors="replace") if isinstance(token, bytes) else str(token)
