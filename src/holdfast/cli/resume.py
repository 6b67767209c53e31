"""holdfast resume"""

from pathlib import Path

from holdfast import Workspace
from holdfast.cli import output
from holdfast.cli.describe import command_line
from holdfast.cli.options import At, Json, Root, Session

FIELDS = ("session", "checkpoint", "argv", "folder", "command")


def resume(session: Session, at: At, *, root: Root = None, json: Json = False) -> None:
    """Set a session back to an earlier checkpoint.

    Prints the command to run again, which goes on from there.

    Nothing is deleted: what was recorded behind the checkpoint stays in the log, superseded.

    Example: holdfast resume count --at 5
    """
    workspace = Workspace(root)
    workspace.rewind(session, at=at)
    origin = workspace.provenance(session)
    line = command_line(origin, str(Path.cwd()))
    if json:
        facts = (session, at, origin.get("argv"), origin.get("folder"), line)
        output.print_json(dict(zip(FIELDS, facts, strict=True)))
        return
    output.tell(f"{session} goes on from checkpoint {at} when it is run again; nothing was deleted")
    if line is None:
        output.tell("run your program again; how it was started was not recorded")
    else:
        output.say((line, "bold"))
