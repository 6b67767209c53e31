"""The front door to what was saved: sessions, records, checkpoints, and what is done to them from outside."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, overload

import msgspec

from holdfast.errors import Corrupted, HoldfastError, SessionNotFound, WorkspaceUnusable
from holdfast.guide.exporting import Exporting
from holdfast.importing.bringing import Bringing
from holdfast.reading import verify as verifying
from holdfast.reading.catalog import NO_SEGMENT, closed_with, describe_session, had_records, list_sessions, provenance_of
from holdfast.reading.catalog import Manifest as SessionInfo
from holdfast.reading.comparing import Comparing
from holdfast.reading.digest import Digest, digest_of
from holdfast.reading.filters import Moment, Names, filter_of
from holdfast.reading.follower import Consumer, Follower
from holdfast.reading.loader import Rows, Source
from holdfast.reading.locate import located
from holdfast.reading.opening import open_log
from holdfast.reading.outline import Outlines
from holdfast.reading.plotting import Plotting
from holdfast.reading.rows import CheckpointRow
from holdfast.reading.saved import Saved
from holdfast.reading.seal import Sealed, seal_log
from holdfast.reading.search import Searcher, Searching
from holdfast.reading.shelves import checkpoint_shelf
from holdfast.reading.sql.asking import Asker, Asking
from holdfast.reading.statistics import KindStatistics, statistics_of
from holdfast.reading.verify import LogCheck, Problem
from holdfast.reading.view import all_records, canonical_records
from holdfast.records import Checkpoint
from holdfast.sessions import care
from holdfast.sessions.care import DeletePlan
from holdfast.sessions.checkpoints import CheckpointStore
from holdfast.sessions.export import export_state
from holdfast.sessions.folder import SessionFolder
from holdfast.sessions.listing import CheckpointInfo, list_checkpoints
from holdfast.sessions.lookup import find_checkpoint
from holdfast.sessions.opening import REAL_FILES, workspace_root
from holdfast.storage.host import boot_id
from holdfast.storage.lock import living_holder
from holdfast.storage.reader import LogReader

Lines = Iterator[tuple[int, dict[str, Any]]]


class Verification(msgspec.Struct, frozen=True):
    """What checking every byte of a session found."""

    session: str
    records: int
    bytes: int
    checkpoints: int
    torn: int
    problems: tuple[Problem, ...]


class Workspace(Saved, Searching, Asking, Comparing, Plotting, Exporting, Bringing):
    """The sessions under one folder: root, else HOLDFAST_ROOT, else "training". What was saved: see Saved and Searching.

    Methods that take a session's name raise SessionNotFound; those that change one raise SessionBusy while it runs.
    Reading never writes to a session, and never blocks its writer.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        self.root = workspace_root(root)
        self._files = REAL_FILES
        self._outlines = Outlines()
        self._searcher = Searcher(self._files, self.root)
        self._asker = Asker()

    def sessions(self) -> list[SessionInfo]:
        """Every session in which something was recorded, newest first."""
        with self._readable():
            return list_sessions(self._files, self.root)

    def session(self, name: str) -> SessionInfo:
        """One session."""
        found = describe_session(self._files, self.root, self._folder(name).name)
        if found is None:  # its process has only begun
            raise SessionNotFound(f"nothing was recorded in session {name!r} yet")
        return found

    def records(self, name: str, *, canonical: bool = True, first: int = 1) -> Iterator[dict[str, Any]]:
        """The decoded lines of a session from number `first` on: the run itself, or with canonical=False everything.

        User values are as they are stored; holdfast.codec.decode gives back what was put in.
        """
        read = canonical_records if canonical else all_records
        return self._located(name, read(self._reader(name), first))

    def follow(self, name: str, *, first: int = 1) -> "Follow":
        """The records of a session as they come, from number `first` on; see Follow.poll."""
        return Follow(self._reader(name), first, lambda lines: self._located(name, lines))

    def follower(self, consumer: Consumer, *, session: Names = None, batch_records: int = 5000) -> Follower:
        """What hands each record of these sessions to a consumer once, also of those that are begun later where none is named;
        see Follower.poll."""
        if session is not None:
            self._sources(session, None)
        return Follower(lambda: self._sources_now(session), consumer, batch_records=batch_records)

    def is_running(self, name: str) -> bool:
        """Whether a process has the session open, as far as can be seen from this machine. Reads nothing of the log."""
        return living_holder(self._files, self._folder(name).lock) is not None

    def provenance(self, name: str) -> dict[str, Any]:
        """What the last attempt recorded of its process, by the names of docs/reference.md. Empty if nothing."""
        with self._reading(name) as reader:
            return provenance_of(reader)

    def digest(self, name: str, progress: Callable[[int], object] = lambda n: None) -> str:
        """The digest of a session: equal digests mean the same run. Raises Corrupted as digest_parts does."""
        return self.digest_parts(name, progress).sha256

    def digest_parts(self, name: str, progress: Callable[[int], object] = lambda n: None) -> Digest:
        """The digest, with the parts it is made of, lane by lane. Raises Corrupted where a byte is not what was written."""
        reader = self._reader(name)  # first: a log that cannot be read says why itself
        self._refuse_damage(name)
        with located(self._files, self._folder(name).log):
            return digest_of(reader, progress)

    @overload
    def checkpoints(self, name: str) -> list[CheckpointInfo]: ...
    @overload
    def checkpoints(
        self,
        name: None = None,
        *,
        session: Names = None,
        epoch: int | None = None,
        since: Moment = None,
        until: Moment = None,
        last: int | None = None,
    ) -> Rows[CheckpointRow]: ...
    def checkpoints(
        self,
        name: str | None = None,
        *,
        session: Names = None,
        epoch: int | None = None,
        since: Moment = None,
        until: Moment = None,
        last: int | None = None,
    ) -> list[CheckpointInfo] | Rows[CheckpointRow]:
        """All checkpoints of a session, oldest first, their files checked; without a name a lazy sequence of their records."""
        if name is None:
            wanted = filter_of(since=since, until=until)
            return self._rows(checkpoint_shelf, wanted, session, epoch, last)
        with self._reading(name) as reader:
            return list_checkpoints(reader, self._store(name).verify)

    def verify(self, name: str, progress: Callable[[int], object] = lambda done: None) -> Verification:
        """Check every byte of a session: its log, the files of checkpoints that are not released, and copied files."""
        folder = self._folder(name)
        check = self._check_log(name, progress)
        problems = list(check.problems)
        infos: list[CheckpointInfo] = []
        try:
            infos = self.checkpoints(name)
        except (HoldfastError, OSError) as error:
            if not problems:  # else it is the same one
                what = f"the checkpoints cannot be listed: {getattr(error, 'reason', error)}"
                problems.append(Problem(str(getattr(error, "path", folder.log)), getattr(error, "offset", 0), what))
        problems += [
            Problem(info.problem_path, info.problem_offset, f"checkpoint {info.number}: {info.problem}", info.number)
            for info in infos
            if info.problem is not None
        ]
        if not check.problems:
            problems += verifying.verify_kept_files(self._reader(name), self._files, folder.kept_files)
        kept = sum(1 for info in infos if not info.released)
        return Verification(folder.name, check.records, check.bytes, kept, check.torn, tuple(problems))

    def salvage(self, name: str) -> Iterator[bytes]:
        """Every line of a damaged session that still is a whole record."""
        folder = self._folder(name)
        return verifying.salvage(self._files, folder.log)

    def stats(self, name: str) -> list[KindStatistics]:
        """Records and bytes by kind, the largest first."""
        with self._reading(name) as reader:
            return statistics_of(reader)

    def seal(self, name: str, *, keep_lines: bool = False, progress: Callable[[int], object] = lambda done: None) -> Sealed:
        """Turn the closed segments of a session into Parquet; its records, and its digest, stay what they are.

        Each line is compared before it goes; keep_lines: none goes. A running session is sealed up to its last closed segment,
        and goes on undisturbed. Less than 4 MiB stays as it is. `progress` is told the bytes of lines done. Killed at any
        instant, it leaves a log that is whole, and the next call goes on.
        """
        folder = self._folder(name)
        with located(self._files, folder.log):
            return seal_log(
                self._files,
                folder.log,
                folder.lock,
                folder.name,
                boot_id(),
                keep_lines=keep_lines,
                progress=progress,
            )

    def export_checkpoint(self, name: str, number: int, target: str | os.PathLike[str]) -> None:
        """Write a checkpoint's state to a .json file (all of it), or its arrays to a .safetensors file."""
        record = self._checkpoint(name, number)
        export_state(self._store(name), record, Path(target), self._files)

    def fork(self, name: str, *, at: int, to: str | None = None) -> str:
        """A new session `to` that shares the past up to checkpoint `at` and goes on from it; returns its name.

        Without `to` it is called "NAME~2", or by the next number that is free.
        """
        return care.fork_session(self._folder(name), at, to).name

    def rewind(self, name: str, *, at: int) -> None:
        """Have the session's next attempt go on from checkpoint `at`. Nothing is deleted."""
        care.rewind_session(self._folder(name), at)

    def note(self, name: str, text: str) -> None:
        """Append a remark about a session. Its digest stays what it is."""
        care.annotate_session(self._folder(name), text)

    def rename(self, name: str, to: str) -> str:
        """Give a session another name; returns it in the form it is stored by."""
        return care.rename_session(self._folder(name), to).name

    def plan_delete(self, name: str) -> DeletePlan:
        """What `delete` would remove."""
        return care.plan_delete(self._folder(name))

    def delete(self, name: str) -> DeletePlan:
        """Remove a session for good; returns what was removed."""
        return care.delete_session(self._folder(name))

    def _folder(self, name: str) -> SessionFolder:
        with self._readable():
            return care.find_session(self._files, self.root, name)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise WorkspaceUnusable(self.root, error.strerror or type(error).__name__) from error

    def _check_log(self, name: str, progress: Callable[[int], object]) -> LogCheck:
        folder = self._folder(name)
        if not folder.exists:
            return LogCheck(0, 0, 0, (Problem(str(folder.log), 0, NO_SEGMENT),), 0)
        closed = closed_with(self._files, folder.path)
        return verifying.verify_log(self._files, folder.log, boot_id(), progress, closed_with=closed)

    def _reader(self, name: str) -> LogReader:
        log = self._folder(name).log
        reader = LogReader(self._files, log, boot_id())
        if not reader.past.highest_segment:
            raise Corrupted(log, 0, NO_SEGMENT)
        return reader

    def _sources(self, session: Names, epoch: int | None) -> list[Source]:
        if session is None:
            return [self._source(SessionFolder(self._files, self.root, info.name)) for info in self._described(None, epoch)]
        names = [session] if isinstance(session, str) else [*dict.fromkeys(session)]
        if epoch is not None:
            names = [name for name in names if self.session(name).epoch == epoch]
        return [self._source(self._folder(name)) for name in names]

    def _names(self, session: Names, epoch: int | None) -> list[str]:
        if session is None:
            with self._readable():
                names = [name for name in self._files.names(self.root / "sessions") if not name.startswith(".")]
        else:
            names = [self._folder(name).name for name in ([session] if isinstance(session, str) else dict.fromkeys(session))]
        if epoch is None:
            return names
        infos = (describe_session(self._files, self.root, name) for name in names)
        return [info.name for info in infos if info is not None and info.epoch == epoch]

    def _described(self, session: Names, epoch: int | None) -> list[SessionInfo]:
        if session is None:
            known = self.sessions()[::-1]
        else:
            known = [self.session(name) for name in ([session] if isinstance(session, str) else dict.fromkeys(session))]
        return [info for info in known if epoch is None or info.epoch == epoch]

    def _sources_now(self, session: Names) -> list[Source]:
        """Without a look at how each session stands."""
        if session is not None:
            return self._sources(session, None)
        with self._readable():
            names = [name for name in self._files.names(self.root / "sessions") if not name.startswith(".")]
            folders = [SessionFolder(self._files, self.root, name) for name in names]
            return [self._source(folder) for folder in folders if had_records(self._files, folder.path)]

    def _source(self, folder: SessionFolder) -> Source:
        def opened(known: LogReader | None) -> LogReader:
            reader = open_log(self._files, folder.path, boot_id(), known)
            if not reader.past.highest_segment:
                raise Corrupted(folder.log, 0, NO_SEGMENT)
            return reader

        return Source(folder.name, opened, lambda: located(self._files, folder.log))

    def _checked(self, session: str) -> tuple[Source, str]:
        """A session to be read from, every byte of which is what was written, and how it stands."""
        source, status = self._source(self._folder(session)), self.session(session).status
        _ = source.reader  # a log that cannot be read says why itself
        self._refuse_damage(session)
        return source, status

    def _refuse_damage(self, name: str) -> None:
        check = self._check_log(name, lambda done: None)
        if check.problems:
            raise Corrupted(check.problems[0].path, check.problems[0].offset, check.problems[0].what)

    def _store(self, name: str) -> CheckpointStore:
        return CheckpointStore(self._files, self._folder(name).checkpoints, 0, 0)

    def _checkpoint(self, name: str, number: int) -> Checkpoint:
        with self._reading(name) as reader:
            return find_checkpoint(reader, number)

    @contextmanager
    def _reading(self, name: str) -> Iterator[LogReader]:
        """The log, and what is raised for one of its lines says where that stands."""
        reader = self._reader(name)
        with located(self._files, self._folder(name).log):
            yield reader

    def _located(self, name: str, lines: Lines) -> Iterator[dict[str, Any]]:
        """The same for lines that are read one by one."""
        log = self._folder(name).log
        with located(self._files, log):
            for _, fields in lines:
                yield fields


class Follow:
    """The records of a session that may still be running."""

    def __init__(self, reader: LogReader, first: int, located: Callable[[Lines], Iterator[dict[str, Any]]]) -> None:
        self._reader, self._next, self._located = reader, first, located

    def poll(self) -> list[dict[str, Any]]:
        """The records that came since the last call, bookkeeping too, each once."""
        self._reader.refresh()
        found = list(self._located(all_records(self._reader, self._next)))
        self._next += len(found)
        return found
