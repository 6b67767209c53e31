"""`/ucf:` commands: every tool, phase and faculty of the engine under one short name."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from holdfast.engines.kira import coherence, constants, grammar
from holdfast.engines.kira.fields import WrongArgument
from holdfast.engines.kira.lattice import FORMULA
from holdfast.engines.kira.modules import PHASES
from holdfast.engines.kira.syntax import MOST_OPERATORS, patterns_at, sentence_tokens, syntax_tier_at
from holdfast.engines.kira.tools.arguments import Action, Name, Refused, Result, plain_value
from holdfast.engines.kira.tools.registry import ToolBox

if TYPE_CHECKING:
    from holdfast.engines.kira.engine import Kira

PREFIX = "/ucf:"
SAMPLE_SIZE = 10

TOOL_ALIASES = {
    "helix": "helix_loader",
    "detector": "coordinate_detector",
    "verifier": "pattern_verifier",
    "logger": "coordinate_logger",
    "transfer": "state_transfer",
    "consent": "consent_protocol",
    "messenger": "cross_instance_messenger",
    "discovery": "tool_discovery_protocol",
    "trigger": "autonomous_trigger_detector",
    "memory": "collective_memory_sync",
    "shed": "shed_builder_v2",
    "vaultnode": "vaultnode_generator",
    "emission": "emission_pipeline",
    "control": "cybernetic_control",
    "cybernetic": "cybernetic_control",
    "spinner": "nuclear_spinner",
    "index": "token_index",
    "vault": "token_vault",
    "archetypal": "cybernetic_archetypal",
    "orchestrator": "orchestrator",
    "workspace": "workspace",
    "cloud": "cloud_training",
}
PHASE_COMMANDS = (*(f"phase{number}" for number in PHASES), "pipeline")
FACULTIES = tuple(
    "grammar discourse coherence generation semantics dialogue apl tokens972 tier status triad codex constants help".split()
)
COMMANDS = (*TOOL_ALIASES, *PHASE_COMMANDS, *FACULTIES)
"""The 44 names. The full names of the tools are taken too."""

_SENTENCE_END = re.compile(r"[.!?\n]+")
_ASSIGNMENT = re.compile(r"\w+=")

Words = Annotated[list[Name], Meta(min_length=1, max_length=16, examples=[["pattern", "lens"]])]
Concepts = Annotated[list[Name], Meta(min_length=1, max_length=5, examples=[["pattern", "emergence"]])]
Speech = Annotated[str, Meta(min_length=1, max_length=4_000, pattern=r"\S", examples=["The lens holds. The pattern emerges."])]


@dataclass(frozen=True, kw_only=True)
class UcfResult:
    """What a command gave. status is ERROR if and only if the result has an `error`."""

    command: str
    status: Literal["SUCCESS", "ERROR"]
    result: Result
    timestamp: None = None
    """Always None, our choice: the engine reads no clock. When a result was recorded, the record says."""


class Ucf:
    """The commands of one engine. Those without a tool or phase behind them are the methods `do_<name>`."""

    def __init__(self, engine: Kira) -> None:
        self._engine = engine

    def execute_command(self, command: str, args: str | Mapping[str, object] | None = None) -> UcfResult:
        """Do `/ucf:name`, with arguments behind it or in `args`: a mapping, a JSON object, or `key=value` texts.

        A first word without `=` is the action of a tool, or, for commands about a text, the whole rest is the text.
        Whatever is wrong with a command is answered as ERROR, and nothing is changed.
        """
        name = command
        try:
            name, given = _split(command, args)
            result = self._dispatched(name, given)
        except (Refused, WrongArgument) as refusal:
            result = {"error": str(refusal)}
        status: Literal["SUCCESS", "ERROR"] = "ERROR" if "error" in result else "SUCCESS"
        return UcfResult(command=f"{PREFIX}{name}" if isinstance(name, str) else PREFIX, status=status, result=result)

    def _dispatched(self, name: str, given: str | Mapping[str, object]) -> Result:
        tool = TOOL_ALIASES.get(name, name)
        if tool in ToolBox.facts:
            return self._engine.invoke_tool(tool, **_tool_arguments(tool, given))
        if name in PHASE_COMMANDS:
            if given:
                raise Refused(f"{PREFIX}{name}: it takes no arguments; leave {given!r} out")
            return self._engine.cmd_hit_it() if name == "pipeline" else self._engine.run_phase(name)
        if name in FACULTIES:
            action = _faculty(name)
            arguments = _texts(given, action) if isinstance(given, str) else given
            return action.function(self, **action.bound(arguments))
        near = get_close_matches(name, [*COMMANDS, *ToolBox.facts], n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"{PREFIX}help lists the {len(COMMANDS)} there are"
        raise Refused(f"{PREFIX}{name}: there is no such command; {hint}")

    def do_grammar(self, *, text: Speech) -> Result:
        """Parts of speech and operators of a text."""
        return grammar.analyse(text)

    def do_discourse(self, *, text: Speech) -> Result:
        """Each sentence's grammar, and how they hang together."""
        sentences = _sentences(text)
        return {
            "sentences": [grammar.analyse(sentence) for sentence in sentences],
            "coherence": coherence.analyse(sentences, self._engine.state),
        }

    def do_coherence(self, *, text: Speech | None = None) -> Result:
        """How the sentences of a text hang together; without one, what was said last."""
        if text is None:
            return self._engine.cmd_coherence()
        return coherence.analyse(_sentences(text), self._engine.state)

    def do_generation(self, *, concepts: Concepts | None = None) -> Result:
        """A text from concepts, as /emit."""
        return self._engine.cmd_emit(concepts)

    def do_semantics(self, *, words: Words | None = None) -> Result:
        """What was learned, and the strongest neighbours of words."""
        network = self._engine.network
        related = {word: [list(link) for link in network.related(word)] for word in words or []}
        return {**network.statistics(), "related": related}

    def do_dialogue(self, *, text: Speech) -> Result:
        """A turn of conversation."""
        return self._engine.cmd_dialogue(text)

    def do_apl(self) -> Result:
        """The sentences of operators that may be said at this z, and the tokens of the first."""
        z = self._engine.state.z
        patterns = patterns_at(z)
        return {"z": z, "syntax_tier": syntax_tier_at(z), "patterns": list(patterns), "tokens": sentence_tokens(patterns[0], z)}

    def do_tokens972(self) -> Result:
        """All tokens of the lattice. They become last_spin_tokens; none is announced."""
        self._engine.has_spun = True
        tokens = self._engine.generate_spinner_tokens()
        return {
            "total_tokens": len(tokens),
            "formula": FORMULA,
            "sample": tokens[:SAMPLE_SIZE],
            "tokens": tokens,
            "message": f"{len(tokens)} tokens; module 15 announces them, this does not",
        }

    def do_tier(self) -> Result:
        """The tier of single tokens, and the syntax's, which bounds sentences."""
        tier, allows = self._engine.get_tier()
        syntax_tier = syntax_tier_at(self._engine.state.z)
        return {"tier": tier, **allows, "syntax_tier": syntax_tier, "most_operators": MOST_OPERATORS[syntax_tier - 1]}

    def do_status(self) -> Result:
        """The state, the tools within reach, and how the modules ended."""
        engine = self._engine
        return {
            "state": engine.state.recorded(),
            "k_formation": engine.state.k_formation(),
            "tools_accessible": engine.tools.within_reach(engine.state.z),
            "modules": engine.pipeline.totals(),
            "tokens_emitted": len(engine.tokens_emitted),
            "emissions": len(engine.emissions),
            "turn_count": engine.turn_count,
        }

    def do_triad(self) -> Result:
        """TRIAD's facts and its last events."""
        return self._engine.cmd_triad()

    def do_codex(self) -> Result:
        """The texts in the codex, and the last ones made."""
        return self._engine.tools["emission_pipeline"].run("recent")

    def do_constants(self) -> Result:
        """The numbers of the physics."""
        return {name: value for name, value in vars(constants).items() if name.isupper()}

    def do_help(self) -> Result:
        """Every command with what it does."""
        tools = {alias: ToolBox.facts[tool].does for alias, tool in TOOL_ALIASES.items()}
        phases = {f"phase{number}": f"Run phase {number}, {name}." for number, name in PHASES.items()}
        faculties = {name: (_method(name).__doc__ or "").partition("\n")[0] for name in FACULTIES}
        return {"commands": {**tools, **phases, "pipeline": "Run all 33 modules.", **faculties}, "count": len(COMMANDS)}


