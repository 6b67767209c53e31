"""holdfast note"""

from typing import Annotated

import typer

from holdfast import Workspace
from holdfast.cli import output
from holdfast.cli.options import Json, Root, Session


def note(
    session: Session,
    text: Annotated[str, typer.Argument(metavar="TEXT", show_default=False, help="The remark.")],
    *,
    root: Root = None,
    json: Json = False,
) -> None:
    """Add a remark to a session; its digest stays what it is.

    Example: holdfast note count "the one with the good seed"
    """
    Workspace(root).note(session, text)
    if json:
        output.print_json({"session": session, "text": text})
    else:
        output.say(f"noted in {session}: ", (text, "bright_yellow"))
