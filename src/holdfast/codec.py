"""Values to plain JSON and back, exactly: types, key order, 1 against 1.0 against True. State, results, meta, data.

Plain JSON stays as it is. What JSON cannot say becomes a tag: an object of exactly the keys "$t" and "v".

| `$t` | stands for | `v` |
|---|---|---|
| `int` | int outside signed 64 bit | hexadecimal text, `"-0x8000000000000001"` |
| `float` | NaN (its payload bits are not kept), infinities | `"nan"`, `"inf"`, `"-inf"` |
| `str` | str with lone surrogates | base64 of its UTF-8, each surrogate as three bytes of its own |
| `bytes`, `bytearray` | the same | base64 |
| `complex` | complex | `[real, imaginary]`, floats |
| `range` | range | `[start, stop, step]` |
| `tuple` | tuple | list of the items |
| `set`, `frozenset` | the same | list of the elements, sorted by their JSON bytes |
| `dict` | dict with a key that is `"$t"`, no str, or has lone surrogates | list of `[key, value]`, in order |
| `OrderedDict` | collections.OrderedDict | list of `[key, value]`, in order |
| `numpy` | NumPy scalar (longlong comes back as int64) | `[dtype, value]`; datetime64, timedelta64 as int |
| `ndarray` | numpy.ndarray | `[dtype, shape, data]`: its bytes in C order as base64, or as an `array` of uint8 |
| `axes` | numpy.ndarray in another memory order, such as Fortran's | `[axes, array]`: array transposed by axes |
| `array` | numpy.ndarray of bool, integers or floats in native byte order, kept outside | its key there |
| `tensor` | torch.Tensor | `[dtype, array]`; bfloat16 and float8 as integers of the same bits |

Base64 is the standard alphabet, padded. A dtype is NumPy's text for it (`"<f4"`, the byte order included), in `tensor`
torch's name (`"bfloat16"`). A JSON number with a point or exponent is a float, any other an int. Not kept: that two
places hold one object; an array's read-only flag and gaps; a tensor's device, gradient, and being a Parameter.
"""

import io
import sys
from binascii import a2b_base64, b2a_base64
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import Enum
from importlib import import_module
from math import isfinite, prod
from operator import is_not
from reprlib import Repr
from types import BuiltinFunctionType, FunctionType, MethodType, NoneType
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import msgspec

from holdfast.errors import HoldfastError, InvalidValue

if TYPE_CHECKING:
    from numpy import dtype as DType
    from numpy.typing import NDArray

MAX_DEPTH = 200
_TAG = "$t"
_MIN, _MAX = -(2**63), 2**63 - 1
_SMALL = 16  # entries of a dict up to which one loop is the quickest way to look at all
# dtype kind → what a scalar of it is stored as
_SCALARS = {"b": bool, "i": int, "u": int, "f": float, "c": complex, "m": int, "M": int, "S": bytes, "U": str}
_json, _sorted_json = msgspec.json.Encoder(), msgspec.json.Encoder(order="sorted")
_brief = Repr()
_brief.maxstring = _brief.maxother = _brief.maxlong = 80


class ArraySink(Protocol):
    """Where arrays go that are not to stand inside the tree."""

    def put(self, path: str, array: "NDArray[Any]") -> str:
        """Return the key for an array in C order. It may be the caller's own: write or copy it before returning."""


class ArraySource(Protocol):
    """Where they are read back. Raises KeyError for a key it does not have."""

    def get(self, key: str) -> "NDArray[Any]": ...


def encode(value: object, path: str = "value", *, arrays: ArraySink | None = None) -> object:
    """Return value as plain JSON objects. Parts that are plain already are returned as they are, not copied.

    Raises InvalidValue, naming the field below `path`, for what cannot be stored.
    """
    if type(value) is dict and _is_flat(value):
        return value
    return _Encoder(path, arrays, fresh=False).encode(value)


