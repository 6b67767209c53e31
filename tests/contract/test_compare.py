"""Two runs side by side: the same one, one that was killed, others; and runs that are empty, damaged, or still going."""

import math
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast import Corrupted, SessionNotFound, Workspace
from holdfast.reading import course, shares
from holdfast.reading.shares import divergence_bits
from holdfast.sessions.opening import start
from tests.helpers.command import count, count_until_killed
from tests.helpers.quick import QuickFiles


def test_a_run_that_was_killed_is_its_twin(tmp_path: Path) -> None:
    count(tmp_path / "whole", "run")
    count_until_killed(tmp_path / "killed", "run")
    before = Workspace(tmp_path / "killed").compare("run", "run", other=Workspace(tmp_path / "whole"))
    assert (before.equal, before.a.status) == (False, "killed")
    (first,) = before.first_differences
    assert (first.index, first.n_a, first.kind_b) == (14, None, "metric")
    count(tmp_path / "killed", "run")
    found = Workspace(tmp_path / "killed").compare("run", "run", other=Workspace(tmp_path / "whole"))
    assert found.equal
    assert found.first_differences == []
    Workspace(tmp_path / "whole").seal("run")
    assert Workspace(tmp_path / "killed").compare("run", "run", other=Workspace(tmp_path / "whole")).equal
    assert (found.a.timing.attempts, found.b.timing.attempts) == (2, 1)
    assert [(pair.compared, pair.differing, pair.gap) for pair in found.metrics] == [(20, 0, 0.0)]


def test_two_seeds_differ_at_a_record_that_is_named(tmp_path: Path) -> None:
    for seed in (1, 2):
        with holdfast.KiraEngine(f"seed{seed}", seed=seed, root=tmp_path, files=QuickFiles()) as engine:
            for _ in range(5):
                engine.emit_token()
    found = Workspace(tmp_path).compare("seed1", "seed2")
    assert not found.equal
    assert [(change.name, change.a, change.b) for change in found.settings] == [("seed", 1, 2)]
    (first,) = found.first_differences
    one, other = ([*Workspace(tmp_path).records(f"seed{seed}")] for seed in (1, 2))
    assert (first.n_a, first.n_b, first.kind_a) == (one[0]["n"], other[0]["n"], "token")
    assert [(change.name, change.a, change.b) for change in first.changes] == [("token", one[0]["token"], other[0]["token"])]


def test_each_lane_has_its_own_first_difference(tmp_path: Path) -> None:
    for name, changed in (("a", 3), ("b", 4)):
        with start(name, root=tmp_path, files=QuickFiles()) as run:
            run.token("same")
            with run.lane("one"):
                run.tokens(["x", "y"], z=[0.5, changed / 10])
            with run.lane("only " + name):
                run.note("here")
            with run.lane("equal"):
                run.note("here")
    found = Workspace(tmp_path).compare("a", "b")
    assert [lane.lane for lane in found.lanes if lane.first is None] == ["", "equal"]
    one, only_a, only_b = found.first_differences
    assert [(change.name, change.a, change.b) for change in one.changes] == [("columns.z[1]", 0.3, 0.4)]
    assert (only_a.lane, only_a.n_b, only_a.kind_a, only_a.changes) == ("only a", None, "note", [])
    assert (only_b.lane, only_b.n_a, only_b.kind_b) == ("only b", None, "note")


def test_a_difference_far_behind_the_beginning_is_found_at_its_place(tmp_path: Path) -> None:
    for name, changed in (("a", 2048), ("b", 3000)):
        with start(name, root=tmp_path, files=QuickFiles(), save_mode="batch") as run:
            for index in range(3500):
                with run.lane("odd" if index % 2 else "even"):
                    run.token("x" if index == 2 * changed - 3000 else "y", meta={"at": index})
    (first,) = Workspace(tmp_path).compare("a", "b").first_differences
    assert (first.lane, first.index, first.kind_a) == ("even", 548, "token")
    assert [(change.name, change.a, change.b) for change in first.changes] == [("token", "x", "y")]


