"""Folders and files of others brought into a workspace."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from holdfast.errors import InvalidSetting, InvalidValue, ReadFailed
from holdfast.importing.findings import FIELD, Finding
from holdfast.importing.items import KINDS as ITEM_KINDS
from holdfast.importing.items import Item, Tokens
from holdfast.importing.look import LINE_KINDS, NAMES, Looked, look, read
from holdfast.importing.reading import Reading
from holdfast.importing.report import ADDED, KNOWN, SAME, SKIPPED, FileReport, ImportReport, across_files, copies_of
from holdfast.importing.walk import Skipped, walk
from holdfast.importing.writing import bring_in, imported
from holdfast.sessions.names import checked_name
from holdfast.storage.files import Files, read_errors

Progress = Callable[[str, int, int], object]
"""Is told what is done: looking at files, with how many are done and of how many; reading files, with bytes."""


def import_files(
    files: Files,
    root: Path,
    source: Path,
    *,
    session: str | None = None,
    only: Collection[str] | None = None,
    columns: Mapping[str, str] | None = None,
    dry_run: bool = False,
    progress: Progress = lambda what, done, total: None,
) -> ImportReport:
    """Bring a folder, or one file, into sessions of a workspace, and tell what was odd (see Workspace.import_files)."""
    chosen = _checked_kinds(only)
    if not files.exists(source):
        raise InvalidSetting(f"{source} is not there. Nothing was imported")
    base = checked_name(session) if session is not None else _session_name(source)
    looked, reports = _look_at(files, source, progress)
    looked = [file for file in looked if chosen is None or file.kind in chosen]
    _check_columns(looked, columns)
    copies = copies_of(looked)
    reports += [
        FileReport(file.found.path, file.kind or "", SAME, reason=copies[file.found.path], sha256=file.sha256)
        for file in looked
        if file.found.path in copies
    ]
    fresh = [file for file in looked if file.found.path not in copies]
    importing = _Importing(files, root, columns, progress, sum(file.found.size for file in fresh))
    added: dict[str, int] = {}
    for name, epoch, members in _by_session(base, fresh, one=session is not None):
        done = importing.session(name, epoch, members, dry_run=dry_run)
        added[name] = sum(file.added for file in done)
        reports += done
    findings = sorted((*importing.findings, *across_files(looked, copies)), key=lambda found: found.path)
    reports.sort(key=lambda report: report.path)
    return ImportReport(str(source), tuple(reports), tuple(findings), added)


def _look_at(files: Files, source: Path, progress: Progress) -> tuple[list[Looked], list[FileReport]]:
    """The files of known kinds, and a report for each other one."""
    looked: list[Looked] = []
    others: list[FileReport] = []
    with read_errors(source):
        everything = list(walk(files, source))
    for index, entry in enumerate(everything):
        progress("looking at files", index, len(everything))
        if isinstance(entry, Skipped):
            others.append(FileReport(entry.path, "", SKIPPED, reason=entry.reason))
            continue
        try:
            file = look(entry)
        except (ReadFailed, OSError) as error:
            what = error.reason if isinstance(error, ReadFailed) else error.strerror
            others.append(FileReport(entry.path, "", SKIPPED, reason=f"cannot be read: {what}"))
            continue
        if file.kind is None:
            others.append(FileReport(entry.path, "", SKIPPED, reason=file.reason, sha256=file.sha256))
        else:
            looked.append(file)
    return looked, others


def _check_columns(looked: Sequence[Looked], columns: Mapping[str, str] | None) -> None:
    """Raise InvalidSetting where a column that is asked for stands in none of the first lines of a file."""
    for file in looked if columns else ():
        missing = [name for name in columns or () if name not in file.columns]
        if file.kind in LINE_KINDS and missing:
            there = ", ".join(file.columns) or "none"
            raise InvalidSetting(f"{file.found.path} has no column {missing[0]!r}; there are: {there}. Nothing was imported")


class _Importing:
    """One import at work. total: bytes of the files. findings: of those that were read."""

    def __init__(self, files: Files, root: Path, columns: Mapping[str, str] | None, progress: Progress, total: int) -> None:
        self._files, self._root, self._columns, self._progress, self._total = files, root, columns, progress, total
        self._done = 0
        self.findings: list[Finding] = []

    def session(self, name: str, epoch: int | None, looked: Sequence[Looked], *, dry_run: bool) -> list[FileReport]:
        """Bring files into one session, those that it has only read for what is odd in them."""
        known = imported(self._files, self._root, name)
        hashes = {sha256 for _, sha256 in known}
        readings = [_Counted(file, self._columns, self._told) for file in looked]
        new = [reading for reading in readings if reading.sha256 not in hashes]
        for reading in readings:
            if dry_run or reading.sha256 in hashes:
                for _ in reading.items():
                    pass
        added = bring_in(self._files, self._root, name, epoch, known, new) if new and not dry_run else {}
        self.findings += [found for reading in readings for found in reading.reading.findings]
        return [
            reading.report(name, KNOWN if reading.sha256 in hashes else ADDED, added.get(reading.path, 0))
            for reading in readings
        ]

    def _told(self, size: int) -> None:
        self._done += size
        self._progress("reading files", self._done, self._total)


class _Counted:
    """A file's items, and what was counted and found on the way."""

    def __init__(self, looked: Looked, columns: Mapping[str, str] | None, told: Callable[[int], object]) -> None:
        self._looked, self._columns, self._told = looked, columns, told
        self.path, self.sha256, self.kind = looked.found.path, looked.sha256, looked.kind or ""
        self.reading = Reading(self.path)
        self.counts: dict[str, int] = {}
        self._refused: dict[str, int] = {}

    def items(self) -> Iterator[Item]:
        """What the file says, from its beginning."""
        self.reading, self.counts, self._refused = Reading(self.path), {}, {}
        counted = dict.fromkeys(ITEM_KINDS, 0)
        for item in read(self._looked, self._chunks(), self.reading, self._columns):
            counted[type(item)] += len(item.texts) if type(item) is Tokens else 1
            yield item
        self.reading.note_dialect()
        found = {name: counted[kind] - self._refused.get(name, 0) for kind, name in ITEM_KINDS.items()}
        self.counts = {name: count for name, count in found.items() if count}

    def refused(self, item: Item, error: InvalidValue) -> None:
        """Note what cannot be recorded; it is not counted."""
        self.reading.note(FIELD, item.where, f"{error.path}: {error.reason}; it was left out")
        kind = ITEM_KINDS[type(item)]
        self._refused[kind] = self._refused.get(kind, 0) + (len(item.texts) if isinstance(item, Tokens) else 1)

    def _chunks(self) -> Iterator[bytes]:
        for chunk in self._looked.found.chunks():
            yield chunk
            self._told(len(chunk))

    def report(self, session: str, status: str, added: int) -> FileReport:
        """What is to be told of it."""
        return FileReport(
            path=self.path,
            kind=self.kind,
            status=status,
            session=session,
            records=self.counts,
            added=added,
            dialect=self.reading.dialect,
            sha256=self.sha256,
        )


