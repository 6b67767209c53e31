"""The options of `start`: each checked by its name, before anything is made."""

from collections.abc import Iterable, Mapping
from typing import Any

from holdfast.errors import InvalidSetting
from holdfast.recording import fields


def mapping(name: str, value: object) -> dict[Any, Any]:
    """A mapping as a dict; None is an empty one."""
    if value is not None and not isinstance(value, Mapping):
        raise InvalidSetting(f"{name}={value!r} must be a mapping of names to values. Nothing was created")
    return dict(value or {})


def texts(name: str, value: object) -> list[str]:
    """Several texts, in order."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise InvalidSetting(f"{name}={value!r} must be a list of texts. Nothing was created")
    return [_shown(str(entry)) for entry in value]


def text(name: str, value: object) -> str | None:
    """A text, or None."""
    if value is not None and not isinstance(value, str):
        raise InvalidSetting(f"{name}={value!r} must be a text. Nothing was created")
    return None if value is None else _shown(value)


def whole(name: str, value: object) -> int | None:
    """A whole number that fits 64 bits, or None."""
    if value is not None and (not isinstance(value, int) or not -(2**63) <= value < 2**63):
        raise InvalidSetting(f"{name}={value!r} must be a whole number of at most 64 bits. Nothing was created")
    return None if value is None else int(value)


def seconds(name: str, value: object) -> float | None:
    """A number of seconds above 0, or None."""
    if value is not None and (not isinstance(value, int | float) or not value > 0):
        raise InvalidSetting(f"{name}={value!r} must be a number of seconds above 0. Nothing was created")
    return value


def _shown(value: str) -> str:
    return fields.text_value(value, "text")[0]
