"""holdfast search"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Protocol

import typer

from holdfast import InvalidSetting, Workspace
from holdfast.cli import amounts, output, portrait
from holdfast.cli.charts import bar_of
from holdfast.cli.filters import Epoch, Phases, Sessions, Since, Sources, Superseded, Tiers, Until, ZRange, range_of, time_of
from holdfast.cli.layout import Column
from holdfast.cli.options import Json, Root
from holdfast.cli.output import Cell, Marked

FIELDS = ("session", "n", "place", "ts", "token", "z", "phase", "tier", "source", "lane", "superseded")
TEXT_FIELDS = ("session", "n", "ts", "kind", "text", "z", "phase", "superseded")
GROUPS = ("spiral", "operator", "machine", "domain", "phase")
_LAST = 20
_MATCH = "bold green"


class _Hits(Protocol):
    """What both kinds of search give."""

    notices: tuple[str, ...]

    def __len__(self) -> int: ...


def search(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", show_default=False, help="What to look for.")],
    *,
    regex: Annotated[bool, typer.Option("--regex", "-E", help="PATTERN is a regular expression, in RE2's syntax.")] = False,
    text: Annotated[bool, typer.Option("--text", "-t", help="Look for PATTERN in the texts of emissions and notes.")] = False,
    session: Sessions = None,
    epoch: Epoch = None,
    phase: Phases = None,
    tier: Tiers = None,
    z: ZRange = None,
    since: Since = None,
    until: Until = None,
    source: Sources = None,
    meta: Annotated[
        list[str] | None, typer.Option("--meta", metavar="KEY[=VALUE]", help="Only with this in their metadata.")
    ] = None,
    superseded: Superseded = False,
    first: Annotated[int | None, typer.Option("--first", min=0, metavar="N", help="Only the first N.")] = None,
    last: Annotated[
        int | None,
        typer.Option("--last", "-n", min=0, metavar="N", help=f"Only the last N: if not given {_LAST}, and with --json all."),
    ] = None,
    count: Annotated[bool, typer.Option("--count", "-c", help="Only how many there are.")] = False,
    group_by: Annotated[
        str | None, typer.Option("--group-by", metavar="WHAT", help=f"How many there are by {', '.join(GROUPS)}.")
    ] = None,
    context: Annotated[int, typer.Option("--context", "-C", min=0, metavar="N", help="N records around each, too.")] = 0,
    root: Root = None,
    json: Json = False,
) -> None:
    """Search the tokens of all sessions, newest last.

    PATTERN goes part by part between bars; * is anything within a part, and the third part may be a family of domains. Without
    a bar it is a token or its first part, and * runs over bars: 'Φ×*' a beginning, '*React*' a text within. A backslash before
    |, * or itself takes the meaning away.

    TIME is microseconds since 1970, or as in 2026-11-25T14:30, local where no zone is said.

    Example: holdfast search 'Φ×|*|celestial'

    Example: holdfast search '*_em' --phase TRUE --z 0.9: --context 2

    Example: holdfast search --regex '^e.*t[3-5]' --count

    Example: holdfast search --text 'lens of' --json
    """
    asked: dict[str, Any] = {
        "session": session or None,
        "epoch": epoch,
        "phase": phase or None,
        "z": range_of(z),
        "since": time_of("--since", since),
        "until": time_of("--until", until),
        "superseded": superseded,
    }
    if first is not None and last is not None:
        raise InvalidSetting("--first and --last cannot both be given")
    if group_by is not None and group_by not in GROUPS:
        raise InvalidSetting(f"--group-by {group_by}: it is one of {', '.join(GROUPS)}")
    limit = None if json and last is None else _LAST if last is None else last
    if text:
        _refuse_with_text(regex=regex, tier=tier, source=source, meta=meta, group_by=group_by, context=context)
        _search_texts(Workspace(root), pattern, asked, first=first, last=limit, count=count, json=json)
        return
    with output.progress_by_session("indexing") as told:
        hits = Workspace(root).search(
            pattern, regex=regex, tier=tier or None, source=source or None, meta=meta or (), **asked, progress=told
        )
    _tell(hits, pattern, "token")
    if count:
        _print_counts(hits.by_session(), json=json)
        return
    if group_by is not None:
        _print_groups(group_by, hits.group_by(group_by), json=json)
        return
    rows: Any = hits.first(first) if first is not None else hits if limit is None else hits.last(limit)
    if json:
        for hit in rows:
            fields = {name: getattr(hit, name) for name in FIELDS}
            output.print_json(fields | ({"context": hits.around(hit, context)} if context else {}))
        return
    if context:
        for index, hit in enumerate(rows):
            if index:
                output.say("")
            _print_hits([hit], hits.pattern)
            for record in hits.around(hit, context):
                portrait.print_record(record)
    else:
        _print_hits(rows, hits.pattern)
    _print_total(hits.by_session(), "token")


def _search_texts(
    workspace: Workspace, text: str, asked: dict[str, Any], *, first: int | None, last: int | None, count: bool, json: bool
) -> None:
    with output.progress_by_session("indexing") as told:
        texts = workspace.search_texts(text, **asked, progress=told)
    _tell(texts, text, "record")
    counts = dict(Counter(entry.session for entry in texts))
    if count:
        _print_counts(counts, json=json)
        return
    rows = texts[:first] if first is not None else texts if last is None else texts[len(texts) - min(last, len(texts)) :]
    if json:
        for entry in rows:
            output.print_json({name: getattr(entry, name) for name in TEXT_FIELDS})
        return
    _print_texts(rows, text)
    _print_total(counts, "record")


def _refuse_with_text(**options: Any) -> None:
    for name, value in options.items():
        if value:
            raise InvalidSetting(f"--{name.replace('_', '-')} is about tokens, and cannot be given with --text")


def _tell(hits: _Hits, pattern: str, what: str) -> None:
    """Say what a user should know; with status 1 where nothing was found."""
    for notice in hits.notices:
        output.tell(notice)
    if not len(hits):
        output.tell(f"no {what} found for {pattern!r}; what patterns mean is told by: holdfast search --help")
        raise typer.Exit(1)


def _print_hits(rows: Sequence[Any], pattern: Any) -> None:
    cells: list[tuple[Cell, ...]] = [
        (
            hit.session,
            f"{hit.n}" if not hit.place else f"{hit.n}.{hit.place}",
            (amounts.date_and_time(hit.ts), "dim"),
            Marked(text=hit.token, spans=pattern.spans(hit.token), style=_MATCH),
            "" if hit.z is None else f"{hit.z:.4f}",
            hit.phase or "",
            "" if hit.tier is None else str(hit.tier),
            "superseded" if hit.superseded else "",
        )
        for hit in rows
    ]
    columns = (
        Column(name="session", least=8, rank=2),
        Column(name="n", right=True),
        Column(name="time", rank=4),
        Column(name="token", least=12),
        Column(name="z", right=True, rank=1),
        Column(name="phase", rank=3),
        Column(name="tier", right=True, rank=5),
        Column(name="", rank=6),
    )
    output.print_table(columns, cells)


def _print_texts(rows: Sequence[Any], pattern: str) -> None:
    wanted = re.compile(re.escape(pattern), re.IGNORECASE)
    cells: list[tuple[Cell, ...]] = [
        (
            hit.session,
            f"{hit.n}",
            (amounts.date_and_time(hit.ts), "dim"),
            hit.kind + ("  superseded" if hit.superseded else ""),
            Marked(text=hit.text, spans=[found.span() for found in wanted.finditer(hit.text)], style=_MATCH),
        )
        for hit in rows
    ]
    columns = (
        Column(name="session", least=8, rank=2),
        Column(name="n", right=True),
        Column(name="time", rank=3),
        Column(name="kind", rank=1),
        Column(name="text", least=12),
    )
    output.print_table(columns, cells)


def _print_counts(counts: dict[str, int], *, json: bool) -> None:
    total = sum(counts.values())
    if json:
        output.print_json({"count": total, "sessions": counts})
        return
    rows: list[tuple[Cell, ...]] = [(session, f"{number:,}") for session, number in counts.items()]
    if len(rows) > 1:
        rows.append((("all", "bold"), f"{total:,}"))
    output.print_table((Column(name="session", least=8), Column(name="found", right=True)), rows)


def _print_total(counts: dict[str, int], what: str) -> None:
    shown = ", ".join(f"{session} {number:,}" for session, number in list(counts.items())[-8:])
    further = f" and {amounts.count(len(counts) - 8, 'session')} more" if len(counts) > 8 else ""
    output.tell(f"{amounts.count(sum(counts.values()), what)}: {shown}{further}")


def _print_groups(what: str, counts: dict[Any, int], *, json: bool) -> None:
    if json:
        for value, number in counts.items():
            output.print_json({"group": what, "value": value, "count": number})
        return
    total = sum(counts.values())
    rows: list[tuple[Cell, ...]] = [
        ("none" if value is None else str(value), f"{number:,}", f"{number / total:.1%}", bar_of(number / total, "green"))
        for value, number in counts.items()
    ]
    columns = (
        Column(name=what, least=8),
        Column(name="found", right=True),
        Column(name="share", right=True, rank=1),
        Column(name="", least=8, rank=2),
    )
    output.print_table(columns, rows)
