"""Sessions as files for other programs: the part of a workspace that exports."""

import os
from collections.abc import Callable, Collection
from pathlib import Path

from holdfast.errors import InvalidSetting
from holdfast.guide.export import PARTS, export_guide
from holdfast.reading.export.copying import FORMATS
from holdfast.reading.export.tables import Exported, export_tables
from holdfast.reading.filters import Bounds, Filter, Moment, Names, count_of_last, filter_of
from holdfast.reading.loader import Source
from holdfast.reading.saved import Tiers
from holdfast.storage.files import Files

GUIDE = "guide"
Progress = Callable[[str, int, int], object]


def check_format(format: str) -> None:
    """Raise InvalidSetting for a format that is none."""
    if format not in (*FORMATS, GUIDE):
        raise InvalidSetting(f"format={format!r} is not known; it is one of {', '.join((*FORMATS, GUIDE))}")


class Exporting:
    """Sessions in other formats."""

    _files: Files

    def _sources(self, session: Names, epoch: int | None) -> list[Source]:
        raise NotImplementedError  # the workspace knows its sessions

    def export(
        self,
        *,
        format: str,
        output: str | os.PathLike[str],
        include: Collection[str] | None = None,
        session: Names = None,
        epoch: int | None = None,
        name: Names = None,
        phase: Names = None,
        tier: Tiers = None,
        z: Bounds = None,
        since: Moment = None,
        until: Moment = None,
        source: Names = None,
        last: int | None = None,
        superseded: bool = False,
        excel_safe: bool = False,
        force: bool = False,
        progress: Progress = lambda what, done, total: None,
    ) -> Exported:
        """Write what sessions hold to a file or folder, and return how much of each kind that was (docs/command.md, "export").

        format: "json", "csv" or "parquet", with the columns of SQL; or "guide", the folder that the guide's scripts read, of
        one session. include: of tokens, emissions, metrics, modules, states (with the final ones), checkpoints, events, files,
        notes; all where None. session, epoch, and the filters: as for `tokens` and the others; with include=None, kinds that
        lack what is filtered by are left out. last: of each kind. superseded: also what is no longer part of the run.

        JSON is one file. CSV and Parquet are one file for one kind, and a folder with a file a kind for several. excel_safe: in
        CSV, texts that a spreadsheet would take for formulas have an apostrophe in front, and a byte order mark tells the
        encoding. force: what has the name `output` is replaced, where it is a file or an earlier export. progress: is told what
        is worked on, how much of it is done, and of how much.

        The same records give the same bytes, sealed or not. Nothing is called `output` before all of it is there. Raises
        InvalidSetting, Corrupted, ReadFailed, WriteFailed.
        """
        wanted = filter_of(
            names=name, phase=phase, tier=tier, z=z, since=since, until=until, source=source, superseded=superseded
        )
        count_of_last(last)
        check_format(format)
        if format == GUIDE:
            return self._export_guide(Path(output), include, session, epoch, wanted, last, excel_safe, force, progress)
        return export_tables(
            self._files,
            lambda: self._sources(session, epoch),
            Path(output),
            format=format,
            include=include,
            wanted=wanted,
            last=last,
            excel_safe=excel_safe,
            force=force,
            progress=progress,
        )

    def _export_guide(
        self,
        output: Path,
        include: Collection[str] | None,
        session: Names,
        epoch: int | None,
        wanted: Filter,
        last: int | None,
        excel_safe: bool,
        force: bool,
        progress: Progress,
    ) -> Exported:
        if wanted != Filter() or last is not None or excel_safe:
            raise InvalidSetting(
                'format="guide" is a whole session: it takes no filters. Leave them out, or take another format'
            )
        sources = self._sources(session, epoch)
        if len(sources) != 1:
            raise InvalidSetting(f'format="guide" is of one session, and these are {len(sources)}: name one')
        total = sources[0].reader.last
        done = export_guide(
            self._files,
            sources[0],
            output,
            include=include,
            force=force,
            progress=lambda part, count: progress(part, count, total),
        )
        return Exported(done.path, {part: getattr(done, part) for part in PARTS if include is None or part in include})
