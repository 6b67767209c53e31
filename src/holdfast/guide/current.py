"""Exports of a session that is open, by the program that runs it."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from holdfast.errors import InvalidSetting
from holdfast.guide.export import export_guide
from holdfast.guide.exporting import GUIDE, check_format
from holdfast.guide.layout import plain
from holdfast.reading.export.tables import export_tables
from holdfast.reading.filters import filter_of
from holdfast.reading.loader import Source
from holdfast.reading.locate import located
from holdfast.sessions.names import checked_name
from holdfast.sessions.session import Run
from holdfast.storage.files import read_whole

EVENT = "exported"
FOLDER = "exports"  # in the session's


def export_current(run: Run, label: str, state: Mapping[str, Any], counts: Mapping[str, Any]) -> Path:
    """Write the run so far to exports/LABEL in the session's folder, then record that, with the state, as an event.

    A resumed program does it again, with what it had produced here before, and the event is matched. One that calls it twice
    with a label replaces the first. Raises InvalidSetting for a label that no folder can have, and what export_guide
    does; then nothing is recorded.
    """
    try:
        name = checked_name(label)
    except InvalidSetting as error:
        raise InvalidSetting(str(error).replace("session name", "label", 1)) from None
    output = run.path / FOLDER / name
    # In front of the loop that it goes on in, a resumed program has not got its state back yet, and its log is ahead of it.
    is_done = run.is_at_top() and run.replay_left > 0 and _state_in(run, output) == plain(dict(state))
    if not is_done:
        run.flush_accepted()
        export_guide(run.file_operations(), source_of(run), output, force=True, last=run.produced(), state=dict(state))
    run.event(EVENT, label=name, state=dict(state), **counts)
    return output


def _state_in(run: Run, output: Path) -> Any:
    """The final state that an export tells; None where there is no such export."""
    try:
        return msgspec.json.decode(read_whole(run.file_operations(), output / "manifest.json"))["final_state"]
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError, KeyError, TypeError):
        return None


def export_run(
    run: Run, output: Path, *, format: str, include: Collection[str] | None, force: bool, state: Mapping[str, Any]
) -> Path:
    """Write the run so far to a file or folder, whose path is returned; it records nothing."""
    check_format(format)
    run.flush_accepted()
    files, source, last = run.file_operations(), source_of(run), run.produced()
    if format == GUIDE:
        return export_guide(files, source, output, include=include, force=force, last=last, state=dict(state)).path
    wanted = filter_of()
    return export_tables(
        files, lambda: [source], output, format=format, include=include, wanted=wanted, up_to=last, force=force
    ).path


def source_of(run: Run) -> Source:
    """A snapshot of what is flushed of an open session."""
    return Source(run.name, lambda known: run.reader(), lambda: located(run.file_operations(), run.path / "log" / "main"))
