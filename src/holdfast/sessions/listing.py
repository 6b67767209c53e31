"""The checkpoints of a log, as a list."""

from collections.abc import Callable

import msgspec

from holdfast.errors import HoldfastError
from holdfast.reading.superseded import is_dead
from holdfast.records import Checkpoint, Released, Superseded, decode_bookkeeping, kind_of
from holdfast.storage.reader import LogReader


class CheckpointInfo(msgspec.Struct, frozen=True):
    """One checkpoint. at: the loop or step it lies in, None outside. dead: its state holds superseded records. problem: why its
    files are not what was written (never checked for released ones)."""

    number: int
    n: int
    ts: int
    name: str | None
    position: int
    at: str | None
    step: int | None
    size: int
    released: bool
    dead: bool
    problem: str | None
    problem_path: str
    problem_offset: int


def list_checkpoints(reader: LogReader, verify: Callable[[Checkpoint], None]) -> list[CheckpointInfo]:
    """All checkpoints, oldest first; `verify` raises where a checkpoint's files are not what was written."""
    records, released, superseded = _read(reader)
    return [_describe(record, record.n in released, superseded, verify) for record in records]


def kept_checkpoints(reader: LogReader) -> tuple[list[Checkpoint], set[int]]:
    """The checkpoints that are not released, oldest first, and the numbers of the records of those that are dead."""
    records, released, superseded = _read(reader)
    kept = [record for record in records if record.n not in released]
    return kept, {record.n for record in kept if is_dead(record, superseded)}


def _read(reader: LogReader) -> tuple[list[Checkpoint], set[int], list[Superseded]]:
    """All checkpoints in order, the numbers of the records of released ones, and what was superseded."""
    records: list[Checkpoint] = []
    superseded: list[Superseded] = []
    released: set[int] = set()
    for _, line in reader.read():
        if kind_of(line) in ("checkpoint", "released", "superseded"):
            record = decode_bookkeeping(line)
            if isinstance(record, Checkpoint):
                records.append(record)
            elif isinstance(record, Released):
                released.update(record.checkpoints)
            elif isinstance(record, Superseded):
                superseded.append(record)
    return records, released, superseded


def _describe(
    record: Checkpoint, is_released: bool, superseded: list[Superseded], verify: Callable[[Checkpoint], None]
) -> CheckpointInfo:
    problem, path, offset = None, "", 0
    if not is_released:
        try:
            verify(record)
        except HoldfastError as error:
            problem = getattr(error, "reason", str(error))
            path, offset = str(getattr(error, "path", "")), getattr(error, "offset", 0)
    steps = [loop.next for loop in record.loops if loop.key == record.at]
    return CheckpointInfo(
        number=record.number,
        n=record.n,
        ts=record.ts,
        name=record.name,
        position=record.position["main"],
        at=record.at,
        step=steps[0] if steps else None,
        size=record.size,
        released=is_released,
        dead=is_dead(record, superseded),
        problem=problem,
        problem_path=path,
        problem_offset=offset,
    )
