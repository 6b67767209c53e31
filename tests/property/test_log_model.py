"""A log, and a session, driven by Hypothesis against a plain list."""

import itertools
import os
import random
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from holdfast.errors import Corrupted, HoldfastError
from holdfast.reading.verify import verify_log
from holdfast.reading.view import canonical_records
from holdfast.records import Checkpoint, Closed, Note, Record, Token
from holdfast.sessions.care import fork_session
from holdfast.sessions.folder import SessionFolder
from holdfast.sessions.fork import cut, share_past
from holdfast.sessions.opening import start
from holdfast.sessions.session import Run
from holdfast.storage.host import boot_id
from holdfast.storage.lines import read_closes, read_header
from holdfast.storage.log import LogWriter
from holdfast.storage.reader import LogReader
from holdfast.storage.recovery import Past, recover
from tests.helpers.dying import kill
from tests.helpers.quick import QuickFiles

FILES = QuickFiles()
BOOT = "boot"
KINDS = [("process", True), ("process", False), ("power", False)]
MORE = 25 if os.environ.get("HOLDFAST_FULL") else 1
quick = settings(phases=[Phase.generate], deadline=None, suppress_health_check=list(HealthCheck))
texts = st.builds(lambda text, size: text + "x" * size, st.text(max_size=6), st.sampled_from([0, 10, 200, 900, 9000]))


def open_log(folder: SessionFolder, past: Past, durability: str, use_map: bool, attempt: int) -> LogWriter:
    return LogWriter(
        FILES,
        folder.log,
        past,
        session=folder.name,
        attempt=attempt,
        boot=BOOT,
        durability=durability,
        use_map=use_map,
        max_segment_bytes=4000,
    )


def shown(line: bytes) -> str:
    """A record in the list's words: a note's or token's text, or its kind."""
    fields = msgspec.json.decode(line)
    return str(fields.get("text", fields.get("token", fields["kind"])))


def contents(reader: LogReader) -> list[str]:
    found = list(reader.read())
    assert [n for n, _ in found] == [msgspec.json.decode(line)["n"] for _, line in found] == list(range(1, len(found) + 1))
    return [shown(line) for _, line in found]


