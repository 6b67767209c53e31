"""From bytes to JSON values, however they were written: encodings, NaN, keys that come twice, documents that break off."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from holdfast.importing.findings import BROKEN, ENCODING, NOT_JSON, Findings

_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_CLOSING = {"{": "}", "[": "]"}


class Unreadable(Exception):
    """Nothing could be got out of a file; its text says why."""


def read_document(data: bytes, findings: Findings) -> Any:
    """The value of a whole document; of one that breaks off, what comes before. Raises Unreadable where nothing does."""
    try:
        quick = msgspec.json.decode(data)
        if data.count(b'":') == msgspec.json.encode(quick).count(b'":'):  # else a key may come twice
            return quick
    except (msgspec.DecodeError, RecursionError):
        pass  # the slow way says what it is
    text = text_of(data, findings)
    if not text.strip():
        raise Unreadable("it is empty")
    decoder = _decoder(findings, "")
    try:
        return decoder.decode(text)
    except (json.JSONDecodeError, RecursionError) as error:
        if isinstance(error, RecursionError):
            raise Unreadable("it is nested too deeply") from None
        value = _salvaged(decoder, text, error.pos)
        line = text.count("\n", 0, error.pos) + 1
        if value is None:
            raise Unreadable(f"line {line}: {error.msg}, and nothing before it could be read") from None
        findings.add(BROKEN, f"line {line}", f"{error.msg}; what comes before was read ({_size(value)}), the rest was not")
        return value


def read_lines(chunks: Iterable[bytes], findings: Findings) -> Iterator[tuple[int, Any]]:
    """The values of JSON lines with the numbers of their lines; what is none is noted, and left out."""
    quick = msgspec.json.decode
    for number, line in enumerate(_lines(chunks, findings), 1):
        try:
            value = quick(line)
            if type(value) is dict and line.count(b'":') == len(value):
                yield number, value
                continue
        except (msgspec.DecodeError, RecursionError):
            if not line or line.isspace():
                continue
        text = _decoded(line, number, findings)
        try:
            yield number, _decoder(findings, f"line {number}").decode(text)
        except (json.JSONDecodeError, RecursionError) as error:
            what = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
            findings.add(BROKEN, f"line {number}", f"{what}: {_short(text)} was left out")


def text_of(data: bytes, findings: Findings) -> str:
    """The text of a file. Raises Unreadable."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            findings.add(ENCODING, "", f"it begins with a byte order mark: read as {encoding.removesuffix('-sig').upper()}")
            break
    else:
        encoding = "utf-8"
        if b"\0" in data[:4096]:
            raise Unreadable("it is no text")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"byte {error.start:,} is no {encoding.upper()}: shown as U+FFFD, as others like it"
        findings.add(ENCODING, f"line {line}", what)
        return data.decode(encoding, "replace")


def text_lines(chunks: Iterable[bytes], findings: Findings) -> Iterator[str]:
    """The lines of a file that comes in pieces, as texts without their ends."""
    for number, line in enumerate(_lines(chunks, findings), 1):
        yield _decoded(line, number, findings)


def _lines(chunks: Iterable[bytes], findings: Findings) -> Iterator[bytes]:
    """The lines of a file in UTF-8, whatever it was in."""
    rest, is_first = b"", True
    for chunk in chunks:
        data = rest + chunk
        if is_first:
            is_first = False
            if data.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16 cannot be cut at its newlines
                yield from text_of(data + b"".join(chunks), findings).encode().split(b"\n")
                return
            if data.startswith(_MARKS[0][0]):
                findings.add(ENCODING, "", "it begins with a byte order mark: read as UTF-8")
                data = data[3:]
        *lines, rest = data.split(b"\n")
        yield from lines
    if rest:
        yield rest


def _decoded(line: bytes, number: int, findings: Findings) -> str:
    try:
        return line.decode().rstrip("\r")
    except UnicodeDecodeError as error:
        findings.add(ENCODING, f"line {number}", f"byte {error.start:,} of it is no UTF-8: shown as U+FFFD")
        return line.decode(errors="replace").rstrip("\r")


def _decoder(findings: Findings, where: str) -> json.JSONDecoder:
    def constant(name: str) -> float:
        findings.add(NOT_JSON, where, f"a bare {name}, which JSON does not have: read as the number it means")
        return float(name.replace("Infinity", "inf"))

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(found)
        if len(fields) != len(found):
            seen: set[str] = set()
            for key, _ in found:
                if key in seen:
                    findings.add(NOT_JSON, where or key, f"the key {key!r} comes twice in an object: the last one counts")
                seen.add(key)
        return fields

    return json.JSONDecoder(parse_constant=constant, object_pairs_hook=pairs)


def _salvaged(decoder: json.JSONDecoder, text: str, end: int) -> Any:
    """The value of what comes before `end`, cut behind its last whole part and closed; None where that is nothing."""
    opened: list[str] = []
    cuts: list[tuple[int, str]] = []  # behind a part, and what closes all that is open there
    position, is_in_text = 0, False
    while position < end:
        sign = text[position]
        if is_in_text:
            position += sign == "\\"
            is_in_text = sign != '"'
        elif sign == '"':
            is_in_text = True
        elif sign in _CLOSING:
            opened.append(_CLOSING[sign])
        elif sign in "]}" and opened:
            opened.pop()
            cuts.append((position + 1, "".join(reversed(opened))))
        elif sign == "," and opened:
            cuts.append((position, "".join(reversed(opened))))
        position += 1
    for cut, closing in reversed(cuts[-50:]):
        try:
            value = decoder.decode(text[:cut] + closing)
        except json.JSONDecodeError:
            continue
        return value or None
    return None


def _size(value: Any) -> str:
    if isinstance(value, dict):
        lists = [f"{len(entry):,} of {name}" for name, entry in value.items() if isinstance(entry, list)]
        return ", ".join(lists) or f"{len(value):,} fields"
    return f"{len(value):,} entries" if isinstance(value, list) else "a value"


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:59]}…")
