"""One session that is killed and started again until it ends, with everything checked after each kill."""

import math
import os
import random
import re
import select
import shutil
import signal
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import holdfast
from holdfast.records import CANONICAL_KINDS, canonical_bytes
from holdfast.storage.faulty import KillingFiles
from holdfast.storage.files import Files, RealFiles
from tests.crash.children import Child, Children, Surroundings
from tests.crash.program import Durability, Mode, Order, execute
from tests.crash.witness import DYING, MESSAGE, NOBODY, OPENED, PLACES, RECORDED, Message, Plan

SESSION = "killed"
MOST_KILLS = 5
_HUNG_SECONDS = 120
_STOPPED = 75
_MARK = re.compile(rb'"u([0-9]+)[|-]|"mark":([0-9]+)')

When = Literal["before", "half", "holed", "after"]
_AROUND: tuple[When, ...] = ("before", "after")
_WITHIN: tuple[When, ...] = ("before", "half", "after")
_LOG, _CHECKPOINTS, _MANIFEST, _LOCK, _KEPT, _TORN = "/log", "/checkpoints", "session.json", "/lock", "/files", ".torn-"


class Point(NamedTuple):
    """An operation on paths that contain `role`."""

    operation: str
    role: str


POINTS: dict[Point, tuple[When, ...]] = {
    **{Point(name, _LOG): _AROUND for name in ("mkdir", "open", "sync", "map", "sync_folder", "truncate")},
    **{Point(name, _LOG): ("before",) for name in ("names", "read", "size")},
    Point("write", _LOG): _WITHIN,
    Point("store", _LOG): (*_WITHIN, "holed"),
    **{Point(name, _CHECKPOINTS): _AROUND for name in ("mkdir", "open", "sync", "rename", "sync_folder", "unlink", "rmdir")},
    **{Point(name, _CHECKPOINTS): ("before",) for name in ("names", "read", "truncate")},
    Point("write", _CHECKPOINTS): _WITHIN,
    **{Point(name, _MANIFEST): _AROUND for name in ("open", "sync", "rename")},
    **{Point(name, _MANIFEST): _WITHIN for name in ("write",)},
    **{Point(name, _LOCK): _AROUND for name in ("open", "lock", "truncate")},
    Point("write", _LOCK): _WITHIN,
    **{Point(name, _KEPT): _AROUND for name in ("mkdir", "open", "sync", "rename", "sync_folder")},
    Point("write", _KEPT): _WITHIN,
    **{Point(name, _TORN): _AROUND for name in ("open", "sync", "rename")},
    Point("write", _TORN): _WITHIN,
}
"""The named points of the write path."""

Counts = dict[Point, tuple[int, int]]
"""How often a healthy first start comes by a point, and a start that goes on from the middle."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What kind of run."""

    mode: Mode
    durability: Durability
    shape: str
    size: int

    def order(self, root: Path, plan: Plan = NOBODY) -> Order:
        """One start of it."""
        return Order(root=str(root), session=SESSION, plan=plan, **asdict(self))


@dataclass(frozen=True)
class Reference:
    """The unkilled run: canonical records by lane, lane and place of each mark, and the digest."""

    lanes: dict[str, list[bytes]]
    places: dict[int, tuple[str, int]]
    digest: str

    @property
    def records(self) -> int:
        """How many there are."""
        return sum(map(len, self.lanes.values()))

    @classmethod
    def of(cls, shape: str, size: int, folder: Path) -> "Reference":
        """Run a shape without killing it. The mode makes no difference to what is recorded."""
        root = folder / "reference"
        execute(Cell(mode="continuous", durability="process", shape=shape, size=size).order(root))
        workspace = holdfast.Workspace(root)
        found = Found.of(workspace)
        places: dict[int, tuple[str, int]] = {}
        for lane, records in found.lanes.items():
            for index, record in enumerate(records):
                mark = mark_of(record)
                assert mark not in places, f"mark {mark} is there twice: {record!r}"
                places[mark] = lane, index
        digest = workspace.digest(SESSION)
        shutil.rmtree(root)
        return cls(found.lanes, places, digest)


