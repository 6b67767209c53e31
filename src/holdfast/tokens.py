"""KIRA's tokens: their words, the five grammars that write them, and patterns over them.

| grammar | | example |
|---|---|---|
| lattice | spiral, operator, machine, domain: 972 in each of three dialects | `Φ()|Encoder|bio_prion` |
| slot | spiral, operator, slot and its index, tier 1-9 | `e+|NP0|t4` |
| core | spiral, machine letter, operator or name, truth, tier 1-3 | `Φ:U(U)TRUE@1` |
| archive | spiral, letter, word, truth, tier; or spiral, operator, tier, truth | `e:T(pattern)PARADOX@t6`, `Φ:+@t1/TRUE` |
| sentence | direction u, d or m, operator, machine, a free word | `u()|Oscillator|wave` |

parse reads what others wrote and never raises for it: what no grammar knows is Junk, with the reason.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from holdfast.errors import InvalidValue

SPIRALS = {"Φ": "Structure", "e": "Energy", "π": "Emergence"}

# "−" is U+2212, the minus sign; the hyphen on the keyboard is its alias.
OPERATORS = {"()": "Boundary", "×": "Fusion", "^": "Amplify", "÷": "Decohere", "+": "Group", "−": "Separate"}
ALIASES = {"-": "−", "%": "÷"}

# The order of these and of the above is that of the lattice's ids.
MACHINES = ("Encoder", "Catalyst", "Conductor", "Filter", "Oscillator", "Reactor", "Dynamo", "Decoder", "Regenerator")
DOMAINS = ("bio_prion", "bio_bacterium", "bio_viroid", "celestial_grav", "celestial_em", "celestial_nuclear")

SLOTS = {"+": "NP", "−": "VP", "^": "MOD", "()": "DET", "×": "CONN", "÷": "Q"}
"""The part of speech that an operator stands for: the slot that its tokens fill."""

_ARCHIVE_DOMAINS = (
    "celestial_nuclear",
    "stellar_plasma",
    "galactic_field",
    "planetary_core",
    "tectonic_wave",
    "oceanic_current",
)
_CLOUD_DOMAINS = ("bio_neural", "bio_genetic", "bio_cellular", "astro_stellar", "astro_galactic", "astro_quantum")
DIALECTS = {
    "a": (MACHINES, DOMAINS),
    "b": (MACHINES, _ARCHIVE_DOMAINS),
    "c": (tuple(f"M{number}" for number in range(1, len(MACHINES) + 1)), _CLOUD_DOMAINS),
}
"""The lattice's dialects: a is the engine's, b the archives', c the cloud runner's. a and b share celestial_nuclear."""

DIRECTIONS = ("u", "d", "m")
CORE_MACHINES = ("U", "D", "M", "E", "C", "Mod")
TRUTHS = ("TRUE", "PARADOX", "UNTRUE")


@dataclass(frozen=True)
class LatticeToken:
    """A token of the lattice. Of the dialects that know it, `dialect` is the first."""

    grammar: ClassVar[str] = "lattice"
    spiral: str
    operator: str
    machine: str
    domain: str
    dialect: str = "a"

    def __str__(self) -> str:
        return f"{self.spiral}{self.operator}|{self.machine}|{self.domain}"


@dataclass(frozen=True)
class SlotToken:
    """What emit_token makes. The original also wrote slots that are not their operator's (is_gated is False)."""

    grammar: ClassVar[str] = "slot"
    spiral: str
    operator: str
    slot: str
    index: int
    tier: int

    @property
    def is_gated(self) -> bool:
        return SLOTS[self.operator] == self.slot

    def __str__(self) -> str:
        return f"{self.spiral}{self.operator}|{self.slot}{self.index}|t{self.tier}"


@dataclass(frozen=True)
class CoreToken:
    grammar: ClassVar[str] = "core"
    spiral: str
    machine: str
    operator: str
    truth: str
    tier: int

    def __str__(self) -> str:
        return f"{self.spiral}:{self.machine}({self.operator}){self.truth}@{self.tier}"


@dataclass(frozen=True)
class ArchiveToken:
    """The archives' two forms: with a letter and a word, or (machine empty) with an operator alone."""

    grammar: ClassVar[str] = "archive"
    spiral: str
    machine: str
    operator: str
    truth: str
    tier: int

    def __str__(self) -> str:
        if not self.machine:
            return f"{self.spiral}:{self.operator}@t{self.tier}/{self.truth}"
        return f"{self.spiral}:{self.machine}({self.operator}){self.truth}@t{self.tier}"


@dataclass(frozen=True)
class SentenceToken:
    grammar: ClassVar[str] = "sentence"
    direction: str
    operator: str
    machine: str
    word: str

    def __str__(self) -> str:
        return f"{self.direction}{self.operator}|{self.machine}|{self.word}"


@dataclass(frozen=True)
class Junk:
    """What no grammar knows, as it came, and why."""

    grammar: ClassVar[str] = "junk"
    value: object
    reason: str

    def __str__(self) -> str:
        return str(self.value)


Token = LatticeToken | SlotToken | CoreToken | ArchiveToken | SentenceToken

_CORE = re.compile(rf"(Mod|[UDMEC])\((.+)\)({'|'.join(TRUTHS)})@([1-3])")
_ARCHIVE = re.compile(rf"([A-Za-z]+)\((.+)\)({'|'.join(TRUTHS)})@t([1-9])")
_ARCHIVE_SHORT = re.compile(rf"(.+)@t([1-9])/({'|'.join(TRUTHS)})")
_SLOT = re.compile(rf"({'|'.join(SLOTS.values())})([0-9]{{1,6}})")
_TIER = re.compile(r"t([1-9])")
_WORD = re.compile(r"\w[\w -]*")


