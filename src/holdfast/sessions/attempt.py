"""An attempt: from taking a session's lock to letting it go."""

import atexit
import os
import sys
import weakref
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from holdfast import codec
from holdfast.errors import DiskFull, HoldfastError, SessionClosed, SessionNotFound, WriteFailed
from holdfast.reading.catalog import MANIFEST_NAME, Manifest, config_of
from holdfast.reading.locate import located
from holdfast.recording.policy import SavePolicy
from holdfast.recording.recorder import Recorder
from holdfast.records import Checkpoint, Closed, Opened, Record, Resumed
from holdfast.sessions import fork
from holdfast.sessions.checkpoints import CheckpointStore, Tracked
from holdfast.sessions.folder import SessionFolder
from holdfast.sessions.listing import kept_checkpoints
from holdfast.sessions.lookup import checkpoint_at, last_number
from holdfast.sessions.manifest import rewrite_manifest, write_manifest
from holdfast.sessions.names import checked_name, new_name
from holdfast.sessions.parts import Parts, Settings
from holdfast.sessions.provenance import provenance
from holdfast.sessions.refusals import is_other_config, refuse_other_config
from holdfast.sessions.resume import Expectations, ResumePoint, find_resume_point
from holdfast.sessions.session import Run
from holdfast.storage import host
from holdfast.storage.files import Files, write_errors
from holdfast.storage.lock import Lock
from holdfast.storage.log import LogWriter
from holdfast.storage.reader import LogReader
from holdfast.storage.recovery import Past, check_closes, recover

_NOTICES_KEPT = 100
_open_attempts: "weakref.WeakSet[Attempt]" = weakref.WeakSet()


