"""What is done to a session from outside: fork, rewind, annotate, rename, delete. Each holds its lock meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time_ns

import msgspec

from holdfast.errors import Corrupted, SessionNotFound, StorageError, UsageError, line_about, line_in
from holdfast.reading.catalog import MANIFEST_NAME, NO_SEGMENT, had_records
from holdfast.reading.locate import located
from holdfast.reading.superseded import is_dead
from holdfast.reading.view import superseded_records
from holdfast.recording.fields import text_value
from holdfast.records import Annotated, Checkpoint, Closed, Range, Superseded
from holdfast.sessions import fork as forking
from holdfast.sessions.checkpoints import CheckpointStore
from holdfast.sessions.folder import SessionFolder
from holdfast.sessions.lookup import find_checkpoint
from holdfast.sessions.manifest import rewrite_manifest
from holdfast.sessions.names import checked_name
from holdfast.sessions.resume import find_resume_point
from holdfast.storage import host
from holdfast.storage.files import Files
from holdfast.storage.lock import Lock
from holdfast.storage.log import LogWriter
from holdfast.storage.reader import LogReader
from holdfast.storage.recovery import Past, recover


class DeletePlan(msgspec.Struct, frozen=True):
    """What deleting a session would remove."""

    session: str
    files: tuple[Path, ...]
    bytes: int


def find_session(files: Files, root: Path, name: str) -> SessionFolder:
    """The folder of a session in which something was recorded, even if that is gone. Raises SessionNotFound, with names that
    come close."""
    folder = SessionFolder(files, root, checked_name(name))
    if not had_records(files, folder.path):
        from difflib import get_close_matches

        known = [other for other in files.names(root / "sessions") if not other.startswith(".") and other != folder.name]
        close = get_close_matches(name, known, n=3)
        hint = f"; did you mean {', '.join(map(repr, close))}?" if close else f"; list them with: {line_in(root, 'sessions')}"
        raise SessionNotFound(f"there is no session {name!r} in {root}{hint}")
    return folder


def fork_session(folder: SessionFolder, number: int, to: str | None) -> SessionFolder:
    """A new session that shares the past up to a checkpoint, and goes on from it. The old one is not changed."""
    target = forking.free_folder(folder) if to is None else SessionFolder(folder.files, folder.root, checked_name(to))
    with _held(folder) as past:
        reader = LogReader(folder.files, folder.log, host.boot_id(), past)
        checkpoint = _find_resumable(folder, reader, number)
        if folder.files.exists(target.path):
            raise UsageError(f"there is a session or folder {target.name!r} already. Nothing was changed; choose another name")
        ranges = forking.ranges_behind(reader, checkpoint, checkpoint.n)
        half = forking.half_of(target)
        forking.remove(folder.files, half.path)  # of a fork that was killed
        shared = forking.share_past(folder, half, forking.cut(folder.files, past, checkpoint.n))
        _append(half, target.name, shared, ranges, checkpoint.n, f"forked from {folder.name!r} at checkpoint {number}")
        folder.files.rename(half.path, target.path)
        folder.files.sync_folder(target.path.parent)
    return target


def rewind_session(folder: SessionFolder, number: int) -> None:
    """Have the session go on from an earlier checkpoint. What was recorded behind it stays in the log, superseded."""
    with _held(folder) as past:
        reader = LogReader(folder.files, folder.log, host.boot_id(), past)
        checkpoint = _find_resumable(folder, reader, number)
        if is_dead(checkpoint, superseded_records(reader)):
            raise UsageError(
                f"checkpoint {number} holds what was superseded since. Nothing was changed; go on from it in a session of its "
                f"own, with: {line_about(folder.path, 'fork', '--at', str(number))}"
            )
        ranges = forking.ranges_behind(reader, checkpoint, past.last)
        _append(folder, folder.name, past, ranges, checkpoint.n, f"rewound to checkpoint {number}")


def annotate_session(folder: SessionFolder, text: str) -> None:
    """Append a remark to the log. The run itself, and its digest, stay what they are."""
    shown, _ = text_value(text, "note.text")
    with _held(folder) as past:
        reader = LogReader(folder.files, folder.log, host.boot_id(), past)
        point = find_resume_point(reader, lambda _: None)
        log = _writer(folder, folder.name, past, point.chain)
        before = point.closed if reader.find(past.last).startswith(b'{"kind":"closed"') else None
        log.append_batch([Annotated(ts=_now(), text=shown)])
        status, reason = (before.status, before.reason) if before else ("interrupted", "the process was killed")
        log.close(Closed(ts=_now(), status=status, reason=reason, to=before.to if before else None))
        _update_manifest(folder, folder.name)


def rename_session(folder: SessionFolder, to: str) -> SessionFolder:
    """Give a session another name."""
    target = SessionFolder(folder.files, folder.root, checked_name(to))
    with _locked(folder):
        if folder.files.exists(target.path):
            raise UsageError(f"there is a session {target.name!r} already; nothing was changed")
        folder.files.rename(folder.path, target.path)
        folder.files.sync_folder(target.path.parent)
    return target


def plan_delete(folder: SessionFolder) -> DeletePlan:
    """What deleting the session would remove."""
    paths = tuple(_walk(folder.files, folder.path))
    size = 0
    for path in paths:
        file = folder.files.open(path)
        try:
            size += file.size()
        finally:
            file.close()
    return DeletePlan(folder.name, paths, size)


def delete_session(folder: SessionFolder) -> DeletePlan:
    """Remove a session for good. It is renamed first, so that a half-done deletion is no half session."""
    plan = plan_delete(folder)
    files = folder.files
    with _locked(folder):
        gone = folder.path.with_name(f".{folder.name}.deleted")
        forking.remove(files, gone)  # of a deletion that was killed
        files.rename(folder.path, gone)
        files.sync_folder(gone.parent)
        forking.remove(files, gone)
    return plan


def _find_resumable(folder: SessionFolder, reader: LogReader, number: int) -> Checkpoint:
    """A checkpoint that a run can go on from, its files verified."""
    checkpoint = find_checkpoint(reader, number)
    if checkpoint.at is None:
        raise UsageError(
            f"checkpoint {number} was taken outside every loop and step, where a run cannot go on; choose another one "
            f"({line_about(folder.path, 'checkpoints')}), or take its state with: "
            f"{line_about(folder.path, 'export-checkpoint', str(number), 'state.json')}"
        )
    CheckpointStore(folder.files, folder.checkpoints, 0, 0).verify(checkpoint)
    return checkpoint


@contextmanager
def _locked(folder: SessionFolder) -> Iterator[None]:
    lock = Lock(folder.files, folder.lock, folder.name)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _held(folder: SessionFolder) -> Iterator[Past]:
    """The log as it is, while nobody else may write it. Raises Corrupted where a part that was closed is gone from its end."""
    with _locked(folder), located(folder.files, folder.log):
        past = recover(folder.files, folder.log, host.boot_id())
        if not past.highest_segment:
            raise Corrupted(folder.log, 0, NO_SEGMENT)
        folder.refuse_lost_end(past)
        yield past


def _writer(folder: SessionFolder, name: str, past: Past, chain: int) -> LogWriter:
    return LogWriter(
        folder.files,
        folder.log,
        past,
        session=name,
        attempt=past.attempts + 1,
        boot=host.boot_id(),
        durability="process",
        use_map=False,
        chain=chain,
    )


def _append(folder: SessionFolder, name: str, past: Past, ranges: list[Range], rewound: int, reason: str) -> None:
    """An attempt of its own that only says from where the next one goes on: the checkpoint that record `rewound` is."""
    reader = LogReader(folder.files, folder.log, host.boot_id(), past)
    log = _writer(folder, name, past, find_resume_point(reader, lambda _: None).chain)
    log.append_batch([Superseded(ts=_now(), ranges=ranges, reason=reason, rewound=rewound)])
    log.close(Closed(ts=_now(), status="interrupted", reason=reason))
    _update_manifest(folder, name)


def _update_manifest(folder: SessionFolder, name: str) -> None:
    """What was done stands in the log: a cache that cannot be written is told of, and fails nothing."""
    try:
        rewrite_manifest(folder, name)
    except (StorageError, OSError) as error:
        import logging  # here, as it takes longer to import than all the rest

        logging.getLogger("holdfast").warning(
            f"{folder.path / MANIFEST_NAME}: {getattr(error, 'strerror', None) or error}; it is only a cache, and what was "
            "done stands in the log. Delete it to have lists made from the log"
        )


def _walk(files: Files, path: Path) -> Iterator[Path]:
    for entry in sorted(path.rglob("*")):
        if entry.is_file():
            yield entry


def _now() -> int:
    return time_ns() // 1000
