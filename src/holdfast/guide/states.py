"""The engine's state as a log tells it: at each checkpoint, and at its end."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from holdfast.codec import decode
from holdfast.engines.kira.state import State
from holdfast.errors import InvalidValue
from holdfast.guide.layout import Past, plain
from holdfast.reading.blocks import line_blocks
from holdfast.reading.superseded import is_dead
from holdfast.records import UNREADABLE, BadRecord, Checkpoint, kind_of

_TELLING = frozenset(("token", "emission", "transition", "event", "checkpoint"))
_fields_of = msgspec.json.Decoder(dict[str, Any]).decode
_checkpoint_of = msgspec.json.Decoder(Checkpoint).decode


class Known(msgspec.Struct):
    """What is known of the engine at a record: its last full state, empty before the first, and z and phase as last told."""

    state: dict[str, Any] = {}
    z: float | None = None
    phase: str | None = None

    def final_state(self) -> dict[str, Any]:
        """The state, with the z that was told last."""
        state = dict(self.state)
        if self.z is not None and self.z != state.get("z"):
            state |= {"z": self.z, "phase": self.phase}
            if (found := _kira_state({**state, "z": self.z})) is not None:
                state |= found
        return state


def checkpoints_of(past: Past) -> Iterator[tuple[Checkpoint | None, Known]]:
    """Each checkpoint that is part of the run with what was known there, and last of all None with what is known at the end."""
    known, spans, reader = Known(), past.source.spans, past.source.reader
    superseded = [record for record in spans.records if record.n <= past.last]
    with past.source.located():
        for block in line_blocks(reader, 1, past.last):
            for n, line in enumerate(block.lines(), block.first):
                if kind_of(line) not in _TELLING:
                    continue
                try:
                    fields = _fields_of(line)
                    record = _checkpoint_of(line) if fields["kind"] == "checkpoint" else None
                except UNREADABLE as error:
                    raise BadRecord(line, str(error)) from None
                if record is not None and is_dead(record, superseded):
                    continue
                if record is not None:
                    if (state := _state_in(record)) is not None:
                        known = Known(state, state["z"], state["phase"])
                    yield record, known
                elif not spans.covers(n, fields.get("lane"), fields.get("top", False)):
                    _hear(known, fields)
    yield None, known


def _hear(known: Known, fields: Mapping[str, Any]) -> None:
    told: Any = fields
    if fields["kind"] == "transition":
        told = decode(fields["after"])
        if isinstance(told, dict) and "z" in told:
            known.state = plain(told)
    elif fields["kind"] == "event":
        told = {"z": (fields.get("data") or {}).get("z"), "phase": (fields.get("data") or {}).get("after")}
    if isinstance(told, dict) and isinstance(told.get("z"), int | float):
        known.z = float(told["z"])
        known.phase = told["phase"] if isinstance(told.get("phase"), str) else known.phase


def _state_in(record: Checkpoint) -> dict[str, Any] | None:
    """KIRA's state in a checkpoint that stands in its record; None where it holds none."""
    if not isinstance(record.state, dict):
        return None
    decoded: Any = decode(record.state.get("track", {}).get("kira"))
    if not isinstance(decoded, dict) or not isinstance(decoded.get("engine"), dict):
        return None
    return _kira_state(decoded["engine"].get("state"))


def _kira_state(facts: Any) -> dict[str, Any] | None:
    state = State()
    try:
        state.load_state_dict(facts)
    except (InvalidValue, TypeError, KeyError):
        return None
    return dict(state.recorded())
