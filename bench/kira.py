"""KIRA's figures: tokens a second pure and saved, the lattice, the pipeline from a cold shell, checkpoints, a restored engine.

    python bench/kira.py          about half a minute
    python bench/kira.py --quick  a few seconds

Prints a table with the targets, and writes it to bench/results.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import report
from holdfast import KiraEngine, Workspace
from holdfast.engines.kira import Kira
from measure import Estimate, estimate
from report import Row, row

COMMAND = Path(sys.executable).with_name("holdfast")
TOKENS = 20_000  # of one round


def rates(scratch: Path, rounds: int) -> list[Row]:
    """Tokens a second, pure and saved in turn, a round of each after the other."""
    pure, found = Kira(seed=1), {"pure": list[float](), "saved": list[float]()}
    with KiraEngine("rate", seed=1, root=scratch) as saved:
        for _ in saved.run.loop(rounds, checkpoint_every=rounds):
            for name, engine in (("pure", pure), ("saved", saved)):
                began = time.perf_counter()
                for _ in range(TOKENS):
                    engine.emit_token()
                found[name].append(TOKENS / (time.perf_counter() - began))
    return [
        row("token", "emit_token, pure", estimate(found["pure"]), "tokens/s", at_least=150_000),
        row("token", "emit_token, every token flushed", estimate(found["saved"]), "tokens/s", at_least=100_000),
    ]


def lattice(rounds: int) -> list[Row]:
    """All 972 tokens as a new list."""
    engine = Kira()
    return [row("lattice", "generate_spinner_tokens", _ms(engine.generate_spinner_tokens, 10 * rounds), "ms", at_most=1.0)]


def pipeline(scratch: Path, rounds: int) -> list[Row]:
    """The whole pipeline by the command, from a process that is not there yet; and what it left."""
    took = []
    for number in range(rounds):
        line = [str(COMMAND), "run", "full_pipeline", "--session", f"p{number}", "--seed", str(number), "--root", str(scratch)]
        began = time.perf_counter()
        subprocess.run(line, check=True, capture_output=True)
        took.append(time.perf_counter() - began)
    sizes = [checkpoint.size for checkpoint in Workspace(scratch).checkpoints("p0")]
    return [
        row("pipeline", "holdfast run full_pipeline", estimate(took), "s", at_most=1.5, note="33 modules, everything saved"),
        row("pipeline", "largest of its checkpoints", max(sizes) / 1024, "KB", at_most=16, note=f"{len(sizes)} checkpoints"),
        row("pipeline", "mean of its checkpoints", statistics.mean(sizes) / 1024, "KB"),
    ]


def restore(rounds: int) -> list[Row]:
    """An engine made anew, with the state of one that went through the pipeline."""
    engine = Kira(seed=1)
    engine.cmd_hit_it()
    state = engine.state_dict()
    again = Kira()
    return [
        row("restore", "load_state_dict", _ms(lambda: again.load_state_dict(state), 3 * rounds), "ms", at_most=5.0),
        row("restore", "a new engine, and load_state_dict", _ms(lambda: Kira().load_state_dict(state), 3 * rounds), "ms"),
        row("restore", "state_dict", _ms(engine.state_dict, 3 * rounds), "ms"),
    ]


def _ms(act: Callable[[], object], rounds: int) -> Estimate:
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        took.append((time.perf_counter() - began) * 1e3)
    return estimate(took)


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a few seconds")
    options = parser.parse_args()
    rounds = 5 if options.quick else 30
    here = Path(__file__).parent
    with tempfile.TemporaryDirectory(dir=here, prefix=".kira-") as folder:
        scratch = Path(folder)
        facts = report.machine(scratch)
        rows = [*rates(scratch, rounds), *lattice(rounds), *pipeline(scratch, rounds), *restore(rounds)]
    report.show(rows, facts)
    name = "kira-quick" if options.quick else "kira"
    print(f"written: {report.write(here / 'results', name, rows, facts, [])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
