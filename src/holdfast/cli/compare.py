"""holdfast compare"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from holdfast import Workspace
from holdfast.cli import amounts, output
from holdfast.cli.charts import sparkline
from holdfast.cli.describe import brief
from holdfast.cli.layout import Column
from holdfast.cli.options import Json, Root
from holdfast.cli.output import Cell, Picture

if TYPE_CHECKING:
    from holdfast import Comparison

FIELDS = ("equal", "a", "b", "settings", "provenance", "lanes", "metrics", "tokens", "modules")
_MOST_MODULES, _MOST_MOVERS, _MOST_CHANGES = 12, 4, 12
_MARKS = ("green", "red")


def compare(
    a: Annotated[str, typer.Argument(metavar="A", show_default=False, help="A session.")],
    b: Annotated[str, typer.Argument(metavar="B", show_default=False, help="Another one.")],
    *,
    other_root: Annotated[
        Path | None,
        typer.Option("--other-root", metavar="FOLDER", show_default=False, help="The workspace of B, where it is another."),
    ] = None,
    root: Root = None,
    json: Json = False,
) -> None:
    """Compare two runs, down to the first difference.

    Settings, origin, digests, the first difference of each lane, metrics, tokens and times. The exit status is 1 where the
    digests differ.

    Example: holdfast compare count another
    """
    workspace = Workspace(root)
    other = Workspace(other_root) if other_root is not None else workspace
    total = workspace.session(a).records + other.session(b).records
    with output.progress(f"comparing {a} and {b}", total) as told:
        found = workspace.compare(a, b, other=other, progress=told)
    if json:
        output.print_json({name: msgspec.to_builtins(getattr(found, name)) for name in FIELDS})
    else:
        _print(found)
    if not found.equal:
        raise typer.Exit(1)


def _print(found: "Comparison") -> None:
    same = ("equal: the same run", "bold green") if found.equal else ("different", "bold red")
    output.say(same)
    _print_sides(found)
    _print_changes("settings", found.settings)
    _print_changes("origin", found.provenance)
    _print_differences(found)
    _print_metrics(found)
    _print_tokens(found)
    _print_modules(found)


def _print_sides(found: "Comparison") -> None:
    rows: list[tuple[Cell, ...]] = []
    for letter, side in (("a", found.a), ("b", found.b)):
        speed = side.timing.records_per_second
        rows.append(
            (
                (letter, "bold"),
                side.session,
                (side.status, output.STATUS_STYLES.get(side.status, "")),
                f"{side.records:,}",
                str(side.timing.attempts),
                amounts.span(round(side.timing.seconds * 1e6)),
                "" if speed is None else f"{speed:,.0f}",
                (side.sha256[:16], _MARKS[not found.equal]),
            )
        )
    columns = (
        Column(name=""),
        Column(name="session", least=8),
        Column(name="status", rank=3),
        Column(name="records", right=True),
        Column(name="attempts", right=True, rank=4),
        Column(name="took", right=True, rank=1),
        Column(name="records/s", right=True, rank=5),
        Column(name="digest", rank=2),
    )
    output.print_table(columns, rows)


def _print_changes(what: str, changes: Sequence[Any]) -> None:
    if not changes:
        return
    _head(what)
    rows: list[tuple[Cell, ...]] = [
        (
            change.name,
            ("not set", "dim") if change.absent == "a" else brief(change.a),
            ("not set", "dim") if change.absent == "b" else brief(change.b),
        )
        for change in changes[:_MOST_CHANGES]
    ]
    output.print_table((Column(name="", least=8), Column(name="a", least=8), Column(name="b", least=8)), rows)
    _print_further(len(changes) - _MOST_CHANGES)


def _print_differences(found: "Comparison") -> None:
    for lane in found.lanes:
        first = lane.first
        if first is None:
            continue
        counts = f"{lane.records_a:,} and {lane.records_b:,} records"
        _head(f"first difference in {_lane(lane.lane)} ({counts})")
        if first.n_a is None or first.n_b is None:
            which, there, n, kind = (
                ("a", "b", first.n_b, first.kind_b) if first.n_a is None else ("b", "a", first.n_a, first.kind_a)
            )
            output.say(f"after {amounts.count(first.index, 'record')} {which} ends, and {there} goes on with {kind} {n}")
            continue
        kinds = first.kind_a if first.kind_a == first.kind_b else f"{first.kind_a} and {first.kind_b}"
        output.say(f"after {amounts.count(first.index, 'equal record')}: {kinds}, number {first.n_a} in a, {first.n_b} in b")
        _print_values(first.changes)


def _print_values(changes: Sequence[Any]) -> None:
    for change in changes[:_MOST_CHANGES]:
        one = "not set" if change.absent == "a" else brief(change.a)
        other = "not set" if change.absent == "b" else brief(change.b)
        output.say(f"  {change.name}: ", (one, "cyan"), ("  →  ", "dim"), (other, "magenta"))
    _print_further(len(changes) - _MOST_CHANGES)


def _print_metrics(found: "Comparison") -> None:
    if not found.metrics:
        return
    _head("metrics")
    rows: list[tuple[Cell, ...]] = []
    for pair in found.metrics:
        where = "" if pair.gap_index is None else f"{amounts.number(pair.gap)} at {pair.gap_index:,}" if pair.gap else "none"
        for letter, course in (("a", pair.a), ("b", pair.b)):
            is_first = letter == "a"
            name: Cell = (pair.name, "bold") if is_first else ""
            if course is None:
                rows.append((name, letter, ("not recorded", "dim")))
                continue
            strange = f"{course.strange:,}" if course.strange else ""
            values = (course.last, course.lowest, course.highest, course.mean)
            shown = ["" if value != value and value is not course.last else amounts.number(value) for value in values]
            curve = Picture(draw=_drawn(course.curve), width=32, style="cyan" if is_first else "magenta")
            rows.append((name, letter, f"{course.count:,}", *shown, (strange, "red"), where if is_first else "", curve))
    columns = (
        Column(name="", least=6),
        Column(name=""),
        Column(name="values", right=True, rank=4),
        Column(name="last", right=True),
        Column(name="lowest", right=True, rank=1),
        Column(name="highest", right=True, rank=2),
        Column(name="mean", right=True, rank=6),
        Column(name="nan, inf", right=True, rank=3),
        Column(name="largest gap", rank=1),
        Column(name="", least=8, rank=5),
    )
    output.print_table(columns, rows)


def _print_tokens(found: "Comparison") -> None:
    if not found.tokens:
        return
    _head("tokens (Jensen-Shannon divergence in bits: 0 the same, 1 nothing shared)")
    rows: list[tuple[Cell, ...]] = []
    for shares in found.tokens:
        bits = shares.divergence_bits
        moved = ", ".join(
            f"{'none' if mover.value is None else mover.value} {mover.share_a:.1%} → {mover.share_b:.1%}"
            for mover in shares.movers[:_MOST_MOVERS]
        )
        rows.append((shares.by, "" if bits is None else f"{bits:.6f}", f"{shares.values_a:,}", f"{shares.values_b:,}", moved))
    columns = (
        Column(name="by"),
        Column(name="bits", right=True),
        Column(name="values a", right=True, rank=1),
        Column(name="b", right=True, rank=1),
        Column(name="largest movers", least=12, rank=2),
    )
    output.print_table(columns, rows)


def _print_modules(found: "Comparison") -> None:
    if not found.modules:
        return
    _head("modules, stages and steps")
    rows: list[tuple[Cell, ...]] = [
        (
            entry.name,
            f"{entry.count_a:,}",
            f"{entry.count_b:,}",
            amounts.span(round(entry.seconds_a * 1e6)) if entry.count_a else "",
            amounts.span(round(entry.seconds_b * 1e6)) if entry.count_b else "",
        )
        for entry in found.modules[:_MOST_MODULES]
    ]
    columns = (
        Column(name="", least=8),
        Column(name="runs a", right=True, rank=1),
        Column(name="b", right=True, rank=1),
        Column(name="took a", right=True),
        Column(name="b", right=True),
    )
    output.print_table(columns, rows)
    _print_further(len(found.modules) - _MOST_MODULES)


def _drawn(curve: list[float]) -> Any:
    def draw(width: int) -> str:
        step = -(-len(curve) // max(1, width))
        parts = [curve[at : at + step] for at in range(0, len(curve), step or 1)]
        return sparkline([sum(part) / len(part) for part in parts])

    return draw


def _lane(lane: str) -> str:
    return f"lane {lane!r}" if lane else "the main program"


def _head(text: str) -> None:
    output.say("")
    output.say((text, "bold"))


def _print_further(count: int) -> None:
    if count > 0:
        output.say((f"and {count:,} more; all of them with --json", "dim"))
