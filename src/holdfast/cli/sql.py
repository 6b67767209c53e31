"""holdfast sql"""

import csv
import json as plain_json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from holdfast import Answer, InvalidSetting, Workspace
from holdfast.cli import output
from holdfast.cli.layout import Column
from holdfast.cli.options import Json, Root
from holdfast.cli.output import Cell

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UBIGINT", "UINTEGER", "FLOAT", "DOUBLE", "DECIMAL")
_MIB = 1 << 20


def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", show_default=False, help="One SELECT, or EXPLAIN of one.")],
    *,
    session: Annotated[
        list[str] | None, typer.Option("--session", metavar="NAME", show_default=False, help="Only this session; repeatable.")
    ] = None,
    superseded: Annotated[bool, typer.Option("--superseded", help="Also what is no longer part of the run.")] = False,
    format: Annotated[  # the option's name
        Literal["table", "json", "csv", "parquet"], typer.Option("--format", help="How the rows are written.")
    ] = "table",
    to: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", show_default=False, help="Write there; parquet always needs it.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="Rows that a table shows.")] = 100,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="Stop a question that takes longer.")] = 300.0,
    memory: Annotated[int, typer.Option("--memory", metavar="MIB", help="More goes to temporary files.")] = 1024,
    root: Root = None,
    json: Json = False,
) -> None:
    """Ask everything saved in SQL.

    The tables: tokens, emissions, metrics, modules, transitions, checkpoints, events, files, notes, sessions. Nothing can be
    changed that way, and nothing else can be read.

    Example: holdfast sql "select phase, count(*) from tokens group by 1"
    """
    wanted = "json" if json and format == "table" else format
    if wanted == "parquet" and to is None:
        raise InvalidSetting("--format parquet is not for a terminal: say where to with --output FILE")
    with output.progress_by_session("reading") as progress:
        answer = Workspace(root).sql(
            query,
            session=session or None,
            superseded=superseded,
            timeout_seconds=timeout,
            memory_bytes=memory * _MIB,
            progress=progress,
        )
        if to is not None:
            rows = answer.write(to, format="csv" if wanted == "table" else wanted, force=force)
            output.tell(f"{rows:,} rows written to {to}")
            raise typer.Exit(0 if rows else 1)
    found = _PRINTED[wanted](answer, limit)
    raise typer.Exit(0 if found else 1)


def _print_table(answer: Answer, limit: int) -> int:
    rows = answer.fetch(limit + 1)
    kinds = [kind.partition("(")[0] for kind in answer.types]
    columns = [Column(name=name, right=kind in _NUMBERS, least=6) for name, kind in zip(answer.columns, kinds, strict=True)]
    output.print_table(columns, [[_cell(value) for value in row] for row in rows[:limit]])
    if len(rows) > limit:
        output.tell(f"… there are more than {limit:,} rows: --limit shows more, --format csv or json all of them")
    return len(rows)


def _print_json(answer: Answer, limit: int) -> int:
    count = 0
    for row in answer.records():
        output.print_json(row)
        count += 1
    return count


def _print_csv(answer: Answer, limit: int) -> int:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(answer.columns)
    count = 0
    for row in answer:
        writer.writerow(["" if value is None else value for value in row])
        count += 1
    return count


_PRINTED = {"table": _print_table, "json": _print_json, "csv": _print_csv}


def _cell(value: Any) -> Cell:
    if value is None:
        return ("", "dim")
    if isinstance(value, float):
        return f"{value:.6g}"
    return plain_json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list) else str(value)
