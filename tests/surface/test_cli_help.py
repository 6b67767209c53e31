"""Every command explains itself, and the pages about it tell the truth."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import holdfast
from tests.helpers.command import call, count
from tests.helpers.sources import ROOT

COMMANDS = re.findall(r"^  ([a-z-]+)  ", call("--help").out.partition("Commands:")[2], re.MULTILINE)
PAGE = (ROOT / "docs" / "command.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_all_commands_are_there() -> None:
    assert set(COMMANDS) == set(
        "run kira sessions show search sql checkpoints stats digest compare plot export verify "
        "import resume fork export-checkpoint note rename seal delete".split()
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_an_example_that_is_one(command: str) -> None:
    done = call(command, "--help")
    assert done.status == 0
    examples = re.findall(r"Example: (holdfast .*)", done.out)
    assert examples
    assert all(shlex.split(example)[1] == command for example in examples)
    assert "--root" in done.out
    assert "--json" in done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_first_line_of_a_command_fits_the_list(command: str) -> None:
    (line,) = (line for line in call("--help").out.splitlines() if line.startswith(f"  {command}  "))
    assert not line.endswith("...")


def test_the_page_has_every_command() -> None:
    assert re.findall(r"^### `([a-z-]+)", PAGE, re.MULTILINE) == COMMANDS


def test_a_call_without_words_prints_the_help() -> None:
    assert call() == call("--help")
    assert call().status == 0


def test_the_version_is_printed() -> None:
    assert call("--version").out == f"holdfast {holdfast.__version__}\n"


def test_the_commands_of_the_readme_do_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    count(tmp_path / "training", "demo")  # as `make run` calls its session
    block = README.partition("## Looking at a run")[2].partition("```sh\n")[2].partition("```")[0]
    lines = [shlex.split(line, comments=True)[1:] for line in block.splitlines() if line.startswith("holdfast ")]
    assert len(lines) >= 4
    assert block.index(". .venv/bin/activate") < block.index("\nholdfast ")  # nothing else puts the command on the PATH
    assert [(line, call(*line).err) for line in lines if call(*line).status != 0] == []


def test_the_module_is_the_command_and_its_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, json, runpy; sys.argv = ['holdfast', '--help']\n"
        "try: runpy.run_module('holdfast', run_name='__main__')\n"
        "except SystemExit as end: print(json.dumps([end.code, sorted(sys.modules)]), file=sys.stderr)"
    )
    environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    status, modules = json.loads(done.stderr)
    assert status == 0
    assert done.stdout.startswith("Usage: holdfast")
    assert {"rich", "numpy", "duckdb", "apsw", "safetensors", "logging"} & set(modules) == set()
