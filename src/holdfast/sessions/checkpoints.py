"""Checkpoints: what is copied, where it is kept, and whether it is still what was written (docs/format.md, "Checkpoints")."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast import codec
from holdfast.engine import Stateful
from holdfast.errors import Corrupted, InvalidValue
from holdfast.recording import fields
from holdfast.records import Checkpoint, StoredFile
from holdfast.sessions import generators, options
from holdfast.storage.files import Files, failure, make_folders, read_whole, write_synced

if TYPE_CHECKING:
    import hashlib

INLINE_BYTES = 64 << 10
_STATE, _ARRAYS = "state.json", "arrays.safetensors"
_encode = msgspec.json.Encoder().encode


class Tracked:
    """The objects whose state is the run's, by name. Refuses at once what cannot be stored, by the path of the field."""

    def __init__(self, track: Mapping[str, Any] | None) -> None:
        self.objects: dict[str, Any] = options.mapping("track", track)
        for name, value in self.objects.items():
            if not isinstance(name, str) or fields.text_value(name, "track")[1] is not None:
                raise InvalidValue(f"track[{name!r}]", "the name of a tracked object is a text, without half characters")
            if isinstance(value, type) or not (generators.is_generator(value) or isinstance(value, Stateful)):
                raise InvalidValue(
                    f"track[{name!r}]",
                    f"{type(value).__name__} has no state_dict() and load_state_dict(), and is no generator; give it both",
                )
        self.globals = generators.GlobalGenerators()

    def copy_state(self, arrays: codec.ArraySink) -> dict[str, Any]:
        """The state of everything tracked, encoded. Raises InvalidValue by the path of the field."""
        states: dict[str, Any] = {}
        for name, value in self.objects.items():
            state = generators.state_of(value) if generators.is_generator(value) else value.state_dict()
            states[name] = codec.encode(state, f"track[{name!r}]", arrays=arrays)
        moved = self.globals.moved()
        encoded = {library: codec.encode(state, f"generators.{library}") for library, state in moved.items()}
        return {"track": states, "generators": encoded}

    def restore(self, state: Mapping[str, Any], arrays: codec.ArraySource) -> None:
        """Give everything tracked the state that copy_state took. Objects unknown to the checkpoint stay as they are."""
        for name, stored in state["track"].items():
            if (value := self.objects.get(name)) is None:
                continue
            decoded = codec.decode(stored, arrays=arrays)
            if generators.is_generator(value):
                generators.set_state(value, decoded)
            else:
                value.load_state_dict(decoded)
        self.globals.restore({library: codec.decode(packed) for library, packed in state["generators"].items()})

    def missing(self, state: Mapping[str, Any]) -> list[str]:
        """What differs between the names tracked now and in a checkpoint, a sentence each."""
        then, now = set(state["track"]), set(self.objects)
        return [f"track: {name!r} was tracked and is not now" for name in sorted(then - now)] + [
            f"track: {name!r} was not tracked" for name in sorted(now - then)
        ]


class _Taken(msgspec.Struct):
    """Arrays of one state: all of them by key, the ones that have to be written by their name in the new file."""

    folder: str
    known: Mapping[str, str]
    keys: dict[str, str] = msgspec.field(default_factory=dict)  # hash → key, of this state
    fresh: dict[str, Any] = msgspec.field(default_factory=dict)

    def put(self, path: str, array: Any) -> str:
        content = _sha256(f"{array.dtype.str}{array.shape}".encode())
        content.update(memoryview(array).cast("B") if array.size else b"")
        digest = content.hexdigest()
        key = self.keys.get(digest) or self.known.get(digest)
        if key is None:
            name = str(len(self.fresh))
            self.fresh[name] = array.copy()
            key = f"{self.folder}/{_ARRAYS}#{name}"
        self.keys[digest] = key
        return key


