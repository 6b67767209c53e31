"""Health: samples and latencies are what was measured, and what a kill would lose is said."""

import errno
from functools import partial
from pathlib import Path
from time import perf_counter_ns

import numpy as np
import pytest

import holdfast
from holdfast.recording.health import Latency, Samples, latency_of
from holdfast.recording.policy import Durability, SaveMode
from holdfast.storage.faulty import FailingFiles
from holdfast.storage.log import LogWriter
from tests.helpers.clock import SlowFiles, Timer, use
from tests.helpers.dying import kill
from tests.helpers.quick import QuickFiles


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
    assert health.ns_per_record is not None
    assert 0 < health.ns_per_record < 10_000_000
    assert health.cost_share > 0
    assert health.checkpoint_ms.count == 3
    assert health.free_bytes > 0
    assert health.full_in_seconds is not None
    assert (health.hook_failures, health.stalls) == (0, 0)


def test_health_of_a_session_that_has_recorded_nothing_is_all_nought(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        health = run.health()
    assert (health.records, health.bytes, health.ns_per_record, health.lag_records) == (0, 0, None, 0)
    assert health.full_in_seconds is None
    assert health.at_risk == "a kill: nothing; a power loss: nothing"


def test_samples_that_stand_for_many_weigh_as_much() -> None:
    few, many = Samples(), Samples()
    for ms in (30, 40):
        few.add(ms * 1_000_000)
    for ms in (1, 2, 3):
        many.add(ms * 1_000_000)
    assert latency_of((few, 2), (many, 3)) == Latency(5, 3.0, 40.0, 40.0)
    assert latency_of((few, 2), (many, 198)) == Latency(200, 2.0, 3.0, 40.0)  # 1 % is above 3 ms
    assert latency_of((few, 2), (many, 190)) == Latency(192, 2.0, 30.0, 40.0)
    assert latency_of((few, 2), (Samples(), 60)) == Latency(62, 30.0, 40.0, 40.0)
    assert latency_of() == Latency()


# What saving costs ----------------------------------------------------------------------------------------------------


@pytest.fixture
def timer(monkeypatch: pytest.MonkeyPatch) -> Timer:
    """The timer of every session of the test, which goes on by 1 µs a record."""
    timer = Timer(tick_ns=1_000)
    use(monkeypatch, timer)
    return timer


@pytest.mark.parametrize("mode", ["continuous", "batch", "checkpoint"])
def test_ns_per_record_is_what_a_token_takes(tmp_path: Path, timer: Timer, mode: SaveMode) -> None:
    with holdfast.session("run", root=tmp_path, save_mode=mode) as run:
        assert run.health().ns_per_record is None
        for number in range(10):
            run.token(f"t{number}")
        assert run.health().ns_per_record == (1_000 if mode == "continuous" else 100)  # the first of them took the long way
        for number in range(990):
            run.token(f"t{number}")
            timer.wait(1)
        assert run.health().ns_per_record == pytest.approx(1_000, rel=0.01 if mode == "continuous" else 1)


def test_ns_per_record_holds_what_flushes_and_power_durability_take(tmp_path: Path, timer: Timer) -> None:
    files = SlowFiles(timer)
    with holdfast.session("run", root=tmp_path, durability="power", files=files) as run:
        run.note("first")
        files.write, files.sync = 0.002, 0.003
        for number in range(9):
            run.note(f"{number}")
            timer.wait(60)
        assert run.health().ns_per_record == pytest.approx((10 * 2_000 + 9 * 5_000_000) / 10)


@pytest.mark.parametrize("mode", ["batch", "checkpoint"])
def test_ns_per_record_holds_the_flushes_of_batches(tmp_path: Path, timer: Timer, mode: SaveMode) -> None:
    files = SlowFiles(timer)
    with holdfast.session("run", root=tmp_path, save_mode=mode, files=files) as run:
        run.note("first")
        run.flush()
        files.write = 0.002
        for _ in range(5):
            for number in range(20):
                run.note(f"{number}")
            run.flush()
        assert run.health().ns_per_record == pytest.approx((101 * 1_000 + 5 * 2_000_000) / 101)


def test_ns_per_record_counts_a_flush_once_where_every_token_is_a_batch(tmp_path: Path, timer: Timer) -> None:
    files = SlowFiles(timer)
    with holdfast.session("run", root=tmp_path, save_mode="batch", durability="power", files=files) as run:
        run.set_interval(tokens=1)
        run.token("first")
        files.sync = 0.001
        for number in range(99):
            run.token(f"t{number}")
        assert run.health().ns_per_record == pytest.approx(1_000_000, rel=0.02)


def test_ns_per_record_holds_neither_the_beginning_nor_checkpoints(
    tmp_path: Path, timer: Timer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.sessions.attempt.provenance", lambda: timer.wait(5) or {})  # type: ignore[func-returns-value]
    with holdfast.session("run", root=tmp_path, track={"slow": Slow(timer, 2)}) as run:
        run.metric(loss=1.0)
        for _ in run.loop(4, checkpoint_every=1):
            run.metric(loss=0.5)
        run.flush("synced")
        assert run.health().ns_per_record == 1_000


def test_ns_per_record_is_of_new_records_alone_in_an_attempt_that_repeats_some(tmp_path: Path, timer: Timer) -> None:
    for attempt in (1, 2):
        run = holdfast.start("run", root=tmp_path)
        timer.tick_ns = 1_000_000
        for number in range(50):
            assert run.health().ns_per_record == (None if attempt == 2 or not number else 1_000_000)
            run.note(f"{number}")
        if attempt == 1:
            kill(run)
    timer.tick_ns = 2_000
    run.note("new")
    assert run.health().ns_per_record == 2_000
    run.close()


def test_the_tokens_of_the_short_way_are_in_the_latency_of_flushes(tmp_path: Path, timer: Timer) -> None:
    timer.tick_ns = 0
    files = SlowFiles(timer, write=0.5)
    with holdfast.session("run", root=tmp_path, files=files) as run:
        run.note("begin")
        files.write = 0.0
        assert (run.health().flush_ms.count, run.health().flush_ms.max) == (2, 500.0)
        timer.tick_ns = 2_000
        for number in range(20_000):
            run.token(f"t{number}", z=0.5)
        flushes = run.health().flush_ms
        assert flushes == Latency(20_002, 0.002, 0.002, 500.0)
        for _ in range(300):
            run.note("also")
        assert run.health().flush_ms.count == 20_302
        assert run.health().flush_ms.p50 == 0.002


@pytest.mark.parametrize("mode", ["batch", "checkpoint"])
def test_the_latency_of_flushes_is_that_of_batches_where_there_are_any(tmp_path: Path, timer: Timer, mode: SaveMode) -> None:
    files = SlowFiles(timer)
    with holdfast.session("run", root=tmp_path, save_mode=mode, files=files) as run:
        run.token("begin")
        run.flush()
        before = run.health().flush_ms.count
        for ms in range(1, 11):
            for number in range(90):
                run.token(f"t{number}")
            files.write = ms / 1_000
            run.flush()
            files.write = 0.0
        assert before == 2  # the attempt's beginning is one
        assert run.health().flush_ms == Latency(12, 4.0, 10.0, 10.0)


@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("mode", ["continuous", "batch", "checkpoint"])
def test_every_sync_of_the_log_is_in_sync_ms(
    tmp_path: Path, mode: SaveMode, durability: Durability, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.sessions.attempt.LogWriter", partial(LogWriter, max_segment_bytes=100_000))
    for attempt in (1, 2):
        files = FailingFiles(QuickFiles(), operation="sync", nth=0, error=errno.EIO, role="log/main")
        run = holdfast.start("run", root=tmp_path, save_mode=mode, durability=durability, files=files)
        for number in range(2_000):
            run.token(f"{attempt}-{number}", source="s" * 200)
            if number % 500 == 100:
                run.flush("synced")
        run.flush()
        seen = files.calls["sync"] + files.calls["sync_folder"]
        assert len([*(run.path / "log" / "main").iterdir()]) > 2 * attempt
        assert run.health().sync_ms.count == seen >= 4 + 2 * 2
        kill(run)


# The free space --------------------------------------------------------------------------------------------------------


class Weights:
    """A state of a file of about 100 KB, another one each time."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(1)

    def state_dict(self) -> dict[str, object]:
        return {"weights": self.rng.random(12_500)}

    def load_state_dict(self, state: dict[str, object]) -> None: ...


def bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_disk_is_full_after_its_free_space_at_the_pace_of_all_files(
    tmp_path: Path, timer: Timer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 300_000)
    files = SlowFiles(timer)
    monkeypatch.setattr(files, "free_bytes", lambda path: 10**9)
    with holdfast.session("run", root=tmp_path, track={"weights": Weights()}, keep_last=3, files=files) as run:
        assert (run.health().free_bytes, run.health().full_in_seconds) == (10**9, None)

        def assert_forecast(*, files_grow: int) -> None:
            health = run.health()
            beside = bytes_below(run.path / "checkpoints") + bytes_below(run.path / "files")
            assert health.file_bytes == beside == pytest.approx(files_grow, rel=0.05)
            elapsed = (timer.ns - began) / 1e9
            # The few milliseconds that opening took are in it too.
            assert health.full_in_seconds == pytest.approx(10**9 / ((health.bytes + beside) / elapsed), rel=1e-3)

        began = timer.ns
        for number in range(1_000):
            run.token(f"{number}")
        timer.wait(1_000)
        assert_forecast(files_grow=0)
        run.file(source)
        run.file(source)  # copied once
        assert_forecast(files_grow=300_000)
        for step in run.loop(10, checkpoint_every=1):
            timer.wait(1_000)
            assert_forecast(files_grow=300_000 + min(step, 3) * 100_000)


def test_a_state_that_is_stored_in_its_record_is_no_file(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        run.checkpoint()
        assert run.health().records_by_kind["checkpoint"] == 1
        assert run.health().file_bytes == 0


def test_the_pace_of_a_run_that_forked_holds_what_it_wrote_before(tmp_path: Path) -> None:
    run = holdfast.start("run", root=tmp_path)
    for text in "abc":
        run.note(text)
    kill(run)
    with holdfast.session("run", root=tmp_path, on_divergence="fork") as run:
        run.note("a")
        run.checkpoint()
        before = run.health().bytes
        assert before > 500
        run.note("x")
        assert run.name == "run~2"
        left = run._recorder.outlet.counts.bytes_taken(run._recorder.outlet.log) - run.health().bytes
        assert before < left < before + 500  # where it leads now was added


# Stalls -----------------------------------------------------------------------------------------------------------------


def told(run: holdfast.Run) -> list[str]:
    """The notices of stalls."""
    return [notice for notice in run.notices if "the disk is slow" in notice]


def test_slow_syncs_are_stalls_and_the_first_one_is_told(tmp_path: Path, timer: Timer) -> None:
    files = SlowFiles(timer)
    with holdfast.session("run", root=tmp_path, files=files) as run:
        run.note("begin")
        files.sync = 0.99
        run.flush("synced")
        assert (run.health().stalls, told(run)) == (0, [])
        files.sync = 3.0
        for number in range(4):
            run.note(f"{number}")
            run.flush("synced")
            assert run.health().stalls == number + 1
        [notice] = told(run)
        assert run.health().sync_ms.max == 3_000
    assert "a sync of" in notice
    assert "000001.jsonl took 3.0 s" in notice
    assert "Nothing accepted is lost" in notice
    assert "counted" in notice


@pytest.mark.parametrize(("mode", "durability"), [("batch", "process"), ("checkpoint", "process"), ("continuous", "power")])
def test_slow_flushes_are_stalls_and_the_first_one_is_told(
    tmp_path: Path, timer: Timer, mode: SaveMode, durability: Durability
) -> None:
    files = SlowFiles(timer)
    with holdfast.session("run", root=tmp_path, save_mode=mode, durability=durability, files=files) as run:
        run.note("begin")
        run.flush()
        files.write = 1.5
        for number in range(4):
            run.token(f"{number}")
            run.token(f"{number}")
            run.flush()
        assert run.health().stalls == (8 if mode == "continuous" else 4)
        [notice] = told(run)
        assert "a flush took 1.5 s" in notice
        files.sync = 2.0
        run.tokens(["one", "more"])
        run.note("two")
        run.flush("synced")
        assert run.health().stalls == (12 if mode == "continuous" else 6)
        assert ["a sync of" in notice for notice in told(run)] == [False, True]
        files.write = files.sync = 0.0


def test_a_stall_where_room_is_taken_for_tokens_is_seen_though_they_are_no_samples(
    tmp_path: Path, timer: Timer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.storage.host.can_map", lambda kind: True)
    files = SlowFiles(timer)
    with holdfast.session("run", root=tmp_path, files=files) as run:
        run.note("begin")
        files.write = 4.0
        for number in range(2_000):
            run.token(f"{number}", source="s" * 30)
        health = run.health()
        assert health.stalls >= 1
        assert len(told(run)) == 1
        assert health.flush_ms.max == 4_000
        assert health.flush_ms.p99 == 0.001


def test_what_waits_in_a_flush_for_a_sync_or_for_space_is_one_stall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Freed(Timer):
        waits = 0

        def wait(self, seconds: float) -> None:
            super().wait(seconds)
            self.waits += 1
            if self.waits == 4:
                failing._nth = 0

    use(monkeypatch, timer := Freed())
    files = SlowFiles(timer)
    failing = FailingFiles(files, operation="write", nth=0, error=errno.ENOSPC, repeat=True, role=".jsonl")
    with holdfast.session("run", root=tmp_path, durability="power", on_full="wait", files=failing) as run:
        run.note("begin")
        before, timer.waits = run.health().stalls, 0
        failing._nth = failing.calls["write"] + 1
        run.note("waits for space")
        assert timer.waits >= 4
        assert run.health().stalls == before + 1
    with holdfast.session("other", root=tmp_path, durability="power", files=files) as run:
        run.note("begin")
        files.sync = 2.0
        run.emission("e" * 100_000)  # its room is synced in the flush, and then the record
        assert run.health().stalls == 2
        assert run.health().flush_ms.max == 2_000
        files.sync = 0.0


def test_tokens_that_take_the_long_way_are_no_samples_of_the_short_one(tmp_path: Path, timer: Timer) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        for number in range(1_000):
            timer.tick_ns = 1_000
            run.token("short")
            timer.tick_ns = 5_000
            run.token(number)
        assert run._recorder.cost.samples.largest == 1_000
        assert run.health().ns_per_record == pytest.approx(3_000, rel=0.01)


class Slow:
    """A state that takes so many seconds of the timer to be copied."""

    def __init__(self, timer: Timer, seconds: float) -> None:
        self._timer, self._seconds = timer, seconds

    def state_dict(self) -> dict[str, object]:
        self._timer.wait(self._seconds)
        return {}

    def load_state_dict(self, state: dict[str, object]) -> None: ...


def test_cost_share_is_what_the_program_waited_for_over_its_time(
    tmp_path: Path, timer: Timer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.sessions.attempt.provenance", lambda: timer.wait(5) or {})  # type: ignore[func-returns-value]
    files, state = SlowFiles(timer), Slow(timer, 0)
    source = tmp_path / "source"
    source.write_bytes(b"content")
    with holdfast.session("run", root=tmp_path, track={"slow": state}, files=files) as run:
        began, waited = timer.ns, 0.0

        def share_is(own: float) -> None:
            nonlocal waited
            waited += own
            timer.wait(own)
            elapsed = (timer.ns - began) / 1e9
            # Opening took a few real milliseconds, which are in it too.
            assert run.health().cost_share == pytest.approx(1 - waited / elapsed, abs=0.002)

        run.note("the beginning")
        share_is(50)
        state._seconds = 7
        run.checkpoint()
        state._seconds = 0
        share_is(20)
        files.sync = 3
        run.flush("synced")
        share_is(10)
        files.write = 2
        run.file(source)
        share_is(30)
        files.write = files.sync = 0
        run.on("note", lambda record, replayed: timer.wait(40))
        run.note("another")
        waited += 40  # that is the user's time
        share_is(10)
        assert (timer.ns - began) / 1e9 - waited >= 5 + 7 + 3 + 8


def test_cost_share_holds_opening(tmp_path: Path, timer: Timer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.sessions.attempt.perf_counter_ns", lambda: perf_counter_ns() - 1_000 * 10**9)
    with holdfast.session("run", root=tmp_path) as run:  # it began 1,000 s ago
        timer.wait(3_000)
        assert run.health().cost_share == pytest.approx(0.25, abs=0.02)


def test_records_that_wait_are_unsynced_too(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path, save_mode="batch") as run:
        run.note("a")
        run.flush("synced")
        run.note("b")
        run.note("c")
        health = run.health()
        assert (health.lag_records, health.unsynced_records) == (2, 2)
