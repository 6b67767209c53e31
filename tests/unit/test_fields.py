"""Values as fields of records: taken as they are, made plain, or refused by their path."""

from base64 import b64decode
from collections import OrderedDict
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import codec
from holdfast.errors import InvalidValue
from holdfast.recording import fields


class Phase(Enum):
    """Phases as an engine may name them."""

    ORDER = "ORDER"
    BROKEN = "\ud800"
    NUMBER = 5


class Level(IntEnum):
    """Tiers as an engine may name them."""

    HIGH = 3


class Word(str):
    """A text of a type of its own."""


@given(st.text(st.characters(codec=None)))
def test_a_text_is_shown_in_unicode_and_kept_exactly(text: str) -> None:
    shown, raw = fields.text_value(text, "x")
    shown.encode()
    assert len(shown) == len(text)
    exact = shown if raw is None else b64decode(raw).decode("utf-8", "surrogatepass")
    assert exact == text
    assert (raw is None) == (shown == text)


@pytest.mark.parametrize("value", [b"x", 5, None, ["x"], Phase.ORDER])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue, match=r"^here: this is a text, and \w+ came"):
        fields.text_value(value, "here")


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("a", "a"),
        (Word("a"), "a"),
        (np.str_("a"), "a"),
        (5, 5),
        (np.int64(5), 5),
        (2**70, {"$t": "int", "v": hex(2**70)}),
        (b"a", {"$t": "bytes", "v": "YQ=="}),
    ],
)
def test_a_token_is_a_text_an_id_or_bytes(value: object, stored: object) -> None:
    shown, raw = fields.token_value(value, "token")
    assert (shown, type(shown), raw) == (stored, type(stored), None)


@pytest.mark.parametrize("value", [None, True, 1.5, ["a"], np.float64(1), np.bool_(True), object()])
def test_anything_else_is_no_token_alone_or_in_a_batch(value: object) -> None:
    with pytest.raises(InvalidValue, match="a token is a string, an int id or bytes, and this is"):
        fields.token_value(value, "token")
    with pytest.raises(InvalidValue, match=r"^tokens\[1\]: a token is a string, an int id or bytes"):
        fields.tokens_record(["a", value], {}, None)  # type: ignore[list-item]


@pytest.mark.parametrize("values", [["a", "b"], ("a", "b"), iter("ab"), np.array(["a", "b"]), {"a": 1, "b": 2}])
def test_a_batch_is_anything_with_an_entry_for_each_token(values: Any) -> None:
    assert fields.tokens_record(values, {}, None).tokens == ["a", "b"]


def test_columns_have_the_length_of_the_batch_and_are_copied() -> None:
    phases = ["A", "B"]
    record = fields.tokens_record(np.arange(2), {"z": np.array([0.0, 1.0]), "phase": phases, "extra": (None, {1})}, {"i": 1})
    phases.append("C")
    assert record.tokens == [0, 1]
    assert record.columns["z"] == [0.0, 1.0]
    assert record.columns["phase"] == ["A", "B"]
    assert codec.decode(record.columns["extra"]) == [None, {1}]
    with pytest.raises(InvalidValue, match=r"^tokens\.phase: it has 1 values for 2 tokens"):
        fields.tokens_record([1, 2], {"phase": ["A"]}, None)


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.5), np.int8(1), None, -0.0])
def test_a_coordinate_is_a_float_in_its_range(value: Any) -> None:
    found = fields.coordinate(value)
    assert found is None if value is None else (type(found) is float and found == value)


@pytest.mark.parametrize("value", [float("nan"), 1.1, -0.1, 2**2000, "0.5", True, np.float64("nan"), np.array([0.5]), 1j])
def test_another_coordinate_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue, match=r"^z: z is"):
        fields.coordinate(value)


@pytest.mark.parametrize(
    ("value", "stored"),
    [(None, None), ("a", "a"), (Word("a"), "a"), (Phase.ORDER, "ORDER"), (Phase.BROKEN, "\ufffd"), ("\udc80", "\ufffd")],
)
def test_a_name_is_a_text_or_the_text_of_an_enumeration(value: object, stored: str | None) -> None:
    found = fields.name(value, "phase")
    assert found == stored
    assert type(found) in (str, type(None))


@pytest.mark.parametrize("value", [5, b"a", Phase.NUMBER, object()])
def test_another_name_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue, match=r"^phase: this is a text"):
        fields.name(value, "phase")


@pytest.mark.parametrize("value", [0, -(2**63), 2**63 - 1, np.int16(5), Level.HIGH, None])
def test_a_whole_number_fits_64_bits(value: Any) -> None:
    found = fields.whole(value, "tier")
    assert found == value
    assert type(found) in (int, type(None))


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 1.0, True, "1", np.float64(1)])
def test_another_whole_number_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue, match=r"^tier: this is a whole number of at most 64 bits"):
        fields.whole(value, "tier")


@pytest.mark.parametrize("value", [0, 1.5, -1e300, np.float32(0.5), None])
def test_a_number_is_a_finite_float(value: Any) -> None:
    assert fields.number(value, "quality") == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, "1", True, 1j])
def test_another_number_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue, match=r"^quality: this is a finite number"):
        fields.number(value, "quality")


@pytest.mark.parametrize("make", [dict, MappingProxyType, OrderedDict])
def test_any_mapping_is_stored_and_with_a_snapshot_shares_nothing(make: Any) -> None:
    inner = [1, 2]
    stored = fields.stored(make({"a": inner}), "meta", snapshot=True)
    inner.append(3)
    assert dict(codec.decode(stored)) == {"a": [1, 2]}  # type: ignore[call-overload]
    assert fields.stored(None, "meta", snapshot=True) is None


@pytest.mark.parametrize(("value", "plain"), [(np.float64(1.5), 1.5), (np.array(3), 3), ("a", "a"), (np.bool_(True), True)])
def test_a_scalar_is_the_number_it_stands_for(value: object, plain: object) -> None:
    found = fields.plain_number(value)
    assert (found, type(found)) == (plain, type(plain))


def test_what_has_a_shape_is_no_scalar() -> None:
    array = np.zeros(3)
    assert fields.plain_number(array) is array
