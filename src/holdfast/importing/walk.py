"""The files of a folder, and those in its zip archives, in the order of their names. Nothing is written, no link followed."""

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from holdfast.errors import ReadFailed
from holdfast.storage.files import Files, chunks_of, read_errors, read_whole

MOST_BYTES = 256 << 20
"""Of a document, and of a zip archive with what is in it: these are read whole."""
_MOST_DEEP = 64
LINES = (".jsonl", ".ndjson", ".csv", ".tsv")
DOCUMENTS = (".json",)
EVENTS = ".tfevents"
ZIP = ".zip"


@dataclass(frozen=True)
class Found:
    """A file. path: relative, with `/`; in an archive behind its own. size: bytes. chunks: its content, in pieces. file: where
    it lies, None in an archive."""

    path: str
    size: int
    chunks: Callable[[], Iterator[bytes]]
    file: Path | None = None

    @property
    def ending(self) -> str:
        """What it is by its name, in small letters; a copy called `….json.backup` is what it is a copy of."""
        name = self.path.rpartition("/")[2].lower()
        if EVENTS in name:
            return EVENTS
        for more in (".backup", ".bak", ".old"):
            name = name.removesuffix(more)
        return f".{name.rpartition('.')[2]}" if "." in name else ""


@dataclass(frozen=True)
class Skipped:
    """What is not read, and why."""

    path: str
    reason: str


def walk(files: Files, root: Path) -> Iterator[Found | Skipped]:
    """What lies in a folder, or one file."""
    with read_errors(root):
        if root.is_dir():
            yield from _folder(files, root, "", 0)
        else:
            yield from _file(files, root, root.name)


def _folder(files: Files, folder: Path, prefix: str, depth: int) -> Iterator[Found | Skipped]:
    if depth > _MOST_DEEP:
        yield Skipped(prefix, f"more than {_MOST_DEEP} folders deep")
        return
    try:
        names = files.names(folder)
    except OSError as error:
        yield Skipped(prefix or ".", f"cannot be read: {error.strerror}")
        return
    for name in names:
        path, shown = folder / name, f"{prefix}{name}"
        try:
            if path.is_symlink():
                yield Skipped(shown, "a link: not followed")
            elif path.is_dir():
                yield from _folder(files, path, f"{shown}/", depth + 1)
            elif not path.is_file():
                yield Skipped(shown, "neither a file nor a folder")
            else:
                yield from _file(files, path, shown)
        except OSError as error:
            yield Skipped(shown, f"cannot be read: {error.strerror}")


def _file(files: Files, path: Path, shown: str) -> Iterator[Found | Skipped]:
    shown = shown.encode(errors="replace").decode()  # a name that is no UTF-8
    file = files.open(path)
    try:
        size = file.size()
    finally:
        file.close()
    found = Found(shown, size, lambda: _chunks(files, path), path)
    if found.ending == ZIP:
        yield from _archive(files, path, found)
    else:
        yield from _wanted(found)


def _wanted(found: Found) -> Iterator[Found | Skipped]:
    if found.ending == EVENTS and found.file is None:
        yield Skipped(found.path, "an event file in an archive: unpack it first")
    elif found.ending not in (*LINES, *DOCUMENTS, EVENTS):
        yield Skipped(found.path, f"{found.ending or 'no ending'}: not a kind of file that is read")
    elif found.ending not in LINES and found.size > MOST_BYTES:
        yield Skipped(found.path, f"{found.size:,} bytes: a document of more than {MOST_BYTES >> 20} MiB is not read. Split it")
    else:
        yield found


def _chunks(files: Files, path: Path) -> Iterator[bytes]:
    with read_errors(path):
        file = files.open(path)
        try:
            yield from chunks_of(file, file.size())
        finally:
            file.close()


def _archive(files: Files, path: Path, found: Found) -> Iterator[Found | Skipped]:
    """The files in a zip archive: looked at in memory, never unpacked."""
    if found.size > MOST_BYTES:
        yield Skipped(found.path, f"{found.size:,} bytes: an archive of more than {MOST_BYTES >> 20} MiB is not read")
        return
    try:
        archive = zipfile.ZipFile(io.BytesIO(read_whole(files, path)))
    except (zipfile.BadZipFile, NotImplementedError) as error:
        yield Skipped(found.path, f"no zip archive that can be read: {error}")
        return
    left = MOST_BYTES
    for member in sorted(archive.infolist(), key=lambda info: info.filename):
        shown = f"{found.path}/{member.filename}"
        parts = PurePosixPath(member.filename.replace("\\", "/"))
        left -= member.file_size
        if member.is_dir():
            continue
        if parts.is_absolute() or ".." in parts.parts:
            yield Skipped(shown, "its name leads out of the archive: not read")
        elif member.flag_bits & 1:
            yield Skipped(shown, "encrypted")
        elif left < 0:
            yield Skipped(shown, f"the archive holds more than {MOST_BYTES >> 20} MiB: the rest is not read")
        elif member.filename.lower().endswith(ZIP):
            yield Skipped(shown, "an archive within an archive: not read")
        else:
            yield from _wanted(Found(shown, member.file_size, partial(_content, archive, member, shown)))


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo, shown: str) -> Iterator[bytes]:
    try:
        with archive.open(member) as file:
            data = file.read(member.file_size + 1)
    except Exception as error:  # zlib's, lzma's, BadZipFile, NotImplementedError: a member that is broken in any way
        raise ReadFailed(Path(shown), f"it cannot be unpacked: {error}") from None
    if len(data) > member.file_size:
        raise ReadFailed(Path(shown), "it is larger than the archive says")
    yield data
