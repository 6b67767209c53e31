"""Long series keep their shape in little memory: no extreme is lost, and gaps stay gaps."""

import numpy as np
import pytest

from holdfast.reading.series import Series


def test_a_short_series_is_kept_as_it_is() -> None:
    series = Series()
    for index, value in enumerate([3.0, 1.0, float("nan"), 2.0, float("inf")]):
        series.add(index, value)
    x, y = series.points()
    numbers = ~np.isnan(y)
    kept = [*zip(x[numbers].tolist(), y[numbers].tolist(), strict=True)]
    assert (0, 3.0) in kept
    assert (1, 1.0) in kept
    assert np.isnan(y).any()


@pytest.mark.parametrize("in_pieces", [1, 7, 5000, 100_000])
def test_a_long_series_loses_no_extreme(in_pieces: int) -> None:
    generator = np.random.default_rng(7)
    values = generator.normal(size=100_000)
    values[12_345], values[77_777], values[50_000] = 99.0, -99.0, np.nan
    series = Series(parts=64)
    for at in range(0, len(values), in_pieces):
        series.extend(np.arange(at, min(at + in_pieces, len(values))), values[at : at + in_pieces])
    x, y = series.points()
    assert len(x) < 3 * 130
    assert (np.diff(x) >= 0).all()
    numbers = [*zip(x.tolist(), y.tolist(), strict=True)]
    assert (12_345.0, 99.0) in numbers
    assert (77_777.0, -99.0) in numbers
    assert int(np.isnan(y).sum()) == 1
    assert np.mean(series.means(10)) == pytest.approx(np.nanmean(values), abs=0.01)


def test_an_empty_series_has_no_points() -> None:
    x, y = Series().points()
    assert (len(x), len(y)) == (0, 0)
    assert Series().means(5) == []
    nothing = Series()
    nothing.extend(np.arange(3), np.full(3, np.nan))
    assert nothing.means(5) == []
