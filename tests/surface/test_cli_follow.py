"""show --follow prints each record once, as it comes, and ends when the session does."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from holdfast.cli import show
from tests.helpers.command import call, count, count_until_killed, counting
from tests.helpers.sources import ROOT

LIVE = """
import sys, holdfast
with holdfast.session("live", root=sys.argv[1]) as run:
    for word in sys.stdin:
        run.note(word.strip())
        print("recorded", flush=True)
"""


@pytest.fixture
def between_polls(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Callable[[], object]]], None]:
    """Have something happen whenever the follower would wait."""

    def arrange(happenings: list[Callable[[], object]]) -> None:
        coming = iter(happenings)
        pause = SimpleNamespace(wait=lambda seconds: next(coming)())
        monkeypatch.setattr(show, "threading", SimpleNamespace(Event=lambda: pause))

    return arrange


def test_records_of_a_living_process_come_through_the_pipe(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    environment |= {"PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error"}
    live = [sys.executable, "-c", LIVE, str(tmp_path)]
    follower = [sys.executable, "-m", "holdfast", "show", "live", "--follow", "--json", "--root", str(tmp_path)]
    with subprocess.Popen(live, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True) as program:
        assert program.stdin
        assert program.stdout

        def record(word: str) -> None:
            assert program.stdin
            assert program.stdout
            program.stdin.write(f"{word}\n")
            program.stdin.flush()
            assert program.stdout.readline() == "recorded\n"

        record("before")
        with subprocess.Popen(
            follower, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
        ) as following:
            assert following.stdout
            assert following.stderr
            heard = []
            for word in ("then", "at last"):
                heard.append(json.loads(following.stdout.readline())["text"])
                record(word)
            heard.append(json.loads(following.stdout.readline())["text"])
            program.stdin.close()
            rest, said = following.stdout.read(), following.stderr.read()
        assert program.wait() == 0
    assert heard == ["before", "then", "at last"]
    assert (following.returncode, rest, said) == (0, "", "live: finished\n")


def test_each_record_is_printed_once_and_the_end_is_said(
    tmp_path: Path, between_polls: Callable[[list[Callable[[], object]]], None]
) -> None:
    with counting(tmp_path) as (run, _):
        run.note("first")
        between_polls([lambda: None, lambda: run.note("second"), lambda: None, lambda: run.note("third"), run.close])
        done = call("show", "count", "--follow", "--json", "--root", tmp_path)
    assert [fields["text"] for fields in done.documents] == ["first", "second", "third"]
    assert (done.status, done.err) == (0, "count: finished\n")


def test_it_begins_with_the_last_records(tmp_path: Path) -> None:
    count(tmp_path, steps=30)
    done = call("show", "count", "--follow", "--root", tmp_path)
    assert len(done.out.splitlines()) == 10
    assert len(call("show", "count", "--follow", "--root", tmp_path, "--last", 2).out.splitlines()) == 2
    assert len(call("show", "count", "--follow", "--json", "--root", tmp_path).documents) == 30


def test_bookkeeping_is_followed_on_request(
    tmp_path: Path, between_polls: Callable[[list[Callable[[], object]]], None]
) -> None:
    with counting(tmp_path) as (run, _):
        run.note("first")
        between_polls([run.close])
        done = call("show", "count", "--follow", "--all", "--root", tmp_path)
    assert [line.split()[2] for line in done.out.splitlines()] == ["opened", "note", "closed"]


def test_ctrl_c_ends_it_quietly(tmp_path: Path, between_polls: Callable[[list[Callable[[], object]]], None]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with counting(tmp_path) as (run, _):
        run.note("first")
        between_polls([interrupt])
        done = call("show", "count", "--follow", "--root", tmp_path)
    assert (done.status, done.err) == (130, "")
    assert "first" in done.out


def test_a_killed_session_ends_it_with_what_to_do(tmp_path: Path) -> None:
    count_until_killed(tmp_path)
    done = call("show", "count", "--follow", "--root", tmp_path)
    assert (done.status, done.err) == (0, "count: killed; run the same line again to go on\n")
