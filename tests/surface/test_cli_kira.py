"""`holdfast kira` for programs: lines in, JSON out, and no kill that anything is lost by."""

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

import holdfast
from tests.helpers.command import call, promised
from tests.helpers.programs import canonical, digest, superseded
from tests.helpers.talking import Talk, command, environment, say_all

LINES = ["/evolve 0.88", "the lens holds a pattern", "/emit consciousness,pattern", "/hit_it", "/evolve 0.8", "/tokens 3"]


def test_typed_commands_are_answered_one_by_one_by_documents_with_the_promised_fields(tmp_path: Path) -> None:
    with Talk(tmp_path) as talk:
        replies = [talk.say(line) for line in LINES]
        assert talk.end() == (0, "")
    assert [reply["number"] for reply in replies] == list(range(1, 7))
    assert [reply["line"] for reply in replies] == LINES
    assert [reply["type"] for reply in replies] == ["command", "dialogue", *["command"] * 4]
    assert len(replies[3]["result"]["phases"]) == 7
    state = replies[-1]["state"]
    assert state["z"] == pytest.approx(0.8, abs=0.01)
    documents = {name for document in (talk.opening, *replies) for name in document} | set(state)
    kinds = {document["type"] for document in (talk.opening, *replies)} | {"error"}
    assert documents | kinds == promised("kira")


def test_a_conversation_that_is_left_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = say_all(tmp_path / "whole", LINES)
    parts: list[dict[str, Any]] = []
    for line in LINES:
        with Talk(tmp_path / "parts") as talk:
            assert (talk.opening["lines"], talk.opening["owed"]) == (len(parts), False)
            parts.append(talk.say(line))
            talk.send("/exit")
            assert talk.end() == (0, "")
    assert parts == whole
    assert digest(tmp_path / "parts", "kira") == digest(tmp_path / "whole", "kira")


def test_a_conversation_killed_twice_ends_with_the_digest_of_one_that_was_not(tmp_path: Path) -> None:
    assert say_all(tmp_path / "killed", LINES, kills=[2, 4]) == say_all(tmp_path / "whole", LINES)
    assert digest(tmp_path / "killed", "kira") == digest(tmp_path / "whole", "kira")
    assert superseded(tmp_path / "killed", "kira") == []


def test_a_line_sent_before_a_kill_is_recorded_or_it_is_not(tmp_path: Path) -> None:
    with Talk(tmp_path / "killed") as talk:
        talk.say(LINES[0])
        talk.send(LINES[3])
    with Talk(tmp_path / "killed") as talk:
        lines, is_owed = talk.opening["lines"], talk.opening["owed"]
        assert lines in (1, 2)
        if is_owed:
            assert talk.read()["number"] == lines
        if lines == 1:
            talk.say(LINES[3])
        assert talk.end() == (0, "")
    say_all(tmp_path / "whole", [LINES[0], LINES[3]])
    assert digest(tmp_path / "killed", "kira") == digest(tmp_path / "whole", "kira")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_it_with_75_and_the_same_line_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    with Talk(tmp_path) as talk:
        talk.say("/evolve 0.88")
        talk.process.send_signal(number)
        status, said = talk.end()
    assert status == 75
    assert said == f"kira: stopped ({number.name}), and nothing is lost; go on with: holdfast kira --root {tmp_path}\n"
    info = holdfast.Workspace(tmp_path).session("kira")
    assert (info.status, info.reason) == ("interrupted", number.name)
    with Talk(tmp_path) as again:
        assert (again.opening["lines"], again.opening["owed"]) == (1, False)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"/evlove 0.8", "did you mean /evolve"),
        (b"/evolve abc", "'abc' is no number from 0 to 1"),
        (b"/evolve nan", "from 0 to 1"),
        (b"/ucf:nope", "/ucf:help lists"),
        (b"/read secret", "not offered here"),
        (b"", "Type a sentence, or /help"),
        (b"  \t", "Type a sentence, or /help"),
        (b"caf\xe9 \xff", "not UTF-8 from its character 4 on"),
        (b"x" * 1_000_000, "more than 16,000 characters"),
        (b"\x00\x1b[31m", ""),
    ],
)
def test_bad_input_is_answered_and_ends_nothing(tmp_path: Path, line: bytes, said: str) -> None:
    with Talk(tmp_path) as talk:
        before = talk.say("/evolve 0.88")
        reply = talk.say(line)
        if said:
            assert reply["type"] == "error"
            assert said in reply["result"]["error"]
            assert reply["state"] == before["state"]
        assert talk.say("/triad")["number"] == 3
        assert talk.end() == (0, "")
    assert holdfast.Workspace(tmp_path).verify("kira").problems == ()


def test_a_line_without_an_end_and_one_of_another_system_are_lines(tmp_path: Path) -> None:
    given = b"/evolve 0.88\r\n/state"
    done = subprocess.run(
        command("--root", tmp_path), input=given, capture_output=True, env=environment(), timeout=60, check=True
    )
    assert done.stderr == b""
    assert [fields["value"] for fields in canonical(tmp_path, "kira") if fields["kind"] == "once"] == ["/evolve 0.88", "/state"]
    assert len(done.stdout.splitlines()) == 3  # JSON also without --json: nobody sits there


def test_what_a_session_began_with_need_not_be_given_again_and_cannot_be_changed(tmp_path: Path) -> None:
    with Talk(tmp_path, "--seed", 7, "--k-threshold", 3) as talk:
        talk.say("/evolve 0.88")
        assert talk.end() == (0, "")
    with Talk(tmp_path) as talk:
        assert talk.opening["state"]["k_threshold"] == 3
        assert talk.end() == (0, "")
    other = call("kira", "--seed", 8, "--root", tmp_path)
    assert (other.status, other.out) == (2, "")
    assert "seed" in other.err
    wrong = call("kira", "--session", "new", "--k-threshold", 5, "--root", tmp_path)
    assert (wrong.status, "5 is not 7" in wrong.err) == (2, True)


def test_a_conversation_that_is_going_on_is_left_alone(tmp_path: Path) -> None:
    with Talk(tmp_path) as talk:
        talk.say("/evolve 0.88")
        busy = call("kira", "--root", tmp_path)
        assert (busy.status, "is open in process" in busy.err) == (2, True)
        assert talk.say("/state")["number"] == 2
        assert talk.end() == (0, "")


def test_a_session_of_another_program_is_refused(tmp_path: Path) -> None:
    with holdfast.session("kira", root=tmp_path, config={"seed": 1}) as run:
        run.note("not a conversation")
    refused = call("kira", "--root", tmp_path)
    assert refused.status == 2
    assert "other settings" in refused.err


def test_leaving_at_once_leaves_nothing(tmp_path: Path) -> None:
    with Talk(tmp_path / "none") as talk:
        assert talk.end() == (0, "")
    assert not (tmp_path / "none").exists() or holdfast.Workspace(tmp_path / "none").sessions() == []
