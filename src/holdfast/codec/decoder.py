"""The walk over a tree that makes of it the value it was made of."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from typing import Any

from holdfast.codec.arrays import ARRAY_DECODERS, ArraySource
from holdfast.codec.tags import TAG, brief, expect, from_base64
from holdfast.errors import HoldfastError, InvalidValue


class Decoder:
    """One walk over a tree. What a tag's function raises for a payload it cannot read becomes InvalidValue."""

    def __init__(self, arrays: ArraySource | None) -> None:
        self.arrays = arrays

    def decode(self, node: Any) -> Any:
        if type(node) is list:
            return [*map(self.decode, node)]
        if type(node) is not dict:
            return node
        if TAG not in node:
            return dict(zip(node, map(self.decode, node.values()), strict=True))
        tag = node[TAG]
        read = _DECODERS.get(tag) if type(tag) is str else None
        if read is None:
            known = "a newer Holdfast may have written it: upgrade with pip install -U holdfast"
            raise InvalidValue("stored value", f"unknown tag {brief.repr(tag)}; {known}")
        try:
            expect(len(node) == 2)
            return read(self, node["v"])
        except (HoldfastError, RecursionError):
            raise
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RuntimeError) as error:
            reason = f"the {tag} {brief.repr(node.get('v'))} is malformed ({error!r})"
            raise InvalidValue("stored value", reason) from error

    def integer(self, text: Any) -> int:
        expect(type(text) is str)
        return int(text, 16)

    def number(self, text: Any) -> float:
        expect(text in ("nan", "inf", "-inf"))
        return float(text)  # a new object each time: two NaN keys of one dict stay two

    def row(self, items: Any, *kinds: type) -> Iterable[Any]:
        """Decode a list; with kinds, one of just these types."""
        expect(type(items) is list)
        out = [*map(self.decode, items)]
        expect(not kinds or tuple(map(type, out)) == kinds)
        return out

    def pairs(self, items: Any, make: type[dict[Any, Any]]) -> dict[Any, Any]:
        expect(type(items) is list)
        out = make()
        for pair in items:
            expect(type(pair) is list)
            key, item = pair
            out[self.decode(key)] = self.decode(item)
        expect(len(out) == len(items))
        return out

    def elements(self, items: Any, make: Callable[[Iterable[Any]], Collection[Any]]) -> Collection[Any]:
        expect(type(items) is list)
        out = make(map(self.decode, items))
        expect(len(out) == len(items))
        return out


_DECODERS: dict[str, Callable[[Decoder, Any], object]] = {
    "int": Decoder.integer,
    "float": Decoder.number,
    "str": lambda walk, text: from_base64(text).decode("utf-8", "surrogatepass"),
    "bytes": lambda walk, text: from_base64(text),
    "bytearray": lambda walk, text: bytearray(from_base64(text)),
    "complex": lambda walk, parts: complex(*walk.row(parts, float, float)),
    "range": lambda walk, parts: range(*walk.row(parts, int, int, int)),
    "tuple": lambda walk, items: tuple(walk.row(items)),
    "set": lambda walk, items: walk.elements(items, set),
    "frozenset": lambda walk, items: walk.elements(items, frozenset),
    "dict": lambda walk, items: walk.pairs(items, dict),
    "OrderedDict": lambda walk, items: walk.pairs(items, OrderedDict),
    **ARRAY_DECODERS,
}
