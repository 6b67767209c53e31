"""The walk over a value that makes a tree of plain JSON of it."""

import io
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from enum import Enum
from math import isfinite
from operator import is_not
from types import BuiltinFunctionType, FunctionType, MethodType, NoneType
from typing import Any, NoReturn

import msgspec

from holdfast.codec.arrays import ArraySink, encode_foreign
from holdfast.codec.plain import MAX, MIN, has_plain_keys, is_flat, is_plain_row, is_unicode
from holdfast.codec.tags import brief, tagged, to_base64
from holdfast.errors import InvalidValue

MAX_DEPTH = 200
_json = msgspec.json.Encoder()


class Encoder:
    """One walk over a value. `trail` holds the key or index being encoded at each level."""

    def __init__(self, path: str, arrays: ArraySink | None, *, fresh: bool) -> None:
        self.path, self.arrays, self.fresh = path, arrays, fresh
        self.trail: list[Any] = []
        self.hashed = 0  # above 0 inside a key or an element of a set

    def encode(self, value: Any) -> object:
        return _ENCODERS.get(type(value), Encoder.foreign)(self, value)

    def where(self, show: Callable[[object], str]) -> str:
        return self.path + "".join(f"[{show(key)}]" for key in self.trail)

    def refuse(self, reason: str) -> NoReturn:
        raise InvalidValue(self.where(brief.repr), reason)

    def enter(self) -> list[Any]:
        if len(self.trail) >= MAX_DEPTH:
            del self.trail[3:]  # all of it would fill a screen
            self.refuse(f"nests deeper than {MAX_DEPTH} levels from here, or contains itself")
        self.trail.append(None)
        return self.trail

    def integer(self, value: int) -> object:
        return value if MIN <= value <= MAX else tagged("int", hex(value))

    def number(self, value: float) -> object:
        return value if isfinite(value) else tagged("float", repr(value))

    def text(self, value: str) -> object:
        if value.isascii() or is_unicode(value):
            return value
        return tagged("str", to_base64(value.encode("utf-8", "surrogatepass")))

    def row(self, value: list[Any] | tuple[Any, ...]) -> object:
        trail = self.enter()
        if is_plain_row(value):
            trail.pop()
            return list(value) if self.fresh or type(value) is not list else value
        out: list[object] = []
        for trail[-1], item in enumerate(value):
            out.append(_ENCODERS.get(type(item), Encoder.foreign)(self, item))
        trail.pop()
        return out if self.fresh or type(value) is not list or any(map(is_not, out, value)) else value

    def mapping(self, value: dict[Any, Any]) -> object:
        trail = self.enter()
        if is_flat(value):
            trail.pop()
            return value.copy() if self.fresh else value
        if not has_plain_keys(value):
            trail.pop()
            return tagged("dict", self.pairs(value))
        out: dict[str, object] = {}
        for trail[-1], item in value.items():
            out[trail[-1]] = _ENCODERS.get(type(item), Encoder.foreign)(self, item)
        trail.pop()
        return out if self.fresh or any(map(is_not, out.values(), value.values())) else value

    def pairs(self, value: Mapping[Any, Any]) -> object:
        trail = self.enter()
        out: list[object] = []
        for trail[-1], item in value.items():
            self.hashed += 1
            key = self.encode(trail[-1])
            self.hashed -= 1
            out.append([key, _ENCODERS.get(type(item), Encoder.foreign)(self, item)])
        trail.pop()
        return out

    def elements(self, value: Collection[Any]) -> object:
        trail = self.enter()
        out: list[object] = []
        self.hashed += 1
        for trail[-1] in value:
            out.append(self.encode(trail[-1]))
        self.hashed -= 1
        trail.pop()
        return sorted(out, key=_json.encode)

    def foreign(self, value: Any) -> object:
        """Encode what is NumPy's or torch's; refuse the rest."""
        if (encoded := encode_foreign(self, value)) is not None:
            return encoded
        kind, home = type(value), str(type(value).__module__)
        self.refuse(f"{'' if home == 'builtins' else home + '.'}{kind.__qualname__} cannot be stored: {_hint(value)}")


def _hint(value: object) -> str:
    """Say what to store instead of value."""
    kind = type(value)
    if isinstance(value, Enum):
        return "store its .value"
    for base in (str, int, float, complex, bytes, bytearray, tuple, list, dict, set, frozenset):
        if isinstance(value, base):
            return f"convert it to {base.__name__}"
    if isinstance(value, (type, FunctionType, MethodType, BuiltinFunctionType)):
        return "store its name, and look it up again"
    if isinstance(value, io.IOBase):
        return "store its path and position, and open it again"
    for attribute, hint in _HINTS.items():
        if hasattr(kind, attribute):
            return hint
    return "give it state_dict()/load_state_dict(), or convert it to dict"


_HINTS = {  # by an attribute of the type, in this order
    "__dataclass_fields__": "convert it to dict, with dataclasses.asdict",
    "state_dict": "store its state_dict(), and give that to load_state_dict() after a resume",
    "bit_generator": "pass it in track=, or store its .bit_generator.state",
    "getstate": "pass it in track=, or store its getstate()",
    "__array__": "convert it with numpy.asarray",
    "isoformat": "store its isoformat()",
    "__fspath__": "convert it to str",
    "__next__": "store where it stands, and make it anew from that",
    "acquire": "leave it out, and make a new one after a resume",
}
_ENCODERS: dict[type, Callable[[Encoder, Any], object]] = {
    NoneType: lambda walk, value: value,
    bool: lambda walk, value: value,
    int: Encoder.integer,
    float: Encoder.number,
    str: Encoder.text,
    list: Encoder.row,
    dict: Encoder.mapping,
    bytes: lambda walk, value: tagged("bytes", to_base64(value)),
    bytearray: lambda walk, value: tagged("bytearray", to_base64(value)),
    complex: lambda walk, value: tagged("complex", [walk.number(value.real), walk.number(value.imag)]),
    range: lambda walk, value: tagged("range", [*map(walk.integer, (value.start, value.stop, value.step))]),
    tuple: lambda walk, value: tagged("tuple", walk.row(value)),
    set: lambda walk, value: tagged("set", walk.elements(value)),
    frozenset: lambda walk, value: tagged("frozenset", walk.elements(value)),
    OrderedDict: lambda walk, value: tagged("OrderedDict", walk.pairs(value)),
}