class LogMachine(RuleBasedStateMachine):
    """What is acknowledged is in `expected`. A writer that was killed is None."""

    def __init__(self, root: Path, durability: str, use_map: bool) -> None:
        super().__init__()
        self.root, self.durability, self.use_map = root, durability, use_map
        self.folder = SessionFolder(FILES, root, "s")
        self.folder.make()
        self.expected: list[str] = []
        self.forks = 0
        self.log: LogWriter | None = None
        self.follower = LogReader(FILES, self.folder.log, BOOT)

    def writer(self) -> LogWriter:
        if self.log is None:
            past = recover(FILES, self.folder.log, BOOT)
            self.log = open_log(self.folder, past, self.durability, self.use_map, past.attempts + 1)
            assert self.log.n == len(self.expected)
        return self.log

    # Writing

    @rule(text=texts, is_token=st.booleans(), top=st.booleans())
    def append(self, text: str, is_token: bool, top: bool) -> None:
        record: Record = Token(ts=1, token=text, top=top) if is_token else Note(ts=1, text=text, top=top)
        assert self.writer().append(record) == len(self.expected) + 1
        self.expected.append(text)

    @rule(count=st.integers(20, 140))
    def append_many(self, count: int) -> None:
        log = self.writer()
        for number in range(count):
            log.append(Token(ts=1, token=f"{number}"))
            self.expected.append(f"{number}")

    @rule(items=st.lists(texts, min_size=1, max_size=6), top=st.booleans())
    def batch(self, items: list[str], top: bool) -> None:
        self.writer().append_batch([Note(ts=1, text=text, top=top) for text in items])
        self.expected += items

    @rule(items=st.lists(texts, min_size=1, max_size=6))
    def group(self, items: list[str]) -> None:
        self.writer().append_group([Note(ts=1, text=text) for text in items])
        self.expected += items

    @rule()
    def checkpoint(self) -> None:
        log = self.writer()
        number = len(self.expected)
        log.append_group([Note(ts=1, text="result"), Checkpoint(ts=1, number=1, position={"main": number + 1}, state={"a": 1})])
        self.expected += ["result", "checkpoint"]

    @rule(sync=st.booleans())
    def close_lines(self, sync: bool) -> None:
        log = self.writer()
        before = log.n
        if sync:
            log.sync(1)
            assert log.synced == log.n
        else:
            log.close_lines(1)
        self.expected += ["flushed"] * (log.n - before)
        assert log.n - before <= 1

    @precondition(lambda self: self.log is not None)
    @rule()
    def close(self) -> None:
        log = self.writer()
        before = log.n
        log.close(Closed(ts=1, status="finished"))
        self.expected += ["closed"] * (log.n - before)
        self.log = None

    # Dying

    @precondition(lambda self: self.log is not None)
    @rule()
    def kill(self) -> None:
        self.writer().release()
        self.log = None

    @precondition(lambda self: self.log is not None)
    @rule(
        how=st.sampled_from(["one", "batch", "group"]),
        items=st.lists(texts, min_size=1, max_size=5),
        share=st.floats(0, 1),
        is_cut=st.booleans(),
    )
    def torn_kill(self, how: str, items: list[str], share: float, is_cut: bool) -> None:
        """The process dies while these are being written, which nobody was told of."""
        log = self.writer()
        if how == "one":
            items = items[:1]
            log.append(Note(ts=1, text=items[0]))
        elif how == "batch":
            log.append_batch([Note(ts=1, text=text) for text in items])
        else:
            log.append_group([Note(ts=1, text=text) for text in items])
        log.release()
        self.log = None
        past = recover(FILES, self.folder.log, BOOT)
        extent = past.extents[-1]
        data = extent.path.read_bytes()
        lines = data[extent.start : extent.end].split(b"\n")[:-1][-len(items) :]
        begin = extent.end - sum(len(line) + 1 for line in lines)
        at = begin + int(share * (extent.end - begin))
        rest = b"" if is_cut else b"\n" * (len(data) - at)
        extent.path.write_bytes(data[:at] + rest)
        whole = self._whole(lines, begin, at, is_cut)
        self.expected += items[:whole] if how != "group" or whole == len(items) else []

    def _whole(self, lines: list[bytes], begin: int, at: int, is_cut: bool) -> int:
        """How many of the lines are there, newline included; one of the space behind it will do."""
        for number, line in enumerate(lines):
            begin += len(line)
            if begin + is_cut > at:
                return number
            begin += 1
        return len(lines)

    # Reading

    @invariant()
    def a_next_attempt_finds_the_list(self) -> None:
        past = recover(FILES, self.folder.log, BOOT)
        assert past.last == len(self.expected)
        assert contents(LogReader(FILES, self.folder.log, BOOT, past)) == self.expected

    @rule()
    def follow(self) -> None:
        self.follower.refresh()
        assert contents(self.follower) == self.expected

    @rule(share=st.floats(0, 1), count=st.integers(0, 200))
    def read_from(self, share: float, count: int) -> None:
        first = 1 + int(share * len(self.expected))
        last = first + count
        found = [(n, shown(line)) for n, line in LogReader(FILES, self.folder.log, BOOT).read(first, last)]
        assert found == list(enumerate(self.expected, 1))[first - 1 : last]

    @rule()
    def read_backwards(self) -> None:
        found = [(n, shown(line)) for n, line in LogReader(FILES, self.folder.log, BOOT).read_backwards()]
        assert found == list(enumerate(self.expected, 1))[::-1]

    @rule(share=st.floats(0, 1))
    def find(self, share: float) -> None:
        reader = LogReader(FILES, self.folder.log, BOOT)
        n = int(share * (len(self.expected) + 1))
        if 1 <= n <= len(self.expected):
            assert shown(reader.find(n)) == self.expected[n - 1]
        else:
            with pytest.raises(KeyError):
                reader.find(n)

    @rule()
    def verify(self) -> None:
        check = verify_log(FILES, self.folder.log, BOOT)
        assert not check.problems
        assert check.records == len(self.expected)

    # Damage and fork

    @precondition(lambda self: self.expected)
    @rule(seed=st.integers(0, 2**32), bit=st.integers(0, 7))
    def damage(self, seed: int, bit: int) -> None:
        """One bit of a byte that counts flips, in a copy. It is reported; only at the very end can it look like a tear."""
        copy = self.root / "damaged"
        shutil.copytree(self.folder.log, copy)
        rng = random.Random(seed)
        past = recover(FILES, copy, BOOT)
        extent = rng.choice(past.extents)
        data = bytearray(extent.path.read_bytes())
        at = rng.randrange(extent.end)
        data[at] ^= 1 << bit
        extent.path.write_bytes(data)
        try:
            found: list[str] | None = contents(LogReader(FILES, copy, BOOT, recover(FILES, copy, BOOT)))
        except Corrupted as error:
            assert error.path.parent == copy  # type: ignore[union-attr]
            found = None
        except (HoldfastError, AssertionError, ValueError, KeyError):  # the last three: the line is there, and is not ours
            found = None
        is_reported = bool(verify_log(FILES, copy, BOOT).problems)
        is_last = extent is past.extents[-1] or all(later.last < later.header.first for later in past.extents[-1:])
        if found == self.expected and not is_reported:
            found = self.expected  # the byte is of no consequence: in a header that holds nothing yet, or a close's own key
        elif not is_reported:
            assert is_last, "a byte of a closed segment"
            assert at >= self._protected_to(bytes(self._undamaged(extent.path)), extent), f"byte {at} of {extent}"
        shutil.rmtree(copy)

    def _undamaged(self, path: Path) -> bytes:
        return (self.folder.log / path.name).read_bytes()

    def _protected_to(self, data: bytes, extent: Any) -> int:
        """What stands under a close, without the log's very last line, of which a damaged byte looks like a kill."""
        _, start, crc = read_header(data)
        closed = max([close.end for close in read_closes(data[: extent.end], start, crc)], default=start)
        return min(closed, data.rfind(b"\n", 0, extent.end - 1) + 1)

    @precondition(lambda self: self.expected)
    @rule(share=st.floats(0, 1), items=st.lists(texts, max_size=4))
    def fork(self, share: float, items: list[str]) -> None:
        """A fork has the past up to a record and its own future; the one it came from goes on undisturbed."""
        self.forks += 1
        target = SessionFolder(FILES, self.root, f"fork{self.forks}")
        n = 1 + int(share * (len(self.expected) - 1))
        past = cut(FILES, recover(FILES, self.folder.log, BOOT), n)
        shared = share_past(self.folder, target, past)
        expected = self.expected[:n]
        log = open_log(target, shared, self.durability, self.use_map, shared.attempts + 1)
        assert log.n == n
        log.append(Note(ts=2, text="forked"))
        log.append_batch([Note(ts=2, text=text) for text in items])
        log.close(Closed(ts=2, status="finished"))
        assert contents(LogReader(FILES, target.log, BOOT, recover(FILES, target.log, BOOT))) == [
            *expected,
            "forked",
            *items,
            "closed",
        ]
        assert not verify_log(FILES, target.log, BOOT).problems
        shutil.rmtree(target.path)

    def teardown(self) -> None:
        if self.log is not None:
            self.log.release()
        shutil.rmtree(self.root)


