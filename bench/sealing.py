"""What sealing makes of a session: bytes a token, records a second on one core, and what its writer feels of it.

    python bench/sealing.py                     1 million tokens
    python bench/sealing.py --tokens 10000000   so many

The corpus goes through the real recorder, its arrival times with it. Prints a table with the targets, and writes it to
bench/results.
"""

import argparse
import functools
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import corpus
import holdfast
import measure
import peers
import report
from holdfast.recording.recorder import Recorder
from holdfast.sessions import attempt
from report import Row, row

GUIDE_RECORDS = 100_000
ROUND_RECORDS = 20_000
ROUNDS = 15
SESSION = "bench"


def fill(root: str, count: int) -> None:
    """Record the corpus, each token at its time."""
    times = iter((corpus.columns(count)["ts"] * 1000).tolist())
    recorder = functools.partial(Recorder, clock_ns=lambda: next(times, 1_800_000_000 * 10**9))
    attempt.Recorder = recorder  # type: ignore[attr-defined,assignment]  # what opens a session makes one by this name
    with holdfast.session(SESSION, root=root, config={"tokens": count}) as run:
        for token, z, phase, tier, _, meta in corpus.records(count):
            run.token(token, z=z, phase=phase, tier=tier, meta=meta)


def seal(root: str) -> None:
    """Seal that session as the command does; prints what it cost."""
    os.nice(10)
    workspace = holdfast.Workspace(root)
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    done = workspace.seal(SESSION)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "records": done.records,
                "line_bytes": done.line_bytes,
                "sealed_bytes": done.sealed_bytes,
                "files": done.files,
                "wall_s": wall,
                "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
                "peak_mb": after.ru_maxrss / 1024,
            }
        )
    )


def child(*words: object) -> subprocess.Popen[str]:
    """This file as a process of its own."""
    return subprocess.Popen([sys.executable, __file__, *map(str, words)], stdout=subprocess.PIPE, text=True)


def finished(process: "subprocess.Popen[str]") -> str:
    """What a child printed."""
    out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"a child ended with status {process.returncode}")
    return out


def entropy(values: "np.ndarray[Any, Any]") -> float:
    """Bytes a value at the least, for a coder that knows only how frequent each is."""
    _, counts = np.unique(values, return_counts=True)
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum() / 8)


def sizes(count: int, facts: dict[str, Any], scratch: Path) -> list[Row]:
    """Bytes a token, beside what the corpus holds and what the guide's strategies take."""
    columns = corpus.columns(min(count, 1_000_000))
    tokens = entropy(columns["code"])
    rest = entropy(np.diff(columns["ts"])) + entropy(columns["source"]) + 52 / 8 / 20  # z moves every 20 tokens
    each = facts["sealed_bytes"] / facts["records"]
    rows = [
        row("size", "sealed, all of it", each, "bytes a token", at_most=6.5, note=f"{facts['files']} files"),
        row("size", "entropy of the tokens alone", tokens, "bytes a token"),
        row("size", "entropy of tokens, times, sources and z", tokens + rest, "bytes a token"),
        row("size", "our lines", facts["line_bytes"] / facts["records"], "bytes a token"),
    ]
    for name, kind in (("B (lines)", peers.GuideB), ("A (indented files)", peers.GuideA)):
        folder = scratch / f"guide-{name[0]}"
        folder.mkdir()
        peer = kind(folder)
        for record in corpus.records(GUIDE_RECORDS):
            peer.save(*record)
        peer.close()
        taken = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / GUIDE_RECORDS
        least = 30.0 if name.startswith("B") else None
        rows.append(
            row(
                "size",
                f"the guide's strategy {name}, by ours",
                taken / each,
                "times",
                at_least=least,
                note=f"{taken:.0f} bytes",
            )
        )
        shutil.rmtree(folder)
    return rows


