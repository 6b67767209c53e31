"""Kill real runs again and again, and see that nothing acknowledged is lost: `python -m tests.crash.campaign --kills 10000`.

Runs are drawn by seed and number, so that equal numbers are killed in the same way. What is done stands in a file of the
scratch folder: the same line goes on where it was stopped. Exits with 1 where anything was wrong.
"""

import argparse
import hashlib
import json
import logging
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from tests.crash.children import ROOT, Children
from tests.crash.program import DURABILITIES, MODES, SHAPES
from tests.crash.trial import Cell, Chooser, Counts, Reference, Trial, count_points, follow
from tests.crash.witness import PLACES, Plan

SIZE = 2200  # makes at least LEAST_RECORDS records in every shape
LEAST_RECORDS = 2000
DISK = ROOT / "tests" / "crash" / "scratch"
_DISK_EVERY = 35  # one run in so many is on the disk of the checkout, which syncs slowly; the others are where --scratch is
_FRESH_EVERY = 50  # one start in so many is an interpreter of its own
_LEAST_HITS = 20  # in each of these, where there were at least as many kills:
_BIG = 1000
GROUPS = {
    "replay": ("replay",),
    "checkpoint": ("checkpoint files", "checkpoint record"),
    "roll": ("roll",),
    "recovery": ("recovery",),
}
CELLS = tuple(product(MODES, DURABILITIES, SHAPES))


@dataclass(frozen=True)
class Setting:
    """What every run of a campaign has in common."""

    seed: int
    size: int
    scratch: Path


@dataclass
class Tally:
    """What the runs so far came to."""

    runs: int = 0
    kills: int = 0
    uncounted: int = 0
    places: Counter[str] = field(default_factory=Counter)
    replaying: int = 0
    ways: Counter[str] = field(default_factory=Counter)
    cells: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    on_disk: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)

    def add(self, done: dict[str, Any]) -> None:
        """Take in one run."""
        cell = done["trial"]["cell"]
        self.runs += 1
        for hit in done["hits"]:
            if not hit["counts"]:
                self.uncounted += 1
                continue
            self.kills += 1
            self.places[hit["place"]] += 1
            self.replaying += hit["was_replaying"]
            self.ways[hit["by"]] += 1
            self.cells[cell["mode"], cell["durability"], cell["shape"]] += 1
            self.on_disk += done["on_disk"]
        if done["problems"]:
            self.failures.append(done)

    def group(self, name: str) -> int:
        """Kills in one of GROUPS."""
        return sum(self.places[place] for place in GROUPS[name])

    @property
    def is_good(self) -> bool:
        """Whether nothing was wrong, and a big campaign hit everything often enough."""
        return not self.failures and (self.kills < _BIG or all(self.group(name) >= _LEAST_HITS for name in GROUPS))


def run_one(setting: Setting, number: int) -> dict[str, Any]:
    """One run of the campaign, in a worker process."""
    mode, durability, shape = CELLS[number % len(CELLS)]
    cell = Cell(mode=mode, durability=durability, shape=shape, size=setting.size)
    on_disk = number % _DISK_EVERY == _DISK_EVERY - 1
    folder = _folder_on_disk() if on_disk else setting.scratch
    trial = Trial(
        children=_children(),
        cell=cell,
        reference=_reference(setting, shape),
        folder=folder / f"run-{setting.seed}-{number}",
        number=number,
        fresh_every=_FRESH_EVERY,
    )
    shutil.rmtree(trial.folder, ignore_errors=True)  # of a campaign that was stopped in it
    rng = random.Random(f"{setting.seed}/{number}")
    trial.run(Chooser(_counts(setting, cell), trial.reference.records, rng))
    return _outcome(trial, on_disk)


def _outcome(trial: Trial, on_disk: bool) -> dict[str, Any]:
    hits = [
        {"place": hit.place, "was_replaying": hit.was_replaying, "counts": hit.counts, "by": hit.plan.by} for hit in trial.hits
    ]
    if trial.problems:
        kept = str(trial.folder)
    else:
        kept = ""
        shutil.rmtree(trial.folder)
    return {"trial": trial.describe(), "hits": hits, "problems": trial.problems, "on_disk": on_disk, "kept": kept}


