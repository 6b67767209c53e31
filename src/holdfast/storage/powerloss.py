"""What a disk may hold after power loss: a trace of file operations, and every state that it leaves possible.

The model, stricter than any file system we run on:

- Each 512-byte sector of a file holds any version it has had since the file's last sync, the synced one included. One
  never written reads zeros. The zeros behind the end of a file that was cut are a version of its last sector.
- A file's size is any it has had since its last sync, whatever became of the sectors. A larger one reads zeros.
- Each create, link, rename, unlink, mkdir and rmdir has happened or not, independent of all data and of each other,
  until its folder (a rename's: that of the new name) is synced. A rename is atomic, and without effect where what it
  would rename was lost.
- Syncing a file makes its bytes durable, never its name.
"""

import os
import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, product
from math import prod
from pathlib import Path
from typing import Generic, TypeVar

from holdfast.errors import InvalidSetting
from holdfast.storage.traced import Entries, FolderSynced, NameChanged, Resized, Synced, Trace, Written

SECTOR = 512

T = TypeVar("T")


def power_loss_states(trace: Trace, at: int, *, limit: int = 4096, sample: int = 2000, seed: int = 0) -> Iterator["DiskState"]:
    """Every state of the disk that power loss after the first `at` operations can leave, each once.

    Where more than `limit` combinations are open, a sample of them: first the two extremes (everything survived,
    nothing unsynced did), then others by the seed, `sample` in all or as many as differ.
    """
    if not 0 <= at <= len(trace):
        raise InvalidSetting(f"at is 0 to {len(trace)}, the operations of the trace")
    disk = _Disk(trace, at)
    slots = disk.slots
    if prod(len(slot) for slot in slots) <= limit:
        choices: Iterator[Sequence[int]] = product(*(range(len(slot)) for slot in slots))
    else:
        choices = _draws(disk, 4 * sample, random.Random(seed))
        limit = sample
    seen: set[tuple[object, ...]] = set()
    for choice in choices:
        state = DiskState(disk, choice)
        key = state.key()
        if key not in seen:
            seen.add(key)
            yield state
            if len(seen) >= limit:
                return


class DiskState:
    """One possible content of the disk. Cheap to keep: what all states have in common is shared."""

    def __init__(self, disk: "_Disk", choice: Sequence[int]) -> None:
        self._disk, self._choice = disk, choice

    def write_to(self, folder: Path) -> None:
        """Write it as real files into an empty folder."""
        written: dict[int, Path] = {}
        for name, node in self._names():
            path = folder / name
            if node not in self._disk.files:
                os.mkdir(path)
            elif node in written:
                os.link(written[node], path)
            else:
                written[node] = path
                with path.open("xb", buffering=0) as file:
                    file.write(self._content(node))

    def contents(self) -> dict[str, bytes | None]:
        """The same by relative path: bytes for a file, None for a folder."""
        return {name: self._content(node) if node in self._disk.files else None for name, node in self._names()}

    def describe(self) -> str:
        """Say in one line what was lost."""
        lost = [str(change) for change, happened in zip(self._disk.changes, self._choice, strict=False) if not happened]
        parts = ["lost: " + ", ".join(lost)] if lost else []
        for name, node in self._names():
            if file := self._disk.files.get(node):
                size, newest = file.size.values[self._choice[file.size_slot]], file.size.values[file.size.newest]
                older = [n for n, (slot, sector) in file.sectors.items() if self._choice[slot] != sector.newest]
                older = [n for n in older if n * SECTOR < size]
                parts += [f"{name}: size {size} instead of {newest}"] * (size != newest)
                parts += [f"{name}: older sectors {_runs(older)} of {len(file.sectors)} unsynced"] * bool(older)
        return "; ".join(parts) or "everything survived"

    def key(self) -> tuple[object, ...]:
        """Equal keys mean equal states, whatever was chosen for what cannot be seen."""
        parts: list[object] = []
        for name, node in self._names():
            parts += (name, node)
            if file := self._disk.files.get(node):
                size = file.size.values[self._choice[file.size_slot]]
                whole = size // SECTOR
                parts += (size, tuple(self._choice[slot] for n, (slot, _) in file.sectors.items() if n < whole))
                if whole in file.sectors:
                    slot, sector = file.sectors[whole]
                    parts.append(sector.values[self._choice[slot]][: size % SECTOR])
        return tuple(parts)

    def _names(self) -> Iterator[tuple[str, int]]:
        """Every name with what it stands for, folders before what they hold."""
        entries: Entries = {folder: dict(names) for folder, names in self._disk.entries.items()}
        for change, happened in zip(self._disk.changes, self._choice, strict=False):
            if happened:
                change.apply(entries)

        def walk(folder: int, prefix: str) -> Iterator[tuple[str, int]]:
            for name, node in sorted(entries[folder].items()):
                yield prefix + name, node
                if node in entries:
                    yield from walk(node, f"{prefix}{name}/")

        return walk(0, "")

    def _content(self, node: int) -> bytes:
        file = self._disk.files[node]
        size = file.size.values[self._choice[file.size_slot]]
        if size == len(file.image) and not file.sectors:
            return file.image
        content = bytearray(file.image[:size]).ljust(size, b"\0")
        for number, (slot, sector) in file.sectors.items():
            start = number * SECTOR
            if start < size:
                content[start : start + SECTOR] = sector.values[self._choice[slot]][: size - start]
        return bytes(content)


