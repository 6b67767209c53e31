"""holdfast stats"""

import typer

from holdfast import Workspace
from holdfast.cli import amounts, output
from holdfast.cli.charts import bar_of
from holdfast.cli.describe import KIND_STYLES
from holdfast.cli.layout import Column
from holdfast.cli.options import Json, Root, Session
from holdfast.cli.output import Cell
from holdfast.errors import line_to_type

FIELDS = ("kind", "records", "bytes", "bytes_per_record", "sealed_records", "sealed_bytes", "stored_bytes")


def stats(session: Session, *, root: Root = None, json: Json = False) -> None:
    """Print records and bytes by kind, the largest first.

    Example: holdfast stats count
    """
    found = Workspace(root).stats(session)
    if not found:
        line = line_to_type("show", session, "--follow", root=root)
        output.tell(f"session {session!r} has no records yet; follow it with: {line}")
        raise typer.Exit(1)
    total = sum(entry.bytes for entry in found)
    if json:
        for entry in found:
            each = round(entry.bytes / entry.records, 1)
            stored = (entry.sealed_records, entry.sealed_bytes, entry.stored_bytes)
            output.print_json(dict(zip(FIELDS, (entry.kind, entry.records, entry.bytes, each, *stored), strict=True)))
        return
    rows: list[tuple[Cell, ...]] = [
        (
            (entry.kind, KIND_STYLES.get(entry.kind, "dim")),
            f"{entry.records:,}",
            amounts.size(entry.bytes),
            f"{entry.bytes / entry.records:,.0f}",
            *_sealed(entry.sealed_records, entry.sealed_bytes),
            f"{entry.bytes / total:.1%}",
            bar_of(entry.bytes / total, KIND_STYLES.get(entry.kind, "dim")),
        )
        for entry in found
    ]
    records = sum(entry.records for entry in found)
    sealed = _sealed(sum(entry.sealed_records for entry in found), sum(entry.sealed_bytes for entry in found))
    rows.append((("all", "bold"), f"{records:,}", amounts.size(total), f"{total / records:,.0f}", *sealed, "", ""))
    columns = (
        Column(name="kind", least=8),
        Column(name="log records", right=True),
        Column(name="size", right=True, rank=1),
        Column(name="bytes each", right=True, rank=3),
        Column(name="sealed", right=True, rank=2),
        Column(name="bytes each sealed", right=True, rank=2),
        Column(name="share", right=True, rank=2),
        Column(name="", least=8, rank=4),
    )
    output.print_table(columns, rows)


def _sealed(records: int, size: int) -> tuple[str, str]:
    return (f"{records:,}", f"{size / records:,.1f}") if records else ("", "")
