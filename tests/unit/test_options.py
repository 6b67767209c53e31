"""Options of a session: checked by name, texts made storable."""

from typing import Any

import pytest

from holdfast.errors import InvalidSetting
from holdfast.sessions import options


def test_right_ones_come_back_as_they_are() -> None:
    assert options.mapping("config", None) == {}
    assert options.mapping("config", {"a": 1}) == {"a": 1}
    assert options.texts("tags", ("a", "b")) == ["a", "b"]
    assert options.text("notes", None) is None
    assert options.whole("epoch", -5) == -5
    assert options.seconds("max_seconds", 0.5) == 0.5


def test_texts_are_made_storable() -> None:
    assert options.texts("tags", ["a\ud800"]) == ["a\ufffd"]
    assert options.text("notes", "\udfff") == "\ufffd"


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (options.mapping, [1]),
        (options.texts, "abc"),
        (options.texts, b"abc"),
        (options.texts, 5),
        (options.texts, {"a": 1}),
        (options.text, 5),
        (options.whole, 1.5),
        (options.whole, 2**63),
        (options.seconds, 0),
        (options.seconds, float("nan")),
        (options.seconds, "5"),
    ],
)
def test_a_wrong_one_is_named_with_its_value(check: Any, value: object) -> None:
    with pytest.raises(InvalidSetting) as refused:
        check("name", value)
    assert str(refused.value).startswith(f"name={value!r} must be ")
    assert str(refused.value).endswith(". Nothing was created")