class CheckpointStore:
    """The folder checkpoints/ of one session. A checkpoint is there once its record is: files come first, synced and named."""

    def __init__(self, files: Files, folder: Path, attempt: int, number: int) -> None:
        self._files, self._folder, self._attempt = files, folder, attempt
        self.number = number  # of the last one
        self._known: dict[str, str] = {}  # array hash → key, of the last state stored
        self._stored: dict[str, StoredFile] = {}
        self._is_named = False  # whether the folder's own name is known to be synced

    def store(self, copy_state: Callable[[codec.ArraySink], dict[str, Any]]) -> dict[str, Any]:
        """Copy a state, write what does not fit into a record, and return the record's fields about it. After an exception
        nothing is left, and the checkpoint before stands."""
        number = self.number + 1
        folder = f"{number:06d}-{self._attempt}"
        taken = _Taken(folder, self._known)
        state = copy_state(taken)
        data = _encode(state)
        if not taken.keys and len(data) <= INLINE_BYTES:
            self.number = number
            return {"number": number, "state": msgspec.Raw(data), "size": len(data)}
        contents = {_STATE: data}
        if taken.fresh:
            from safetensors.numpy import save

            contents[_ARRAYS] = save(taken.fresh)
        own = {
            f"{folder}/{name}": StoredFile(f"{folder}/{name}", len(content), _sha256(content).hexdigest())
            for name, content in contents.items()
        }
        self._write(folder, contents)
        others = {key.partition("#")[0] for key in taken.keys.values()} - own.keys()
        stored = {**{name: self._stored[name] for name in others}, **own}
        self.number, self._known, self._stored = number, taken.keys, stored
        size = sum(entry.size for entry in own.values())
        return {"number": number, "folder": folder, "files": [stored[name] for name in sorted(stored)], "size": size}

    def take_back(self, stored: Mapping[str, Any]) -> None:
        """Remove the files that `store` wrote for these fields: there is no record of them."""
        if (folder := stored.get("folder")) is not None:
            self._known, self._stored = {}, {}
            self.remove({folder})

    def load(self, record: Checkpoint) -> tuple[dict[str, Any], codec.ArraySource]:
        """The encoded state of a checkpoint, and its arrays. Raises Corrupted where a file is not what was written."""
        if record.folder is None:
            return dict(record.state), _Stored({})
        contents = {stored.name: self._verified(stored) for stored in record.files}
        tree: dict[str, Any] = msgspec.json.decode(contents[f"{record.folder}/{_STATE}"])
        return tree, _Stored({name: data for name, data in contents.items() if name.endswith(_ARRAYS)})

    def verify(self, record: Checkpoint) -> None:
        """Raise Corrupted where a file of the checkpoint is missing or not what was written."""
        for stored in record.files:
            self._verified(stored)

    def remove(self, folders: set[str]) -> None:
        """Delete folders of checkpoints, which a `released` record names already."""
        for folder in sorted(folders):
            path = self._folder / folder
            for name in self._files.names(path):
                self._files.unlink(path / name)
            if self._files.exists(path):
                self._files.rmdir(path)

    def sweep(self) -> list[str]:
        """Remove what a kill left of checkpoints that no record names: higher numbers than the last one. Returns the names."""
        left = [name for name in self._files.names(self._folder) if _number_of(name) > self.number]
        self.remove(set(left))
        return left

    def remove_released(self, kept: set[str]) -> None:
        """Delete the folders that no kept checkpoint names: a kill came between a `released` record and their deletion."""
        self.remove(set(self._files.names(self._folder)) - kept)

    def _write(self, folder: str, contents: Mapping[str, bytes]) -> None:
        """Temporary folder, files, syncs, rename, sync: the folder has its name only when all in it is durable."""
        temporary, is_named = self._folder / f".{folder}.tmp", False
        try:
            make_folders(self._files, temporary, own=0 if self._is_named else 2)
            self._is_named = True
            for name, content in contents.items():
                write_synced(self._files, temporary / name, [content])
            self._files.sync_folder(temporary)
            self._files.rename(temporary, self._folder / folder)
            is_named = True
            self._files.sync_folder(self._folder)
        except OSError as error:
            self._discard(self._folder / folder if is_named else temporary)
            raise failure(self._folder / folder, error) from error

    def _discard(self, folder: Path) -> None:
        try:
            self.remove({folder.name})
        except OSError:
            pass  # the disk is failing; the next opening sweeps

    def _verified(self, stored: StoredFile) -> bytes:
        path = self._folder / stored.name
        try:
            data = read_whole(self._files, path)
        except FileNotFoundError:
            raise Corrupted(path, 0, "the file is missing") from None
        except OSError as error:
            raise failure(path, error) from error
        if len(data) != stored.size:
            raise Corrupted(path, min(len(data), stored.size), f"the file has {len(data)} bytes, and had {stored.size}")
        if _sha256(data).hexdigest() != stored.sha256:
            raise Corrupted(path, 0, "the bytes are not the ones that were written (SHA-256 differs)")
        return data


def _sha256(data: bytes = b"") -> "hashlib._Hash":
    from hashlib import sha256  # here: states without arrays need none, and it takes a while to import

    return sha256(data)


def _number_of(name: str) -> int:
    digits = name.lstrip(".").partition("-")[0]
    return int(digits) if digits.isdecimal() else 0


class _Stored:
    """Arrays of verified files, by the keys that _Taken gave."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._contents = contents
        self._loaded: dict[str, dict[str, Any]] = {}

    def get(self, key: str) -> Any:
        name, _, tensor = key.partition("#")
        if name not in self._loaded:
            from safetensors.numpy import load

            self._loaded[name] = load(self._contents[name])
        return self._loaded[name][tensor]
