"""What differs between two values as they are stored, field by field."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from holdfast.codec import canonical

_MOST_CHANGES = 50
_SHOWN_BYTES = 2000


class Change(msgspec.Struct, frozen=True):
    """A field, by its path, that is not the same: its value on each side, as docs/format.md ("Values") writes it.

    absent: the side that has no such field, whose value is None then. A value that is large is cut, and a text.
    """

    name: str
    a: Any
    b: Any
    absent: Literal["a", "b"] | None = None


def changes_between(a: Any, b: Any, *, most: int = _MOST_CHANGES) -> list[Change]:
    """The first fields that differ, in the order of their names; of a list the index is the name."""
    found = []
    for change in _changes("", a, b):
        found.append(change)
        if len(found) == most:
            break
    return found


def _changes(path: str, a: Any, b: Any) -> Iterator[Change]:
    if _is_plain(a) and _is_plain(b):
        for key in sorted({*a, *b}):
            inner = f"{path}.{key}" if path else str(key)
            if key not in a or key not in b:
                yield Change(inner, _shown(a.get(key)), _shown(b.get(key)), "a" if key not in a else "b")
            else:
                yield from _changes(inner, a[key], b[key])
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for index, (one, other) in enumerate(zip(a, b, strict=True)):
            yield from _changes(f"{path}[{index}]", one, other)
    elif canonical(a) != canonical(b):
        yield Change(path, _shown(a), _shown(b))


def _is_plain(value: Any) -> bool:
    return isinstance(value, Mapping) and "$t" not in value


def _shown(value: Any) -> Any:
    text = canonical(value)
    return value if len(text) <= _SHOWN_BYTES else f"{text[:_SHOWN_BYTES].decode(errors='replace')}…"
