"""A session as a folder of the files that the guide's scripts read (docs/command.md, "The guide's layout")."""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from holdfast.errors import InvalidSetting
from holdfast.guide.layout import (
    Past,
    document,
    emission_entry,
    listing,
    module_entry,
    moment,
    plain,
    stream,
    transition_entry,
)
from holdfast.guide.states import Known, checkpoints_of
from holdfast.reading.catalog import attempt_starts, time_of
from holdfast.reading.loader import Source
from holdfast.records import Checkpoint
from holdfast.storage.files import Files, chunks_of, make_folders, write_errors, write_synced
from holdfast.storage.folders import put_folder

PARTS = ("tokens", "emissions", "modules", "states", "checkpoints")
"""What can be asked for by `include`."""


class GuideExport(msgspec.Struct, frozen=True):
    """What was written: the folder, and how much of each part."""

    path: Path
    tokens: int = 0
    emissions: int = 0
    modules: int = 0
    states: int = 0
    checkpoints: int = 0


def export_guide(
    files: Files,
    source: Source,
    output: Path,
    *,
    include: Collection[str] | None = None,
    force: bool = False,
    last: int | None = None,
    state: dict[str, Any] | None = None,
    progress: Callable[[str, int], object] = lambda part, done: None,
) -> GuideExport:
    """Write a session, up to record `last`, as a folder in the guide's layout, and return how much that was.

    include: of PARTS, all where None; the manifest comes always. force: an earlier export of that name is replaced; any other
    file or folder never is. state: the engine's, where it is at hand; else it is what the log tells. progress: is told a
    part, and the entries of it that are written. Streams: memory does not grow with the session. Nothing is called `output`
    before all of it is there and synced. Raises InvalidSetting, Corrupted, ReadFailed, WriteFailed.
    """
    parts = _checked(include)
    output = output.absolute()
    if files.exists(output) and not (force and _is_earlier_export(files, output)):
        raise InvalidSetting(_why_not(output, force=force))
    writing = _Writing(files, Past(source, last), parts, state, progress)
    with write_errors(output):
        put_folder(files, output, writing.fill, replace=force)
    return GuideExport(output, **{part: writing.counts.get(part, 0) for part in PARTS})


def _checked(include: Collection[str] | None) -> frozenset[str]:
    names = PARTS if include is None else (include,) if isinstance(include, str) else tuple(include)
    for name in names:
        if name not in PARTS:
            raise InvalidSetting(f"include={name!r} has no place in the guide's layout; there are: {', '.join(PARTS)}")
    return frozenset(names)


def _is_earlier_export(files: Files, output: Path) -> bool:
    return output.is_dir() and not output.is_symlink() and {"manifest.json", "training"} <= {*files.names(output)}


def _why_not(output: Path, *, force: bool) -> str:
    if force:
        return f"{output} is there, and is no earlier export that could be replaced. Nothing was changed; name another folder"
    return f"{output} is there already. Nothing was changed; name another folder, or replace it with force=True (--force)"


