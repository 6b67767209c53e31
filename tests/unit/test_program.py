"""Where the program stands: keys of loops and steps are the same in every attempt."""

from holdfast.records import Loop
from holdfast.sessions.program import Program


def test_loops_are_numbered_as_they_are_entered() -> None:
    program = Program()
    assert [program.next_loop() for _ in range(3)] == ["loop:0", "loop:1", "loop:2"]


def test_the_cursors_of_a_checkpoint_are_found_by_key() -> None:
    first, second = Loop(key="loop:0", next=5, length=5), Loop(key="loop:1", next=2, length=9)
    program = Program([first, second])
    assert program.loops == {"loop:0": first, "loop:1": second}
    assert program.next_loop() == "loop:0"


def test_steps_are_counted_by_name_and_place() -> None:
    program = Program()
    assert [program.next_step("a"), program.next_step("b"), program.next_step("a")] == ["a#0", "b#0", "a#1"]
    program.enter("loop:0:0")
    assert [program.next_step("a"), program.next_step("a")] == ["loop:0:0/a#0", "loop:0:0/a#1"]
    program.enter("loop:0:1")
    assert program.next_step("a") == "loop:0:1/a#0"
    program.leave("")
    assert program.next_step("a") == "a#2"


def test_a_step_within_a_step_has_a_place_of_its_own() -> None:
    program = Program()
    outer = program.next_step("outer")
    program.enter(outer)
    inner = program.next_step("inner")
    program.enter(inner)
    program.leave(outer)
    assert (inner, program.next_step("inner")) == ("outer#0/inner#0", "outer#0/inner#1")
    program.leave("")
    again = program.next_step("outer")
    program.enter(again)
    assert program.next_step("inner") == "outer#1/inner#0"


def test_names_with_slashes_are_counted_like_others() -> None:
    program = Program()
    keys = []
    for name in ("data/a", "data/b", "data/a", "data/b", "data", "data/a"):
        key = program.next_step(name)
        program.enter(key)
        program.leave("")
        keys.append(key)
    assert keys == ["data/a#0", "data/b#0", "data/a#1", "data/b#1", "data#0", "data/a#2"]


def test_a_long_loop_keeps_no_counts_of_the_steps_before() -> None:
    program = Program()
    program.next_step("top")
    for step in range(1000):
        program.enter(f"loop:0:{step}")
        for name in "abc":
            program.next_step(name)
    assert len(program._occurrences) < 10
    program.leave("")
    assert program.next_step("top") == "top#1"
