"""A restored engine goes on as the living one would have, from any point; a state that is wrong changes nothing."""

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import codec
from holdfast.engines.kira import Kira
from holdfast.errors import InvalidValue
from tests.engines.kira.hearing import Hearing, heard_engine

Action = Callable[[Kira], Any]

LINES = ("/evolve", "/optimize", "/spin", "/emit", "/reset", "/journey")
NEXT_LINES = (
    *("/emit", "the lens and the pattern", "/evolve 0.88", "/evolve 0.8"),
    *("/optimize", "/emit zither,lens", "/train", "/triad", "/coherence"),
)

numbers = st.floats(0, 1)
words = st.sampled_from("lens pattern emerge consciousness zither kira harbour coherence unfold".split())
actions: st.SearchStrategy[Action] = st.one_of(
    st.builds(lambda z: lambda engine: engine.move_to(z), numbers),
    st.builds(lambda z, steps: lambda engine: engine.evolve_z(z, steps), numbers, st.integers(1, 4)),
    st.builds(lambda concepts: lambda engine: engine.compose(concepts), st.lists(words, min_size=1, max_size=6)),
    st.builds(lambda text: lambda engine: engine.cmd_dialogue(" ".join(text)), st.lists(words, min_size=1, max_size=6)),
    st.builds(lambda line: lambda engine: engine.execute(line), st.sampled_from(LINES)),
    st.builds(lambda line: lambda engine: engine.execute(line), st.text(max_size=20)),
    st.builds(lambda count: lambda engine: [engine.emit_token() for _ in range(count)], st.integers(1, 40)),
    st.just(lambda engine: engine.rng.gauss(0, 1)),  # leaves half a pair behind
)


def through_storage(state: dict[str, Any]) -> dict[str, Any]:
    """A state as it comes back from a checkpoint."""
    stored = msgspec.json.encode(codec.encode(state))
    decoded = codec.decode(msgspec.json.decode(stored))
    assert isinstance(decoded, dict)
    return decoded


def next_things(engine: Kira) -> list[Any]:
    """What an engine does next: a thousand tokens, and some of everything else."""
    done: list[Any] = [engine.emit_token() for _ in range(1_000)]
    done += [engine.execute(line) for line in NEXT_LINES]
    done += [engine.compose()["emission"] for _ in range(20)]
    return done


@settings(max_examples=40)
@given(st.integers(), st.sampled_from([3, 7]), st.lists(actions, max_size=12))
def test_a_restored_engine_does_the_same_next_from_any_point(seed: int, threshold: int, done: list[Action]) -> None:
    living, heard_living = heard_engine(seed=seed, k_threshold=threshold)
    for action in done:
        action(living)
    state = through_storage(living.state_dict())
    restored, heard_restored = heard_engine(seed=seed + 1)
    restored.execute("the restored engine had a past of its own")
    restored.move_to(0.9)
    heard_restored.clear()
    restored.load_state_dict(state)
    assert heard_restored.heard == []
    assert restored.state_dict() == living.state_dict() == state
    heard_living.clear()
    assert next_things(restored) == next_things(living)
    assert heard_restored.heard == heard_living.heard
    assert restored.state_dict() == living.state_dict()


def test_taking_a_state_changes_nothing_and_shares_nothing() -> None:
    engine, hearing = heard_engine(seed=1)
    engine.execute("/journey")
    hearing.clear()
    first = engine.state_dict()
    assert engine.state_dict() == first
    assert hearing.heard == []
    copy = through_storage(first)
    next_things(engine)
    assert first == copy
    other = Kira()
    other.load_state_dict(first)
    next_things(other)
    assert first == copy


def test_k_that_was_announced_before_is_not_announced_again_after_a_restore() -> None:
    living, hearing = heard_engine(k_threshold=3)
    living.state.coherence, living.state.triad_completions = 1.0, 3
    living.move_to(0.9)
    restored, heard_restored = heard_engine()
    restored.load_state_dict(through_storage(living.state_dict()))
    for engine in (living, restored):
        engine.move_to(0.91)
        engine.move_to(0.99)
        engine.move_to(0.9)
    assert len(hearing.of("k_formation")) == 2
    assert len(heard_restored.of("k_formation")) == 1


