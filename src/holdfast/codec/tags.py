"""Tags: objects that say what JSON has no word for."""

from binascii import a2b_base64, b2a_base64
from reprlib import Repr
from typing import Any

TAG = "$t"
brief = Repr()
brief.maxstring = brief.maxother = brief.maxlong = 80


def tagged(tag: str, payload: object) -> object:
    """The object that stands for what JSON cannot say."""
    return {TAG: tag, "v": payload}


def to_base64(data: bytes | bytearray) -> str:
    """Bytes as a text."""
    return b2a_base64(data, newline=False).decode("ascii")


def from_base64(text: Any) -> bytes:
    """… and back."""
    expect(type(text) is str)
    return a2b_base64(text, strict_mode=True)


def expect(holds: bool) -> None:
    """Raise ValueError where a payload is not what encode writes."""
    if not holds:
        raise ValueError("not as encode writes it")
