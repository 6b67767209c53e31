"""Programs of odd shapes go on exactly too: several loops, breaks, retried steps, threads, forks, many attempts."""

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import Interrupted, SessionClosed, UsageError, Workspace
from holdfast.storage.faulty import KillingFiles
from holdfast.storage.files import RealFiles
from tests.helpers.programs import (
    Tick,
    assert_goes_on_equal,
    canonical,
    die,
    digest,
    everything,
    in_child,
    kill,
    result_of,
    superseded,
)


class Counter:
    """A number; `weight` makes the state too large to stand in a record."""

    def __init__(self, weight: int = 0) -> None:
        self.value = 0
        self.weights = np.zeros(weight)

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value, "weights": self.weights + self.value} if len(self.weights) else {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = state["value"]


# Loops ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kills", [[6, 7], [6, 3, 3], [6, 1], [7, 7], [12]])
def test_code_behind_a_loop_sees_its_end_after_any_kills(tmp_path: Path, kills: list[int]) -> None:
    """The first kill may come between the last checkpoint of the loop and the next one anywhere."""

    def program(root: Path, tick: Tick) -> int:
        counter = Counter()
        with holdfast.session("run", root=root, track={"counter": counter}) as run:
            for _ in run.loop(5):
                tick()
                counter.value += 1
            tick()
            run.metric(value=counter.value)
            for _ in run.loop(5, checkpoint_every=2):
                tick()
                counter.value += 10
            run.metric(end=counter.value)
            tick()
        return counter.value

    assert_goes_on_equal(program, tmp_path, kills)


@pytest.mark.parametrize("leave", ["break", "return", "caught"])
@pytest.mark.parametrize("kills", [[4], [8], [9], [10, 1], [12, 1], [9, 2]])
@pytest.mark.parametrize("mode", ["continuous", "batch"])
def test_a_loop_that_is_left_early_is_left_with_its_state(tmp_path: Path, leave: str, kills: list[int], mode: Any) -> None:
    def search(run: holdfast.Run, counter: Counter, tick: Tick) -> None:
        try:
            for step in run.loop(100, checkpoint_every=3):
                tick()
                counter.value += 1
                run.metric(step=step)
                if counter.value == 8:
                    if leave == "return":
                        return
                    if leave == "caught":
                        raise KeyError
                    break
        except KeyError:
            pass

    def program(root: Path, tick: Tick) -> int:
        counter = Counter()
        with holdfast.session("run", root=root, track={"counter": counter}, save_mode=mode) as run:
            search(run, counter, tick)
            counter.value += 1000
            run.metric(best=counter.value)
            for _ in run.loop(4, checkpoint_every=1):
                tick()
                counter.value *= 2
            run.note("end")
            tick()
        return counter.value

    assert_goes_on_equal(program, tmp_path, kills)


def test_an_exception_that_ends_the_run_in_a_loop_does_not_leave_it(tmp_path: Path) -> None:
    def program(root: Path, fails: bool) -> int:
        counter = Counter()
        with holdfast.session("run", root=root, track={"counter": counter}) as run:
            for step in run.loop(8, checkpoint_every=3):
                if fails and step == 5:
                    raise RuntimeError
                counter.value += 1
                run.metric(value=counter.value)
        return counter.value

    assert in_child(lambda: program(tmp_path / "killed", True)).status == 1
    assert result_of(lambda: program(tmp_path / "killed", False)) == result_of(lambda: program(tmp_path / "whole", False)) == 8
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")


def test_state_that_cannot_be_copied_where_a_loop_is_left_is_told(tmp_path: Path) -> None:
    counter = Counter()
    with holdfast.session("run", root=tmp_path, track={"counter": counter}) as run:
        for _ in run.loop(5):
            counter.value = object()  # type: ignore[assignment]
            break
        counter.value = 1
        run.note("after")
        [notice] = run.notices
    assert "the state at the end of loop:0 could not be kept (InvalidValue: track['counter']['value']" in notice
    assert Workspace(tmp_path).session("run").status == "finished"


@pytest.mark.parametrize("length", [True, 2.5, "3", -1])
def test_the_length_of_a_loop_is_a_whole_number(tmp_path: Path, length: Any) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        with pytest.raises(UsageError, match="the number of steps is a whole number from 0 on, or None"):
            run.loop(length)
        assert list(run.loop(np.int64(3), checkpoint_every=np.int32(2))) == [0, 1, 2]  # type: ignore[arg-type]
    assert result_of(lambda: holdfast.start("run", root=tmp_path).finished)


# Steps ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kills", [[2], [4], [5], [6, 2]])
def test_a_step_that_is_tried_again_keeps_its_key(tmp_path: Path, kills: list[int]) -> None:
    def program(root: Path, tick: Tick) -> list[int]:
        calls = [0]

        def flaky(run: holdfast.Run) -> int:
            tick()
            calls[0] += 1
            inner = int(run.step("inner", lambda: 5))
            if calls[0] < 3:
                raise ConnectionError
            return inner + 1

        results = []
        with holdfast.session("run", root=root) as run:
            for name in ("one", "two"):
                calls[0] = 0
                while True:
                    try:
                        results.append(run.step(name, flaky, run))
                    except ConnectionError:
                        continue
                    break
                tick()
        keys = [fields["key"] for fields in Workspace(root).records("run") if fields["name"] != "inner"]
        assert keys == ["one#0", "two#0"]
        return results

    assert_goes_on_equal(program, tmp_path, kills)


@pytest.mark.parametrize("weight", [0, 10_000])
@pytest.mark.parametrize("kills", [[5], [7, 2]])
def test_steps_whose_states_were_let_go_are_passed_with_what_they_recorded(
    tmp_path: Path, weight: int, kills: list[int]
) -> None:
    def program(root: Path, tick: Tick) -> int:
        counter, ran = Counter(weight), list[int]()

        def work(index: int) -> int:
            ran.append(index)
            counter.value += 1
            return counter.value

        with holdfast.session("run", root=root, track={"counter": counter}, keep_last=2) as run:
            for index in range(8):
                tick()
                run.step(f"part {index}", work, index)
                run.metric(value=counter.value)
        assert len(set(ran)) == len(ran)
        return counter.value

    assert_goes_on_equal(program, tmp_path, kills)


def test_max_seconds_stops_a_program_of_steps_too(tmp_path: Path) -> None:
    with pytest.raises(Interrupted) as stop, holdfast.session("run", root=tmp_path, max_seconds=1e-9) as run:
        for index in range(3):
            run.step(f"part {index}", lambda: None)
    assert stop.value.code == 75
    assert [fields["name"] for fields in canonical(tmp_path)] == ["part 0"]


def test_a_signal_while_a_steps_checkpoint_is_taken_does_not_lose_the_step(tmp_path: Path) -> None:
    class Signalled(Counter):
        def state_dict(self) -> dict[str, Any]:
            if self.value:
                signal.raise_signal(signal.SIGTERM)
            return super().state_dict()

    def program() -> None:
        counter = Signalled()

        def work() -> None:
            counter.value = 1

        with holdfast.session("run", root=tmp_path, track={"counter": counter}) as run:
            run.step("one", work)

    assert in_child(program).status == 75
    assert [fields["name"] for fields in canonical(tmp_path)] == ["one"]


# Attempts -----------------------------------------------------------------------------------------------------------------


def test_the_last_metrics_stay_what_they_are_over_many_attempts(tmp_path: Path) -> None:
    for attempt in range(4):
        run = holdfast.start("run", root=tmp_path)
        for step in run.loop(10, checkpoint_every=1):
            if step == 0:
                run.metric(loss=float("nan"), huge=2**70)
            if step == attempt + 1:
                break
            run.metric(step=step)
        run.__exit__(KeyError, KeyError(), None)
    found = [fields["metrics"] for fields in everything(tmp_path) if fields["kind"] == "checkpoint"]
    assert len(found) > 3
    nan, huge = {"$t": "float", "v": "nan"}, {"$t": "int", "v": hex(2**70)}
    assert all((metrics["loss"], metrics["huge"]) == (nan, huge) for metrics in found)


@pytest.mark.parametrize("mode", ["continuous", "batch", "checkpoint"])
def test_looking_at_a_session_changes_nothing_in_it(tmp_path: Path, mode: Any) -> None:
    def program() -> None:
        with holdfast.session("run", root=tmp_path, save_mode=mode) as run:
            run.note("begin")
            if run.finished:
                return
            for step in run.loop(3):
                run.metric(step=step)
            run.note("end")

    result_of(program)
    before = digest(tmp_path), everything(tmp_path)
    result_of(program)
    result_of(lambda: holdfast.start("run", root=tmp_path).close())
    assert (digest(tmp_path), everything(tmp_path)) == before


def test_looking_at_a_session_that_was_killed_changes_nothing_in_it(tmp_path: Path) -> None:
    def program() -> None:
        run = holdfast.start("run", root=tmp_path)
        run.note("a")
        die()

    kill(program)
    result_of(lambda: holdfast.start("run", root=tmp_path).close())
    assert [fields["text"] for fields in canonical(tmp_path)] == ["a"]
    assert Workspace(tmp_path).session("run").status == "killed"


def test_settings_that_may_change_count_from_then_on_even_where_nothing_new_was_recorded(tmp_path: Path) -> None:
    for config, allowed in (({"a": 1}, ()), ({"a": 2}, ("a",)), ({"a": 2}, ())):
        with holdfast.session("run", root=tmp_path, config=config, allow_change=allowed) as run:
            run.note("x")
    assert Workspace(tmp_path).session("run").config == {"a": 2}


@pytest.mark.parametrize("mode", ["continuous", "batch", "checkpoint"])
@pytest.mark.parametrize(("end", "status"), [("", "interrupted"), ("raise ValueError('the end')", "failed")])
def test_a_program_that_ends_without_closing_loses_nothing(tmp_path: Path, mode: str, end: str, status: str) -> None:
    import subprocess
    import sys

    lines = (
        "import holdfast",
        f"run = holdfast.start('run', root={str(tmp_path)!r}, save_mode={mode!r})",
        "for _ in range(5): run.note('x')",
        end,
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, check=False)
    assert len(canonical(tmp_path)) == 5
    found = Workspace(tmp_path).session("run")
    assert (found.status, found.reason) == (status, "ValueError: the end" if end else "the program ended without closing it")


# Threads ------------------------------------------------------------------------------------------------------------------


def in_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@pytest.mark.parametrize("kills", [[3], [6, 3]])
@pytest.mark.parametrize("kind", ["thread", "pool", "named"])
def test_threads_that_are_made_anew_in_each_step_go_on_equal(tmp_path: Path, kind: str, kills: list[int]) -> None:
    def program(root: Path, tick: Tick) -> None:
        with holdfast.session("run", root=root) as run:
            for step in run.loop(8, checkpoint_every=2):
                tick()
                for part in range(2):

                    def work(text: str = f"{step} {part}") -> None:
                        run.note(text)

                    if kind == "thread":
                        in_thread(work)
                    elif kind == "pool":
                        with ThreadPoolExecutor(1) as pool:
                            pool.submit(work).result()
                    else:
                        thread = threading.Thread(target=work, name=f"part \udc00{part}")
                        thread.start()
                        thread.join()

    assert_goes_on_equal(program, tmp_path, kills)
    lanes = {fields["lane"] for fields in Workspace(tmp_path / "whole").records("run")}
    assert lanes == ({"part \ufffd0", "part \ufffd1"} if kind == "named" else {"thread 0", "thread 1"})


@pytest.mark.parametrize("kills", [[3], [6, 3], [9]])
def test_a_worker_that_serves_inside_and_outside_of_a_loop_goes_on_equal(tmp_path: Path, kills: list[int]) -> None:
    def program(root: Path, tick: Tick) -> None:
        with holdfast.session("run", root=root) as run, ThreadPoolExecutor(1, thread_name_prefix="io") as pool:
            pool.submit(run.note, "before").result()
            for step in run.loop(8, checkpoint_every=2):
                tick()
                pool.submit(run.note, f"{step}").result()
            pool.submit(run.note, "after").result()
            tick()

    assert_goes_on_equal(program, tmp_path, kills)


def test_a_file_that_threads_record_at_once_is_there_in_full(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3 << 20))
    with holdfast.session("run", root=tmp_path / "work") as run, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run.file, [source] * 8))
        kept = run.path / "files" / found[0]
        assert kept.read_bytes() == source.read_bytes()
        kept.write_bytes(b"cut")
        run.file(source)
        assert kept.read_bytes() == source.read_bytes()
        assert list(kept.parent.iterdir()) == [kept]