def test_the_state_of_the_engine_stays_the_same_object() -> None:
    engine = Kira()
    state, triad = engine.state, engine.triad
    engine.load_state_dict(Kira(k_threshold=3).state_dict())
    assert engine.state is state
    assert engine.triad is triad
    assert state.k_threshold == 3


def walked(steps: int) -> Kira:
    engine = Kira(seed=1)
    for number in range(steps):
        engine.execute(f"the lens and word{number} again harbour{number * 7}")
        engine.evolve_z(0.9 if number % 2 else 0.7)
        for _ in range(10):
            engine.compose([f"concept{number}", "lens"])
    return engine


def stored_bytes(engine: Kira) -> int:
    """The size of a state whose tokens and emissions lie elsewhere."""
    engine.tokens_emitted, engine.emissions = [], []
    return len(msgspec.json.encode(codec.encode(engine.state_dict())))


def test_a_state_is_small_and_bounded_whatever_was_done() -> None:
    assert stored_bytes(Kira()) < 8_192
    engine = walked(400)
    assert len(engine.network.exchanges) == 400
    long, longer = stored_bytes(engine), stored_bytes(walked(800))
    assert long < 48 * 1024
    assert longer < 1.05 * long


CHANGES: list[tuple[tuple[str, ...], Any]] = [
    (("version",), 2),
    (("version",), None),
    (("state",), None),
    (("state", "z"), 1.5),
    (("rng", "words"), b"short"),
    (("rng", "words"), bytes(2496) + (625).to_bytes(4, "little")),
    (("rng", "words"), "text"),
    (("rng", "gauss_next"), "1"),
    (("triad", "events", "count"), -1),
    (("triad", "events", "kept"), [3]),
    (("network", "links"), {"lens": {"focus": 2}}),
    (("tokens", "kept"), [1]),
    (("tokens", "count"), 0),
    (("emissions", "kept"), [{"text": "Lens."}]),
    (("emissions", "kept"), ["Lens."]),
    (("turns", "kept"), [{"turn": 1, "user": "a", "response": None}]),
    (("has_spun",), 1),
    (("k_was_formed",), None),
]


@pytest.mark.parametrize(("path", "value"), CHANGES, ids=[f"{'.'.join(path)}={value!r:.20}" for path, value in CHANGES])
def test_a_wrong_field_is_named_and_the_engine_is_as_it_was(path: tuple[str, ...], value: Any) -> None:
    other = Kira(seed=9)
    for line in ("the lens", "/evolve", "/emit", "/spin"):
        other.execute(line)
    values: dict[str, Any] = through_storage(other.state_dict())
    place = values
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    engine = Kira(seed=1)
    engine.execute("/evolve")
    before = engine.state_dict()
    with pytest.raises(InvalidValue, match=rf"^(kira\.)?{path[0]}"):
        engine.load_state_dict(values)
    assert engine.state_dict() == before


@pytest.mark.parametrize("name", list(Kira().state_dict()))
def test_a_missing_part_is_named_and_the_engine_is_as_it_was(name: str) -> None:
    engine = Kira(seed=1)
    before = engine.state_dict()
    with pytest.raises(InvalidValue, match=f"{name}: it is missing"):
        engine.load_state_dict({key: value for key, value in Kira(seed=2).state_dict().items() if key != name})
    assert engine.state_dict() == before


@pytest.mark.parametrize("values", [None, [], "state", 3])
def test_what_is_no_mapping_is_refused(values: Any) -> None:
    with pytest.raises(InvalidValue, match="a mapping belongs here"):
        Kira().load_state_dict(values)


def test_the_engine_never_draws_from_the_global_generator() -> None:
    before = random.getstate()
    next_things(Kira())
    Kira().execute("/journey")
    assert random.getstate() == before


def test_a_listener_stays_when_a_state_is_loaded() -> None:
    hearing = Hearing()
    engine = Kira(listener=hearing)
    engine.load_state_dict(Kira().state_dict())
    assert engine.listener is hearing
