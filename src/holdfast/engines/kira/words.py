"""The word lists, read once from words.json. All but the seeds and their links are ours: they are given nowhere."""

import json
from functools import cache
from pkgutil import get_data
from typing import Any


@cache
def word_lists() -> dict[str, Any]:
    """Everything in words.json, by its names. Shared: not to be changed."""
    data = get_data(__package__, "words.json")
    if data is None:
        raise FileNotFoundError("words.json is missing beside holdfast/engines/kira/words.py; install Holdfast again")
    lists: dict[str, Any] = json.loads(data)
    return lists
