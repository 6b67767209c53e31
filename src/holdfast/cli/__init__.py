"""The command: one file per command, written against the public names alone (docs/command.md)."""

import signal
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0; 1 nothing found, or a failed check; 2 wrong usage, or an error of ours.

    Ctrl-C ends with 130. What a command starts may end us with 75: that passes through.
    """
    from holdfast.cli.app import run

    if arguments is None:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `holdfast … | head` ends as any other program does
        arguments = sys.argv[1:]
    return run(list(arguments) or ["--help"])