def test_metrics_are_told_with_what_is_no_number(tmp_path: Path) -> None:
    series = {"a": [3.0, math.nan, 1.0, 2.0], "b": [3.0, math.nan, 1.5, math.inf, 7.0]}
    for name, values in series.items():
        with start(name, root=tmp_path, files=QuickFiles()) as run:
            for value in values:
                run.metric(loss=value)
            only: dict[str, Any] = {f"only_{name}": 10**400}
            run.metric(**only)
    loss, only_a, only_b = Workspace(tmp_path).compare("a", "b").metrics
    assert loss.a is not None
    assert loss.b is not None
    assert (loss.a.count, loss.a.strange, loss.a.last, loss.a.mean) == (4, 1, 2.0, 2.0)
    assert (loss.b.count, loss.b.strange, loss.b.lowest, loss.b.highest) == (5, 2, 1.5, 7.0)
    assert (loss.a.lowest_n, loss.b.highest_n) == (4, 6)
    assert (loss.compared, loss.differing, loss.gap, loss.gap_index, loss.gap_n_a, loss.gap_n_b) == (4, 2, 0.5, 2, 4, 4)
    assert (only_a.name, only_a.b, only_a.compared, only_a.gap) == ("only_a", None, 0, None)
    assert only_b.b is not None
    assert math.isnan(only_b.b.mean)


def test_values_that_wait_too_long_for_their_fellows_are_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "_MOST_WAITING", 3)
    for name, before in (("a", 0), ("b", 10)):
        with start(name, root=tmp_path, files=QuickFiles()) as run:
            for index in range(before):
                run.token(str(index))
            for index in range(10):
                run.metric(loss=index)
    (pair,) = Workspace(tmp_path).compare("a", "b").metrics
    assert pair.compared == 0
    assert pair.b is not None
    assert pair.b.count == 10


def test_the_divergence_is_that_of_jensen_and_shannon() -> None:
    assert divergence_bits({"x": 3, "y": 1}, {"x": 6, "y": 2}) == 0.0
    assert divergence_bits({"x": 3}, {"y": 7}) == 1.0
    # By hand: p = (1/2, 1/2, 0), q = (0, 1/2, 1/2), middle (1/4, 1/2, 1/4): H(m) = 3/2, H(p) = H(q) = 1.
    assert divergence_bits({"x": 1, "y": 1}, {"y": 5, "z": 5}) == pytest.approx(0.5, abs=1e-15)
    assert divergence_bits({}, {"y": 1}) is None


@pytest.mark.parametrize("most", [500_000, 2])
def test_token_distributions_are_compared_by_text_part_and_phase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(shares, "_MOST_TEXTS", most)
    reactor, filtered, slot = "Φ×|Reactor|celestial_em", "e+|Filter|bio_prion", "e+|NP0|t4"
    with start("a", root=tmp_path, files=QuickFiles()) as run:
        run.token(reactor, phase="A")
        run.tokens([reactor, filtered, filtered], phase=["A", None, "B"])
    with start("b", root=tmp_path, files=QuickFiles()) as run:
        run.token(slot)
        run.token(reactor, phase="A")
        run.token(7)
        run.token(b"bytes")
    found = {entry.by: entry for entry in Workspace(tmp_path).compare("a", "b").tokens}
    assert list(found) == ["text", "spiral", "operator", "machine", "domain", "phase"]
    spirals = {mover.value: (mover.count_a, mover.count_b) for mover in found["spiral"].movers}
    assert spirals == {None: (0, 2), "Φ": (2, 1), "e": (2, 1)}
    assert found["machine"].movers[0].value is None
    assert found["machine"].movers[0].moved == 0.75
    assert {mover.value: mover.count_a for mover in found["phase"].movers} == {None: 1, "A": 2, "B": 1}
    text = found["text"]
    assert text.divergence_bits is not None
    if most == 2:
        assert {mover.value: (mover.count_a, mover.count_b) for mover in text.movers} == {
            reactor: (2, 1),
            filtered: (2, 0),
            "…": (0, 3),
        }
    else:
        assert (text.values_a, text.values_b) == (2, 4)
        assert text.movers[0].value == filtered