def test_a_file_that_changes_while_it_is_copied_is_not_recorded(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"before")

    class Changing(RealFiles):
        def mkdir(self, path: Path) -> None:
            super().mkdir(path)
            if path.name == "files":
                source.write_bytes(b"behind")

    with holdfast.session("run", root=tmp_path / "work", files=Changing()) as run:
        run.note("x")
        with pytest.raises(holdfast.ReadFailed, match="it changed while it was copied"):
            run.file(source)
        assert list((run.path / "files").iterdir()) == []
        run.file(source)
    assert [fields["kind"] for fields in canonical(tmp_path / "work")] == ["note", "file"]


# Signals and children --------------------------------------------------------------------------------------------------------


def test_a_signal_to_nested_sessions_waits_for_a_boundary_of_the_innermost(tmp_path: Path) -> None:
    def program() -> None:
        with holdfast.session("outer", root=tmp_path) as outer:
            outer.note("x")
            with holdfast.session("inner", root=tmp_path) as inner:
                for step in inner.loop(5):
                    inner.metric(step=step)
                    if step == 1:
                        signal.raise_signal(signal.SIGTERM)
                    inner.metric(after=step)

    assert in_child(program).status == 75
    assert [fields["values"] for fields in canonical(tmp_path, "inner")][-1] == {"after": 1}
    assert [info.step for info in Workspace(tmp_path).checkpoints("inner")] == [2]
    assert [Workspace(tmp_path).session(name).status for name in ("outer", "inner")] == ["interrupted"] * 2


