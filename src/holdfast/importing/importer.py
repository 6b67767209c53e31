"""Folders and files of others brought into a workspace."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from holdfast.errors import InvalidSetting, InvalidValue, ReadFailed
from holdfast.importing.findings import FIELD, Finding
from holdfast.importing.items import KINDS as ITEM_KINDS
from holdfast.importing.items import Item, Tokens
from holdfast.importing.look import KINDS, LINE_KINDS, Looked, look, read
from holdfast.importing.reading import Reading
from holdfast.importing.report import ADDED, KNOWN, SAME, SKIPPED, FileReport, ImportReport, across_files, copies_of
from holdfast.importing.walk import Skipped, walk
from holdfast.importing.writing import bring_in, imported
from holdfast.sessions.names import checked_name
from holdfast.storage.files import Files, read_errors

Progress = Callable[[str, int, int], object]
"""Is told what is done with the files, how many of them are done, and of how many."""


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
    reports: list[FileReport] = []
    looked: list[Looked] = []
    with read_errors(source):
        everything = list(walk(files, source))
    for index, entry in enumerate(everything):
        progress("looking at files", index, len(everything))
        if isinstance(entry, Skipped):
            reports.append(FileReport(entry.path, "", SKIPPED, reason=entry.reason))
            continue
        try:
            file = look(entry)
        except (ReadFailed, OSError) as error:
            what = error.reason if isinstance(error, ReadFailed) else error.strerror
            reports.append(FileReport(entry.path, "", SKIPPED, reason=f"cannot be read: {what}"))
            continue
        if file.kind is None:
            reports.append(FileReport(entry.path, "", SKIPPED, reason=file.reason, sha256=file.sha256))
        elif chosen is None or file.kind in chosen:
            looked.append(file)
    copies = copies_of(looked)
    importing = _Importing(files, root, columns, progress, len(looked))
    added: dict[str, int] = {}
    for name, epoch, members in _by_session(base, looked, one=session is not None):
        fresh = [file for file in members if file.found.path not in copies]
        done = importing.session(name, epoch, fresh, dry_run=dry_run)
        added[name] = sum(file.added for file in done)
        reports += done
        reports += [
            FileReport(file.found.path, file.kind or "", SAME, name, reason=copies[file.found.path], sha256=file.sha256)
            for file in members
            if file.found.path in copies
        ]
    findings = (*importing.findings, *across_files(looked, copies))
    reports.sort(key=lambda report: report.path)
    return ImportReport(str(source), tuple(reports), tuple(sorted(findings, key=lambda found: found.path)), added)


class _Importing:
    """One import at work. findings: of the files that were read."""

    def __init__(self, files: Files, root: Path, columns: Mapping[str, str] | None, progress: Progress, total: int) -> None:
        self._files, self._root, self._columns, self._progress, self._total = files, root, columns, progress, total
        self._done = 0
        self.findings: list[Finding] = []

    def session(self, name: str, epoch: int | None, looked: Sequence[Looked], *, dry_run: bool) -> list[FileReport]:
        """Bring files into one session, those that it has only read for what is odd in them."""
        known = imported(self._files, self._root, name)
        hashes = {sha256 for _, sha256 in known}
        new = [file for file in looked if file.sha256 not in hashes]
        readings = {file.found.path: _Counted(file, self._columns) for file in looked}
        for file in looked:
            if dry_run or file.sha256 in hashes:
                for _ in readings[file.found.path].items():
                    pass
                self._told(file.found.path)
        added: dict[str, int] = {}
        if new and not dry_run:
            sources = [readings[file.found.path] for file in new]
            added = bring_in(self._files, self._root, name, epoch, known, sources, self._told)
        found = []
        for file in looked:
            read = readings[file.found.path]
            self.findings += read.reading.findings
            found.append(
                msgspec.structs.replace(
                    read.report(name), status=ADDED if file in new else KNOWN, added=added.get(file.found.path, 0)
                )
            )
        return found

    def _told(self, path: str) -> None:
        self._done += 1
        self._progress("reading files", self._done, self._total)


class _Counted:
    """A file's items, and what was counted and found on the way."""

    def __init__(self, looked: Looked, columns: Mapping[str, str] | None) -> None:
        self._looked, self._columns = looked, columns
        self.path, self.sha256, self.kind = looked.found.path, looked.sha256, looked.kind or ""
        self.reading = Reading(self.path)
        self.counts: dict[str, int] = {}
        self._refused: dict[str, int] = {}

    def items(self) -> Iterator[Item]:
        """What the file says, from its beginning."""
        self.reading, self.counts, self._refused = Reading(self.path), {}, {}
        counted = dict.fromkeys(ITEM_KINDS, 0)
        for item in read(self._looked, self.reading, self._columns):
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

    def report(self, session: str) -> FileReport:
        """What is to be told of it."""
        return FileReport(
            path=self.path,
            kind=self.kind,
            status=ADDED,
            session=session,
            records=self.counts,
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
    known = (*(kind.name for kind in KINDS), *LINE_KINDS)
    names = (only,) if isinstance(only, str) else tuple(only)
    for name in names:
        if name not in known:
            raise InvalidSetting(f"only={name!r} is no kind of file; there are: {', '.join(known)}")
    return frozenset(names)


def _session_name(source: Path) -> str:
    """A session's name after the folder or file."""
    name = source.absolute().name if source.is_dir() else source.name.partition(".")[0]
    plain = re.sub(r"[^\w.+=@~-]+", "-", name).strip("-. ")
    return checked_name(plain or "imported")
