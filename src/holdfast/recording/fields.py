"""A user's values as the fields of records: checked, and encoded by the one codec."""

import sys
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any

from holdfast import codec
from holdfast.errors import InvalidValue
from holdfast.records import Token, Tokens


def token_record(
    text: str | int | bytes,
    z: float | None,
    phase: str | None,
    tier: int | None,
    source: str | None,
    meta: Mapping[str, Any] | None,
    info: Mapping[str, Any] | None,
    *,
    snapshot: bool,
) -> Token:
    """A token's record."""
    shown, raw = token_value(text, "token")
    return Token(
        info=named(info, "info", snapshot=snapshot),
        token=shown,
        raw=raw,
        z=coordinate(z),
        phase=name(phase, "phase"),
        tier=whole(tier, "tier"),
        source=name(source, "source"),
        meta=named(meta, "meta", snapshot=snapshot),
    )


def tokens_record(
    texts_or_ids: Iterable[str | int | bytes], columns: Mapping[str, Any], info: Mapping[str, Any] | None
) -> Tokens:
    """A batch's record. Columns have the length of the batch; NumPy arrays are taken as lists."""
    tokens = token_list(texts_or_ids, "tokens")
    taken: dict[str, Any] = {}
    for column, values in columns.items():
        entries = listed(values, f"tokens.{column}")
        if len(entries) != len(tokens):
            raise InvalidValue(f"tokens.{column}", f"it has {len(entries)} values for {len(tokens)} tokens")
        if column == "z":
            entries = [coordinate(value, f"tokens.z[{index}]") for index, value in enumerate(entries)]
        taken[column] = codec.snapshot(entries, f"tokens.{column}")
    return Tokens(tokens=tokens, columns=taken, info=named(info, "info", snapshot=True))


def token_list(texts_or_ids: Any, path: str) -> list[Any]:
    """Many tokens by the codec, in a new list."""
    return [_token_in_list(value, f"{path}[{index}]") for index, value in enumerate(listed(texts_or_ids, path))]


def _token_in_list(value: object, path: str) -> Any:
    value = plain_number(value)
    if isinstance(value, bool) or not isinstance(value, str | int | bytes):
        raise InvalidValue(path, _not_a_token(value))
    return codec.encode(value, path)


def _not_a_token(value: object) -> str:
    return f"a token is a string, an int id or bytes, and this is {type(value).__name__}"


def token_value(value: object, path: str) -> tuple[Any, str | None]:
    """A token as it stands in the record, and its raw form where it holds lone surrogates."""
    value = plain_number(value)
    if isinstance(value, str):
        return text_value(str(value), path)
    if isinstance(value, bool) or not isinstance(value, int | bytes):
        raise InvalidValue(path, _not_a_token(value))
    return codec.encode(value, path), None


def text_value(text: object, path: str) -> tuple[str, str | None]:
    """A text with U+FFFD for lone surrogates, and base64 of its exact bytes where there are some."""
    if not isinstance(text, str):
        raise InvalidValue(path, f"this is a text, and {type(text).__name__} came")
    try:
        text.encode()
    except UnicodeEncodeError:
        exact = text.encode("utf-8", "surrogatepass")
        shown = "".join("\N{REPLACEMENT CHARACTER}" if "\ud800" <= sign <= "\udfff" else sign for sign in text)
        return shown, b64encode(exact).decode("ascii")
    return str(text), None


def coordinate(z: object, path: str = "z") -> float | None:
    """z, finite and in [0, 1]."""
    if z is None:
        return None
    number = plain_number(z)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise InvalidValue(path, f"z is a number in [0, 1], and this is {type(z).__name__}")
    if not 0.0 <= number <= 1.0:
        raise InvalidValue(path, f"z is finite and in [0, 1], and this is {number!r}")
    return float(number)


def name(value: object, path: str) -> str | None:
    """A name (phase, source); an enumeration's member counts as its value."""
    if value is None:
        return None
    inner = getattr(value, "value", value)
    if isinstance(inner, str):
        return text_value(inner, path)[0]
    raise InvalidValue(path, f"this is a text, and {type(value).__name__} came")


def whole(value: object, path: str) -> int | None:
    """A whole number that fits 64 bits."""
    if value is None:
        return None
    number = plain_number(value)
    if isinstance(number, bool) or not isinstance(number, int) or not -(2**63) <= number < 2**63:
        raise InvalidValue(path, f"this is a whole number of at most 64 bits, and {number!r} came")
    return int(number)


def number(value: object, path: str) -> float | None:
    """A finite number, as a float."""
    if value is None:
        return None
    found = plain_number(value)
    if isinstance(found, bool) or not isinstance(found, int | float) or not abs(found) <= sys.float_info.max:
        raise InvalidValue(path, f"this is a finite number, and {found!r} came")
    return float(found)


def stored(value: object, path: str, *, snapshot: bool) -> Any:
    """A value by the codec; a mapping as a dict. With snapshot it shares nothing mutable with the caller's."""
    if value is None:
        return None
    if isinstance(value, Mapping) and type(value).__module__ != "collections":
        value = dict(value)
    return codec.snapshot(value, path) if snapshot else codec.encode(value, path)


def named(value: object, path: str, *, snapshot: bool) -> Any:
    """Named values (meta, info) by the codec."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidValue(path, f"these are values by name, a mapping, and {type(value).__name__} came")
    return stored(value, path, snapshot=snapshot)


def plain_number(value: object) -> object:
    """A NumPy or torch scalar as the Python number it stands for; anything else as it is."""
    if type(value) in (str, int, float, bool, bytes):
        return value
    if getattr(value, "shape", None) == () and callable(item := getattr(value, "item", None)):
        plain: object = item()
        return plain
    return value


def listed(values: Any, path: str) -> list[Any]:
    """A column as a list."""
    found = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(found, str | bytes) or not isinstance(found, Iterable):
        raise InvalidValue(path, f"this is a list with an entry for each token, and one {type(values).__name__} came")
    return list(found)
