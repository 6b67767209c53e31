"""Files of lines: metrics, events, streams of tokens, as JSON or CSV; KIRA's and anybody's."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from holdfast.importing.checks import check_k_formed, check_negentropy
from holdfast.importing.documents import read_lines, text_lines
from holdfast.importing.findings import FIELD, Findings
from holdfast.importing.items import Event, Item, Metric, Module
from holdfast.importing.reading import Reading

TABLES = (".csv", ".tsv")
_TIMES = ("timestamp", "ts", "time", "wall_time", "_timestamp")
_EVENT_NAMES = ("event", "name", "type", "kind")


def kind_of_lines(first: Any) -> str | None:
    """The kind of a file of lines, by its first; None where that is no object."""
    if not isinstance(first, dict):
        return None
    if "token" in first:
        return "token stream"
    if "module" in first and "result" in first:
        return "module stream"
    numbers = sum(1 for value in first.values() if isinstance(value, int | float) and not isinstance(value, bool))
    if any(isinstance(first.get(name), str) for name in _EVENT_NAMES) and numbers < 3:
        return "events"
    return "metrics" if numbers else "events"


def read_json_lines(
    chunks: Iterable[bytes], reading: Reading, kind: str, columns: Mapping[str, str] | None = None
) -> Iterator[Item]:
    """What lines of JSON say. columns: the name that a metric gets, by the name it has; then only these."""
    return _items(read_lines(chunks, reading.findings), reading, kind, columns)


def columns_of_table(chunks: Iterable[bytes]) -> list[str]:
    """The names in the first line of a table."""
    return list(_table(text_lines(chunks, Findings(""))).fieldnames or [])


def read_csv(chunks: Iterable[bytes], reading: Reading, columns: Mapping[str, str] | None = None) -> Iterator[Item]:
    """Metrics from a table; a cell in which nothing stands is none."""
    rows = _table(text_lines(chunks, reading.findings))
    names = rows.fieldnames or []
    if len(set(names)) != len(names):
        reading.note(FIELD, "line 1", "a column's name is there twice: the last one counts")

    def values() -> Iterator[tuple[int, dict[str, Any]]]:
        for row in rows:
            more: Any = row.pop(None, None)
            if more is not None:
                reading.note(FIELD, f"line {rows.line_num}", f"more cells than columns: {more} was left out")
            yield rows.line_num, {name: _value(cell) for name, cell in row.items() if cell not in (None, "")}

    return _items(values(), reading, "metrics", columns)


def _table(lines: Iterator[str]) -> "csv.DictReader[str]":
    head = next(lines, "")
    marks = {mark: head.count(mark) for mark in (",", "\t", ";")}
    return csv.DictReader(
        chain([head + "\n"], (f"{line}\n" for line in lines)), delimiter=max(marks, key=lambda mark: marks[mark])
    )


def _items(lines: Iterator[tuple[int, Any]], reading: Reading, kind: str, columns: Mapping[str, str] | None) -> Iterator[Item]:
    for number, value in lines:
        where = f"line {number}"
        if not isinstance(value, dict):
            reading.note(FIELD, where, f"no object: {str(value)[:60]!r} was left out")
            continue
        if columns:
            value = {columns.get(name, name): entry for name, entry in value.items() if name in columns}
        if kind == "token stream":
            yield from reading.tokens([value], where, ts=reading.time(value))
        elif kind == "module stream":
            name = str(value.get("module"))
            status = "error" if value.get("success") is False else "ok"
            yield Module(name, value.get("result"), status, ts=reading.time(value), where=where)
        elif kind == "events":
            name = next((value[key] for key in _EVENT_NAMES if isinstance(value.get(key), str)), "line")
            yield Event(name, value, _time(value, reading, where)[0], where)
        else:
            if "z" in value:
                check_negentropy(value, reading, where)
            if "k_formed" in value:
                yield from check_k_formed(value, reading, where)
            ts, values = _time(value, reading, where)
            if values:
                yield Metric(values, ts, where)


def _time(value: dict[str, Any], reading: Reading, where: str) -> tuple[int | None, dict[str, Any]]:
    """When a line was written, which is taken out of it, and all else that it says."""
    for name in _TIMES:
        if name in value:
            found = reading.times.read(value[name], where)
            if found is not None:
                del value[name]
                return found, value
    return None, value


def _value(cell: str) -> Any:
    """A cell as a number, where it is one."""
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell
