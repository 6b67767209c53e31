"""What KIRA's commands do. Each answers a dict with `command`; one that is refused has an `error`, and changed nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from holdfast.engines.kira import coherence as shared_words
from holdfast.engines.kira import compose as composing
from holdfast.engines.kira import grammar as parts_of_speech
from holdfast.engines.kira.constants import (
    TRIAD_COMPLETIONS_REQUIRED,
    TRIAD_HIGH,
    TRIAD_LOW,
    TRIAD_T6,
    Z_CRITICAL,
)
from holdfast.engines.kira.emission import Wording
from holdfast.engines.kira.fields import WrongArgument
from holdfast.engines.kira.lattice import FORMULA, LATTICE
from holdfast.engines.kira.semantics import learning_rate
from holdfast.tokens import OPERATORS, SPIRALS, LatticeToken, SlotToken, parse

if TYPE_CHECKING:
    from holdfast.engines.kira.engine import Kira

P = ParamSpec("P")
Answer = dict[str, Any]

EVOLVE_STEPS = 10
OPTIMIZE_STEPS = 6
OPTIMIZE_UP_TO = 0.95
SAMPLE = 6
SPUN_KEPT = 12
"""So many tokens of a spin count as emitted."""
MOST_SHOWN = 1_000
"""So many tokens an engine keeps."""


def answers(
    command: str, example: str
) -> Callable[[Callable[Concatenate[Kira, P], Answer]], Callable[Concatenate[Kira, P], Answer]]:
    """Make what a function returns the answer of `command`, and what it refuses an answer too, with an example."""

    def decorate(function: Callable[Concatenate[Kira, P], Answer]) -> Callable[Concatenate[Kira, P], Answer]:
        def answer(engine: Kira, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
            try:
                return {"command": command, **function(engine, *args, **kwargs)}
            except WrongArgument as error:
                return {"command": command, "error": f"{error} An example: {example}"}

        return update_wrapper(answer, function)

    return decorate


@answers("/state", "/state")
def state(engine: Kira) -> Answer:
    return {
        "state": engine.state.to_dict(),
        "k_formation": engine.state.k_formation(),
        "turn_count": engine.turn_count,
        "tokens_emitted": len(engine.tokens_emitted),
        "emissions": len(engine.emissions),
        "tier": engine.get_tier()[0],
    }


@answers("/train", "/train")
def train(engine: Kira) -> Answer:
    return {
        "stats": engine.network.statistics(),
        "z": engine.state.z,
        "lr_multiplier": 1 + engine.state.z,
        "recent_events": [dict(event) for event in engine.network.exchanges.latest(5)],
    }


@answers("/evolve", "/evolve 0.88")
def evolve(engine: Kira, target: float | str | None = None) -> Answer:
    goal = Z_CRITICAL if target is None else _number(target, "target")
    before = engine.state.z
    events = engine.evolve_z(goal, EVOLVE_STEPS)
    return {
        "z_before": before,
        "z_after": engine.state.z,
        "target": goal,
        "events": events,
        "coordinate": engine.state.coordinate,
        "phase": engine.state.phase.value,
        "k_formation": engine.state.k_formation(),
    }


@answers("/optimize", "/optimize")
def optimize(engine: Kira) -> Answer:
    """Evolve to somewhere between the lens (or z, where it is higher) and 0.95.

    Our choice: from above 0.95 the whole range from the lens to 0.95 is drawn from (there the bounds were swapped).
    """
    z = engine.state.z
    target = engine.rng.uniform(max(z, Z_CRITICAL) if z <= OPTIMIZE_UP_TO else Z_CRITICAL, OPTIMIZE_UP_TO)
    events = engine.evolve_z(target, OPTIMIZE_STEPS)
    return {
        "target_z": target,
        "events": events,
        "coordinate": engine.state.coordinate,
        "learning_rate": learning_rate(engine.state.z, engine.state.coherence),
        "message": f"z went from {z:.6f} to {engine.state.z:.6f}, {engine.state.phase.value}",
        "k_formation": engine.state.k_formation(),
    }


@answers("/grammar", "/grammar the lens crystallizes consciousness")
def grammar(engine: Kira, text: str) -> Answer:
    return parts_of_speech.analyse(text)


@answers("/coherence", "/coherence, after two turns of conversation")
def coherence(engine: Kira, contexts: Sequence[str] | None = None) -> Answer:
    """Of the given texts, or else of what was said and answered in the last turns."""
    if contexts is None:
        contexts = [turn[who] for turn in engine.turns for who in ("user", "response")]
    elif isinstance(contexts, str) or not isinstance(contexts, Sequence):
        raise WrongArgument("contexts", f"a list of texts belongs here, and {type(contexts).__name__} came")
    return shared_words.analyse(contexts, engine.state)


@answers("/emit", "/emit consciousness,pattern")
def emit(engine: Kira, concepts: Sequence[str] | None = None) -> Answer:
    return composing.compose(engine, concepts, Wording())


@answers("/tokens", "/tokens 20")
def tokens(engine: Kira, count: int | str = 10) -> Answer:
    """Show the last tokens; none is made."""
    wanted = _whole(count, "count")
    emitted = engine.tokens_emitted
    shown = list(emitted[-min(wanted, MOST_SHOWN, len(emitted)) :]) if emitted else []
    tier, allows = engine.get_tier()
    return {
        "total_emitted": len(engine.tokens_emitted),
        "showing": len(shown),
        "tokens": [_described(token) for token in shown],
        "current_tier": tier,
        "available_operators": allows["operators"],
    }


@answers("/triad", "/triad")
def triad(engine: Kira) -> Answer:
    machine = engine.triad
    return {
        "unlocked": machine.unlocked,
        "completions": machine.completions,
        "required": TRIAD_COMPLETIONS_REQUIRED,
        "above_band": machine.above_band,
        "thresholds": {"HIGH": TRIAD_HIGH, "LOW": TRIAD_LOW, "T6": TRIAD_T6},
        "current_z": engine.state.z,
        "t6_gate": TRIAD_T6 if machine.unlocked else Z_CRITICAL,
        "events": machine.events.latest(10),
    }


@answers("/spin", "/spin")
def spin(engine: Kira) -> Answer:
    """Make the lattice; its first twelve tokens count as emitted."""
    for token in LATTICE[:SPUN_KEPT]:
        engine.keep_token(token, "spin")
    engine.has_spun = True
    return {
        "status": "SUCCESS",
        "total_tokens": len(LATTICE),
        "sample": list(LATTICE[:SAMPLE]),
        "formula": FORMULA,
        "tokens": list(LATTICE),
        "message": f"{len(LATTICE)} tokens made, the first {SPUN_KEPT} of them emitted",
    }


@answers("/reset", "/reset")
def reset(engine: Kira) -> Answer:
    before = engine.state.z
    cleared = engine.reset()
    return {"z_before": before, "z_after": engine.state.z, "cleared": cleared}


@answers("/save", "/save")
def save(engine: Kira) -> Answer:
    return {
        "status": _saving(engine),
        "counts": _counts(engine),
        "message": "Everything is saved as it happens: nothing was left to do."
        if engine.listener is not None
        else "Nobody hears this engine, and nothing was saved: keep its state_dict(), or run it in a session.",
    }


@answers("/export", "/export")
def export(engine: Kira, name: str = "") -> Answer:
    """The name is taken and not used, as in the original."""
    return {
        "status": _saving(engine),
        "counts": {**_counts(engine), "vocabulary": engine.network.word_count},
        "spin_tokens": len(engine.last_spin_tokens),
        "message": "This engine writes no files: what it announces lies in the log of its session, which ordinary tools read.",
    }


def not_offered(command: str) -> Answer:
    """The answer of a command of the original that goes beyond the engine."""
    return {"command": command, "error": f"{command} is not offered here: {NOT_OFFERED[command]}. Nothing was changed."}


NOT_OFFERED = {
    "/read": "an engine opens no files; read the file yourself and say or /emit what it holds",
    "/claude": "an engine reaches no other service, and asks no language model; type plain text for a turn of conversation",
    "/training": "an engine starts no remote workflow; a workflow runs here with: holdfast run NAME",
    "/training:poll": "there is no remote workflow to ask; look at a session here with: holdfast show SESSION",
}


def _saving(engine: Kira) -> str:
    """Whether someone hears what happens. Who that is, and whether it saves, an engine does not know."""
    return "no_listener" if engine.listener is None else "announced_as_it_happens"


def _counts(engine: Kira) -> dict[str, int]:
    return {
        "history_turns": engine.turn_count,
        "tokens": len(engine.tokens_emitted),
        "emissions": len(engine.emissions),
        "relations": engine.network.link_count,
    }


def _described(text: str) -> dict[str, Any]:
    """A token with its meanings; one that no grammar knows stands without."""
    token = parse(text)
    spiral = token.spiral if isinstance(token, LatticeToken | SlotToken) else None
    operator = token.operator if isinstance(token, LatticeToken | SlotToken) else None
    return {
        "token": text,
        "spiral": spiral,
        "spiral_meaning": SPIRALS[spiral] if spiral else None,
        "operator": operator,
        "operator_meaning": OPERATORS[operator] if operator else None,
        "slot": f"{token.slot}{token.index}" if isinstance(token, SlotToken) else None,
        "tier": f"t{token.tier}" if isinstance(token, SlotToken) else None,
    }


def _number(value: object, name: str) -> float:
    """A number, also one that was typed."""
    try:
        return float(value) if isinstance(value, str) else value  # type: ignore[return-value]  # evolve_z checks it
    except ValueError:
        raise WrongArgument(name, f"{value!r} is no number from 0 to 1") from None


def _whole(value: object, name: str) -> int:
    """A whole number of at least 1, also one that was typed."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:9])
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise WrongArgument(name, f"{value!r} is no whole number of at least 1")
    return value
