"""Ctrl-C, signal handlers and finalizers in the middle of recording: neither a gap nor half a record nor a double one."""

import gc
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest

import holdfast
from holdfast.reading.verify import verify_log
from holdfast.sessions.opening import start
from holdfast.sessions.session import Run
from holdfast.storage.host import boot_id
from holdfast.storage.powerloss import power_loss_states
from holdfast.storage.reader import LogReader
from holdfast.storage.recovery import recover
from holdfast.storage.traced import TracedFiles
from tests.helpers.dying import kill
from tests.helpers.quick import QuickFiles, quick_traced

REAL = QuickFiles()
LOG = Path("sessions", "s", "log", "main")
PACKAGE = Path(holdfast.__file__).parent
WATCHED = {str(PACKAGE / "storage" / name) for name in ("log.py", "segments.py")} | {
    threading.__file__,
    *(str(PACKAGE / "sessions" / name) for name in ("loops.py", "checkpointing.py")),
    *(str(path) for path in (PACKAGE / "recording").glob("*.py")),
}
BY_MODE = [(mode, durability) for mode in ("continuous", "batch", "checkpoint") for durability in ("process", "power")]


class Interrupter:
    """Does something at the kth place of a call in which a signal can come; `hit` tells whether there were so many.

    The interpreter looks for signals where a function begins and where a call of a built-in one ends (and where a loop goes
    back), and what a handler raises there stands in the place of that call.
    """

    def __init__(self, k: int, action: Callable[[], object]) -> None:
        self._left, self._action = k, action
        self.hit = False

    def call(self, function: Callable[[], object]) -> None:
        sys.setprofile(self._look)
        try:
            function()
        finally:
            sys.setprofile(None)

    def _look(self, frame: FrameType, event: str, argument: object) -> None:
        if event in ("call", "c_return") and not self.hit and frame.f_code.co_filename in WATCHED:
            self._left -= 1
            if self._left == 0:
                self.hit = True
                sys.setprofile(None)
                self._action()


def press() -> None:
    raise KeyboardInterrupt


class State:
    def __init__(self) -> None:
        self.text = "state"

    def state_dict(self) -> dict[str, Any]:
        return {"text": self.text}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.text = state["text"]


def opened(root: Path, mode: Any, durability: Any, files: Any = None, *, segment_bytes: int | None = None) -> Run:
    run = start("s", root=root, save_mode=mode, durability=durability, files=files or REAL, track={"state": State()})
    if mode == "batch":
        run.set_interval(tokens=5)
    if mode == "checkpoint":
        run._recorder.change_policy(msgspec.structs.replace(run._recorder.policy, buffer_records=5))
        run.token = run._recorder.token
    if segment_bytes is not None:
        run._recorder.log._max_segment_bytes = segment_bytes
    return run


def _both(first: Callable[[], object], second: Callable[[], object]) -> None:
    first()
    second()


CALLS: dict[str, Callable[[Run, str], object]] = {
    "token": lambda run, label: run.token(label, z=0.5),
    "token the long way": lambda run, label: run.token(label, info={"a": 1}),
    "large token": lambda run, label: run.token(label + " " * 20_000),
    "note": lambda run, label: run.note(label),
    "tokens": lambda run, label: run.tokens([label, "b"], z=[0.1, 0.2]),
    "step": lambda run, label: run.step(f"step {label}", lambda: label),
    "once": lambda run, label: run.once(f"once {label}", lambda: label),
    "checkpoint": lambda run, label: _both(lambda: run.note(label), run.checkpoint),
    "flush": lambda run, label: _both(lambda: run.token(label), run.flush),
    "synced": lambda run, label: _both(lambda: run.token(label), lambda: run.flush("synced")),
}
"""Each records its label, in one record."""


def label_of(fields: dict[str, Any]) -> str | None:
    """The label of a record, whichever call made it."""
    match fields["kind"]:
        case "token":
            return str(fields["token"]).strip()
        case "note":
            return str(fields["text"])
        case "tokens":
            return str(fields["tokens"][0])
        case "module":
            return str(fields["result"])
        case "once":
            return str(fields["value"])
    return None


