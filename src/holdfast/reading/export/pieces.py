"""The rows of a table in their order, cut in SELECTs that can be worked on by themselves."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from holdfast.reading.loader import Source
from holdfast.reading.sql.relations import Relations, Stretch, no_rows, stretches, taken_select, token_select, united
from holdfast.reading.sql.tables import TABLES

_MOST_CUTS = 64
"""DuckDB holds a quarter of a megabyte for each scan in a SELECT."""


class _Cut(NamedTuple):
    """The records first to last of a log. known: all its stretches. taken: how many tokens were taken in of these records."""

    source: Source
    log: int
    known: Sequence[Stretch]
    first: int
    last: int
    taken: int


def cut_in_pieces(
    relations: Relations, sources: Sequence[Source], name: str, part: int, *, alike: bool, superseded: bool, json: str
) -> list[str]:
    """SQL for the rows of a table, which were taken in, session after session in the order of the logs: one or more, in their
    order. One is for the tokens of at most `part` records, or for the whole table.

    alike: they are cut, and their rows come out of DuckDB, by nothing but the records, wherever these stand; else as is
    quickest. json: the type of user values, "JSON" or "VARCHAR".
    """
    logs = relations.logs_of(sources)
    if not logs or name != "tokens":
        return [taken_select(name, logs, superseded=superseded) if logs else no_rows(TABLES[name])]
    cut: list[_Cut] = []
    for source, log, counted in zip(sources, logs, _Counted.of(relations, logs), strict=True):
        known = stretches(source.reader)
        for first, last in _multiples(known, part) if alike else _portions(known, part, counted):
            cut.append(_Cut(source, log, known, first, last, counted.within(first, last)))
    pieces = [
        _tokens_of(together, part if alike else None, superseded=superseded, json=json)
        for together in _gathered(cut, part, alike=alike)
    ]
    return pieces or [no_rows(TABLES[name])]


class _Counted(NamedTuple):
    """How many tokens were taken in of a log: so many, of the records least to most."""

    relations: Relations
    log: int
    tokens: int
    least: int
    most: int

    @classmethod
    def of(cls, relations: Relations, logs: Sequence[int]) -> "list[_Counted]":
        """Those of some logs."""
        select = "SELECT log, count(*), min(n), max(n) FROM taken.tokens GROUP BY log"
        known = {log: found for log, *found in relations.cursor().execute(select).fetchall()}
        return [cls(relations, log, *known.get(log, (0, 0, 0))) for log in logs]

    def within(self, first: int, last: int) -> int:
        """How many of these records."""
        if not self.tokens or self.most < first or last < self.least:
            return 0
        if first <= self.least and self.most <= last:
            return self.tokens
        select = f"SELECT count(*) FROM taken.tokens WHERE log = {self.log} AND n BETWEEN {first} AND {last}"
        ((found,),) = self.relations.cursor().execute(select).fetchall()
        return int(found)


def _multiples(known: Sequence[Stretch], part: int) -> Iterator[tuple[int, int]]:
    """The first and last records of parts of a log that begin at multiples of `part`."""
    if known:
        for first in range(known[0].first // part * part, known[-1].last + 1, part):
            yield max(first, known[0].first), min(first + part - 1, known[-1].last)


def _portions(known: Sequence[Stretch], part: int, counted: _Counted) -> Iterator[tuple[int, int]]:
    """The same of parts of its stretches, of which only a single record has more than `part` tokens that were taken in."""
    waiting = [(one.first, one.last) for one in reversed(known)]
    while waiting:
        first, last = waiting.pop()
        end = min(first + part - 1, last)
        while first < end and counted.within(first, end) > part:
            end = (first + end) // 2
        yield first, end
        if end < last:
            waiting.append((end + 1, last))


def _gathered(cut: Sequence[_Cut], part: int, *, alike: bool) -> Iterator[list[_Cut]]:
    """Those that follow each other, not too many, and have at most `part` records together, and tokens that were taken in
    unless alike."""
    together: list[_Cut] = []
    size = 0
    for one in cut:
        records = one.last - one.first + 1
        added = records if alike else max(records, one.taken)
        if together and (size + added > part or len(together) == _MOST_CUTS):
            yield together
            together, size = [], 0
        together.append(one)
        size += added
    if together:
        yield together


def _tokens_of(cut: Sequence[_Cut], alike: int | None, *, superseded: bool, json: str) -> str:
    """SQL for the tokens of some records. alike: with it, what comes in several scans, or is more than so many lines, comes out
    of one sort; else only lines among what stands in columns do."""
    scans: list[str] = []
    is_in_order = True
    for index, one in enumerate(cut):
        found = [token_select(one.source, stretch, superseded, json) for stretch in _in_columns(one)]
        if one.taken:
            taken = taken_select("tokens", [one.log], superseded=superseded)
            found.append(f"{taken} AND n BETWEEN {one.first} AND {one.last}")
            is_in_order &= len(found) == 1
        scans += [f"SELECT {index} AS cut, * FROM ({scan})" for scan in found]
    if not scans:
        return no_rows(TABLES["tokens"])
    rows = f"SELECT * EXCLUDE (cut) FROM ({united(scans)})"
    is_alike = alike is None or (len(scans) == 1 and all(one.taken <= alike for one in cut))
    return rows if is_in_order and is_alike else f"{rows} ORDER BY cut, n, place"


def _in_columns(cut: _Cut) -> Iterator[Stretch]:
    """What of the records stands in sealed files."""
    for known in cut.known:
        if known.path is not None and known.first <= cut.last and cut.first <= known.last:
            yield Stretch(max(cut.first, known.first), min(cut.last, known.last), known.path)
