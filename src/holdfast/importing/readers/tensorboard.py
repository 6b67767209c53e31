"""Event files of TensorBoard, by TensorBoard's own reader, where that is installed (extra `tensorboard`)."""

import struct
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from holdfast.importing.findings import BROKEN, FIELD
from holdfast.importing.items import Event, Item, Metric
from holdfast.importing.reading import Reading

MISSING = "an event file of TensorBoard needs its reader: pip install 'holdfast[tensorboard]'"
_HEAD = struct.Struct("<QI")  # the length of a record and its checksum; behind it come the record and a checksum of that
_TAIL = 4


def is_there() -> bool:
    """Whether the reader can be imported."""
    try:
        _loader()
    except ImportError:
        return False
    return True


def read_events(path: Path, data: bytes, reading: Reading) -> Iterator[Item]:
    """The scalars of an event file as metrics with their step, and its texts as events; what else is in it is counted.

    data: what it holds, which tells whether the reader stopped before its end.
    """
    left_out: dict[str, int] = {}
    loaded = 0
    for event in _loader().EventFileLoader(str(path)).Load():
        loaded += 1
        ts, values = round(event.wall_time * 1e6), {}
        for value in event.summary.value:
            plugin = value.metadata.plugin_data.plugin_name
            where = f"event {loaded}"
            if plugin == "scalars":
                values[value.tag] = _array(value.tensor).item()
            elif plugin == "text":
                texts = [text.decode(errors="replace") for text in _array(value.tensor).ravel().tolist()]
                yield Event(value.tag, {"step": event.step, "text": texts[0] if len(texts) == 1 else texts}, ts, where)
            else:
                left_out[plugin or "of no plugin"] = left_out.get(plugin or "of no plugin", 0) + 1
        if values:
            yield Metric({"step": event.step} | values, ts, f"event {loaded}")
    for plugin, count in left_out.items():
        reading.note(FIELD, "", f"{count:,} values {plugin}: no scalars and no texts, left out", count)
    if loaded < (whole := _records(data)) or (data and not loaded):
        reading.note(
            BROKEN, f"event {loaded + 1}", f"{loaded:,} of {whole:,} events could be read, up to the first that is damaged"
        )


def _records(data: bytes) -> int:
    """How many records a file has, the last one also where it breaks off."""
    count, offset = 0, 0
    while offset < len(data):
        count += 1
        if offset + _HEAD.size > len(data):
            break
        offset += _HEAD.size + _HEAD.unpack_from(data, offset)[0] + _TAIL
    return count


def _loader() -> Any:
    return import_module("tensorboard.backend.event_processing.event_file_loader")


def _array(tensor: Any) -> Any:
    return import_module("tensorboard.util.tensor_util").make_ndarray(tensor)