class _Slot:
    """Something on the disk that may be any of the values it has had, numbered from 0, the synced one."""

    def __init__(self) -> None:
        self._times, self._numbers, self._count = [-1], [0], 1

    def __len__(self) -> int:
        return self._count

    def add(self, time: int, number: int) -> None:
        """It took the value of that number with the operation of that time."""
        self._times.append(time)
        self._numbers.append(number)
        self._count = max(self._count, number + 1)

    @property
    def newest(self) -> int:
        return self._numbers[-1]

    def as_of(self, time: int) -> int:
        """The value that it had after the operation of that time."""
        return self._numbers[bisect_right(self._times, time) - 1]

    def if_touched_after(self, time: int) -> int:
        """The newest value where that is younger than time, else the synced one."""
        return self.newest if self._times[-1] > time else 0


class _Open(_Slot, Generic[T]):
    """A slot with its values."""

    def __init__(self, synced: T) -> None:
        super().__init__()
        self.values = [synced]

    def take(self, time: int, value: T) -> None:
        if value not in self.values:
            self.values.append(value)
        self.add(time, self.values.index(value))


@dataclass(frozen=True)
class _OpenFile:
    """A file as synced, and what is open of it, with the numbers of the slots."""

    image: bytes
    size: _Open[int]
    size_slot: int
    sectors: dict[int, tuple[int, _Open[bytes]]]


class _Disk:
    """What is durable after the first `at` operations of a trace, and every open slot: names, sizes, sectors."""

    def __init__(self, trace: Trace, at: int) -> None:
        self.at = at
        self.entries: Entries = {folder: dict(names) for folder, names in trace.entries.items()}
        pending: list[tuple[int, NameChanged]] = []
        files = {node: _File(image) for node, image in trace.images.items()}
        for time, operation in enumerate(trace.operations[:at]):
            match operation:
                case Written() | Resized():
                    files[operation.file].since.append((time, operation))
                case Synced():
                    files[operation.file].sync()
                case FolderSynced():
                    pending = self._settle(pending, operation.folder)
                case NameChanged():
                    pending.append((time, operation))
                    if operation.kind == "create":
                        files[operation.node] = _File()
                    elif operation.kind == "mkdir":
                        self.entries[operation.node] = {}
        durable = {node for names in self.entries.values() for node in names.values()}
        reachable = sorted(durable.union(change.node for _, change in pending) & files.keys())
        self.changes = [change for _, change in pending]
        self.name_slots = [_Slot() for _ in pending]
        for slot, (time, _) in zip(self.name_slots, pending, strict=True):
            slot.add(time, 1)
        parts = [files[node].open_parts() for node in reachable]
        self.size_slots = [size for size, _ in parts]
        self.sector_slots = [sector for _, sectors in parts for sector in sectors.values()]
        self.files: dict[int, _OpenFile] = {}
        place = len(pending) + len(parts)
        for number, (node, (size, sectors)) in enumerate(zip(reachable, parts, strict=True)):
            numbered = {key: (place + i, sector) for i, (key, sector) in enumerate(sectors.items())}
            place += len(sectors)
            self.files[node] = _OpenFile(bytes(files[node].image), size, len(pending) + number, numbered)

    @property
    def slots(self) -> list[_Slot]:
        return [*self.name_slots, *self.size_slots, *self.sector_slots]

    def _settle(self, pending: list[tuple[int, NameChanged]], folder: int) -> list[tuple[int, NameChanged]]:
        """Make durable what a folder's sync does, with everything earlier that it rests on; the rest stays pending."""
        settled: list[NameChanged] = []
        rest: list[tuple[int, NameChanged]] = []
        needed: set[tuple[int, str]] = set()
        for time, change in reversed(pending):
            if change.is_settled_by(folder) or change.places & needed:
                needed |= change.places
                settled.append(change)
            else:
                rest.append((time, change))
        for change in reversed(settled):
            change.apply(self.entries)
        return rest[::-1]


