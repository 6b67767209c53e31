"""Arrays, tensors and scalars of NumPy and torch, neither of which is imported before one of theirs is met."""

import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from math import prod
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from holdfast.codec.tags import expect, from_base64, tagged, to_base64
from holdfast.errors import InvalidValue

if TYPE_CHECKING:
    from numpy import dtype as DType
    from numpy.typing import NDArray

# dtype kind → what a scalar of it is stored as
_SCALARS = {"b": bool, "i": int, "u": int, "f": float, "c": complex, "m": int, "M": int, "S": bytes, "U": str}


class ArraySink(Protocol):
    """Where arrays go that are not to stand inside the tree."""

    def put(self, path: str, array: "NDArray[Any]") -> str:
        """Return the key for an array in C order. It may be the caller's own: write or copy it before returning."""


class ArraySource(Protocol):
    """Where they are read back. Raises KeyError for a key it does not have."""

    def get(self, key: str) -> "NDArray[Any]": ...


class Encoding(Protocol):
    """The walk over a value that meets one. hashed: above 0 inside a key or an element of a set."""

    arrays: ArraySink | None
    hashed: int

    def encode(self, value: Any) -> object: ...
    def where(self, show: Callable[[object], str]) -> str: ...
    def refuse(self, reason: str) -> NoReturn: ...


class Decoding(Protocol):
    """The walk over a tree that meets a tag of theirs. row decodes a list."""

    arrays: ArraySource | None

    def row(self, items: Any, *kinds: type) -> Iterable[Any]: ...


def encode_foreign(walk: Encoding, value: Any) -> object:
    """A value of NumPy's or torch's (loaded already, as one exists), encoded; None for any other."""
    kind, home = type(value), str(type(value).__module__)
    if home == "numpy" and kind is sys.modules["numpy"].ndarray:
        return _array(walk, value)
    if home == "numpy" and isinstance(value, sys.modules["numpy"].generic):
        dtype = _storable(walk, value.dtype)
        if dtype.kind in "SU":
            plain = value[:]  # unlike item(), with the zeros at its end
        else:
            plain = (value.view("i8") if dtype.kind in "mM" else value).item()
        return tagged("numpy", [dtype.str, walk.encode(plain)])
    if (home, kind.__name__) in (("torch", "Tensor"), ("torch.nn.parameter", "Parameter")):
        return _tensor(walk, value)
    return None


def _storable(walk: Encoding, dtype: "DType[Any]") -> "DType[Any]":
    if not _is_storable(dtype):
        walk.refuse(f"the dtype {dtype} cannot be stored: convert it to numbers of at most 64 bits, text or bytes")
    return dtype


def _array(walk: Encoding, value: "NDArray[Any]") -> object:
    dtype, numpy = _storable(walk, value.dtype), sys.modules["numpy"]
    if not value.flags.c_contiguous:
        order = sorted(range(value.ndim), key=lambda axis: -value.strides[axis])
        if value.transpose(order).flags.c_contiguous:
            axes = sorted(range(value.ndim), key=order.__getitem__)
            return tagged("axes", [axes, _array(walk, value.transpose(order))])
        value = numpy.ascontiguousarray(value)
    if walk.arrays is None or not value.nbytes:
        return tagged("ndarray", [dtype.str, list(value.shape), to_base64(value.tobytes())])
    if dtype.kind in "biuf" and dtype.isnative:
        return tagged("array", walk.arrays.put(walk.where(repr), value))
    key = walk.arrays.put(walk.where(repr), numpy.frombuffer(value.tobytes(), "u1"))
    return tagged("ndarray", [dtype.str, list(value.shape), tagged("array", key)])


def _tensor(walk: Encoding, value: Any) -> object:
    torch, name = sys.modules["torch"], str(value.dtype).removeprefix("torch.")
    if walk.hashed:
        walk.refuse("a tensor as a key or in a set is not found again, it hashes by identity: use its name")
    if value.layout is not torch.strided or value.is_quantized or value.is_meta:
        walk.refuse("a sparse, quantized or meta tensor cannot be stored: convert it to a dense one")
    stored = value.detach().cpu().resolve_conj().resolve_neg()
    if name == "bfloat16" or name.startswith("float8"):
        stored = stored.view(torch.int16 if name == "bfloat16" else torch.uint8)
    try:
        stored = stored.numpy()
    except (TypeError, RuntimeError):
        walk.refuse(f"a tensor of {value.dtype} cannot be stored: convert it to another dtype")
    return tagged("tensor", [name, _array(walk, stored)])


def _is_storable(dtype: "DType[Any]") -> bool:
    """False for objects and structures, and for what differs by machine or belongs to an add-on."""
    fits = dtype.kind in "SU" or dtype.itemsize <= (16 if dtype.kind == "c" else 8)
    return fits and dtype.kind in _SCALARS and dtype.type.__module__ == "numpy"


def _decode_scalar(walk: Decoding, payload: Any) -> object:
    text, item = walk.row(payload)
    dtype = _dtype(text)
    expect(type(item) is _SCALARS[dtype.kind])
    if dtype.kind in "mM":
        return import_module("numpy").array(item, "i8").view(dtype)[()]
    return dtype.type(item)


def _decode_inline(walk: Decoding, payload: Any) -> "NDArray[Any]":
    text, shape, data = walk.row(payload)
    dtype, content = _dtype(text), from_base64(data) if type(data) is str else data.tobytes()
    expect(type(shape) is list and all(type(size) is int and size >= 0 for size in shape))
    expect(len(content) == dtype.itemsize * prod(shape))
    array: NDArray[Any] = import_module("numpy").ndarray(shape, dtype, content).copy()
    return array


def _decode_axes(walk: Decoding, payload: Any) -> "NDArray[Any]":
    axes, array = walk.row(payload)
    transposed: NDArray[Any] = array.transpose(axes)
    return transposed


def _decode_outside(walk: Decoding, key: Any) -> "NDArray[Any]":
    expect(type(key) is str)
    if walk.arrays is None:
        raise InvalidValue("stored value", f"the array {key!r} stands in a file of its own, which is not open here")
    return walk.arrays.get(key)


def _decode_tensor(walk: Decoding, payload: Any) -> object:
    name, array = walk.row(payload)
    try:
        torch = import_module("torch")
    except ImportError as error:
        raise InvalidValue("stored value", "has a torch tensor, and torch is missing: pip install torch") from error
    dtype = getattr(torch, name)
    tensor = torch.from_numpy(array if array.flags.writeable else array.copy(order="K"))
    expect(isinstance(dtype, torch.dtype) and dtype.itemsize == tensor.dtype.itemsize)
    return tensor.view(dtype)


def _dtype(text: object) -> "DType[Any]":
    expect(type(text) is str)
    dtype: DType[Any] = import_module("numpy").dtype(text)
    expect(_is_storable(dtype))
    return dtype


ARRAY_DECODERS: dict[str, Callable[[Decoding, Any], object]] = {
    "numpy": _decode_scalar,
    "ndarray": _decode_inline,
    "axes": _decode_axes,
    "array": _decode_outside,
    "tensor": _decode_tensor,
}
