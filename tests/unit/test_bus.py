"""Hooks: called by kind, apart from each other and from the run, their failures counted and shown."""

import pytest

from holdfast.errors import InvalidSetting
from holdfast.recording.bus import Bus
from holdfast.records import Metric, Note


def note(n: int = 1) -> Note:
    return Note(n=n, text="x")


def test_a_hook_is_called_for_its_kind_and_a_star_for_all() -> None:
    seen: list[tuple[str, object, bool]] = []
    bus = Bus(print)
    bus.on("note", lambda record, *, replayed: seen.append(("note", record, replayed)))
    bus.on("*", lambda record, *, replayed: seen.append(("*", record, replayed)))
    first, second = note(), Metric(n=2, values={})
    bus.publish(first, replayed=False)
    bus.publish(second, replayed=True)
    assert seen == [("note", first, False), ("*", first, False), ("*", second, True)]


def test_a_hook_can_be_ended_more_than_once() -> None:
    seen: list[object] = []
    bus = Bus(print)

    def hook(record: object, *, replayed: bool) -> None:
        seen.append(record)

    end = bus.on("note", hook)
    assert not bus.is_empty
    end()
    end()
    assert bus.is_empty
    bus.publish(note(), replayed=False)
    assert seen == []


def test_a_hook_may_end_itself_while_it_is_called() -> None:
    seen: list[str] = []
    bus = Bus(print)

    def once(record: object, *, replayed: bool) -> None:
        seen.append("once")
        end()

    end = bus.on("note", once)
    bus.on("note", lambda record, *, replayed: seen.append("always"))
    for _ in range(2):
        bus.publish(note(), replayed=False)
    assert seen == ["once", "always", "always"]


@pytest.mark.parametrize("kind", ["tokn", "", "checkpoint", "Note", "note "])
def test_a_kind_that_no_record_has_is_refused_with_those_there_are(kind: str) -> None:
    with pytest.raises(InvalidSetting, match=r"there are emission, event, file, .* and"):
        Bus(print).on(kind, print)


def test_a_failure_is_shown_once_and_counted_and_the_other_hooks_are_called() -> None:
    shown: list[str] = []
    seen: list[int] = []
    bus = Bus(shown.append)

    def broken(record: Note, *, replayed: bool) -> None:
        raise ZeroDivisionError(f"at {record.n}")

    bus.on("note", broken)
    bus.on("note", lambda record, *, replayed: seen.append(record.n))
    for n in (7, 8, 9):
        bus.publish(note(n), replayed=False)
    assert seen == [7, 8, 9]
    [failure] = bus.failures.values()
    assert (failure.n, failure.count, failure.error) == (7, 3, "ZeroDivisionError: at 7")
    [text] = shown
    assert "broken failed at record 7: ZeroDivisionError: at 7; the run goes on" in text


def test_every_failure_is_counted_however_many_hooks_fail() -> None:
    shown: list[str] = []
    bus = Bus(shown.append)
    for number in range(30):

        def broken(record: object, *, replayed: bool, number: int = number) -> None:
            raise ValueError(number)

        broken.__qualname__ = f"broken {number}"
        bus.on("note", broken)
    for _ in range(2):
        bus.publish(note(), replayed=False)
    assert sum(failure.count for failure in bus.failures.values()) == 60
    assert len(shown) <= 21


def test_what_ends_the_program_passes_through() -> None:
    def interrupted(record: object, *, replayed: bool) -> None:
        raise KeyboardInterrupt

    bus = Bus(print)
    bus.on("note", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bus.publish(note(), replayed=False)
    seen: list[object] = []
    bus.on("metric", lambda record, *, replayed: seen.append(record))
    bus.publish(Metric(n=1, values={}), replayed=False)  # and the bus works on
    assert len(seen) == 1


def test_a_record_made_in_a_hook_calls_no_hooks() -> None:
    depth: list[int] = []
    bus = Bus(print)

    def hook(record: Note, *, replayed: bool) -> None:
        depth.append(record.n)
        bus.publish(note(record.n + 1), replayed=False)

    bus.on("note", hook)
    bus.publish(note(1), replayed=False)
    assert depth == [1]
