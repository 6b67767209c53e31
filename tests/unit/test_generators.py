"""Random generators as state: each comes back and draws what it would have drawn."""

import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from holdfast import codec
from holdfast.sessions.generators import GlobalGenerators, is_generator, set_state, state_of

MAKERS: list[Callable[[], Any]] = [
    lambda: random.Random(3),
    lambda: np.random.RandomState(3),
    lambda: np.random.default_rng(3),
    lambda: np.random.Generator(np.random.MT19937(3)),
    lambda: np.random.Generator(np.random.Philox(3)),
    lambda: np.random.Generator(np.random.SFC64(3)),
    lambda: np.random.Generator(np.random.PCG64DXSM(3)),
]


@pytest.fixture(autouse=True)
def _own_globals() -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()
    yield
    random.setstate(python)
    np.random.set_state(numpy)


def draw(generator: Any) -> list[float]:
    """A few values, an odd number of normal ones among them, as their second half is kept for the next call."""
    if isinstance(generator, random.Random):
        return [generator.random(), generator.gauss(0, 1), float(generator.getrandbits(70)), generator.choice([1.0, 2.0, 3.0])]
    return [float(generator.standard_normal()), *map(float, generator.permutation(5)), float(generator.uniform())]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("drawn", [0, 1, 700])
def test_a_generator_goes_on_where_its_state_was_taken(make: Callable[[], Any], drawn: int) -> None:
    generator, other = make(), make()
    for _ in range(drawn):
        draw(generator)
    state = codec.decode(codec.snapshot(state_of(generator)))
    expected = [draw(generator) for _ in range(3)]
    draw(other)
    set_state(other, state)
    assert [draw(other) for _ in range(3)] == expected


@pytest.mark.parametrize("make", MAKERS)
def test_taking_the_state_draws_nothing(make: Callable[[], Any]) -> None:
    generator, other = make(), make()
    state_of(generator)
    assert draw(generator) == draw(other)


@pytest.mark.parametrize("make", MAKERS)
def test_a_generator_is_known_as_one(make: Callable[[], Any]) -> None:
    assert is_generator(make())


@pytest.mark.parametrize("value", [random.SystemRandom(), random, np.random, 5, None, {}, random.Random, iter([1])])
def test_what_has_no_state_to_take_is_no_generator(value: object) -> None:
    assert not is_generator(value)


def test_global_generators_are_stored_only_once_they_have_moved() -> None:
    kept = GlobalGenerators()
    assert kept.moved() == {}
    random.random()
    assert set(kept.moved()) == {"python"}
    np.random.rand()
    assert set(kept.moved()) == {"python", "numpy"}
    assert set(kept.moved()) == {"python", "numpy"}  # moved once is moved


@pytest.mark.parametrize("place", [0, 4, 300, 623])
def test_python_words_that_are_set_one_by_one_have_moved(place: int) -> None:
    kept = GlobalGenerators()
    version, words, gauss = random.getstate()
    random.setstate((version, (*words[:place], words[place] ^ 1, *words[place + 1 :]), gauss))
    assert set(kept.moved()) == {"python"}


def test_a_global_generator_that_is_seeded_has_moved() -> None:
    kept = GlobalGenerators()
    random.seed(5)
    np.random.seed(5)
    assert set(kept.moved()) == {"python", "numpy"}


def test_global_generators_come_back() -> None:
    random.seed(1)
    np.random.seed(2)
    kept = GlobalGenerators()
    random.gauss(0, 1)
    np.random.randn()
    states = codec.decode(codec.snapshot(kept.moved()))
    expected = random.gauss(0, 1), random.random(), np.random.randn(), np.random.rand()
    random.seed(9)
    np.random.seed(9)
    GlobalGenerators().restore(states)  # type: ignore[arg-type]
    assert (random.gauss(0, 1), random.random(), np.random.randn(), np.random.rand()) == expected


def test_another_bit_generator_behind_numpys_global_functions_comes_back() -> None:
    before = np.random.get_bit_generator()  # type: ignore[attr-defined]
    np.random.set_bit_generator(np.random.PCG64(3))  # type: ignore[attr-defined]
    try:
        kept = GlobalGenerators()
        assert kept.moved() == {}
        np.random.rand()
        states = codec.decode(codec.snapshot(kept.moved()))
        expected = np.random.rand(3).tolist()
        GlobalGenerators().restore(states)  # type: ignore[arg-type]
        assert np.random.rand(3).tolist() == expected
    finally:
        np.random.set_bit_generator(before)  # type: ignore[attr-defined]


def test_what_was_brought_back_is_stored_from_then_on() -> None:
    kept = GlobalGenerators()
    random.random()
    states = kept.moved()
    fresh = GlobalGenerators()
    fresh.restore(states)
    assert set(fresh.moved()) == {"python"}


def test_a_library_imported_after_opening_counts_as_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    numpy_random = sys.modules["numpy.random"]
    with monkeypatch.context() as without:
        without.delitem(sys.modules, "numpy.random")
        kept = GlobalGenerators()
    assert sys.modules["numpy.random"] is numpy_random
    assert set(kept.moved()) == {"numpy"}  # what it drew before the first look cannot be told


def test_half_a_pair_of_normal_values_that_was_there_before_comes_back() -> None:
    np.random.seed(4)
    np.random.randn()  # the other half is kept, and taking it draws nothing
    kept = GlobalGenerators()
    expected = np.random.randn()
    states = kept.moved()
    assert set(states) == {"numpy"}
    after = np.random.randn()
    GlobalGenerators().restore(states)
    assert np.random.randn() == after != expected


def test_another_bit_generator_set_after_opening_has_moved() -> None:
    kept, before = GlobalGenerators(), np.random.get_bit_generator()  # type: ignore[attr-defined]
    try:
        np.random.set_bit_generator(np.random.MT19937(3))  # type: ignore[attr-defined]
        assert set(kept.moved()) == {"numpy"}
    finally:
        np.random.set_bit_generator(before)  # type: ignore[attr-defined]