def snapshot(value: object, path: str = "value", *, arrays: ArraySink | None = None) -> object:
    """Like encode, for writing later: shares nothing mutable with value."""
    if type(value) is dict and _is_flat(value):
        return value.copy()
    return _Encoder(path, arrays, fresh=True).encode(value)


def decode(tree: object, *, arrays: ArraySource | None = None) -> object:
    """Undo encode; shares nothing mutable with tree. Raises InvalidValue for an unknown or malformed tag."""
    try:
        return _Decoder(arrays).decode(tree)
    except RecursionError:
        raise InvalidValue("stored value", "nests too deep to be read here") from None


def canonical(tree: object) -> bytes:
    """Return the JSON of an encoded tree for comparing and hashing: equal for dicts that differ only in their order.

    Keys are sorted at every level, and the pairs of a `dict` tag by the canonical JSON of their keys.
    """
    data = _sorted_json.encode(tree)
    # Quotes inside a string are escaped, so this finds nothing but a tag.
    return _sorted_json.encode(_sort_pairs(tree)) if b'{"$t":"dict",' in data else data


def _sort_pairs(tree: Any) -> Any:
    if type(tree) is list:
        return [*map(_sort_pairs, tree)]
    if type(tree) is not dict:
        return tree
    if tree.get(_TAG) == "dict":
        return _tagged("dict", sorted(_sort_pairs(tree["v"]), key=lambda pair: _sorted_json.encode(pair[0])))
    return dict(zip(tree, map(_sort_pairs, tree.values()), strict=True))


def _is_flat(value: dict[Any, Any]) -> bool:
    """True for a dict of plain leaves under plain keys: the common case, decided in one loop, or in none for a large one."""
    if len(value) > _SMALL and _has_plain_keys(value) and _is_plain_row(value.values()):
        return True
    for key, item in value.items():
        if type(key) is not str or not key.isascii() or key == _TAG:
            return False
        kind = type(item)
        if kind is float:
            if item - item != 0.0:  # NaN and the infinities, without a call
                return False
        elif kind is str:
            if not item.isascii() and not _is_unicode(item):
                return False
        elif kind is int:
            if not _MIN <= item <= _MAX:
                return False
        elif item is not None and kind is not bool:
            return False
    return True


def _is_plain_row(row: Collection[Any]) -> bool:
    """True for items of one plain type, decided without a Python loop. False means: look at each."""
    kinds = set(map(type, row))
    if len(kinds) != 1:
        return not kinds
    kind = kinds.pop()
    if kind is int:
        return bool(min(row) >= _MIN and max(row) <= _MAX)
    if kind is float:
        return isfinite(sum(row))  # one NaN or infinity makes the sum one
    return all(map(str.isascii, row)) if kind is str else kind in (bool, NoneType)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _has_plain_keys(value: Mapping[Any, object]) -> bool:
    if set(map(type, value)) - {str} or _TAG in value:
        return False
    return all(map(str.isascii, value)) or all(map(_is_unicode, value))


def _tagged(tag: str, payload: object) -> object:
    return {_TAG: tag, "v": payload}


def _base64(data: bytes | bytearray) -> str:
    return b2a_base64(data, newline=False).decode("ascii")


