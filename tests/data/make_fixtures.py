"""Make the sample sessions of the format that is written now: python -m tests.data.make_fixtures FOLDER.

The samples in tests/data/v1 were made by it once and stay as they are: later versions read them for ever. Content and
times are fixed, and nothing of this machine stands in them.
"""

import errno
import functools
import json
import shutil
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy

import holdfast
from holdfast.reading.digest import digest_of
from holdfast.reading.seal import seal_log
from holdfast.reading.view import all_records
from holdfast.recording.recorder import Recorder
from holdfast.records import Event
from holdfast.sessions.listing import list_checkpoints
from holdfast.storage.faulty import FailingFiles
from holdfast.storage.files import RealFiles
from holdfast.storage.log import LogWriter
from holdfast.storage.reader import LogReader
from tests.helpers.describe import describe

FIRST_BOOT, SECOND_BOOT = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
PADDING_BYTES = 1500
TENSOR = {
    "$t": "tensor",
    "v": ["bfloat16", {"$t": "ndarray", "v": ["<i2", [2], "gD8AwA=="]}],
}
"""torch.tensor([1.0, -2.0], dtype=torch.bfloat16), by hand: it needs no torch to be made, and none to be read from the page."""
TENSOR_SHOWN = "tensor bfloat16 [2] 803f00c0"


def sample_values() -> dict[str, Any]:
    """A value for every row of the page's table of tags, and the plain ones."""
    fortran = numpy.asfortranarray(numpy.arange(6, dtype="<f4").reshape(2, 3))
    return {
        "plain": {"none": None, "yes": True, "no": False, "text": 'Φ×|"\\/\n\x01\x7f\u2028', "list": [1, [2.5, {}]], "": -0.0},
        "floats": [1e16, 1e22, 1e-7, 5e-324, 1.7976931348623157e308, 0.1, 3.0, -2.5],
        "int": [2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 10**40],
        "float": [float("nan"), float("inf"), float("-inf")],
        "str": "a\ud800b",
        "bytes": [b"\x00\xff", bytearray(b"\x00\xff")],
        "complex": complex(1.5, float("-inf")),
        "range": range(0, 10, 3),
        "tuple": (1, ("a", [2]), ()),
        "set": [{"b", "a", 10, 9, (1, 2)}, frozenset({b"x"})],
        "dict": {1: "int", "1": "text", (2, "b"): {"$t": "no tag"}, None: {"deep": {3: 4}}, "\udc80": 1},
        "OrderedDict": OrderedDict([("z", 1), ("a", (2,))]),
        "numpy": [numpy.float32(1.5), numpy.int8(-3), numpy.bool_(True), numpy.datetime64("2024-02-29", "D"), numpy.str_("ü")],
        "ndarray": [
            numpy.arange(4, dtype="<i2"),
            numpy.array([[1.0, -0.0]], dtype=">f8"),
            numpy.array(7, dtype="u1"),
            numpy.zeros((0, 2), dtype="?"),
            numpy.array(["a", "bc"]),
        ],
        "axes": [fortran, numpy.arange(24, dtype="i1").reshape(2, 3, 4).transpose(2, 0, 1)],
    }


class Box:
    """Tracked state that is whatever it is given."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def state_dict(self) -> Any:
        return self.state

    def load_state_dict(self, state: Any) -> None:
        self.state = state


class Sample:
    """One sample in the making. `copy` takes what a kill would leave; what is expected of it is collected in `values` and
    `states` (of checkpoints, by number)."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.root = scratch / "first"
        self.values: dict[str, str] = {}
        self.states: dict[int, str] = {}
        self._copies = 0

    def start(self, name: str, **options: Any) -> holdfast.Run:
        return holdfast.start(name, root=self.root, **options)

    def event(self, run: holdfast.Run, name: str, value: Any) -> None:
        self.values[name] = describe(value)
        run.event(name, value=value)

    def state(self, number: int, state: Mapping[str, Any]) -> None:
        self.states[number] = describe(dict(state))

    def kill(self, run: holdfast.Run) -> None:
        """Leave the session as a kill at this moment would, and go on in a copy of it."""
        self._copies += 1
        copy = self.scratch / f"copy{self._copies}"
        shutil.copytree(self.root, copy)
        self.root = copy
        run.close()

    def segments(self, name: str) -> list[Path]:
        return sorted((self.root / "sessions" / name / "log" / "main").glob("*.jsonl"))


