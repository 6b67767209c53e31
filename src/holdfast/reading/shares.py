"""Token distributions of two runs side by side: how far apart they are, and what moved most."""

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from math import fsum, log2
from typing import Any

import msgspec

from holdfast.reading.columns import token_batches
from holdfast.reading.loader import Source
from holdfast.tokens import parse

PARTS = ("spiral", "operator", "machine", "domain")
GROUPS = ("text", *PARTS, "phase")
_MOST_TEXTS = 500_000  # that are told apart
_MOVERS = 10
_FURTHER = "…"  # in place of the texts that are not told apart


class Mover(msgspec.Struct, frozen=True):
    """A value whose share of the tokens changed: how often it came on each side, and its share there. value: None for tokens
    that have none."""

    value: str | None
    count_a: int
    count_b: int
    share_a: float
    share_b: float

    @property
    def moved(self) -> float:
        """How much greater its share is in b."""
        return self.share_b - self.share_a


class Shares(msgspec.Struct, frozen=True):
    """Two distributions by the same criterion. divergence_bits: of Jensen and Shannon, 0 (the same) to 1 (nothing shared); None
    where a side has no tokens. movers: the largest first."""

    by: str
    values_a: int
    values_b: int
    divergence_bits: float | None
    movers: list[Mover]


class TokenCounts:
    """How often each text, part and phase came in a run.

    known: the texts that are told apart, shared by the runs that are compared. Where there are more than 500,000, further ones
    count as one, which makes a divergence smaller, never larger.
    """

    def __init__(self, source: Source, known: set[str]) -> None:
        self.total = 0
        self._texts: Counter[str] = Counter()
        self._phases: Counter[str | None] = Counter()
        self._of_parts: dict[str, Counter[str | None]] = {part: Counter() for part in PARTS}
        self._known = known
        with source.located():
            for batch in token_batches(source.reader, fields=("token", "phase"), spans=source.spans):
                self._add([*map(_text, batch.token)])
                self._phases.update(batch.phase)

    def by(self, group: str) -> Counter[str | None]:
        """The counts by one of GROUPS."""
        if group == "phase":
            return self._phases
        if group == "text":
            return Counter(dict(self._texts))
        return self._parts[group]

    @cached_property
    def _parts(self) -> dict[str, Counter[str | None]]:
        for text, count in self._texts.items():
            if text in self._known:
                self._add_parts(text, count)
        return self._of_parts

    def _add(self, texts: list[str]) -> None:
        self.total += len(texts)
        if len(self._known) < _MOST_TEXTS:
            self._known.update(texts)
            self._texts.update(texts)
            return
        kept = [text for text in texts if text in self._known]
        self._texts.update(kept)
        if len(kept) < len(texts):
            self._texts[_FURTHER] += len(texts) - len(kept)
            for text in texts:
                if text not in self._known:
                    self._add_parts(text, 1)

    def _add_parts(self, text: str, count: int) -> None:
        token = parse(text)
        for part, counts in self._of_parts.items():
            counts[getattr(token, part, None) or None] += count


def shares_of(a: Source, b: Source) -> list[Shares]:
    """The distributions of two runs by each of GROUPS; none where no side has tokens."""
    known: set[str] = set()
    counts_a = TokenCounts(a, known)
    counts_b = counts_a if b is a else TokenCounts(b, known)
    if not counts_a.total and not counts_b.total:
        return []
    return [_shares(group, counts_a.by(group), counts_b.by(group)) for group in GROUPS]


def divergence_bits(a: Mapping[Any, int], b: Mapping[Any, int]) -> float | None:
    """The Jensen-Shannon divergence of two distributions, given as counts, in bits; None where one has no counts.

    H((p + q) / 2) - (H(p) + H(q)) / 2 with logarithms of base 2: J. Lin, "Divergence measures based on the Shannon entropy",
    IEEE Transactions on Information Theory 37 (1991), 145-151, with equal weights.
    """
    total_a, total_b = sum(a.values()), sum(b.values())
    if not total_a or not total_b:
        return None
    pairs = [(a.get(value, 0) / total_a, b.get(value, 0) / total_b) for value in {*a, *b}]
    bits = fsum(share * log2(2 * share / (p + q)) / 2 for p, q in pairs for share in (p, q) if share)
    return min(1.0, max(0.0, bits))


def _shares(by: str, a: Counter[str | None], b: Counter[str | None]) -> Shares:
    total_a, total_b = sum(a.values()) or 1, sum(b.values()) or 1
    movers = [Mover(value, a[value], b[value], a[value] / total_a, b[value] / total_b) for value in {*a, *b}]
    moved = sorted((mover for mover in movers if mover.moved), key=lambda mover: (-abs(mover.moved), str(mover.value)))
    return Shares(by, len(a), len(b), divergence_bits(a, b), moved[:_MOVERS])


def _text(token: str | int | bytes) -> str:
    if isinstance(token, str):
        return token
    return token.decode(errors="replace") if isinstance(token, bytes) else str(token)
