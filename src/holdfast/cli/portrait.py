"""What `show` prints of a session, part by part."""

import time
from collections.abc import Iterable, Sequence
from math import inf
from pathlib import Path
from typing import Any

from holdfast.cli import amounts, output
from holdfast.cli.charts import Series, bar_of, phase_looks, regime_style, runs, sparkline
from holdfast.cli.describe import KIND_STYLES, brief, command_line, in_words, pairs
from holdfast.cli.layout import Column
from holdfast.cli.output import STATUS_STYLES, Cell, Picture
from holdfast.cli.summary import Attempt, Summary

_LABEL_WIDTH = 8
_RESUMABLE = ("interrupted", "killed", "failed")


def print_head(name: str, status: str, reason: str | None, to: str | None, size: str, summary: Summary) -> None:
    """Name, status, and where the run came from."""
    output.say((name, "bold"), "  ", (status, STATUS_STYLES.get(status, "")), *([f"  {reason}"] if reason else []))
    attempts, info, opened = summary.attempts, summary.info, summary.opened
    line = command_line(info, str(Path.cwd()))
    git = info.get("git") or {}
    host = f"{info.get('host', '')}, process {info.get('pid', '?')}, Python {info.get('python', '?')}" if info else ""
    began = opened.get("ts", 0)
    took = sum(attempt.until - attempt.began for attempt in attempts)
    facts: dict[str, Cell] = {
        "command": line or "",
        "git": f"{git.get('commit', '')[:12]}{' with changes' if git.get('dirty') else ''}",
        "host": host,
        "started": f"{amounts.date_and_time(began)}  ({amounts.age(began, time.time_ns() // 1000)} ago)" if began else "",
        "took": f"{amounts.span(took)} in {amounts.count(len(attempts), 'attempt')}",
        "log": f"{amounts.count(sum(summary.kinds.values()), 'record')} of the run; {summary.last:,} in all, {size}",
        "saving": f"{opened.get('save_mode', '')}, {opened.get('durability', '')}" if opened else "",
        "config": brief(opened["config"]) if opened.get("config") else "",
        "epoch": str(opened.get("epoch", "")),
        "tags": ", ".join(opened.get("tags", ())),
        "notes": str(opened.get("notes", "")),
        "goes on as": to or "",
        "go on with": (line or "the same line again", "bold") if status in _RESUMABLE else "",
    }
    shown = {name: value for name, value in facts.items() if value and value != ("", "")}
    output.print_facts(shown, whole=("command", "go on with"))


def print_timeline(summary: Summary, status: str) -> None:
    """The attempts one after the other, and what happened between them."""
    rows: list[tuple[Cell, ...]] = []
    for entry in summary.timeline:
        if not isinstance(entry, Attempt):
            rows.append(("", amounts.date_and_time(entry.ts), (entry.text, "italic")))
            continue
        ended = entry.ended or ("running" if status == "running" else "killed")
        why = f" ({entry.reason})" if entry.reason and entry.reason != ended else ""
        rows.append(
            (
                str(entry.number),
                amounts.date_and_time(entry.began),
                entry.origin,
                f"{entry.records:,}",
                f"{entry.checkpoints:,}",
                amounts.span(max(0, entry.until - entry.began)),
                (ended + why, STATUS_STYLES.get(ended, "")),
            )
        )
    columns = (
        Column(name="attempt", right=True),
        Column(name="began", rank=4),
        Column(name="from", least=20),
        Column(name="recorded", right=True, rank=1),
        Column(name="checkpoints", right=True, rank=3),
        Column(name="took", right=True, rank=2),
        Column(name="end", least=10),
    )
    _part(columns, rows)


def print_kinds(summary: Summary) -> None:
    """Records by kind, as bars."""
    most = max(summary.kinds.values(), default=0)
    rows: list[tuple[Cell, ...]] = [
        ((kind, KIND_STYLES.get(kind, "")), f"{count:,}", bar_of(count / most, KIND_STYLES.get(kind, "")))
        for kind, count in summary.kinds.most_common()
    ]
    if summary.superseded:
        rows.append((("superseded", "dim"), f"{summary.superseded:,}", ""))
    _part((Column(name="kind", least=8), Column(name="records", right=True), Column(name="", least=8, rank=1)), rows)