@dataclass
class Found:
    """What stands in a log: canonical records by lane, the number of each mark, values of `once`, and superseded records."""

    lanes: dict[str, list[bytes]] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)
    values: dict[int, int] = field(default_factory=dict)
    superseded: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, workspace: holdfast.Workspace) -> "Found":
        """Read it all."""
        found = cls()
        for record in workspace.records(SESSION, canonical=False):
            if record["kind"] == "superseded":
                found.superseded.append(f"{record['reason']}: {record.get('expected')} / {record.get('found')}"[:600])
            if record["kind"] in CANONICAL_KINDS and not record.get("superseded"):
                line = canonical_bytes(record)
                mark = mark_of(line)
                found.lanes.setdefault(record.get("lane", ""), []).append(line)
                found.numbers[mark] = record["n"]
                if record["kind"] == "once":
                    found.values[mark] = record["value"]
        return found


def mark_of(line: bytes) -> int:
    """The mark that a record carries."""
    found = _MARK.search(line)
    assert found is not None, line
    return int(found[1] or found[2])


@dataclass
class Seen:
    """What the parent saw of one start."""

    status: int = 0
    replay_total: int = 0
    messages: list[Message] = field(default_factory=list)
    place: str = ""
    was_replaying: bool = False


@dataclass(frozen=True)
class Hit:
    """A kill: how it was planned, and where it hit. counts: whether something had been recorded before it."""

    plan: Plan
    place: str
    was_replaying: bool
    counts: bool


