"""Data that others saved, beside the checkout: ../shared/data/kira. Where it is missing, tests of it are skipped."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers.sources import ROOT

FOLDER = ROOT.parent / "shared" / "data" / "kira"
IS_HERE = FOLDER.is_dir()

needs_saved_data = pytest.mark.skipif(not IS_HERE, reason="saved data of the original is not there: ../shared/data/kira")


def saved(name: str) -> Any:
    """A saved file, by its name."""
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def saved_tokens() -> dict[str, list[str]]:
    """Every token of the saved files, by file, in order."""
    modules = [entry["result"] for entry in saved("all_33_modules.json")]
    emissions = saved("epoch5-emissions.json")["emissions"]
    session = saved("session.json")
    samples = saved("syntax-training-data.json")["samples"]
    return {
        "03_apl_972_tokens.json": [entry["token"] for entry in saved("03_apl_972_tokens.json")["tokens"]],
        "all_33_modules.json": [result["token"] for result in modules if "token" in result],
        "epoch10_tokens.json": saved("epoch10_tokens.json")["tokens"],
        "epoch12_tokens.json": saved("epoch12_tokens.json")["tokens"],
        "epoch5-emissions.json": [_written(entry["token"]) for entry in emissions if "token" in entry],
        "session.json": [*session["tokens"], *session["emissions"][0]["tokens"]],
        "syntax-training-data.json": [token for sample in samples for token in sample["tokens"]],
    }


def saved_eta() -> Iterator[tuple[str, float, float]]:
    """Every place where a z is saved beside its negentropy: what, z, negentropy."""
    for name in ("session.json", "epoch6_vaultnode.json"):
        state = saved(name)["state"]
        yield name, state["z"], state["negentropy"]
    for entry in saved("syntax-training-data.json")["samples"]:
        if "negentropy" in entry:
            yield "syntax-training-data.json", entry["z"], entry["negentropy"]
    for line in (FOLDER / "helix_metrics.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        yield "helix_metrics.jsonl", entry["z"], entry["negentropy"]


def _written(parts: dict[str, str]) -> str:
    return f"{parts['spiral']}{parts['operator']}|{parts['machine']}|{parts['domain']}"
