"""Documents of every kind with anything in place of any part: they are read, and what is odd ends nothing."""

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from holdfast import Workspace
from holdfast.importing.look import look, read
from holdfast.importing.reading import Reading
from holdfast.importing.walk import Found
from tests.helpers.quick import QuickFiles
from tests.helpers.sources import ROOT

FOLDER = ROOT / "tests" / "data" / "kira_folder"
DOCUMENTS = sorted(path for path in FOLDER.rglob("*.json*") if path.suffix != ".jsonl")
ANYTHING: list[Any] = [None, True, 0, -1, 1.5, float("nan"), float("inf"), 10**400, "", "text", "Δ1|2|3Ω", [], [1], ["a"], {}]
ANYTHING += [{"a": 1}, [None] * 15, [{"token": None}], "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", 1e300]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a document, as its container and the key or index."""
    keys = [*value] if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    found = [(value, key) for key in keys]
    for key in keys:
        found += places(value[key])
    return found


def changed(document: Any, rng: random.Random) -> Any:
    """The document with anything in one place or two."""
    held = copy.deepcopy([document])
    for _ in range(rng.randint(1, 2)):
        found = places(held)
        container, key = rng.choice(found[1:] or found)
        value = copy.deepcopy(rng.choice(ANYTHING))
        if isinstance(container, list) and rng.random() < 0.3:
            container.extend([container[key]] * 30 + [value])  # far from the beginning, where kinds are told
        else:
            container[key] = value
    return held[0]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_anything_in_any_place_ends_nothing(path: Path) -> None:
    document, name = json.loads(path.read_bytes()), str(path.relative_to(FOLDER))
    rng = random.Random(name)
    for _ in range(150):
        data = json.dumps(changed(document, rng)).encode()
        looked = look(Found(name, len(data), lambda data=data: iter([data])))  # type: ignore[misc]
        if looked.kind is not None:
            reading = Reading(name)
            list(read(looked, iter([data]), reading))
            reading.note_dialect()
            assert isinstance(reading.dialect, str)


def test_folders_of_such_documents_come_in_once(tmp_path: Path) -> None:
    rng = random.Random(7)
    for round_ in range(4):
        for path in DOCUMENTS:
            target = tmp_path / "k" / str(round_) / path.relative_to(FOLDER)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(changed(json.loads(path.read_bytes()), rng)))
    workspace = Workspace(tmp_path / "w")
    workspace._files = QuickFiles()
    first = workspace.import_files(tmp_path / "k")
    assert sum(first.added.values()) > 200
    assert sum(workspace.import_files(tmp_path / "k").added.values()) == 0
    for info in workspace.sessions():
        assert workspace.verify(info.name).problems == ()