@cache
def _children() -> Children:
    return Children()  # they end with this process


@cache
def _own_folder(scratch: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix="worker-", dir=scratch))


@cache
def _folder_on_disk() -> Path:
    DISK.mkdir(parents=True, exist_ok=True)
    return DISK


@cache
def _reference(setting: Setting, shape: str) -> Reference:
    found = Reference.of(shape, setting.size, _own_folder(setting.scratch))
    if setting.size >= SIZE and found.records < LEAST_RECORDS:
        raise SystemExit(f"the shape {shape} makes {found.records} records; a campaign needs {LEAST_RECORDS}")
    return found


@cache
def _counts(setting: Setting, cell: Cell) -> Counts:
    return count_points(_children(), cell, _own_folder(setting.scratch))


def campaign(setting: Setting, kills: int, jobs: int, state: Path) -> Iterator[Tally]:
    """Run until there were so many kills; yields the tally after each run. Goes on from `state`."""
    tally, done = Tally(), set()
    if state.exists():
        for line in state.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                outcome = json.loads(line)
                done.add(outcome["trial"]["number"])
                tally.add(outcome)
    yield tally
    context = multiprocessing.get_context("spawn")
    waiting: set[Future[dict[str, Any]]] = set()
    numbers = (number for number in range(sys.maxsize) if number not in done)
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_prepare_worker) as pool, state.open("a") as log:
        try:
            while tally.kills < kills:
                while len(waiting) < 2 * jobs:
                    waiting.add(pool.submit(run_one, setting, next(numbers)))
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    outcome = future.result()
                    log.write(json.dumps(outcome) + "\n")
                    log.flush()
                    tally.add(outcome)
                yield tally
        finally:
            for future in waiting:
                future.cancel()


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the campaign's own process decides
    logging.getLogger("holdfast").addHandler(logging.NullHandler())
    threading.Thread(target=_end_with_campaign, daemon=True).start()


def _end_with_campaign() -> None:
    campaign_process = multiprocessing.parent_process()
    assert campaign_process is not None
    campaign_process.join()
    os._exit(1)  # it was killed, and nobody waits for what this worker does


def repeat(text: str) -> int:
    """Run one trial again, by what the report says about it. Its folder stays if anything is wrong."""
    what = json.loads(text)
    cell = Cell(**what["cell"])
    with Children() as children, tempfile.TemporaryDirectory() as own:
        folder = Path(tempfile.mkdtemp(prefix="holdfast-crash-")) / "run"
        trial = Trial(children, cell, Reference.of(cell.shape, cell.size, Path(own)), folder, number=what["number"])
        trial.run(follow(Plan(**plan) for plan in what["plans"]))
    for hit in trial.hits:
        print(f"killed in: {hit.place}{' (replaying)' if hit.was_replaying else ''}  {hit.plan}")
    print("\n".join(trial.problems) or "nothing is wrong")
    if not trial.problems:
        shutil.rmtree(folder.parent)
        return 0
    print(f"kept: {folder}")
    return 1


def report(tally: Tally, seconds: float, kills_before: int) -> str:
    """The histogram, for people."""
    widest = max(tally.places.values(), default=1)
    rate = (tally.kills - kills_before) / seconds if seconds else 0.0
    lines = [
        f"{tally.kills:,} kills in {tally.runs:,} runs ({tally.on_disk:,} on the checkout's disk), {rate:.1f} a second; "
        f"{tally.uncounted:,} more came before the first record and do not count",
        "",
        "where they hit",
    ]
    for place in (*PLACES, "after the end"):
        if count := tally.places[place]:
            lines.append(f"  {place:<18} {count:>6,}  {'█' * max(1, round(40 * count / widest))}")
    lines += [f"  while replaying    {tally.replaying:>6,}  (of all of these)", "", "how", *_listed(tally.ways.items()), ""]
    lines.append(f"  {'':<22}" + "".join(f"{shape:>8}" for shape in SHAPES))
    for mode, durability in product(MODES, DURABILITIES):
        counts = "".join(f"{tally.cells[mode, durability, shape]:>8,}" for shape in SHAPES)
        lines.append(f"  {mode + ' × ' + durability:<22}{counts}")
    lines.append("")
    if tally.kills >= _BIG:
        lines += [
            f"only {tally.group(name)} in {name}, and {_LEAST_HITS} are wanted"
            for name in GROUPS
            if tally.group(name) < _LEAST_HITS
        ]
    for failed in tally.failures:
        lines += [f"FAILED  {problem}" for problem in failed["problems"][:5]]
        lines += [f"        kept: {failed['kept']}", f"        again: {_again(failed)}"]
    lines.append(f"failures: {len(tally.failures)}")
    return "\n".join(lines)