class Attempt:
    """One process life of a session. It holds the lock, writes the record that it begins with and the manifest, and takes the
    session's name along into a fork.

    Making one opens the session: all that is found, checked and put together before the program runs. run: what the program
    gets of it.
    """

    def __init__(
        self,
        files: Files,
        root: Path,
        name: str | None,
        policy: SavePolicy,
        settings: Settings,
        opened: Opened,
        tracked: Tracked,
    ) -> None:
        self._files, self._root, self._policy, self._opened = files, root, policy, opened
        self._began_ns = perf_counter_ns()
        self._notices: list[str] = []
        self._is_moving = False  # into a fork: the old log leads there already, or may
        self._folder = self._make_folder(name)
        try:
            self._lock = Lock(files, self._folder.lock, self._folder.name)
        except WriteFailed:
            self._folder.remove_unlocked()
            raise
        try:
            with write_errors(self._folder.path), located(files, self._folder.log):
                self.run = self._open(settings, tracked)
        except BaseException:
            self._folder.remove_if_empty()
            self._lock.release()
            raise
        _open_attempts.add(self)

    def _make_folder(self, name: str | None) -> SessionFolder:
        if name is not None:
            folder = SessionFolder(self._files, self._root, checked_name(name))
            folder.make()
            return folder
        while True:
            folder = SessionFolder(self._files, self._root, new_name())
            if not self._files.exists(folder.path):
                folder.make()
                return folder

    def _open(self, settings: Settings, tracked: Tracked) -> Run:
        folder, files = self._folder, self._files
        past = recover(files, folder.log, host.boot_id())
        folder.refuse_lost_end(past)
        self._past, self._number = past, past.attempts + 1
        reader = LogReader(files, folder.log, host.boot_id(), past)
        self._store = store = CheckpointStore(files, folder.checkpoints, self._number, 0)
        point = find_resume_point(reader, store.verify)
        check_closes(files, past, point.position)
        if point.closed is not None and point.closed.status == "forked" and point.closed.to is not None:
            return self._open_fork(point.closed.to, settings, tracked)
        before = config_of(reader)
        self._is_config_changed = point.opened is not None and is_other_config(before, self._opened.config)
        if point.opened is not None:
            refuse_other_config(folder.name, before, self._opened.config, settings)
        store.number = point.last_number
        store.sweep()
        folder.sweep()
        fork.sweep(folder)
        expectations = Expectations(reader, point)
        self._point, self._expectations = point, expectations
        self._recorder = recorder = Recorder(
            self._new_log(folder, past, point.chain),
            self._policy,
            matcher=expectations,
            position=point.position,
            on_begin=self._begin,
            on_divergence=lambda difference: self.run.diverged(difference),
            notice=self._notice,
        )
        self._note_what_happened(past, point)
        parts = Parts(
            folder=folder,
            attempt=self._number,
            recorder=recorder,
            tracked=tracked,
            store=store,
            point=point,
            expectations=expectations,
            settings=settings,
            is_config_changed=self._is_config_changed,
            notices=self._notices,
            notice=self._notice,
            fork=self._fork,
            on_closed=self._closed,
            checkpoint_at=lambda n: checkpoint_at(reader, n),
            kept_checkpoints=self._kept_checkpoints,
            began_ns=self._began_ns,
        )
        return Run(parts)

    def _open_fork(self, name: str, settings: Settings, tracked: Tracked) -> Run:
        """The name belongs to another session since a fork."""
        folder, before = SessionFolder(self._files, self._root, name), self._lock
        fork.complete(folder)  # of a process that was killed in the middle
        if not folder.exists:
            raise SessionNotFound(
                f"session {self._folder.name!r} was forked into {name!r}, which is not there any more (renamed or deleted). "
                "Nothing was changed; open it by its new name, or use another one"
            )
        lock = Lock(self._files, folder.lock, name)  # where it is busy, this is still the attempt on the old one
        self._folder, self._lock = folder, lock
        before.release()
        return self._open(settings, tracked)

    def _new_log(self, folder: SessionFolder, past: Past, chain: int) -> LogWriter:
        kind = host.file_system(folder.path)
        if (warning := host.degraded(kind)) is not None:
            self._notice(warning)
        return LogWriter(
            self._files,
            folder.log,
            past,
            session=folder.name,
            attempt=past.attempts + 1,
            boot=host.boot_id(),
            durability=self._policy.durability,
            use_map=self._policy.save_mode == "continuous" and host.can_map(kind),  # batches are one write each
            chain=chain,
        )

    def _notice(self, text: str) -> None:
        """Something the user should see: kept with the run, and logged as a warning."""
        import logging  # here, as it takes longer to import than to open a session

        if text in self._notices[-_NOTICES_KEPT:]:
            return  # said already
        self._notices.append(text)
        logging.getLogger("holdfast").warning(text)

    def _note_what_happened(self, past: Past, point: ResumePoint) -> None:
        if past.dropped:
            self._notice(f"after the power loss {past.dropped} records that were not synced do not count; their bytes are kept")
        for skipped in point.skipped:
            self._notice(skipped)

    def _begin(self) -> list[Record]:
        """The record that opens this attempt, made when it has something to record."""
        self._write_manifest("running", None)
        if self._point.opened is None:
            self._opened.session = self._folder.name
            self._opened.info = self._provenance()
            return [self._opened]
        return [self._resumed(self._number)]

    def _resumed(self, attempt: int) -> Resumed:
        """The record that begins a further attempt: where this program went on from, and its settings."""
        return Resumed(
            attempt=attempt,
            checkpoint=self._point.checkpoint.number if self._point.checkpoint else None,
            replay=self._expectations.rerun,
            skipped=self._point.skipped,
            epoch=self._opened.epoch,
            config=self._opened.config or {} if self._is_config_changed else None,
            info=self._provenance(),
        )

    def _closed(self, record: Closed) -> None:
        """The run has let go of its log."""
        _open_attempts.discard(self)
        try:
            if self._recorder.has_begun and not self._is_moving:
                self._write_manifest(record.status, record.reason)
            self._folder.remove_if_empty()
        finally:
            self._lock.release()

    def _fork(self, records: list[Record]) -> None:
        """Go on in a new session that shares the past, behind `records`; the old one says where its name leads from now on.

        The new one is put together in full beside its place. What the old log says makes it count, and then it gets its name: a
        kill before that leaves something to sweep, and one behind it something to name. What fails before that can be tried
        again; behind it nothing more is recorded, and the next attempt goes on in the new session.
        """
        recorder, old = self._recorder, self._folder
        recorder.flush_buffer()
        new, n = fork.free_folder(old), recorder.log.n
        with write_errors(old.path), located(self._files, old.log):
            stored = self._put_fork_together(new, records)
        closed = Closed(status="forked", reason="the program did not repeat itself", to=new.name, ts=recorder.now())
        self._is_moving = True
        try:
            with write_errors(new.path), located(self._files, new.log):
                recorder.log.append_batch([closed])
                recorder.log.sync(closed.ts)
                fork.complete(new)
                self._tell_of_fork(old)
                self._move_to(new, stored)
        except DiskFull as error:
            if recorder.log.settle()[0] == n:
                self._is_moving = False
                raise
            failed = WriteFailed(error.path, error.reason)  # space alone does not mend this
            recorder.fail(failed)
            raise failed from error
        except BaseException as error:
            interrupted = WriteFailed(new.path, "the way into this fork was interrupted")
            recorder.fail(error if isinstance(error, HoldfastError) else interrupted)
            raise
        self._is_moving = False

    def _put_fork_together(self, new: SessionFolder, records: list[Record]) -> int:
        """Everything of a fork but its name. Returns the number of the last checkpoint that was stored."""
        recorder, old = self._recorder, self._folder
        reader = LogReader(self._files, old.log, host.boot_id())
        half = fork.half_of(new)
        fork.remove(self._files, half.path)  # of a try that failed
        past = fork.share_past(old, half, reader.past)
        # A segment of its own vouches for what the shared ones hold, closed or not.
        first = self._new_log(half, past, find_resume_point(reader, lambda _: None).chain)
        begun = [self._resumed(past.attempts + 1), *records]
        for record in begun:
            record.ts = recorder.now()
        try:
            first.append_batch(begun)
            reason = f"forked from {old.name!r}: the program did not repeat itself"
            first.close(Closed(status="interrupted", reason=reason, ts=recorder.now()))
        finally:
            first.release()
        return max(last_number(reader), self._store.number)  # the last one may be stored, and not recorded yet

    def _tell_of_fork(self, old: SessionFolder) -> None:
        try:
            rewrite_manifest(old)
        except OSError as error:
            self._notice_stale(old, error)

    def _move_to(self, new: SessionFolder, stored: int) -> None:
        """Go on in a fork. stored: number of the last checkpoint."""
        lock = Lock(self._files, new.lock, new.name)
        try:
            past = recover(self._files, new.log, host.boot_id())
            reader = LogReader(self._files, new.log, host.boot_id(), past)
            log = self._new_log(new, past, find_resume_point(reader, lambda _: None).chain)
            self._recorder.continue_in(log)
        except BaseException:
            lock.release()
            raise
        before, self._lock = self._lock, lock
        self._folder, self._past, self._number = new, past, past.attempts + 1
        self._store = CheckpointStore(self._files, new.checkpoints, self._number, stored)
        self.run.move_to(new, self._store, self._number)
        before.release()

    def _kept_checkpoints(self) -> tuple[list[Checkpoint], set[int]]:
        return kept_checkpoints(LogReader(self._files, self._folder.log, host.boot_id()))

    def _provenance(self) -> dict[str, Any]:
        return codec.snapshot(provenance(), "info")  # type: ignore[return-value]  # a dict stays one

    def in_forked_child(self) -> None:
        """The child lets go of its copies: it never writes here, and does not hold the lock when the parent is gone."""
        self._recorder.forget_in_child(
            SessionClosed(f"session {self._folder.name!r} belongs to the parent process; a forked child records nothing in it")
        )
        self._lock.abandon()
        self.run.let_go_of_signals()

    def at_exit(self) -> None:
        """The program ends without having closed the session."""
        error = None if hasattr(sys, "ps1") else getattr(sys, "last_value", None)  # at a prompt it may be of any line before
        reason = f"{type(error).__name__}: {error}" if error is not None else None
        self.run.end("failed" if reason else "interrupted", reason or "the program ended without closing it")

    def _write_manifest(self, status: str, reason: str | None) -> None:
        """A cache: where it cannot be written the log still has everything."""
        opened = self._point.opened or self._opened
        now = self._recorder.now()
        manifest = Manifest(
            name=self._folder.name,
            status=status,
            reason=reason,
            attempts=self._number,
            records=self._recorder.log.n,
            bytes=self._recorder.log.bytes_appended + sum(extent.end for extent in self._past.extents),
            created=opened.ts or now,
            updated=now,
            epoch=self._opened.epoch,
            tags=opened.tags,
            notes=opened.notes,
            config=self._opened.config,
        )
        try:
            write_manifest(self._files, self._folder.path, manifest)
        except OSError as error:
            self._notice_stale(self._folder, error)

    def _notice_stale(self, folder: SessionFolder, error: OSError) -> None:
        self._notice(f"{folder.path / MANIFEST_NAME}: {error.strerror}; it is only a cache, and can be rebuilt")


def _after_fork() -> None:
    for attempt in list(_open_attempts):
        attempt.in_forked_child()


def _at_exit() -> None:
    for attempt in list(_open_attempts):
        attempt.at_exit()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
