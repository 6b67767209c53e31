"""Files of emissions."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.importing import findings as kinds
from holdfast.importing.items import Emission, Item
from holdfast.importing.kinds import Kind, has, list_of_objects
from holdfast.importing.reading import Reading, number, own_fields, texts_of

_KNOWN = ("text", "z", "phase", "tokens", "quality")
_STATISTICS = {"by_phase": "phase", "by_type": "type", "by_tier": "tier"}


def read_emissions(document: dict[str, Any], reading: Reading) -> Iterator[Item]:
    """An epoch's emissions, of any shape with a text in each."""
    entries = document["emissions"]
    for name in ("count", "total_emissions", "total"):
        reading.count(document, name, len(entries), "emissions")
    statistics = document.get("statistics")
    if isinstance(statistics, dict):
        _check_statistics(statistics, entries, reading)
    ts = reading.time(document)
    for index, entry in reading.objects(entries, "emissions"):
        yield emission_of(entry, f"emissions[{index}]", reading, ts)


def emission_of(entry: Mapping[str, Any], where: str, reading: Reading, ts: int | None) -> Emission:
    """One emission; what ours have no field for is in its meta."""
    own, rest = own_fields(entry, ("text", "tokens", "quality"), where, reading)
    rest |= {name: own.pop(name) for name in ("tier", "source") if name in own}
    tokens = [reading.text(token, f"{where}.tokens[{index}]") for index, token in enumerate(texts_of(entry.get("tokens")))]
    if "words" in entry and (empty := texts_of(entry["words"]).count("")):
        reading.note(kinds.EMPTY_WORD, f"{where}.words", "an empty word", empty)
    text = entry.get("text")
    if not isinstance(text, str):
        reading.note(kinds.FIELD, f"{where}.text", f"{text!r} is no text: taken as one")
    return Emission(
        text=text if isinstance(text, str) else str(text),
        tokens=tokens,
        z=own.get("z"),
        phase=own.get("phase"),
        quality=number(entry.get("quality")),
        meta=rest or None,
        ts=reading.time(entry, ts, where=where),
        where=where,
    )


def _check_statistics(statistics: Mapping[str, Any], entries: list[Any], reading: Reading) -> None:
    for name, field in _STATISTICS.items():
        told = statistics.get(name)
        if not isinstance(told, dict):
            continue
        counted = Counter(str(entry.get(field)) for entry in entries if isinstance(entry, dict))
        for value in sorted({*map(str, told), *counted}):
            if told.get(value, 0) != counted.get(value, 0):
                what = f"it says {told.get(value, 0)}, and {counted.get(value, 0)} of the list have that {field}"
                reading.note(kinds.COUNT, f"statistics.{name}.{value}", what)


KINDS = (
    Kind(
        "emissions",
        lambda document, path: (
            has(document, emissions=list) and (document["emissions"] == [] or list_of_objects(document["emissions"], "text"))
        ),
        read_emissions,
    ),
)
