"""`holdfast kira` as a process of its own, spoken to through pipes; and a partner within a test's process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.helpers.sources import ROOT


def command(*words: object) -> list[str]:
    """What starts the command."""
    return [sys.executable, "-m", "holdfast", "kira", *map(str, words)]


def environment(**more: str) -> dict[str, str]:
    """This environment, with nothing of ours but what is given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "PYTHON"))}
    return kept | {"PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error"} | more


class Talk:
    """A conversation with a process. What is not over at the end of the block is killed."""

    def __init__(self, root: Path, *words: object) -> None:
        self.process = subprocess.Popen(
            command("--json", "--root", root, *words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            # Under nohup these tests are told to ignore it, and would hand that down.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )
        self.opening = self.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()

    def send(self, line: str | bytes) -> None:
        """Send a line, and wait for nothing."""
        assert self.process.stdin
        self.process.stdin.write((line if isinstance(line, bytes) else line.encode()) + b"\n")
        self.process.stdin.flush()

    def read(self) -> dict[str, Any]:
        """The next document."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"it ended: {self.end()}")
        document: dict[str, Any] = json.loads(line)
        return document

    def say(self, line: str | bytes) -> dict[str, Any]:
        """Send a line; its reply."""
        self.send(line)
        return self.read()

    def end(self) -> tuple[int, str]:
        """End its input; its exit status, and what it said on standard error."""
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said.decode()

    def kill(self) -> None:
        """Kill it as kill -9 does, where it is not over."""
        self.process.kill()
        self.process.communicate()


def say_all(root: Path, lines: Sequence[str], *words: object, kills: Sequence[int] = ()) -> list[dict[str, Any]]:
    """Say lines to as many processes as it takes: each is killed once the reply numbered so was read. All replies."""
    replies: list[dict[str, Any]] = []
    for kill_after in (*kills, None):
        with Talk(root, *words) as talk:
            assert talk.opening["lines"] == len(replies)
            if talk.opening["owed"]:
                assert {**talk.read(), "replayed": False} == replies[-1]
            for line in lines[len(replies) : kill_after]:
                replies.append(talk.say(line))
            if kill_after is None:
                assert talk.end() == (0, "")
    return replies


class Scripted:
    """A partner that says given lines, from the one on that the session has not recorded yet."""

    def __init__(self, lines: Sequence[str], *, until: int | None = None) -> None:
        self._lines, self._until = lines, until
        self.facts: Mapping[str, Any] = {}
        self.replies: list[dict[str, Any]] = []
        self._next = 0

    def begins(self, facts: Mapping[str, Any]) -> None:
        self.facts, self._next = facts, facts["lines"]

    def ask(self, state: Mapping[str, Any]) -> str | None:
        if self._next >= (len(self._lines) if self._until is None else self._until):
            return None
        self._next += 1
        return self._lines[self._next - 1]

    def answer(self, reply: Mapping[str, Any]) -> None:
        self.replies.append(dict(reply))
