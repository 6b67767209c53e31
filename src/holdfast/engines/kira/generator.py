"""The state of Python's random generator as few bytes, and back."""

import random
import struct

from holdfast.engines.kira.fields import Fields

_WORDS = struct.Struct("<625I")  # 624 words of the Mersenne twister, and the position among them
_VERSION = 3  # of random.Random.getstate
_LAST_POSITION = 624


def packed_generator(generator: random.Random) -> dict[str, object]:
    """Everything that decides what it draws next."""
    _, words, gauss_next = generator.getstate()
    return {"words": _WORDS.pack(*words), "gauss_next": gauss_next}


def unpacked_generator(fields: Fields) -> random.Random:
    """A generator that draws what the packed one would have drawn."""
    data = fields.data("words")
    if len(data) != _WORDS.size:
        raise fields.wrong("words", f"{_WORDS.size} bytes belong here, and {len(data)} came")
    words = _WORDS.unpack(data)
    if words[-1] > _LAST_POSITION:
        raise fields.wrong("words", f"the position {words[-1]} is beyond {_LAST_POSITION}")
    gauss_next = None if fields.value("gauss_next") is None else fields.number("gauss_next")
    generator = random.Random()
    generator.setstate((_VERSION, words, gauss_next))
    return generator
