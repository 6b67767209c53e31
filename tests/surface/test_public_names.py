"""The public names: those of the reference page, documented, and cheap to import."""

import inspect
import json
import re
import subprocess
import sys

import holdfast
from tests.helpers.sources import ROOT

HEAVY = {
    "apsw",
    "asyncio",
    "click",
    "concurrent.futures",
    "duckdb",
    "importlib.metadata",
    "logging",
    "multiprocessing",
    "numpy",
    "rich",
    "safetensors",
    "torch",
    "typer",
    "unittest",
    "urllib.request",
}


def test_the_public_names_are_those_of_the_reference() -> None:
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    headings = re.findall(r"^##+ `([A-Za-z_]+)`$", page, re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert set(headings) == set(holdfast.__all__)


def test_every_public_name_has_a_docstring() -> None:
    public = {name: getattr(holdfast, name) for name in holdfast.__all__}
    code = {name: value for name, value in public.items() if inspect.isclass(value) or inspect.isroutine(value)}
    # A dataclass without a docstring is given its signature as one.
    assert [name for name, value in code.items() if not value.__doc__ or value.__doc__.startswith(f"{name}(")] == []


def test_importing_holdfast_imports_nothing_heavy() -> None:
    program = (
        "import sys, json; before = set(sys.modules); import holdfast; print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    imported = set(json.loads(done.stdout))
    assert "holdfast" in imported
    assert sorted(imported & HEAVY) == []
