"""What is kept whole: stages of archives, journeys, replies, curves of trainings, reports."""

from collections.abc import Iterator
from typing import Any

from holdfast.importing import findings as kinds
from holdfast.importing.checks import check_state
from holdfast.importing.items import Event, Item, Metric, Module
from holdfast.importing.kinds import Kind, has
from holdfast.importing.readers.emissions import emission_of
from holdfast.importing.reading import Reading, listed, number
from holdfast.tokens import Junk, parse

_LEAST_TOKENS = 12  # that a list within a journey has, to be one of tokens
_DOCUMENTS = ("report", "env", "gates", "resolved_config", "config", "summary")


def read_stage(document: dict[str, Any], reading: Reading) -> Iterator[Item]:
    """A stage of an archived run."""
    yield from check_state(document, reading)
    ts = reading.time(document)
    status = str(document.get("status", "")).lower()
    yield from _tokens_within(document, reading, ts)
    for index, entry in reading.objects(document.get("emissions"), "emissions", "text"):
        yield emission_of(entry, f"emissions[{index}]", reading, ts)
    yield Module(
        name=str(document.get("name") or document.get("module") or reading.name.removesuffix(".json")),
        result=document,
        status="error" if status in ("error", "failed", "failure") else "skipped" if status == "skipped" else "ok",
        phase=str(document["phase"]) if isinstance(document.get("phase"), str | int) else None,
        ts=ts,
    )


def read_journey(document: dict[str, Any], reading: Reading) -> Iterator[Item]:
    """A journey: its layers as modules, its log as events, and the tokens that stand in it, each list once."""
    yield from check_state(document, reading)
    ts = reading.time({"timestamp": document.get("started_at")})
    yield from _tokens_within(document, reading, ts)
    for index, (name, layer) in enumerate(document["layers"].items(), 1):
        title = layer.get("name", name) if isinstance(layer, dict) else name
        yield Module(name=str(title), result=layer, index=index, phase=name, ts=ts, where=f"layers.{name}")
    for field in ("journey_log", "semantic_evolution"):
        for index, entry in enumerate(listed(document.get(field))):
            where = f"{field}[{index}]"
            fields = entry if isinstance(entry, dict) else {"text": entry}
            yield Event(field, fields, reading.time(fields, ts, where=where), where)
    rest = {name: value for name, value in document.items() if name not in ("layers", "journey_log", "semantic_evolution")}
    yield Event("journey", rest, reading.time({"timestamp": document.get("completed_at")}, ts))


def read_reply(document: dict[str, Any], reading: Reading) -> Iterator[Item]:
    """A reply to a request from outside."""
    yield from check_state(document, reading)
    if reading.name.startswith(".") or document.get("callback_id") == "":
        reading.note(kinds.NAME, "callback_id", f"the file is called {reading.name!r}, as the id of the request is empty")
    yield Event("reply", document, reading.time(document))


def read_curves(document: dict[str, Any], reading: Reading) -> Iterator[Item]:
    """The curves of a training, as metrics, and all else as an event."""
    history, ts = document["training_history"], reading.time(document)
    if isinstance(history, dict):
        curves = {name: values for name, values in history.items() if isinstance(values, list)}
        for index in range(max(map(len, curves.values()), default=0)):
            row = {name: values[index] for name, values in curves.items() if index < len(values)}
            yield Metric(row, ts, f"training_history[{index}]")
        history = {name: value for name, value in history.items() if name not in curves}
    else:
        for index, entry in enumerate(history):
            row = entry if isinstance(entry, dict) else {"value": entry}
            yield Metric(row, reading.time(row, ts, where=f"training_history[{index}]"), f"training_history[{index}]")
        history = None
    rest = {name: value for name, value in document.items() if name != "training_history"}
    yield Event("training", rest | ({"training_history": history} if history else {}), ts)


def read_evolution(document: dict[str, Any], reading: Reading) -> Iterator[Item]:
    """How a crystal grew, step by step."""
    yield from check_state(document, reading)
    ts = reading.time(document)
    for index, entry in enumerate(document["evolution"]):
        row = entry if isinstance(entry, dict) else {"z": entry} if number(entry) is not None else {"value": entry}
        yield Metric(row, reading.time(row, ts, where=f"evolution[{index}]"), f"evolution[{index}]")
    yield Event("evolution", {name: value for name, value in document.items() if name != "evolution"}, ts)


def read_whole(document: Any, reading: Reading) -> Iterator[Item]:
    """A report, a configuration: as one event."""
    yield from check_state(document, reading)
    fields = document if isinstance(document, dict) else {"value": document}
    yield Event(reading.name.removesuffix(".json"), fields, reading.time(fields))


def _tokens_within(document: Any, reading: Reading, ts: int | None) -> Iterator[Item]:
    """The lists of tokens anywhere in a document; one that stands there again is counted once."""
    seen: set[tuple[str, ...]] = set()
    copies = 0
    for where, entries in _lists(document, ""):
        texts = tuple(str(entry.get("token")) if isinstance(entry, dict) else entry for entry in entries)
        if texts in seen:
            copies += 1
            continue
        seen.add(texts)
        yield from reading.tokens(entries, where, ts=ts)
    if copies:
        what = f"{copies} lists of tokens stand in it a second time and more: each of the {len(seen)} is counted once"
        reading.note(kinds.COPY, "", what, copies)


def _lists(value: Any, where: str) -> Iterator[tuple[str, list[Any]]]:
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from _lists(entry, f"{where}.{name}" if where else name)
    elif isinstance(value, list) and value:
        is_long = len(value) >= _LEAST_TOKENS or where == "tokens"
        if is_long and all(_is_token(entry) for entry in (value[0], value[-1])) and all(map(_may_be, value)):
            yield where, value
        else:
            for index, entry in enumerate(value):
                if isinstance(entry, dict | list):
                    yield from _lists(entry, f"{where}[{index}]")


def _may_be(entry: Any) -> bool:
    return isinstance(entry, str) or (isinstance(entry, dict) and isinstance(entry.get("token"), str))


def _is_token(entry: Any) -> bool:
    return _may_be(entry) and not isinstance(parse(entry["token"] if isinstance(entry, dict) else entry), Junk)


def _is_document(document: Any, path: str) -> bool:
    return isinstance(document, dict) and path.rpartition("/")[2].lower().removesuffix(".json") in _DOCUMENTS


JOURNEYS = (Kind("journey", lambda document, path: has(document, layers=dict) and "command" in document, read_journey),)
KINDS = (
    Kind(
        "reply",
        lambda document, path: has(document, mode=str) and ("callback_id" in document or "response" in document),
        read_reply,
    ),
    Kind("curves", lambda document, path: has(document, training_history=(dict, list)), read_curves),
    Kind("evolution", lambda document, path: has(document, evolution=list), read_evolution),
    Kind(
        "stage", lambda document, path: isinstance(document, dict) and "phase" in document and "status" in document, read_stage
    ),
    Kind("report", _is_document, read_whole),
)