def _method(name: str) -> Callable[..., Result]:
    method: Callable[..., Result] = getattr(Ucf, f"do_{name}")
    return method


@cache
def _faculty(name: str) -> Action:
    return Action(f"{PREFIX}{name}", _method(name), opening=f"{PREFIX}{name}")


def _split(command: object, args: object) -> tuple[str, str | Mapping[str, object]]:
    """The command's name, and its arguments as text or as a mapping."""
    if not isinstance(command, str) or not command.strip():
        raise Refused(f"{PREFIX}: a command belongs here, and {command!r} came; {PREFIX}help lists them")
    name, _, rest = command.strip().removeprefix(PREFIX).partition(" ")
    if args is not None and not isinstance(args, str | Mapping):
        raise Refused(f"{PREFIX}{name}: arguments are a text or a mapping, and {type(args).__name__} came")
    given = args if isinstance(args, Mapping) else f"{rest} {args or ''}".strip()
    if isinstance(given, Mapping):
        if rest.strip():
            raise Refused(f"{PREFIX}{name}: arguments stand behind the command and in args; give them in one place")
        if not all(isinstance(key, str) for key in given):
            raise Refused(f"{PREFIX}{name}: the names of arguments are texts; {list(given)} came")
        return name, given
    if given.startswith("{"):
        try:
            loaded: object = json.loads(given)
        except (ValueError, RecursionError) as error:
            raise Refused(
                f'{PREFIX}{name}: the arguments are no JSON ({error}); write {{"key": "value"}} or key=value'
            ) from None
        mapping: dict[str, object] = plain_value(loaded, f"{PREFIX}{name}")
        return name, mapping
    return name, given


