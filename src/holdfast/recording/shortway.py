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
_SAMPLE_EVERY = 61  # prime, so that the samples meet every step of the log's own rhythm of 16 and 64
_INFINITY = float("inf")
_LARGE_TEXT = 4096
_MOST_KEYS = 1024
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
    keys: set[str] = set()
    is_plain, is_known = _PLAIN.issuperset, keys.issuperset

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
            or (phase is not None and phase.__class__ is not str)
            or (tier is not None and tier.__class__ is not int)
            or (source is not None and source.__class__ is not str)
            or (meta is not None and not (is_plain(map(type, meta.values())) and is_known(meta)) and not _is_flat(meta, keys))
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
    keys: set[str] = set()
    is_plain, is_known = _PLAIN.issuperset, keys.issuperset
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
            or (phase is not None and phase.__class__ is not str)
            or (tier is not None and tier.__class__ is not int)
            or (source is not None and source.__class__ is not str)
            or (meta is not None and not (is_plain(map(type, meta.values())) and is_known(meta)) and not _is_flat(meta, keys))
        ):
            return _long_way(recorder, text, z, phase, tier, source, meta, info)
        if (phase is not None and phase != recorder.phase) or len(text) > _LARGE_TEXT:
            return _long_way(recorder, text, z, phase, tier, source, meta, info)
        append((clock_ns(), recorder.top, text, z, phase, tier, source, meta and dict(meta)))
        if len(buffer) >= flush_at:
            recorder.flush_full_buffer()
            recorder.gate = SAMPLE_NEXT
        return None

    return token


def token_of(entry: tuple[Any, ...]) -> Token:
    """The record of a buffered tuple."""
    ts, top, text, z, phase, tier, source, meta = entry
    return Token(0, ts // 1000, None, top, None, None, text, z, phase, tier, source, meta)


def _is_flat(meta: Mapping[str, Any], keys: set[str]) -> bool:
    """Whether meta is JSON as it is, with immutable values; its keys are known from then on."""
    for key, value in meta.items():
        if key.__class__ is not str or key == "$t":
            return False
        if value.__class__ not in _PLAIN and not (value.__class__ is float and -_INFINITY < value < _INFINITY):
            return False
    if len(keys) < _MOST_KEYS:
        keys.update(meta)
    return True


def _long_way(recorder: "Recorder", text: str | int | bytes, *fields: Any) -> None:
    """A token with everything checked; or, where a sample is due, the short way, measured."""
    z, phase, tier, source, meta, info = fields
    if recorder.gate == SAMPLE_NEXT and recorder.reopen_gate():
        began = perf_counter_ns()
        recorder.token(text, z=z, phase=phase, tier=tier, source=source, meta=meta, info=info)
        recorder.samples.add(perf_counter_ns() - began)
    else:
        recorder.record(token_record(text, z, phase, tier, source, meta, info, snapshot=recorder.buffers))