def parse(text: object) -> Token | Junk:
    """A token of any grammar, aliases resolved and blanks around bars left out; str() of it is its canonical text."""
    if not isinstance(text, str):
        return Junk(text, f"a text belongs here, and {type(text).__name__} came")
    parts = [part.strip() for part in text.split("|")]
    if len(parts) == 3:
        found = _parse_bars(*parts)
    elif len(parts) == 1 and ":" in text:
        found = _parse_colon(parts[0])
    else:
        found = "neither three parts between bars nor a spiral before a colon"
    return Junk(text, found) if isinstance(found, str) else found


def format_token(token: Token) -> str:
    """The canonical text of a token; parse of it gives the token back."""
    return str(token)


def dialect_of(texts: Iterable[str]) -> str | None:
    """The first dialect that knows every one of these lattice tokens; None where none does.

    A single token cannot always tell: a and b share 162 of 972.
    """
    known = set(DIALECTS)
    for text in texts:
        token = parse(text)
        if not isinstance(token, LatticeToken):
            return None
        known &= _dialects_with(token.machine, token.domain)
    return min(known, default=None)


def _parse_bars(head: str, middle: str, tail: str) -> Token | str:
    """A token of the three grammars with bars, or why it is none."""
    first, operator = head[:1], ALIASES.get(head[1:].strip(), head[1:].strip())
    if first not in SPIRALS and first not in DIRECTIONS:
        return f"{first!r} is neither a spiral ({' '.join(SPIRALS)}) nor a direction ({' '.join(DIRECTIONS)})"
    if operator not in OPERATORS:
        return f"{operator!r} is no operator ({' '.join(OPERATORS)})"
    if first in DIRECTIONS:
        if middle not in MACHINES:
            return f"{middle!r} is no machine ({' '.join(MACHINES)})"
        return SentenceToken(first, operator, middle, tail) if _WORD.fullmatch(tail) else f"{tail!r} is no word"
    if slot := _SLOT.fullmatch(middle):
        if not (tier := _TIER.fullmatch(tail)):
            return f"{tail!r} is no tier (t1 to t9)"
        return SlotToken(first, operator, slot[1], int(slot[2]), int(tier[1]))
    if dialects := _dialects_with(middle, tail):
        return LatticeToken(first, operator, middle, tail, min(dialects))
    return f"{middle!r} with {tail!r} is neither a slot with a tier nor a machine with a domain of one dialect"


def _parse_colon(text: str) -> Token | str:
    """A token of the two grammars with a colon, or why it is none."""
    spiral, _, rest = text.partition(":")
    if spiral not in SPIRALS:
        return f"{spiral!r} is no spiral ({' '.join(SPIRALS)})"
    if found := _CORE.fullmatch(rest):
        return CoreToken(spiral, found[1], ALIASES.get(found[2], found[2]), found[3], int(found[4]))
    if found := _ARCHIVE.fullmatch(rest):
        return ArchiveToken(spiral, found[1], ALIASES.get(found[2], found[2]), found[3], int(found[4]))
    if found := _ARCHIVE_SHORT.fullmatch(rest):
        operator = ALIASES.get(found[1], found[1])
        if operator not in OPERATORS:
            return f"{operator!r} is no operator ({' '.join(OPERATORS)})"
        return ArchiveToken(spiral, "", operator, found[3], int(found[2]))
    return f"{rest!r} is neither machine(operator)TRUTH@tier nor operator@tier/TRUTH"


@lru_cache(maxsize=4096)
def _dialects_with(machine: str, domain: str) -> frozenset[str]:
    return frozenset(name for name, (machines, domains) in DIALECTS.items() if machine in machines and domain in domains)


def matches(pattern: str, text: str) -> bool:
    """Whether a token's text has what the pattern asks for, part by part between bars; see token_pattern."""
    return token_pattern(pattern).fullmatch(text) is not None


@lru_cache(maxsize=4096)
def token_pattern(pattern: str) -> re.Pattern[str]:
    """The regular expression that a pattern over tokens stands for: fullmatch it with a token's text.

    `*` stands for any run of characters within one part. In the third part a family's name (`celestial`, `bio`) stands
    for every domain of it. Parts left out at the end may be anything: `Φ×`, `Φ×|Reactor`, `Φ×|*|celestial`.
    """
    parts = [part.strip() for part in pattern.split("|")] if isinstance(pattern, str) else []
    if not 1 <= len(parts) <= 3 or "" in parts:
        raise InvalidValue("pattern", f"{pattern!r} is not one to three parts between bars, such as 'Φ×|*|celestial'")
    expressions = [_expression(part) for part in parts]
    if len(parts) == 3:
        expressions[2] += r"(?:_[^|]*)?"
    rest = "" if len(parts) == 3 else r"(?:\|.*)?"
    return re.compile(r"\s*" + r"\s*\|\s*".join(expressions) + r"\s*" + rest)


def _expression(part: str) -> str:
    """A part as a regular expression, in which an operator and its alias are one."""
    both = {**{alias: f"[{re.escape(alias + to)}]" for alias, to in ALIASES.items()}, "*": "[^|]*"}
    both |= {to: both[alias] for alias, to in ALIASES.items()}
    return "".join(both.get(character, re.escape(character)) for character in part)