@dataclass
class Trial:
    """One session, from its first start to its end. `number` decides the surroundings of its starts."""

    children: Children
    cell: Cell
    reference: Reference
    folder: Path
    number: int = 0
    fresh_every: int = 0
    hits: list[Hit] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _values: dict[int, int] = field(default_factory=dict)
    _lengths: dict[str, int] = field(default_factory=dict)
    _done: int = 0

    def run(self, choose: "Callable[[int, float], Plan]") -> None:
        """Start, kill and check until the program ends by itself or something is wrong. `choose` is told how many starts there
        were, and which share of the records is there."""
        self.folder.mkdir(parents=True)
        while not self.problems:
            plan = choose(len(self.plans), self._done / self.reference.records) if len(self.hits) < MOST_KILLS else NOBODY
            seen = self.start(plan)
            if seen.status == 0 or self.problems:
                break
        if not self.problems:
            self.check_end()

    def start(self, plan: Plan) -> Seen:
        """Start the program once, see how it ends, and check what it left."""
        number = self.number + len(self.plans)
        fresh = bool(self.fresh_every) and number % self.fresh_every == 0
        surroundings = Surroundings.of(number, self.folder, fresh=fresh)
        self.plans.append(plan)
        errors = self.folder / "errors.txt"
        child = self.children.start(self.cell.order(self.root, plan), surroundings, errors)
        seen = watch(child, plan)
        has_records = self._has_records()
        if seen.status == -signal.SIGKILL:
            self.hits.append(Hit(plan, seen.place, seen.was_replaying, has_records))
        elif seen.status and not (seen.status == _STOPPED and plan.signal != signal.SIGKILL):
            shown = errors.read_text(encoding="utf-8", errors="replace")[-3000:] if errors.exists() else ""
            self.problems.append(f"start {len(self.plans)} ended with status {seen.status}: {shown}")
        if has_records:
            self._check(seen)
        return seen

    @property
    def root(self) -> Path:
        """The workspace."""
        return self.folder / "w"

    def describe(self) -> dict[str, Any]:
        """What repeats this trial."""
        return {"cell": asdict(self.cell), "number": self.number, "plans": [asdict(plan) for plan in self.plans]}

    def _has_records(self) -> bool:
        try:
            return next(holdfast.Workspace(self.root).records(SESSION, canonical=False), None) is not None
        except holdfast.SessionNotFound:
            return False

    def _check(self, seen: Seen) -> None:
        workspace = holdfast.Workspace(self.root)
        self.problems += [f"verify: {problem}" for problem in workspace.verify(SESSION).problems]
        found = Found.of(workspace)
        self.problems += [f"superseded, {what}" for what in found.superseded]
        for lane, records in found.lanes.items():
            expected = self.reference.lanes.get(lane, [])[: len(records)]
            if records != expected:
                index = next(
                    (i for i, pair in enumerate(zip(records, expected, strict=False)) if pair[0] != pair[1]), len(expected)
                )
                wanted = expected[index] if index < len(expected) else b"nothing more"
                self.problems.append(f"record {index} of lane {lane!r} is {records[index]!r}, and should be {wanted!r}")
        for lane, length in self._lengths.items():
            if len(found.lanes.get(lane, ())) < length:
                self.problems.append(f"lane {lane!r} had {length} records before this start, and has fewer now")
        self._lengths = {lane: len(records) for lane, records in found.lanes.items()}
        self._done = sum(self._lengths.values())
        self._check_promises(seen, found)

    def _check_promises(self, seen: Seen, found: Found) -> None:
        """Every acknowledged record is there: all of them in continuous mode, else those up to the flushed watermark and every
        `once`, which has the value that was returned first."""
        flushed = max((message.flushed for message in seen.messages), default=0)
        for message in seen.messages:
            if message.kind != RECORDED:
                continue
            mark, n = message.mark, found.numbers.get(message.mark)
            is_promised = self.cell.mode == "continuous" or message.accepted <= flushed or message.value
            if n is None and is_promised:
                self.problems.append(f"mark {mark} was acknowledged ({message}) and is not there; flushed: {flushed}")
            if n is not None and message.accepted < n:
                self.problems.append(f"mark {mark} has number {n}, and the watermarks said {message}")
            if n is not None and self.cell.mode == "continuous" and self.cell.durability == "power" and message.synced < n:
                self.problems.append(f"mark {mark} has number {n} and was not synced when its call returned: {message}")
            if message.value and self._values.setdefault(mark, message.value) != message.value:
                self.problems.append(f"the once of mark {mark} was repeated")
            if message.value and found.values.get(mark, message.value) != message.value:
                self.problems.append(f"the once of mark {mark} has another value in the log")

    def status(self) -> str:
        """The session's, as lists of sessions show it."""
        return holdfast.Workspace(self.root).session(SESSION).status

    def check_end(self) -> None:
        """The session is finished, and equal to the unkilled run."""
        workspace = holdfast.Workspace(self.root)
        if (digest := workspace.digest(SESSION)) != self.reference.digest:
            self.problems.append(f"the digest is {digest}, and the unkilled run's is {self.reference.digest}")
        if (status := self.status()) != "finished":
            self.problems.append(f"the session is {status}, and should be finished")
        if self.cell.mode == "continuous" and self._done != self.reference.records:
            self.problems.append(f"there are {self._done} records of {self.reference.records}")
        self.problems += [f"{path} was left over" for path in self._litter(workspace)]

    def _litter(self, workspace: holdfast.Workspace) -> list[Path]:
        """Temporary files, and folders of checkpoints that were released before the last time that some were."""
        session = self.root / "sessions" / SESSION
        named = folders_named(workspace)
        folders = session / "checkpoints"
        left = [path for path in session.rglob("*") if path.name.endswith(".tmp")]
        return left + [path for path in folders.glob("*") if path.name not in named]


def folders_named(workspace: holdfast.Workspace) -> set[str]:
    """Folders of all checkpoints, but for those that were released and should be deleted by now."""
    stored: dict[int, set[str]] = {}
    last: set[str] = set()
    for record in workspace.records(SESSION, canonical=False):
        if record["kind"] == "checkpoint":
            stored[record["n"]] = {entry["name"].partition("/")[0] for entry in record.get("files", ())}
        elif record["kind"] == "released":
            last = set().union(*(stored.pop(n) for n in record["checkpoints"]))
    return last.union(*stored.values())


