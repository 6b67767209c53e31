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

from typing import Any

import msgspec

from holdfast.codec.arrays import ArraySink, ArraySource
from holdfast.codec.decoder import Decoder
from holdfast.codec.encoder import MAX_DEPTH, Encoder
from holdfast.codec.plain import is_flat
from holdfast.codec.tags import TAG, tagged
from holdfast.errors import InvalidValue

__all__ = ["MAX_DEPTH", "ArraySink", "ArraySource", "canonical", "decode", "encode", "snapshot"]

_sorted_json = msgspec.json.Encoder(order="sorted")


def encode(value: object, path: str = "value", *, arrays: ArraySink | None = None) -> object:
    """Return value as plain JSON objects. Parts that are plain already are returned as they are, not copied.

    Raises InvalidValue, naming the field below `path`, for what cannot be stored.
    """
    if type(value) is dict and is_flat(value):
        return value
    return Encoder(path, arrays, fresh=False).encode(value)


def snapshot(value: object, path: str = "value", *, arrays: ArraySink | None = None) -> object:
    """Like encode, for writing later: shares nothing mutable with value."""
    if type(value) is dict and is_flat(value):
        return value.copy()
    return Encoder(path, arrays, fresh=True).encode(value)


def decode(tree: object, *, arrays: ArraySource | None = None) -> object:
    """Undo encode; shares nothing mutable with tree. Raises InvalidValue for an unknown or malformed tag."""
    try:
        return Decoder(arrays).decode(tree)
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
    if tree.get(TAG) == "dict":
        return tagged("dict", sorted(_sort_pairs(tree["v"]), key=lambda pair: _sorted_json.encode(pair[0])))
    return dict(zip(tree, map(_sort_pairs, tree.values()), strict=True))