def speed(facts: dict[str, Any]) -> list[Row]:
    """Records a second, by the CPU time of the one core that it uses and by the clock."""
    return [
        row("speed", "sealing, of one core's time", facts["records"] / facts["cpu_s"], "records/s", at_least=500_000),
        row(
            "speed", "sealing, by the clock", facts["records"] / facts["wall_s"], "records/s", note="beside whatever else runs"
        ),
        row("speed", "peak memory of the process that seals", facts["peak_mb"], "MB"),
    ]


def latencies(run: Any, records: list[corpus.Rec]) -> list[int]:
    """Nanoseconds of each call, ascending."""
    clock = time.perf_counter_ns
    found: list[int] = []
    for token, z, phase, tier, _, meta in records:
        start = clock()
        run.token(token, z=z, phase=phase, tier=tier, meta=meta)
        found.append(clock() - start)
    return sorted(found)


def writer(count: int, scratch: Path) -> list[Row]:
    """What a writer feels of sealing that runs beside it, round by round against the same without it."""
    records = list(corpus.records(ROUND_RECORDS))
    finished(child("fill", scratch / "beside", count))
    alone: list[float] = []
    beside: list[float] = []
    ratios: list[float] = []
    with holdfast.session("live", root=scratch / "live") as run:
        latencies(run, records)
        for number in range(ROUNDS):
            copy = scratch / f"copy-{number}"
            shutil.copytree(scratch / "beside", copy)
            without = measure.percentile(latencies(run, records), 0.99)
            process = child("seal", copy)
            made = copy / "sessions" / SESSION / "log" / "main" / ".000001.lines.tmp"
            while not made.exists() and process.poll() is None:
                os.sched_yield()
            during = measure.percentile(latencies(run, records), 0.99)
            is_beside = process.poll() is None
            finished(process)
            shutil.rmtree(copy)
            if is_beside:
                alone.append(without)
                beside.append(during)
                ratios.append(during / without)
    return [
        row("writer", "p99 of a token, alone", measure.estimate(alone), "ns"),
        row("writer", "p99 of a token, while another process seals", measure.estimate(beside), "ns"),
        row("writer", "by that alone", measure.estimate(ratios), "times", at_most=2.0, note=f"{len(ratios)} rounds"),
    ]


def main() -> int:
    """Measure, print, write."""
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tokens", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--scratch", type=Path, default=here / ".scratch", metavar="FOLDER", help="on the disk to measure")
    parser.add_argument("--results", type=Path, default=here / "results", metavar="FOLDER")
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="sealing-", dir=options.scratch))
    try:
        facts = report.machine(scratch)
        facts["empty_measurement_ns"] = measure.empty_measurement_ns()
        stolen, ticks = report.stolen_ticks()
        root = scratch / "training"
        finished(child("fill", root, options.tokens))
        digest = holdfast.Workspace(root).digest(SESSION) if options.tokens <= 1_000_000 else None
        found = json.loads(finished(child("seal", root)))
        rows = sizes(options.tokens, found, scratch) + speed(found)
        if digest is not None:
            same = holdfast.Workspace(root).digest(SESSION) == digest
            rows.append(row("digest", "is the same after sealing", float(same), "(1: yes)", at_least=1))
        shutil.rmtree(root)
        rows += writer(min(options.tokens, 1_000_000), scratch)
        stolen_after, ticks_after = report.stolen_ticks()
        facts["stolen_percent"] = 100 * (stolen_after - stolen) / max(1, ticks_after - ticks)
        facts["load_after"] = os.getloadavg()[0]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if not any(options.scratch.iterdir()):
            options.scratch.rmdir()
    report.show(rows, facts)
    millions = math.ceil(options.tokens / 1_000_000)
    print(f"written: {report.write(options.results, f'sealing-{millions}-million', rows, facts, [found])}")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["fill"]:
        fill(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1:2] == ["seal"]:
        seal(sys.argv[2])
    else:
        sys.exit(main())
