"""Bars, sparklines and amounts say what the numbers say."""

import math

import pytest

from holdfast.cli import amounts, charts
from holdfast.cli.layout import Column, fit
from holdfast.cli.output import printable


def test_a_sparkline_rises_with_its_values() -> None:
    assert charts.sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert charts.sparkline([5.0, 5.0]) == "▁▁"
    assert charts.sparkline([]) == ""


def test_a_bar_is_as_long_as_its_share_and_never_nothing() -> None:
    assert charts.bar(1, width=4) == "████"
    assert charts.bar(0.5, width=4) == "██"
    assert charts.bar(1e-9, width=4) == "▏"
    assert charts.bar(0, width=4) == ""


@pytest.mark.parametrize(
    ("z", "reached"),
    [(0, (0, 0, 0)), (0.5, (5, 0, 0)), (0.7, (6, 1, 0)), (0.96, (6, 3, 1)), (1, (6, 3, 1)), (7, (6, 3, 1))],
)
def test_the_bar_of_z_is_as_long_as_z_in_the_colours_of_its_regimes(z: float, reached: tuple[int, int, int]) -> None:
    drawn = charts.regimes(z, width=10)
    assert len("".join(text for text, _ in drawn)) == 10
    for (_, style), part in zip(charts.REGIMES, reached, strict=True):
        assert "".join(text for text, shown in drawn if shown == style) == "█" * part
        assert set("".join(text for text, shown in drawn if shown == f"dim {style}")) <= {"·"}


@pytest.mark.parametrize("length", [1, 31, 32, 33, 64, 1_000, 10_007])
def test_a_series_of_any_length_fits_its_width(length: int) -> None:
    series = charts.Series()
    for value in range(length):
        series.add(value)
    picture = series.picture()
    assert len(picture) <= series.width
    assert list(picture) == sorted(picture)
    assert (series.count, series.first, series.last) == (length, 0, length - 1)


def test_what_is_not_finite_is_counted_and_leaves_the_picture() -> None:
    series = charts.Series()
    for value in (1.0, math.nan, math.inf, 2.0):
        series.add(value)
    assert (series.picture(), series.strange, series.low, series.high) == ("▁█", 2, 1.0, 2.0)


def test_a_series_is_drawn_in_less_room_too() -> None:
    series = charts.Series()
    for value in range(1_000):
        series.add(value)
    for width in (1, 5, 8, 31, 32):
        assert 0 < len(series.picture(width)) <= width


COLUMNS = (
    Column(name="n", right=True),
    Column(name="date", rank=2),
    Column(name="text", least=10),
    Column(name="bar", least=4, rank=1),
)


@pytest.mark.parametrize(
    ("room", "widths"),
    [
        (100, [4, 19, 40, 20]),  # all of it
        (80, [4, 19, 31, 20]),  # the longest is cut
        (50, [4, 19, 14, 7]),
        (43, [4, 19, 10, 4]),  # cut as far as it is of use
        (42, [4, 0, 20, 14]),  # then the date goes, and the rest has its room
        (22, [4, 0, 10, 4]),
        (21, [4, 0, 15, 0]),
        (16, [4, 0, 10, 0]),
        (10, [4, 0, 4, 0]),
        (1, [1, 0, 1, 0]),
    ],
)
def test_columns_are_cut_first_and_then_left_out_by_rank(room: int, widths: list[int]) -> None:
    assert fit(COLUMNS, [4, 19, 40, 20], room) == widths


def test_a_column_in_which_nothing_stands_takes_no_room() -> None:
    assert fit(COLUMNS, [4, 0, 5, 0], 80) == [4, 0, 5, 0]


def test_amounts_are_short() -> None:
    sizes = [amounts.size(value) for value in (0, 999, 1_000, 999_949, 999_950, 5 * 10**12)]
    assert sizes == ["0 bytes", "999 bytes", "1.0 kB", "999.9 kB", "1.0 MB", "5.0 TB"]
    second = 1_000_000
    assert [amounts.span(value) for value in (5_000, second, 90 * second, 2 * 86_400 * second)] == [
        "5 ms",
        "1.0 s",
        "1.5 min",
        "2.0 d",
    ]
    assert [amounts.age(0, now) for now in (-second, 59 * second, 60 * second, 7_200 * second)] == [
        "0 s",
        "59 s",
        "1 min",
        "2 h",
    ]
    assert [amounts.count(value, "record") for value in (0, 1, 1_200)] == ["0 records", "1 record", "1,200 records"]


def test_invisible_signs_are_written_out() -> None:
    assert printable("Φ×|Reactor bio") == "Φ×|Reactor bio"
    assert printable("a\x1b[1m\r\n\u202e") == r"a\x1b[1m\r\n\u202e"
