"""What a tool is called with: each action's arguments are the keywords of a method, checked by their types."""

import inspect
import json
import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from holdfast.errors import UsageError

Result = dict[str, Any]
"""What an action answers: plain values, none of them shared with the tool's memory."""

Name = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^\S")]
Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S")]
Count = Annotated[int, Meta(ge=0)]
Unit = Annotated[float, Meta(ge=0, le=1)]
Plain = object
"""Any value that plain_value lets pass."""

MAX_DEPTH = 8
"""Levels of lists and dicts in one argument."""
MAX_SIZE = 16_000
"""Characters and values together that one call may bring."""
_MAX_INT = 2**63


class Refused(UsageError):
    """A tool was asked for what it cannot do. Nothing was changed."""


def plain_value(value: object, where: str, *, max_size: int = MAX_SIZE, max_depth: int = MAX_DEPTH) -> Any:
    """A copy made of None, bool, int, float, str, list and dict. Refuses, by its place, anything else: NaN, infinities,
    integers beyond 64 bit, lone surrogates, keys that are no texts, and what is too deep or too large."""
    room = [max_size]

    def copied(value: object, where: str, depth: int) -> Any:
        room[0] -= 1 + (len(value) if isinstance(value, str) else 0)
        if depth > max_depth:
            raise Refused(f"{where}: too deep; {max_depth} levels of lists and dicts are the most")
        if room[0] < 0:
            raise Refused(f"{where}: too large; {max_size:,} characters and values are the most")
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int) and -_MAX_INT <= value < _MAX_INT:
            return int(value)
        if isinstance(value, float) and math.isfinite(value):
            return float(value)
        if isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value):
            return str(value)
        if isinstance(value, list | tuple):
            return [copied(item, f"{where}[{index}]", depth + 1) for index, item in enumerate(value)]
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return {copied(key, where, depth): copied(item, f"{where}.{key}", depth + 1) for key, item in value.items()}
        raise Refused(
            f"{where}: {_shown(value)} cannot be kept; give None, true or false, finite numbers, texts, lists or dicts"
        )

    return copied(value, where, 0)


class Action:
    """One thing that can be done. `function` is a method whose keyword-only parameters are the arguments.

    `call` names it in messages; `opening` is how a call of it begins, for examples: arguments and `closing` follow.
    """

    def __init__(
        self, call: str, function: Callable[..., Result], *, opening: str, closing: str = "", comma: str = " "
    ) -> None:
        hints = get_type_hints(function, include_extras=True)
        parameters = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
        self.call, self.function = call, function
        self._opening, self._closing, self._comma = opening, closing, comma
        self.types = {parameter.name: hints[parameter.name] for parameter in parameters}
        self.required = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
        self._form = msgspec.defstruct(
            "Arguments",
            [(p.name, hints[p.name]) if p.default is p.empty else (p.name, hints[p.name], p.default) for p in parameters],
            kw_only=True,
            forbid_unknown_fields=True,
        )

    def bound(self, given: Mapping[str, object]) -> dict[str, Any]:
        """The arguments as the method takes them. Raises Refused, which names the argument and shows an example."""
        for name in given:
            if name not in self.types:
                takes = f"it takes {', '.join(self.types)}" if self.types else "it takes none"
                raise Refused(f"{self.call}: it has no argument {name!r}; {takes}")
        for name in self.required:
            if name not in given:
                raise Refused(f"{self.call}: {name}= is missing; for example {self.example()}")
        plain = {name: plain_value(value, f"{self.call}: {name}") for name, value in given.items()}
        try:
            form = msgspec.convert(plain, self._form)
        except msgspec.ValidationError as error:
            reason, _, place = str(error).partition(" - at `$.")
            raise Refused(f"{self.call}: {place.rstrip('`') or 'arguments'}: {reason}; for example {self.example()}") from None
        return {name: getattr(form, name) for name in given}

    def read_texts(self, texts: Mapping[str, str]) -> dict[str, object]:
        """Arguments typed as `name=text`: what must be a text stays one, lists may be typed with commas, the rest is JSON."""
        return {name: _typed(text, self.types.get(name, str)) for name, text in texts.items()}

    def example(self) -> str:
        """A call that would do."""
        shown = [f"{name}={_example(self.types[name])!r}" for name in self.required]
        return self._comma.join([self._opening, *shown]) + self._closing


def _typed(text: str, hint: Any) -> object:
    if hint is str or (get_origin(hint) is Annotated and get_args(hint)[0] is str) or get_origin(hint) is Literal:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        return [part.strip() for part in text.split(",")] if get_origin(bare) is list else text


def _example(hint: Any) -> object:
    if get_origin(hint) is Literal:
        return get_args(hint)[0]
    if get_origin(hint) is Annotated:
        for fact in get_args(hint)[1:]:
            if isinstance(fact, Meta) and fact.examples:
                return fact.examples[0]
        return _example(get_args(hint)[0])
    if get_origin(hint) is list:
        return [_example(get_args(hint)[0])]
    return {str: "name", int: 1, float: 0.5, object: {"any": "value"}}.get(hint, {"name": "value"})


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"a {type(value).__name__} of {len(text)} characters"