class _Encoder:
    """One walk over a value. `trail` holds the key or index being encoded at each level."""

    def __init__(self, path: str, arrays: ArraySink | None, *, fresh: bool) -> None:
        self.path, self.arrays, self.fresh = path, arrays, fresh
        self.trail: list[Any] = []
        self.hashed = 0  # above 0 inside a key or an element of a set

    def encode(self, value: Any) -> object:
        return _ENCODERS.get(type(value), _Encoder.foreign)(self, value)

    def where(self, show: Callable[[object], str]) -> str:
        return self.path + "".join(f"[{show(key)}]" for key in self.trail)

    def refuse(self, reason: str) -> NoReturn:
        raise InvalidValue(self.where(_brief.repr), reason)

    def enter(self) -> list[Any]:
        if len(self.trail) >= MAX_DEPTH:
            del self.trail[3:]  # all of it would fill a screen
            self.refuse(f"nests deeper than {MAX_DEPTH} levels from here, or contains itself")
        self.trail.append(None)
        return self.trail

    def integer(self, value: int) -> object:
        return value if _MIN <= value <= _MAX else _tagged("int", hex(value))

    def number(self, value: float) -> object:
        return value if isfinite(value) else _tagged("float", repr(value))

    def text(self, value: str) -> object:
        if value.isascii() or _is_unicode(value):
            return value
        return _tagged("str", _base64(value.encode("utf-8", "surrogatepass")))

    def row(self, value: list[Any] | tuple[Any, ...]) -> object:
        trail = self.enter()
        if _is_plain_row(value):
            trail.pop()
            return list(value) if self.fresh or type(value) is not list else value
        out: list[object] = []
        for trail[-1], item in enumerate(value):
            out.append(_ENCODERS.get(type(item), _Encoder.foreign)(self, item))
        trail.pop()
        return out if self.fresh or type(value) is not list or any(map(is_not, out, value)) else value

    def mapping(self, value: dict[Any, Any]) -> object:
        trail = self.enter()
        if _is_flat(value):
            trail.pop()
            return value.copy() if self.fresh else value
        if not _has_plain_keys(value):
            trail.pop()
            return _tagged("dict", self.pairs(value))
        out: dict[str, object] = {}
        for trail[-1], item in value.items():
            out[trail[-1]] = _ENCODERS.get(type(item), _Encoder.foreign)(self, item)
        trail.pop()
        return out if self.fresh or any(map(is_not, out.values(), value.values())) else value

    def pairs(self, value: Mapping[Any, Any]) -> object:
        trail = self.enter()
        out: list[object] = []
        for trail[-1], item in value.items():
            self.hashed += 1
            key = self.encode(trail[-1])
            self.hashed -= 1
            out.append([key, _ENCODERS.get(type(item), _Encoder.foreign)(self, item)])
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
        """Encode what is NumPy's or torch's (loaded already, as one exists); refuse the rest."""
        kind, home = type(value), str(type(value).__module__)
        if home == "numpy" and kind is sys.modules["numpy"].ndarray:
            return self.array(value)
        if home == "numpy" and isinstance(value, sys.modules["numpy"].generic):
            dtype = self.storable(value.dtype)
            if dtype.kind in "SU":
                plain = value[:]  # unlike item(), with the zeros at its end
            else:
                plain = (value.view("i8") if dtype.kind in "mM" else value).item()
            return _tagged("numpy", [dtype.str, self.encode(plain)])
        if (home, kind.__name__) in (("torch", "Tensor"), ("torch.nn.parameter", "Parameter")):
            return self.tensor(value)
        self.refuse(f"{'' if home == 'builtins' else home + '.'}{kind.__qualname__} cannot be stored: {_hint(value)}")

    def storable(self, dtype: "DType[Any]") -> "DType[Any]":
        if not _is_storable(dtype):
            self.refuse(f"the dtype {dtype} cannot be stored: convert it to numbers of at most 64 bits, text or bytes")
        return dtype

    def array(self, value: "NDArray[Any]") -> object:
        dtype, numpy = self.storable(value.dtype), sys.modules["numpy"]
        if not value.flags.c_contiguous:
            order = sorted(range(value.ndim), key=lambda axis: -value.strides[axis])
            if value.transpose(order).flags.c_contiguous:
                axes = sorted(range(value.ndim), key=order.__getitem__)
                return _tagged("axes", [axes, self.array(value.transpose(order))])
            value = numpy.ascontiguousarray(value)
        if self.arrays is None or not value.nbytes:
            return _tagged("ndarray", [dtype.str, list(value.shape), _base64(value.tobytes())])
        if dtype.kind in "biuf" and dtype.isnative:
            return _tagged("array", self.arrays.put(self.where(repr), value))
        key = self.arrays.put(self.where(repr), numpy.frombuffer(value.tobytes(), "u1"))
        return _tagged("ndarray", [dtype.str, list(value.shape), _tagged("array", key)])

    def tensor(self, value: Any) -> object:
        torch, name = sys.modules["torch"], str(value.dtype).removeprefix("torch.")
        if self.hashed:
            self.refuse("a tensor as a key or in a set is not found again, it hashes by identity: use its name")
        if value.layout is not torch.strided or value.is_quantized or value.is_meta:
            self.refuse("a sparse, quantized or meta tensor cannot be stored: convert it to a dense one")
        stored = value.detach().cpu().resolve_conj().resolve_neg()
        if name == "bfloat16" or name.startswith("float8"):
            stored = stored.view(torch.int16 if name == "bfloat16" else torch.uint8)
        try:
            stored = stored.numpy()
        except (TypeError, RuntimeError):
            self.refuse(f"a tensor of {value.dtype} cannot be stored: convert it to another dtype")
        return _tagged("tensor", [name, self.array(stored)])


