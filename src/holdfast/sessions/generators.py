"""Random generators as state: Python's, NumPy's and torch's, passed ones and the global ones."""

import random
import sys
from collections.abc import Mapping
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
        self._before = _global_states()

    def moved(self) -> dict[str, object]:
        """The packed states of those that have moved, by library."""
        packed: dict[str, object] = {}
        for library, state in _global_states().items():
            if library not in self._before:
                self._before[library] = None  # imported since: what it did until now cannot be told, so it counts as moved
            if state != self._before[library]:
                packed[library] = _PACK[library](state)
                # Moved once is moved: from here on it is always stored.
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


def _global_states() -> dict[str, Any]:
    states: dict[str, Any] = {"python": random.getstate()}
    if numpy_random := sys.modules.get("numpy.random"):
        state = numpy_random.get_state(legacy=False)
        inner = state["state"]
        if state["bit_generator"] == "MT19937":
            states["numpy"] = (state["bit_generator"], state["has_gauss"], state["gauss"], inner["key"].tobytes(), inner["pos"])
        else:  # the user has set another one
            states["numpy"] = _pack_arrays(state)
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_rng_state"):
        states["torch"] = torch.get_rng_state().numpy().tobytes()
    return states


def _pack_python(state: tuple[Any, ...]) -> dict[str, object]:
    version, words, gauss = state
    return {"python": version, "words": _WORDS.pack(*words), "gauss": gauss}


def _unpack_python(state: Any) -> tuple[Any, ...]:
    return state["python"], _WORDS.unpack(state["words"]), state["gauss"]


def _pack_global_numpy(state: Any) -> dict[str, object]:
    if isinstance(state, dict):
        return state
    name, has_gauss, gauss, key, pos = state
    words = {"array": "uint32", "data": key}
    return {"bit_generator": name, "has_gauss": has_gauss, "gauss": gauss, "state": {"key": words, "pos": pos}}


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


_PACK: dict[str, Any] = {"python": _pack_python, "numpy": _pack_global_numpy, "torch": lambda data: {"torch": data}}
