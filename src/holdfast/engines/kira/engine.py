"""KIRA's front: one engine, its state, and what it can be told to do. The work lies in the files beside this one."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from holdfast.engines.kira import commands, journey, prompt
from holdfast.engines.kira import compose as composing
from holdfast.engines.kira.constants import COHERENCE_GAIN, K_R, Z_NOISE
from holdfast.engines.kira.dialogue import KEPT_CHARACTERS
from holdfast.engines.kira.emission import Wording
from holdfast.engines.kira.fields import Fields, WrongArgument, a_text, unit_number
from holdfast.engines.kira.generator import packed_generator, unpacked_generator
from holdfast.engines.kira.history import History
from holdfast.engines.kira.lattice import LATTICE
from holdfast.engines.kira.pipeline import Pipeline
from holdfast.engines.kira.semantics import Network
from holdfast.engines.kira.state import State, negentropy_at
from holdfast.engines.kira.tiers import Window, window_at
from holdfast.engines.kira.tools.registry import ToolBox
from holdfast.engines.kira.triad import Triad
from holdfast.engines.kira.ucf import Ucf
from holdfast.events import Listener

T = TypeVar("T")

_STATE_VERSION = 1
TURNS_KEPT = 10


class Kira:
    """An engine whose state depends on the way it took. Equal seeds and equal calls make equal runs.

    `rng` is its only source of randomness, and it reads no clock. Everything it does is announced to `listener`.
    """

    def __init__(self, *, seed: int = 0, k_threshold: int = K_R, listener: Listener | None = None) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise WrongArgument("seed", f"a whole number belongs here, and {type(seed).__name__} came")
        self.rng = random.Random(seed)
        self.state = State(k_threshold=k_threshold)
        self.triad = Triad(self.state)
        self.network = Network()
        self.listener = listener
        self.turns: History[dict[str, Any]] = History(limit=TURNS_KEPT)
        self.has_spun = False
        self._k_was_formed = False
        self._tokens: Sequence[str] = History()
        self._emissions: Sequence[dict[str, Any]] = History()
        self._window = window_at(self.state.z, unlocked=False)
        self.tools: ToolBox = ToolBox(self)
        self.pipeline: Pipeline = Pipeline(self)
        self.ucf: Ucf = Ucf(self)

    @property
    def tokens_emitted(self) -> Sequence[str]:
        """Every token, as plain text: len() counts all, the last 1,000 are kept.

        Assigning a list puts it in place. Any other sequence (a session's, over its log) is taken as it is: it must
        grow by what the listener hears, for the engine does not append to it, and its items are not in state_dict.
        """
        return self._tokens

    @tokens_emitted.setter
    def tokens_emitted(self, items: Sequence[str]) -> None:
        self._tokens = History(_checked(items, str, "tokens_emitted")) if isinstance(items, list | tuple) else items

    @property
    def emissions(self) -> Sequence[dict[str, Any]]:
        """Every emission (text, z, phase, tokens, quality); the same holds as for tokens_emitted."""
        return self._emissions

    @emissions.setter
    def emissions(self, items: Sequence[dict[str, Any]]) -> None:
        self._emissions = History(_checked(items, dict, "emissions")) if isinstance(items, list | tuple) else items

    @property
    def last_spin_tokens(self) -> list[str]:
        """The lattice that the last spin made; empty before the first."""
        return list(LATTICE) if self.has_spun else []

    def get_tier(self) -> tuple[str, dict[str, Any]]:
        """The present tier's name, and what it allows. Its label is the original's, not always the phase of z (t4)."""
        tier = self.state.tier_now
        return tier.name, {
            "index": tier.index,
            "from_z": tier.low,
            "operators": list(tier.operators),
            "label": tier.label.value,
        }

    def move_to(self, z: float) -> list[str]:
        """Set z, the one way in which it changes in a run: TRIAD looks at it, then K-formation. Returns TRIAD's events.

        Announces phase_change, triad and k_formation where they happen.
        """
        return self._step(unit_number(z, "z"), 0.0)

    def evolve_z(self, target: float, steps: int = 5, *, noise: float = Z_NOISE) -> list[str]:
        """Move z to the target in equal steps, each with Gaussian noise; coherence grows by 0.05 eta at each.

        Returns TRIAD's events. Announces the transition as a whole, after what happened on the way.
        """
        target = unit_number(target, "target")
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise WrongArgument("steps", f"a whole number of at least 1 belongs here, and {steps!r} came")
        before, start, events = self.state.recorded(), self.state.z, []
        for step in range(1, steps + 1):
            z = start + (target - start) * step / steps
            if noise:
                z += self.rng.gauss(0.0, noise)
            z = min(1.0, max(0.0, z))
            events += self._step(z, COHERENCE_GAIN * negentropy_at(z))
        if self.listener is not None:
            self.listener.transition(before, self.state.recorded())
        return events

    def _step(self, z: float, coherence_gain: float) -> list[str]:
        state, listener = self.state, self.listener
        phase = state.phase
        state.z = z
        state.coherence = min(1.0, state.coherence + coherence_gain)
        events = self.triad.update()
        # After TRIAD, not before it as in the original: there it lagged by a step.
        was_formed, self._k_was_formed = self._k_was_formed, state.k_formed
        if listener is not None:
            if state.phase is not phase:
                listener.event("phase_change", before=phase.value, after=state.phase.value, z=z)
            for event in events:
                listener.event("triad", what=event, z=z, completions=state.triad_completions, unlocked=state.triad_unlocked)
            if self._k_was_formed and not was_formed:
                listener.event("k_formation", z=z, **state.k_formation())
        return events

    def emit_token(self, source: str = "emit_token") -> str:
        """Draw one of the tokens that the present tier allows, keep it, announce it, and return it."""
        allowed = self._present_window().tokens
        token = allowed[int(self.rng.random() * len(allowed))]
        self.keep_token(token, source)
        return token

    def keep_token(self, token: str, source: str) -> None:
        """Count a token as emitted and announce it."""
        tokens = self._tokens
        if isinstance(tokens, History):
            tokens.append(token)
        if self.listener is not None:
            z, _, phase, tier_index, _ = self._present_window()
            self.listener.token(token, z=z, phase=phase, tier=tier_index, source=source)

    def _present_window(self) -> Window:
        state, window = self.state, self._window
        if window.z != state.z or window.is_unlocked is not state.triad_unlocked:
            window = self._window = window_at(state.z, unlocked=state.triad_unlocked)
        return window

    def generate_spinner_tokens(self) -> list[str]:
        """The 972 tokens of the lattice in id order. Nothing else changes."""
        return list(LATTICE)

    def compose(
        self,
        concepts: Sequence[str] | None = None,
        *,
        intent: str = "declarative",
        person: int = 3,
        is_plural: bool = False,
        tense: str = "present",
        connects: bool = False,
        force_emergence: bool = False,
    ) -> dict[str, Any]:
        """Say a sentence of up to five concepts through the nine stages, keep it and announce it; returns what /emit does.

        Each of its words emits a token. At a wrong argument WrongArgument, and nothing is changed.
        """
        wording = Wording(
            intent=intent,
            person=person,
            is_plural=is_plural,
            tense=tense,
            connects=connects,
            force_emergence=force_emergence,
        )
        return composing.compose(self, concepts, wording)

    def keep_emission(self, emission: dict[str, Any], meta: Mapping[str, Any] | None = None) -> None:
        """Count an emission (text, z, phase, tokens, quality) and announce it."""
        if isinstance(self._emissions, History):
            self._emissions.append(emission)
        if self.listener is not None:
            self.listener.emission(
                emission["text"],
                tokens=emission["tokens"],
                z=emission["z"],
                phase=emission["phase"],
                quality=emission["quality"],
                meta=meta,
            )

    @property
    def turn_count(self) -> int:
        return len(self.turns)

    def keep_turn(self, said: str, answered: str, *, depth: float) -> None:
        """Count a turn of conversation and announce it. The engine keeps the beginning of the texts."""
        self.turns.append({"turn": len(self.turns) + 1, "user": said[:KEPT_CHARACTERS], "response": answered[:KEPT_CHARACTERS]})
        if self.listener is not None:
            self.listener.event("turn", turn=len(self.turns), user=said, response=answered, depth=depth)

    def reset(self) -> dict[str, int]:
        """Start anew, all history cleared; returns how much of each was.

        Our choice: z, coherence, TRIAD and its log, tokens, emissions, turns, what was learned, and the tools' memories
        go. The threshold, the listener and the generator stay as they are, so the run goes on instead of repeating
        itself. A sequence that a session put in place begins anew; its log keeps what it holds.
        """
        before = self.state.recorded()
        cleared = {
            "tokens": len(self._tokens),
            "emissions": len(self._emissions),
            "turns": len(self.turns),
            "triad_events": len(self.triad.events),
            "exchanges": len(self.network.exchanges),
        }
        self.state.reset()
        self.network = Network(decay=self.network.decay)
        histories: tuple[Any, ...] = (self._tokens, self._emissions, self.turns, self.triad.events)
        for history in histories:  # what a session puts in place can be cleared too
            history.clear()
        self.has_spun = self._k_was_formed = False
        self.tools.clear()
        self.pipeline.clear()
        if self.listener is not None:
            self.listener.event("reset", cleared=cleared)
            self.listener.transition(before, self.state.recorded())
        return cleared

    def execute(self, line: str) -> dict[str, Any]:
        """Run a typed line, a command or plain text: {type, result, state}. See prompt.py."""
        return prompt.execute(self, line)

    def invoke_tool(self, name: str, /, **arguments: object) -> dict[str, Any]:
        """Call one of the 21 tools: action="…" and its arguments. What is refused is answered as {"error": …}."""
        return self.tools.invoke(name, **arguments)

    def run_module(self, number: int, *, announce: bool = True) -> dict[str, Any]:
        """Run one of the 33 modules; see Pipeline.run_module."""
        return self.pipeline.run_module(number, announce=announce)

    def run_phase(self, phase: int | str, *, announce: bool = True) -> dict[str, Any]:
        """Run a phase of modules, given as 3 or "phase3"; see Pipeline.run_phase."""
        return self.pipeline.run_phase(phase, announce=announce)

    def cmd_hit_it(self) -> dict[str, Any]:
        """Run all 33 modules: `phases` has an item for each of the seven, with the results of its modules."""
        return self.pipeline.run_all()

    def cmd_state(self) -> dict[str, Any]:
        return commands.state(self)

    def cmd_train(self) -> dict[str, Any]:
        return commands.train(self)

    def cmd_evolve(self, target: float | str | None = None) -> dict[str, Any]:
        return commands.evolve(self, target)

    def cmd_optimize(self) -> dict[str, Any]:
        return commands.optimize(self)

    def cmd_grammar(self, text: str) -> dict[str, Any]:
        return commands.grammar(self, text)

    def cmd_coherence(self, contexts: Sequence[str] | None = None) -> dict[str, Any]:
        return commands.coherence(self, contexts)

    def cmd_emit(self, concepts: Sequence[str] | None = None) -> dict[str, Any]:
        return commands.emit(self, concepts)

    def cmd_tokens(self, count: int | str = 10) -> dict[str, Any]:
        return commands.tokens(self, count)

    def cmd_triad(self) -> dict[str, Any]:
        return commands.triad(self)

    def cmd_spin(self) -> dict[str, Any]:
        return commands.spin(self)

    def cmd_consciousness_journey(self) -> dict[str, Any]:
        return journey.journey(self)

    def cmd_reset(self) -> dict[str, Any]:
        return commands.reset(self)

    def cmd_save(self) -> dict[str, Any]:
        return commands.save(self)

    def cmd_export(self, name: str = "") -> dict[str, Any]:
        return commands.export(self, name)

    def cmd_help(self) -> dict[str, Any]:
        return prompt.help_text()

    def cmd_dialogue(self, text: str) -> dict[str, Any]:
        """A turn of conversation: {response, metadata}."""
        return prompt.turn(self, text)

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what the engine does next, of bounded size."""
        return {
            "version": _STATE_VERSION,
            "state": self.state.state_dict(),
            "rng": packed_generator(self.rng),
            "triad": self.triad.state_dict(),
            "network": self.network.state_dict(),
            "tokens": _history_state(self._tokens),
            "emissions": _history_state(self._emissions),
            "turns": self.turns.state_dict(),
            "has_spun": self.has_spun,
            "k_was_formed": self._k_was_formed,
            "tools": self.tools.state_dict(),
            "pipeline": self.pipeline.state_dict(),
        }

    def load_state_dict(self, values: Mapping[str, Any], /) -> None:
        """Undo state_dict: the engine goes on exactly as the stored one would have. Announces nothing.

        At a wrong value: InvalidValue that names it, and the engine is as it was. The listener stays, and so does a
        sequence that a session has put in place of a history.
        """
        fields = Fields(values, "kira")
        if fields.count("version") != _STATE_VERSION:
            raise fields.wrong("version", f"{fields.count('version')} is unknown here; {_STATE_VERSION} is read")
        # Everything is read into new objects first; only then is anything changed.
        state, network, generator = State(), Network(), unpacked_generator(fields.fields("rng"))
        state.load_state_dict(fields.mapping("state"))
        network.load_state_dict(fields.mapping("network"))
        triad_events = self.triad.load(fields.fields("triad"))
        tokens = History.from_state(fields.fields("tokens"), a_text)
        emissions = History.from_state(fields.fields("emissions"), _an_emission)
        turns = History.from_state(fields.fields("turns"), _a_turn, limit=TURNS_KEPT)
        has_spun, k_was_formed = fields.flag("has_spun"), fields.flag("k_was_formed")
        pipeline_memory = self.pipeline.read_state(fields.value("pipeline"))
        self.tools.load_state_dict(fields.value("tools"))  # the last that can fail; it changes nothing when it does
        self.pipeline.memory = pipeline_memory
        self.rng.setstate(generator.getstate())
        self.state.load_state_dict(state.state_dict())
        self.triad.events, self.network = triad_events, network
        if isinstance(self._tokens, History):
            self._tokens = tokens
        if isinstance(self._emissions, History):
            self._emissions = emissions
        self.turns, self.has_spun, self._k_was_formed = turns, has_spun, k_was_formed


def _history_state(items: Sequence[Any]) -> dict[str, Any]:
    """A history as state; of any other sequence the count alone, for its items lie elsewhere."""
    return items.state_dict() if isinstance(items, History) else {"count": len(items), "kept": []}


def _a_turn(value: object, path: str) -> dict[str, Any]:
    """For History.from_state: a turn of conversation."""
    fields = Fields(value, path)
    return {"turn": fields.count("turn"), "user": fields.text("user"), "response": fields.text("response")}


def _an_emission(value: object, path: str) -> dict[str, Any]:
    """For History.from_state: an emission."""
    fields = Fields(value, path)
    return {
        "text": fields.text("text"),
        "z": fields.number("z", 0, 1),
        "phase": fields.text("phase"),
        "tokens": fields.texts("tokens"),
        "quality": fields.number("quality"),
    }


def _checked(items: Iterable[T], kind: type[T], name: str) -> Iterator[T]:
    """The items, each of the kind that belongs there."""
    for index, item in enumerate(items):
        if not isinstance(item, kind):
            raise WrongArgument(f"{name}[{index}]", f"a {kind.__name__} belongs here, and {type(item).__name__} came")
        yield item