def labels(root: Path) -> list[str]:
    """What stands in the log, whose numbers have no gap and whose every byte is in order."""
    past = recover(REAL, root / LOG, boot_id())
    assert past.torn is None
    found = [(n, msgspec.json.decode(line)) for n, line in LogReader(REAL, root / LOG, boot_id(), past).read()]
    assert [fields["n"] for _, fields in found] == list(range(1, len(found) + 1))
    assert not verify_log(REAL, root / LOG, boot_id()).problems
    kinds = [fields["kind"] for _, fields in found]
    assert kinds[0] == "opened"
    assert kinds.count("opened") == 1
    return [label for _, fields in found if (label := label_of(fields)) is not None]


def check(found: list[str], tried: list[str], acknowledged: set[str]) -> None:
    """Everything acknowledged is there once, what was interrupted at most once, in the order of the program."""
    assert len(set(found)) == len(found), "a record is doubled"
    assert acknowledged <= set(found), f"lost: {sorted(acknowledged - set(found))}"
    assert found == [label for label in tried if label in set(found)], "the order changed"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("mode", "durability"), BY_MODE)
def test_an_interrupt_anywhere_in_a_call_leaves_neither_gap_nor_half_record_nor_double(
    tmp_path: Path, mode: str, durability: str, call: str
) -> None:
    files = quick_traced(tmp_path) if durability == "power" else None
    run = opened(tmp_path, mode, durability, files, segment_bytes=6000)
    make = CALLS[call]
    run.token("first")
    tried, acknowledged = ["first"], {"first"}
    k = 0
    while True:
        k += 1
        interrupter = Interrupter(k, press)
        tried.append(f"call {k}")
        try:
            interrupter.call(lambda: make(run, tried[-1]))
        except KeyboardInterrupt:
            pass
        else:
            acknowledged.add(tried[-1])
        for number in range(1 + k % 3):
            tried.append(f"after {k} {number}")
            run.token(tried[-1])
            acknowledged.add(tried[-1])
        if not interrupter.hit:
            break
    assert k > 5
    run.flush("synced")
    synced = run.watermarks().synced
    assert synced == run.watermarks().accepted
    if files is not None:
        check_synced(files, tmp_path, synced)
    run.close()
    check(labels(tmp_path), tried, acknowledged)


def check_synced(files: TracedFiles, root: Path, synced: int) -> None:
    for number, state in enumerate(power_loss_states(files.trace, len(files.trace), limit=8, sample=8)):
        disk = root.with_name(f"{root.name}-{number}")
        disk.mkdir()
        state.write_to(disk)
        assert recover(REAL, disk / LOG, "after").last >= synced, state.describe()


@pytest.mark.parametrize(("mode", "durability"), BY_MODE)
def test_an_interrupt_anywhere_in_the_first_record_of_an_attempt(tmp_path: Path, mode: str, durability: str) -> None:
    for k in range(1, 10_000):
        root = tmp_path / str(k)
        run = opened(root, mode, durability)
        interrupter = Interrupter(k, press)
        acknowledged = {"second", "third"}
        try:
            interrupter.call(lambda: run.token("first"))  # noqa: B023  # called at once
            if mode != "continuous":
                interrupter.call(run.flush)
        except KeyboardInterrupt:
            pass
        else:
            acknowledged.add("first")
        run.token("second")
        run.note("third")
        run.close()
        check(labels(root), ["first", "second", "third"], acknowledged)
        if not interrupter.hit:
            break
    assert k > 20


