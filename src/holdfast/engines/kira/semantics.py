"""What the engine learned about words: a network of links that grow with each exchange (Hebb's rule)."""

from collections.abc import Iterable, Mapping
from struct import Struct
from typing import Any

from holdfast.engines.kira.constants import LEARNING_RATE
from holdfast.engines.kira.fields import Fields, WrongArgument, unit_number
from holdfast.engines.kira.history import History
from holdfast.engines.kira.tiers import phase_at
from holdfast.engines.kira.words import word_lists

FORWARD, BACK = 0.5, 0.4
"""Strengths of a seeded link, from head to neighbour and back."""
NEW_BELOW = 0.1
"""A link weaker than this counts as new when it is strengthened, and as no relation when it is looked up."""
PAIR_SHARE = 0.3
"""How much of the rate goes to pairs of words that were said together."""
LONGEST_WORD = 64

_LINK = Struct("<HHd")  # the places of two words, and a strength
EVENTS_KEPT = 20
LINKS_KEPT = 1_000
"""Our choice: beyond so many the weakest links are dropped, so that the state stays small however much is learned."""


def learning_rate(z: float, kappa: float) -> float:
    """How fast links grow: with z, and with coherence."""
    return LEARNING_RATE * (1 + z) * (1 + 0.5 * kappa)


def content_words(text: str) -> list[str]:
    """The words of a text that mean something: lower case, no punctuation, no stop words, 3 to 64 letters.

    The length is looked at after stripping: "..." is no word (in the original it became the word "").
    """
    stripped = (word.strip(".,!?") for word in text.lower().split())
    stop = word_lists()["stop_words"]
    return [word for word in stripped if 2 < len(word) <= LONGEST_WORD and word not in stop]