@pytest.mark.parametrize(("durability", "use_map"), KINDS)
def test_a_log_is_a_list(tmp_path: Path, durability: str, use_map: bool) -> None:
    numbers = itertools.count()
    run_state_machine_as_test(
        lambda: LogMachine(tmp_path / str(next(numbers)), durability, use_map),  # type: ignore[arg-type]  # any factory will do
        settings=settings(quick, max_examples=40 * MORE, stateful_step_count=25),
    )


@pytest.mark.parametrize(("durability", "use_map"), [("process", True), ("power", False)])
def test_every_byte_that_flips_is_reported(tmp_path: Path, durability: str, use_map: bool) -> None:
    """In a log of two attempts that was closed. In its last line, and at its start, a byte may also make it look torn."""
    folder = SessionFolder(FILES, tmp_path, "s")
    folder.make()
    for attempt in (1, 2):
        log = open_log(folder, recover(FILES, folder.log, BOOT), durability, use_map, attempt)
        log.append_batch([Note(ts=1, text=f"{number}") for number in range(3)])
        log.append_group([Note(ts=1, text=f"{number}") for number in range(3)])
        for number in range(3):
            log.append(Token(ts=1, token=f"{number}", top=number % 2 == 0))
        log.close(Closed(ts=1, status="finished"))
    past = recover(FILES, folder.log, BOOT)
    expected = contents(LogReader(FILES, folder.log, BOOT, past))
    last = past.extents[-1]
    last_line = last.path.read_bytes().rindex(b"\n", 0, last.end - 1) + 1
    for extent in past.extents:
        data = bytearray(extent.path.read_bytes())
        for at in range(extent.end):
            data[at] ^= 1 << at % 8
            extent.path.write_bytes(data)
            data[at] ^= 1 << at % 8
            check = verify_log(FILES, folder.log, BOOT)
            if not check.problems:
                assert extent is last, f"byte {at} of {extent.path.name}"
                assert at >= last_line - 1, f"byte {at} of {extent.path.name}"
                found = contents(LogReader(FILES, folder.log, BOOT))
                assert found == expected or (check.torn and found == expected[: -1 if at >= last_line else -2])
        extent.path.write_bytes(data)


