"""A new session that shares another one's past. Nothing of the old one is changed, and each stands for itself afterwards."""

import errno
import re
import zlib
from pathlib import Path

import msgspec

from holdfast.errors import WorkspaceUnusable
from holdfast.records import CANONICAL_KINDS, Checkpoint, Range, kind_of
from holdfast.sessions.folder import SessionFolder
from holdfast.sessions.names import numbered_name
from holdfast.sessions.resume import place_of
from holdfast.storage.files import Files, make_folders, read_whole, write_synced
from holdfast.storage.lines import close_line, header_line, read_closes, read_header
from holdfast.storage.reader import LogReader
from holdfast.storage.recovery import Extent, Past, sealed_meanwhile, segment_path
from holdfast.storage.sealed import SealedReader


def free_folder(source: SessionFolder) -> SessionFolder:
    """Where a fork without a name of its own goes: "NAME~2", or the next number that is free."""
    number = 2
    while source.files.exists((folder := SessionFolder(source.files, source.root, numbered_name(source.name, number))).path):
        number += 1
    return folder


def half_of(target: SessionFolder) -> SessionFolder:
    """Where a fork is put together before it gets its name."""
    return SessionFolder(target.files, target.root, f".{target.name}.fork")


def complete(target: SessionFolder) -> None:
    """Give a fork that is put together in full its name, if it has not got it yet."""
    half = half_of(target)
    if target.files.exists(half.path) and not target.files.exists(target.path):
        target.files.rename(half.path, target.path)
        target.files.sync_folder(target.path.parent)


def sweep(source: SessionFolder) -> None:
    """Remove what a kill left of forks of this session that are not numbered in its log; its lock is held."""
    pattern = re.compile(rf"\.{re.escape(source.name)}~[0-9]+\.fork")
    for name in source.files.names(source.path.parent):
        if pattern.fullmatch(name):
            remove(source.files, source.path.parent / name)


def remove(files: Files, path: Path) -> None:
    """Remove a folder with all that is in it; nothing where there is none."""
    if not files.exists(path):
        return
    for entry in sorted(path.rglob("*"), reverse=True):
        if entry.is_dir() and not entry.is_symlink():
            files.rmdir(entry)
        else:
            files.unlink(entry)
    files.rmdir(path)


def share_past(source: SessionFolder, target: SessionFolder, past: Past) -> Past:
    """Put the segments of `past`, and all checkpoints and files, into the new session's folder; the past as it stands there.

    Files are hard-linked, as they are never rewritten; copied where that is not possible. The last segment is copied up to
    where it counts, as its writer may go on in it, and as lines, where it is sealed: that is the rest of a sealed file too.
    """
    files = source.files
    if files.exists(target.path):
        raise WorkspaceUnusable(target.path, "there is a session or folder of that name already")
    target.make()
    make_folders(files, target.log)
    shared = [_share_segment(files, extent, target.log) for extent in past.extents[:-1]]
    shared += [_copy_segment(files, extent, target.log) for extent in past.extents[-1:]]
    files.sync_folder(target.log)
    _share_all(files, source.kept_files, target.kept_files)
    for name in files.names(source.checkpoints):
        if not name.startswith("."):
            _share_all(files, source.checkpoints / name, target.checkpoints / name)
    return Past(tuple(shared), highest_segment=max(past.highest_segment, shared[-1].header.segment))


def cut(files: Files, past: Past, n: int) -> Past:
    """The past up to record n, included. Of a sealed segment only the last record is told: share_past makes lines of it."""
    kept = []
    for extent in past.extents:
        if extent.header.first > n:
            break
        kept.append(extent if extent.last <= n else _cut_segment(files, extent, n))
    return Past(tuple(kept), highest_segment=past.highest_segment)


def _cut_segment(files: Files, extent: Extent, n: int) -> Extent:
    try:
        data = b"" if extent.is_sealed else read_whole(files, extent.path)[: extent.end]
    except FileNotFoundError:
        found = sealed_meanwhile(files, extent)
        if found is None:
            raise
        extent = found
    if extent.is_sealed:
        return msgspec.structs.replace(extent, last=n)
    end = extent.start
    for _ in range(extent.header.first, n + 1):
        end = data.index(b"\n", end) + 1
    _, closed, crc = read_header(data)
    for close in read_closes(data[:end], closed, crc):
        crc, closed = close.crc, close.end
    return msgspec.structs.replace(extent, end=end, last=n, crc=zlib.crc32(data[closed:end], crc))


def ranges_behind(reader: LogReader, checkpoint: Checkpoint, last: int) -> list[Range]:
    """What the records up to `last` contain that a checkpoint's state does not: to be superseded in order to go on from it."""
    position = checkpoint.position["main"]
    spans: dict[tuple[str, bool], tuple[int, int]] = {}
    for n, line in reader.read(min([position + 1, *checkpoint.behind.values()]), last):
        if kind_of(line) not in CANONICAL_KINDS:
            continue
        place = place_of(line)
        lane = place.lane or ""
        first_open = position + 1 if place.top else checkpoint.behind.get(lane, position + 1)
        if n >= first_open:
            first, _ = spans.get((lane, place.top), (n, n))
            spans[lane, place.top] = (first, n)
    # The checkpoints behind it hold what it does not, even where no records came between.
    first_open = checkpoint.behind.get("", position + 1)
    if last >= first_open:
        spans[("", False)] = (first_open, last)
    return [Range(first=first, last=to, lane=lane, top=top) for (lane, top), (first, to) in sorted(spans.items())]


def _share_segment(files: Files, extent: Extent, log: Path) -> Extent:
    """Have a segment, or the sealed file that it is in, stand in another log too."""
    try:
        _share_once(files, extent.path, log / extent.path.name)
    except FileNotFoundError:
        found = sealed_meanwhile(files, extent)
        if found is None:
            raise
        extent = found
        _share_once(files, extent.path, log / extent.path.name)
    return msgspec.structs.replace(extent, path=log / extent.path.name)


def _share_once(files: Files, before: Path, now: Path) -> None:
    if not files.exists(now):  # a sealed file holds many segments
        _share(files, before, now)


def _copy_segment(files: Files, extent: Extent, log: Path) -> Extent:
    """A segment up to where it counts as a file of lines of its own."""
    path = segment_path(log, extent.header.segment)
    try:
        if not extent.is_sealed:
            write_synced(files, path, [read_whole(files, extent.path)[: extent.end]])
            return msgspec.structs.replace(extent, path=path)
    except FileNotFoundError:
        found = sealed_meanwhile(files, extent)
        if found is None:
            raise
        extent = found
    data, crc = header_line(extent.header)
    length = len(data)
    lines = [line for _, line in SealedReader(files, extent.path).read(extent.header.first, extent.last)]
    if lines:
        closed, crc = close_line(b"\n".join(lines), crc)
        data += closed + b"\n"
    write_synced(files, path, [data])
    return Extent(path, extent.header, length, len(data), extent.last, crc)


def _share_all(files: Files, before: Path, now: Path) -> None:
    """The files of one folder."""
    if names := [name for name in files.names(before) if not name.startswith(".")]:
        make_folders(files, now)
        for name in names:
            _share(files, before / name, now / name)
        files.sync_folder(now)


def _share(files: Files, before: Path, now: Path) -> None:
    try:
        files.link(before, now)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EXDEV, errno.ENOTSUP, errno.EMLINK):
            raise
        write_synced(files, now, [read_whole(files, before)])