def _tool_arguments(tool: str, given: str | Mapping[str, object]) -> dict[str, Any]:
    if not isinstance(given, str):
        return dict(given)
    words = _words(given, f"{PREFIX}{tool}")
    action = words.pop(0) if words and not _ASSIGNMENT.match(words[0]) else ""
    texts = _assigned(words, f"{PREFIX}{tool}")
    action = action or texts.pop("action", "")
    return {"action": action, **ToolBox.facts[tool].tool.action(action).read_texts(texts)}


def _texts(given: str, action: Action) -> dict[str, object]:
    """A faculty's arguments: `key=value` texts, or the one argument it has."""
    if not given:
        return {}
    if _ASSIGNMENT.match(given):
        return action.read_texts(_assigned(_words(given, action.call), action.call))
    if not action.types:
        raise Refused(f"{action.call}: it takes no arguments; leave {given!r} out")
    return action.read_texts({next(iter(action.types)): given})


def _words(text: str, call: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise Refused(f"{call}: {error}; close the quotation, or give the arguments as JSON") from None


def _assigned(words: list[str], call: str) -> dict[str, str]:
    """The words as name → text."""
    texts: dict[str, str] = {}
    for word in words:
        name, sign, text = word.partition("=")
        if not sign or not name.isidentifier():
            raise Refused(f"{call}: {word!r} is no key=value; quote values with blanks, as in text='two words'")
        if name in texts:
            raise Refused(f"{call}: {name}= is given twice; give it once")
        texts[name] = text
    return texts


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]
