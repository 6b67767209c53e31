"""A conversation with a program: lines from standard input, a JSON document for each reply."""

import sys
from collections.abc import Mapping
from typing import Any

from holdfast import Interrupted
from holdfast.cli import output
from holdfast.cli.stops import Stops

_MOST_BYTES = 256 << 10
"""Of a line. What follows is read and dropped: an endless line takes no more memory than that."""


class Piped:
    """Reads lines, and prints one JSON document for the opening and one for each reply, each flushed at once."""

    def __init__(self) -> None:
        self.stops = Stops(lambda: Interrupted("SIGINT"))

    def begins(self, facts: Mapping[str, Any]) -> None:
        """Print where the conversation goes on."""
        output.print_json({"type": "session", **{name: value for name, value in facts.items() if name != "names"}})
        output.flush()

    def ask(self, state: Mapping[str, Any]) -> str | None:
        """The next line, without its end; None where there is none."""
        with self.stops.awaiting():
            data = sys.stdin.buffer.readline(_MOST_BYTES)
            more = data
            while len(more) == _MOST_BYTES and not more.endswith(b"\n"):
                more = sys.stdin.buffer.readline(_MOST_BYTES)
        return data.decode("utf-8", "surrogateescape").rstrip("\r\n") if data else None

    def answer(self, reply: Mapping[str, Any]) -> None:
        """Print it."""
        line = str(reply["line"]).encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # what is no UTF-8 as U+FFFD
        output.print_json({**reply, "line": line})
        output.flush()
