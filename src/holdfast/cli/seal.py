"""holdfast seal"""

import os
from typing import Annotated

import typer

from holdfast import Workspace
from holdfast.cli import amounts, output
from holdfast.cli.options import Json, Root

FIELDS = (
    "session",
    "records",
    "segments",
    "files",
    "line_bytes",
    "sealed_bytes",
    "removed_bytes",
    "waiting_bytes",
    "live_bytes",
)
_NICE = 10  # a run that goes on beside it comes first


def seal(
    sessions: Annotated[
        list[str] | None, typer.Argument(metavar="[SESSION]...", show_default=False, help="The sessions; without any: all.")
    ] = None,
    *,
    keep_lines: Annotated[bool, typer.Option("--keep-lines", help="Leave the lines where they are, too.")] = False,
    root: Root = None,
    json: Json = False,
) -> None:
    """Pack what is closed of sessions into Parquet.

    Every line is compared before it goes. A running session goes on meanwhile, and sessions below 4 MiB stay as they are.

    Example: holdfast seal count
    """
    os.nice(_NICE)
    workspace = Workspace(root)
    for name in sessions if sessions else [entry.name for entry in workspace.sessions() if entry.status != "damaged"]:
        with output.progress(f"sealing {name}", workspace.session(name).bytes) as progress:
            found = workspace.seal(name, keep_lines=keep_lines, progress=progress)
        if json:
            output.print_json({field: getattr(found, field) for field in FIELDS})
        elif found.files:
            what = f"{found.records:,} records, {amounts.size(found.line_bytes)} of lines in {amounts.size(found.sealed_bytes)}"
            each = f"{found.sealed_bytes / found.records:.1f} bytes each" + ("; the lines stay" if keep_lines else "")
            output.say(("sealed", "green"), f" {name}: {what}, {each}")
        elif found.removed_bytes:
            output.say(("sealed", "green"), f" {name} before; {amounts.size(found.removed_bytes)} of lines are gone now")
        elif found.waiting_bytes:
            output.say(
                f"{name} stays as it is: {amounts.size(found.waiting_bytes)} are closed, and below 4 MiB nothing is sealed"
            )
        else:
            output.say(f"{name} has nothing to be sealed")
