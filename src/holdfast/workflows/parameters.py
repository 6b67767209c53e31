"""The parameters of a workflow, from texts: typed by its function's signature."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from holdfast.errors import UsageError

_NOT_SAID = inspect.Parameter.empty


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One keyword of a workflow's function. default: inspect.Parameter.empty where there is none."""

    name: str
    kind: Any
    default: Any

    @property
    def is_required(self) -> bool:
        return self.default is _NOT_SAID

    def __str__(self) -> str:
        kind = self.kind.__name__ if isinstance(self.kind, type) and not hasattr(self.kind, "__args__") else str(self.kind)
        return f"{self.name}: {kind}" + ("" if self.is_required else f" = {self.default!r}")


def parameters_of(function: Callable[..., Any], *, given: Iterable[str] = ()) -> dict[str, Parameter]:
    """What may be set of a function, by name; `given` are the ones that it gets from us. A parameter without a hint has the
    type of its default. Raises UsageError where something could only be given by its place, or a hint cannot be read."""
    called = plain_function(function)
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name in given or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise UsageError(f"{called.__qualname__}: the parameter {name!r} has no name to set it by; take the `/` away")
        found[name] = Parameter(name=name, kind=_kind_of(parameter, called), default=parameter.default)
    return found


def plain_function(function: Any) -> Any:
    """The function behind a partial one, a decorated one, or an object that can be called."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    return function if hasattr(function, "__globals__") else type(function).__call__


def parse_parameters(known: Mapping[str, Parameter], texts: Iterable[str]) -> dict[str, Any]:
    """The values of `name=text` settings. Raises UsageError that names the parameter and what it takes."""
    values: dict[str, Any] = {}
    for setting in texts:
        name, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"{setting!r}: a parameter is set as name=value. Nothing was run")
        if (parameter := known.get(name)) is None:
            raise UsageError(f"there is no parameter {name!r}; there are: {_listed(known)}. Nothing was run")
        if name in values:
            raise UsageError(f"the parameter {name!r} is set twice. Nothing was run")
        values[name] = _value_of(parameter, text)
    return values


def require_all(known: Mapping[str, Parameter], values: Mapping[str, Any]) -> None:
    """Raise UsageError where a parameter without a default was not set."""
    missing = [parameter for name, parameter in known.items() if parameter.is_required and name not in values]
    if missing:
        what = ", ".join(map(str, missing))
        raise UsageError(f"not set: {what}. Nothing was run; set it with --param {missing[0].name}=…")


def as_config(known: Mapping[str, Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters, the ones that were not set by their defaults, as values that a log can hold."""
    every = {name: values.get(name, parameter.default) for name, parameter in known.items()}
    config: dict[str, Any] = msgspec.to_builtins(every, enc_hook=str, str_keys=True)
    return config


def _kind_of(parameter: inspect.Parameter, function: Any) -> Any:
    hint = parameter.annotation
    if isinstance(hint, str):  # of `from __future__ import annotations`
        try:
            hint = eval(hint, getattr(function, "__globals__", {}))  # the program's own code, as Python reads it
        except Exception as error:
            why = f"the hint {hint!r} of the parameter {parameter.name!r} cannot be read here ({error})"
            raise UsageError(f"{function.__qualname__}: {why}. Nothing was run") from None
    if hint is not _NOT_SAID:
        return hint
    return str if parameter.default in (_NOT_SAID, None) else type(parameter.default)


def _value_of(parameter: Parameter, text: str) -> Any:
    """The text as the parameter's type: as it stands where that fits, else read as JSON."""
    try:
        return msgspec.convert(text, parameter.kind, strict=False, dec_hook=_made_of)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        why = str(error)
    if text[:1] in ("[", "{", '"') or text in ("null", "true", "false"):
        try:
            return msgspec.convert(msgspec.json.decode(text), parameter.kind, strict=False, dec_hook=_made_of)
        except (msgspec.MsgspecError, TypeError, ValueError) as error:
            why = str(error)
    raise UsageError(f"{parameter} cannot be {text!r}: {why}. Nothing was run")


def _made_of(kind: Any, value: Any) -> Any:
    """A value of a type that is made of one text, such as a path."""
    return kind(value)


def _listed(known: Mapping[str, Parameter]) -> str:
    return ", ".join(map(str, known.values())) or "none"
