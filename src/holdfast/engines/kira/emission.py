"""From concepts to a sentence in nine stages, without chance: the same words at the same z give the same sentence."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from holdfast.engines.kira.constants import PHI_INV
from holdfast.engines.kira.fields import WrongArgument
from holdfast.engines.kira.grammar import is_verb
from holdfast.engines.kira.state import negentropy_at
from holdfast.engines.kira.tiers import Phase, phase_at

STAGES = (
    ("Encoder", "+", "content"),
    ("Catalyst", "×", "emergence"),
    ("Conductor", "()", "frame"),
    ("Filter", "()", "slots"),
    ("Decoder", "−", "determiners"),
    ("Oscillator", "^", "inflection"),
    ("Reactor", "×", "connection"),
    ("Regenerator", "÷", "punctuation"),
    ("Dynamo", "+", "validation"),
)
"""Machine, operator and purpose of stages 1 to 9."""

BYPASS_BELOW = 0.1
"""Below this eta stages 3 and 4 are skipped: the words stay in a row."""
CREATIVE_ABOVE = 0.8
VALID_FROM, VALID_FROM_IN_TRUE = 0.5, 0.7

# Opening word and closing mark.
INTENTS = {
    "declarative": ("", "."),
    "question": ("does", "?"),
    "command": ("", "!"),
    "conditional": ("if", "."),
    "relative": ("", "."),
}
_CERTAINTY = {Phase.TRUE: "high", Phase.PARADOX: "medium", Phase.UNTRUE: "low"}


@dataclass(frozen=True, kw_only=True)
class Wording:
    """How a sentence is to be said."""

    intent: str = "declarative"
    person: int = 3
    is_plural: bool = False
    tense: str = "present"
    connects: bool = False
    """Open with "and", as a sentence that goes on from another."""
    force_emergence: bool = False

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("intent", self.intent, tuple(INTENTS)),
            ("person", self.person, (1, 2, 3)),
            ("tense", self.tense, ("present", "past")),
        ):
            if value not in choices:
                raise WrongArgument(name, f"{value!r} is none of {', '.join(map(str, choices))}")


@dataclass(frozen=True)
class Word:
    """A word and its place in the sentence; no place ("") after a bypass."""

    text: str
    slot: str = ""


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """What the nine stages made of the words."""

    text: str
    path: str
    """creative, novel, standard, or bypass."""
    certainty: str
    coherence: float
    slots: tuple[Word, ...]
    texts: dict[str, str]
    """The words after each of stages 5 to 8."""
    completed: tuple[int, ...]
    errors: tuple[str, ...] = field(default=())

    @property
    def is_valid(self) -> bool:
        return not self.errors


def say(words: Sequence[Word | str], z: float, wording: Wording = Wording()) -> Sentence:
    """Run words through the nine stages. Words without a place get one at stage 4."""
    phase, eta = phase_at(z), negentropy_at(z)
    row = [word if isinstance(word, Word) else Word(word) for word in words]
    row = [Word(word.text.lower().strip(), word.slot) for word in row if word.text.strip()]
    path = _path(eta, wording)
    if path == "bypass":
        row = [Word(word.text) for word in row]
    else:
        row = _ordered(_with_slots(row), wording)
    skipped = (3, 4) if path == "bypass" else ()
    completed = tuple(stage for stage in range(1, len(STAGES) + 1) if stage not in skipped)
    slots = tuple(row)
    texts = {}
    certainty = _CERTAINTY[phase]
    row = _with_determiners(row, wording, "the" if certainty == "high" else "a")
    texts["5_assembly"] = _text(row)
    row = _inflected(row, wording)
    texts["6_inflection"] = _text(row)
    row = _connected(row, wording, path)
    texts["7_connection"] = _text(row)
    text = _punctuated(_text(row), wording)
    texts["8_punctuation"] = text
    coherence = 0.6 * eta + 0.4 * (len(completed) - 1) / len(STAGES)
    errors = _errors(text, coherence, phase)
    return Sentence(
        text=text,
        path=path,
        certainty=certainty,
        coherence=coherence,
        slots=slots,
        texts=texts,
        completed=completed,
        errors=errors,
    )


def _path(eta: float, wording: Wording) -> str:
    if eta > PHI_INV or wording.force_emergence:
        return "creative" if eta > CREATIVE_ABOVE else "novel"
    return "bypass" if eta < BYPASS_BELOW else "standard"


def _with_slots(row: list[Word]) -> list[Word]:
    """The first word is the subject, verbs are verbs, the next is the object, the rest modifies."""
    if any(word.slot for word in row):
        return row
    placed, has_object = [], False
    for index, word in enumerate(row):
        if index == 0:
            slot = "SUBJECT"
        elif is_verb(word.text):
            slot = "VERB"
        elif not has_object:
            slot, has_object = "OBJECT", True
        else:
            slot = "MODIFIER"
        placed.append(Word(word.text, slot))
    return placed


def _ordered(row: list[Word], wording: Wording) -> list[Word]:
    """A command puts its verb first; the other intents leave the order as it is."""
    if wording.intent != "command":
        return row
    return [word for word in row if word.slot == "VERB"] + [word for word in row if word.slot != "VERB"]


def _with_determiners(row: list[Word], wording: Wording, article: str) -> list[Word]:
    """An article before subject and object, and before adjectives that stand in front of them; none before plurals."""
    result: list[Word] = []
    for word in row:
        result.append(word)
        if word.slot not in ("SUBJECT", "OBJECT") or (wording.is_plural and article == "a"):
            continue
        place = len(result) - 1
        while place and result[place - 1].slot == "ADJECTIVE":
            place -= 1
        needs_n = article == "a" and result[place].text[0] in "aeiou"
        result.insert(place, Word("an" if needs_n else article, "DETERMINER"))
    return result


def _inflected(row: list[Word], wording: Wording) -> list[Word]:
    """Verbs in the third person singular and in the past; bare after "does" and in a command."""
    if wording.intent in ("question", "command"):
        return row
    return [Word(_inflected_verb(word.text, wording), word.slot) if word.slot == "VERB" else word for word in row]


def _inflected_verb(verb: str, wording: Wording) -> str:
    ends_in_y = verb.endswith("y") and verb[-2:-1] not in tuple("aeiou")
    if wording.tense == "past":
        if verb.endswith("e"):
            return verb + "d"
        return verb[:-1] + "ied" if ends_in_y else verb + "ed"
    if wording.person != 3 or wording.is_plural:
        return verb
    if ends_in_y:
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("s", "x", "z", "ch", "sh", "o")) else "s")


def _connected(row: list[Word], wording: Wording, path: str) -> list[Word]:
    opening = INTENTS[wording.intent][0]
    if wording.intent == "question" and (wording.tense == "past" or wording.is_plural or wording.person != 3):
        opening = "did" if wording.tense == "past" else "do"
    front = (["and"] if wording.connects else []) + ([opening] if opening else [])
    if wording.intent == "relative" and path != "bypass":
        verb = next((index for index, word in enumerate(row) if word.slot == "VERB"), len(row))
        row = [*row[:verb], Word("that"), *row[verb:]] if verb < len(row) else row
    return [*(Word(word) for word in front), *row]


def _punctuated(text: str, wording: Wording) -> str:
    return text[:1].upper() + text[1:] + INTENTS[wording.intent][1] if text else ""


def _errors(text: str, coherence: float, phase: Phase) -> tuple[str, ...]:
    errors = []
    if not text:
        errors.append("empty")
    elif len(text.split()) < 2:
        errors.append("fewer than two words")
    if coherence < VALID_FROM:
        errors.append(f"coherence {coherence:.3f} is below {VALID_FROM}")
    elif phase is Phase.TRUE and coherence < VALID_FROM_IN_TRUE:
        errors.append(f"coherence {coherence:.3f} is below {VALID_FROM_IN_TRUE}, which TRUE asks for")
    return tuple(errors)


def _text(row: Sequence[Word]) -> str:
    return " ".join(word.text for word in row)
