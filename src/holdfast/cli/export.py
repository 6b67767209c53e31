"""holdfast export"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from holdfast import Workspace
from holdfast.cli import amounts, output
from holdfast.cli.filters import Epoch, Phases, Since, Sources, Superseded, Tiers, Until, ZRange, range_of, time_of
from holdfast.cli.layout import Column
from holdfast.cli.options import Json, Root

FIELDS = ("path", "bytes", "rows")


def export(
    sessions: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SESSION]...", show_default=False, help="Names of sessions; all if none."),
    ] = None,
    *,
    to: Annotated[Path, typer.Option("--output", "-o", metavar="PATH", show_default=False, help="Write there.")],
    format: Annotated[  # the option's name
        Literal["json", "csv", "parquet", "guide"] | None,
        typer.Option("--format", "-f", show_default=False, help="If not given, what PATH ends in says it."),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option("--include", "-i", metavar="KIND", help="Only these; repeatable, or with commas between them."),
    ] = None,
    epoch: Epoch = None,
    name: Annotated[list[str] | None, typer.Option("--name", metavar="NAME", help="Only of these names.")] = None,
    phase: Phases = None,
    tier: Tiers = None,
    z: ZRange = None,
    since: Since = None,
    until: Until = None,
    source: Sources = None,
    last: Annotated[int | None, typer.Option("--last", "-n", min=0, metavar="N", help="Only the last N of each kind.")] = None,
    superseded: Superseded = False,
    excel_safe: Annotated[
        bool, typer.Option("--excel-safe", help="In CSV: no text is a formula, and the encoding is said.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export, or a file.")] = False,
    root: Root = None,
    json: Json = False,
) -> None:
    """Write sessions as JSON, CSV or Parquet.

    KIND is tokens, emissions, metrics, modules, states, checkpoints, events, files or notes. JSON is one file; CSV and Parquet
    are one file for one kind, and a folder with a file a kind for several.

    Example: holdfast export demo --output demo.json

    Example: holdfast export --include tokens --phase TRUE --output true.parquet
    """
    kinds = [word.strip() for entry in include or () for word in entry.split(",") if word.strip()]
    wanted = format or to.suffix.lower().removeprefix(".")
    with output.progress_by_session("writing") as progress:
        done = Workspace(root).export(
            format=wanted,
            output=to,
            include=kinds or None,
            session=sessions or None,
            epoch=epoch,
            name=name or None,
            phase=phase or None,
            tier=tier or None,
            z=range_of(z),
            since=time_of("--since", since),
            until=time_of("--until", until),
            source=source or None,
            last=last,
            superseded=superseded,
            excel_safe=excel_safe,
            force=force,
            progress=progress,
        )
    size = _bytes(done.path)
    if json:
        output.print_json(dict(zip(FIELDS, (str(to), size, done.rows), strict=True)))
        return
    rows = [(kind, f"{count:,}") for kind, count in done.rows.items()]
    output.print_table((Column(name="kind", least=8), Column(name="rows", right=True)), rows)
    output.say("written to ", (str(to), "bold"), f" ({amounts.size(size)})")


def _bytes(path: Path) -> int:
    """Of a file, or of the files in a folder, those with several names once."""
    files = [path] if path.is_file() else [entry for entry in path.rglob("*") if entry.is_file()]
    return sum({found.st_ino: found.st_size for found in (entry.stat() for entry in files)}.values())
