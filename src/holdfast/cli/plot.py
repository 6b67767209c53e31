"""holdfast plot"""

from collections.abc import Sequence
from math import isfinite, log10
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast import Workspace
from holdfast.cli import amounts, output
from holdfast.cli.canvas import Canvas
from holdfast.cli.charts import phase_looks, runs
from holdfast.cli.options import Json, Root
from holdfast.errors import InvalidSetting

if TYPE_CHECKING:
    from holdfast import Curve

FIELDS = ("file", "bytes", "curves")
CURVE_FIELDS = ("session", "name", "count", "x", "y", "smooth_x", "smooth_y", "bands", "marks")
_STYLES = ("cyan", "magenta", "green", "yellow", "blue", "red")
_HEIGHT, _MOST_WIDTH, _LABEL = 12, 100, 11


def plot(
    sessions: Annotated[list[str], typer.Argument(metavar="SESSION...", show_default=False, help="Names of sessions.")],
    *,
    metric: Annotated[list[str] | None, typer.Option("--metric", "-m", metavar="NAME", help="A metric, or several.")] = None,
    z: Annotated[bool, typer.Option("--z", help="The z of tokens, with phases and checkpoints.")] = False,
    log: Annotated[bool, typer.Option("--log", help="A logarithmic scale for metrics.")] = False,
    smooth: Annotated[int, typer.Option("--smooth", min=1, metavar="N", help="Also the mean of the last N values.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", show_default=False, help="A .png or .svg file; else on the terminal."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE where it is there.")] = False,
    root: Root = None,
    json: Json = False,
) -> None:
    """Plot metrics or z, to a picture or on the terminal.

    Several sessions share a panel. Pictures need the extra: pip install 'holdfast[plot]'.

    Example: holdfast plot count --metric total --out total.png

    Example: holdfast plot demo --z
    """
    workspace = Workspace(root)
    if out is not None:
        path = workspace.plot(sessions, out, metric=metric, z=z, log=log, smooth=smooth, force=force)
        size = path.stat().st_size
        if json:
            output.print_json(dict(zip(FIELDS, (str(out), size, None), strict=True)))
        else:
            output.say("the plot is in ", (str(out), "bold"), f" ({amounts.size(size)})")
        return
    curves = workspace.curves(sessions, metric=metric, z=z, smooth=smooth)
    if json:
        output.print_json(dict(zip(FIELDS, (None, None, [_described(curve) for curve in curves]), strict=True)))
        return
    for index, name in enumerate(dict.fromkeys(curve.name for curve in curves)):
        if index:
            output.say("")
        _print_panel(name, [curve for curve in curves if curve.name == name], log=log and name != "z")


def _described(curve: "Curve") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in CURVE_FIELDS:
        value = getattr(curve, name)
        found[name] = value.tolist() if hasattr(value, "tolist") else value
    return found


def _print_panel(name: str, curves: Sequence["Curve"], *, log: bool) -> None:
    lines = [_line_of(curve, log=log) for curve in curves]
    numbers = [value for _, y in lines for value in y if isfinite(value)]
    if not numbers:
        what = "no value above 0, and a log scale shows no others; leave --log out" if log else "no value that is a number"
        raise InvalidSetting(f"{name!r} has {what}")
    low, high = (0.0, 1.0) if name == "z" else (min(numbers), max(numbers))
    longest = max(curve.count for curve in curves)
    width = max(8, min(output.line_width(), _MOST_WIDTH) - _LABEL - 1)
    canvas = Canvas(width, _HEIGHT, (1, longest), (low, high))
    for owner, (x, y) in enumerate(lines):
        canvas.line(x, y, owner)
    output.say((name, "bold"), ("  logarithmic" if log else "", "dim"))
    shown = {0: high, _HEIGHT // 2: (low + high) / 2, _HEIGHT - 1: low}
    for row, signs in enumerate(canvas.rows()):
        label = amounts.number(10 ** shown[row] if log else shown[row]) if row in shown else ""
        colored = runs((sign, _STYLES[owner % len(_STYLES)] if owner >= 0 else "") for sign, owner in signs)
        output.say((f"{label:>{_LABEL - 1}} ", "dim"), ("┤" if label else "│", "dim"), *colored)
    last = f"{longest:,}"
    output.say(" " * _LABEL, ("└", "dim"), (f"1{last:>{width - 1}}", "dim"))
    if len(curves) == 1:
        _print_phases(curves[0], width)
    else:
        for owner, curve in enumerate(curves):
            output.say(" " * (_LABEL + 1), ("━━ ", _STYLES[owner % len(_STYLES)]), curve.session)


def _line_of(curve: "Curve", *, log: bool) -> tuple[list[float], list[float]]:
    """What is drawn: the means where they were asked for."""
    x, y = (curve.smooth_x, curve.smooth_y) if len(curve.smooth_x) else (curve.x, curve.y)
    values: list[float] = y.tolist()
    if log:
        values = [log10(value) if value > 0 else float("nan") for value in values]
    return x.tolist(), values


def _print_phases(curve: "Curve", width: int) -> None:
    """The phases below the curve, and where checkpoints are."""
    if not curve.bands:
        return
    places = [round((column + 0.5) / width * (curve.count - 1)) + 1 for column in range(width)]
    names = [next((band.phase or "" for band in curve.bands if band.first <= place <= band.last), "") for place in places]
    looks = phase_looks(dict.fromkeys(name for name in names if name)) | {"": (" ", "")}
    output.say((f"{'phases':>{_LABEL}} ", "dim"), *runs(looks[name] for name in names))
    if curve.marks:
        marked = {min(width - 1, max(0, int((mark.x - 0.5) / curve.count * width))) for mark in curve.marks}
        output.say((f"{'checkpoints':>{_LABEL}} ", "dim"), "".join("▲" if column in marked else " " for column in range(width)))
    legend = [part for name, (sign, style) in looks.items() if name for part in ((sign, style), f" {name}   ")]
    output.say(" " * (_LABEL + 1), *legend)
