"""Seal the closed segments of a log: lines become Parquet, and go once the sealed file has given every one of them back.

Can be killed at any instant, and can run while the session does: it takes in only segments that nothing can change any more.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from holdfast.errors import SessionBusy, SessionNotFound, WriteFailed
from holdfast.reading.sealing import finish, is_exact, is_regular, new_seal, stage, tail_of, write_columns
from holdfast.storage.files import Files, RealFiles, read_errors, write_errors
from holdfast.storage.lines import strip_close
from holdfast.storage.lock import Lock
from holdfast.storage.reader import LogReader
from holdfast.storage.recovery import Extent, Past, recover
from holdfast.storage.sealed import SealedReader
from holdfast.storage.seals import SEALING_NAME, Covered, check_seal, find_seals, sealed_path, sealing_path

LEAST_BYTES = 4 << 20
"""Of lines that can be sealed: below that a log stays as it is."""
_MOST_BYTES = 160 << 20  # of lines in one file, unless a single segment has more

Progress = Callable[[int], object]


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What sealing a log did.

    records, segments, line_bytes, sealed_bytes: what was sealed now, into so many files. removed_bytes: of lines that are gone.
    waiting_bytes: of lines that could be sealed, and are too few. live_bytes: of lines that cannot be sealed yet.
    """

    session: str
    records: int = 0
    segments: int = 0
    files: int = 0
    line_bytes: int = 0
    sealed_bytes: int = 0
    removed_bytes: int = 0
    waiting_bytes: int = 0
    live_bytes: int = 0


def seal_log(
    files: Files,
    folder: Path,
    lock: Path,
    session: str,
    boot: str,
    *,
    keep_lines: bool = False,
    least_bytes: int = LEAST_BYTES,
    most_bytes: int = _MOST_BYTES,
    progress: Progress = lambda done: None,
) -> Sealed:
    """Seal what can be sealed of the log in `folder`; `progress` is told the bytes of lines done.

    Those are the segments that a later one builds on, and the last one where the session was closed. The session's lock is
    taken for the moments in which files get their names and lines go; while a run holds it, only segments that have a
    later one are touched. Raises SessionBusy where another process is sealing it, Corrupted where the lines are not what was
    written, and WriteFailed; what was sealed before that stays sealed.
    """
    with read_errors(folder):
        own = files.open(folder)
    try:
        with write_errors(folder):
            if not own.lock():
                raise SessionBusy(session, "another process, which is sealing it")
            for name in files.names(folder):
                if SEALING_NAME.fullmatch(name):
                    files.unlink(folder / name)  # of one that was killed
        sealing = _Sealing(files, folder, lock, session, boot, keep_lines)
        return sealing.run(least_bytes, most_bytes, progress)
    finally:
        own.close()