@pytest.mark.parametrize("what", ["interrupts", "records"])
@pytest.mark.parametrize(("mode", "durability"), BY_MODE)
def test_the_state_of_a_loop_that_was_left_is_recorded_once(tmp_path: Path, mode: str, durability: str, what: str) -> None:
    """Wherever the first record behind it is interrupted, or a signal handler records."""
    for k in range(1, 10_000):
        root = tmp_path / str(k)
        run = opened(root, mode, durability)
        for step in run.loop(10, checkpoint_every=2):
            if step == 2:
                break
        act = press if what == "interrupts" else lambda: run.note("from the handler")  # noqa: B023  # called at once
        interrupter = Interrupter(k, act)
        try:
            interrupter.call(lambda: run.note("behind"))  # noqa: B023  # called at once
        except KeyboardInterrupt:
            pass
        run.note("second")
        kill(run) if mode == "continuous" else run.end("interrupted", "the end of the test")
        workspace = holdfast.Workspace(root)
        checkpoints = workspace.checkpoints("s")
        assert [(info.number, info.at) for info in checkpoints] == [(1, "loop:0"), (2, "loop:0")], k
        behind = [record for record in workspace.records("s") if record["kind"] == "note"]
        assert all(record["top"] and record["n"] > checkpoints[-1].position for record in behind), k
        if not interrupter.hit:
            break
    assert k > 20


@pytest.mark.parametrize(("mode", "durability"), BY_MODE)
def test_an_interrupt_anywhere_in_closing_leaves_a_session_that_goes_on(tmp_path: Path, mode: str, durability: str) -> None:
    for k in range(1, 10_000):
        root = tmp_path / str(k)
        run = opened(root, mode, durability)
        for label in ("a", "b", "c"):
            run.token(label)
        run.flush()
        run.token("d")
        interrupter = Interrupter(k, press)
        try:
            interrupter.call(run.close)
        except KeyboardInterrupt:
            pass
        if not run.is_closed:
            run.close()
        run = opened(root, mode, durability)
        for label in ("a", "b", "c", "d", "e"):
            run.token(label)
        run.close()
        assert labels(root) == ["a", "b", "c", "d", "e"]
        if not interrupter.hit:
            break
    assert k > 20


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("mode", "durability"), BY_MODE)
@pytest.mark.parametrize("then", ["returns", "interrupts"])
def test_what_a_signal_handler_records_is_kept_wherever_it_comes(
    tmp_path: Path, mode: str, durability: str, call: str, then: str
) -> None:
    run = opened(tmp_path, mode, durability, segment_bytes=6000)
    make = CALLS[call]
    run.token("first")
    tried, acknowledged, handled = ["first"], {"first"}, list[str]()
    k = 0
    while True:
        k += 1

        def handle(k: int = k) -> None:
            if not run._recorder.capturing:  # else it cannot be told from a state_dict that records, and is refused
                for record in (run.token, run.note):
                    label = f"handler {k} {record.__name__}"
                    record(label)
                    handled.append(label)
            if then == "interrupts":
                raise KeyboardInterrupt

        interrupter = Interrupter(k, handle)
        tried.append(f"call {k}")
        try:
            interrupter.call(lambda: make(run, tried[-1]))
        except KeyboardInterrupt:
            pass
        else:
            acknowledged.add(tried[-1])
        if not interrupter.hit:
            break
        tried.append(f"after {k}")
        run.token(tried[-1])
        acknowledged.add(tried[-1])
        if k % 2:
            run.flush("synced")
            assert run.watermarks().synced == run.watermarks().accepted
    run.close()
    found = labels(tmp_path)
    check([label for label in found if not label.startswith("handler")], tried, acknowledged)
    assert [label for label in found if label.startswith("handler")] == handled


@pytest.mark.parametrize(("mode", "durability"), BY_MODE)
def test_what_a_signal_handler_records_while_the_session_closes_is_there_or_told_of(
    tmp_path: Path, mode: str, durability: str
) -> None:
    outcomes: set[str] = set()
    k, was_hit = 0, True
    while was_hit:
        k += 1
        root = tmp_path / str(k)
        run = opened(root, mode, durability)
        run.token("first")
        refused: list[str] = []

        def handle(run: Run = run, refused: list[str] = refused) -> None:
            try:
                run.note("handler")
            except holdfast.SessionClosed:
                refused.append("handler")

        interrupter = Interrupter(k, handle)
        interrupter.call(run.close)
        was_hit = interrupter.hit
        found = labels(root)
        told = [notice for notice in run.notices if notice.startswith("what a signal handler recorded while")]
        assert found[:1] == ["first"]
        assert len(found[1:]) + len(refused) + len(told) == was_hit
        outcomes |= {"there"} if found[1:] else {"refused"} if refused else {"told"} if told else set()
        assert holdfast.Workspace(root).session("s").status == "finished"
        assert verify_log(REAL, root / LOG, boot_id()).problems == ()
    assert outcomes == {"there", "refused", "told"}