def _is_storable(dtype: "DType[Any]") -> bool:
    """False for objects and structures, and for what differs by machine or belongs to an add-on."""
    fits = dtype.kind in "SU" or dtype.itemsize <= (16 if dtype.kind == "c" else 8)
    return fits and dtype.kind in _SCALARS and dtype.type.__module__ == "numpy"


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
_ENCODERS: dict[type, Callable[[_Encoder, Any], object]] = {
    NoneType: lambda walk, value: value,
    bool: lambda walk, value: value,
    int: _Encoder.integer,
    float: _Encoder.number,
    str: _Encoder.text,
    list: _Encoder.row,
    dict: _Encoder.mapping,
    bytes: lambda walk, value: _tagged("bytes", _base64(value)),
    bytearray: lambda walk, value: _tagged("bytearray", _base64(value)),
    complex: lambda walk, value: _tagged("complex", [walk.number(value.real), walk.number(value.imag)]),
    range: lambda walk, value: _tagged("range", [*map(walk.integer, (value.start, value.stop, value.step))]),
    tuple: lambda walk, value: _tagged("tuple", walk.row(value)),
    set: lambda walk, value: _tagged("set", walk.elements(value)),
    frozenset: lambda walk, value: _tagged("frozenset", walk.elements(value)),
    OrderedDict: lambda walk, value: _tagged("OrderedDict", walk.pairs(value)),
}


