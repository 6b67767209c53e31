"""`holdfast kira` at a terminal: a prompt that says where KIRA stands, history, completion, colours, readable replies."""

from pathlib import Path

import pytest

import holdfast
from tests.helpers.programs import canonical
from tests.helpers.talking import command, environment, say_all
from tests.helpers.terminal import Terminal, plain

readline = pytest.importorskip("readline")


def at_terminal(root: Path, *words: object, **more: str) -> Terminal:
    settings = {"TERM": "xterm-256color", "COLUMNS": "110", "LINES": "40", "INPUTRC": "/dev/null", "LC_ALL": "C.UTF-8"}
    return Terminal(command("--root", root, *words), environment(**settings | more))


def asked(terminal: Terminal) -> str:
    """Everything shown up to the next prompt and with it, without colours."""
    return plain(terminal.until("› "))


def lines_of(root: Path, session: str = "kira") -> list[str]:
    return [fields["value"] for fields in canonical(root, session) if fields["kind"] == "once"]


def test_the_prompt_says_where_it_stands_and_replies_are_readable(tmp_path: Path) -> None:
    with at_terminal(tmp_path) as terminal:
        beginning = asked(terminal)
        assert "kira is new" in beginning
        assert "/help" in beginning
        assert beginning.endswith("z 0.500 UNTRUE t4 TRIAD ○○○ κ 0.50 › ")
        terminal.type("/evolve 0.88\n")
        evolved = asked(terminal)
        assert "z 0.500000 → 0.88" in evolved
        assert "↑ RISING EDGE #1" in evolved
        assert "█" * 43 in evolved  # of the bar's 50: into the third regime
        assert "t7 TRIAD ●○○ κ 0.7" in evolved.splitlines()[-1]
        terminal.type("/spin\n")
        spun = asked(terminal)
        assert "… (962 more; all of it is in the log)" in spun
        assert len(spun.splitlines()) < 40
        terminal.type("/hit_it\n")
        modules = asked(terminal)
        assert "\n33      final_status" in modules
        assert "33 modules in 7 phases" in modules
        terminal.type("\n")  # nothing was said
        assert len(asked(terminal).splitlines()) == 2
        terminal.type("\x04")
        status, said = terminal.end()
    assert (status, "kira: 3 lines, all saved; go on with: holdfast kira --root" in said) == (0, True)
    assert lines_of(tmp_path) == ["/evolve 0.88", "/spin", "/hit_it"]


def test_it_goes_on_where_it_was_left_or_killed(tmp_path: Path) -> None:
    with at_terminal(tmp_path, "--session", "deep") as terminal:
        asked(terminal)
        terminal.type("/evolve 0.88\n")
        before = asked(terminal).splitlines()[-1]
        terminal.kill()
    with at_terminal(tmp_path, "--session", "deep") as terminal:
        again = asked(terminal)
        assert "deep goes on behind 1 line: z 0.88" in again
        assert again.splitlines()[-1] == before
        terminal.type("/exit\n")
        status, said = terminal.end()
    assert (status, "holdfast kira --session deep --root" in said) == (0, True)


def test_tab_completes_commands_and_ucf_names(tmp_path: Path) -> None:
    with at_terminal(tmp_path) as terminal:
        asked(terminal)
        terminal.type("/evo\t0.88\n")
        asked(terminal)
        terminal.type("/ucf:hel\t")
        terminal.type("ix\n")  # helix and help: as far as they are the same
        asked(terminal)
        terminal.type("/ucf:autonomous\t\n")
        asked(terminal)
        terminal.type("/state /ev\t\n")  # only what a line begins with
        asked(terminal)
        terminal.type("\x04")
        assert terminal.end()[0] == 0
    assert [line.strip() for line in lines_of(tmp_path)] == [
        "/evolve 0.88",
        "/ucf:helix",
        "/ucf:autonomous_trigger_detector",
        "/state /ev",
    ]