# A session ----------------------------------------------------------------------------------------------------------


class State:
    """A tracked object that counts its steps."""

    def __init__(self) -> None:
        self.steps = 0

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = int(state["steps"])


Entry = tuple[str, str]
"""What the program records: by which call, and what."""


class RunMachine(RuleBasedStateMachine):
    """The program is the list `done`: after a kill it is run again from its start, and goes on behind its end, or differs."""

    def __init__(self, root: Path, mode: Any, durability: Any) -> None:
        super().__init__()
        self.root, self.mode, self.durability = root, mode, durability
        self.done: list[Entry] = []
        self.numbers = itertools.count()
        self.forks = 0
        self.run: Run | None = None
        self.state = State()
        self.open()

    def open(self) -> None:
        self.state = State()
        self.run = start(
            "s", root=self.root, files=FILES, save_mode=self.mode, durability=self.durability, track={"state": self.state}
        )
        if self.mode == "batch":
            self.run.set_interval(tokens=7)

    def do(self, entry: Entry) -> None:
        assert self.run is not None
        call, label = entry
        match call:
            case "token":
                self.run.token(label, z=0.5)
            case "note":
                self.run.note(label)
            case "tokens":
                self.run.tokens([label, "b"], phase=["p", "q"])
            case "once":
                assert self.run.once(label, lambda: label) == label
            case "step":
                assert self.run.step(label, self.step, label) == [label]

    def step(self, label: str) -> list[str]:
        self.state.steps += 1
        return [label]

    @rule(call=st.sampled_from(["token", "token", "token", "note", "tokens", "once", "step"]), count=st.integers(1, 12))
    def record(self, call: str, count: int) -> None:
        for _ in range(count if call == "token" else 1):
            entry = (call, f"{call} {next(self.numbers)}")
            self.do(entry)
            self.done.append(entry)

    @rule(level=st.sampled_from(["flushed", "synced"]))
    def flush(self, level: str) -> None:
        assert self.run is not None
        self.run.flush(level)
        assert self.in_log() == [label for _, label in self.done]

    @rule()
    def checkpoint(self) -> None:
        assert self.run is not None
        self.run.checkpoint()
        assert self.in_log() == [label for _, label in self.done]

    @rule(share=st.floats(0, 1), differs=st.booleans(), is_killed=st.booleans())
    def come_again(self, share: float, differs: bool, is_killed: bool) -> None:
        """The process ends, and the program begins anew; where it differs from some record on, the rest is superseded."""
        assert self.run is not None
        before = self.in_log()
        if is_killed:
            kill(self.run)
        else:
            with pytest.raises(ZeroDivisionError), self.run:
                raise ZeroDivisionError
        kept = self.in_log()
        labels = [label for _, label in self.done]
        assert kept[: len(before)] == before
        assert kept == labels[: len(kept)]
        if not is_killed:
            assert kept == labels
        self.done = self.done[: len(kept)]
        if differs:
            # Behind the last step: a program without the step it is to go on from takes no more checkpoints.
            first = max([number + 1 for number, (call, _) in enumerate(self.done) if call == "step"], default=0)
            self.done = self.done[: first + int(share * (len(self.done) + 1 - first))]
        self.open()
        for entry in self.done:
            self.do(entry)
        if differs:
            self.record("note", 1)
        assert self.run is not None
        self.run.flush()
        assert self.in_log() == [label for _, label in self.done]
        assert self.state.steps == sum(call == "step" for call, _ in self.done)

    @precondition(lambda self: any(call == "step" for call, _ in self.done))
    @rule()
    def fork(self) -> None:
        """A fork at the last step's checkpoint has everything up to that step."""
        assert self.run is not None
        self.run.flush()
        kill(self.run)
        folder = SessionFolder(FILES, self.root, "s")
        reader = LogReader(FILES, folder.log, boot_id())
        numbers = [
            fields["number"]
            for _, line in reader.read()
            if (fields := msgspec.json.decode(line))["kind"] == "checkpoint" and fields.get("at")
        ]
        self.forks += 1
        target = fork_session(folder, numbers[-1], f"fork{self.forks}")
        last = max(number for number, (call, _) in enumerate(self.done) if call == "step")
        assert self.in_log(target.name) == [label for _, label in self.done[: last + 1]]
        assert not verify_log(FILES, target.log, boot_id()).problems
        self.open()
        for entry in self.done:
            self.do(entry)

    @invariant()
    def what_is_flushed_is_the_lists_beginning(self) -> None:
        found = self.in_log()
        assert found == [label for _, label in self.done][: len(found)]
        if self.mode == "continuous":
            assert len(found) == len(self.done)
        assert not verify_log(FILES, self.root / "sessions" / "s" / "log" / "main", boot_id()).problems

    def in_log(self, name: str = "s") -> list[str]:
        reader = LogReader(FILES, self.root / "sessions" / name / "log" / "main", boot_id())
        return [self.label(fields) for _, fields in canonical_records(reader)]

    def label(self, fields: dict[str, Any]) -> str:
        match fields["kind"]:
            case "token":
                return str(fields["token"])
            case "tokens":
                return str(fields["tokens"][0])
            case "once":
                return str(fields["key"])
            case "module":
                return str(fields["name"])
        return str(fields["text"])

    def teardown(self) -> None:
        if self.run is not None:
            self.run.close()
            assert self.in_log() == [label for _, label in self.done]
        shutil.rmtree(self.root)


@pytest.mark.parametrize(
    ("mode", "durability"), [("continuous", "process"), ("batch", "process"), ("checkpoint", "process"), ("batch", "power")]
)
def test_a_session_is_a_list(tmp_path: Path, mode: str, durability: str) -> None:
    numbers = itertools.count()
    run_state_machine_as_test(
        lambda: RunMachine(tmp_path / str(next(numbers)), mode, durability),  # type: ignore[arg-type]  # any factory will do
        settings=settings(quick, max_examples=20 * MORE, stateful_step_count=20),
    )
