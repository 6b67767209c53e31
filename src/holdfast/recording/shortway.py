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

_PLAIN = frozenset((str, int, bool, type(None)))  # immutable, and JSON as they are
_TEXT = frozenset((str, type(None)))
_WHOLE = frozenset((int, type(None)))
_SAMPLE_EVERY = 61  # prime, so that the samples meet every step of the log's own rhythm of 16 and 64
_INFINITY = float("inf")
_LARGE_TEXT = 4096
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
    lock, now = recorder.lock, recorder.now

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
        short = get_ident() == recorder.gate and text.__class__ is str and info is None
        if z is not None and not (z.__class__ is float and 0.0 <= z <= 1.0):
            short = False
        if meta is not None and short:
            for key, value in meta.items():
                if (
                    key.__class__ is not str
                    or key == "$t"
                    or (value.__class__ not in _PLAIN and not (value.__class__ is float and -_INFINITY < value < _INFINITY))
                ):
                    short = False
        if not short or not (phase.__class__ in _TEXT and source.__class__ in _TEXT and tier.__class__ in _WHOLE):
            return _long_way(recorder, text, z, phase, tier, source, meta, info)
        with lock:
            if not recorder.busy:
                recorder.busy = True
                try:
                    n = recorder.log.append(Token(0, now(), None, recorder.top, None, None, text, z, phase, tier, source, meta))
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
    now, buffer = recorder.now, recorder.buffer
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
        short = get_ident() == recorder.gate and text.__class__ is str and info is None
        if z is not None and not (z.__class__ is float and 0.0 <= z <= 1.0):
            short = False
        if meta is not None and short:
            for key, value in meta.items():
                if (
                    key.__class__ is not str
                    or key == "$t"
                    or (value.__class__ not in _PLAIN and not (value.__class__ is float and -_INFINITY < value < _INFINITY))
                ):
                    short = False
        if not short or not (phase.__class__ in _TEXT and source.__class__ in _TEXT and tier.__class__ in _WHOLE):
            return _long_way(recorder, text, z, phase, tier, source, meta, info)
        if (phase is not None and phase != recorder.phase) or len(text) > _LARGE_TEXT:  # type: ignore[arg-type]  # a str
            return _long_way(recorder, text, z, phase, tier, source, meta, info)
        append((now(), recorder.top, text, z, phase, tier, source, meta and dict(meta)))
        if len(buffer) >= flush_at:
            recorder.flush_full_buffer()
            recorder.gate = SAMPLE_NEXT
        return None

    return token


def token_of(entry: tuple[Any, ...]) -> Token:
    """The record of a buffered tuple."""
    ts, top, text, z, phase, tier, source, meta = entry
    return Token(0, ts, None, top, None, None, text, z, phase, tier, source, meta)


def _long_way(recorder: "Recorder", text: str | int | bytes, *fields: Any) -> None:
    """A token with everything checked; or, where a sample is due, the short way, measured."""
    z, phase, tier, source, meta, info = fields
    if recorder.gate == SAMPLE_NEXT and recorder.reopen_gate():
        began = perf_counter_ns()
        recorder.token(text, z=z, phase=phase, tier=tier, source=source, meta=meta, info=info)
        recorder.samples.add(perf_counter_ns() - began)
    else:
        recorder.record(token_record(text, z, phase, tier, source, meta, info, snapshot=recorder.buffers))
