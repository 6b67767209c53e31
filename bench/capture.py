"""What saving costs: us, the guide's strategies A, B and C, logging, and the raw limits, interleaved in one run.

    python bench/capture.py               a few minutes
    python bench/capture.py --quick       under a minute
    python bench/capture.py --full        5 million records, 10 million tokens, 20 pairs of train_lm
    python bench/capture.py --only batch  one group

Prints a table with the targets, and writes it with the samples' summaries to bench/results. Ratios carry further
than absolute figures: a shared machine is slower at one minute than at the next. Exit status 1: a group could not be
measured.
"""

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import corpus
import measure
import processes
import report
import saving
from report import Row
from saving import Bench, Scale

GROUPS: dict[str, Callable[[Bench], list[Row]]] = {
    "raw": saving.limits,
    "continuous": saving.continuous,
    "batch": saving.batch,
    "power": saving.power,
    "step": saving.step,
    "open": processes.opening,
    "memory": processes.memory,
    "import": processes.imports,
    "train": processes.train,
}
CORPUS_RECORDS = 100_000


def main() -> int:
    """Measure, print, write."""
    options = _options()
    scale: Scale = options.scale
    options.scratch.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="capture-", dir=options.scratch))
    try:
        facts = report.machine(scratch)
        facts["empty_measurement_ns"] = measure.empty_measurement_ns()
        bench = Bench(scale=scale, scratch=scratch, records=list(corpus.records(CORPUS_RECORDS)))
        stolen, ticks = report.stolen_ticks()
        rows: list[Row] = []
        failed = False
        for name in options.only or GROUPS:
            start = time.perf_counter()
            try:
                rows += GROUPS[name](bench)
            except Exception as error:  # one group that cannot be measured must not cost the others their minutes
                traceback.print_exc()
                failed = True
                rows.append(Row(group=name, what="could not be measured", value=None, unit="", note=repr(error)[:300]))
            print(f"{name}: {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
        stolen_after, ticks_after = report.stolen_ticks()
        facts["stolen_percent"] = 100 * (stolen_after - stolen) / max(1, ticks_after - ticks)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if not any(options.scratch.iterdir()):
            options.scratch.rmdir()
    report.show(rows, facts)
    name = "-".join(["capture", *options.label, *(options.only or [])])
    print(f"written: {report.write(options.results, name, rows, facts, bench.summaries)}")
    return int(failed)


def _options() -> argparse.Namespace:
    here = Path(__file__).parent
    summary = __doc__.splitlines()[0] if __doc__ else None
    parser = argparse.ArgumentParser(description=summary)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="everything in under a minute")
    size.add_argument("--full", action="store_true", help="the sizes that the targets speak of; about half an hour")
    parser.add_argument("--only", action="append", choices=tuple(GROUPS), metavar="NAME", help=", ".join(GROUPS))
    parser.add_argument("--steps", type=int, metavar="N", help="steps before the last ones are measured")
    parser.add_argument("--pairs", type=int, metavar="N", help="pairs of train_lm")
    parser.add_argument("--scratch", type=Path, default=here / ".scratch", metavar="FOLDER", help="on the disk to measure")
    parser.add_argument("--results", type=Path, default=here / "results", metavar="FOLDER")
    options = parser.parse_args()
    options.label = ["quick"] if options.quick else ["full"] if options.full else []
    options.scale = saving.scale(
        saving.QUICK if options.quick else saving.FULL if options.full else saving.USUAL,
        steps=options.steps,
        train_pairs=options.pairs,
    )
    return options


if __name__ == "__main__":
    sys.exit(main())
