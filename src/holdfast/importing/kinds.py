"""What a kind of document is: how one is known, and what is read from it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from holdfast.importing.items import Item
from holdfast.importing.reading import Reading


@dataclass(frozen=True)
class Kind:
    """name: in the report. fits: whether a document is one, also by its path. read: what will be recorded of it, in order."""

    name: str
    fits: Callable[[Any, str], bool]
    read: Callable[[Any, Reading], Iterator[Item]]


def has(document: Any, **types: type | tuple[type, ...]) -> bool:
    """Whether a document is an object with fields of these types."""
    return isinstance(document, dict) and all(isinstance(document.get(name), kind) for name, kind in types.items())


def list_of_objects(value: Any, *names: str) -> bool:
    """Whether a value is a list of objects with these fields; an empty one is not."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(entry, dict) and all(name in entry for name in names) for entry in value[:20])
    )
