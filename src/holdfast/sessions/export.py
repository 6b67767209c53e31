"""A checkpoint's state as a file of its own, for other programs."""

from pathlib import Path
from typing import Any

import msgspec

from holdfast import codec
from holdfast.errors import InvalidSetting
from holdfast.records import Checkpoint
from holdfast.sessions.checkpoints import CheckpointStore
from holdfast.storage.files import Files, replace_file, write_errors


def export_state(store: CheckpointStore, record: Checkpoint, target: Path, files: Files) -> None:
    """Write the state: .json for all of it (docs/format.md, "Values"; arrays as base64), .safetensors for its arrays by path.

    Raises InvalidSetting for another ending, Corrupted where the checkpoint is not what was written, WriteFailed.
    """
    state, arrays = store.load(record)
    decoded = {part: {name: codec.decode(value, arrays=arrays) for name, value in state[part].items()} for part in state}
    if target.suffix == ".json":
        data = msgspec.json.format(msgspec.json.encode(codec.encode(decoded, "state")), indent=2) + b"\n"
    elif target.suffix == ".safetensors":
        from safetensors.numpy import save

        data = save(dict(_arrays_in(decoded, "")))
    else:
        raise InvalidSetting(f"{target.name}: a checkpoint is exported to a file that ends in .json or .safetensors")
    with write_errors(target):
        replace_file(files, target.absolute(), [data])


def _arrays_in(value: Any, path: str) -> list[tuple[str, Any]]:
    if hasattr(value, "dtype") and hasattr(value, "tobytes"):
        return [(path, value)]
    if isinstance(value, dict):
        return [found for key, entry in value.items() for found in _arrays_in(entry, f"{path}.{key}" if path else str(key))]
    if isinstance(value, list | tuple):
        return [found for index, entry in enumerate(value) for found in _arrays_in(entry, f"{path}.{index}")]
    return []