@pytest.mark.parametrize(("mode", "durability"), BY_MODE)
def test_a_handler_that_records_and_interrupts_before_the_end_loses_nothing(tmp_path: Path, mode: Any, durability: Any) -> None:
    """The usual handler of Ctrl-C: a remark, then KeyboardInterrupt, and the session ends."""
    for k in range(1, 200, 7):
        root = tmp_path / str(k)
        handled: list[str] = []

        def handle(handled: list[str] = handled) -> None:
            current.note("stopping")  # noqa: B023  # called within this round
            handled.append("stopping")
            raise KeyboardInterrupt

        interrupter = Interrupter(k, handle)
        with pytest.raises(KeyboardInterrupt), holdfast.session("s", root=root, save_mode=mode, durability=durability) as run:
            current = run
            run.token("first")
            for number in range(50):
                interrupter.call(lambda: run.token(f"token {number}"))  # noqa: B023  # called at once
            raise KeyboardInterrupt
        assert [label for label in labels(root) if not label.startswith("token")] == ["first", *handled]


@contextmanager
def handling(number: signal.Signals, handler: Callable[..., object]) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals go to the main thread")
@pytest.mark.parametrize("mode", ["continuous", "batch", "checkpoint"])
def test_a_real_signal_handler_records_among_the_programs_records(tmp_path: Path, mode: str) -> None:
    run = opened(tmp_path, mode, "process")
    handled: list[str] = []

    def handler(*_: object) -> None:
        label = f"handler {len(handled)}"
        run.note(label)
        handled.append(label)

    with handling(signal.SIGVTALRM, handler):
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0002, 0.0002)
        try:
            number = 0
            while len(handled) < 200:
                run.token(f"token {number}")
                number += 1
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    run.close()
    found = labels(tmp_path)
    assert [label for label in found if label.startswith("token")] == [f"token {each}" for each in range(number)]
    assert [label for label in found if label.startswith("handler")] == handled


@pytest.mark.parametrize(("mode", "durability"), BY_MODE)
def test_finalizers_and_collector_callbacks_may_record(tmp_path: Path, mode: str, durability: str) -> None:
    run = opened(tmp_path, mode, durability, segment_bytes=20_000)
    run.token("first")
    collected: list[str] = []
    dead: list[str] = []
    is_inside = False

    def at_collection(phase: str, info: dict[str, int]) -> None:
        nonlocal is_inside
        if phase == "start" and not is_inside and len(collected) < 60:
            is_inside = True
            label = f"collector {len(collected)}"
            run.note(label)
            collected.append(label)
            is_inside = False

    class Cycle:
        def __init__(self, label: str) -> None:
            self.label, self.itself = label, self

        def __del__(self) -> None:
            run.token(self.label)
            dead.append(self.label)

    threshold = gc.get_threshold()
    gc.collect()
    gc.callbacks.append(at_collection)
    gc.set_threshold(3, 2, 2)
    try:
        for number in range(120):
            Cycle(f"cycle {number}")
            run.token(f"token {number}", meta={"list": [number, {"a": number}]})
            run.note(f"note {number}")
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(at_collection)
        gc.collect()
    run.close()
    found = labels(tmp_path)
    for kind, expected in [
        ("token", [f"token {number}" for number in range(120)]),
        ("note", [f"note {number}" for number in range(120)]),
        ("collector", collected),
        ("cycle", dead),
    ]:
        assert [label for label in found if label.startswith(kind)] == expected
    assert len(collected) > 20
    assert len(dead) == 120
