"""Saving attached to a KIRA engine: a session hears what the engine does, and holds its past."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from holdfast import codec
from holdfast.engines.kira import Kira
from holdfast.engines.kira.fields import a_text, an_emission
from holdfast.sessions.session import Run
from holdfast.workflows.past import Logged, exact_text, text_of

RECENT_TOKENS, RECENT_EMISSIONS = 64, 8  # that stand in every checkpoint; what is older is read from the log
MARK = {"past": "kira"}
"""In the meta of a record: its token or emission is part of the engine's past, and none that a program recorded beside it."""


class Saving:
    """An engine as the tracked object of a session, which `attach` makes its listener.

    From then on the engine's `tokens_emitted` and `emissions` are lazy sequences over the log, and checkpoints hold their
    numbers and the last few. What counts is what the engine announces one by one; its record is marked by MARK.
    """

    def __init__(self, engine: Kira) -> None:
        self.engine = engine
        self.tokens: Logged[str] = Logged(
            kind="token", belongs=_is_marked, item_of=text_of, record=_record_token, checked=_a_token, recent=RECENT_TOKENS
        )
        self.emissions: Logged[dict[str, Any]] = Logged(
            kind="emission",
            belongs=_is_marked,
            item_of=_emission_of,
            record=_record_emission,
            checked=an_emission,
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
        self._run.token(text, z=z, phase=phase, tier=tier, source=source, meta=_marked(meta))
        self._token(text)

    def tokens(self, texts: Iterable[str], /, **columns: Any) -> None:
        """Record a batch of tokens; they are none that count as emitted."""
        self._run.tokens(texts, **columns)

    def emission(
        self, text: str, /, *, tokens: Iterable[str] = (), meta: Mapping[str, Any] | None = None, **fields: Any
    ) -> None:
        """Record an emission."""
        made_of = list(tokens)
        self._run.emission(text, tokens=made_of, meta=_marked(meta), **fields)
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


def _is_marked(fields: Mapping[str, Any]) -> bool:
    meta = fields.get("meta")
    return isinstance(meta, dict) and meta.get("past") == MARK["past"]


def _marked(meta: Mapping[str, Any] | None) -> dict[str, Any]:
    return {**meta, **MARK} if meta else MARK


def _a_token(value: object, path: str) -> str:
    return str.__str__(a_text(value, path))


def _emission_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    text = exact_text(fields["text"], fields.get("raw"))
    return _emission(text, codec.decode(fields.get("tokens", [])), fields)


def _emission(text: str, tokens: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """An emission as the engine keeps it, sharing nothing."""
    known = {name: fields.get(name) for name in ("z", "phase", "quality")}
    return an_emission({"text": text, "tokens": tokens, **known}, "emission")


def _record_token(run: Run, text: str) -> None:
    run.token(text, source="append", meta=MARK)


def _record_emission(run: Run, emission: Mapping[str, Any]) -> None:
    run.emission(**emission, meta=MARK)