@contextmanager
def fixed_surroundings(boot: str = FIRST_BOOT) -> Iterator[None]:
    """A clock, a boot and a provenance that are the same on every machine."""
    clock = count(1_764_000_000_000_000_000, 1_234_000)
    about = {"argv": ["train.py"], "python": "3.11.7", "packages": {"holdfast": "0.1.0"}, "host": "sample", "pid": 4242}
    with ExitStack() as stack:
        for name, replacement in (
            ("holdfast.sessions.care.time_ns", lambda: next(clock)),
            ("holdfast.storage.host.boot_id", lambda: boot),
            ("holdfast.storage.host.file_system", lambda path: "ext4"),
            ("holdfast.sessions.attempt.provenance", lambda: dict(about)),
        ):
            stack.enter_context(patch(name, replacement))
        defaults: Any = Recorder.__init__.__kwdefaults__
        stack.enter_context(patch.dict(defaults, {"clock_ns": lambda: next(clock)}))
        yield


def closed(sample: Sample) -> None:
    """One attempt, finished; more lines than one close covers."""
    box = Box({"total": 0})
    run = sample.start("closed", track={"box": box}, config={"steps": 4, "rate": 0.5}, epoch=2, tags=["a", "b"], notes="sample")
    for step in run.loop(4, checkpoint_every=2):
        box.state = {"total": box.state["total"] + step}
        for index in range(20):
            run.token(f"Φ×|{step}|{index}", z=index / 20, phase="PARADOX", tier=6, source="emit_token", meta={"index": index})
        run.metric(loss=1 / (step + 1), diverged=float("nan"))
        if step % 2:
            sample.state(step // 2 + 1, {"box": box.state})
    run.close()


def killed(sample: Sample) -> None:
    """Two attempts, both killed in the middle of a line; the second one keeps the first one's torn bytes."""
    for attempt in (1, 2):
        box = Box({"steps": 0})
        run = sample.start("killed", track={"box": box})
        for step in run.loop(None, checkpoint_every=3):
            box.state = {"steps": step + 1}
            if step % 3 == 2:
                sample.state(step // 3 + 1, {"box": box.state})
            run.metric(step=step)
            run.note(f"step {step}")
            if step == 3 + 2 * attempt:
                break
        sample.kill(run)
        path = sample.segments("killed")[-1]
        whole = path.read_bytes().rstrip(b"\n") + b"\n"
        torn = whole[: whole.rstrip(b"\n").rfind(b"\n") + 1] if attempt == 1 else whole
        path.write_bytes(torn + b'{"kind":"metric","n":99,"ts":17640000' + b"\n" * PADDING_BYTES)


def batch(sample: Sample) -> None:
    """Batch mode: one close a batch."""
    run = sample.start("batch", save_mode="batch")
    run.set_interval(tokens=10, checkpoint=3600.0)
    for _ in run.loop(3, checkpoint_every=1):
        for index in range(25):
            run.token(f"t{index}", phase="A" if index < 13 else "B")
    sample.states.update({number: describe({}) for number in (1, 2, 3)})
    run.close()


def power(sample: Sample) -> None:
    """Power durability: closes say how far the log was synced; it ended by an exception."""
    run = sample.start("power", durability="power", save_mode="batch")
    try:
        with run:
            for step in run.loop(4, checkpoint_every=2):
                run.metric(step=step)
                run.flush("synced")
                if step == 3:
                    raise RuntimeError("out of patience")
    except RuntimeError:
        pass
    sample.states[1] = describe({})


def powerloss(sample: Sample) -> None:
    """A power loss took a sector of what was not synced; another boot went on."""
    for boot in (FIRST_BOOT, SECOND_BOOT):
        with patch("holdfast.storage.host.boot_id", lambda boot=boot: boot):
            run = sample.start("powerloss")
            for step in run.loop(6, checkpoint_every=2):
                run.metric(step=step, text="x" * 60)
                if step == 4 and boot == FIRST_BOOT:
                    run.flush()
                    break
            sample.states.update({number: describe({}) for number in (1, 2, 3)})
            if boot == SECOND_BOOT:
                run.close()
                return
            sample.kill(run)
        path = sample.segments("powerloss")[-1]
        data = path.read_bytes().rstrip(b"\n") + b"\n" * 20
        hole = data.index(b'{"kind":"metric","n":6')
        path.write_bytes(data[:hole] + bytes(40) + data[hole + 40 :] + bytes(PADDING_BYTES))


def everything(sample: Sample) -> None:
    """Every kind of record and every tag; lanes, and an attempt that did something else than the one before it."""
    document = sample.scratch / "notes.txt"
    document.write_bytes(b"kept by its content\n")
    for attempt in (1, 2):
        box = Box({"attempt": 0})
        run = sample.start("everything", track={"box": box}, config={"values": (1, 2)})
        run.note("a lone \udc80 surrogate")
        for name, value in sample_values().items():
            sample.event(run, name, value)
        run._recorder.record(Event(name="tensor", data={"value": TENSOR}))
        sample.values["tensor"] = TENSOR_SHOWN
        run.event("nothing")
        run.transition("REST", {"phase": "PARADOX"})
        run.module("reactor", {"yield": (1, 2)}, status="skipped", index=3, phase="PARADOX", info={"seconds": 0.5})
        run.file(document, info={"path": "notes.txt"})
        run.tokens(["a", 5, b"\xff"], z=[0, 0.5, 1], phase=["x", None, "y"])
        for token in ("plain", 7, b"\xff", "half \ud83d", 2**70):
            run.token(token, z=0.25, meta={"pair": (1, 2)})
        run.emission("a b", tokens=["a", 5], z=0.5, phase="PARADOX", quality=0.9, meta={"k": {1}})
        run.emission("a \udfff")
        with run.lane("outside"):
            run.note("top-level, in a lane")
        run.once("clock", functools.partial(dict, now=attempt))
        for step in run.loop(5, checkpoint_every=2):
            box.state = {"attempt": attempt, "step": step}
            run.metric(step=step, loss=0.5 if step < 3 else attempt / 4)
            for lane in ("left", "right"):
                with run.lane(lane):
                    run.event("move", lane=lane, step=step if lane == "left" else step * attempt)
            if step == 3 and attempt == 1:
                sample.kill(run)
                break
            run.step("inner", lambda: [1, (2,)])
            if step == 3:
                run.checkpoint("milestone")
            if attempt == 2 or step == 1:
                sample.state({1: 1, 3: 2, 4: 3}.get(step, 0), {"box": box.state})
        else:
            run.flush()
            run.step("outer", lambda: {"done": True})
            sample.state(4, {"box": box.state})
            run.close()
    holdfast.Workspace(sample.root).note("everything", "looked at afterwards")
    del sample.states[0]


def arrays(sample: Sample) -> None:
    """Checkpoints in files, which share arrays; old ones are released."""
    frozen = numpy.arange(12, dtype="<f8").reshape(3, 4)
    box = Box(None)
    run = sample.start("arrays", track={"box": box}, keep_last=2)
    for step in run.loop(4, checkpoint_every=1):
        box.state = {
            "frozen": frozen,
            "moving": [frozen.astype("f4") + step, numpy.array([step], dtype="i8")],
            "fortran": numpy.asfortranarray(frozen[:2] * step),
            "big endian": numpy.array([step, 1], dtype=">u2"),
            "flags": numpy.array([True, False]),
            "twice": [frozen.copy(), numpy.zeros((0, 3))],
        }
        run.metric(step=step)
        sample.state(step + 1, {"box": box.state})
    run.close()


def rolled(sample: Sample) -> None:
    """Several segments, one of them abandoned after a failed sync and repeated in the next one."""
    files = FailingFiles(RealFiles(), operation="sync", nth=0, error=errno.EIO, role="log/main/")
    with patch("holdfast.sessions.attempt.LogWriter", functools.partial(LogWriter, max_segment_bytes=1500)):
        run = sample.start("rolled", files=files)
        for step in run.loop(6, checkpoint_every=3):
            for index in range(8):
                run.token(f"t{step}-{index}", z=index / 8)
            run.flush("synced")
            if step == 2:
                run.token("in a segment that is given up")
                files._nth = files.calls["sync"] + 1
                run.flush("synced")
        sample.states.update({number: describe({}) for number in (1, 2)})
        run.close()


def sealed(sample: Sample) -> None:
    """Several segments in a sealed file, tokens in columns and beside them, and an attempt behind it in lines."""
    with patch("holdfast.sessions.attempt.LogWriter", functools.partial(LogWriter, max_segment_bytes=1500)):
        run = sample.start("sealed")
        for step in run.loop(6, checkpoint_every=3):
            for index in range(8):
                meta = {"step": step, "source": "a", "rate": index * 1e-5} if index % 5 else {"odd": (1, None)}
                run.token(f"Φ×|{index}" if index % 3 else f'"{index}\\', z=index / 8, phase="TRUE", tier=index, meta=meta)
            run.metric(loss=float("nan"), info={"seconds": 0.5})
        sample.states.update({number: describe({}) for number in (1, 2)})
        run.close()
    session = sample.root / "sessions" / "sealed"
    seal_log(RealFiles(), session / "log" / "main", session / "lock", "sealed", FIRST_BOOT, least_bytes=0)
    holdfast.Workspace(sample.root).note("sealed", "behind it")


def forked(sample: Sample) -> None:
    """A program that did not repeat itself went on in a session of its own."""
    for attempt in (1, 2):
        box = Box({"step": 0})
        run = sample.start("forked", track={"box": box}, on_divergence="fork")
        for step in run.loop(6, checkpoint_every=2):
            box.state = {"step": step}
            run.metric(step=step, attempt=attempt if step == 4 else 0)
            if step % 2:
                sample.state(step // 2 + 1, {"box": box.state})
            if step == 4 and attempt == 1:
                sample.kill(run)
                break
        else:
            run.close()


def rewound(sample: Sample) -> None:
    """A run that was set back to a checkpoint, and went on to an end of another length."""
    for length in (6, 4):
        box = Box({"step": 0})
        run = sample.start("rewound", track={"box": box}, allow_change="loop")
        for step in run.loop(length, checkpoint_every=2):
            box.state = {"step": step}
            run.metric(step=step)
            if step % 2:
                sample.state(step // 2 + 1 if length == 6 else 4, {"box": box.state})
        run.close()
        if length == 6:
            holdfast.Workspace(sample.root).rewind("rewound", at=1)


def tried(sample: Sample) -> None:
    """A step that failed is done again by the second attempt, which records something else in it."""
    for attempt in (1, 2):
        run = sample.start("tried")

        def fetch(attempt: int = attempt, run: holdfast.Run = run) -> None:
            run.note("asked")
            with run.lane("side"):
                run.note("meanwhile")
            run.note(f"answer {attempt}")
            raise ConnectionError

        try:
            run.step("fetch", fetch)
        except ConnectionError:
            run.event("failed")
        run.step("fetch", lambda: "fetched")
        sample.states.update({1: describe({}), 2: describe({})})
        if attempt == 1:
            sample.kill(run)
        else:
            run.close()


SAMPLES: tuple[Callable[[Sample], None], ...] = (
    *(closed, killed, batch, power, powerloss),
    *(everything, arrays, rolled, sealed, forked, rewound, tried),
)


def make_fixtures(target: Path) -> None:
    """Make all samples: sessions/NAME in `target`, and expected/NAME.json beside it."""
    (target / "expected").mkdir(parents=True)
    for make in SAMPLES:
        with tempfile.TemporaryDirectory() as scratch, fixed_surroundings():
            sample = Sample(Path(scratch))
            make(sample)
            for session in sorted((sample.root / "sessions").iterdir()):
                _take(session, target / "sessions" / session.name)
                expected = _expected(target, session.name, sample)
                (target / "expected" / f"{session.name}.json").write_text(
                    json.dumps(expected, indent=1) + "\n", encoding="utf-8"
                )


def _take(session: Path, target: Path) -> None:
    shutil.copytree(session, target, ignore=shutil.ignore_patterns("lock"))
    for path in target.glob("log/main/*.jsonl"):
        data = path.read_bytes()
        spare = len(data) - len(data.rstrip(b"\n"))
        path.write_bytes(data[: len(data) - max(0, spare - PADDING_BYTES)])


def _expected(root: Path, name: str, sample: Sample) -> dict[str, Any]:
    """What readers must find, on the boot that wrote the last segment, and on another one."""
    log = root / "sessions" / name / "log" / "main"
    header = json.loads(max(log.glob("*.jsonl")).read_bytes().split(b"\n")[0])
    reader = LogReader(RealFiles(), log, header["boot"])
    everything = [fields for _, fields in all_records(reader)]
    kinds = [fields["kind"] for fields in everything]
    elsewhere = LogReader(RealFiles(), log, "another boot")
    return {
        "digest": digest_of(reader).sha256,
        "records": len(everything),
        "canonical": digest_of(reader).records,
        "kinds": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
        "elsewhere": {"digest": digest_of(elsewhere).sha256, "records": elsewhere.last},
        "values": sample.values,
        "checkpoints": [
            {
                "number": info.number,
                "n": info.n,
                "position": info.position,
                "released": info.released,
                "dead": info.dead,
                "state": None if info.released else sample.states[info.number],
            }
            for info in list_checkpoints(reader, lambda record: None)
        ],
    }


if __name__ == "__main__":
    make_fixtures(Path(sys.argv[1]))