def _by_session(base: str, looked: Sequence[Looked], *, one: bool) -> Iterator[tuple[str, int | None, list[Looked]]]:
    """The files of each session: one for what has no epoch, and one an epoch; or all in one."""
    if one:
        epochs = {file.epoch for file in looked}
        yield base, epochs.pop() if len(epochs) == 1 else None, list(looked)
        return
    by_epoch: dict[int | None, list[Looked]] = {}
    for file in looked:
        by_epoch.setdefault(file.epoch, []).append(file)
    for epoch in sorted(by_epoch, key=lambda found: -1 if found is None else found):
        yield base if epoch is None else f"{base}-epoch{epoch}", epoch, by_epoch[epoch]


def _checked_kinds(only: Collection[str] | None) -> frozenset[str] | None:
    if only is None:
        return None
    names = (only,) if isinstance(only, str) else tuple(only)
    for name in names:
        if name not in NAMES:
            raise InvalidSetting(f"only={name!r} is no kind of file; there are: {', '.join(NAMES)}")
    return frozenset(names)


def _session_name(source: Path) -> str:
    """A session's name after the folder or file."""
    name = source.absolute().name if source.is_dir() else source.name.partition(".")[0]
    plain = re.sub(r"[^\w.+=@~-]+", "-", name).strip("-. ")
    return checked_name(plain or "imported")
