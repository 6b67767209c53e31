"""Names of sessions: which are allowed, and new ones that nobody else has."""

import os
import time
import unicodedata

from holdfast.errors import InvalidSetting

MAX_NAME_BYTES = 200
_FORBIDDEN = set('/\\:*?"<>|')
_UNSEEN = {
    "Cc": "a control sign",
    "Cf": "an invisible sign",  # joins emojis, turns the direction of writing: two names that look alike would differ
    "Cs": "half a character",
    "Cn": "a sign that Unicode has not assigned",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}


def checked_name(name: object) -> str:
    """The name in Unicode's composed form (NFC), as its folder is called. Raises InvalidSetting saying what is wrong."""
    if not isinstance(name, str):
        raise InvalidSetting(f"a session's name must be a text, and {type(name).__name__} came")
    composed = unicodedata.normalize("NFC", name)
    wrong = None
    if not composed.strip():
        wrong = "it is empty"
    elif composed != composed.strip() or composed.startswith("."):
        wrong = "it begins with a dot, or begins or ends with a space"
    elif composed.startswith("-"):
        wrong = "it begins with a dash, as the options of commands do"
    elif found := sorted(_FORBIDDEN & set(composed)):
        wrong = f"it holds {' '.join(found)}, which file systems reserve"
    elif unseen := [sign for sign in composed if unicodedata.category(sign) in _UNSEEN]:
        wrong = f"it holds U+{ord(unseen[0]):04X}, {_UNSEEN[unicodedata.category(unseen[0])]}"
    elif len(composed.encode()) > MAX_NAME_BYTES:
        wrong = f"it takes {len(composed.encode())} bytes in UTF-8, and {MAX_NAME_BYTES} is the limit"
    if wrong:
        raise InvalidSetting(f"session name {_shortened(name)!r}: {wrong}. Nothing was created; choose another name.")
    return composed


def _shortened(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:59]}…"


def numbered_name(name: str, number: int) -> str:
    """NAME~NUMBER, cut where that would be too long for a name."""
    ending = f"~{number}"
    room = name.encode()[: MAX_NAME_BYTES - len(ending)]
    return room.decode(errors="ignore").rstrip() + ending


def new_name() -> str:
    """A name by date and time, with eight random digits: two processes of one microsecond differ."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(4).hex()}"
