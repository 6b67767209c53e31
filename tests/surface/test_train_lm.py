"""What the example prints is true, and can be pasted."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.sources import ROOT

SMALL = ["--quick", "--steps", "30", "--seed", "7", "--checkpoint-every", "10"]


def run(folder: Path, line: str, **environment: str) -> str:
    """Type a line into a shell; what it printed."""
    kept = {name: value for name, value in os.environ.items() if name not in ("HOLDFAST_ROOT", "MAKELEVEL", "COLUMNS")}
    kept |= {"PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error", "COLUMNS": "200"} | environment
    done = subprocess.run(["sh", "-c", line], cwd=folder, env=kept, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def trained(folder: Path, *words: str, **environment: str) -> str:
    return run(folder, shlex.join([sys.executable, str(ROOT / "examples" / "train_lm.py"), *words]), **environment)


def following(printed: str) -> dict[str, str]:
    """The lines to type next, by what they do."""
    return dict(re.findall(r"^(start another|extend it|look further): +(.*)$", printed, re.MULTILINE))


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    words = [f"word{index * index % 97}" for index in range(9_000)]
    (tmp_path / "my text.txt").write_text(" ".join(words))
    return "my text.txt"


def test_plain_progress_says_what_a_kill_would_lose_now(tmp_path: Path, corpus: str) -> None:
    lines = [line for line in trained(tmp_path, *SMALL, "--corpus", corpus).splitlines() if line.startswith("step ")]
    assert len(lines) > 10
    assert all("lost now by a kill: nothing; a power loss: up to " in line for line in lines)
    batched = trained(tmp_path, *SMALL, "--corpus", corpus, "--session", "other", "--save-mode", "checkpoint")
    assert re.search(r"lost now by a kill: \d+ records", batched)


@pytest.mark.parametrize("root", ["--root", "HOLDFAST_ROOT"])
def test_the_closing_lines_carry_what_the_run_was_started_with(tmp_path: Path, corpus: str, root: str) -> None:
    place, environment = (["--root", "my runs"], {}) if root == "--root" else ([], {"HOLDFAST_ROOT": "my runs"})
    words = [*SMALL, *place, "--corpus", corpus, "--session", "it's", "--durability", "power"]
    first = following(trained(tmp_path, *words, **environment))
    assert list(first) == ["look further"]
    lines = following(trained(tmp_path, *words, **environment))
    assert list(lines) == ["start another", "extend it", "look further"]
    another, extended = (json.loads(run(tmp_path, f"{lines[what]} --json")) for what in ("start another", "extend it"))
    assert (another["session"], extended["session"]) == ("it's-2", "it's")
    assert another["steps"] == 30
    assert (extended["steps"], extended["attempt"]) == (60, 2)  # the same seed and text, else it would have been refused
    assert extended["perplexity"]["bigram"] == another["perplexity"]["bigram"]
    assert sorted(path.name for path in (tmp_path / "my runs" / "sessions").iterdir()) == ["it's", "it's-2"]
    command, _, rest = lines["look further"].partition(" ")
    assert Path(command).name == "holdfast"
    shown = run(tmp_path, f"{shlex.quote(sys.executable)} -m holdfast {rest}")
    assert "finished" in shown


def test_a_run_of_make_is_followed_by_lines_for_make(tmp_path: Path, corpus: str) -> None:
    words = [*SMALL, "--corpus", corpus, "--session", "a$b"]
    for _ in range(2):
        lines = following(trained(tmp_path, *words, MAKELEVEL="1"))
    (tmp_path / "Makefile").write_text("run-lm:\n\t@printf '%s\\n' $(ARGS)\n")
    typed = run(tmp_path, lines["extend it"]).splitlines()
    assert typed[:2] == ["--session", "a$b"]
    assert {"--quick", "--seed", "7", corpus, "--extend", "60"} <= set(typed)
