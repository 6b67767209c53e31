"""What a tracked object offers so that its state can be stored and brought back."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Stateful(Protocol):
    """An object whose state can be stored (the names torch uses).

    load_state_dict undoes state_dict: afterwards the object does exactly what it would have done, so counters and
    generators are state too. Neither may record anything. `Any` stands in the parameter because torch, and most
    who follow its names, annotate it more narrowly than a mapping of objects.
    """

    def state_dict(self) -> Any: ...
    def load_state_dict(self, state: Any, /) -> object: ...
