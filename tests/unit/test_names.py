"""Names of sessions: allowed ones keep their form, new ones are nobody else's."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InvalidSetting
from holdfast.sessions.names import MAX_NAME_BYTES, checked_name, new_name, numbered_name


def test_a_new_name_is_allowed_and_never_the_same() -> None:
    names = {new_name() for _ in range(1000)}
    assert len(names) == 1000
    assert {checked_name(name) for name in names} == names


def test_new_names_sort_by_the_time_they_were_made() -> None:
    assert new_name()[:8].isdecimal()
    assert new_name()[8] == "-"


@given(st.one_of(st.text(max_size=80), st.text(max_size=8).map("-{}".format)))
def test_a_checked_name_is_one_folder_in_its_composed_form_or_refused(text: str) -> None:
    refused = ""
    try:
        name = checked_name(text)
    except InvalidSetting as error:
        refused = str(error)
    assert refused.isprintable()
    if refused:
        return
    assert name == unicodedata.normalize("NFC", text)
    assert checked_name(name) == name
    assert 0 < len(name.encode()) <= MAX_NAME_BYTES
    assert not set(name) & set("/\\\0")
    assert name not in (".", "..")
    assert not name.startswith("-")


@pytest.mark.parametrize("size", [199, 200, 201])
def test_the_limit_counts_bytes(size: int) -> None:
    name = "é" * (size // 2) + "x" * (size % 2)
    if size > MAX_NAME_BYTES:
        with pytest.raises(InvalidSetting, match="201 bytes in UTF-8, and 200 is the limit"):
            checked_name(name)
    else:
        assert checked_name(name) == name


def test_a_name_that_only_fits_when_it_is_composed_is_taken() -> None:
    decomposed = unicodedata.normalize("NFD", "é" * 100)
    assert len(decomposed.encode()) > MAX_NAME_BYTES
    assert checked_name(decomposed) == "é" * 100


@pytest.mark.parametrize("name", ["a", "x" * 200, "é" * 100, "日" * 66 + "xx", "a " * 99 + "ab"])
@pytest.mark.parametrize("number", [2, 12345])
def test_a_numbered_name_is_allowed_too(name: str, number: int) -> None:
    numbered = numbered_name(checked_name(name), number)
    assert checked_name(numbered) == numbered
    assert numbered.endswith(f"~{number}")
