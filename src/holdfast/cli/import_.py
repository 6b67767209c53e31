"""holdfast import"""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast import FileReport, Finding, ImportReport, InvalidSetting, Workspace
from holdfast.cli import amounts, output
from holdfast.cli.layout import Column
from holdfast.cli.options import Json, Root

FIELDS = ("source", "added", "files", "findings")
FILE_FIELDS = ("path", "kind", "status", "session", "reason", "records", "added", "dialect", "sha256")
FINDING_FIELDS = ("kind", "path", "where", "what", "count")
_SHOWN = 4  # findings of a kind
_REASONS = 10


def import_(
    source: Annotated[Path, typer.Argument(metavar="PATH", show_default=False, help="A folder, or a file.")],
    *,
    session: Annotated[
        str | None, typer.Option("--session", "-s", metavar="NAME", show_default=False, help="All into this one.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option("--only", metavar="KIND", help="Only these kinds of files.")] = None,
    columns: Annotated[
        list[str] | None, typer.Option("--map", metavar="NAME=COLUMN", help="Of lines: only this column, under this name.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only read, and report.")] = False,
    findings: Annotated[bool, typer.Option("--findings", help="Show all findings, not the first of each kind.")] = False,
    root: Root = None,
    json: Json = False,
) -> None:
    """Bring in what KIRA or others saved.

    PATH is a folder of the KIRA engine, or a file of JSON lines or CSV with metrics. It is only read. What was imported before
    is not imported again. The report says what is odd in it. With --map, `ts` is the name for the time.

    Example: holdfast import kira_data

    Example: holdfast import metrics.csv --map loss=train_loss --map ts=when
    """
    with output.progress_by_session("import:") as progress:
        report = Workspace(root).import_files(
            source, session=session, only=only or None, columns=_columns(columns), dry_run=dry_run, progress=progress
        )
    if json:
        lists = {
            "files": [_fields(file, FILE_FIELDS) for file in report.files],
            "findings": [_fields(found, FINDING_FIELDS) for found in report.findings],
        }
        output.print_json({"source": report.source, "added": report.added, **lists})
        return
    _print_kinds(report)
    _print_findings(report.findings, most=len(report.findings) if findings else _SHOWN)
    _print_skipped(report)
    _print_end(report, dry_run=dry_run)


def _columns(entries: list[str] | None) -> dict[str, str] | None:
    """Names by the columns that get them."""
    found: dict[str, str] = {}
    for entry in entries or ():
        name, sign, column = entry.partition("=")
        if not (name and sign and column):
            raise InvalidSetting(f"--map {entry}: it is written as NAME=COLUMN, as in loss=train_loss")
        found[column] = name
    return found or None


def _fields(value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}


def _print_kinds(report: ImportReport) -> None:
    rows: list[tuple[output.Cell, ...]] = []
    for kind, files in report.kinds().items():
        records: Counter[str] = Counter()
        for file in files:
            records.update(file.records)
        dialects = dict.fromkeys(part for file in files for part in file.dialect.split(", ") if part)
        shown = ", ".join(f"{count:,} {name}" for name, count in records.most_common())
        rows.append((kind, str(len(files)), shown, f"{sum(file.added for file in files):,}", ", ".join(dialects)))
    columns = (
        Column(name="kind of file", least=8),
        Column(name="files", right=True),
        Column(name="records in them", least=12),
        Column(name="added", right=True),
        Column(name="dialect", least=6, rank=1),
    )
    output.print_table(columns, rows)


def _print_findings(findings: tuple[Finding, ...], *, most: int) -> None:
    by_kind: dict[str, list[Finding]] = {}
    for found in findings:
        by_kind.setdefault(found.kind, []).append(found)
    for kind, entries in sorted(by_kind.items()):
        output.say("")
        output.say((kind, "bold yellow"), (f"  {sum(found.count for found in entries):,}", "dim"))
        for found in _each_file_first(entries)[:most]:
            place = f"{found.path}  {found.where}".rstrip()
            output.say("  ", (place, "cyan"), f"  {found.what}")
        if len(entries) > most:
            output.say((f"  … and {len(entries) - most:,} more: --findings", "dim"))


def _each_file_first(findings: list[Finding]) -> list[Finding]:
    """The first finding of each file, then the second of each, and so on."""
    seen: Counter[str] = Counter()
    places: list[int] = []
    for found in findings:
        places.append(seen[found.path])
        seen[found.path] += 1
    return [found for _, found in sorted(zip(places, findings, strict=True), key=lambda pair: pair[0])]


def _print_skipped(report: ImportReport) -> None:
    skipped = report.skipped()
    if not skipped:
        return
    output.say("")
    output.say(("not read", "bold"), (f"  {amounts.count(skipped.total(), 'file')}", "dim"))
    first: dict[str, FileReport] = {}
    for file in report.files:
        if file.status == "skipped":
            first.setdefault(file.reason, file)
    for reason, count in skipped.most_common(_REASONS):
        more = "" if count == 1 else f" and {count - 1:,} more"
        output.say("  ", (f"{first[reason].path}{more}", "cyan"), f"  {reason}")
    if len(skipped) > _REASONS:
        output.say((f"  … for {amounts.count(len(skipped) - _REASONS, 'more reason')}: --json", "dim"))


def _print_end(report: ImportReport, *, dry_run: bool) -> None:
    output.say("")
    if dry_run:
        output.say(("nothing was written: --dry-run", "bold"))
        return
    total = sum(report.added.values())
    into = ", ".join(f"{name} {count:,}" for name, count in report.added.items() if count)
    output.say((f"added {amounts.count(total, 'record')}", "bold"), f": {into}" if into else "")
