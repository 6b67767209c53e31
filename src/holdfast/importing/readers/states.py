"""What KIRA saved of its state: engine sessions, vault nodes, manifests, training logs, modules."""

from collections.abc import Iterator
from typing import Any

from holdfast.importing import findings as kinds
from holdfast.importing.checks import check_state
from holdfast.importing.items import Event, Item, Metric, Module, Transition
from holdfast.importing.kinds import Kind, has, list_of_objects
from holdfast.importing.readers.emissions import emission_of
from holdfast.importing.reading import Reading, listed

_STATE = ("z", "phase", "crystal")


def read_session(document: dict[str, Any], reading: Reading) -> Iterator[Item]:
    """An engine's session as `/save` wrote it."""
    ts = reading.time(document)
    yield from check_state(document["state"], reading, "state")
    reading.count(document, "turn_count", len(document["history"]), "turns")
    for index, turn in enumerate(document["history"]):
        where = f"history[{index}]"
        fields = turn if isinstance(turn, dict) else {"turn": turn}
        yield Event("turn", fields, reading.time(fields, ts, where=where), where)
    for index, event in enumerate(listed(document.get("triad_events"))):
        yield Event("triad", event if isinstance(event, dict) else {"text": event}, ts, f"triad_events[{index}]")
    yield from reading.tokens(document["tokens"], "tokens", ts=ts)
    for index, entry in reading.objects(document.get("emissions"), "emissions"):
        yield emission_of(entry, f"emissions[{index}]", reading, ts)
    yield Transition(None, document["state"], ts, "state")


def read_vaultnode(document: dict[str, Any], reading: Reading) -> Iterator[Item]:
    """A sealed milestone, new or old, whole."""
    yield from check_state(document, reading)
    if document.get("achieved") is None and isinstance(document.get("k_formation"), bool):
        reading.note(kinds.FIELD, "k_formation", "a flag without the values it follows from")
    yield Event("vaultnode", document, reading.time(document))


def read_manifest(document: dict[str, Any], reading: Reading) -> Iterator[Item]:
    """What a run says it did; its final state is a change of state too."""
    yield from check_state(document, reading)
    ts = reading.time(document)
    executed = document.get("modules_executed")
    if isinstance(executed, list):
        reading.count(document, "modules_count", len(executed), "modules")
    yield Event("manifest", document, ts)
    state = document.get("final_state")
    if isinstance(state, dict):
        yield Transition(None, state, ts, "final_state")


def read_training_log(document: dict[str, Any], reading: Reading) -> Iterator[Item]:
    """A training, step by step as metrics, and all else that is said of it as an event."""
    yield from check_state(document, reading)
    ts = reading.time(document)
    for index, entry in reading.objects(document["training_log"], "training_log"):
        where = f"training_log[{index}]"
        yield Metric(entry, reading.time(entry, ts, where=where), where)
    yield Event("training", {name: value for name, value in document.items() if name != "training_log"}, ts)


def read_hysteresis(document: dict[str, Any], reading: Reading) -> Iterator[Item]:
    """TRIAD's crossings, and how it ended."""
    ts, crossings = reading.time(document), 0
    for index, entry in enumerate(document["events"]):
        fields = entry if isinstance(entry, dict) else {"event": entry}
        crossings += bool(fields.get("completion"))
        yield Event("triad", fields, reading.time(fields, ts, where=f"events[{index}]"), f"events[{index}]")
    completions = [entry.get("completion") for entry in document["events"] if isinstance(entry, dict)]
    if all(isinstance(value, bool) for value in completions if value is not None):
        reading.count(document, "completions", crossings, "completed crossings")
    yield Event("hysteresis", {name: value for name, value in document.items() if name != "events"}, ts)


def read_modules(document: list[Any] | dict[str, Any], reading: Reading) -> Iterator[Item]:
    """The results of modules in order, and the state that each left."""
    listing, prefix = (document, "") if isinstance(document, list) else (document["modules"], "modules")
    ts = reading.time(document) if isinstance(document, dict) else None
    entries, before = [*reading.objects(listing, prefix, "module")], dict[str, Any]()
    for index, entry in entries:
        where = f"{prefix}[{index}]"
        moment = reading.time(entry, ts, where=where)
        place = entry.get("module", entry.get("index"))
        name = entry.get("name", entry.get("module"))
        yield from check_state(entry, reading, where)
        yield Module(
            name=str(name),
            result=entry.get("result"),
            status=_status(entry),
            index=place if isinstance(place, int) and not isinstance(place, bool) else None,
            ts=moment,
            where=where,
        )
        if "z" in entry:
            yield Transition(_state(before), _state(entry), moment, where)
        before = entry
    numbers = [entry["module"] for _, entry in entries]
    if all(isinstance(found, int) for found in numbers) and numbers != list(range(1, len(numbers) + 1)):
        reading.note(kinds.COUNT, "module", f"the numbers of the {len(numbers)} modules are not 1 to {len(numbers)}")


def _state(entry: dict[str, Any]) -> dict[str, Any] | None:
    return {name: entry[name] for name in _STATE if name in entry} or None


def _status(entry: dict[str, Any]) -> str:
    """What the module came to; an error in its result counts as one, although the original counted it as done."""
    if entry.get("success") is False or entry.get("status") in ("error", "failed"):
        return "error"
    if entry.get("status") == "skipped":
        return "skipped"
    result = entry.get("result")
    return "error" if isinstance(result, dict) and result.get("error") else "ok"


def _is_vaultnode(document: Any, path: str) -> bool:
    if not isinstance(document, dict) or "modules" in document:
        return False
    is_named = "vaultnode" in str(document.get("type", "")).lower() or "vaultnode" in path.lower()
    return is_named and ("z" in document or "coordinate" in document or isinstance(document.get("state"), dict))


def _is_manifest(document: Any, path: str) -> bool:
    return isinstance(document, dict) and (
        path.rpartition("/")[2].lower().startswith("manifest") or (has(document, final_state=dict) and "session_id" in document)
    )


SESSIONS = (
    Kind("engine session", lambda document, path: has(document, state=dict, history=list, tokens=list), read_session),
    Kind(
        "training log",
        lambda document, path: has(document, training_log=list) and list_of_objects(document["training_log"], "z"),
        read_training_log,
    ),
    Kind("hysteresis", lambda document, path: has(document, thresholds=dict, events=list), read_hysteresis),
)
KINDS = (
    Kind("vault node", _is_vaultnode, read_vaultnode),
    Kind("manifest", _is_manifest, read_manifest),
    Kind(
        "modules",
        lambda document, path: (
            list_of_objects(document, "module", "result")
            or (has(document, modules=list) and list_of_objects(document["modules"], "module"))
        ),
        read_modules,
    ),
)
