"""What exports cost: us, DuckDB, polars and pyarrow, from Parquet files with the same columns, in one run; and SQL.

    python bench/export.py                     1 million tokens
    python bench/export.py --tokens 10000000   so many

Each export is a process of its own, and the file is synced by all. Prints a table with the targets, and writes it to
bench/results.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import report
from holdfast import Workspace
from report import Row, row
from searching import corpus_tokens, write_log

SESSION = "corpus"
ROUNDS = 3
PEERS = {"csv": ("DuckDB", "polars", "pyarrow"), "json": ("DuckDB", "polars"), "parquet": ("DuckDB", "polars", "pyarrow")}
DUCKDB = {"csv": "FORMAT csv", "json": "FORMAT json, ARRAY true", "parquet": "FORMAT parquet, COMPRESSION zstd"}
WARM_CALLS = 20


def by_holdfast(format: str, source: Path, output: Path, options: dict[str, Any]) -> None:
    """Our export of a sealed session's tokens."""
    Workspace(source).export(format=format, include=["tokens"], output=output, **options)


def by_duckdb(format: str, source: Path, output: Path) -> None:
    """COPY, with DuckDB's own settings."""
    import duckdb

    duckdb.execute(f"COPY (FROM '{source}') TO '{output}' ({DUCKDB[format]})")


def by_polars(format: str, source: Path, output: Path) -> None:
    """A lazy frame into a sink; JSON is a line an object there."""
    import polars

    frame: Any = polars.scan_parquet(source)
    sink: Callable[..., Any] = {"csv": frame.sink_csv, "json": frame.sink_ndjson, "parquet": frame.sink_parquet}[format]
    sink(output, **({"compression": "zstd"} if format == "parquet" else {}))


def by_pyarrow(format: str, source: Path, output: Path) -> None:
    """Batch after batch."""
    csv, parquet = (cast(Any, import_module(f"pyarrow.{name}")) for name in ("csv", "parquet"))
    file: Any = parquet.ParquetFile(source)
    writer: Any = (
        csv.CSVWriter(output, file.schema_arrow)
        if format == "csv"
        else parquet.ParquetWriter(output, file.schema_arrow, compression="zstd")
    )
    with writer:
        for batch in file.iter_batches():
            writer.write_batch(batch)


BY: dict[str, Callable[[str, Path, Path], None]] = {"DuckDB": by_duckdb, "polars": by_polars, "pyarrow": by_pyarrow}


def child(who: str, format: str, source: Path, output: Path, options: dict[str, Any]) -> None:
    """One export; prints what it cost."""
    start = time.perf_counter()
    if who == "Holdfast":
        by_holdfast(format, source, output, options)
    else:
        BY[who](format, source, output)
        with output.open("rb") as file:
            os.fsync(file.fileno())
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb()}))


def peak_mb() -> float:
    """The most that this process had in memory; not what its parent had, as getrusage tells for a while."""
    return int(re.findall(r"VmHWM:\s+([0-9]+) kB", Path("/proc/self/status").read_text())[0]) / 1024


def cost(who: str, format: str, source: Path, output: Path, **options: Any) -> tuple[float, float, int]:
    """Seconds, peak memory in MB, and bytes written."""
    output.unlink(missing_ok=True)
    words = [sys.executable, __file__, "--child", who, format, str(source), str(output), json.dumps(options)]
    found = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return found["seconds"], found["peak_mb"], output.stat().st_size


