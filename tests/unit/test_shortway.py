"""recording/shortway.py: tokens that take no lock, beside threads that do."""

import dis
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType

import pytest

import holdfast
from holdfast.errors import SessionClosed
from holdfast.recording.policy import SaveMode
from holdfast.recording.recorder import Recorder
from holdfast.recording.shortway import direct_way
from holdfast.recording.turn import Turn


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Threads take turns every few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """A function's code, and that of the functions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_in(constant)


@pytest.mark.parametrize("function", [direct_way, Turn.alone, Recorder.record])
def test_no_other_thread_comes_between_the_look_at_busy_and_taking_it(function: Callable[..., object]) -> None:
    """The interpreter turns to another thread, or to a signal, at calls and at jumps backwards."""
    taken = 0
    for code in codes_in(function.__code__):
        steps = list(dis.get_instructions(code))
        looks = {i + 1 for i, step in enumerate(steps) if step.opname == "LOAD_ATTR" and step.argval == "busy"}
        for store, step in enumerate(steps):
            if step.opname != "STORE_ATTR" or step.argval != "busy" or steps[store - 2].argval != "me":
                continue
            taken += 1
            assert steps[store - 2].opname == "LOAD_FAST"  # me; then comes self or turn
            after_look = store - 2
            jumps = {i for i, jump in enumerate(steps) if "JUMP" in jump.opname and jump.argval == steps[after_look].offset}
            if "JUMP" in steps[after_look - 1].opname:
                jumps.add(after_look - 1)
            assert jumps
            assert jumps <= looks
            assert all("BACKWARD" not in steps[i].opname or i == after_look - 1 for i in jumps)
    assert taken == 1


@pytest.mark.parametrize(("mode", "is_open"), [("continuous", False), ("batch", True)])
def test_without_the_interpreters_lock_nothing_goes_to_the_log_without_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: SaveMode, is_open: bool
) -> None:
    monkeypatch.setattr("holdfast.recording.recorder._HAS_GIL", False)
    with holdfast.session("run", root=tmp_path, save_mode=mode) as run:
        run.note("x")
        run.flush()
        run.token("y")
        assert bool(run._recorder.turn.gate) is is_open


@pytest.mark.usefixtures("quick_switches")
@pytest.mark.parametrize("mode", ["continuous", "batch", "checkpoint"])
def test_tokens_and_what_other_threads_record_stand_once_each_and_in_their_orders(tmp_path: Path, mode: SaveMode) -> None:
    count, others = 6_000, 4
    with holdfast.session("run", root=tmp_path, save_mode=mode) as run:

        def work(number: int) -> None:
            with run.lane(f"lane-{number}"):
                for index in range(300):
                    run.note(f"{index}")
                    if index % 50 == 0:
                        run.flush("synced" if index % 100 else "flushed")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(others)]
        for thread in threads:
            thread.start()
        for _ in run.loop(1):
            for index in range(count):
                run.token(f"{index}", z=0.5, meta={"index": index})
        for thread in threads:
            thread.join()
    workspace = holdfast.Workspace(tmp_path)
    assert workspace.verify("run").problems == ()
    found: dict[str, list[str]] = {}
    for record in workspace.records("run"):
        found.setdefault(record.get("lane", ""), []).append(record.get("token") or record["text"])
    assert found.pop("") == [f"{index}" for index in range(count)]
    assert found == {f"lane-{number}": [f"{index}" for index in range(300)] for number in range(others)}


@pytest.mark.usefixtures("quick_switches")
def test_a_token_that_meets_the_end_of_the_session_is_refused_or_there(tmp_path: Path) -> None:
    for attempt in range(20):
        run = holdfast.start(f"run-{attempt}", root=tmp_path)
        accepted = 0
        closer = threading.Thread(target=run.close)
        for _ in run.loop(1):
            run.token("first")
            closer.start()
            with pytest.raises(SessionClosed):
                while True:
                    run.token("more")
                    accepted += 1
            closer.join()
            break
        workspace = holdfast.Workspace(tmp_path)
        assert workspace.verify(run.name).problems == ()
        assert sum(record["kind"] == "token" for record in workspace.records(run.name)) == 1 + accepted
        assert len(list((run.path / "log" / "main").iterdir())) == 1


@pytest.mark.parametrize("mode", ["continuous", "batch", "checkpoint"])
def test_half_characters_in_any_text_of_a_token_are_kept_exactly(tmp_path: Path, mode: SaveMode) -> None:
    with holdfast.session("run", root=tmp_path, save_mode=mode) as run:
        for _ in run.loop(1):
            for text in ("plain", "\udc00", "plain"):
                run.token(text, phase="a", meta={"key": "x"})
            run.token("plain", phase="a", source="\udc00")
            run.token("plain", phase="a", meta={"key": "\udc00"})
            run.token("last", phase="a", meta={"key": "x"})
    found = [record for record in holdfast.Workspace(tmp_path).records("run") if record["kind"] == "token"]
    assert [record["token"] for record in found] == ["plain", "\ufffd", "plain", "plain", "plain", "last"]
    assert [record.get("raw") for record in found] == [None, "7bCA", None, None, None, None]
    assert found[3]["source"] == "\ufffd"
    assert found[4]["meta"] == {"key": {"$t": "str", "v": "7bCA"}}
