"""Structures in Thrift's compact protocol, as trees, as far as the footers of Parquet files have need of it.

Format: github.com/apache/thrift, doc/specs/thrift-compact-protocol.md. What was read is written as the same bytes, where it was
written in the shortest way.
"""

from typing import Any, NamedTuple

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 12
_INTEGERS = (I16, I32, I64)
_SHORT = _LONG = 15
"""The most that a nibble tells of: a distance between fields, and a length, of a list."""


class Listed(NamedTuple):
    """A list: the type of its entries, and these; a structure among them may be its bytes already."""

    type: int
    values: list[Any]


class Field(NamedTuple):
    """A field of a structure."""

    type: int
    value: Any
    """A bool, an int, bytes (of a number with a point too), a Listed, or a Struct."""


Struct = dict[int, Field]
"""A structure: its fields by their numbers, in their order."""


def read_struct(data: bytes) -> Struct:
    """The structure that stands in the bytes. Raises ValueError, also where something comes after it."""
    reader = _Reader(data)
    try:
        found = reader.struct()
    except IndexError:
        raise ValueError("a structure ends early") from None
    if reader.at != len(data):
        raise ValueError(f"{len(data) - reader.at} bytes come after a structure")
    return found


def write_struct(struct: Struct) -> bytes:
    """Its bytes."""
    written = bytearray()
    _write(written, STRUCT, struct)
    return bytes(written)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def struct(self) -> Struct:
        fields: Struct = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else _signed(self._varint())
            kind = head & 0x0F
            fields[number] = Field(kind, kind == TRUE if kind in (TRUE, FALSE) else self._value(kind))
        return fields

    def _value(self, kind: int) -> Any:
        if kind in _INTEGERS:
            return _signed(self._varint())
        if kind == BINARY:
            return self._bytes(self._varint())
        if kind == STRUCT:
            return self.struct()
        if kind == LIST:
            head = self._byte()
            length, entries = head >> 4, head & 0x0F
            return Listed(entries, [self._value(entries) for _ in range(self._varint() if length == _LONG else length)])
        if kind in (TRUE, FALSE):
            return self._byte() == TRUE
        if kind in (BYTE, DOUBLE):
            return self._bytes(1 if kind == BYTE else 8)
        raise ValueError(f"a value of type {kind} is not known here")

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _bytes(self, length: int) -> bytes:
        self.at += length
        if self.at > len(self._data):
            raise IndexError
        return self._data[self.at - length : self.at]

    def _varint(self) -> int:
        value, shift = 0, 0
        while (byte := self._byte()) & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
        return value | byte << shift


def _write(written: bytearray, kind: int, value: Any) -> None:
    if isinstance(value, Listed):
        long = len(value.values) >= _LONG
        written.append((_LONG if long else len(value.values)) << 4 | value.type)
        if long:
            _write_varint(written, len(value.values))
        for entry in value.values:
            _write(written, value.type, entry)
    elif isinstance(value, dict):
        before = 0
        for number, field in value.items():
            near = 0 < number - before <= _SHORT
            is_bool = isinstance(field.value, bool)
            type_ = (TRUE if field.value else FALSE) if is_bool else field.type
            written.append((number - before if near else 0) << 4 | type_)
            if not near:
                _write_varint(written, _unsigned(number))
            if not is_bool:
                _write(written, type_, field.value)
            before = number
        written.append(0)
    elif isinstance(value, bool):
        written.append(TRUE if value else FALSE)
    elif isinstance(value, bytes):
        if kind == BINARY:
            _write_varint(written, len(value))
        written += value
    else:
        _write_varint(written, _unsigned(value))


def _write_varint(written: bytearray, value: int) -> None:
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)


def _signed(value: int) -> int:
    return value >> 1 ^ -(value & 1)


def _unsigned(value: int) -> int:
    return value << 1 ^ value >> 63
