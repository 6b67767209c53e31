"""Lines that are printed to be typed."""

from pathlib import Path

import pytest

from holdfast.errors import line_to_type


@pytest.mark.parametrize(
    ("called", "is_on_path", "shown"),
    [
        (".venv/bin/holdfast", False, ".venv/bin/holdfast"),
        ("{here}/.venv/bin/holdfast", False, ".venv/bin/holdfast"),
        ("/opt/tools/holdfast", False, "/opt/tools/holdfast"),
        (".venv/bin/holdfast", True, "holdfast"),
        ("train.py", False, "holdfast"),
        ("", False, "holdfast"),
    ],
)
def test_the_command_is_written_so_that_a_shell_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: str, is_on_path: bool, shown: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if is_on_path:
        (tmp_path / "holdfast").write_text("#!/bin/sh\n", encoding="utf-8")
        (tmp_path / "holdfast").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", [called.format(here=tmp_path)])
    assert line_to_type("show", "a b") == f"{shown} show 'a b'"
