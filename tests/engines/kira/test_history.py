"""Histories count everything and keep the last of it."""

from typing import Any

import pytest

from holdfast.engines.kira.fields import Fields, a_text
from holdfast.engines.kira.history import History
from holdfast.errors import InvalidValue


def grown(count: int, limit: int = 4) -> History[int]:
    return History(range(count), limit=limit)


def test_it_counts_all_and_keeps_the_last() -> None:
    history = grown(10)
    assert (len(history), list(history), history.forgotten) == (10, [6, 7, 8, 9], 6)
    assert (history[9], history[-1], history[6], history[-4]) == (9, 9, 6, 6)
    assert (history[6:], history[-2:], history[7:9]) == ([6, 7, 8, 9], [8, 9], [7, 8])
    assert (history[3:3], history[9:6:-1], history[20:]) == ([], [9, 8, 7], [])
    assert 7 in history
    assert 3 not in history


def test_nothing_is_said_of_what_is_no_longer_kept() -> None:
    history = grown(10)
    for asked in (0, 5, -10, slice(0, 3), slice(None), slice(-5, None), slice(None, None, -1)):
        with pytest.raises(IndexError, match="of 10 items the last 4 are kept"):
            history[asked]
    with pytest.raises(IndexError, match="10 items were appended"):
        history[10]
    with pytest.raises(IndexError, match="10 items were appended"):
        history[-11]


def test_latest_gives_no_more_than_there_is() -> None:
    assert (grown(10).latest(2), grown(10).latest(9), grown(2).latest(9), grown(0).latest(3), grown(3).latest(0)) == (
        [8, 9],
        [6, 7, 8, 9],
        [0, 1],
        [],
        [],
    )


def test_it_equals_a_list_as_long_as_nothing_is_forgotten() -> None:
    assert grown(4) == [0, 1, 2, 3]
    assert grown(5) != [1, 2, 3, 4]
    assert grown(5) == grown(5)
    assert grown(5) != grown(6)


def test_going_over_it_gives_what_was_kept_at_the_beginning() -> None:
    history, seen = grown(10), []
    for item in history:
        seen.append(item)
        history.append(0)
    assert seen == [6, 7, 8, 9]
    assert len(history) == 14


def test_clearing_forgets_the_count_too() -> None:
    history = grown(10)
    history.clear()
    assert (len(history), list(history)) == (0, [])


def test_a_stored_history_goes_on() -> None:
    history = History((str(number) for number in range(10)), limit=4)
    restored = History.from_state(Fields(history.state_dict(), "tokens"), a_text, limit=4)
    history.append("10")
    restored.append("10")
    assert restored == history
    assert restored[10] == "10"


def test_a_stored_history_shares_nothing_with_the_living_one() -> None:
    history: History[dict[str, Any]] = History([{"text": "a", "tokens": ["x"]}])
    stored = history.state_dict()
    history[0]["text"] = "b"
    history[0]["tokens"].append("y")
    assert stored == {"count": 1, "kept": [{"text": "a", "tokens": ["x"]}]}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"count": 1, "kept": ["a", "b"]}, r"tokens\.kept: 2 items are kept of 1"),
        ({"count": -1, "kept": []}, r"tokens\.count"),
        ({"count": 2, "kept": ["a", 3]}, r"tokens\.kept\[1\]"),
        ({"count": 2, "kept": "ab"}, r"tokens\.kept"),
        ({"kept": []}, r"tokens\.count: it is missing"),
    ],
)
def test_a_wrong_stored_history_is_named(values: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidValue, match=named):
        History.from_state(Fields(values, "tokens"), a_text)
