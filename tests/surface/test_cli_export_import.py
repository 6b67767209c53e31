"""holdfast export and import, as typed."""

import json
from pathlib import Path

import pytest

import holdfast
from tests.helpers.command import call
from tests.helpers.quick import QuickFiles
from tests.helpers.sources import ROOT

FOLDER = str(ROOT / "tests" / "data" / "kira_folder")


@pytest.fixture
def root(tmp_path: Path) -> str:
    with holdfast.session("s", root=tmp_path / "w", files=QuickFiles()) as run:
        for step in range(3):
            run.token("=1", z=step / 10, phase="A" if step else "B")
            run.metric(loss=float(step))
    return str(tmp_path / "w")


def test_what_an_export_wrote_is_told(root: str, tmp_path: Path) -> None:
    done = call("export", "s", "--output", str(tmp_path / "new" / "all.json"), "--root", root)
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[1:3] == ["tokens           3", "emissions        0"]
    assert "written to" in done.out
    assert len(json.loads((tmp_path / "new" / "all.json").read_bytes())["metrics"]) == 3
    done = call("export", "--output", str(tmp_path / "t.csv"), "-i", "tokens", "--phase", "A", "--root", root, "--json")
    assert json.loads(done.out) == {
        "path": str(tmp_path / "t.csv"),
        "bytes": (tmp_path / "t.csv").stat().st_size,
        "rows": {"tokens": 2},
    }


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--output", "x.xml"), "format='xml' is not known"),
        (("--output", "x.json", "--include", "tokens,foo"), "include='foo' is not known"),
        (("--output", "x.json", "--z", "oops"), "a range is written as in"),
        (("--output", "x.json", "--excel-safe"), "excel_safe is for CSV"),
        (("other", "--output", "x.json"), "no session"),
    ],
)
def test_an_export_that_makes_no_sense_says_why(root: str, words: tuple[str, ...], reason: str) -> None:
    done = call("export", *words, "--root", root)
    assert done.status == 2
    assert reason.lower() in done.err.lower()
    assert not Path("x.json").exists()


def test_an_import_shows_kinds_findings_and_what_was_left(tmp_path: Path) -> None:
    done = call("import", FOLDER, "--root", str(tmp_path))
    assert done.status == 0
    for text in (
        "engine session",
        "k_formed  3",
        "true with R = 3 (at least 7 is needed)",
        "junk token  1",
        "… and 1 more: --findings",
        "learned_patterns/run1/model.npz  .npz: not a kind of file that is read",
        "added 100 records",
    ):
        assert text in done.out
    again = call("import", FOLDER, "--root", str(tmp_path), "--findings")
    assert again.out.splitlines()[-1] == "added 0 records"
    assert "--findings" not in again.out


def test_an_import_as_json_has_every_file_and_finding(tmp_path: Path) -> None:
    done = call("import", FOLDER, "--root", str(tmp_path), "--dry-run", "--json")
    report = json.loads(done.out)
    assert sum(report["added"].values()) == 0
    assert {"path", "kind", "status", "records", "sha256"} <= report["files"][0].keys()
    assert {"kind", "path", "where", "what", "count"} == report["findings"][0].keys()
    assert not (tmp_path / "sessions").exists()


def test_columns_are_named_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("when,train\n1765918025,0.5\n")
    arguments = ("import", str(tmp_path / "m.csv"), "--root", str(tmp_path / "w"))
    assert call(*arguments, "--map", "loss=train", "--map", "ts=when").status == 0
    (row,) = holdfast.Workspace(tmp_path / "w").metrics()
    assert (row.name, row.value, row.ts) == ("loss", 0.5, 1_765_918_025_000_000)
    done = call(*arguments, "--session", "t", "--map", "loss")
    assert done.status == 2
    assert "NAME=COLUMN" in done.err
    assert "has no column 'x'" in call(*arguments, "--session", "t", "--map", "loss=x").err