def test_a_forked_child_does_with_signals_what_was_done_before(tmp_path: Path) -> None:
    def program() -> int:
        with holdfast.session("run", root=tmp_path) as run:
            for _ in run.loop(1):
                run.note("x")
                reading, writing = os.pipe()
                pid = os.fork()
                if pid == 0:
                    os.write(writing, b"ready")
                    signal.pause()
                    os._exit(0)
                os.read(reading, 5)
                os.kill(pid, signal.SIGTERM)
                return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return 0

    assert result_of(program) == -signal.SIGTERM


def test_a_child_that_is_forked_in_a_step_leaves_its_checkpoint_to_the_parent(tmp_path: Path) -> None:
    def program() -> int:
        counter = Counter(10_000)
        with holdfast.session("run", root=tmp_path, track={"counter": counter}) as run:
            run.step("fork", fork)
        return 0

    def fork() -> None:
        if (pid := os.fork()) == 0:
            with pytest.raises(SessionClosed):
                raise_in_child()
            return  # into the step, as a child that goes on by mistake does
        child.append(pid)

    def raise_in_child() -> None:
        raise SessionClosed

    child: list[int] = []

    def whole() -> None:
        try:
            program()
        except SessionClosed:
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child[0], 0)[1]) == 7

    result_of(whole)
    assert Workspace(tmp_path).verify("run").problems == ()
    assert [info.number for info in Workspace(tmp_path).checkpoints("run")] == [1]


