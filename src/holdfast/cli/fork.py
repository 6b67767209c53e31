"""holdfast fork"""

from typing import Annotated

import typer

from holdfast import Workspace
from holdfast.cli import output
from holdfast.cli.options import At, Json, Root, Session

FIELDS = ("session", "checkpoint", "fork")


def fork(
    session: Session,
    at: At,
    *,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="NAME", show_default=False, help="The new session's name; SESSION~2 if not given."),
    ] = None,
    root: Root = None,
    json: Json = False,
) -> None:
    """Go on from a checkpoint in a new session.

    It shares the past up to there; the old session stays as it is.

    Example: holdfast fork count --at 5 --to count-again
    """
    made = Workspace(root).fork(session, at=at, to=to)
    if json:
        output.print_json(dict(zip(FIELDS, (session, at, made), strict=True)))
        return
    output.say((made, "bold"), f" shares the past of {session} up to checkpoint {at}; {session} is as it was")
    output.tell(f"to go on in it, run your program with the session name {made!r}")