def print_course(summary: Summary) -> None:
    """How z went over the tokens, in the colours of its regimes, and which phase came when, of tokens and of modules."""
    room = max(1, min(64, output.line_width() - _LABEL_WIDTH))
    if z := summary.z.means(room):
        signs = runs(zip(sparkline(z), map(regime_style, z), strict=True))
        first, last, low, high = map(_number, (summary.z.first, summary.z.last, summary.z.low, summary.z.high))
        output.say("")
        output.say((f"{'z':<{_LABEL_WIDTH}}", "dim"), *signs)
        output.say(" " * _LABEL_WIDTH, (f"{first} to {last}, lowest {low}, highest {high}", "dim"))
    for label, timeline in (("phases", summary.phases), ("stages", summary.stages)):
        if names := timeline.names(room):
            looks, total = phase_looks(timeline.counts), timeline.counts.total()
            output.say("")
            output.say((f"{label:<{_LABEL_WIDTH}}", "dim"), *runs(looks[name] for name in names))
            legend = [
                (*looks[name], f" {output.printable(name):.40} {count / total:.0%}") for name, count in timeline.counts.items()
            ]
            for line in _broken(legend, room):
                parts: list[Cell] = [part for sign, style, words in line for part in ((sign, style), words, "   ")]
                output.say(" " * _LABEL_WIDTH, *parts[:-1])


def _broken(legend: Iterable[tuple[str, str, str]], room: int) -> list[list[tuple[str, str, str]]]:
    """The entries of a legend, as many on a line as fit."""
    lines: list[list[tuple[str, str, str]]] = []
    left = 0
    for entry in legend:
        width = len(entry[2]) + 4
        if left < width:
            lines.append([])
            left = room
        lines[-1].append(entry)
        left -= width
    return lines


def print_metrics(summary: Summary) -> None:
    """Every metric as a sparkline over the whole run."""
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            Picture(draw=series.picture, width=len(series.picture()), style="cyan"),
            *map(_number, (series.first, series.last, series.low, series.high)),
            _strange(series),
        )
        for name, series in summary.metrics.items()
    ]
    columns = (
        Column(name="metric", least=12),
        Column(name="", least=8, rank=1),
        Column(name="first", right=True, rank=2),
        Column(name="last", right=True),
        Column(name="low", right=True, rank=4),
        Column(name="high", right=True, rank=3),
        Column(name="", least=8, rank=5),
    )
    _part(columns, rows)


def print_checkpoints(summary: Summary, line: str) -> None:
    """The last checkpoints, and the line to type for all of them."""
    rows: list[tuple[Cell, ...]] = [
        (
            str(record["number"]),
            record.get("name") or "",
            f"{record['position']['main']:,}",
            amounts.size(record.get("size", 0)),
            amounts.date_and_time(record["ts"]),
            ("released", "dim") if record["n"] in summary.released else pairs(record.get("metrics")),
        )
        for record in summary.checkpoints
    ]
    columns = (
        Column(name="checkpoint", right=True),
        Column(name="name", least=6, rank=2),
        Column(name="up to record", right=True, rank=3),
        Column(name="size", right=True),
        Column(name="taken", rank=4),
        Column(name="", least=12, rank=1),
    )
    _part(columns, rows)
    if summary.checkpoint_count > len(rows):
        output.say((f"{summary.checkpoint_count:,} in all; see: {line}", "dim"))


def print_last(records: Iterable[dict[str, Any]]) -> None:
    """A list of records."""
    columns = (
        Column(name="n", right=True),
        Column(name="time", rank=1),
        Column(name="kind"),
        Column(name="record", least=20),
    )
    _part(columns, [_record(fields) for fields in records])


def print_record(fields: dict[str, Any]) -> None:
    """One record on a line of its own."""
    n, moment, (kind, style), words = _record(fields)
    output.say(f"{n:>7}  ", (moment, "dim"), "  ", (f"{kind:<11}", style), words)


def ending(status: str, reason: str | None, to: str | None) -> str:
    """How a session stands when nobody writes it, and what can be done."""
    why = f" ({reason})" if reason and reason != status else ""
    if to:
        return f"{status}{why}; it goes on as {to!r}"
    return f"{status}{why}; run the same line again to go on" if status in _RESUMABLE else f"{status}{why}"


def _record(fields: dict[str, Any]) -> tuple[str, str, tuple[str, str], str]:
    style = "dim" if fields.get("superseded") else KIND_STYLES.get(fields["kind"], "dim")
    return str(fields["n"]), amounts.time_of_day(fields["ts"]), (fields["kind"], style), in_words(fields)


def _part(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
    if rows:
        output.say("")
        output.print_table(columns, rows)


def _number(value: float | None) -> str:
    return "" if value is None or value in (inf, -inf) else amounts.number(value)


def _strange(series: Series) -> Cell:
    return (f"{series.strange:,} not finite", "red") if series.strange else ""
