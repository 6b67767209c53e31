"""Curves and their pictures: what is drawn is what was recorded, in equal bytes, and nothing is replaced unasked."""

import builtins
import math
import struct
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from holdfast import InvalidSetting, KiraEngine, SessionNotFound, UsageError, Workspace, WriteFailed
from holdfast.reading import curves as reading_curves
from holdfast.reading.curves import Band, Mark
from holdfast.sessions.opening import start
from holdfast.storage.files import File
from tests.helpers.quick import QuickFiles

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    for name in ("one", "two"):
        with start(name, root=tmp_path, files=QuickFiles()) as run:
            for step in run.loop(20, checkpoint_every=5):
                run.metric(loss=math.nan if step == 7 else 1 / (step + 1), **{f"only_{name}": step})  # type: ignore[arg-type]  # a metric
                run.token("x", z=step / 20, phase="A" if step < 8 else "B")
                if step == 11:
                    run.checkpoint("half")
    return Workspace(tmp_path)


def test_a_curve_holds_every_value_and_gaps_where_there_is_no_number(workspace: Workspace) -> None:
    one, two = workspace.curves(["one", "two"], metric="loss")
    assert (one.session, two.session, one.name, one.count) == ("one", "two", "loss", 20)
    numbers = ~np.isnan(one.y)
    assert one.x[numbers].tolist() == [step + 1 for step in range(20) if step != 7]
    assert one.y[numbers].tolist() == [1 / (step + 1) for step in range(20) if step != 7]
    assert one.x[~numbers].tolist() == [8]
    assert len(one.smooth_x) == 0


def test_means_go_over_the_last_values(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    (curve,) = workspace.curves("one", metric="loss", smooth=3)
    values = [1 / (step + 1) if step != 7 else math.nan for step in range(20)]
    expected = [np.nanmean(values[max(0, step - 2) : step + 1]) for step in range(20) if step != 7]
    numbers = ~np.isnan(curve.smooth_y)
    assert curve.smooth_y[numbers] == pytest.approx(expected)
    assert curve.smooth_x[numbers].tolist() == [step + 1 for step in range(20) if step != 7]


def test_z_has_its_phases_and_checkpoints(workspace: Workspace) -> None:
    (curve,) = workspace.curves("one", z=True)
    assert curve.y.tolist() == [step / 20 for step in range(20)]
    assert curve.bands == [Band("A", 1, 8), Band("B", 9, 20)]
    assert [mark for mark in curve.marks if mark.name] == [Mark(12, "half")]
    assert [mark.x for mark in curve.marks] == [5, 10, 12, 15, 20]


def test_superseded_values_are_not_drawn(tmp_path: Path) -> None:
    def train(values: list[float]) -> None:
        with start("run", root=tmp_path, files=QuickFiles()) as run:
            for value in values:
                run.metric(loss=value)
            if len(values) < 4:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train([1.0, 2.0, 3.0])
    train([1.0, 2.5, 3.5, 4.5])
    (curve,) = Workspace(tmp_path).curves("run", metric="loss")
    assert curve.y.tolist() == [1.0, 2.5, 3.5, 4.5]


def test_phases_that_change_all_the_time_are_drawn_in_bounded_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_curves, "_MOST_BANDS", 10)
    with start("run", root=tmp_path, files=QuickFiles()) as run:
        for at in range(0, 3000, 100):
            count = 100
            run.tokens(["x"] * count, z=[0.5] * count, phase=["A" if (at + index) % 2 else "B" for index in range(count)])
        run.tokens(["x"] * 500, z=[0.5] * 500, phase=["C"] * 500)
    (curve,) = Workspace(tmp_path).curves("run", z=True)
    assert len(curve.bands) <= 10
    assert (curve.bands[0].first, curve.bands[-1].last) == (1, 3500)
    assert all(one.last + 1 == other.first for one, other in zip(curve.bands, curve.bands[1:], strict=False))
    assert curve.bands[-1] == Band("C", 3001, 3500)


def test_a_metric_that_is_not_there_is_told_with_those_that_are(workspace: Workspace) -> None:
    with pytest.raises(InvalidSetting, match="session 'two' has no metric 'only_one'; there are: loss, only_two"):
        workspace.curves(["one", "two"], metric="only_one")
    with pytest.raises(SessionNotFound, match="three"):
        workspace.curves("three", metric="loss")
    with start("plain", root=workspace.root, files=QuickFiles()) as run:
        run.token("x")
    with pytest.raises(InvalidSetting, match="no metrics at all"):
        workspace.curves("plain", metric="loss")
    with pytest.raises(InvalidSetting, match="no token with a z"):
        workspace.curves("plain", z=True)
    with pytest.raises(InvalidSetting, match="nothing was asked for"):
        workspace.curves("one")
    with pytest.raises(InvalidSetting, match="smooth=0"):
        workspace.curves("one", metric="loss", smooth=0)


def test_a_png_is_a_picture_of_its_size(workspace: Workspace) -> None:
    path = workspace.plot(["one", "two"], workspace.root / "new" / "loss.png", metric=["loss"], z=True, log=True, smooth=4)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", data[16:24])
    assert (width, height) == (1350, 1110)