def watch(child: Child, plan: Plan) -> Seen:
    """Read what a child tells till it ends, and kill it where the plan says so."""
    seen, rest = Seen(), b""
    told = 0
    while True:
        if not select.select([child.acks], [], [], _HUNG_SECONDS)[0]:
            child.send(signal.SIGKILL)
            seen.place = "hung"
        data = os.read(child.acks, 1 << 18)
        if not data:
            break
        rest += data
        whole = len(rest) - len(rest) % MESSAGE.size
        seen.messages += map(Message._make, MESSAGE.iter_unpack(rest[:whole]))
        rest = rest[whole:]
        if plan.by == "parent" and told <= plan.record:
            told = sum(message.kind == RECORDED for message in seen.messages)
            if told >= plan.record:
                child.send(signal.SIGKILL)
                told = plan.record + 1
    seen.status = child.wait()
    if seen.place == "hung":
        seen.status = 1
    dying = next((message for message in seen.messages if message.kind == DYING), None)  # others may still speak after it
    seen.messages = [message for message in seen.messages if message.kind != DYING]
    last = seen.messages[-1] if seen.messages else None
    if dying is not None:
        seen.place, seen.was_replaying = PLACES[dying.value], bool(dying.replaying)
    elif last is None:
        seen.place = "recovery"
    elif last.kind in (OPENED, RECORDED):
        seen.place, seen.was_replaying = ("replay" if last.replaying else "record"), bool(last.replaying)
    else:
        seen.place = "close"
    seen.replay_total = next((message.value for message in seen.messages if message.kind == OPENED), 0)
    return seen


def count_points(children: Children, cell: Cell, folder: Path) -> Counts:
    """Come by every point in a healthy run, and in one that goes on from the middle."""
    counted: list[dict[Point, int]] = []
    for name in ("whole", "half"):
        root = folder / name
        if counted:
            half = sum(1 for _ in holdfast.Workspace(folder / "whole").records(SESSION)) // 2
            plan = Plan(by="itself", record=half)
            seen = watch(children.start(cell.order(root, plan), Surroundings(), folder / "errors.txt"), plan)
            assert seen.status == -signal.SIGKILL, (folder / "errors.txt").read_text(encoding="utf-8")
        layers: dict[Point, KillingFiles] = {}
        files: Files = RealFiles()
        for point in POINTS:
            files = layers[point] = KillingFiles(files, operation=point.operation, nth=0, role=point.role)
        execute(cell.order(root), files)
        counted.append({point: layer.seen for point, layer in layers.items()})
    for name in ("whole", "half"):
        shutil.rmtree(folder / name)
    return {point: (counted[0][point], counted[1][point]) for point in POINTS}


class Chooser:
    """Draws plans: a third by record number, some in the replay, the rest evenly over the named points."""

    def __init__(self, counts: Counts, records: int, rng: random.Random) -> None:
        self._counts, self._records, self._rng = counts, records, rng

    def __call__(self, starts: int, done: float) -> Plan:
        rng, left = self._rng, max(1, round(self._records * (1 - done)))
        drawn = rng.random()
        if drawn < 0.15:
            return Plan(by="parent", record=rng.randint(1, left))
        if drawn < 0.3:
            return Plan(by="itself", record=rng.randint(1, left))
        if drawn < 0.45 and starts:
            return Plan(by="replay", share=rng.random(), record=rng.randint(1, left))
        is_first = not starts
        points = [
            point
            for point, counts in self._counts.items()
            if counts[bool(starts)] and not (is_first and point.role == _LOCK)  # which is before the first record
        ]
        point = rng.choice(points)
        count = self._counts[point][bool(starts)]
        if starts and point.operation not in ("names", "read", "size"):  # those belong to opening, which does not get shorter
            count = min(count, math.ceil(count * 2 * (1 - done)))
        return Plan(
            by="files",
            operation=point.operation,
            role=point.role,
            when=rng.choice(POINTS[point]),
            nth=rng.randint(1, max(1, count)),
        )


def follow(plans: Iterable[Plan]) -> Callable[[int, float], Plan]:
    """These plans, then none."""
    waiting = iter(plans)
    return lambda starts, done: next(waiting, NOBODY)
