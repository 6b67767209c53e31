"""What commands have in common on their command line."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Root = Annotated[
    Path | None,
    typer.Option(
        "--root", envvar="HOLDFAST_ROOT", metavar="FOLDER", show_default=False, help="The workspace; training/ if not given."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs; the fields are in docs/command.md.")]
Session = Annotated[str, typer.Argument(metavar="SESSION", show_default=False, help="The session's name.")]
At = Annotated[
    int,
    typer.Option("--at", metavar="N", show_default=False, help="The checkpoint's number; `holdfast checkpoints` lists them."),
]
SaveMode = Annotated[
    Literal["continuous", "batch", "checkpoint"],
    typer.Option("--save-mode", help="When records reach the operating system: each at once, in batches, at checkpoints."),
]
Durability = Annotated[
    Literal["process", "power"], typer.Option("--durability", help="What flushed records survive: a kill; or also power loss.")
]
