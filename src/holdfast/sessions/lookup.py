"""One checkpoint of a log: by its number, by its record, or the last one."""

from holdfast.errors import SessionNotFound, UsageError, line_about
from holdfast.records import Checkpoint, Released, decode_bookkeeping, kind_of
from holdfast.storage.reader import LogReader


def find_checkpoint(reader: LogReader, number: int) -> Checkpoint:
    """The record of a checkpoint by its number. Raises SessionNotFound, and UsageError for a released one."""
    released: set[int] = set()
    list_them = line_about(reader.folder, "checkpoints")
    for _, line in reader.read_backwards():
        if kind_of(line) not in ("checkpoint", "released"):
            continue
        record = decode_bookkeeping(line)
        if isinstance(record, Released):
            released.update(record.checkpoints)
        elif isinstance(record, Checkpoint) and record.number == number:
            if record.n in released:
                raise UsageError(
                    f"checkpoint {number} was released to make room, and its files may be gone. Nothing was changed; "
                    f"choose another one: {list_them}"
                )
            return record
    raise SessionNotFound(f"there is no checkpoint {number}; list them with: {list_them}")


def checkpoint_at(reader: LogReader, n: int) -> Checkpoint | None:
    """The checkpoint that record n is, or None."""
    if not 0 < n <= reader.last or kind_of(line := reader.find(n)) != "checkpoint":
        return None
    record = decode_bookkeeping(line)
    return record if isinstance(record, Checkpoint) else None


def last_number(reader: LogReader) -> int:
    """The number of the last checkpoint recorded, 0 where there is none."""
    for _, line in reader.read_backwards():
        if kind_of(line) == "checkpoint":
            record = decode_bookkeeping(line)
            return record.number if isinstance(record, Checkpoint) else 0
    return 0
