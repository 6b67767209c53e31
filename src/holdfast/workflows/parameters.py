"""The parameters of a workflow, from texts: typed by its function's signature."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

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
        kind = getattr(self.kind, "__name__", str(self.kind)) if isinstance(self.kind, type) else str(self.kind)
        return f"{self.name}: {kind}" + ("" if self.is_required else f" = {self.default!r}")


def parameters_of(function: Callable[..., Any], *, given: Iterable[str] = ()) -> dict[str, Parameter]:
    """What may be set of a function, by name; `given` are the ones that it gets from us. Raises UsageError where something
    could only be given by its place."""
    hints = get_type_hints(function)
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name in given or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise UsageError(f"{function.__qualname__}: the parameter {name!r} has no name to set it by; take the `/` away")
        found[name] = Parameter(name=name, kind=hints.get(name, str), default=parameter.default)
    return found


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


def _value_of(parameter: Parameter, text: str) -> Any:
    """The text as the parameter's type: as it stands where a text is asked for, else read as JSON where it is that."""
    try:
        return msgspec.convert(text, parameter.kind, strict=False)
    except (msgspec.ValidationError, TypeError):
        pass
    try:
        return msgspec.convert(msgspec.json.decode(text), parameter.kind, strict=False)
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise UsageError(f"{parameter} cannot be {text!r}: {error}. Nothing was run") from None


def _listed(known: Mapping[str, Parameter]) -> str:
    return ", ".join(map(str, known.values())) or "none"
