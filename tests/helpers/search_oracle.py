"""What a pattern finds, said again without regular expressions or an index: for tests of search."""

from typing import Any

STAR = object()
_TWINS = {"-": "−", "%": "÷"}


def finds(pattern: str, token: object) -> bool:
    """Whether a pattern that is no regular expression finds a token."""
    text = token if isinstance(token, str) else str(token) if isinstance(token, int) else _shown(token)
    parts = _parts(pattern)
    if len(parts) > 1:
        stripped = [_strip(part) for part in parts]
        return any(_parts_from(stripped, 0, text, 0, end) for end in _bars(text))
    if STAR in parts[0]:
        return _glob(parts[0], text, bars=True)
    if _glob(parts[0], text, bars=True):
        return True
    bare = _strip(parts[0])
    return any(_trimmed(bare, text[:bar], family=False) for bar in _bars(text) if bar < len(text))


def _shown(token: Any) -> str:
    return bytes(token).decode("utf-8", "backslashreplace")


def _bars(text: str) -> list[int]:
    return [*(index for index, sign in enumerate(text) if sign == "|"), len(text)]


def _parts_from(parts: list[list[Any]], index: int, text: str, start: int, end: int) -> bool:
    """Whether part `index` stands in text[start:end], and the others behind it."""
    if not _trimmed(parts[index], text[start:end], family=len(parts) == 3 and index == 2):
        return False
    if index + 1 == len(parts):
        return len(parts) < 3 or end == len(text)
    return any(_parts_from(parts, index + 1, text, end + 1, bar) for bar in _bars(text) if bar > end)


def _trimmed(part: list[Any], text: str, *, family: bool) -> bool:
    """Whether a part is what a text says, less any blanks at its ends."""
    for start in range(len(text) + 1):
        if text[:start].strip():
            break
        for end in range(len(text), start - 1, -1):
            if text[end:].strip():
                break
            inner = text[start:end]
            if _glob(part, inner, bars=False):
                return True
            if family and any(
                _glob(part, inner[:at], bars=False) and "|" not in inner[at:] for at in range(len(inner)) if inner[at] == "_"
            ):
                return True
    return False


def _glob(part: list[Any], text: str, *, bars: bool) -> bool:
    reached = {0}
    for item in part:
        following: set[int] = set()
        for at in reached:
            if item is STAR:
                following.add(at)
                while at < len(text) and (bars or text[at] != "|"):
                    at += 1
                    following.add(at)
            elif at < len(text) and _TWINS.get(text[at], text[at]) == _TWINS.get(item, item):
                following.add(at + 1)
        reached = following
    return len(text) in reached


def _parts(pattern: str) -> list[list[Any]]:
    parts: list[list[Any]] = [[]]
    signs = iter(pattern)
    for sign in signs:
        if sign == "\\":
            parts[-1].append(next(signs))
        elif sign == "*":
            parts[-1].append(STAR)
        elif sign == "|":
            parts.append([])
        else:
            parts[-1].append(sign)
    return parts


def _strip(part: list[Any]) -> list[Any]:
    while part and part[0] is not STAR and part[0].isspace():
        part = part[1:]
    while part and part[-1] is not STAR and part[-1].isspace():
        part = part[:-1]
    return part
