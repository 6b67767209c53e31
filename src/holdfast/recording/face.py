"""What a program calls to record something: one method a kind of record."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.errors import InvalidValue, ReadFailed
from holdfast.recording import fields
from holdfast.recording.recorder import Recorder
from holdfast.recording.shortway import TokenFunction
from holdfast.records import STATUSES, Emission, Event, File, Metric, Module, Note, Record, Transition
from holdfast.storage.files import Files, chunks_of, make_folders, replace_file, write_errors

if TYPE_CHECKING:
    import hashlib


class Face:
    """The recording half of a session. Every method takes `info=`: what may differ between equal runs.

    Each returns when its record is accepted, and in continuous mode flushed. Each raises InvalidValue, by the path of the
    field, for what cannot be stored (nothing is recorded then), and for good the error of a write that failed.
    """

    token: TokenFunction

    def __init__(self, recorder: Recorder, files: Files, files_folder: Path) -> None:
        self._recorder, self._files, self._files_folder = recorder, files, files_folder
        self._latest_metrics: dict[str, Any] = {}
        self.token = recorder.token

    def tokens(
        self, texts_or_ids: Iterable[str | int | bytes], *, info: Mapping[str, Any] | None = None, **columns: Any
    ) -> None:
        """Record a batch of tokens under one number. Columns (z=, phase=, …) have a value for every token."""
        self._recorder.record(fields.tokens_record(texts_or_ids, columns, info))

    def emission(
        self,
        text: str,
        *,
        tokens: Iterable[str | int | bytes] = (),
        z: float | None = None,
        phase: str | None = None,
        quality: float | None = None,
        meta: Mapping[str, Any] | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> None:
        """Record a text put together from tokens."""
        shown, raw = fields.text_value(text, "emission.text")
        self._record(
            Emission(
                text=shown,
                raw=raw,
                tokens=fields.token_list(tokens, "emission.tokens"),
                z=fields.coordinate(z, "emission.z"),
                phase=fields.name(phase, "emission.phase"),
                quality=fields.number(quality, "emission.quality"),
                meta=fields.named(meta, "emission.meta", snapshot=self._recorder.buffers),
            ),
            info,
        )

    def metric(self, *, info: Mapping[str, Any] | None = None, **values: Any) -> None:
        """Record named numbers. NaN and infinities are taken: a diverged loss is a fact. Scalars of NumPy and torch are
        taken as Python numbers. The last value of each name stands in the checkpoints, for keep_best."""
        plain = {key: value if type(value) is float else fields.plain_number(value) for key, value in values.items()}
        self._record(Metric(values=self._stored(plain, "metric")), info)
        self._latest_metrics.update(plain)

    def module(
        self,
        name: str,
        result: Any,
        *,
        status: str = "ok",
        index: int | None = None,
        phase: str | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> None:
        """Record the result of a module, stage or tool; status is ok, error or skipped."""
        if status not in STATUSES:
            raise InvalidValue("module.status", f"{status!r} is not one of {', '.join(STATUSES)}")
        self._record(
            Module(
                name=fields.text_value(name, "module.name")[0],
                status=status,
                result=self._stored(result, "module.result"),
                index=fields.whole(index, "module.index"),
                phase=fields.name(phase, "module.phase"),
            ),
            info,
        )

    def transition(self, before: Any, after: Any, *, info: Mapping[str, Any] | None = None) -> None:
        """Record a change of state."""
        self._record(
            Transition(before=self._stored(before, "transition.before"), after=self._stored(after, "transition.after")), info
        )

    def event(self, name: str, /, *, info: Mapping[str, Any] | None = None, **data: Any) -> None:
        """Record anything else that happened."""
        shown = fields.text_value(name, "event.name")[0]
        self._record(Event(name=shown, data=self._stored(data, "event.data") if data else None), info)

    def note(self, text: str, *, info: Mapping[str, Any] | None = None) -> None:
        """Record a remark."""
        shown, raw = fields.text_value(text, "note.text")
        self._record(Note(text=shown, raw=raw), info)

    def file(self, path: str | os.PathLike[str], *, info: Mapping[str, Any] | None = None) -> str:
        """Record a file by its content, copied once into the session's files/<sha256>; return the SHA-256.

        The content is copied and synced before the record is made. Where the file came from stands in `info`.
        """
        self._recorder.raise_stopped()
        source, began = Path(path), self._recorder.timer_ns()
        with write_errors(source):
            sha256, size = self._copy(source)
        self._recorder.spend(began)
        record = File(name=fields.text_value(source.name, "file.name")[0], sha256=sha256, size=size)
        self._record(record, {"path": str(source), **(info or {})})
        return sha256

    def _record(self, record: Record, info: Mapping[str, Any] | None) -> None:
        if info is not None:
            record.info = fields.named(info, "info", snapshot=True)
        self._recorder.record(record)

    def _stored(self, value: Any, path: str) -> Any:
        return fields.stored(value, path, snapshot=self._recorder.buffers)

    def _has(self, target: Path, size: int) -> bool:
        """Whether the content is there already; what a failing disk made shorter is copied anew."""
        if not self._files.exists(target):
            return False
        file = self._files.open(target)
        try:
            return file.size() == size
        finally:
            file.close()

    def _copy(self, source: Path) -> tuple[str, int]:
        """Hash a file, and copy it where its content is not there yet."""
        import hashlib  # here: few runs record files, and it takes a while to import

        file = self._files.open(source)
        try:
            size, digest = file.size(), hashlib.sha256()
            for chunk in chunks_of(file, size):
                digest.update(chunk)
            sha256 = digest.hexdigest()
            target = self._files_folder / sha256
            if self._has(target, size):
                return sha256, size
            make_folders(self._files, self._files_folder, own=1)
            replace_file(self._files, target, _unchanged(source, chunks_of(file, size), hashlib.sha256(), sha256))
            self._recorder.file_bytes += size
            return sha256, size
        finally:
            file.close()


def _unchanged(source: Path, chunks: Iterable[bytes], digest: "hashlib._Hash", sha256: str) -> Iterator[bytes]:
    """The chunks of a file. Raises ReadFailed at the end where they are not what was hashed before."""
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != sha256:
        raise ReadFailed(source, "it changed while it was copied, and was not recorded")
