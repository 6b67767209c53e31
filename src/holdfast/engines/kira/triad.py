"""TRIAD: three passes upward over 0.85, each after a fall to 0.82, unlock tier 6 for good."""

from holdfast.engines.kira.constants import TRIAD_COMPLETIONS_REQUIRED, TRIAD_HIGH, TRIAD_LOW
from holdfast.engines.kira.fields import Fields, a_text
from holdfast.engines.kira.history import History
from holdfast.engines.kira.state import State

EVENTS_KEPT = 100


class Triad:
    """The state machine over a state's three TRIAD facts, with a log of what it did."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.events: History[str] = History(limit=EVENTS_KEPT)

    @property
    def completions(self) -> int:
        return self._state.triad_completions

    @property
    def unlocked(self) -> bool:
        return self._state.triad_unlocked

    @property
    def above_band(self) -> bool:
        return self._state.above_band

    def update(self) -> list[str]:
        """Look at the present z, change what it changes, and return what happened as the original's texts.

        The third pass is told as the unlocking alone. Completions go on counting after it.
        """
        state, happened = self._state, ""
        if not state.above_band and state.z >= TRIAD_HIGH:
            state.above_band = True
            state.triad_completions += 1
            happened = f"↑ RISING EDGE #{state.triad_completions}"
            if state.triad_completions >= TRIAD_COMPLETIONS_REQUIRED and not state.triad_unlocked:
                state.triad_unlocked = True
                happened = "★ TRIAD UNLOCKED ★"
        elif state.above_band and state.z <= TRIAD_LOW:
            state.above_band = False
            happened = "↓ REARM (hysteresis)"
        if not happened:
            return []
        self.events.append(f"z={state.z:.4f}: {happened}")
        return [happened]

    def clear(self) -> None:
        """Forget the log. The facts lie in the state."""
        self.events.clear()

    def state_dict(self) -> dict[str, object]:
        return {"events": self.events.state_dict()}

    def load(self, fields: Fields) -> History[str]:
        """The log that a state_dict holds, for the caller to put in place once all else is read."""
        return History.from_state(fields.fields("events"), a_text, limit=EVENTS_KEPT)