class _File:
    """A file during the replay of a trace: what is durable of it, and what was done since."""

    def __init__(self, image: bytes = b"") -> None:
        self.image: bytes | bytearray = image
        self.since: list[tuple[int, Written | Resized]] = []

    def sync(self) -> None:
        if self.since:
            image = self.image if isinstance(self.image, bytearray) else bytearray(self.image)
            for _, operation in self.since:
                _apply(operation, image)
            self.image = image
            self.since.clear()

    def open_parts(self) -> tuple[_Open[int], dict[int, _Open[bytes]]]:
        """The size, and each sector that has had more than one version since the last sync."""
        content, size, sectors = bytearray(self.image), _Open(len(self.image)), dict[int, _Open[bytes]]()
        used = _sectors(0, len(content)).stop  # no sector from here on has ever held anything but zeros
        for time, operation in self.since:
            before = len(content)
            _apply(operation, content)
            if len(content) != before:
                size.take(time, len(content))
            start, end = _stretch(operation)
            gap = _sectors(before, start)  # reads zeros now, also where something stood before it was cut
            touched = _sectors(start, end)
            for number in chain(range(gap.start, min(gap.stop, used, touched.start)), touched):
                if number not in sectors:
                    sectors[number] = _Open(_sector(self.image, number))
                sectors[number].take(time, _sector(content, number))
            used = max(used, touched.stop)
        return size, {number: sectors[number] for number in sorted(sectors) if len(sectors[number]) > 1}


def _stretch(operation: Written | Resized) -> tuple[int, int]:
    """The bytes that an operation sets. Cutting sets those of the last sector that stand behind the new end."""
    if isinstance(operation, Written):
        return operation.offset, operation.offset + len(operation.data)
    return operation.size, operation.size + -operation.size % SECTOR


def _sectors(start: int, end: int) -> range:
    return range(start // SECTOR, -(-end // SECTOR))


def _sector(content: bytes | bytearray, number: int) -> bytes:
    return bytes(content[number * SECTOR : (number + 1) * SECTOR]).ljust(SECTOR, b"\0")


def _apply(operation: Written | Resized, content: bytearray) -> None:
    start = operation.offset if isinstance(operation, Written) else operation.size
    if len(content) < start:
        content.extend(bytes(start - len(content)))
    if isinstance(operation, Written):
        content[start : start + len(operation.data)] = operation.data
    else:
        del content[start:]


def _draws(disk: _Disk, draws: int, rng: random.Random) -> Iterator[list[int]]:
    """Choices that find torn middles: sectors are lost in many patterns, under names and sizes that mostly survive."""
    yield [slot.newest for slot in disk.slots]
    yield [0 for _ in disk.slots]
    for _ in range(draws):
        time = rng.randrange(-1, disk.at)
        pattern = rng.random()
        if pattern < 0.1:  # in the order of the program: nothing after some moment
            yield [slot.as_of(time) for slot in disk.slots]
        elif pattern < 0.2:  # or only what came after it
            yield [slot.if_touched_after(time) for slot in disk.slots]
        else:
            names = _mostly_newest(disk.name_slots, time, rng)
            sizes = _mostly_newest(disk.size_slots, time, rng)
            yield names + sizes + _torn(disk.sector_slots, time, rng)


def _mostly_newest(slots: Sequence[_Slot], time: int, rng: random.Random) -> list[int]:
    pattern = rng.random()
    choice = [slot.newest for slot in slots]
    if not slots or pattern < 0.6:
        return choice
    if pattern < 0.75:
        return [rng.randrange(len(slot)) for slot in slots]
    if pattern < 0.85:
        return [slot.as_of(time) for slot in slots]
    one = rng.randrange(len(slots))
    choice[one] = rng.randrange(len(slots[one]))
    return choice


def _torn(slots: Sequence[_Slot], time: int, rng: random.Random) -> list[int]:
    pattern = rng.random()
    if not slots or pattern < 0.1:
        return [slot.as_of(time) for slot in slots]
    if pattern < 0.2:
        return [slot.if_touched_after(time) for slot in slots]
    if pattern < 0.4:  # each by itself
        share = rng.choice((0.05, 0.3, 0.5, 0.7, 0.95))
        return [slot.newest if rng.random() < share else rng.randrange(len(slot)) for slot in slots]
    # A run of sectors: a single one, a few, or all up to the end or from the start. Rewritten ones are hit more often.
    busy = [number for number, slot in enumerate(slots) if len(slot) > 2] if rng.random() < 0.5 else []
    start = rng.choice(busy) if busy else rng.randrange(len(slots))
    length = rng.choice((1, 1, 1, 2, 4, 16, len(slots)))
    run = range(start, min(start + length, len(slots)))
    survives = pattern < 0.55  # the run alone, else all but the run
    choice = [0 for _ in slots] if survives else [slot.newest for slot in slots]
    for number in run:
        slot = slots[number]
        older = rng.randrange(len(slot) - 1)
        choice[number] = slot.newest if survives else older + (older >= slot.newest)
    return choice


def _runs(numbers: Sequence[int]) -> str:
    """1, 2, 3, 7 as "1-3, 7"; a long list is cut."""
    known = set(numbers)
    starts = [n for n in numbers if n - 1 not in known]
    ends = [n for n in numbers if n + 1 not in known]
    runs = [str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True)]
    return ", ".join(runs[:6]) + (", …" if len(runs) > 6 else "")
