"""What the README and the page about KIRA show is what happens."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.sources import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
KIRA = (ROOT / "docs" / "kira.md").read_text(encoding="utf-8")
BLOCKS = [
    pytest.param(block[2], id=f"{name}-line-{page.count(chr(10), 0, block.start()) + 1}")
    for name, page in {"readme": README, "kira": KIRA}.items()
    for block in re.finditer(r"^```python([^\n]*)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    if "no-run" not in block[1]
]


def run_in(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a folder, with warnings as errors and no settings from outside."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    environment |= {"PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-c", source]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("source", BLOCKS)
def test_the_code_of_a_page_runs_and_runs_again(tmp_path: Path, source: str) -> None:
    for _ in range(2):
        done = run_in(tmp_path, source)
        assert done.returncode == 0, done.stderr


def test_the_pages_have_code() -> None:
    assert len(BLOCKS) >= 2


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    shown = set(re.findall(r"\bmake ([a-z-]+) +#", README)) | set(re.findall(r"`make ([a-z-]+)`", README))
    assert shown
    assert shown <= targets


def test_every_link_of_the_readme_leads_to_a_file() -> None:
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert [link for link in links if not (ROOT / link).exists()] == []