@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_programs_own_handler_may_close_the_session_between_records(tmp_path: Path, durability: Any) -> None:
    def program() -> None:
        signal.signal(signal.SIGTERM, lambda number, frame: run.close())
        run = holdfast.start("run", root=tmp_path, durability=durability)
        run.note("x")
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(SessionClosed):
            run.note("y")

    result_of(program)
    assert Workspace(tmp_path).session("run").status == "finished"


# Forks by a divergence -----------------------------------------------------------------------------------------------------


def diverging(root: Path, twist: int, files: Any = None) -> None:
    """A run whose fifth record depends on `twist`."""
    counter = Counter(10_000)
    with holdfast.session("run", root=root, track={"counter": counter}, on_divergence="fork", files=files) as run:
        for step in run.loop(8, checkpoint_every=3):
            counter.value += 1
            run.metric(value=step + twist if step == 4 else step)


@pytest.mark.parametrize("operation", ["rename", "sync", "link", "store", "sync_folder", "write", "mkdir"])
def test_a_fork_that_is_killed_anywhere_is_one_whole_fork_or_none(tmp_path: Path, operation: str) -> None:
    def first(root: Path) -> None:
        counter = Counter(10_000)
        run = holdfast.start("run", root=root, track={"counter": counter})
        for step in run.loop(8, checkpoint_every=3):
            counter.value += 1
            run.metric(value=step)
            if step == 5:
                die()

    kill(lambda: first(tmp_path / "whole"))
    result_of(lambda: diverging(tmp_path / "whole", 100))
    expected = digest(tmp_path / "whole", "run~2")
    nth, is_over = 0, False
    while not is_over:
        nth += 1
        root = tmp_path / f"{operation} {nth}"
        kill(lambda: first(root))  # noqa: B023  # called at once
        files = KillingFiles(RealFiles(), operation=operation, nth=nth)
        is_over = in_child(lambda: diverging(root, 100, files)).status == 0  # noqa: B023
        result_of(lambda: diverging(root, 100))  # noqa: B023
        sessions = {info.name: info.status for info in Workspace(root).sessions()}
        assert sessions == {"run": "forked", "run~2": "finished"}, nth
        assert sorted(path.name for path in (root / "sessions").iterdir()) == ["run", "run~2"], nth
        assert digest(root, "run~2") == expected, nth
        assert all(Workspace(root).verify(name).problems == () for name in sessions), nth
        assert len(superseded(root, "run~2")) == 1, nth
    assert nth > 1


