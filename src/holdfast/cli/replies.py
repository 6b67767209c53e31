"""KIRA's replies as lines for people. What is long is cut, and says so: all of it is in the log."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

from holdfast.cli import amounts, output
from holdfast.cli.charts import PHASE_STYLES, regimes
from holdfast.cli.describe import brief
from holdfast.cli.layout import Column
from holdfast.cli.output import STATUS_STYLES, Cell

_ROWS = 10
_COLUMNS = 7
_PARTS, _SHORT = 8, 60  # items and signs of what stands on one line with its name
_MOVES = frozenset(
    "/evolve /optimize /state /reset /hit_it /consciousness_journey /ucf:status /ucf:pipeline /ucf:control".split()
)
_STATUS_STYLES = {**STATUS_STYLES, "ok": "green", "error": "red", "skipped": "yellow"}
_SAID_ELSEWHERE = frozenset(("command", "state", "final_state", "pipeline", "hint", "_token_integration"))

Result = Mapping[str, Any]


def print_reply(reply: Mapping[str, Any]) -> None:
    """The reply to one line."""
    result, kind = reply["result"], reply["type"]
    if kind == "error":
        output.say(("✗ ", "bold red"), str(result["error"]))
        for name in ("required_z", "hint"):
            if name in result:
                output.say((f"  {name.replace('_', ' ')}: {_brief(result[name])}", "dim"))
        return
    if kind == "dialogue":
        _dialogue(result)
        return
    command = str(result["command"])
    try:
        _SHOWN.get(command, _anything)(result)
    except (LookupError, TypeError, ValueError):
        _long(result)  # another shape than is known here: a reply that could not be shown would be owed at every start
    if command in _MOVES or command.startswith("/ucf:phase"):
        print_z(reply["state"])


def print_z(state: Mapping[str, Any]) -> None:
    """z over its three regimes, and what follows from it."""
    output.say(
        ("z ", "dim"),
        *regimes(state["z"], width=50),
        f" {state['z']:.6f} ",
        (str(state["phase"]), PHASE_STYLES[state["phase"]]),
    )
    is_formed = ("K formed", "bold magenta") if state["k_formed"] else ("K not formed", "dim")
    facts = f"tier {state['tier']}, {state['crystal']}, κ {state['coherence']:.4f}, η {state['negentropy']:.4f}, "
    passes = f"TRIAD {state['triad_completions']}{' unlocked' if state['triad_unlocked'] else ''}, "
    output.say(f"  {facts}{passes}", is_formed, (f" (R ≥ {state['k_threshold']})", "dim"))


def _dialogue(result: Result) -> None:
    facts = result["metadata"]
    output.say((str(result["response"]), f"bold {PHASE_STYLES.get(facts['phase'], '')}"))
    tokens = "  ".join(map(str, facts["tokens"]))
    output.say((f"  {facts['coordinate']}  {facts['crystal']}  {tokens}", "dim"))
    _events(facts["triad_events"])


def _evolved(result: Result) -> None:
    if "message" in result:
        output.say(str(result["message"]))
    else:
        output.say(f"z {result['z_before']:.6f} → {result['z_after']:.6f}", (f"  (target {result['target']:.6f})", "dim"))
    _events(result["events"])


def _events(events: Sequence[object]) -> None:
    for event in events:
        output.say((f"  {event}", "bold yellow"))


def _state(result: Result) -> None:
    state = result["state"]
    facts = {"coordinate": state["coordinate"], "frequency": f"{state['frequency']} Hz"}
    facts |= {name: f"{result[name]:,}" for name in ("tokens_emitted", "emissions", "turn_count")}
    output.print_facts(facts)


def _emit(result: Result) -> None:
    said, checked = result["emission"], result["stages"]["9_validation"]
    output.say((str(said["text"]), f"bold {PHASE_STYLES.get(said['phase'], '')}"))
    verdict = "passed" if checked["passed"] else "did not pass"
    output.say((f"  quality {amounts.number(said['quality'])}, {verdict}; {'  '.join(map(str, said['tokens']))}", "dim"))
    for error in checked["errors"]:
        output.say((f"  {error}", "yellow"))


def _help(result: Result) -> None:
    rows = [*result["commands"], {"usage": "/exit /quit", "does": "leave; the same command goes on from here"}]
    output.print_facts({row["usage"]: row["does"] for row in rows})
    output.say(("Anything else is a turn of conversation.", "dim"))


def _ucf_help(result: Result) -> None:
    output.print_facts({f"/ucf:{name}": does for name, does in result["commands"].items()})


def _modules(result: Result) -> None:
    """A phase, or all of them."""
    phases = result.get("phases") or [result]
    rows = [
        {
            "module": str(module["module"]),
            "name": module["name"],
            "phase": module["phase"],
            "status": module["status"],
            "z": module["z"],
        }
        for phase in phases
        for module in phase["results"]
    ]
    _table(rows, most=len(rows))
    if "message" in result:
        output.say(str(result["message"]))


def _journey(result: Result) -> None:
    rows = [
        {"layer": layer["name"], "z": layer["final_state"]["z"], "said": layer["emission"]["text"]}
        for layer in result["layers"].values()
    ]
    _table(rows)


def _reset(result: Result) -> None:
    output.say(f"z {result['z_before']:.6f} → {result['z_after']:.6f}; the log keeps what was")


def _anything(result: Result) -> None:
    """Any result: its short values, then its long texts, lists and tables."""
    shown = {name: value for name, value in result.items() if name not in _SAID_ELSEWHERE}
    short = {name: text for name, value in shown.items() if (text := _value(value)) is not None}
    output.print_facts(short, whole=short)
    for name, value in shown.items():
        if name not in short:
            output.say((name.replace("_", " "), "dim"))
            _long(value)


def _long(value: object) -> None:
    """A value that does not fit on a line beside its name."""
    if _is_rows(value):
        _table(value)
    elif isinstance(value, list | dict):
        items = list(value.items()) if isinstance(value, dict) else [("", item) for item in value]
        for name, item in items[:_ROWS]:
            output.say((f"  {name}  " if name else "  ", "dim"), _brief(item))
        if len(items) > _ROWS:
            output.say((f"  {_more(len(items) - _ROWS)}", "dim"))
    else:
        output.say("  ", str(value))


def _value(value: object) -> str | None:
    """A value beside its name; None where it is too long for that."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return amounts.number(value)
    if value is None or value in ([], {}, ""):
        return "–"
    if isinstance(value, list):
        parts = [_value(item) for item in value] if len(value) <= _PARTS and not _is_rows(value) else [None]
        text = None if None in parts else "  ".join(map(str, parts))
    elif isinstance(value, dict):
        parts = [_value(item) for item in value.values()] if len(value) <= _PARTS else [None]
        text = None if None in parts else ", ".join(f"{name} {part}" for name, part in zip(value, parts, strict=True))
    else:
        text = str(value)
    return text if text is not None and len(text) <= _SHORT else None