def _listed(items: Iterable[tuple[str, int]]) -> list[str]:
    return [f"  {name:<18} {count:>6,}" for name, count in sorted(items)]


def _again(failed: dict[str, Any]) -> str:
    return f"{sys.executable} -m tests.crash.campaign --repeat '{json.dumps(failed['trial'])}'"


def facts(tally: Tally) -> dict[str, Any]:
    """The same as JSON."""
    return {
        "kills": tally.kills,
        "runs": tally.runs,
        "uncounted": tally.uncounted,
        "places": dict(tally.places),
        "replaying": tally.replaying,
        "ways": dict(tally.ways),
        "cells": {"/".join(cell): count for cell, count in tally.cells.items()},
        "failures": [{"problems": failed["problems"], "again": _again(failed)} for failed in tally.failures],
    }


def default_scratch() -> Path:
    """A folder of this checkout in memory, or else among the temporary files."""
    memory = Path("/dev/shm")
    base = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    return base / f"holdfast-crash-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"


def code_version() -> str:
    """A hash of everything that is under test and of the test itself: what was done by other code is not counted."""
    content = hashlib.sha256()
    for path in sorted([*(ROOT / "src").rglob("*.py"), *Path(__file__).parent.glob("*.py")]):
        content.update(path.read_bytes())
    return content.hexdigest()[:12]


def main() -> int:
    """Parse the command line, run, report."""
    options = _options()
    if options.repeat:
        return repeat(options.repeat)
    scratch = (options.scratch or default_scratch()).absolute()
    scratch.mkdir(parents=True, exist_ok=True)
    setting = Setting(options.seed, options.size, scratch)
    state = scratch / f"done-{options.seed}-{options.size}-{code_version()}.jsonl"
    tally, began, before, shown = Tally(), time.monotonic(), -1, 0.0
    progress = sys.stderr if sys.stderr.isatty() else None
    try:
        for tally in campaign(setting, options.kills, options.jobs, state):
            if before < 0:
                before = tally.kills
                print(f"results are kept in {state}; {before:,} kills are done already", file=sys.stderr)
            now = time.monotonic()
            if now - shown >= (0.2 if progress else 30):
                shown = now
                rate = (tally.kills - before) / max(1e-9, now - began)
                left = (options.kills - tally.kills) / rate if rate else 0
                line = f"{tally.kills:,} of {options.kills:,} kills, {len(tally.failures)} failures, {left:,.0f} s left"
                print(f"\r{line}   " if progress else line, end="" if progress else "\n", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("\nstopped; the same line goes on", file=sys.stderr)
        return 130
    finally:
        for folder in scratch.glob("worker-*"):
            shutil.rmtree(folder, ignore_errors=True)
        if DISK.exists() and not any(DISK.iterdir()):
            DISK.rmdir()
    seconds = time.monotonic() - began
    if progress:
        print(file=sys.stderr)
    print(json.dumps(facts(tally)) if options.json else report(tally, seconds, max(0, before)))
    return 0 if tally.is_good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.campaign", description="Kill real runs, and compare.")
    parser.add_argument("--kills", type=int, default=1000, metavar="N", help="how often (1000)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="others are killed in other places (1)")
    parser.add_argument("--size", type=int, default=SIZE, metavar="N", help=f"about how many records a run makes ({SIZE})")
    parser.add_argument("--scratch", type=Path, metavar="FOLDER", help="where sessions are, and what is done already")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="runs at once (a core each)")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    parser.add_argument("--repeat", metavar="JSON", help="run one trial again, as a report tells it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