def test_a_fork_in_a_step_does_not_use_a_checkpoints_number_twice(tmp_path: Path) -> None:
    def program(values: list[int], stops: bool) -> None:
        counter = Counter(10_000)
        with holdfast.session("run", root=tmp_path, track={"counter": counter}, on_divergence="fork") as run:
            run.step("one", lambda: values[0])
            run.step("two", lambda: values[1])
            if stops:
                die()

    def begin() -> None:
        run = holdfast.start("run", root=tmp_path)
        run.note("something else")
        die()

    kill(begin)
    result_of(lambda: program([1, 2], False))
    assert [info.number for info in Workspace(tmp_path).checkpoints("run~2")] == [1, 2]
    assert Workspace(tmp_path).verify("run~2").problems == ()


def test_a_session_whose_log_is_shorter_than_when_it_was_closed_is_not_begun_anew(tmp_path: Path) -> None:
    def program() -> None:
        counter = Counter(10_000)
        with holdfast.session("run", root=tmp_path, track={"counter": counter}) as run:
            for step in run.loop(3):
                run.metric(step=step)

    result_of(program)
    session = tmp_path / "sessions" / "run"
    segment = session / "log" / "main" / "000001.jsonl"
    kept = segment.read_bytes()
    segment.unlink()
    before = sorted(path for path in session.rglob("*") if path.is_file())
    with pytest.raises(holdfast.Corrupted, match="the log ends here with record 0, and it was closed with record 6"):
        program()
    assert sorted(path for path in session.rglob("*") if path.is_file()) == before
    segment.write_bytes(kept)
    result_of(program)


def test_a_flipped_byte_in_what_has_to_be_repeated_is_found_at_opening(tmp_path: Path) -> None:
    def program() -> None:
        run = holdfast.start("run", root=tmp_path)
        for index in range(5):
            run.note(f"note {index}")
        die()

    def goes_on() -> None:
        run = holdfast.start("run", root=tmp_path)
        for index in range(6):
            run.note(f"note {index}")
        die()

    kill(program)
    kill(goes_on)
    segment = tmp_path / "sessions" / "run" / "log" / "main" / "000001.jsonl"
    data = bytearray(segment.read_bytes())
    data[data.index(b"note 2") + 5] ^= 1
    segment.write_bytes(data)
    before = everything(tmp_path)
    with pytest.raises(holdfast.Corrupted, match=r"000001\.jsonl, byte \d+: the bytes from here to \d+ do not match"):
        holdfast.start("run", root=tmp_path)
    assert everything(tmp_path) == before


def test_a_full_disk_at_a_checkpoints_record_leaves_no_files_of_it(tmp_path: Path) -> None:
    import errno

    from holdfast.storage.faulty import FailingFiles

    class Full(FailingFiles):
        is_full = False

        def _failure(self, operation: str) -> int:
            return errno.ENOSPC if self.is_full and operation == "write" else 0

    files = Full(RealFiles(), operation="write", nth=0, error=errno.ENOSPC, role="/log")
    counter = Counter(10_000)
    with holdfast.session("run", root=tmp_path, track={"counter": counter}, durability="power", files=files) as run:
        run.note("x")
        files.is_full = True
        with pytest.raises(holdfast.DiskFull):
            run.checkpoint()
        files.is_full = False
        run.checkpoint()
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["000002-1"]
