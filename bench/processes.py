"""The rows that need processes of their own: opening, memory, imports, the command, and what saving costs train_lm."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from measure import Estimate, estimate
from report import Row, row
from saving import Bench

_CHILD = Path(__file__).with_name("child.py")
_KILLED = -9
_IMPORT = """
import sys, time
start = time.perf_counter_ns()
import {module}
end = time.perf_counter_ns()
print(end - start, *(name for name in ("numpy", "duckdb", "rich", "typer") if name in sys.modules))
"""


class ChildFailed(Exception):
    """A process that we started did not end as it should."""


def child(*arguments: object, killed: bool = False) -> dict[str, Any]:
    """Run child.py and return the object it prints."""
    command = [sys.executable, str(_CHILD), *map(str, arguments)]
    # One thread of linear algebra: what saving costs must not hide behind how threads were scheduled.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if ended.returncode != (_KILLED if killed else 0) or not ended.stdout.strip():
        raise ChildFailed(f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def opening(bench: Bench) -> list[Row]:
    """Opening a killed session with its last checkpoint near the end, and one with less history before an equal last segment.

    The last segment is checked from its beginning, up to 64 MiB of it; what stands in earlier ones is the history.
    """
    group, long_count = "open", bench.scale.history
    long = bench.folder()
    child("fill", long, long_count, "batch", killed=True)
    # The first opening finds what the dead process left unsynced; the others, in turn, are compared.
    first = child("open", long, killed=True)
    size = sum(path.stat().st_size for path in long.rglob("*") if path.is_file())
    note = f"{size / 1e6:,.0f} MB, {first['replay']} records to replay, from step {first['step']}"
    rows = [row(group, f"{long_count:,} records, first time after the kill", first["open_ms"], "ms", at_most=1000, note=note)]
    if short_count := _with_an_equal_end(long, long_count):
        short = bench.folder()
        child("fill", short, short_count, "batch", killed=True)
        child("open", short, killed=True)
        pairs = [(child("open", long, killed=True), child("open", short, killed=True)) for _ in range(7)]
        growth = estimate([a["open_ms"] / b["open_ms"] for a, b in pairs])
        times = estimate([a["open_ms"] for a, _ in pairs])
        what = f"{long_count:,} over {short_count:,} records with an equal last segment"
        note = f"{long_count / short_count:.1f} x: with the history"
        rows.append(row(group, what, growth, "x", at_most=1.5, note=note))
        shutil.rmtree(short)
    else:  # all of it is one segment
        times = estimate([child("open", long, killed=True)["open_ms"] for _ in range(7)])
    shutil.rmtree(long)
    return [*rows, row(group, f"{long_count:,} records, later", times, "ms", at_most=1000)]


def _with_an_equal_end(root: Path, count: int) -> int:
    """How many tokens fill a log whose last segment is as that of the session in `root`, with one full segment before it;
    0 where that has no history to leave out."""
    segments = sorted((root / "sessions" / "bench" / "log" / "main").glob("*.jsonl"))
    firsts = [json.loads(path.open(encoding="utf-8").readline())["first"] for path in segments]
    full = [after - before for before, after in pairwise(firsts)]
    return count - sum(full[1:]) if len(full) > 1 else 0


def memory(bench: Bench) -> list[Row]:
    """Anonymous memory over many tokens."""
    group, count = "memory", bench.scale.memory_tokens
    rows: list[Row] = []
    for mode in ("continuous", "batch", "checkpoint"):
        root = bench.folder()
        found = child("memory", root, count, mode)
        shutil.rmtree(root)
        above = [(kb - found["bare_kb"]) / 1e3 for kb in found["seen_kb"]]
        note = f"after the import {(found['imported_kb'] - found['bare_kb']) / 1e3:.1f} MB"
        what = f"{mode}: most above the bare interpreter, {count:,} tokens"
        rows.append(row(group, what, max(above), "MB", at_most=60, note=note))
        growth = max(above[len(above) // 2 :]) - max(above[: len(above) // 2])
        rows.append(row(group, f"{mode}: growth from the first half to the second", growth, "MB", at_most=1))
    return rows


def imports(bench: Bench) -> list[Row]:
    """Importing us against importing msgspec, in new processes in turn; and the command's help."""
    group = "import"
    pairs: list[tuple[int, int]] = []
    heavy: set[str] = set()
    for turn in range(bench.scale.launches + 1):
        ours, names = _import_ns("holdfast")
        theirs, _ = _import_ns("msgspec")
        heavy.update(names)
        if turn:  # the first one compiles
            pairs.append((ours, theirs))
    above = estimate([(a - b) / 1e6 for a, b in pairs])
    loaded = f"with it: {', '.join(sorted(heavy))}" if heavy else ""
    return [
        row(group, "import holdfast above import msgspec", above, "ms", at_most=40),
        row(group, "import msgspec", estimate([b / 1e6 for _, b in pairs]), "ms"),
        row(group, "of numpy, duckdb, rich, typer imported", float(len(heavy)), "modules", at_most=0, note=loaded),
        row(group, "holdfast --help", _help_ms(bench.scale.launches), "ms", at_most=400),
        row(group, "an empty Python process", _launch_ms([sys.executable, "-c", "pass"], bench.scale.launches), "ms"),
    ]


def train(bench: Bench) -> list[Row]:
    """CPU time of train_lm with everything saved against the same with a run that saves nothing, pair by pair."""
    group = "train"
    costs: list[float] = []
    shares: list[float] = []
    for pair in range(bench.scale.train_pairs):
        found: dict[str, dict[str, Any]] = {}
        for kind in ("saving", "null") if pair % 2 else ("null", "saving"):
            arguments = [*bench.scale.train_arguments, "--plain", "--root", bench.folder(), "--session", "lm"]
            found[kind] = child("train", kind, *arguments)
        costs.append((found["saving"]["cpu_s"] / found["null"]["cpu_s"] - 1) * 100)
        shares.append(found["saving"]["cost_share"] * 100)
    pairs = " ".join((f"{len(costs)} pairs", *bench.scale.train_arguments))
    note = f"{pairs}; the run itself reports {statistics.median(shares):.2g} %"
    # The small model of --quick takes so little time that the promise does not speak of it.
    at_most = None if bench.scale.train_arguments else 1.0
    what = "train_lm: CPU of saving everything above a null run"
    return [row(group, what, estimate(costs), "%", at_most=at_most, note=note)]


def _import_ns(module: str) -> tuple[int, list[str]]:
    ended = subprocess.run([sys.executable, "-c", _IMPORT.format(module=module)], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise ChildFailed(f"import {module}: {ended.stderr[-2000:]}")
    words = ended.stdout.split()
    return int(words[0]), words[1:]


def _help_ms(times: int) -> Estimate:
    command = Path(sys.executable).with_name("holdfast")
    return _launch_ms([str(command)] if command.exists() else [sys.executable, "-m", "holdfast"], times, "--help")


def _launch_ms(command: list[str], times: int, *arguments: str) -> Estimate:
    found: list[float] = []
    for turn in range(times + 1):
        start = time.perf_counter()
        ended = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        if ended.returncode:
            raise ChildFailed(f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr[-2000:]}")
        if turn:
            found.append((time.perf_counter() - start) * 1e3)
    return estimate(found)