class _Sealing:
    """One pass over a log; the lock of its folder is held."""

    def __init__(self, files: Files, folder: Path, lock: Path, session: str, boot: str, keep_lines: bool) -> None:
        self._files, self._folder, self._lock, self._session, self._boot = files, folder, lock, session, boot
        self._keep_lines = keep_lines

    def run(self, least_bytes: int, most_bytes: int, progress: Progress) -> Sealed:
        past = self._recover()
        complete = self._complete(past)
        groups, again = self._divided(complete, most_bytes)
        live = sum(extent.end for extent in past.extents if extent not in complete and not extent.is_sealed)
        result = Sealed(session=self._session, live_bytes=live)
        if not self._keep_lines:
            for path, extents in again.items():
                self._compare_again(path, extents)
                gone = self._commit(None, tuple(extents), [self._tail(extent) for extent in extents])
                result = msgspec.structs.replace(result, removed_bytes=result.removed_bytes + gone)
        size = sum(extent.end for group in groups for extent in group)
        if size < least_bytes:
            return msgspec.structs.replace(result, waiting_bytes=size)
        for group in groups:
            sealed_bytes, gone = self._seal(tuple(group))
            result = msgspec.structs.replace(
                result,
                records=result.records + group[-1].last - group[0].header.first + 1,
                segments=result.segments + len(group),
                files=result.files + 1,
                line_bytes=result.line_bytes + sum(extent.end for extent in group),
                sealed_bytes=result.sealed_bytes + sealed_bytes,
                removed_bytes=result.removed_bytes + gone,
            )
            progress(result.line_bytes)
        return result

    def _recover(self) -> Past:
        return recover(self._files, self._folder, self._boot, strict=False)

    def _complete(self, past: Past) -> list[Extent]:
        """The segments of lines that nothing can change any more."""
        complete = [extent for extent in past.extents[:-1] if not extent.is_sealed]
        for last in past.extents[-1:]:
            if last.is_sealed or last.last < last.header.first or past.torn is not None:
                continue
            line = LogReader(self._files, self._folder, self._boot, past).find(last.last)
            with self._session_held() as is_held:
                if is_held and line.startswith(b'{"kind":"closed"'):
                    complete.append(last)
        return complete

    def _divided(self, complete: list[Extent], most_bytes: int) -> tuple[list[list[Extent]], dict[Path, list[Extent]]]:
        """What is to be sealed, in groups that become a file each; and what is sealed already, and has its lines still."""
        seals = find_seals(self._files, self._folder)
        groups: list[list[Extent]] = []
        again: dict[Path, list[Extent]] = {}
        size, behind = 0, -1
        for extent in complete:
            same = [found for found in seals.segments.get(extent.header.segment, ()) if _is_same(extent, found)]
            if same:
                again.setdefault(same[0].path, []).append(extent)
            elif behind == extent.header.first - 1 and size + extent.end <= most_bytes:
                groups[-1].append(extent)
                size, behind = size + extent.end, extent.last
            else:
                groups.append([extent])
                size, behind = extent.end, extent.last
        return [group for group in groups if group[-1].last >= group[0].header.first], again

    def _seal(self, extents: tuple[Extent, ...]) -> tuple[int, int]:
        """Make one file; returns its bytes, and those of the lines that are gone."""
        files, number = self._files, extents[0].header.segment
        lines, columns, target = (sealing_path(self._folder, number, part) for part in ("lines", "columns", "parquet"))
        try:
            staged = stage(files, self._folder, extents)
            seal = new_seal(staged, extents)
            for is_checked in (False, True) if is_regular(staged, seal) else (True,):
                write_columns(staged, seal, columns, is_checked=is_checked)
                finish(files, columns, seal, target)
                if is_exact(files, staged, target):
                    break
            else:
                what = f"the lines of records {seal.first} to {seal.last} do not come back as they were"
                raise WriteFailed(target, f"{what}; they stay as they are, and are not sealed")
            with read_errors(target):
                file = files.open(target)
                size = file.size()
                file.close()
            return size, self._commit(target, extents, staged.tails)
        finally:
            # DuckDB wrote the columns behind the back of `files`.
            for which, path in ((files, lines), (RealFiles(), columns), (files, target)):
                if which.exists(path):
                    which.unlink(path)

    def _commit(self, target: Path | None, extents: tuple[Extent, ...], tails: list[bytes] | tuple[bytes, ...]) -> int:
        """Give a sealed file its name, and let the lines go; returns their bytes. What counts is looked at once more."""
        files = self._files
        with self._session_held() as is_held, write_errors(self._folder):
            past = self._recover()
            standing = past.extents if is_held else past.extents[:-1]
            if not set(extents) <= set(standing):
                raise SessionBusy(self._session, "another process, which has just begun")
            if target is not None:
                final = sealed_path(self._folder, extents[0].header.segment)
                if any(extent.path == final for extent in past.extents):
                    raise WriteFailed(final, "a sealed file of this name is there already, and other segments need it")
                files.rename(target, final)
                files.sync_folder(self._folder)
            if self._keep_lines:
                return 0
            gone = 0
            for extent, tail in zip(extents, tails, strict=True):
                # Without the session's lock another session may have come to stand here meanwhile.
                if self._tail(extent) == tail:
                    files.unlink(extent.path)
                    gone += extent.end
            files.sync_folder(self._folder)
            return gone

    def _compare_again(self, path: Path, extents: list[Extent]) -> None:
        """See once more that a sealed file gives back the lines that are still beside it."""
        check_seal(self._files, path)
        sealed = SealedReader(self._files, path)
        for extent in extents:
            lines = LogReader(self._files, self._folder, self._boot, Past((extent,)))
            there = sealed.read(extent.header.first, extent.last)
            for (n, line), (_, kept) in zip(lines.read(extent.header.first), there, strict=True):
                if strip_close(line) != kept:
                    raise WriteFailed(path, f"record {n} is not what its line is; the lines stay")

    def _tail(self, extent: Extent) -> bytes:
        with read_errors(extent.path):
            file = self._files.open(extent.path)
            try:
                return tail_of(file, extent)
            finally:
                file.close()

    @contextmanager
    def _session_held(self) -> Iterator[bool]:
        """The session's lock, where nobody has it."""
        if not self._files.exists(self._folder):  # a lock would make it again
            raise SessionNotFound(f"session {self._session!r} was deleted or renamed while it was sealed; nothing was changed")
        try:
            lock = Lock(self._files, self._lock, self._session)
        except SessionBusy:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()


def _is_same(extent: Extent, found: Covered) -> bool:
    there = (found.segment.length, found.segment.n, found.segment.crc)
    return found.header == extent.header and there == (extent.end, extent.last, f"{extent.crc:08x}")
