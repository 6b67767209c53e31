"""Retention: what may go, and that at least two living checkpoints never do."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InvalidSetting
from holdfast.records import Checkpoint, StoredFile
from holdfast.sessions.retention import Retention, deletable_folders


def checkpoint(n: int, *, name: str | None = None, metrics: Any = None, shares: tuple[int, ...] = ()) -> Checkpoint:
    folders = (n, *shares)
    files = [StoredFile(f"{number:06d}-1/arrays.safetensors", 1, "") for number in folders]
    return Checkpoint(
        n=n,
        number=n,
        position={"main": n - 1},
        at="loop:0",
        name=name,
        metrics=metrics,
        folder=f"{n:06d}-1",
        files=files,
    )


def gone(retention: Retention, kept: list[Checkpoint], dead: set[int] | None = None) -> list[int]:
    return [record.n for record in retention.superfluous(kept, dead or set())]


def test_without_a_limit_nothing_goes() -> None:
    assert gone(Retention(), [checkpoint(n) for n in range(1, 50)]) == []
    assert gone(Retention(keep_best="loss"), [checkpoint(n) for n in range(1, 50)]) == []


@pytest.mark.parametrize(("keep", "count", "expected"), [(2, 1, []), (2, 2, []), (2, 5, [1, 2, 3]), (4, 5, [1])])
def test_the_newest_stay(keep: int, count: int, expected: list[int]) -> None:
    assert gone(Retention(keep_last=keep), [checkpoint(n) for n in range(1, count + 1)]) == expected


@pytest.mark.parametrize(
    ("best", "values", "stays"),
    [
        ("loss", [3.0, 1.0, 2.0, 5.0, 4.0], 2),
        ("max:loss", [3.0, 1.0, 2.0, 0.5, 0.4], 1),
        ("loss", [3.0, {"$t": "float", "v": "nan"}, 2.0, 9.0, 9.0], 3),
        ("loss", [float("nan"), 5.0, 6.0, 7.0, 8.0], 2),
        ("loss", [1, True, "0", 9, 9], 1),
        ("max:val:loss", [None, None, None, None, None], None),
    ],
)
def test_the_best_one_stays(best: str, values: list[Any], stays: int | None) -> None:
    kept = [checkpoint(n, metrics={"loss": value}) for n, value in enumerate(values, 1)]
    assert gone(Retention(keep_last=2, keep_best=best), kept) == [n for n in (1, 2, 3) if n != stays]


def test_a_metric_whose_name_holds_a_colon_is_found() -> None:
    kept = [checkpoint(n, metrics={"val:loss": value}) for n, value in enumerate([1.0, 9.0, 5.0, 5.0], 1)]
    assert gone(Retention(keep_last=2, keep_best="max:val:loss"), kept) == [1]
    assert gone(Retention(keep_last=2, keep_best="val:loss"), kept) == [2]


def test_one_with_a_name_stays() -> None:
    kept = [checkpoint(n, name="good" if n == 2 else None) for n in range(1, 6)]
    assert gone(Retention(keep_last=2), kept) == [1, 3]


def test_dead_ones_never_count_and_go_when_two_living_ones_are_newer() -> None:
    kept = [checkpoint(n) for n in range(1, 8)]
    assert gone(Retention(keep_last=2), kept, {4, 5, 6}) == [1, 2]  # 3 and 7 live
    assert gone(Retention(keep_last=2), [*kept, checkpoint(8)], {4, 5, 6}) == [1, 2, 3, 4, 5, 6]
    assert gone(Retention(keep_last=2), kept, set(range(1, 8))) == []


@given(st.integers(2, 5), st.lists(st.tuples(st.booleans(), st.booleans()), max_size=20))
def test_two_living_checkpoints_are_always_left(keep: int, drawn: list[tuple[bool, bool]]) -> None:
    kept = [checkpoint(n, name="x" if is_named else None) for n, (_, is_named) in enumerate(drawn, 1)]
    dead = {n for n, (is_dead, _) in enumerate(drawn, 1) if is_dead}
    left = {record.n for record in kept} - set(gone(Retention(keep_last=keep), kept, dead))
    living = [record.n for record in kept if record.n not in dead]
    assert set(living[-keep:]) <= left
    assert {record.n for record in kept if record.name} <= left


def test_a_folder_that_a_kept_checkpoint_refers_to_is_not_deleted() -> None:
    first, second, third = checkpoint(1), checkpoint(2, shares=(1,)), checkpoint(3, shares=(1,))
    assert deletable_folders([first, second], [third]) == {"000002-1"}
    assert deletable_folders([second, third], [checkpoint(4)]) == {"000001-1", "000002-1", "000003-1"}


@pytest.mark.parametrize(("option", "value"), [("keep_last", 1), ("keep_last", -3), ("keep_last", 2.0), ("keep_best", 5)])
def test_a_wrong_setting_is_refused(option: str, value: Any) -> None:
    with pytest.raises(InvalidSetting, match=f"{option}="):
        Retention(**{option: value})
