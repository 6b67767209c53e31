"""Everything that is printed: JSON and tables on standard output, messages on standard error.

A text is printed so that it stays text: control signs in recorded values are shown, not obeyed.
"""

import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from holdfast.cli.layout import GAP, Column, fit

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A cell that is drawn as wide as there is room: `draw` makes it of at most so many signs, `width` is the most it wants."""

    draw: Callable[[int], str]
    width: int
    style: str = ""


@dataclass(frozen=True, kw_only=True)
class Marked:
    """A text of which some stretches stand out."""

    text: str
    spans: Sequence[tuple[int, int]]
    style: str

    def pieces(self) -> Iterator[tuple[str, str]]:
        """The text in pieces, each with its style."""
        at = 0
        for start, end in self.spans:
            yield self.text[at:start], ""
            yield self.text[start:end], self.style
            at = end
        yield self.text[at:], ""


Cell = str | tuple[str, str] | Marked | Picture
"""A text, a text and its style, one with stretches of another style, or a picture."""

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


def prompt(*parts: Cell) -> str:
    """One line as a text for input(). Its colours, where the terminal has some, are marked as taking no room."""
    from rich.text import Text

    console = _console(sys.stdout)
    with console.capture() as captured:
        console.print(Text().join(_text(part) for part in parts), soft_wrap=True, end="")
    return re.sub(r"(\x1b\[[0-9;]*m)+", lambda found: f"\1{found[0]}\2", captured.get())


def line_width() -> int:
    """How many signs fit into a line of standard output."""
    return _console(sys.stdout).width


def tell(text: str) -> None:
    """Print a message for people, on standard error."""
    print(printable(text), file=sys.stderr)


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> None:
    """Print a table with a head, without the columns in which nothing stands. The last cell of a row that is shorter than the
    head has the rest of the line.

    Where it does not fit columns are cut, with an ellipsis, or left out; no cell is wrapped.
    """
    from rich.cells import cell_len

    console, cells = _console(sys.stdout), [list(row) for row in rows]
    natural = [0] * len(columns)
    for row in cells:
        for index, cell in enumerate(row if len(row) == len(columns) else row[:-1]):
            natural[index] = max(natural[index], cell.width if isinstance(cell, Picture) else cell_len(_plain(cell)[0]))
    natural = [max(width, cell_len(column.name)) if width else 0 for column, width in zip(columns, natural, strict=True)]
    widths = fit(columns, natural, console.width)
    head: list[list[Cell]] = [[(column.name, "dim") for column in columns]]
    painted, lines = _painter(console), []
    for row in head + cells:  # not by rich's texts: a list of 10,000 sessions would take seconds
        line, room, pad = "", console.width, ""
        for index, (cell, width) in enumerate(zip(row, widths, strict=False)):
            is_rest = index + 1 == len(row) < len(columns)
            if not width and not is_rest:
                continue
            text, style = _plain(cell, room if is_rest else width)
            text = _cut(text, room if is_rest else width, cell_len)
            missing = " " * (0 if is_rest else width - cell_len(text))
            before, behind = (missing, "") if columns[index].right else ("", missing)
            if text:
                shown = _with_marks(cell, text, painted) if isinstance(cell, Marked) else painted(text, style)
                line, pad = f"{line}{pad}{before}{shown}", ""
            else:
                before, behind = "", missing
            pad += behind + " " * GAP
            room -= width + GAP
        lines.append(f"{line}\n")
    sys.stdout.write("".join(lines))


def print_facts(facts: Mapping[str, Cell], *, whole: Collection[str] = ()) -> None:
    """Print named values, a line each, cut where it does not fit; those in `whole` are for pasting, and never cut."""
    from rich.text import Text

    console, room = _console(sys.stdout), max(map(len, facts), default=0) + GAP
    for name, cell in facts.items():
        line = Text().join((_text((f"{name:<{room}}", "dim")), _text(cell)))  # `+` would lend its style to the whole line
        if name not in whole:
            line.truncate(console.width, overflow="ellipsis")
        console.print(line, soft_wrap=True)


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


@contextmanager
def progress_by_session(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each session that something is done with; the function it gives is told its name, how much is done, and of how
    much."""
    with ExitStack() as stack:
        bars: dict[str, Callable[[int], None]] = {}

        def told(session: str, done: int, total: int) -> None:
            if session not in bars:
                stack.close()
                bars[session] = stack.enter_context(progress(f"{what} {session}", total))
            bars[session](done)

        yield told


def console_for_messages() -> "Console":
    """The terminal of messages, for what is drawn there while something runs."""
    return _console(sys.stderr)


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


def _text(cell: Cell, width: int | None = None) -> "Text":
    from rich.text import Text

    if isinstance(cell, Picture):
        return Text(cell.draw(cell.width if width is None else width), cell.style)
    if isinstance(cell, Marked):
        return Text().join(Text(printable(part), style) for part, style in cell.pieces())
    text, style = (cell, "") if isinstance(cell, str) else cell
    return Text(printable(text), style)


def _plain(cell: Cell, width: int | None = None) -> tuple[str, str]:
    """A cell's text and style; a picture drawn as wide as `width`."""
    if isinstance(cell, Picture):
        return cell.draw(cell.width if width is None else width), cell.style
    if isinstance(cell, Marked):
        return printable(cell.text), ""
    text, style = (cell, "") if isinstance(cell, str) else cell
    return printable(text), style


def _with_marks(cell: Marked, text: str, painted: Callable[[str, str], str]) -> str:
    """What is left of a cell's text after cutting, with its marks."""
    end = len(text) if printable(cell.text).startswith(text) else len(text) - 1  # then an ellipsis is last
    left, shown = end, ""
    for part, style in cell.pieces():
        kept = printable(part)[:left]
        shown, left = shown + painted(kept, style), left - len(kept)
    return shown + text[end:]


def _painter(console: "Console") -> Callable[[str, str], str]:
    """What gives a text its style, in the colours that the console has."""
    from rich.console import COLOR_SYSTEMS

    marks: dict[str, list[str]] = {"": ["", ""]}

    def painted(text: str, style: str) -> str:
        if style not in marks:
            look = console.get_style(style)
            look = look.without_color if console.no_color else look
            system = COLOR_SYSTEMS[console.color_system] if console.color_system else None
            marks[style] = look.render("\0", color_system=system).split("\0")
        before, behind = marks[style]
        return f"{before}{text}{behind}"

    return painted


def _cut(text: str, width: int, cell_len: Callable[[str], int]) -> str:
    """The text, with an ellipsis at its end where it is too long."""
    if cell_len(text) <= width:
        return text
    if width < 1:
        return ""
    from rich.cells import set_cell_size

    return set_cell_size(text, width - 1) + "…"


def _console(stream: TextIO) -> "Console":
    from rich.console import Console

    width = None if stream.isatty() or "COLUMNS" in os.environ else _WIDE
    return Console(file=stream, highlight=False, emoji=False, markup=False, width=width)
