"""Health: samples and latencies are what was measured, and what a kill would lose is said."""

from pathlib import Path

import pytest

import holdfast
from holdfast.recording.health import Latency, Samples
from holdfast.recording.policy import SaveMode


def test_no_samples_are_a_latency_of_nothing() -> None:
    assert Samples().latency() == Latency()
    assert Samples().mean == 0.0


def test_a_latency_is_median_99th_percentile_and_maximum_in_milliseconds() -> None:
    samples = Samples()
    for ns in range(100, 0, -1):
        samples.add(ns * 1_000_000)
    assert samples.latency() == Latency(100, 50.0, 99.0, 100.0)
    assert samples.mean == 50_500_000


@pytest.mark.parametrize(
    ("times", "p50", "p99"),
    [([7], 7, 7), ([1, 9], 1, 9), ([1, 2, 9], 2, 9), ([*range(1, 101)], 50, 99), ([*range(1, 202)], 101, 199)],
)
def test_a_percentile_is_the_nearest_rank(times: list[int], p50: int, p99: int) -> None:
    samples = Samples()
    for ms in reversed(times):
        samples.add(ms * 1_000_000)
    assert (samples.latency().p50, samples.latency().p99) == (p50, p99)


def test_the_maximum_and_the_count_outlive_the_samples_that_are_kept() -> None:
    samples = Samples()
    samples.add(10**9)
    for _ in range(5000):
        samples.add(1_000_000)
    assert samples.latency() == Latency(5001, 1.0, 1.0, 1000.0)
    assert samples.mean == pytest.approx((10**9 + 5000 * 10**6) / 5001)


@pytest.mark.parametrize(("mode", "waiting"), [("continuous", 0), ("batch", 5), ("checkpoint", 5)])
def test_what_a_kill_would_lose_now_is_said(tmp_path: Path, mode: SaveMode, waiting: int) -> None:
    with holdfast.session("run", root=tmp_path, save_mode=mode) as run:
        run.flush()
        for number in range(5):
            run.token(f"t{number}")
        health = run.health()
        assert health.lag_records == waiting
        assert health.at_risk.startswith(f"a kill: {waiting} records" if waiting else "a kill: nothing")
        assert "a power loss: up to" in health.at_risk
        run.flush("synced")
        after = run.health()
        assert (after.lag_records, after.unsynced_records) == (0, 0)
        assert after.at_risk == "a kill: nothing; a power loss: nothing"
        assert after.sync_ms.count >= 1


def test_records_and_bytes_are_counted_by_kind(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        for number in range(1000):
            run.token(f"t{number}", z=0.5)
        for step in run.loop(3, checkpoint_every=1):
            run.metric(step=step)
        health = run.health()
    assert health.records_by_kind["token"] == 1000
    assert health.records_by_kind["metric"] == 3
    assert health.records_by_kind["checkpoint"] == 3
    assert health.records == sum(health.records_by_kind.values())
    assert health.bytes == sum(health.bytes_by_kind.values())
    assert 60_000 < health.bytes_by_kind["token"] < 120_000
    assert 0 < health.ns_per_record < 10_000_000
    assert health.cost_share > 0
    assert health.checkpoint_ms.count == 3
    assert health.free_bytes > 0
    assert health.full_in_seconds is not None
    assert (health.hook_failures, health.stalls) == (0, 0)


def test_health_of_a_session_that_has_recorded_nothing_is_all_nought(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        health = run.health()
    assert (health.records, health.bytes, health.ns_per_record, health.lag_records) == (0, 0, 0.0, 0)
    assert health.full_in_seconds is None
    assert health.at_risk == "a kill: nothing; a power loss: nothing"