def test_the_arrow_brings_back_lines_of_this_and_other_conversations(tmp_path: Path) -> None:
    say_all(tmp_path, ["/evolve 0.7", "a line of another session"], "--session", "other")
    say_all(tmp_path, ["/triad", "/evolve 0.88"])
    with holdfast.session("no conversation", root=tmp_path) as run:
        run.once("line", lambda: "of another program")
    with at_terminal(tmp_path) as terminal:
        asked(terminal)
        for presses in (1, 2, 4):  # a line that is said again is one more to go back
            terminal.type("\x1b[A" * presses + "\n")
            asked(terminal)
        terminal.type("\x04")
        assert terminal.end()[0] == 0
    assert lines_of(tmp_path) == ["/triad", "/evolve 0.88", "/evolve 0.88", "/triad", "a line of another session"]
    assert {path.name for path in tmp_path.iterdir()} == {"sessions", ".gitignore"}  # no file of history


def test_a_damaged_session_is_no_hindrance_to_talking_in_another(tmp_path: Path) -> None:
    say_all(tmp_path, ["/triad"], "--session", "other")
    (log,) = (tmp_path / "sessions" / "other").rglob("*.jsonl")
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    with at_terminal(tmp_path) as terminal:
        assert "kira is new" in asked(terminal)
        terminal.type("\x04")
        assert terminal.end()[0] == 0


@pytest.mark.parametrize(("more", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_are_shown_where_they_are_wanted(tmp_path: Path, more: dict[str, str], is_coloured: bool) -> None:
    with at_terminal(tmp_path, **more) as terminal:
        prompt = terminal.until("› ")
        terminal.type("/evolve 0.88\n")
        reply = terminal.until("› ")
        terminal.type("\x04")
        assert terminal.end()[0] == 0
    assert ("\x1b[1;34mz 0.500 UNTRUE" in prompt, "\x1b[32m█" in reply) == (is_coloured, is_coloured)
    assert "\x01" not in prompt


def test_ctrl_c_clears_the_line_and_a_second_one_leaves(tmp_path: Path) -> None:
    with at_terminal(tmp_path) as terminal:
        asked(terminal)
        terminal.type("/evolve 0.1")
        terminal.until("/evolve 0.1")
        terminal.interrupt()
        assert "Ctrl-C again" in asked(terminal)
        terminal.type("/evolve 0.88\n")
        asked(terminal)
        terminal.interrupt()
        assert "Ctrl-C again" in asked(terminal)  # a line was said in between
        terminal.interrupt()
        status, said = terminal.end()
    assert (status, "1 line, all saved" in said) == (0, True)
    assert lines_of(tmp_path) == ["/evolve 0.88"]


def test_what_is_wrong_is_answered_in_a_line(tmp_path: Path) -> None:
    with at_terminal(tmp_path) as terminal:
        asked(terminal)
        for keys, said in (
            ("/evolve abc\n", "✗ target: 'abc' is no number from 0 to 1"),
            ("/ucf:shed\n", "✗ Insufficient elevation"),
            ("x" * 17_000 + "\n", "✗ the line has more than 16,000 characters"),
        ):
            terminal.type(keys)
            assert said in asked(terminal)
        terminal.type("/state\n")
        assert "coordinate" in asked(terminal)
        terminal.type("\x04")
        assert terminal.end()[0] == 0


def test_a_signal_at_the_prompt_stops_it_with_75(tmp_path: Path) -> None:
    with at_terminal(tmp_path) as terminal:
        asked(terminal)
        terminal.type("/evolve 0.88\n")
        asked(terminal)
        terminal.ask_to_stop()
        status, said = terminal.end()
    assert (status, "kira: stopped (SIGTERM), and nothing is lost" in said) == (75, True)


def test_json_at_a_terminal_has_no_prompt(tmp_path: Path) -> None:
    with at_terminal(tmp_path, "--json") as terminal:
        assert '"type":"session"' in terminal.until("\n")
        terminal.type("/evolve 0.88\n")
        assert terminal.until("\n") == "/evolve 0.88\r\n"  # what the terminal itself shows
        assert '"number":1,"line":"/evolve 0.88"' in terminal.until("\n")
        terminal.type("\x04")
        assert terminal.end()[0] == 0
