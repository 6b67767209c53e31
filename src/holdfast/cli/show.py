"""holdfast show"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast import Workspace
from holdfast.cli import amounts, output, portrait
from holdfast.cli.options import Json, Root, Session
from holdfast.cli.summary import BOOKKEEPING, Summary
from holdfast.errors import line_to_type

_WAIT_SECONDS = 0.2
_TOLD_EVERY = 10_000
_LAST = 10
_LAST_HELP = f"Only the last N records: if not given {_LAST}, and with --json all."


def show(
    session: Session,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print records as they come, until the session is closed.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Bookkeeping and superseded records too.")] = False,
    last: Annotated[
        int | None,
        typer.Option("--last", "-n", min=0, metavar="N", show_default=False, help=_LAST_HELP),
    ] = None,
    root: Root = None,
    json: Json = False,
) -> None:
    """Show how a session went, and its last records.

    With --json: the records themselves, a line each.

    A record that --follow has printed may be superseded by a later one.

    Example: holdfast show count

    Example: holdfast show count --follow

    Example: holdfast show count --json | jq .values.loss
    """
    workspace = Workspace(root)
    printed = output.print_json if json else portrait.print_record
    if follow:
        _follow(workspace, session, printed, every=every, last=last if last is not None or json else _LAST)
    elif json:
        for fields in _tail(workspace.records(session, canonical=not every), last):
            printed(fields)
    else:
        _summarise(workspace, session, root, every=every, last=_LAST if last is None else last)


def _summarise(workspace: Workspace, session: str, root: Path | None, *, every: bool, last: int) -> None:
    facts = workspace.session(session)
    summary = Summary()
    tail: deque[dict[str, Any]] = deque(maxlen=last)
    with output.progress(f"reading {session}", facts.records) as told:
        for fields in workspace.records(session, canonical=False):
            summary.add(fields)
            if every or _is_canonical(fields):
                tail.append(fields)
            if not fields["n"] % _TOLD_EVERY:
                told(fields["n"])
    portrait.print_head(facts.name, facts.status, facts.reason, facts.to, amounts.size(facts.bytes), summary)
    portrait.print_timeline(summary, facts.status)
    portrait.print_kinds(summary)
    portrait.print_course(summary)
    portrait.print_metrics(summary)
    portrait.print_checkpoints(summary, line_to_type("checkpoints", session, root=root))
    portrait.print_last(tail)
    if facts.status != "running" and summary.last < facts.records:
        output.tell(
            f"the log ends with record {summary.last:,}, and there should be {facts.records:,}; see what is wrong with: "
            f"{line_to_type('verify', session, root=root)}"
        )


def _follow(
    workspace: Workspace, session: str, printed: Callable[[dict[str, Any]], None], *, every: bool, last: int | None
) -> None:
    """Print what there is, then what comes, until no process holds the session any more."""
    pause = threading.Event()
    seen = 0
    tail: deque[dict[str, Any]] = deque(maxlen=last)
    for fields in workspace.records(session, canonical=False):
        seen = fields["n"]
        if every or _is_canonical(fields):
            if last is None:
                printed(fields)
            else:
                tail.append(fields)
    for fields in tail:
        printed(fields)
    output.flush()
    coming = workspace.follow(session, first=seen + 1)
    while True:
        is_running = workspace.is_running(session)  # asked first: what it wrote before it ended is printed too
        for fields in coming.poll():
            if every or _is_canonical(fields):
                printed(fields)
        output.flush()
        if not is_running:
            break
        pause.wait(_WAIT_SECONDS)
    facts = workspace.session(session)
    output.tell(f"{session}: {portrait.ending(facts.status, facts.reason, facts.to)}")


def _is_canonical(fields: dict[str, Any]) -> bool:
    return fields["kind"] not in BOOKKEEPING and not fields.get("superseded")


def _tail(records: Iterable[dict[str, Any]], last: int | None) -> Iterable[dict[str, Any]]:
    return records if last is None else deque(records, maxlen=last)
