"""holdfast rename"""

from typing import Annotated

import typer

from holdfast import Workspace
from holdfast.cli import output
from holdfast.cli.options import Json, Root, Session


def rename(
    session: Session,
    new: Annotated[str, typer.Argument(metavar="NEW", show_default=False, help="Its name from now on.")],
    *,
    root: Root = None,
    json: Json = False,
) -> None:
    """Give a session another name.

    Example: holdfast rename count count-1
    """
    name = Workspace(root).rename(session, new)
    if json:
        output.print_json({"session": session, "name": name})
        return
    output.say(f"{session} is now ", (name, "bold"))
    output.tell(f"to go on with it, run your program with the session name {name!r}")
