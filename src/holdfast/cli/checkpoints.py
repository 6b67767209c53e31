"""holdfast checkpoints"""

import time

import typer

from holdfast import Workspace
from holdfast.cli import amounts, output
from holdfast.cli.layout import Column
from holdfast.cli.options import Json, Root, Session
from holdfast.cli.output import Cell

FIELDS = (
    *("number", "n", "ts", "name", "position", "at", "step", "size", "released", "dead"),
    *("problem", "problem_path", "problem_offset"),
)


def checkpoints(session: Session, *, root: Root = None, json: Json = False) -> None:
    """List the checkpoints of a session, and check them.

    Example: holdfast checkpoints count
    """
    found = Workspace(root).checkpoints(session)
    if not found:
        output.tell(f"session {session!r} has no checkpoints; take them with run.checkpoint() or loop(checkpoint_every=…)")
        raise typer.Exit(1)
    if json:
        for info in found:
            output.print_json({name: getattr(info, name) for name in FIELDS})
        return
    now = time.time_ns() // 1000
    rows = [
        (
            (str(info.number), "bold"),
            info.name or "",
            "" if info.step is None else f"{info.step:,}",
            f"{info.position:,}",
            amounts.size(info.size),
            amounts.age(info.ts, now),
            _state(info.problem, is_released=info.released, is_dead=info.dead, at=info.at),
        )
        for info in found
    ]
    columns = (
        Column(name="checkpoint", right=True),
        Column(name="name", least=6, rank=2),
        Column(name="next step", right=True, rank=1),
        Column(name="up to record", right=True, rank=3),
        Column(name="size", right=True, rank=4),
        Column(name="age", right=True, rank=5),
        Column(name="state", least=12),
    )
    output.print_table(columns, rows)


def _state(problem: str | None, *, is_released: bool, is_dead: bool, at: str | None) -> Cell:
    if problem is not None:
        return problem, "bold red"
    if is_released:
        return "released: its files may be gone", "dim"
    if is_dead:
        return "superseded", "magenta"
    if at is None:
        return "outside loops and steps: to export only", "yellow"
    return "good", "green"
