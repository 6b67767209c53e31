"""nuclear_spinner: a wheel of nine machines that makes lattice tokens, one at a time or all 972."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from msgspec import Meta, field

from holdfast.engines.kira.constants import PHI_INV
from holdfast.engines.kira.lattice import FORMULA, LATTICE
from holdfast.engines.kira.tiers import SPIRAL_OF_PHASE
from holdfast.engines.kira.tools.arguments import Count, Result
from holdfast.engines.kira.tools.fingerprint import fingerprint
from holdfast.engines.kira.tools.tool import Memory, Tool, refused
from holdfast.errors import InvalidValue
from holdfast.tokens import DOMAINS, MACHINES, OPERATORS, SPIRALS, Junk, parse, token_pattern

SOURCE = "nuclear_spinner"
SAMPLE_SIZE = 6
TURN = 2 * math.pi * PHI_INV
"""Our choice: each step turns the wheel by the golden angle, which visits all machines evenly and never repeats."""

Steps = Annotated[int, Meta(ge=1, le=1_000)]
Token = Annotated[str, Meta(min_length=1, max_length=120, examples=[LATTICE[0]])]
Pattern = Annotated[str, Meta(min_length=1, max_length=120, examples=["Φ×|*|celestial"])]


def activations(angle: float) -> list[float]:
    """How active each machine is, 0 to 1, with the wheel turned by `angle`: greatest where it points."""
    return [(1 + math.cos(angle - 2 * math.pi * index / len(MACHINES))) / 2 for index in range(len(MACHINES))]


def matching(tool: Tool[Any], pattern: str) -> list[str]:
    """The lattice's tokens that match a pattern; a tool refuses one that is none."""
    try:
        return list(filter(token_pattern(pattern).fullmatch, LATTICE))
    except InvalidValue as error:
        raise refused(tool, error.reason, "ask for Φ×|*|celestial, Φ×|Reactor, or *") from None


class SpinnerMemory(Memory):
    steps: Count = 0
    visits: list[Count] = field(default_factory=list)
    last_token: str = ""
    lattices: Count = 0

    def __post_init__(self) -> None:
        if len(self.visits) not in (0, len(MACHINES)):
            raise ValueError(f"{len(MACHINES)} visits belong here, or none")


class NuclearSpinner(Tool[SpinnerMemory]):
    """Makes lattice tokens and announces them in batches, with its own name as their source. None of them counts as emitted."""

    name, default_action, empty = SOURCE, "status", SpinnerMemory

    def do_step(self) -> Result:
        """Turn the wheel once: the machine it points at, the phase's spiral, an operator that the tier allows, any domain."""
        answer = self._turn()
        self._announce([answer["token"]])
        return answer

    def do_run(self, *, steps: Steps = 30) -> Result:
        """Several turns, announced as one batch."""
        tokens = [self._turn()["token"] for _ in range(steps)]
        self._announce(tokens)
        return {"ran": steps, "sample": tokens[:SAMPLE_SIZE], "distinct": len(set(tokens)), **self.do_status()}

    def _turn(self) -> Result:
        state, memory, rng = self.engine.state, self.memory, self.engine.rng
        active = activations(state.theta + TURN * (memory.steps + 1))
        machine = active.index(max(active))
        operator = rng.choice(state.tier_now.operators)
        token = f"{SPIRAL_OF_PHASE[state.phase]}{operator}|{MACHINES[machine]}|{rng.choice(DOMAINS)}"
        memory.steps += 1
        memory.visits = memory.visits or [0] * len(MACHINES)
        memory.visits[machine] += 1
        memory.last_token = token
        return {
            "step": memory.steps,
            "token": token,
            "active_machine": MACHINES[machine],
            "all_activations": dict(zip(MACHINES, active, strict=True)),
            "z": state.z,
            "phase": state.phase.value,
            "negentropy": state.negentropy,
            "coherence": state.coherence,
        }

    def do_tokens(self) -> Result:
        """Announce the whole lattice as one batch. The answer holds a sample and a digest: `export` gives the tokens."""
        self.memory.lattices += 1
        self._announce(LATTICE)
        return {
            "total_tokens": len(LATTICE),
            "formula": FORMULA,
            "sample": list(LATTICE[:SAMPLE_SIZE]),
            "digest": fingerprint(LATTICE),
            "lattices_announced": self.memory.lattices,
        }

    def do_parse(self, *, token: Token) -> Result:
        """What a token says. Refused if it is of no grammar."""
        found = parse(token)
        if isinstance(found, Junk):
            raise refused(self, f"{token!r} is no token: {found.reason}", f"write one as {LATTICE[0]}")
        return {"token": str(found), "grammar": found.grammar, **asdict(found)}

    def do_export(self, *, pattern: Pattern = "*") -> Result:
        """The lattice's tokens that match a pattern, and how they spread. Announces nothing."""
        tokens = matching(self, pattern)
        spread = {
            "spiral": {spiral: sum(token.startswith(spiral) for token in tokens) for spiral in SPIRALS},
            "operator": {sign: sum(token.split("|")[0].endswith(sign) for token in tokens) for sign in OPERATORS},
            "machine": {machine: sum(f"|{machine}|" in token for token in tokens) for machine in MACHINES},
            "domain": {domain: sum(token.endswith(domain) for token in tokens) for domain in DOMAINS},
        }
        return {"tokens": tokens, "count": len(tokens), "pattern": pattern, "counts": spread}

    def do_status(self) -> Result:
        memory = self.memory
        return {
            "steps_total": memory.steps,
            "visits": dict(zip(MACHINES, memory.visits or [0] * len(MACHINES), strict=True)),
            "last_token": memory.last_token or None,
            "lattices_announced": memory.lattices,
        }

    def _announce(self, tokens: Sequence[str]) -> None:
        state, listener, count = self.engine.state, self.engine.listener, len(tokens)
        if listener is not None:
            listener.tokens(
                tokens,
                z=[state.z] * count,
                phase=[state.phase.value] * count,
                tier=[state.tier_index] * count,
                source=[SOURCE] * count,
            )
