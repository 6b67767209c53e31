"""Files of tokens: epochs, lattices, spinner runs, samples of syntax."""

from collections.abc import Iterator
from typing import Any

from holdfast.importing import findings as kinds
from holdfast.importing.checks import check_negentropy
from holdfast.importing.items import Item
from holdfast.importing.kinds import Kind, has, list_of_objects
from holdfast.importing.reading import Reading, listed


def _is_token_list(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(entry, str) or (isinstance(entry, dict) and "token" in entry) for entry in value
    )


def read_tokens(document: dict[str, Any], reading: Reading) -> Iterator[Item]:
    """A list under `tokens`: of texts or of objects; an epoch's, the auto-saver's, or a lattice."""
    entries = document["tokens"]
    for name in ("count", "total", "total_tokens"):
        reading.count(document, name, len(entries), "tokens")
    _note_ids(entries, "tokens", reading)
    yield from reading.tokens(entries, "tokens", ts=reading.time(document))


def read_lattice(document: dict[str, Any], reading: Reading) -> Iterator[Item]:
    """The whole lattice, and copies of it by spiral, operator, machine and domain, which are counted once."""
    entries = listed(document.get("all_tokens"))
    seen = {_text(entry) for entry in entries}
    for name in ("total", "total_tokens"):
        facts = document.get("metadata")
        reading.count(facts if isinstance(facts, dict) else document, name, len(entries), "tokens")
    _note_ids(entries, "all_tokens", reading)
    yield from reading.tokens(entries, "all_tokens", ts=reading.time(document))
    for name, groups in document.items():
        if not name.startswith("tokens_by_") or not isinstance(groups, dict):
            continue
        copied = 0
        for key, group in groups.items():
            members = listed(group.get("tokens") if isinstance(group, dict) else group)
            new = [entry for entry in members if _is_token_list([entry]) and _text(entry) not in seen]
            copied += len(members) - len(new)
            seen.update(map(_text, new))
            yield from reading.tokens(new, f"{name}.{key}", ts=reading.time(document))
        if copied:
            reading.note(kinds.COPY, name, f"{copied:,} tokens are copies of others in the file: counted once", copied)


def read_spinner_run(document: dict[str, Any], reading: Reading) -> Iterator[Item]:
    """Step by step what a spinner emitted, with the state at that step."""
    entries = document["emissions"]
    for name in ("total_emissions", "count", "steps", "total_steps"):
        reading.count(document, name, len(entries), "steps")
    objects = [*reading.objects(entries, "emissions", "token")]
    for index, entry in objects:
        check_negentropy(entry, reading, f"emissions[{index}]")
    yield from reading.tokens([entry for _, entry in objects], "emissions", ts=reading.time(document))


def read_samples(document: dict[str, Any], reading: Reading) -> Iterator[Item]:
    """Samples of syntax, each with the tokens it is made of."""
    samples = document["samples"]
    reading.count(document, "total_samples", len(samples), "samples")
    ts = reading.time(document)
    for index, sample in reading.objects(samples, "samples", "tokens"):
        where = f"samples[{index}]"
        facts = {name: value for name, value in sample.items() if name not in ("tokens", "z", "phase", "tier")}
        slots = sample.get("slots")
        entries = [
            {
                "token": token,
                "z": sample.get("z"),
                "phase": sample.get("phase"),
                "tier": sample.get("tier"),
                "slot": slots[place] if isinstance(slots, list) and place < len(slots) else None,
            }
            for place, token in enumerate(listed(sample["tokens"]))
        ]
        if isinstance(slots, list) and len(slots) != len(entries):
            reading.note(kinds.COUNT, f"{where}.slots", f"{len(slots):,} slots, and {len(entries):,} tokens")
        yield from reading.tokens(
            entries, f"{where}.tokens", ts=reading.time(sample, ts, where=where), shared={"sample": facts}
        )


def _note_ids(entries: list[Any], where: str, reading: Reading) -> None:
    """Saved ids count from 1; ours of the lattice from 0."""
    ids = [entry.get("id") for entry in entries if isinstance(entry, dict)]
    numbers = [found for found in ids if isinstance(found, int)]
    if len(numbers) != len(entries) or not numbers:
        return
    if numbers == list(range(1, len(numbers) + 1)):
        what = f"ids 1 to {len(numbers):,}: they count from 1, and those of a lattice here from 0; kept in meta as they are"
        reading.note(kinds.IDS, f"{where}[].id", what, len(numbers))
    elif numbers != list(range(len(numbers))):
        reading.note(kinds.IDS, f"{where}[].id", "the ids are not in order; kept in meta as they are")


def _text(entry: Any) -> str:
    return str(entry.get("token")) if isinstance(entry, dict) else str(entry)


def _by_part(document: Any, path: str) -> bool:
    return isinstance(document, dict) and ("all_tokens" in document or any(name.startswith("tokens_by_") for name in document))


KINDS = (
    Kind(
        "syntax samples",
        lambda document, path: has(document, samples=list) and list_of_objects(document["samples"], "tokens"),
        read_samples,
    ),
    Kind("lattice", _by_part, read_lattice),
    Kind(
        "spinner run",
        lambda document, path: has(document, emissions=list) and list_of_objects(document["emissions"], "step", "token"),
        read_spinner_run,
    ),
    Kind("tokens", lambda document, path: has(document, tokens=list) and _is_token_list(document["tokens"]), read_tokens),
)
