"""show draws how z went and which phase came when."""

from pathlib import Path

from holdfast.cli import charts
from holdfast.cli.summary import Summary
from holdfast.sessions.opening import start
from tests.helpers.command import call
from tests.helpers.quick import QuickFiles


def record(root: Path) -> None:
    with start("s", root=root, files=QuickFiles()) as run:
        run.tokens(["a", "b"], z=[0.1, 0.2], phase=["UNTRUE", "UNTRUE"])
        run.token("c", z=0.7, phase="PARADOX")
        run.token("d", z=0.9, phase="TRUE")
        run.module("m", 1, phase="phase1")
        run.module("m", 1, phase="phase2\x1b")


def test_show_has_a_sparkline_of_z_and_the_phases_in_order(tmp_path: Path) -> None:
    record(tmp_path)
    out = call("show", "s", "--root", tmp_path).out
    lines = [line.rstrip() for line in out.splitlines()]
    at = next(index for index, line in enumerate(lines) if line.startswith("z  "))
    assert lines[at] == "z       ▁▂▆█"
    assert lines[at + 1].split() == "0.1 to 0.9, lowest 0.1, highest 0.9".split()
    at = lines.index("phases  ██▒▓")
    assert lines[at + 1] == "        █ UNTRUE 50%   ▒ PARADOX 25%   ▓ TRUE 25%"
    at = lines.index("stages  █▒")
    assert lines[at + 1] == "        █ phase1 50%   ▒ phase2\\x1b 50%"


def test_z_and_the_regimes_phases_have_the_regimes_colours(tmp_path: Path) -> None:
    record(tmp_path)
    out = call("show", "s", "--root", tmp_path, FORCE_COLOR="1", TERM="xterm-256color").out
    blue, yellow, green = "\x1b[34m", "\x1b[33m", "\x1b[32m"
    line = next(line for line in out.splitlines() if "▁▂" in line)
    parts = [line.index(part) for part in (f"{blue}▁▂", f"{yellow}▆", f"{green}█")]
    assert parts == sorted(parts)
    assert f"{blue}██" in next(line for line in out.splitlines() if "phases" in line)


def test_a_session_without_z_and_phases_has_no_such_parts(tmp_path: Path) -> None:
    with start("s", root=tmp_path, files=QuickFiles()) as run:
        run.note("nothing else")
    out = call("show", "s", "--root", tmp_path).out
    assert not [line for line in out.splitlines() if line.startswith(("z ", "phases", "stages"))]


def test_superseded_records_are_not_drawn() -> None:
    summary = Summary()
    summary.add({"kind": "token", "n": 1, "ts": 1, "token": "a", "z": 0.5, "phase": "A"})
    summary.add({"kind": "token", "n": 2, "ts": 1, "token": "a", "z": 0.9, "phase": "B", "superseded": True})
    assert summary.z.means() == [0.5]
    assert dict(summary.phases.counts) == {"A": 1}


def test_a_timeline_keeps_the_order_in_little_memory() -> None:
    timeline = charts.Timeline(width=4)
    for name in ("a", "b", "c"):
        for _ in range(1000):
            timeline.add(name)
    found = timeline.names()
    assert len(found) <= 8
    assert found == sorted(found)
    assert set(found) == {"a", "b", "c"}
    assert timeline.counts == {"a": 1000, "b": 1000, "c": 1000}
    assert len(timeline.names(3)) <= 3


def test_a_timeline_of_ever_new_names_stays_small() -> None:
    timeline = charts.Timeline(most=5)
    for number in range(100):
        timeline.add(f"{number}")
    assert dict(timeline.counts) == {**{f"{number}": 1 for number in range(5)}, "…": 95}


def test_a_table_of_thousands_is_cut_and_aligned_as_a_small_one_is(tmp_path: Path) -> None:
    record(tmp_path)
    wide = call("stats", "s", "--root", tmp_path, COLUMNS="100").out.splitlines()
    narrow = call("stats", "s", "--root", tmp_path, COLUMNS="30").out.splitlines()
    assert max(map(len, wide)) > 30
    assert max(map(len, narrow)) <= 30
    assert [line.split()[0] for line in narrow] == [line.split()[0] for line in wide]
