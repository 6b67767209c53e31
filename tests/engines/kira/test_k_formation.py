"""K is formed by commands typed into `holdfast kira`, under both thresholds, whether it is killed on the way or not."""

from pathlib import Path

import pytest

from tests.engines.kira.k_formation import form


@pytest.mark.parametrize("threshold", [3, 7])
def test_typed_commands_form_k_and_kills_change_nothing_of_it(tmp_path: Path, threshold: int) -> None:
    told: list[str] = []
    killed = form(tmp_path / "killed", threshold, is_killed=True, tell=told.append)
    whole = form(tmp_path / "whole", threshold, is_killed=False)
    assert (killed.attempts, whole.attempts) == (3, 1)
    assert sum("kill -9" in line for line in told) == 2
    assert killed.state == whole.state
    assert killed.digest == whole.digest
    assert killed.lines == whole.lines == 2 * threshold - 1
    assert killed.state["k_formed"]
    assert (killed.state["triad_completions"], killed.state["k_threshold"]) == (threshold, threshold)
    assert [line for line in told if "K formed" in line] == told[-1:]
