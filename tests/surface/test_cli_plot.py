"""holdfast plot: what it prints, and how it ends."""

import json
from pathlib import Path

import pytest

import holdfast
from tests.helpers.command import call, count, keys, promised


@pytest.fixture
def root(tmp_path: Path) -> Path:
    count(tmp_path)
    with holdfast.session("z", root=tmp_path) as run:
        for step in run.loop(8, checkpoint_every=4):
            run.token("x", z=step / 7, phase="low\x1b[31m" if step < 4 else "TRUE")
            run.metric(total=10.0**step, below=-1.0)
    return tmp_path


def braille(text: str) -> int:
    return sum("\u2801" <= sign <= "\u28ff" for sign in text)


def test_a_metric_is_drawn_on_the_terminal(root: Path) -> None:
    done = call("plot", "count", "--metric", "total", "--root", root, COLUMNS="60")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "total"
    assert lines[1].split()[0] == "190"
    assert lines[12].split()[0] == "0"
    assert lines[13].split() == ["└1", "20"]
    assert max(map(len, lines)) <= 60
    assert "\u2800" not in done.out
    rows = [index for index, line in enumerate(lines) if braille(line)]
    assert rows == [*range(1, 13)]
    first = [min(at for at, sign in enumerate(line) if braille(sign)) for line in lines[1:13]]
    assert first == sorted(first, reverse=True)  # it rises from left to right


def test_several_sessions_share_a_panel_and_are_named(root: Path) -> None:
    done = call("plot", "count", "z", "-m", "total", "--log", "--root", root, terminal=True)
    assert done.status == 0
    assert "logarithmic" in done.out
    assert "━━" in done.out
    assert "\x1b[36m" in done.out
    assert "\x1b[35m" in done.out


def test_z_comes_with_phases_and_checkpoints(root: Path) -> None:
    done = call("plot", "z", "--z", "--root", root, COLUMNS="60")
    assert done.status == 0
    assert "phases" in done.out
    assert done.out.count("▲") == 2
    assert "TRUE" in done.out
    assert "\x1b" not in done.out
    assert r"low\x1b[31m" in done.out


def test_a_picture_goes_to_a_file_which_is_replaced_by_force_alone(root: Path) -> None:
    out = root / "total.svg"
    done = call("plot", "count", "-m", "total", "--out", out, "--root", root)
    assert (done.status, done.out) == (0, f"the plot is in {out} ({out.stat().st_size / 1000:.1f} kB)\n")
    again = call("plot", "count", "-m", "total", "--out", out, "--root", root)
    assert again.status == 2
    assert "--force" in again.err
    assert call("plot", "count", "-m", "total", "--out", out, "--root", root, "--force").status == 0


def test_json_has_the_fields_that_are_promised(root: Path) -> None:
    done = call("plot", "z", "-m", "total", "--z", "--smooth", 3, "--root", root, "--json")
    document = json.loads(done.out)
    assert keys(document) == promised("plot")
    assert document["curves"][0]["y"] == [10.0**step for step in range(8)]
    written = json.loads(call("plot", "z", "--z", "--out", root / "z.png", "--root", root, "--json").out)
    assert written == {"file": str(root / "z.png"), "bytes": (root / "z.png").stat().st_size, "curves": None}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["count", "-m", "loss"], "there are: total"),
        (["count"], "nothing was asked for"),
        (["count", "--z"], "no token with a z"),
        (["z", "-m", "below", "--log"], "no value above 0"),
        (["nothing", "--z"], "there is no session 'nothing'"),
        (["count", "-m", "total", "--smooth", "0"], "--smooth"),
        (["count", "-m", "total", "--out", "x.gif"], ".png or .svg"),
    ],
)
def test_what_cannot_be_plotted_is_status_2(root: Path, words: list[str], said: str) -> None:
    done = call("plot", *words, "--root", root)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
