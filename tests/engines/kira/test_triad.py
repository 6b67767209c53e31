"""TRIAD: edges count, the band has to be left below, and what is unlocked stays so."""

from holdfast.engines.kira import Kira, State
from holdfast.engines.kira.triad import EVENTS_KEPT, Triad


def test_staying_above_counts_once() -> None:
    engine = Kira()
    assert [engine.move_to(z) for z in (0.9, 0.86, 0.9, 0.83, 0.9)] == [["↑ RISING EDGE #1"], [], [], [], []]


def test_the_log_has_the_place_of_each_event() -> None:
    engine = Kira()
    for z in (0.8573, 0.807, 0.871, 0.8103, 0.8528):
        engine.move_to(z)
    assert list(engine.triad.events) == [
        "z=0.8573: ↑ RISING EDGE #1",
        "z=0.8070: ↓ REARM (hysteresis)",
        "z=0.8710: ↑ RISING EDGE #2",
        "z=0.8103: ↓ REARM (hysteresis)",
        "z=0.8528: ★ TRIAD UNLOCKED ★",
    ]


def test_completions_go_on_after_the_unlocking_which_stays() -> None:
    engine = Kira()
    for _ in range(5):
        engine.move_to(0.88)
        engine.move_to(0.5)
    assert (engine.triad.completions, engine.triad.unlocked, engine.triad.above_band) == (5, True, False)
    assert engine.move_to(0.88) == ["↑ RISING EDGE #6"]


def test_the_log_is_bounded_and_counts_on() -> None:
    state = State()
    triad = Triad(state)
    for step in range(2 * EVENTS_KEPT):
        state.z = 0.5 if step % 2 else 0.9
        triad.update()
    assert len(triad.events) == 2 * EVENTS_KEPT
    assert len(list(triad.events)) == EVENTS_KEPT
