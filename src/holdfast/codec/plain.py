"""What is plain JSON as it is, told quickly: most values are."""

from collections.abc import Collection, Mapping
from math import isfinite
from types import NoneType
from typing import Any

from holdfast.codec.tags import TAG

MIN, MAX = -(2**63), 2**63 - 1
_SMALL = 16  # entries of a dict up to which one loop is the quickest way to look at all


def is_flat(value: dict[Any, Any]) -> bool:
    """True for a dict of plain leaves under plain keys: the common case, decided in one loop, or in none for a large one."""
    if len(value) > _SMALL and has_plain_keys(value) and is_plain_row(value.values()):
        return True
    for key, item in value.items():
        if type(key) is not str or not key.isascii() or key == TAG:
            return False
        kind = type(item)
        if kind is float:
            if item - item != 0.0:  # NaN and the infinities, without a call
                return False
        elif kind is str:
            if not item.isascii() and not is_unicode(item):
                return False
        elif kind is int:
            if not MIN <= item <= MAX:
                return False
        elif item is not None and kind is not bool:
            return False
    return True


def is_plain_row(row: Collection[Any]) -> bool:
    """True for items of one plain type, decided without a Python loop. False means: look at each."""
    kinds = set(map(type, row))
    if len(kinds) != 1:
        return not kinds
    kind = kinds.pop()
    if kind is int:
        return bool(min(row) >= MIN and max(row) <= MAX)
    if kind is float:
        return isfinite(sum(row))  # one NaN or infinity makes the sum one
    return all(map(str.isascii, row)) if kind is str else kind in (bool, NoneType)


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold a text: it has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def has_plain_keys(value: Mapping[Any, object]) -> bool:
    """Whether all keys are texts that JSON can hold, and none is the tags' own."""
    if set(map(type, value)) - {str} or TAG in value:
        return False
    return all(map(str.isascii, value)) or all(map(is_unicode, value))