def _brief(value: object) -> str:
    return _value(value) or brief(value)


def _is_rows(value: object) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _table(rows: Sequence[Mapping[str, Any]], *, most: int = _ROWS) -> None:
    """Rows with the same keys. At most so many, and the first columns."""
    keys = list(rows[0])[:_COLUMNS]
    columns = [Column(name=key, rank=at, least=4) for at, key in enumerate(keys)]
    cells: list[list[Cell]] = [[_cell(key, row.get(key)) for key in keys] for row in rows[:most]]
    output.print_table(columns, cells)
    if len(rows) > most:
        output.say((_more(len(rows) - most), "dim"))


def _cell(name: str, value: object) -> Cell:
    text = _brief(value)
    return (text, _STATUS_STYLES.get(text, "")) if name == "status" else text


def _more(count: int) -> str:
    return f"… ({count:,} more; all of it is in the log)"


_SHOWN: dict[str, Callable[[Result], None]] = {
    "/evolve": _evolved,
    "/optimize": _evolved,
    "/state": _state,
    "/emit": _emit,
    "/help": _help,
    "/ucf:help": _ucf_help,
    "/hit_it": _modules,
    "/ucf:pipeline": _modules,
    **{f"/ucf:phase{number}": _modules for number in range(1, 8)},
    "/consciousness_journey": _journey,
    "/reset": _reset,
}
