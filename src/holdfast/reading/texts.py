"""Search what was said in words: the texts of emissions and notes."""

from collections.abc import Callable, Collection, Iterator
from itertools import chain
from pathlib import Path

import msgspec

from holdfast.errors import BadPattern, HoldfastError
from holdfast.reading.blocks import line_blocks
from holdfast.reading.filters import Filter
from holdfast.reading.index.build import mark_of
from holdfast.reading.index.texts import Texts, TextsUnusable
from holdfast.reading.locate import located
from holdfast.reading.opening import open_log
from holdfast.reading.superseded import superseded_spans
from holdfast.records import UNREADABLE, BadRecord
from holdfast.storage.files import Files
from holdfast.storage.host import boot_id
from holdfast.storage.reader import LogReader

WRITTEN_FROM = 2_000
"""So many records that were not taken in yet are worth a transaction."""
_MARKS = (b'{"kind":"emission"', b'{"kind":"note"')
_NEAR = 64  # records that are read on rather than looked for


Progress = Callable[[str, int, int], object]


class _Said(msgspec.Struct):
    kind: str
    ts: int
    text: str = ""
    z: float | None = None
    phase: str | None = None
    lane: str | None = None
    top: bool = False


_decode = msgspec.json.Decoder(_Said).decode


class TextHit(msgspec.Struct, frozen=True):
    """An emission or a note that was found. n: number of its record in the session's log. ts: microseconds since 1970."""

    session: str
    n: int
    ts: int
    kind: str
    text: str
    z: float | None
    phase: str | None
    superseded: bool


class TextHits(list[TextHit]):
    """What was found, sessions by age, each in the order of its log. notices: what a user should know of how."""

    def __init__(self, hits: list[TextHit], notices: tuple[str, ...]) -> None:
        super().__init__(hits)
        self.notices = notices


class TextSearcher:
    """Searches the emissions and notes of a workspace."""

    def __init__(self, files: Files, root: Path) -> None:
        self._files, self._root = files, root

    def search(
        self,
        sessions: Collection[str],
        text: str,
        wanted: Filter,
        *,
        strict: bool,
        progress: Progress = lambda session, done, total: None,
    ) -> TextHits:
        """Every emission and note that holds a text, capitals or not. strict: raise where a session cannot be read."""
        if not isinstance(text, str) or not text:
            raise BadPattern(text if isinstance(text, str) else repr(text), 0, "there is nothing to look for")
        folded = text.casefold()
        notices: list[str] = []
        found: list[tuple[int, str, list[TextHit]]] = []
        texts = self._texts(notices) if sessions else None  # where there are none perhaps there is no workspace
        try:
            for session in sessions:
                folder = self._root / "sessions" / session
                try:
                    with located(self._files, folder / "log" / "main"):
                        reader = open_log(self._files, folder, boot_id())
                        if not reader.last:
                            continue
                        known, numbers = _candidates(texts, session, reader, folded, progress, notices)
                        hits = list(_hits(session, reader, folded, wanted, known, numbers))
                        found.append((_decode(reader.find(1)).ts, session, hits))
                except HoldfastError as error:
                    if strict:
                        raise
                    notices.append(f"session {session!r} was not searched: {error}")
        finally:
            if texts is not None:
                texts.close()
        found.sort(key=lambda entry: entry[:2])
        return TextHits([hit for _, _, hits in found for hit in hits], tuple(dict.fromkeys(notices)))

    def _texts(self, notices: list[str]) -> Texts | None:
        try:
            texts = Texts(self._files, self._root)
            for session in texts.sessions():
                if not self._files.exists(self._root / "sessions" / session):
                    texts.forget(session)
        except TextsUnusable as error:
            notices.append(str(error))
            return None
        return texts


def _candidates(
    texts: Texts | None, session: str, reader: LogReader, folded: str, progress: Progress, notices: list[str]
) -> tuple[int, list[int]]:
    """Up to which record the database knows a session, and which of those records may hold the text."""
    if texts is None:
        return 0, []
    try:
        known, mark = texts.known_up_to(session)
        if known and not (known <= reader.last and mark_of(reader.find(known)) == mark):
            texts.forget(session)  # another session of that name, or one that lost its end to a power loss
            known = 0
        if reader.last - known >= WRITTEN_FROM:
            first, total = known + 1, reader.last - known
            said = _said(reader, first, lambda n: progress(session, n - first + 1, total))
            texts.add(session, reader.last, mark_of(reader.find(reader.last)), ((n, one.text.casefold()) for n, one in said))
            known = reader.last
        return known, texts.numbers(session, folded)
    except TextsUnusable as error:
        notices.append(str(error))
        return 0, []


def _hits(session: str, reader: LogReader, folded: str, wanted: Filter, known: int, numbers: list[int]) -> Iterator[TextHit]:
    """The candidates that do hold the text, and what does behind the last record that is known."""
    spans = superseded_spans(reader)
    for n, said in chain(_said_at(reader, [n for n in numbers if n <= known]), _said(reader, known + 1)):
        if folded not in said.text.casefold() or not wanted.passes(said.ts, phase=said.phase, z=said.z):
            continue
        is_gone = spans.covers(n, said.lane, said.top)
        if wanted.superseded or not is_gone:
            yield TextHit(session, n, said.ts, said.kind, said.text, said.z, said.phase, is_gone)


def _said(reader: LogReader, first: int, progress: Callable[[int], object] = lambda n: None) -> Iterator[tuple[int, _Said]]:
    """The emissions and notes from record `first` on."""
    for block in line_blocks(reader, first):
        if any(mark in block.data for mark in _MARKS):
            for n, line in enumerate(block.lines(), block.first):
                if line.startswith(_MARKS):
                    yield n, _read(line)
        progress(block.last)


def _said_at(reader: LogReader, numbers: list[int]) -> Iterator[tuple[int, _Said]]:
    """The emissions and notes of these numbers, read in stretches."""
    at = 0
    while at < len(numbers):
        end = at + 1
        while end < len(numbers) and numbers[end] - numbers[end - 1] <= _NEAR:
            end += 1
        asked = set(numbers[at:end])
        for n, line in reader.read(numbers[at], numbers[end - 1]):
            if n in asked:
                yield n, _read(line)
        at = end


def _read(line: bytes) -> _Said:
    try:
        return _decode(line)
    except UNREADABLE as error:
        raise BadRecord(line, str(error)) from None
