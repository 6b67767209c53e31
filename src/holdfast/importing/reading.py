"""What readers share: the file that is being read, its findings, and fields taken apart."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from holdfast.errors import InvalidValue
from holdfast.importing import findings as kinds
from holdfast.importing.findings import Findings
from holdfast.importing.items import Tokens
from holdfast.importing.times import Times
from holdfast.tokens import Junk, LatticeToken, dialect_of, parse

_OWN = ("z", "phase", "tier", "source")
_BATCH = 2000
_TIMES = ("timestamp", "ts", "time")
_DIALECTS = {"lattice b": "the archives' one", "lattice c": "the cloud runner's one"}


class Reading:
    """One file being read. path: within what is imported."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.findings = Findings(path)
        self.grammars: Counter[str] = Counter()
        self.times = Times(self.findings)
        self._known: dict[str, Junk | str] = {}

    @property
    def name(self) -> str:
        """Of the file, without its folders."""
        return self.path.rpartition("/")[2]

    def time(self, fields: Mapping[str, Any], otherwise: int | None = None, *, where: str = "") -> int | None:
        """When something happened, by the field that tells it."""
        for name in _TIMES:
            if name in fields:
                found = self.times.read(fields[name], f"{where}.{name}" if where else name)
                return otherwise if found is None else found
        return otherwise

    def note(self, kind: str, where: str, what: str, count: int = 1) -> None:
        """Note what is odd."""
        self.findings.add(kind, where, what, count)

    def count(self, fields: Mapping[str, Any], name: str, actual: int, what: str) -> None:
        """Note where a field tells another number than there are."""
        told = fields.get(name)
        if isinstance(told, int) and not isinstance(told, bool) and told != actual:
            self.note(kinds.COUNT, name, f"it says {told:,}, and there are {actual:,} {what}")

    def objects(self, entries: Any, where: str, *names: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """The objects with these fields in a list, with their places; what is none is noted, and left out."""
        for index, entry in enumerate(listed(entries)):
            if isinstance(entry, dict) and all(name in entry for name in names):
                yield index, entry
            else:
                lacking = f" with {', '.join(names)}" if names else ""
                self.note(kinds.FIELD, f"{where}[{index}]", f"no object{lacking}: left out")

    def text(self, text: Any, where: str) -> str:
        """A token's text; what no grammar knows is noted, and kept."""
        found = self._known.get(text) if isinstance(text, str) else None
        if found is None:
            token = parse(text)
            if isinstance(token, Junk):
                found = token
            else:
                found = token.grammar
                if isinstance(token, LatticeToken):
                    found = f"lattice {token.dialect}"
            if isinstance(text, str):
                self._known[text] = found
        if isinstance(found, Junk):
            self.grammars["junk"] += 1
            self.note(kinds.JUNK, where, f"{text!r}: {found.reason}")
        else:
            self.grammars[found] += 1
        return text if isinstance(text, str) else repr(text)

    def tokens(
        self, entries: Sequence[Any], where: str, *, ts: int | None = None, shared: Mapping[str, Any] | None = None
    ) -> Iterable[Tokens]:
        """Tokens from a list of texts, or of objects with `token` in them, some thousands together.

        What an object tells besides is in `meta`, and so is what they share. Those with times of their own come one by one.
        """
        are_timed = any(isinstance(entry, dict) and any(name in entry for name in _TIMES) for entry in entries[:2])
        size = 1 if are_timed else _BATCH
        for first in range(0, len(entries), size):
            texts: list[str] = []
            columns: dict[str, list[Any]] = {name: [] for name in (*_OWN, "meta")}
            moment = ts
            for index, entry in enumerate(entries[first : first + size], first):
                fields = entry if isinstance(entry, dict) else {"token": entry}
                place = f"{where}[{index}]"
                texts.append(self.text(_token_of(fields), place))
                own, rest = own_fields(fields, ("token",), place, self)
                for name in _OWN:
                    columns[name].append(own.get(name))
                columns["meta"].append({**(shared or {}), **rest} or None)
                if index == first:
                    moment = self.time(fields, ts, where=place)
            filled = {name: values for name, values in columns.items() if any(value is not None for value in values)}
            yield Tokens(texts, filled, moment, f"{where}[{first}]")

    def note_dialect(self) -> None:
        """Note a lattice that is not the engine's own."""
        for name, count in self._grammars_told().items():
            if name in _DIALECTS:
                what = f"{count:,} tokens are of dialect {name[-1]}, {_DIALECTS[name]}: kept as they are"
                self.note(kinds.DIALECT, "", what, count)

    @property
    def dialect(self) -> str:
        """The grammars of its tokens, the most frequent first."""
        return ", ".join(name for name, _ in self._grammars_told().most_common())

    def _grammars_told(self) -> Counter[str]:
        grammars = Counter(self.grammars)
        lattice = [text for text, found in self._known.items() if isinstance(found, str) and found.startswith("lattice")]
        if lattice and (one := dialect_of(lattice)) is not None:  # a and b share some of their tokens
            total = sum(count for name, count in grammars.items() if name.startswith("lattice"))
            grammars = Counter({name: count for name, count in grammars.items() if not name.startswith("lattice")})
            grammars[f"lattice {one}"] = total
        return grammars


def own_fields(
    fields: Mapping[str, Any], known: Sequence[str], where: str, reading: Reading
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields z, phase, tier and source where they are what ours are, and all others but the known ones.

    One of our names with another value stands among the others, and is noted.
    """
    own: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for name, value in fields.items():
        if name in known or name in _TIMES:
            continue
        if name not in _OWN:
            rest[name] = value
        elif value is not None:
            try:
                own[name] = _CHECKED[name](value)
            except InvalidValue as error:
                rest[name] = value
                reading.note(kinds.FIELD, f"{where}.{name}", f"{value!r}: {error.reason}; kept in meta")
    return own, rest


def listed(value: Any) -> list[Any]:
    """A list; an empty one for what is none."""
    return value if isinstance(value, list) else []


def texts_of(value: Any) -> list[str]:
    """The texts in a list; nothing where it is none."""
    return [entry for entry in listed(value) if isinstance(entry, str)]


def number(value: Any) -> float | None:
    """A number; None for what is none, or lies beyond all floats."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _token_of(fields: Mapping[str, Any]) -> Any:
    token = fields.get("token")
    if isinstance(token, dict):  # in parts, as emissions have it
        return f"{token.get('spiral', '')}{token.get('operator', '')}|{token.get('machine', '')}|{token.get('domain', '')}"
    return token


def _z(value: Any) -> float:
    found = number(value)
    if found is None or not 0.0 <= found <= 1.0:
        raise InvalidValue("z", "every z is a number in [0, 1]")
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidValue("", "a text belongs here")
    return value


def _tier(value: Any) -> int:
    if isinstance(value, str) and value[:1] == "t" and value[1:].isdigit():
        return int(value[1:])
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidValue("tier", "a whole number belongs here")
    return value


_CHECKED = {"z": _z, "phase": _text, "tier": _tier, "source": _text}
