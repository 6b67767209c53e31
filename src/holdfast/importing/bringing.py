"""What others saved, as sessions: the part of a workspace that imports."""

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.storage.files import Files

if TYPE_CHECKING:
    from holdfast.importing.report import ImportReport


class Bringing:
    """Files of others, brought into sessions."""

    root: Path
    _files: Files

    def import_files(
        self,
        source: str | os.PathLike[str],
        *,
        session: str | None = None,
        only: Collection[str] | None = None,
        columns: Mapping[str, str] | None = None,
        dry_run: bool = False,
        progress: Callable[[str, int, int], object] = lambda what, done, total: None,
    ) -> "ImportReport":
        """Bring a folder of the KIRA engine, or a file of lines of anybody's, into sessions, and tell what was odd in it
        (docs/importing.md).

        Each record has in `info` the path and the hash of its file. What was brought in before is not again: a second import
        adds nothing, and one that was killed goes on where it was. The source is only read. session: all into this one; else
        one a training epoch, and one for what has none, called after the source. only: these kinds of files. columns: for
        lines, the name of a metric, or "ts" for the time, by the name that it has there; all others are left out. dry_run: only
        read and report. progress: is told what is done with the files, how many of them are done, and of how many.

        Raises InvalidSetting, ReadFailed where the source cannot be read, SettingsDiffer for a session that is no import,
        SessionBusy, WriteFailed. What single files have wrong stands in the report, and ends nothing.
        """
        from holdfast.importing.importer import import_files  # here: most who open a workspace do not need it

        return import_files(
            self._files,
            self.root,
            Path(source),
            session=session,
            only=only,
            columns=columns,
            dry_run=dry_run,
            progress=progress,
        )
