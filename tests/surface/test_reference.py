"""The reference page shows what can be called, and how."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

import holdfast
from holdfast.recording.shortway import TokenFunction
from tests.helpers.sources import ROOT

PAGE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
OF_OTHER_PARTS = {
    "date_with",
    "reader",
    "file_operations",
    "produced",
    "is_at_top",
    "flush_accepted",
    "diverged",
    "move_to",
    "end",
    "let_go_of_signals",
}
"""Methods of Run that opening and the recorder call."""


def section(name: str) -> str:
    return PAGE.split(f"\n## `{name}`\n")[1].split("\n## ")[0]


def shown(name: str, function: Callable[..., Any]) -> str:
    """A signature as the page writes it: names and defaults."""
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty, default="…" if callable(parameter.default) else parameter.default)
        if parameter.default is not inspect.Parameter.empty
        else parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name != "self"
    ]
    signature = inspect.Signature(parameters)
    return f"{name}{signature}".replace("'…'", "…")


@pytest.mark.parametrize("kind", [holdfast.Run, holdfast.Workspace])
def test_every_public_method_stands_in_the_reference_with_its_signature(kind: type) -> None:
    public = {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_")}
    methods = {name: value for name, value in public.items() if callable(value) and name not in OF_OTHER_PARTS}
    if kind is holdfast.Run:
        methods["token"] = TokenFunction.__call__
    written = re.findall(r"^\| `(\w+\(.*?\))` \|", section(kind.__name__), re.MULTILINE)
    assert sorted(written) == sorted(shown(name, method) for name, method in methods.items())


def test_every_property_of_a_run_stands_in_the_reference() -> None:
    properties = {name for name in dir(holdfast.Run) if isinstance(getattr(holdfast.Run, name), property)}
    of_instances = {"attempt", "finished", "notices", "replay_total"}
    table = section("Run").split("| to ask | |")[1]
    cells = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == properties | of_instances


def test_every_option_of_a_session_stands_in_the_reference_with_its_default() -> None:
    options = {name: value.default for name, value in inspect.signature(holdfast.start).parameters.items() if name != "name"}
    rows = re.findall(r"^\| `(\w+)` \| `(.*?)` \|", section("session"), re.MULTILINE)
    assert rows == [(name, repr(default).replace("'", '"')) for name, default in options.items()]


@pytest.mark.parametrize("kind", [holdfast.Health, holdfast.Latency, holdfast.Watermarks])
def test_every_field_stands_in_the_reference(kind: Any) -> None:
    assert [name for name in kind.__struct_fields__ if f"`{name}`" not in section(kind.__name__)] == []


def test_errors_stand_in_the_reference_with_what_they_are() -> None:
    for name in holdfast.__all__:
        value = getattr(holdfast, name)
        if isinstance(value, type) and issubclass(value, BaseException) and value is not holdfast.HoldfastError:
            text = PAGE.split(f"\n### `{name}`\n")[1].split("\n### ")[0]
            base = value.__mro__[1].__name__
            assert base == "HoldfastError" or f"`{base}`" in text, name
