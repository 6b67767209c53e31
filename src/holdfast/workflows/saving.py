"""Saving attached to a KIRA engine: a session hears what the engine does, and holds its past."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from holdfast import codec
from holdfast.engines.kira import Kira
from holdfast.sessions.session import Run
from holdfast.workflows.past import Logged, text_of

RECENT_TOKENS, RECENT_EMISSIONS = 64, 8  # that stand in every checkpoint; what is older is read from the log


class Saving:
    """An engine as the tracked object of a session, which `attach` makes its listener.

    From then on the engine's `tokens_emitted` and `emissions` are lazy sequences over the log, and checkpoints hold their
    numbers and the last few. A token counts as the engine's where its record names a source.
    """

    def __init__(self, engine: Kira) -> None:
        self.engine = engine
        self.tokens: Logged[str] = Logged(
            belongs=lambda fields: fields["kind"] == "token" and fields.get("source") is not None,
            item_of=text_of,
            record=lambda run, text: run.token(text, source="append"),
            recent=RECENT_TOKENS,
        )
        self.emissions: Logged[dict[str, Any]] = Logged(
            belongs=lambda fields: fields["kind"] == "emission",
            item_of=_emission_of,
            record=_record_emission,
            recent=RECENT_EMISSIONS,
        )

    def attach(self, run: Run) -> None:
        """Have the session hear and hold everything from now on."""
        self.tokens.run = self.emissions.run = run
        self.engine.tokens_emitted, self.engine.emissions = self.tokens, self.emissions
        self.engine.listener = Heard(run, self.tokens.heard, self.emissions.heard)

    def state_dict(self) -> dict[str, Any]:
        """The engine's state, and where its past stands."""
        return {
            "engine": self.engine.state_dict(),
            "tokens": self.tokens.state_dict(),
            "emissions": self.emissions.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Undo state_dict; the past comes from the log."""
        self.engine.load_state_dict(state["engine"])
        self.tokens.load_state_dict(state["tokens"])
        self.emissions.load_state_dict(state["emissions"])


class Heard:
    """A listener that records what it hears, and tells the engine's past of it."""

    def __init__(self, run: Run, token: Callable[[str], None], emission: Callable[[dict[str, Any]], None]) -> None:
        self._run, self._token, self._emission = run, token, emission

    def token(
        self,
        text: str,
        /,
        *,
        z: float | None = None,
        phase: str | None = None,
        tier: int | None = None,
        source: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        """Record a token."""
        self._run.token(text, z=z, phase=phase, tier=tier, source=source, meta=meta)
        self._token(text)

    def tokens(self, texts: Iterable[str], /, **columns: Any) -> None:
        """Record a batch of tokens; they are none that the engine emitted."""
        self._run.tokens(texts, **columns)

    def emission(self, text: str, /, *, tokens: Iterable[str] = (), **fields: Any) -> None:
        """Record an emission."""
        made_of = list(tokens)
        self._run.emission(text, tokens=made_of, **fields)
        self._emission(_emission(text, made_of, fields))

    def module(self, name: str, result: Any, /, **fields: Any) -> None:
        """Record the result of a module."""
        self._run.module(name, result, **fields)

    def transition(self, before: Any, after: Any, /) -> None:
        """Record a change of state."""
        self._run.transition(before, after)

    def event(self, name: str, /, **data: Any) -> None:
        """Record anything else."""
        self._run.event(name, **data)


def _emission_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    tokens: Any = codec.decode(fields.get("tokens", []))
    return _emission(str(fields["text"]), list(tokens), fields)


def _emission(text: str, tokens: list[str], fields: Mapping[str, Any]) -> dict[str, Any]:
    """An emission as the engine keeps it."""
    return {
        "text": text,
        "z": fields.get("z"),
        "phase": fields.get("phase"),
        "tokens": tokens,
        "quality": fields.get("quality"),
    }


def _record_emission(run: Run, emission: Mapping[str, Any]) -> None:
    known = {name: emission[name] for name in ("tokens", "z", "phase", "quality") if emission.get(name) is not None}
    run.emission(emission["text"], **known)
