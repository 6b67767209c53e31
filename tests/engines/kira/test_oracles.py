"""The engine gives what was measured and tested in the original."""

import subprocess
import sys

import pytest

from tests.engines.kira.oracles import Oracle, oracles
from tests.engines.kira.saved import IS_HERE, needs_saved_data
from tests.helpers.sources import ROOT


@pytest.mark.parametrize("oracle", [pytest.param(oracle, id=oracle.name) for oracle in oracles()])
def test_ours_agrees_with_what_was_measured(oracle: Oracle) -> None:
    assert oracle.agrees(), f"expected {oracle.expected!r}, ours {oracle.ours()!r}"


@needs_saved_data
def test_the_saved_data_is_among_the_oracles() -> None:
    assert IS_HERE
    assert sum(oracle.name.startswith("saved: ") for oracle in oracles()) >= 9


def test_an_oracle_that_differs_is_told() -> None:
    assert not Oracle("planted", 0.5, lambda: 0.5 + 1e-9).agrees()
    assert not Oracle("planted", [0.5, True], lambda: (0.5, 1)).agrees()
    assert Oracle("planted", 0.5, lambda: 0.5 + 1e-9, tolerance=1e-6).agrees()


def test_the_table_is_printed_and_says_that_nothing_differs() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.engines.kira.oracles"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    assert all(line.startswith("ok  ") for line in lines if " | " in line)
    assert f"{len(list(oracles()))} oracles, 0 differ." in lines
