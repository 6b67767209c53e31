"""A typed line: which command it is, what its arguments are, and the reply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from holdfast.engines.kira import commands, ucf
from holdfast.engines.kira.commands import Answer
from holdfast.engines.kira.dialogue import take_turn
from holdfast.engines.kira.fields import WrongArgument
from holdfast.engines.kira.journey import journey

if TYPE_CHECKING:
    from holdfast.engines.kira.engine import Kira


@dataclass(frozen=True)
class Command:
    """A command: its names (the first is shown), what may follow it, what it does, and how the rest of a line is run."""

    names: tuple[str, ...]
    argument: str
    does: str
    run: Callable[[Kira, str], Answer]


def _bare(run: Callable[[Kira], Answer]) -> Callable[[Kira, str], Answer]:
    return lambda engine, _: run(engine)


def _refused(command: str) -> Callable[[Kira, str], Answer]:
    return lambda engine, _: commands.not_offered(command)


COMMANDS = (
    Command(("/state",), "", "where the engine stands", _bare(commands.state)),
    Command(("/evolve",), "[z]", "move z to a target, or to the lens", lambda e, rest: commands.evolve(e, rest or None)),
    Command(("/optimize",), "", "move z to somewhere between the lens and 0.95", _bare(commands.optimize)),
    Command(("/emit",), "[a,b,c]", "say a sentence of concepts", lambda e, rest: commands.emit(e, _listed(rest, ","))),
    Command(("/tokens",), "[n]", "show the last tokens", lambda e, rest: commands.tokens(e, rest or 10)),
    Command(("/triad",), "", "how far TRIAD is", _bare(commands.triad)),
    Command(("/spin", "/nuclear"), "", "make the 972 tokens of the lattice", _bare(commands.spin)),
    Command(("/hit_it", "/hitit", "/hit"), "", "run the 33 modules", lambda e, _: e.cmd_hit_it()),
    Command(("/grammar",), "text", "parts of speech and their operators", lambda e, rest: commands.grammar(e, rest)),
    Command(
        ("/coherence",),
        "[a; b; c]",
        "what texts have in common; without any, the last turns",
        lambda e, rest: commands.coherence(e, _listed(rest, ";")),
    ),
    Command(("/train",), "", "what was learned", _bare(commands.train)),
    Command(
        ("/consciousness_journey", "/journey", "/consciousness", "/7layers"), "", "walk through seven layers", _bare(journey)
    ),
    Command(("/reset",), "", "start anew", _bare(commands.reset)),
    Command(("/save",), "", "where everything is saved", _bare(commands.save)),
    Command(("/export",), "[name]", "where everything can be read", lambda e, rest: commands.export(e, rest)),
    Command((f"{ucf.PREFIX}help",), "", f"the {len(ucf.COMMANDS)} commands that begin so", lambda e, _: _ucf(e, "help")),
    Command(("/help",), "", "this list", lambda e, _: help_text()),
    Command(("/read",), "", "not offered here", _refused("/read")),
    Command(("/claude",), "", "not offered here", _refused("/claude")),
    Command(("/training",), "", "not offered here", _refused("/training")),
    Command(("/training:poll",), "", "not offered here", _refused("/training:poll")),
)
_SHOWN = 60  # characters of a name that is no command
_TAKES_ANYTHING = ("/read", "/claude", "/training", "/training:poll")


def execute(engine: Kira, line: str) -> dict[str, Any]:
    """Run a line: a command, or plain text as a turn of conversation. Replies {type, result, state}.

    `type` is command, dialogue or error; an error's result has `command` and `error`, and nothing was changed.
    """
    if not isinstance(line, str):
        raise WrongArgument("line", f"a text belongs here, and {type(line).__name__} came")
    text = line.strip()
    kind = "command" if text.startswith("/") else "dialogue"
    if kind == "command":
        result = _run(engine, text)
    else:
        result = turn(engine, text)
    return {"type": "error" if "error" in result else kind, "result": result, "state": engine.state.recorded()}


def turn(engine: Kira, text: str) -> Answer:
    """A turn of conversation; a text without words is an error."""
    try:
        return take_turn(engine, text)
    except WrongArgument as error:
        return {"command": "", "error": f"{error} Type a sentence, or /help."}


def help_text() -> Answer:
    """The list of commands, as text and as rows."""
    rows = [{"usage": f"{' '.join(command.names)} {command.argument}".strip(), "does": command.does} for command in COMMANDS]
    width = max(len(row["usage"]) for row in rows)
    lines = [f"{row['usage']:<{width}}  {row['does']}" for row in rows]
    return {"command": "/help", "text": "\n".join([*lines, "Anything else is a turn of conversation."]), "commands": rows}


def _ucf(engine: Kira, text: str) -> Answer:
    done = engine.ucf.execute_command(text)
    return {"command": done.command, **done.result}


def _run(engine: Kira, text: str) -> Answer:
    name, rest = (*text.split(maxsplit=1), "")[:2]
    for command in COMMANDS:
        if name.lower() in command.names:
            if rest and not command.argument and command.names[0] not in _TAKES_ANYTHING:
                return {"command": name, "error": f"{name} takes nothing after it, and {rest!r} came. Nothing was changed."}
            return command.run(engine, rest)
    if text.startswith(ucf.PREFIX):
        return _ucf(engine, text)
    known = [name for command in COMMANDS for name in command.names]
    near = get_close_matches(name[:_SHOWN].lower(), known, n=3, cutoff=0.5)
    advice = f"did you mean {' or '.join(near)}?" if near else "/help lists the commands."
    shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
    return {"command": shown, "error": f"{shown} is no command. Nothing was changed; {advice}"}


def _listed(rest: str, separator: str) -> list[str] | None:
    """The parts of what follows a command; None where nothing does. An empty part stays, to be refused by its place."""
    return [part.strip() for part in rest.split(separator)] if rest else None
