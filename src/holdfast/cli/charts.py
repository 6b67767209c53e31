"""Numbers as pictures of one line: bars, and series of any length in bounded memory."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from math import isfinite

from holdfast.cli.output import Picture

_LEVELS = "▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉"
REGIMES = ((0.0, "blue"), ((5**0.5 - 1) / 2, "yellow"), (3**0.5 / 2, "green"))
"""Where each regime of z begins (UNTRUE, PARADOX, TRUE; the bounds are 1/φ and √3/2), and its colour."""
PHASE_STYLES = {"UNTRUE": "blue", "PARADOX": "yellow", "TRUE": "green"}


_REGIME_STYLES = dict(zip(("UNTRUE", "PARADOX", "TRUE"), (style for _, style in REGIMES), strict=True))
_PHASE_STYLES = ("cyan", "magenta", "red", "bright_blue", "bright_yellow", "bright_green")
_PHASE_SIGNS = "█▒▓░"  # so that neighbours differ without colours too


def bar(share: float, *, width: int = 30) -> str:
    """A bar of `share` (0 to 1) of the width; anything above 0 is seen."""
    eighths = max(round(share * width * 8), 1 if share > 0 else 0)
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def bar_of(share: float, style: str) -> Picture:
    """A bar as a cell."""
    return Picture(draw=lambda width: bar(share, width=width), width=30, style=style)


def sparkline(values: list[float]) -> str:
    """A sign for each value: the lowest for the lowest, the highest for the highest."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    span = high - low
    if not span:
        return _LEVELS[0] * len(values)
    return "".join(_LEVELS[min(int((value - low) / span * len(_LEVELS)), len(_LEVELS) - 1)] for value in values)


@dataclass
class Series:
    """A metric's values as they come. Keeps the mean of each of at most `2 × width` equal parts, and the extremes.

    NaN and infinities are counted and left out.
    """

    width: int = 32
    count: int = 0
    strange: int = 0
    first: float | None = None
    last: float | None = None
    low: float = float("inf")
    high: float = float("-inf")
    _means: list[float] = field(default_factory=list)
    _part: int = 1
    _sum: float = 0.0
    _held: int = 0

    def add(self, value: float) -> None:
        """Take in the next value."""
        self.count += 1
        self.first, self.last = value if self.first is None else self.first, value
        if not isfinite(value):
            self.strange += 1
            return
        self.low, self.high = min(self.low, value), max(self.high, value)
        self._sum, self._held = self._sum + value, self._held + 1
        if self._held == self._part:
            self._means.append(self._sum / self._held)
            self._sum, self._held = 0.0, 0
        if len(self._means) == 2 * self.width:
            self._means, self._part = _halved(self._means), 2 * self._part

    def picture(self, width: int | None = None) -> str:
        """The series as a sparkline of at most so many signs; `width` of its own where not said."""
        return sparkline(self.means(width))

    def means(self, width: int | None = None) -> list[float]:
        """The means of at most so many equal parts."""
        means = [*self._means, self._sum / self._held] if self._held else self._means
        while len(means) > (self.width if width is None else max(1, width)):
            means = _halved(means)
        return means


@dataclass
class Timeline:
    """Names as they come, such as phases: which came most in each of at most `2 × width` equal parts.

    Those that come first have their own place; where there are more than `most`, the others share one.
    """

    width: int = 64
    most: int = 24
    counts: Counter[str] = field(default_factory=Counter)  # in the order in which they first came
    _parts: list[Counter[str]] = field(default_factory=list)
    _part: int = 1

    def add(self, name: str) -> None:
        """Take in the next name."""
        name = name if name in self.counts or len(self.counts) < self.most else "…"
        self.counts[name] += 1
        if self._parts and self._parts[-1].total() < self._part:
            self._parts[-1][name] += 1
            return
        if len(self._parts) == 2 * self.width:
            self._parts, self._part = _paired(self._parts), 2 * self._part
        self._parts.append(Counter((name,)))

    def names(self, width: int | None = None) -> list[str]:
        """The names that came most, of at most so many equal parts."""
        parts = self._parts
        while len(parts) > (self.width if width is None else max(1, width)):
            parts = _paired(parts)
        return [part.most_common(1)[0][0] for part in parts]


def _paired(parts: list[Counter[str]]) -> list[Counter[str]]:
    return [sum(parts[at : at + 2], Counter()) for at in range(0, len(parts), 2)]


def runs(signs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Signs and their styles as parts for one line: what follows each other in one style is one part."""
    return [("".join(sign for sign, _ in run), style) for style, run in groupby(signs, key=lambda entry: entry[1])]


def phase_looks(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """A sign and a colour for each phase, in this order; those that are called as the regimes have their colours."""
    looks: dict[str, tuple[str, str]] = {}
    others = 0
    for index, name in enumerate(names):
        style = _REGIME_STYLES.get(name)
        if style is None:
            style, others = _PHASE_STYLES[others % len(_PHASE_STYLES)], others + 1
        looks[name] = _PHASE_SIGNS[index % len(_PHASE_SIGNS)], style
    return looks


def _halved(means: list[float]) -> list[float]:
    return [sum(means[at : at + 2]) / len(means[at : at + 2]) for at in range(0, len(means), 2)]


def regimes(z: float, *, width: int = 40) -> list[tuple[str, str]]:
    """z in [0, 1] as a bar in its three regimes, each in its colour: parts for one line. What is behind z is dotted."""
    parts, filled = [], round(min(1.0, max(0.0, z)) * width)
    edges = [0, *(round(edge * width) for edge, _ in REGIMES[1:]), width]
    for (_, style), begin, end in zip(REGIMES, edges, edges[1:], strict=False):
        reached = min(max(filled, begin), end)
        parts += [("█" * (reached - begin), style), ("·" * (end - reached), f"dim {style}")]
    return [part for part in parts if part[0]]


def regime_style(z: float) -> str:
    """The colour of the regime that z lies in."""
    return next(style for edge, style in reversed(REGIMES) if z >= edge)
