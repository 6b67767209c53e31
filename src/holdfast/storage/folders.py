"""A whole folder, or a file, under its name at once: written beside it, synced, and renamed."""

import itertools
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.storage.files import Files, make_folders
from holdfast.storage.host import is_alive

_temporaries = itertools.count()


def put_folder(files: Files, path: Path, fill: Callable[[Path], None], *, replace: bool = False) -> None:
    """Have `fill` write a folder that is then called `path`. replace: what has that name goes once the new one is complete.

    After an exception what was there stands, and nothing else is left. Killed before its end, it leaves folders beside `path`
    whose names begin with a dot and nothing under the name itself but a whole folder, or, for an instant while one takes the
    place of another, none. The next call for that name removes what is left of processes that are gone. Raises OSError.
    """
    with _beside(files, path) as (fresh, old):
        fill(fresh)
        _sync_tree(files, fresh)
        if replace and files.exists(path):
            files.rename(path, old)
        try:
            files.rename(fresh, path)
        except BaseException:
            if files.exists(old):
                files.rename(old, path)
            raise
    files.sync_folder(path.parent)
    remove_tree(files, old)


def put_file(files: Files, path: Path, fill: Callable[[Path], Path]) -> None:
    """Have `fill` write into a folder the file, whose path it returns, that is then called `path`; one of that name goes.

    The same holds as for put_folder, and there is no instant without a file once there was one.
    """
    with _beside(files, path) as (fresh, _):
        written = fill(fresh)
        file = files.open(written)
        try:
            file.sync()
        finally:
            file.close()
        files.rename(written, path)
        remove_tree(files, fresh)
    files.sync_folder(path.parent)


@contextmanager
def _beside(files: Files, path: Path) -> Iterator[tuple[Path, Path]]:
    """A new folder beside `path`, which goes after an exception, and the name for what it takes the place of."""
    make_folders(files, path.parent)
    _sweep(files, path)
    number = next(_temporaries)  # threads do this at the same time
    fresh, old = (path.with_name(f".{path.name}.{os.getpid()}-{number}.{word}") for word in ("new", "old"))
    try:
        files.mkdir(fresh)
        yield fresh, old
    except BaseException:
        remove_tree(files, fresh)
        raise


def _sweep(files: Files, path: Path) -> None:
    """Remove what killed calls left; an old folder only where another has its name."""
    left = re.compile(re.escape(f".{path.name}.") + r"([0-9]+)-[0-9]+\.(new|old)")
    for name in files.names(path.parent):
        found = left.fullmatch(name)
        if found and not is_alive(int(found[1])) and (found[2] == "new" or files.exists(path)):
            remove_tree(files, path.parent / name)


def remove_tree(files: Files, path: Path) -> None:
    """Remove a file, a link, or a folder with all that is in it. Links are not followed; no matter where nothing is."""
    if not files.exists(path):
        return
    if path.is_symlink() or not path.is_dir():
        files.unlink(path)
        return
    for name in files.names(path):
        remove_tree(files, path / name)
    files.rmdir(path)


def _sync_tree(files: Files, path: Path) -> None:
    for name in files.names(path):
        if (path / name).is_dir():
            _sync_tree(files, path / name)
    files.sync_folder(path)
