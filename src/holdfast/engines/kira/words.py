"""The word lists, read once from words.json. They are ours: the original's are not given anywhere."""

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def word_lists() -> dict[str, Any]:
    """Everything in words.json, by its names. Shared: not to be changed."""
    loaded: dict[str, Any] = json.loads(files(__package__).joinpath("words.json").read_text(encoding="utf-8"))
    return loaded