class Network:
    """Links from word to word with strengths in (0, 1]. A link and its way back are two."""

    def __init__(self, *, decay: float = 0.0) -> None:
        self.decay = unit_number(decay, "network.decay")
        self.links: dict[str, dict[str, float]] = {}
        self.seen: dict[str, int] = {}
        """Word → number of the exchange that it was last in."""
        self.exchanges: History[dict[str, Any]] = History(limit=EVENTS_KEPT)
        for head, neighbours in word_lists()["seeds"].items():
            for neighbour in neighbours:
                self._raise(head, neighbour, FORWARD)
                self._raise(neighbour, head, BACK)

    def strength(self, word: str, other: str) -> float:
        return self.links.get(word, {}).get(other, 0.0)

    @property
    def word_count(self) -> int:
        return len(self.links)

    @property
    def link_count(self) -> int:
        return sum(len(links) for links in self.links.values())

    def related(self, word: str, limit: int = 5) -> list[tuple[str, float]]:
        """The strongest neighbours of a word, strongest first; equal ones in the order in which they were learned."""
        links = [(other, strength) for other, strength in self.links.get(word.lower(), {}).items() if strength > NEW_BELOW]
        return sorted(links, key=lambda link: -link[1])[:limit]

    def expanded(self, words: Iterable[str], each: int = 2) -> list[str]:
        """The words, then for each up to `each` strongest neighbours that are not there yet."""
        result = list(dict.fromkeys(words))
        for word in list(result):
            unseen = [other for other, _ in self.related(word) if other not in result]
            result += unseen[:each]
        return result

    def learn(
        self, said: Iterable[str], answered: Iterable[str] = (), topics: Iterable[str] = (), *, z: float, kappa: float
    ) -> dict[str, Any]:
        """Strengthen the links of an exchange: each word said with each answered, and those said with one another.

        Returns what happened. connections_made counts the pairs of said and answered whose link was weaker than 0.1,
        strengthened the other such pairs.
        """
        rate = learning_rate(z, kappa)
        heard, reply = _checked(said, "said"), _checked(answered, "answered")
        stamped = [*heard, *reply, *_checked(topics, "topics")]
        counts = {True: 0, False: 0}
        if self.decay:
            self._fade()
        for word in heard:
            for other in reply:
                if word != other:
                    gain = rate * (1 - self.strength(word, other))
                    counts[self._add(word, other, gain)] += 1
                    self._add(other, word, gain / 2)
        for index, word in enumerate(heard):
            for other in heard[index + 1 :]:
                self._add(word, other, PAIR_SHARE * rate)
                self._add(other, word, PAIR_SHARE * rate)
        number = len(self.exchanges) + 1
        self._drop_weakest()
        self.seen |= {word: number for word in stamped if word in self.links}
        event = {
            "exchange": number,
            "z": z,
            "phase": phase_at(z).value,
            "learning_rate": rate,
            "connections_made": counts[True],
            "strengthened": counts[False],
        }
        self.exchanges.append(event)
        return dict(event)

    def _add(self, word: str, other: str, gain: float) -> bool:
        """Strengthen one link; whether it was new."""
        before = self.strength(word, other)
        self.links.setdefault(word, {})[other] = min(1.0, before + gain)
        return before < NEW_BELOW

    def _raise(self, word: str, other: str, strength: float) -> None:
        if self.strength(word, other) < strength:
            self.links.setdefault(word, {})[other] = strength

    def _fade(self) -> None:
        """Weaken every link by the decay; one below 0.05 goes."""
        for word, links in list(self.links.items()):
            self._set(word, {other: kept for other, value in links.items() if (kept := value - self.decay) >= 0.05})

    def _drop_weakest(self) -> None:
        excess = self.link_count - LINKS_KEPT
        if excess > 0:
            ranked = sorted(
                ((word, other) for word, links in self.links.items() for other in links),
                key=lambda pair: self.links[pair[0]][pair[1]],
            )
            for word, other in ranked[:excess]:
                del self.links[word][other]
                self._set(word, self.links[word])

    def _set(self, word: str, links: dict[str, float]) -> None:
        if links:
            self.links[word] = links
        else:
            del self.links[word]
            self.seen.pop(word, None)

    def statistics(self) -> dict[str, Any]:
        recent = self.exchanges[-1:]
        return {
            "total_words": self.word_count,
            "total_connections": self.link_count,
            "learning_events": len(self.exchanges),
            "recent_lr": recent[0]["learning_rate"] if recent else None,
            "recent_connections": recent[0]["connections_made"] if recent else 0,
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything, in order. A link is 12 bytes: the places of its two words, and its strength."""
        others = (other for links in self.links.values() for other in links)
        places = {word: place for place, word in enumerate(dict.fromkeys((*self.links, *others)))}
        packed = (
            _LINK.pack(places[word], places[other], strength)
            for word, links in self.links.items()
            for other, strength in links.items()
        )
        return {
            "decay": self.decay,
            "words": list(places),
            "seen": [self.seen.get(word, 0) for word in places],
            "links": b"".join(packed),
            "exchanges": self.exchanges.state_dict(),
        }

    def load_state_dict(self, values: Mapping[str, Any]) -> None:
        """Take a state_dict. At a wrong value: InvalidValue that names it, and nothing is changed."""
        fields = Fields(values, "network")
        decay, words = fields.number("decay", 0, 1), fields.texts("words")
        seen = {word: number for word, number in zip(words, fields.counts("seen", len(words)), strict=True) if number}
        data, links = fields.data("links"), dict[str, dict[str, float]]()
        if len(data) % _LINK.size:
            raise fields.wrong("links", f"{len(data)} bytes are no whole number of links")
        for place, other, strength in _LINK.iter_unpack(data):
            if max(place, other) >= len(words) or not 0 < strength <= 1:
                raise fields.wrong("links", f"({place}, {other}, {strength}) is no link between {len(words)} words")
            links.setdefault(words[place], {})[words[other]] = strength
        exchanges = History.from_state(fields.fields("exchanges"), _an_exchange, limit=EVENTS_KEPT)
        self.decay, self.links, self.seen, self.exchanges = decay, links, seen, exchanges


def _an_exchange(value: object, path: str) -> dict[str, Any]:
    """For History.from_state: what learn returned."""
    fields = Fields(value, path)
    counts = {name: fields.count(name) for name in ("exchange", "connections_made", "strengthened")}
    return {
        "exchange": counts["exchange"],
        "z": fields.number("z", 0, 1),
        "phase": fields.text("phase"),
        "learning_rate": fields.number("learning_rate", 0),
        "connections_made": counts["connections_made"],
        "strengthened": counts["strengthened"],
    }


def _checked(words: Iterable[str], name: str) -> list[str]:
    """Each word once, in order. Never the empty one, which the original learned from '...'."""
    listed = list(dict.fromkeys(words))
    for index, word in enumerate(listed):
        if not isinstance(word, str) or not word.strip() or len(word) > LONGEST_WORD:
            raise WrongArgument(
                f"{name}[{index}]", f"a word of 1 to {LONGEST_WORD} letters belongs here, and {word!r:.80} came"
            )
    return listed
