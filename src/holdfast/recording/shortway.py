"""The short ways of a token: the same record as the long one, with nothing done that this token does not need."""

from _thread import get_ident
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from holdfast.errors import WriteFailed
from holdfast.recording.fields import token_record
from holdfast.records import Token

if TYPE_CHECKING:
    from holdfast.recording.recorder import Recorder

_WHOLE = 1 << 53  # exact in every reader of JSON; larger ones take the long way
_SAMPLE_EVERY = 61  # prime, so that the samples meet every step of the log's own rhythm of 16 and 64
_LARGE_TEXT = 4096
_LONGEST_NAME, _MOST_NAMES = 256, 4096
NOT_SHORT = (TypeError, ValueError, OverflowError, WriteFailed)
"""What appending raises where the long way has to see to it; nothing was appended then."""
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
    """Continuous: straight to the log.

    It takes no lock. No thread is switched to and no signal handled between the look at `busy` and the next store, as there
    is no call between them (a test looks at the bytecode), and without the interpreter's lock the gate stays shut.
    """
    clock_ns, are_known = recorder.clock_ns, recorder.names.issuperset
    turn, lanes, outlet = recorder.turn, recorder.lanes, recorder.outlet

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
        me = get_ident()
        if (
            me != turn.gate
            or text.__class__ is not str
            or info is not None
            or (z is not None and not (z.__class__ is float and 0.0 <= z <= 1.0))
            or (tier is not None and not (tier.__class__ is int and -_WHOLE < tier < _WHOLE))
            or (phase is not None and phase.__class__ is not str)
            or (source is not None and source.__class__ is not str)
        ):
            return _long_way(recorder, text, z, phase, tier, source, meta, info)
        if meta is not None:
            if meta.__class__ is not dict or not are_known(meta):
                return _long_way(recorder, text, z, phase, tier, source, meta, info)
            for value in meta.values():
                kind = value.__class__
                if kind is int:
                    if -_WHOLE < value < _WHOLE:
                        continue
                elif kind is str or kind is bool or value is None or (kind is float and value - value == 0.0):
                    continue  # a float neither NaN nor infinite
                return _long_way(recorder, text, z, phase, tier, source, meta, info)
        if turn.busy:
            return _long_way(recorder, text, z, phase, tier, source, meta, info)
        turn.busy = me
        try:
            n = outlet.log.append(Token(0, clock_ns() // 1000, None, lanes.top, None, None, text, z, phase, tier, source, meta))
        except NOT_SHORT:
            n = 0  # nothing was appended: the long way does it, or says why not
        finally:
            turn.busy = 0
        if not n % _SAMPLE_EVERY:
            if not n:
                return _long_way(recorder, text, z, phase, tier, source, meta, info)
            turn.gate = SAMPLE_NEXT
        if turn.deferred:
            turn.take_deferred()
        return None

    return token


def buffered_way(recorder: "Recorder") -> TokenFunction:
    """Batch and checkpoint: into the buffer, as the fields of a Token, which become a record when it is flushed."""
    clock_ns, are_known = recorder.clock_ns, recorder.names.issuperset
    turn, lanes, buffer = recorder.turn, recorder.lanes, recorder.outlet.buffer
    entries, append = buffer.entries, buffer.entries.append
    room = recorder.outlet.policy.flush_at - 1

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
            get_ident() != turn.gate
            or text.__class__ is not str
            or len(text) > _LARGE_TEXT
            or info is not None
            or (z is not None and not (z.__class__ is float and 0.0 <= z <= 1.0))
            or (tier is not None and not (tier.__class__ is int and -_WHOLE < tier < _WHOLE))
            or (phase is not None and phase is not buffer.phase and (phase.__class__ is not str or phase != buffer.phase))
            or (source is not None and not (source.__class__ is str and len(source) <= _LARGE_TEXT))
            or len(entries) > room
        ):
            return _long_way(recorder, text, z, phase, tier, source, meta, info)
        if meta is not None:
            if meta.__class__ is not dict or not are_known(meta):
                return _long_way(recorder, text, z, phase, tier, source, meta, info)
            meta = meta.copy()
            for value in meta.values():
                kind = value.__class__
                if kind is int:
                    if -_WHOLE < value < _WHOLE:
                        continue
                elif kind is str:
                    if len(value) <= _LARGE_TEXT:
                        continue
                elif kind is bool or value is None or (kind is float and value - value == 0.0):
                    continue
                return _long_way(recorder, text, z, phase, tier, source, meta, info)
        append((0, clock_ns() // 1000, None, lanes.top, None, None, text, z, phase, tier, source, meta))
        if len(entries) > room:
            recorder.flush_full_buffer()
            if turn.gate:
                turn.gate = SAMPLE_NEXT
        return None

    return token


def exact_token_of(entry: tuple[Any, ...]) -> Token:
    """The record of a buffered tuple, by the long way: for texts that UTF-8 cannot hold."""
    _, ts, _, top, _, _, text, z, phase, tier, source, meta = entry
    record = token_record(text, z, phase, tier, source, meta, None, snapshot=False)
    record.ts, record.top = ts, top
    return record


def _learn(names: set[str], meta: object) -> None:
    """Keys of meta that the short ways know from now on: short ones, and not the codec's own."""
    for name in meta if type(meta) is dict else ():
        if type(name) is str and len(name) <= _LONGEST_NAME and name != "$t" and len(names) < _MOST_NAMES:
            names.add(name)


def _long_way(recorder: "Recorder", text: str | int | bytes, *fields: Any) -> None:
    """A token with everything checked; or, where a sample is due, the short way, measured."""
    z, phase, tier, source, meta, info = fields
    cost, buffers = recorder.cost, recorder.outlet.buffers
    if recorder.turn.gate == SAMPLE_NEXT and text.__class__ is str and info is None and recorder.reopen_gate():
        cost.sampling, stalls, began = 0, cost.stalls, cost.timer_ns()
        recorder.token(text, z=z, phase=phase, tier=tier, source=source, meta=meta, info=info)
        cost.take_sample(cost.timer_ns() - began, stalls, is_flush=not buffers)
    else:
        if cost.sampling is not None and recorder.lanes.is_owner():
            cost.sampling = None  # this one was to be measured, and is none of the short way
        _learn(recorder.names, meta)
        recorder.record(token_record(text, z, phase, tier, source, meta, info, snapshot=buffers))
