"""Random generators as state: Python's, NumPy's and torch's, passed ones and the global ones."""

import random
import sys
from collections.abc import Callable, Mapping
from struct import Struct
from typing import Any

_WORDS = Struct("<625I")  # the Mersenne Twister's 624 words and its index


def is_generator(value: object) -> bool:
    """Whether value is a random generator whose state we can take."""
    if isinstance(value, random.Random):
        return not isinstance(value, random.SystemRandom)
    module, name = type(value).__module__, type(value).__name__
    return (module.startswith("numpy.random") and name in ("Generator", "RandomState")) or (
        module.startswith("torch") and name == "Generator"
    )


def state_of(generator: Any) -> object:
    """The generator's state, its words as bytes."""
    if isinstance(generator, random.Random):
        return _pack_python(generator.getstate())
    if type(generator).__module__.startswith("torch"):
        return {"torch": generator.get_state().numpy().tobytes()}
    if hasattr(generator, "bit_generator"):
        return _pack_arrays(generator.bit_generator.state)
    return _pack_arrays(generator.get_state(legacy=False))


def set_state(generator: Any, state: Any) -> None:
    """Bring back what state_of gave."""
    if isinstance(generator, random.Random):
        generator.setstate(_unpack_python(state))
    elif type(generator).__module__.startswith("torch"):
        generator.set_state(_torch_bytes(state["torch"]))
    elif hasattr(generator, "bit_generator"):
        generator.bit_generator.state = _unpack_arrays(state)
    else:
        generator.set_state(_unpack_arrays(state))


class GlobalGenerators:
    """The generators behind random.random(), numpy.random.* and torch.rand(), as far as they have moved since here."""

    def __init__(self) -> None:
        self._before: dict[str, object] = {library: mark() for library, mark in _marks().items()}
        if "numpy" in self._before and _numpy_state()["has_gauss"]:
            self._before["numpy"] = None  # the next normal value draws nothing, which no mark shows: it counts as moved

    def moved(self) -> dict[str, object]:
        """The packed states of those that have moved, by library."""
        packed: dict[str, object] = {}
        for library, mark in _marks().items():
            # Imported since: what it did until now cannot be told, so it counts as moved. Moved once is moved.
            before = self._before.setdefault(library, None)
            if before is None or mark() != before:
                packed[library] = _PACK[library]()
                self._before[library] = None
        return packed

    def restore(self, states: Mapping[str, Any]) -> None:
        """Set the global generators that a checkpoint holds."""
        for library, state in states.items():
            if library == "python":
                random.setstate(_unpack_python(state))
            elif library == "numpy":
                import numpy

                unpacked = _unpack_arrays(state)
                if unpacked["bit_generator"] == "MT19937":
                    numpy.random.set_state(unpacked)
                else:
                    numpy.random.get_bit_generator().state = unpacked  # type: ignore[attr-defined]  # missing in its stubs
            else:
                import torch

                torch.set_rng_state(_torch_bytes(state["torch"]))
            self._before[library] = None


def _marks() -> dict[str, Callable[[], object]]:
    """By library that is there: something that changes whenever the state of its global generator does, and costs less."""
    marks: dict[str, Callable[[], object]] = {"python": _python_mark}
    if "numpy.random" in sys.modules:
        marks["numpy"] = _numpy_mark
    if hasattr(sys.modules.get("torch"), "get_rng_state"):
        marks["torch"] = _torch_words
    return marks


def _python_mark() -> object:
    return hash(random.getstate())  # the call takes most of the time: hashing less of it gains little


def _numpy_mark() -> object:
    """The words where they lie: their address is public, and a copy by get_state takes 70 times as long. The normal value kept
    back is not among them; drawing one moves the words, and only a set_state that sets nothing else goes unseen."""
    generator = sys.modules["numpy.random"].get_bit_generator()
    if type(generator).__name__ != "MT19937":  # the user has set another one
        return _pack_arrays(_numpy_state())
    from ctypes import string_at  # here: NumPy has imported it, and who has no NumPy needs none

    return generator, string_at(generator.ctypes.state_address, _WORDS.size)


def _numpy_state() -> dict[str, Any]:
    state: dict[str, Any] = sys.modules["numpy.random"].get_state(legacy=False)
    return state


def _torch_words() -> bytes:
    words: bytes = sys.modules["torch"].get_rng_state().numpy().tobytes()
    return words


def _pack_python(state: tuple[Any, ...]) -> dict[str, object]:
    version, words, gauss = state
    return {"python": version, "words": _WORDS.pack(*words), "gauss": gauss}


def _unpack_python(state: Any) -> tuple[Any, ...]:
    return state["python"], _WORDS.unpack(state["words"]), state["gauss"]


def _pack_arrays(state: Any) -> Any:
    """NumPy's state dictionary, its arrays as bytes."""
    if isinstance(state, dict):
        return {key: _pack_arrays(value) for key, value in state.items()}
    if hasattr(state, "tobytes") and hasattr(state, "dtype"):
        return {"array": str(state.dtype), "data": state.tobytes()}
    return state


def _unpack_arrays(state: Any) -> Any:
    if not isinstance(state, dict):
        return state
    if state.keys() == {"array", "data"}:
        import numpy

        return numpy.frombuffer(state["data"], dtype=state["array"]).copy()
    return {key: _unpack_arrays(value) for key, value in state.items()}


def _torch_bytes(data: bytes) -> Any:
    import torch

    return torch.frombuffer(bytearray(data), dtype=torch.uint8).clone()


_PACK: dict[str, Callable[[], object]] = {
    "python": lambda: _pack_python(random.getstate()),
    "numpy": lambda: _pack_arrays(_numpy_state()),
    "torch": lambda: {"torch": _torch_words()},
}