class _Writing:
    """One folder being written."""

    def __init__(
        self,
        files: Files,
        past: Past,
        parts: frozenset[str],
        state: dict[str, Any] | None,
        progress: Callable[[str, int], object],
    ) -> None:
        self._files, self._past, self._parts, self._state, self._progress = files, past, parts, state, progress
        self.session = past.source.session
        self.counts: dict[str, int] = {}
        with past.source.located():
            self._epoch = next((start.epoch for start in attempt_starts(past.source.reader)), None)

    def fill(self, folder: Path) -> None:
        """Write everything into an empty folder."""
        training = folder / "training"
        session = training / "sessions" / self.session
        make_folders(self._files, session)
        if "tokens" in self._parts:
            self._write_tokens(folder, training)
        if "emissions" in self._parts:
            entries = map(emission_entry, self._past.emissions())
            self._write(folder / "emissions.json", listing("emissions", entries, self._counted("emissions")))
        if "states" in self._parts:
            entries = map(transition_entry, self._past.transitions())
            self._write(folder / "states.json", listing("states", entries, self._counted("states")))
        names = self._write_modules(folder, training) if "modules" in self._parts else []
        known, labels = self._write_checkpoints(training)
        final_state = self._state if self._state is not None else known.final_state()
        self._write(folder / "manifest.json", [document(self._manifest(names, labels, final_state))])
        for name in self._files.names(folder):
            if name.endswith(".json"):
                self._link(folder / name, session / name)

    def _write_tokens(self, folder: Path, training: Path) -> None:
        tokens = training / "tokens"
        make_folders(self._files, tokens)
        texts = chain.from_iterable(self._past.tokens())
        self._write(folder / "tokens.json", listing("tokens", texts, self._counted("tokens")))
        for epoch in self._epochs():
            self._link(folder / "tokens.json", tokens / f"epoch{epoch}_tokens.json")
        make_folders(self._files, training / "streams")
        path = training / "streams" / f"epoch{self._epochs()[-1]}_stream.jsonl"
        self._write(path, stream(self._past.token_stream()))

    def _write_modules(self, folder: Path, training: Path) -> list[str]:
        """The names, each once."""
        names: dict[str, None] = {}

        def entries() -> Iterator[dict[str, Any]]:
            for index, row in enumerate(self._past.modules(), 1):
                names[row.name] = None
                yield module_entry(index, row)

        self._write(folder / "modules.json", listing("modules", entries(), self._counted("modules")))
        make_folders(self._files, training / "modules")
        self._write(training / "modules" / f"stream_{self.session}.jsonl", stream(entries()))
        return [*names]

    def _write_checkpoints(self, training: Path) -> tuple[Known, list[str]]:
        """What is known of the engine at the end, and what each checkpoint is called."""
        labels: list[str] = []
        emitted = self._counts_at()
        folder = training / "checkpoints"
        is_wanted = "checkpoints" in self._parts
        if is_wanted:
            make_folders(self._files, folder)
        known = Known()
        for record, known in checkpoints_of(self._past):
            if record is None or not is_wanted:
                continue
            labels.append(record.name or record.at or f"checkpoint {record.number}")
            tokens, emissions = emitted(record.position.get("main", 0))
            path = folder / f"checkpoint_{len(labels):03d}.json"
            self._write(path, [document(_checkpoint_entry(labels[-1], record, known, tokens, emissions))])
            self._counted("checkpoints")(len(labels))
        return known, labels

    def _counts_at(self) -> Callable[[int], tuple[int, int]]:
        """How many tokens and emissions there are up to a record; to be asked in ascending order."""
        counters = _CountsUpTo(self._past.token_numbers()), _CountsUpTo([row.n] for row in self._past.emissions())
        return lambda n: (counters[0].at(n), counters[1].at(n))

    def _manifest(self, names: list[str], labels: list[str], final_state: dict[str, Any]) -> dict[str, Any]:
        reader, last = self._past.source.reader, self._past.last
        with self._past.source.located():
            begin, end = (time_of(reader.find(n)) for n in (1, last)) if last else (0, 0)
        return {
            "session": self.session,
            "start": moment(begin),
            "end": moment(end),
            "duration": (end - begin) / 1e6,
            "epoch": self._epoch,
            "modules": names,
            "modules_count": self.counts.get("modules", 0),
            "tokens_count": self.counts.get("tokens", 0),
            "emissions_count": self.counts.get("emissions", 0),
            "checkpoints": labels,
            "final_state": plain(final_state),
        }

    def _epochs(self) -> list[str]:
        """What the guide's scripts may ask for as an epoch: the session's name, and the training epoch where it has one."""
        return [self.session] if self._epoch is None else [self.session, str(self._epoch)]

    def _counted(self, part: str) -> Callable[[int], object]:
        def counted(done: int) -> None:
            self.counts[part] = done
            self._progress(part, done)

        return counted

    def _write(self, path: Path, chunks: Iterable[bytes]) -> None:
        write_synced(self._files, path, chunks)

    def _link(self, path: Path, other: Path) -> None:
        """The same file under another name; a copy where the file system has no links."""
        try:
            self._files.link(path, other)
        except OSError:
            file = self._files.open(path)
            try:
                write_synced(self._files, other, chunks_of(file, file.size()))
            finally:
                file.close()


class _CountsUpTo:
    """How many of ascending numbers are not above one; to be asked in ascending order."""

    def __init__(self, pieces: Iterable[list[int]]) -> None:
        self._pieces = iter(pieces)
        self._piece: list[int] = []
        self._before = 0

    def at(self, n: int) -> int:
        """The count up to n."""
        while not self._piece or self._piece[-1] <= n:
            self._before += len(self._piece)
            self._piece = next(self._pieces, [])
            if not self._piece:
                return self._before
        return self._before + bisect_right(self._piece, n)


def _checkpoint_entry(label: str, record: Checkpoint, known: Known, tokens: int, emissions: int) -> dict[str, Any]:
    """A checkpoint as the guide's manager writes it."""
    return {
        "module": label,
        "timestamp": moment(record.ts),
        "state": known.final_state(),
        "tokens_count": tokens,
        "emissions_count": emissions,
        "z": known.z,
        "phase": known.phase,
        "k_formed": known.state.get("k_formed"),
        "number": record.number,
    }