def test_a_picture_has_the_same_bytes_every_time(workspace: Workspace) -> None:
    for kind in ("svg", "png"):
        first, second = (workspace.plot("one", workspace.root / f"{n}.{kind}", metric="loss", z=True) for n in "ab")
        assert first.read_bytes() == second.read_bytes()


def test_an_svg_draws_the_line_with_its_gap(workspace: Workspace) -> None:
    path = workspace.plot("one", workspace.root / "loss.svg", metric="loss")
    tree = ElementTree.fromstring(path.read_text("utf-8"))
    lines = [group for group in tree.iter(f"{SVG}path") if "stroke: #2f6fb5" in group.get("style", "")]
    curve = max((line.get("d", "") for line in lines), key=len)
    assert curve.count("M") == 2  # begun anew behind the gap
    assert b"2026" not in path.read_bytes().partition(b"<defs>")[0]


def test_names_are_drawn_as_they_are(workspace: Workspace) -> None:
    with start("_Φ $x$", root=workspace.root, files=QuickFiles()) as run:
        run.metric(**{"_π $\\alpha": 1.0})  # type: ignore[arg-type]  # a metric
        run.metric(**{"_π $\\alpha": 2.0})  # type: ignore[arg-type]  # a metric
        run.token("x", z=0.5, phase="_\x1b$\\frac")
    path = workspace.plot("_Φ $x$", workspace.root / "odd.png", metric="_π $\\alpha", z=True)
    assert path.stat().st_size > 1000


def test_an_output_that_is_there_stays_unless_force_is_said(workspace: Workspace) -> None:
    path = workspace.root / "loss.svg"
    path.write_text("mine")
    with pytest.raises(InvalidSetting, match="is there already"):
        workspace.plot("one", path, metric="loss")
    assert path.read_text() == "mine"
    workspace.plot("one", path, metric="loss", force=True)
    assert path.read_text("utf-8").startswith("<?xml")
    (workspace.root / "folder.png").mkdir()
    with pytest.raises(InvalidSetting, match="is a folder"):
        workspace.plot("one", workspace.root / "folder.png", metric="loss", force=True)
    with pytest.raises(InvalidSetting, match=r"ends in \.png or \.svg"):
        workspace.plot("one", workspace.root / "loss.jpg", metric="loss")


def test_a_log_scale_needs_values_above_0(workspace: Workspace) -> None:
    with start("negative", root=workspace.root, files=QuickFiles()) as run:
        run.metric(loss=-1.0)
    with pytest.raises(InvalidSetting, match="no value above 0"):
        workspace.plot("negative", workspace.root / "x.png", metric="loss", log=True)
    assert not (workspace.root / "x.png").exists()


class FullFile(QuickFiles):
    def open(self, path: Path, *, write: bool = False, create: bool = False, exclusive: bool = False) -> File:
        if write:
            raise OSError(28, "No space left on device")
        return super().open(path, write=write, create=create, exclusive=exclusive)


def test_a_full_disk_leaves_what_was_there(workspace: Workspace) -> None:
    path = workspace.plot("one", workspace.root / "loss.png", metric="loss")
    before = path.read_bytes()
    workspace._files = FullFile()
    with pytest.raises(WriteFailed, match="No space left"):
        workspace.plot("two", path, metric="loss", force=True)
    assert path.read_bytes() == before
    assert [entry.name for entry in workspace.root.iterdir() if "loss" in entry.name] == ["loss.png"]


def test_the_callers_matplotlib_stays_as_it_is(workspace: Workspace) -> None:
    import matplotlib

    names = [name for name in matplotlib.rcParams if name != "backend"]  # asking for that one imports pyplot
    before = [matplotlib.rcParams[name] for name in names]
    with matplotlib.rc_context({"lines.linewidth": 30, "font.size": 40}):
        loud = workspace.plot("one", workspace.root / "loud.png", metric="loss").read_bytes()
        assert matplotlib.rcParams["font.size"] == 40
    assert workspace.plot("one", workspace.root / "quiet.png", metric="loss").read_bytes() == loud
    assert [matplotlib.rcParams[name] for name in names] == before
    assert "matplotlib.pyplot" not in sys.modules


def test_without_matplotlib_the_extra_is_named(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError("No module named 'matplotlib'")
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"pip install 'holdfast\[plot\]'"):
        workspace.plot("one", workspace.root / "x.png", metric="loss")


def test_a_running_session_is_plotted_as_it_stands(tmp_path: Path) -> None:
    with KiraEngine("going", root=tmp_path, files=QuickFiles()) as engine:
        engine.emit_token()
        (curve,) = Workspace(tmp_path).curves("going", z=True)
        assert (curve.count, curve.marks) == (1, [])


def test_checkpoints_that_a_rewind_took_back_are_not_marked(tmp_path: Path) -> None:
    def train(steps: int) -> None:
        with start("run", root=tmp_path, files=QuickFiles()) as run:
            for step in run.loop(4, checkpoint_every=1):
                run.token("x", z=step / 4)
                if step == steps:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(3)
    workspace = Workspace(tmp_path)
    workspace.rewind("run", at=1)
    (curve,) = workspace.curves("run", z=True)
    assert (curve.count, [mark.x for mark in curve.marks]) == (1, [1])
    train(4)
    (curve,) = workspace.curves("run", z=True)
    assert (curve.count, [mark.x for mark in curve.marks]) == (4, [1, 2, 3, 4])
