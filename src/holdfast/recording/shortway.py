"""The short ways of a token: the same record as the long one, with nothing done that this token does not need."""

from _thread import get_ident
from collections.abc import Mapping
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Protocol

from holdfast.errors import WriteFailed
from holdfast.recording.fields import token_record
from holdfast.records import Token

if TYPE_CHECKING:
    from holdfast.recording.recorder import Recorder

_WHOLE = 1 << 53  # exact in every reader of JSON; larger ones take the long way
_SAMPLE_EVERY = 61  # prime, so that the samples meet every step of the log's own rhythm of 16 and 64
_INFINITY = float("inf")
_LARGE_TEXT = 4096
_LONGEST_NAME, _MOST_NAMES = 256, 4096
_NOT_SHORT = (TypeError, ValueError, OverflowError, WriteFailed)
SAMPLE_NEXT = -1
"""A gate that no thread fits: the next token finds it shut, and is measured."""


class TokenFunction(Protocol):
    """Record one token. z is finite and in [0, 1]. Raises InvalidValue, and the error of a failed write for good."""

    def __call__(
        self,
        text: str | int | bytes,
        *,
        z: float | None = None,
        phase: str | None = None,
        tier: int | None = None,
        source: str | None = None,
        meta: Mapping[str, Any] | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> None: ...


def direct_way(recorder: "Recorder") -> TokenFunction:
    """Continuous: straight to the log."""
    lock, clock_ns = recorder.lock, recorder.clock_ns
    names = recorder.names

    def token(
        text: str | int | bytes,
        *,
        z: float | None = None,
        phase: str | None = None,
        tier: int | None = None,
        source: str | None = None,
        meta: Mapping[str, Any] | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> None:
        if (
            get_ident() != recorder.gate
            or text.__class__ is not str
            or info is not None
            or (z is not None and not (z.__class__ is float and 0.0 <= z <= 1.0))
            or (tier is not None and not (tier.__class__ is int and -_WHOLE < tier < _WHOLE))
            or (phase is not None and not (phase.__class__ is str and phase in names))
            or (source is not None and not (source.__class__ is str and source in names))
            or (meta is not None and not _is_plain(meta, names))
        ):
            return _long_way(recorder, text, z, phase, tier, source, meta, info)
        with lock:
            if not recorder.busy:
                recorder.busy = True
                try:
                    n = recorder.log.append(
                        Token(0, clock_ns() // 1000, None, recorder.top, None, None, text, z, phase, tier, source, meta)
                    )
                except _NOT_SHORT:
                    n = 0  # nothing was appended: the long way does it, or says why not
                finally:
                    recorder.busy = False
                if n:
                    if not n % _SAMPLE_EVERY:
                        recorder.gate = SAMPLE_NEXT
                    if recorder.deferred:
                        recorder.take_deferred()
                    return None
        return _long_way(recorder, text, z, phase, tier, source, meta, info)

    return token


def buffered_way(recorder: "Recorder") -> TokenFunction:
    """Batch and checkpoint: into the buffer, as a tuple that becomes a record when it is flushed."""
    clock_ns, buffer = recorder.clock_ns, recorder.buffer
    names = recorder.names
    append = buffer.append
    flush_at = recorder.policy.flush_at

    def token(
        text: str | int | bytes,
        *,
        z: float | None = None,
        phase: str | None = None,
        tier: int | None = None,
        source: str | None = None,
        meta: Mapping[str, Any] | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> None:
        if (
            get_ident() != recorder.gate
            or text.__class__ is not str
            or info is not None
            or (z is not None and not (z.__class__ is float and 0.0 <= z <= 1.0))
            or (tier is not None and not (tier.__class__ is int and -_WHOLE < tier < _WHOLE))
            or (phase is not None and not (phase.__class__ is str and phase in names))
            or (source is not None and not (source.__class__ is str and source in names))
            or (meta is not None and not _is_plain(meta, names))
        ):
            return _long_way(recorder, text, z, phase, tier, source, meta, info)
        if (phase is not None and phase != recorder.phase) or len(text) > _LARGE_TEXT or len(buffer) >= flush_at:
            return _long_way(recorder, text, z, phase, tier, source, meta, info)
        append((clock_ns(), recorder.top, text, z, phase, tier, source, None if meta is None else dict(meta)))
        if len(buffer) >= flush_at:
            recorder.flush_full_buffer()
            if recorder.gate:
                recorder.gate = SAMPLE_NEXT
        return None

    return token


def token_of(entry: tuple[Any, ...]) -> Token:
    """The record of a buffered tuple. One that holds lone surrogates is made the long way."""
    ts, top, text, z, phase, tier, source, meta = entry
    if text.isascii() or text.isprintable():
        return Token(0, ts // 1000, None, top, None, None, text, z, phase, tier, source, meta)
    record = token_record(text, z, phase, tier, source, meta, None, snapshot=False)
    record.ts, record.top = ts // 1000, top
    return record


def _is_plain(meta: Mapping[str, Any], names: set[str]) -> bool:
    """Whether meta is a small dict with known keys that is JSON as it is, and whose values nobody can change."""
    if meta.__class__ is not dict:
        return False
    for key, value in meta.items():
        kind = value.__class__
        if key not in names:
            return False
        if kind is str:
            if len(value) > _LARGE_TEXT or not value.isascii():
                return False
        elif kind is int:
            if not -_WHOLE < value < _WHOLE:
                return False
        elif kind is float:
            if not -_INFINITY < value < _INFINITY:
                return False
        elif value is not None and kind is not bool:
            return False
    return True


def _learn(names: set[str], phase: object, source: object, meta: object) -> None:
    """Names that the short ways know from now on: printable, not long, and not the codec's own."""
    for name in (phase, source, *(meta if type(meta) is dict else ())):
        if (
            type(name) is str
            and len(name) <= _LONGEST_NAME
            and name.isprintable()
            and name != "$t"
            and len(names) < _MOST_NAMES
        ):
            names.add(name)


def _long_way(recorder: "Recorder", text: str | int | bytes, *fields: Any) -> None:
    """A token with everything checked; or, where a sample is due, the short way, measured."""
    z, phase, tier, source, meta, info = fields
    if recorder.gate == SAMPLE_NEXT and recorder.reopen_gate():
        began = perf_counter_ns()
        recorder.token(text, z=z, phase=phase, tier=tier, source=source, meta=meta, info=info)
        recorder.samples.add(perf_counter_ns() - began)
    else:
        _learn(recorder.names, phase, source, meta)
        recorder.record(token_record(text, z, phase, tier, source, meta, info, snapshot=recorder.buffers))
