"""Everything that is printed: JSON and tables on standard output, messages on standard error.

A text is printed so that it stays text: control signs in recorded values are shown, not obeyed.
"""

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Cell = str | tuple[str, str]
"""A text, or a text and its style."""

STATUS_STYLES = {
    "finished": "green",
    "running": "bold cyan",
    "interrupted": "yellow",
    "killed": "magenta",
    "failed": "red",
    "damaged": "bold red",
    "forked": "blue",
}
_WIDE = 1000  # where no terminal sets a width, nothing is wrapped or cut


def print_json(fields: Mapping[str, Any]) -> None:
    """Print one JSON document on one line."""
    sys.stdout.buffer.write(msgspec.json.encode(fields) + b"\n")


def print_bytes(line: bytes) -> None:
    """Print a stored line as it is."""
    sys.stdout.buffer.write(line + b"\n")


def flush() -> None:
    """Hand on what was printed: for a reader that waits at the other end of a pipe."""
    sys.stdout.flush()


def say(*parts: Cell) -> None:
    """Print one line."""
    from rich.text import Text

    _console(sys.stdout).print(Text().join(_text(part) for part in parts), soft_wrap=True)


def tell(text: str) -> None:
    """Print a message for people, on standard error."""
    print(printable(text), file=sys.stderr)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, right: Collection[str] = ()) -> None:
    """Print a table with a head; the columns named in `right` are set to the right."""
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0), show_header=any(columns))
    for column in columns:
        is_right = column in right
        table.add_column(column, justify="right" if is_right else "left", no_wrap=is_right, overflow="fold")
    for row in rows:
        table.add_row(*map(_text, row))
    _console(sys.stdout).print(table)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error where that is a terminal; the function it gives is told how much of `total` is done."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    look = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*look, console=_console(sys.stderr), transient=True) as bar:
        task = bar.add_task(printable(what), total=total or None)
        yield lambda done: bar.update(task, completed=done)


def printable(text: str) -> str:
    """The text with control and other invisible signs written out, as `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def never_fail_on_a_sign() -> None:
    """Where the terminal's encoding lacks a sign, print a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            reconfigure(errors="replace")


def _text(cell: Cell) -> "Text":
    from rich.text import Text

    text, style = (cell, "") if isinstance(cell, str) else cell
    return Text(printable(text), style)


def _console(stream: TextIO) -> "Console":
    from rich.console import Console

    width = None if stream.isatty() or "COLUMNS" in os.environ else _WIDE
    return Console(file=stream, highlight=False, emoji=False, markup=False, width=width)
