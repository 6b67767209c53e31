"""Items into sessions: a step a file, so that a killed import goes on where it was, and a second one finds all of it there."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from holdfast.errors import InvalidValue
from holdfast.importing.items import Emission, Event, Item, Metric, Module, Tokens, Transition
from holdfast.reading.blocks import line_blocks
from holdfast.reading.filters import filter_of
from holdfast.reading.shelves import module_shelf
from holdfast.reading.superseded import superseded_spans
from holdfast.sessions.folder import SessionFolder
from holdfast.sessions.opening import start
from holdfast.sessions.session import Run
from holdfast.storage.files import Files
from holdfast.storage.host import boot_id
from holdfast.storage.reader import LogReader

STEP = "import "
"""What the step of a file is called, with its path behind."""
CONFIG = {"imported": True}
_HASH_SIGNS = 16
_RESERVED = frozenset(("self", "info"))  # names that values of run.metric cannot have


class Source(Protocol):
    """A file to be brought in. counts: the records that it gave, by kind, once they were read."""

    path: str
    sha256: str
    kind: str
    counts: dict[str, int]

    def items(self) -> Iterator[Item]:
        """What it says."""

    def refused(self, item: Item, error: InvalidValue) -> None:
        """Is told what cannot be recorded, and why."""


def imported(files: Files, root: Path, session: str) -> list[tuple[str, str]]:
    """The files whose records a session has, with their hashes, in the order in which they came."""
    folder = SessionFolder(files, root, session)
    if not folder.exists:
        return []
    reader = LogReader(files, folder.log, boot_id())
    spans, shelf = superseded_spans(reader), module_shelf(filter_of())
    found = []
    for block in line_blocks(reader, 1, None):
        for row in shelf.rows(session, block, spans):
            if row.name.startswith(STEP) and isinstance(row.result, dict) and "sha256" in row.result:
                found.append((str(row.result["path"]), str(row.result["sha256"])))
    return found


def bring_in(
    files: Files,
    root: Path,
    session: str,
    epoch: int | None,
    known: Sequence[tuple[str, str]],
    sources: Sequence[Source],
) -> dict[str, int]:
    """Record the files that a session does not have, behind those that it has; how many records each gave, by path.

    Killed at any instant, the next call goes on. Raises what opening and recording do.
    """
    added: dict[str, int] = {}
    clock = _Clock()
    run = start(session, root=root, files=files, epoch=epoch, config=CONFIG, extend=True)
    with run:
        run.date_with(clock)
        for path, sha256 in known:
            run.step(_step(path, sha256), _gone)
        for source in sources:
            result = run.step(_step(source.path, source.sha256), _bring_in, run, clock, source)
            added[source.path] = sum(result["records"].values())
    return added


def _step(path: str, sha256: str) -> str:
    return f"{STEP}{path} {sha256[:_HASH_SIGNS]}"


def _gone() -> None:
    raise AssertionError("a file that was imported is a step that is not run again")


def _bring_in(run: Run, clock: "_Clock", source: Source) -> dict[str, Any]:
    path, sha256 = source.path, source.sha256[:_HASH_SIGNS]
    for item in source.items():
        clock.ts = item.ts
        try:
            _RECORDED[type(item)](run, item, {"path": path, "sha256": sha256, "at": item.where})
        except InvalidValue as error:
            source.refused(item, error)
    clock.ts = None
    return {"path": path, "sha256": source.sha256, "kind": source.kind, "records": source.counts}


def _tokens(run: Run, item: Tokens, info: Mapping[str, Any]) -> None:
    if len(item.texts) == 1:
        run.token(item.texts[0], info=info, **{name: values[0] for name, values in item.columns.items()})
    else:
        run.tokens(item.texts, info=info, **item.columns)


def _emission(run: Run, item: Emission, info: Mapping[str, Any]) -> None:
    run.emission(item.text, tokens=item.tokens, z=item.z, phase=item.phase, quality=item.quality, meta=item.meta, info=info)


def _metric(run: Run, item: Metric, info: Mapping[str, Any]) -> None:
    values = item.values
    if not _RESERVED.isdisjoint(values):
        values = {f"{name}_" if name in _RESERVED else name: value for name, value in values.items()}
    run.metric(info=info, **values)


def _module(run: Run, item: Module, info: Mapping[str, Any]) -> None:
    run.module(item.name, item.result, status=item.status, index=item.index, phase=item.phase, info=info)


def _transition(run: Run, item: Transition, info: Mapping[str, Any]) -> None:
    run.transition(item.before, item.after, info=info)


def _event(run: Run, item: Event, info: Mapping[str, Any]) -> None:
    data = item.data
    if "info" in data:
        data = {"info_" if name == "info" else name: value for name, value in data.items()}
    run.event(item.name, info=info, **data)


_RECORDED: Mapping[type, Callable[[Run, Any, Mapping[str, Any]], None]] = {
    Tokens: _tokens,
    Emission: _emission,
    Metric: _metric,
    Module: _module,
    Transition: _transition,
    Event: _event,
}


class _Clock:
    """The time that a record is of; that of the import where a file does not tell."""

    def __init__(self) -> None:
        self.ts: int | None = None

    def __call__(self) -> int:
        return time.time_ns() if self.ts is None else self.ts * 1000
