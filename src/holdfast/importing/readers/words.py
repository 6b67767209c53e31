"""Words: accumulated vocabularies, and learned relations between them."""

from collections.abc import Iterator
from typing import Any

from holdfast.importing import findings as kinds
from holdfast.importing.items import Event, Item
from holdfast.importing.kinds import Kind, has
from holdfast.importing.reading import Reading, texts_of

_LISTS = ("vocabulary", "vocab", "verbs", "patterns")


def read_vocabulary(document: dict[str, Any], reading: Reading) -> Iterator[Item]:
    """The words of an epoch, whole, as one event; `vocab` is an older name of `vocabulary`."""
    counts = document.get("counts")
    for name in _LISTS:
        words = document.get(name)
        if not isinstance(words, list):
            continue
        empty = sum(1 for word in words if word == "")
        if empty:
            reading.note(kinds.EMPTY_WORD, name, "the empty text is among the words", empty)
        if isinstance(counts, dict):
            reading.count(counts, "vocabulary" if name == "vocab" and "vocabulary" in counts else name, len(words), name)
    data = {("vocabulary" if name == "vocab" else name): value for name, value in document.items()}
    yield Event("vocabulary", data, reading.time(document))


def read_relations(document: dict[str, Any], reading: Reading) -> Iterator[Item]:
    """A net of words: the whole of it as one event, and one for each thing that was learned."""
    relations = document["relations"]
    for word, others in relations.items():
        if word == "":
            reading.note(kinds.EMPTY_WORD, "relations", "the empty text is among the words")
        if isinstance(others, dict) and "" in others:
            reading.note(kinds.EMPTY_WORD, f"relations.{word}", f"{word!r} is linked to the empty text ({others['']!r:.6})")
    rest = {name: value for name, value in document.items() if name != "learning_events"}
    yield Event("relations", rest, reading.time(document))
    for index, entry in reading.objects(document.get("learning_events"), "learning_events"):
        where = f"learning_events[{index}]"
        yield Event("learned", entry, reading.time(entry, reading.time(document), where=where), where)


KINDS = (
    Kind("relations", lambda document, path: has(document, relations=dict), read_relations),
    Kind(
        "vocabulary",
        lambda document, path: (
            isinstance(document, dict)
            and any(isinstance(document.get(name), list) for name in ("vocabulary", "vocab"))
            and bool(texts_of(document.get("vocabulary", document.get("vocab"))) or "verbs" in document)
        ),
        read_vocabulary,
    ),
)