class _Decoder:
    """One walk over a tree. What a tag's function raises for a payload it cannot read becomes InvalidValue."""

    def __init__(self, arrays: ArraySource | None) -> None:
        self.arrays = arrays

    def decode(self, node: Any) -> Any:
        if type(node) is list:
            return [*map(self.decode, node)]
        if type(node) is not dict:
            return node
        if _TAG not in node:
            return dict(zip(node, map(self.decode, node.values()), strict=True))
        tag = node[_TAG]
        read = _DECODERS.get(tag) if type(tag) is str else None
        if read is None:
            known = "a newer Holdfast may have written it: upgrade with pip install -U holdfast"
            raise InvalidValue("stored value", f"unknown tag {_brief.repr(tag)}; {known}")
        try:
            _expect(len(node) == 2)
            return read(self, node["v"])
        except (HoldfastError, RecursionError):
            raise
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RuntimeError) as error:
            reason = f"the {tag} {_brief.repr(node.get('v'))} is malformed ({error!r})"
            raise InvalidValue("stored value", reason) from error

    def integer(self, text: Any) -> int:
        _expect(type(text) is str)
        return int(text, 16)

    def number(self, text: Any) -> float:
        _expect(text in ("nan", "inf", "-inf"))
        return float(text)  # a new object each time: two NaN keys of one dict stay two

    def data(self, text: Any) -> bytes:
        _expect(type(text) is str)
        return a2b_base64(text, strict_mode=True)

    def row(self, items: Any, *kinds: type) -> Iterable[Any]:
        """Decode a list; with kinds, one of just these types."""
        _expect(type(items) is list)
        out = [*map(self.decode, items)]
        _expect(not kinds or tuple(map(type, out)) == kinds)
        return out

    def pairs(self, items: Any, make: type[dict[Any, Any]]) -> dict[Any, Any]:
        _expect(type(items) is list)
        out = make()
        for pair in items:
            _expect(type(pair) is list)
            key, item = pair
            out[self.decode(key)] = self.decode(item)
        _expect(len(out) == len(items))
        return out

    def elements(self, items: Any, make: Callable[[Iterable[Any]], Collection[Any]]) -> Collection[Any]:
        _expect(type(items) is list)
        out = make(map(self.decode, items))
        _expect(len(out) == len(items))
        return out

    def scalar(self, payload: Any) -> object:
        text, item = self.row(payload)
        dtype = _dtype(text)
        _expect(type(item) is _SCALARS[dtype.kind])
        if dtype.kind in "mM":
            return import_module("numpy").array(item, "i8").view(dtype)[()]
        return dtype.type(item)

    def inline(self, payload: Any) -> "NDArray[Any]":
        text, shape, data = self.row(payload)
        dtype, content = _dtype(text), self.data(data) if type(data) is str else data.tobytes()
        _expect(type(shape) is list and all(type(size) is int and size >= 0 for size in shape))
        _expect(len(content) == dtype.itemsize * prod(shape))
        array: NDArray[Any] = import_module("numpy").ndarray(shape, dtype, content).copy()
        return array

    def axes(self, payload: Any) -> "NDArray[Any]":
        axes, array = self.row(payload)
        transposed: NDArray[Any] = array.transpose(axes)
        return transposed

    def outside(self, key: Any) -> "NDArray[Any]":
        _expect(type(key) is str)
        if self.arrays is None:
            raise InvalidValue("stored value", f"the array {key!r} stands in a file of its own, which is not open here")
        return self.arrays.get(key)

    def tensor(self, payload: Any) -> object:
        name, array = self.row(payload)
        try:
            torch = import_module("torch")
        except ImportError as error:
            raise InvalidValue("stored value", "has a torch tensor, and torch is missing: pip install torch") from error
        dtype = getattr(torch, name)
        tensor = torch.from_numpy(array if array.flags.writeable else array.copy(order="K"))
        _expect(isinstance(dtype, torch.dtype) and dtype.itemsize == tensor.dtype.itemsize)
        return tensor.view(dtype)


def _expect(holds: bool) -> None:
    if not holds:
        raise ValueError("not as encode writes it")


def _dtype(text: object) -> "DType[Any]":
    _expect(type(text) is str)
    dtype: DType[Any] = import_module("numpy").dtype(text)
    _expect(_is_storable(dtype))
    return dtype


_DECODERS: dict[str, Callable[[_Decoder, Any], object]] = {
    "int": _Decoder.integer,
    "float": _Decoder.number,
    "str": lambda walk, text: walk.data(text).decode("utf-8", "surrogatepass"),
    "bytes": _Decoder.data,
    "bytearray": lambda walk, text: bytearray(walk.data(text)),
    "complex": lambda walk, parts: complex(*walk.row(parts, float, float)),
    "range": lambda walk, parts: range(*walk.row(parts, int, int, int)),
    "tuple": lambda walk, items: tuple(walk.row(items)),
    "set": lambda walk, items: walk.elements(items, set),
    "frozenset": lambda walk, items: walk.elements(items, frozenset),
    "dict": lambda walk, items: walk.pairs(items, dict),
    "OrderedDict": lambda walk, items: walk.pairs(items, OrderedDict),
    "numpy": _Decoder.scalar,
    "ndarray": _Decoder.inline,
    "axes": _Decoder.axes,
    "array": _Decoder.outside,
    "tensor": _Decoder.tensor,
}
