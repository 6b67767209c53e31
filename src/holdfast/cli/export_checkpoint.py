"""holdfast export-checkpoint"""

from pathlib import Path
from typing import Annotated

import typer

from holdfast import Workspace
from holdfast.cli import amounts, output
from holdfast.cli.options import Json, Root, Session

FIELDS = ("session", "checkpoint", "file", "bytes")


def export_checkpoint(
    session: Session,
    number: Annotated[
        int, typer.Argument(metavar="N", show_default=False, help="Its number; `holdfast checkpoints` lists them.")
    ],
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="It ends in .json or .safetensors.")],
    *,
    root: Root = None,
    json: Json = False,
) -> None:
    """Write the state of a checkpoint to a file.

    .json for all of it, .safetensors for its arrays.

    Example: holdfast export-checkpoint count 10 state.json
    """
    Workspace(root).export_checkpoint(session, number, file)
    size = file.stat().st_size
    if json:
        output.print_json(dict(zip(FIELDS, (session, number, str(file), size), strict=True)))
    else:
        output.say(f"checkpoint {number} of {session} is in ", (str(file), "bold"), f" ({amounts.size(size)})")
