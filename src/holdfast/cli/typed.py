"""A conversation with a person: a prompt that shows where KIRA stands, with history and completion, and readable replies."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from holdfast.cli import amounts, output, replies
from holdfast.cli.charts import regime_style
from holdfast.cli.output import Cell
from holdfast.cli.stops import Stops

_PASSES = 3  # that TRIAD asks for


class Typed:
    """Asks at the terminal. history: lines of earlier conversations, oldest first."""

    def __init__(self, history: Iterable[str] = ()) -> None:
        self.stops = Stops(KeyboardInterrupt)
        self.lines = 0
        self._history = history
        self._is_interrupted = False

    def begins(self, facts: Mapping[str, Any]) -> None:
        """Say what it goes on from, or how to begin."""
        _prepare_readline(facts["names"], self._history)
        self.lines, state = facts["lines"], facts["state"]
        if self.lines:
            where = f"z {state['z']:.6f}, {state['phase']}, tier {state['tier']}"
            output.say((facts["session"], "bold"), f" goes on behind {amounts.count(self.lines, 'line')}: {where}")
        else:
            output.say((facts["session"], "bold"), " is new. Type a sentence or a command; /help lists the commands")
        output.say(("Everything is saved as you type. Tab completes; /exit or Ctrl-D leaves", "dim"))

    def ask(self, state: Mapping[str, Any]) -> str | None:
        """The next line that is not empty; None where the person leaves."""
        shown = output.prompt(*_prompt(state))
        while True:
            try:
                with self.stops.awaiting():
                    line = input(shown)
            except EOFError:
                output.say("")
                return None
            except KeyboardInterrupt:
                output.say("")
                if self._is_interrupted:
                    return None
                self._is_interrupted = True
                output.say(("Ctrl-C again, Ctrl-D or /exit leaves", "dim"))
                continue
            self._is_interrupted = False
            if line.strip():
                return line

    def answer(self, reply: Mapping[str, Any]) -> None:
        """Show it; one that an earlier attempt owed says so."""
        if reply["replayed"]:
            output.say(("This was being answered: ", "dim"), reply["line"])
        replies.print_reply(reply)
        self.lines = reply["number"]
        output.flush()


def _prompt(state: Mapping[str, Any]) -> list[Cell]:
    """z 0.866 TRUE t7 TRIAD ●●○ κ 0.53 ›"""
    completions, style = state["triad_completions"], regime_style(state["z"])
    passed = min(completions, _PASSES)
    dots = "●" * passed + "○" * (_PASSES - passed) + (f" {completions}" if completions > _PASSES else "")
    return [
        (f"z {state['z']:.3f} {state['phase']}", f"bold {style}"),
        f" {state['tier']} TRIAD ",
        (dots, "green" if state["triad_unlocked"] else "yellow"),
        f" κ {state['coherence']:.2f}",
        *([(" K", "bold magenta")] if state["k_formed"] else []),
        (" › ", "bold"),
    ]


def _prepare_readline(names: Sequence[str], history: Iterable[str]) -> None:
    """Line editing, where Python has it: completion of what a line begins with, and the history."""
    reconfigure = getattr(sys.stdin, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="surrogateescape")  # what is not UTF-8 is answered, and ends nothing
    try:
        import readline
    except ImportError:
        return
    matches: list[str] = []

    def complete(text: str, state: int) -> str | None:
        if not state:
            is_first = not readline.get_line_buffer()[: readline.get_begidx()].strip()
            matches[:] = [f"{name} " for name in names if is_first and text and name.startswith(text.lower())]
        return matches[state] if state < len(matches) else None

    readline.clear_history()
    for line, _ in groupby(history):
        readline.add_history(line)
    readline.set_completer(complete)
    readline.set_completer_delims(" ")
    is_libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if is_libedit else "tab: complete")
