"""holdfast sessions"""

import time

import typer

from holdfast import Workspace
from holdfast.cli import amounts, output
from holdfast.cli.layout import Column
from holdfast.cli.options import Json, Root
from holdfast.cli.output import STATUS_STYLES

FIELDS = (
    *("name", "status", "reason", "to", "attempts", "records", "bytes", "created", "updated"),
    *("epoch", "tags", "notes", "config"),
)


def sessions(*, root: Root = None, json: Json = False) -> None:
    """List the sessions of a workspace, newest first.

    Example: holdfast sessions --root training
    """
    workspace = Workspace(root)
    found = workspace.sessions()
    if not found:
        output.tell(
            f"no sessions in {workspace.root}; record one with holdfast.session(...), or name another folder with --root"
        )
        raise typer.Exit(1)
    if json:
        for session in found:
            output.print_json({name: getattr(session, name) for name in FIELDS})
        return
    now = time.time_ns() // 1000
    rows = [
        (
            (session.name, "bold"),
            (session.status, STATUS_STYLES.get(session.status, "")),
            f"{session.attempts:,}",
            f"{session.records:,}",
            amounts.size(session.bytes),
            amounts.age(session.updated, now) if session.updated else "",
            f"now {session.to}" if session.to else session.reason or "",
        )
        for session in found
    ]
    columns = (
        Column(name="session", least=12),
        Column(name="status"),
        Column(name="attempts", right=True, rank=5),
        Column(name="log records", right=True, rank=4),
        Column(name="size", right=True, rank=3),
        Column(name="age", right=True, rank=2),
        Column(name="why", least=12, rank=1),
    )
    output.print_table(columns, rows)
