"""What imports cost: records a second, of files as KIRA wrote them.

    python bench/importing.py                      300,000 records of each kind
    python bench/importing.py --records 1000000    so many

Prints a table with the target, and writes it to bench/results.
"""

import argparse
import json
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import corpus
import report
from holdfast import Workspace
from report import Row, row

MOMENT = "2025-12-16T21:22:13.500000+00:00"


def epoch(path: Path, count: int) -> None:
    """Tokens as texts."""
    tokens = [text for text, *_ in islice(corpus.records(count), count)]
    path.write_text(json.dumps({"epoch": 7, "timestamp": MOMENT, "tokens": tokens, "count": count}, indent=2))


def lattice(path: Path, count: int) -> None:
    """Tokens as objects."""
    tokens = [
        {"id": index, "token": text, "z": z, "phase": phase, "spiral": text[0]}
        for index, (text, z, phase, *_) in enumerate(corpus.records(count), 1)
    ]
    path.write_text(json.dumps({"total": count, "tokens": tokens}, indent=2))


def metrics(path: Path, count: int) -> None:
    """Lines of a helix run."""
    rng = random.Random(7)
    with path.open("w") as file:
        for step in range(count):
            values = {"z": 0.5, "kappa": rng.random(), "lambda": rng.random(), "negentropy": 0.008041935718515053}
            file.write(json.dumps({"step": step, "timestamp": f"2025-12-13T16:20:23.{step % 10**6:06d}", **values}) + "\n")


def emissions(path: Path, count: int) -> None:
    """Emissions of an epoch."""
    entry = {"text": "Consciousness forms pattern.", "z": 0.3, "phase": "UNTRUE", "tokens": ["e+|NP1|t3"], "quality": 0.25}
    path.write_text(json.dumps({"epoch": 8, "timestamp": MOMENT, "emissions": [entry] * count, "count": count}, indent=2))


FILES: dict[str, tuple[str, Callable[[Path, int], None]]] = {
    "tokens as texts": ("epoch7_tokens.json", epoch),
    "tokens as objects": ("03_apl_972_tokens.json", lattice),
    "metrics, lines": ("metrics.jsonl", metrics),
    "emissions": ("epoch8_emissions.json", emissions),
}


def importing(scratch: Path, count: int) -> Iterator[Row]:
    """Each kind of file alone, and again, when nothing is left to do."""
    records, seconds = 0, 0.0
    for what, (name, write) in FILES.items():
        _say(what)
        folder = scratch / re.sub(r"\W+", "-", what)
        folder.mkdir()
        write(folder / name, count)
        workspace = Workspace(scratch / "training")
        size = (folder / name).stat().st_size
        took, again = (_timed(partial(workspace.import_files, folder)) for _ in range(2))
        records, seconds = records + count, seconds + took
        yield row("import", what, count / took / 1e3, "thousand records/s", note=f"{size / 1e6:,.0f} MB in {took:.1f} s")
        yield row("import", f"{what}, again", again, "s", note="nothing is added")
    yield row("import", "all of these", records / seconds / 1e3, "thousand records/s", at_least=100)


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> int:
    """Measure, print, write."""
    options = _options()
    options.scratch.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="importing-", dir=options.scratch))
    try:
        facts = report.machine(scratch)
        facts["records"] = options.records
        rows = list(importing(scratch, options.records))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if not any(options.scratch.iterdir()):
            options.scratch.rmdir()
    report.show(rows, facts)
    print(f"written: {report.write(options.results, 'importing', rows, facts, [])}")
    return 0


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--records", type=int, default=300_000, metavar="N", help="of each kind")
    parser.add_argument("--scratch", type=Path, default=here / ".scratch", metavar="FOLDER", help="on the disk to measure")
    parser.add_argument("--results", type=Path, default=here / "results", metavar="FOLDER")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