def exporting(root: Path, scratch: Path) -> list[Row]:
    """Each format by each, in turn."""
    flat = Workspace(root).export(format="parquet", include=["tokens"], output=scratch / "flat.parquet").path
    output, rows = scratch / "out", []
    for format, peers in PEERS.items():
        _say(f"exporting {format}")
        seconds: dict[str, list[float]] = {name: [] for name in ("Holdfast", *peers)}
        memory: dict[str, float] = {}
        sizes: dict[str, int] = {}
        for _ in range(ROUNDS):
            for who, taken in seconds.items():
                one, memory[who], sizes[who] = cost(who, format, root if who == "Holdfast" else flat, output)
                taken.append(one)
        best = min(peers, key=lambda who: statistics.median(seconds[who]))
        for who, taken in seconds.items():
            note = f"{memory[who]:,.0f} MB of memory, {sizes[who] / 1e6:,.0f} MB written"
            rows.append(row(format, who, statistics.median(taken), "s", note=note))
        ratio = statistics.median(ours / other for ours, other in zip(seconds["Holdfast"], seconds[best], strict=True))
        rows.append(row(format, f"Holdfast by the best of them, {best}", ratio, "times", at_most=2))
        rows.append(row(format, "Holdfast's memory", memory["Holdfast"], "MB", at_most=500))
    output.unlink()
    flat.unlink()
    return rows


def before_sealing(root: Path, scratch: Path) -> list[Row]:
    """What it costs where the session still stands as lines."""
    _say("exporting lines")
    seconds, memory, size = cost("Holdfast", "csv", root, scratch / "out")
    return [
        row("csv of lines", "Holdfast", seconds, "s", note=f"{size / 1e6:,.0f} MB written; nothing is sealed yet"),
        row("csv of lines", "Holdfast's memory", memory, "MB", at_most=500),
    ]


def filtering(root: Path, scratch: Path, count: int) -> list[Row]:
    """What an export of a few rows costs."""
    _say("exporting some rows")
    output, rows = scratch / "out", []
    whole, _, _ = cost("Holdfast", "csv", root, output)
    reader = Workspace(root).tokens(SESSION)
    middle, later = reader[count // 2].ts, reader[count // 2 + count // 100].ts
    asked: dict[str, dict[str, Any]] = {
        "one per cent, by time": {"since": middle, "until": later},
        "a range of z": {"z": (0.6, 0.62)},
        "the last 100": {"last": 100},
    }
    for what, options in asked.items():
        seconds, _, size = cost("Holdfast", "csv", root, output, **options)
        note = f"{size / 1e6:,.1f} MB written; the whole takes {whole:.1f} s"
        rows.append(row("some rows as CSV", what, seconds, "s", note=note))
    return rows


def asking(root: Path) -> list[Row]:
    """SQL over the sealed session, asked again and again."""
    _say("asking")
    workspace, taken = Workspace(root), []
    query = "select phase, count(*) from tokens group by 1"
    start = time.perf_counter()
    list(workspace.sql(query))
    first = time.perf_counter() - start
    for _ in range(WARM_CALLS):
        start = time.perf_counter()
        list(workspace.sql(query))
        taken.append(time.perf_counter() - start)
    return [
        row("SQL", "group by phase, the first time", first, "ms", scale=1e-3),
        row("SQL", "group by phase, warm", statistics.median(taken), "ms", scale=1e-3, at_most=100),
    ]


def main() -> int:
    """Measure, print, write."""
    options = _options()
    if options.child:
        who, format, source, output, words = options.child
        child(who, format, Path(source), Path(output), json.loads(words))
        return 0
    options.scratch.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="export-", dir=options.scratch))
    try:
        facts = report.machine(scratch)
        facts["tokens"] = options.tokens
        root = scratch / "training"
        _say("writing the log")
        write_log(root, SESSION, corpus_tokens(options.tokens))
        of_lines = before_sealing(root, scratch)
        _say("sealing")
        Workspace(root).seal(SESSION)
        rows = asking(root) + exporting(root, scratch) + of_lines + filtering(root, scratch, options.tokens)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if not any(options.scratch.iterdir()):
            options.scratch.rmdir()
    report.show(rows, facts)
    print(f"written: {report.write(options.results, f'export-{options.tokens // 1_000_000}m', rows, facts, [])}")
    return 0


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tokens", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--scratch", type=Path, default=here / ".scratch", metavar="FOLDER", help="on the disk to measure")
    parser.add_argument("--results", type=Path, default=here / "results", metavar="FOLDER")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
