"""holdfast kira"""

import sys
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any

import typer

from holdfast import HoldfastError, Interrupted, SessionNotFound, Workspace, converse
from holdfast import session as open_session
from holdfast.cli import amounts, output
from holdfast.cli.options import Durability, Json, Root, SaveMode
from holdfast.cli.piped import Piped
from holdfast.cli.typed import Typed
from holdfast.errors import line_to_type

_CHECKPOINTS_KEPT = 100  # so many lines back `holdfast resume` can go; where much was learned, one takes 100 kB
_HISTORY_LINES = 500
_HISTORY_RECORDS = 20_000  # so many of the newest records are looked at for it


def kira(
    *,
    session: Annotated[
        str, typer.Option("--session", metavar="NAME", help="The session: new, or to be gone on with.")
    ] = "kira",
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="N", show_default=False, help="Of a new session: where its chance begins; 0 if not given."
        ),
    ] = None,
    k_threshold: Annotated[
        int | None,
        typer.Option(
            "--k-threshold",
            metavar="7|3",
            show_default=False,
            help="Of a new session: passes K-formation asks for; 7 if not given.",
        ),
    ] = None,
    save_mode: SaveMode = "continuous",
    durability: Durability = "process",
    root: Root = None,
    json: Json = False,
) -> None:
    """Talk with KIRA; all of it is saved as you type.

    Leave it with /exit or Ctrl-D, or kill it: the same line goes on where it was. With --json, and where
    standard input or output is no terminal, each line of input is answered by a line of JSON.

    Example: holdfast kira

    Example: holdfast kira --session deep --seed 7 --k-threshold 3

    Example: printf '%s\\n' '/evolve 0.88' 'hello lens' | holdfast kira --json | jq .state.z
    """
    workspace, settings = Workspace(root), {"seed": 0, "k_threshold": 7}
    settings |= _recorded_settings(workspace, session)
    settings |= {name: value for name, value in (("seed", seed), ("k_threshold", k_threshold)) if value is not None}
    is_typed = not json and sys.stdin.isatty() and sys.stdout.isatty()
    partner: Typed | Piped = Typed(_history(workspace, session)) if is_typed else Piped()
    opened: Any = partial(
        open_session, session, root=root, save_mode=save_mode, durability=durability, keep_last=_CHECKPOINTS_KEPT
    )
    chosen = [("--session", session), ("--save-mode", save_mode), ("--durability", durability)]
    words = [word for option in chosen if option[1] not in ("kira", "continuous", "process") for word in option]
    again = f"go on with: {line_to_type('kira', *words, root=root)}"
    with partner.stops.taken():
        try:
            converse(opened, partner, **settings)
        except Interrupted as stop:
            output.tell(f"{session}: stopped ({stop.reason}), and nothing is lost; {again}")
            raise
    if isinstance(partner, Typed):
        output.tell(f"{session}: {amounts.count(partner.lines, 'line')}, all saved; {again}")


def _recorded_settings(workspace: Workspace, session: str) -> dict[str, int]:
    """What the session began with, so that it need not be typed again."""
    try:
        config = workspace.session(session).config
    except SessionNotFound:
        return {}
    known = config if isinstance(config, dict) else {}
    return {name: known[name] for name in ("seed", "k_threshold") if isinstance(known.get(name), int)}


def _history(workspace: Workspace, session: str) -> list[str]:
    """The last lines of the workspace's conversations, which stand in their logs: oldest first, this session's at the end."""
    lines: deque[str] = deque()
    left = _HISTORY_RECORDS
    talks = [
        info for info in workspace.sessions() if isinstance(info.config, dict) and info.config.get("workflow") == "conversation"
    ]
    for info in sorted(talks, key=lambda info: info.name != session):  # which keeps the newest first
        if left <= 0 or len(lines) >= _HISTORY_LINES:
            break
        try:
            lines.extendleft(reversed(list(_lines(workspace, info.name, first=max(1, info.records - left)))))
        except HoldfastError:  # damaged, or just removed: whoever opens it is told
            continue
        left -= info.records
    return list(lines)[-_HISTORY_LINES:]


def _lines(workspace: Workspace, session: str, *, first: int) -> Iterator[str]:
    for fields in workspace.records(session, first=first):
        line = fields.get("value") if fields["kind"] == "once" and fields["key"] == "line" else None
        if isinstance(line, str) and line.isprintable():
            yield line
