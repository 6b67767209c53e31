"""Values from outside: each is checked as it is taken, and named by its path where it is wrong."""

import math
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from holdfast.errors import InvalidValue

T = TypeVar("T")


class WrongArgument(InvalidValue):
    """An argument of a call to an engine. Raised before the call changes or announces anything.

    Commands answer it. Any other error, such as one that a listener raises, goes through them to the caller.
    """

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}. Nothing was changed."


class Fields:
    """The fields of a mapping that came from outside. Every method raises InvalidValue with the path of the field."""

    def __init__(self, values: object, path: str) -> None:
        if not isinstance(values, Mapping):
            raise InvalidValue(path, f"a mapping belongs here, and {type(values).__name__} came")
        self._values, self.path = values, path

    def wrong(self, name: str, reason: str) -> InvalidValue:
        return InvalidValue(f"{self.path}.{name}", reason)

    def value(self, name: str) -> Any:
        """Whatever stands there."""
        if name not in self._values:
            raise self.wrong(name, "it is missing")
        return self._values[name]

    def number(self, name: str, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number within [low, high], as float."""
        value = self.value(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(name, f"a number belongs here, and {type(value).__name__} came")
        if not (abs(value) <= sys.float_info.max and low <= value <= high):  # false for NaN too
            raise self.wrong(name, f"{value!r} is not a finite number from {low} to {high}")
        return float(value)

    def count(self, name: str, low: int = 0) -> int:
        """A whole number, `low` or more."""
        value = self.value(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(name, f"a whole number belongs here, and {type(value).__name__} came")
        if value < low:
            raise self.wrong(name, f"{value} is below {low}")
        return value

    def counts(self, name: str, length: int) -> list[int]:
        """A list of so many whole numbers, none negative."""
        value = self.value(name)
        if not isinstance(value, list | tuple) or not all(type(item) is int and item >= 0 for item in value):
            raise self.wrong(name, "a list of whole numbers from 0 on belongs here")
        if len(value) != length:
            raise self.wrong(name, f"{length} numbers belong here, and {len(value)} came")
        return list(value)

    def flag(self, name: str) -> bool:
        value = self.value(name)
        if not isinstance(value, bool):
            raise self.wrong(name, f"True or False belongs here, and {type(value).__name__} came")
        return value

    def text(self, name: str) -> str:
        return self._of(name, str, "a text")

    def data(self, name: str) -> bytes:
        return self._of(name, bytes, "bytes")

    def fields(self, name: str) -> "Fields":
        """The mapping that stands there."""
        return Fields(self.value(name), f"{self.path}.{name}")

    def names(self) -> list[str]:
        """The names of all fields, which must be texts."""
        for name in self._values:
            if not isinstance(name, str):
                raise InvalidValue(self.path, f"a text belongs here as a key, and {name!r} came")
        return list(self._values)

    def mapping(self, name: str) -> dict[str, Any]:
        """A copy of the mapping that stands there; its keys are texts."""
        value = self.value(name)
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise self.wrong(name, f"a mapping with texts as keys belongs here, and {type(value).__name__} came")
        return dict(value)

    def items(self, name: str, read: Callable[[object, str], T]) -> list[T]:
        """A list, each item taken by `read(item, path)`."""
        value = self.value(name)
        if not isinstance(value, list | tuple):
            raise self.wrong(name, f"a list belongs here, and {type(value).__name__} came")
        return [read(item, f"{self.path}.{name}[{index}]") for index, item in enumerate(value)]

    def texts(self, name: str) -> list[str]:
        """A list of texts."""
        return self.items(name, a_text)

    def _of(self, name: str, kind: type[T], what: str) -> T:
        value = self.value(name)
        if not isinstance(value, kind):
            raise self.wrong(name, f"{what} belongs here, and {type(value).__name__} came")
        return value


def a_text(value: object, path: str) -> str:
    """For Fields.items: a text."""
    if not isinstance(value, str):
        raise InvalidValue(path, f"a text belongs here, and {type(value).__name__} came")
    return value


EMISSION = ("text", "z", "phase", "tokens", "quality")


def an_emission(value: object, path: str) -> dict[str, Any]:
    """An emission as it is kept, sharing nothing: its text, a list of texts as tokens, and None for what is not known of it."""
    given = Fields(value, path)
    for name in given.names():
        if name not in EMISSION:
            raise given.wrong(name, f"an emission has no such field; it has {', '.join(EMISSION)}")
    known = {name: given.value(name) for name in given.names() if given.value(name) is not None}
    fields = Fields({"tokens": [], **known}, path)
    phase = str.__str__(fields.text("phase")) if "phase" in known else None
    if phase is not None and any("\ud800" <= sign <= "\udfff" for sign in phase):
        raise fields.wrong("phase", "it cannot be written as UTF-8")
    return {
        "text": str.__str__(fields.text("text")),
        "z": fields.number("z", 0, 1) if "z" in known else None,
        "phase": phase,
        "tokens": list(map(str.__str__, fields.texts("tokens"))),
        "quality": fields.number("quality") if "quality" in known else None,
    }


def a_mapping(value: object, path: str) -> dict[str, Any]:
    """For Fields.items: a mapping with texts as keys, copied."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InvalidValue(path, f"a mapping with texts as keys belongs here, and {type(value).__name__} came")
    return dict(value)


def unit_number(value: object, path: str) -> float:
    """A finite number within [0, 1], as float: what z and coherence must be."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongArgument(path, f"a number from 0 to 1 belongs here, and {type(value).__name__} came")
    if not 0.0 <= value <= 1.0:  # false for NaN too
        raise WrongArgument(path, f"{value!r} is not a number from 0 to 1")
    return float(value) + 0.0  # which makes 0.0 of -0.0