def test_the_time_between_attempts_counts_nowhere(tmp_path: Path) -> None:
    modules = course.Modules([(1, 1_000_000), (4, 100_000_000)])
    modules.add(2, {"name": "one", "ts": 1_500_000})
    modules.add(3, {"name": "two", "ts": 3_500_000})
    modules.add(5, {"name": "two", "ts": 101_000_000})
    modules.add(6, {"name": "two", "ts": 99_000_000})  # a clock that went backwards
    assert modules.times == {"one": (1, 500_000), "two": (3, 3_000_000)}
    timing = course.timing_of([(1, 0, 2_000_000), (9, 50_000_000, 51_000_000)], 30)
    assert (timing.attempts, timing.seconds, timing.records_per_second) == (2, 3.0, 10.0)


def test_an_empty_session_can_be_compared(tmp_path: Path) -> None:
    count(tmp_path)
    with start("empty", root=tmp_path, files=QuickFiles()) as run:
        run.checkpoint()  # bookkeeping alone
    found = Workspace(tmp_path).compare("empty", "count")
    assert (found.equal, found.a.records, found.tokens) == (False, 0, [])
    assert found.first_differences[0].index == 0
    assert Workspace(tmp_path).compare("empty", "empty").equal


def test_a_session_that_is_being_written_is_one_snapshot(tmp_path: Path) -> None:
    run = start("going", root=tmp_path, files=QuickFiles())
    run.token("x")
    told: list[int] = []
    found = Workspace(tmp_path).compare("going", "going", progress=told.append)
    assert found.equal
    assert found.a.status == "running"
    run.close()


def test_what_is_damaged_or_unknown_is_said(tmp_path: Path) -> None:
    count(tmp_path)
    count(tmp_path, "whole")
    with pytest.raises(SessionNotFound, match="nothing"):
        Workspace(tmp_path).compare("count", "nothing")
    (segment,) = (tmp_path / "sessions" / "count" / "log" / "main").glob("*.jsonl")
    data = segment.read_bytes()
    segment.write_bytes(data.replace(b'"total":3', b'"total":4', 1))
    with pytest.raises(Corrupted, match=segment.name):
        Workspace(tmp_path).compare("whole", "count")


def test_of_packages_only_versions_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one had not imported as it began, as a resumed run has what restores its arrays, is no difference."""
    of_each = {"a": {"one": "1", "both": "1", "same": "2"}, "b": {"other": "3", "both": "2", "same": "2"}}
    for name, packages in of_each.items():
        monkeypatch.setattr("holdfast.sessions.attempt.provenance", lambda packages=packages: {"packages": packages})
        with start(name, root=tmp_path, files=QuickFiles()) as run:
            run.token("x")
    found = Workspace(tmp_path).compare("a", "b")
    assert [(change.name, change.a, change.b) for change in found.provenance] == [("packages.both", "1", "2")]


def test_settings_and_origin_are_told_where_they_differ(tmp_path: Path) -> None:
    for name, config, mode in (
        ("a", {"lr": 0.1, "layers": [1, 2]}, "continuous"),
        ("b", {"layers": [1, 3], "warm": True}, "batch"),
    ):
        with start(name, root=tmp_path, files=QuickFiles(), config=config, save_mode=mode, epoch=ord(name)) as run:  # type: ignore[arg-type]  # a mode
            run.token("x")
    found = Workspace(tmp_path).compare("a", "b")
    assert found.equal
    assert [(change.name, change.a, change.b, change.absent) for change in found.settings] == [
        ("layers[1]", 2, 3, None),
        ("lr", 0.1, None, "b"),
        ("warm", None, True, "a"),
    ]
    assert [(change.name, change.a, change.b) for change in found.provenance] == [
        ("epoch", 97, 98),
        ("save_mode", "continuous", "batch"),
    ]
