"""A conversation with KIRA: lines and their replies, in a session without an end. Who types and who shows is a parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from holdfast.errors import Diverged, Interrupted, SessionClosed, StorageError
from holdfast.sessions.session import Run
from holdfast.sessions.steps import Outcome
from holdfast.workflows.registry import OpenSession

if TYPE_CHECKING:
    from holdfast.engines.kira import Kira

WORKFLOW = "conversation"
LEAVING = ("/exit", "/quit")
MOST_CHARACTERS = 16_000
"""Of a line. A longer one is refused, and its beginning recorded."""
_ENDS_THE_RUN = (StorageError, Diverged, SessionClosed, OSError)


class Partner(Protocol):
    """Who types the lines and is shown the replies. What `ask` raises ends the conversation, and nothing is recorded of it."""

    def begins(self, facts: Mapping[str, Any], /) -> None:
        """The session is open: session, attempt, lines (recorded so far), owed (the last of them is run and answered first, for
        it has no checkpoint), state (before that one), names (what a line may begin with)."""

    def ask(self, state: Mapping[str, Any], /) -> str | None:
        """The next line; None at the end. A line that is not UTF-8 comes with its bytes as lone surrogates."""

    def answer(self, reply: Mapping[str, Any], /) -> None:
        """The reply to a line: number, line, replayed (an earlier attempt recorded the line), type, result, state."""


class _Left(Interrupted):
    """The conversation is over for now: no failure, and nothing that the next one does not go on from."""


def converse(session: OpenSession, partner: Partner, *, seed: int = 0, k_threshold: int = 7) -> None:
    """Talk with KIRA, every line and all that follows from it saved as it happens.

    session: opens one, as `functools.partial(holdfast.session, "kira")` does. A line is flushed before it is run, and a
    checkpoint follows its reply: a kill loses nothing that was answered, and a line without its checkpoint is run again to
    the same end by the next attempt, and answered. Returns where partner.ask returns None, or the line is /exit or /quit;
    the session stays to be gone on with. seed, k_threshold: what the conversation began with, else SettingsDiffer.
    """
    from holdfast.engines.kira import Kira  # here: what it takes to import, `import holdfast` does not pay for
    from holdfast.workflows.saving import Saving

    engine = Kira(seed=seed, k_threshold=k_threshold)
    saving = Saving(engine)
    config = {"workflow": WORKFLOW, "seed": seed, "k_threshold": k_threshold}
    try:
        with session(track={"kira": saving}, config=config) as run:
            saving.attach(run)
            _talk(run, engine, partner)
    except _Left:
        pass


def _talk(run: Run, engine: Kira, partner: Partner) -> None:
    is_asked = False

    def asked() -> str:
        nonlocal is_asked
        is_asked = True
        line = partner.ask(_where(engine))
        if line is None or line.strip().lower() in LEAVING:
            raise _Left("left")
        return line[: MOST_CHARACTERS + 1]

    has_begun = False
    for index in run.loop(checkpoint_every=1):
        if not has_begun:
            partner.begins(_facts(run, engine, index))
            has_begun = True
        is_asked = False
        line = run.once("line", asked)
        reply = run.step("command", _outcome, engine, line)
        partner.answer({"number": index + 1, "line": line, "replayed": not is_asked, **reply})


def _facts(run: Run, engine: Kira, index: int) -> dict[str, Any]:
    is_owed = run.replay_total > 0  # the line is the first thing that a step records
    return {
        "session": run.name,
        "attempt": run.attempt,
        "lines": index + is_owed,
        "owed": is_owed,
        "state": _where(engine),
        "names": _names(),
    }


def _outcome(engine: Kira, line: str) -> Outcome:
    """The reply to a line. Whatever is wrong with the line, or with the engine, is a reply too."""
    if (wrong := _objection(line)) is not None:
        reply = _refusal(wrong)
    else:
        before = engine.state_dict()
        try:
            reply = engine.execute(line)
        except _ENDS_THE_RUN:
            raise
        except Exception as fault:
            # An exception would fail every attempt from now on, as each begins by running this line again.
            engine.load_state_dict(before)
            reply = _refusal(
                f"KIRA failed ({type(fault).__name__}: {fault}), which is a fault of ours; it is as it was before this line"
            )
    reply["state"] = _where(engine)
    return Outcome(reply, status="error" if reply["type"] == "error" else "ok")


def _objection(line: str) -> str | None:
    """Why a line is not run at all; None where it is."""
    if len(line) > MOST_CHARACTERS:
        return f"the line has more than {MOST_CHARACTERS:,} characters. Nothing was changed; say it in several"
    try:
        line.encode()
    except UnicodeEncodeError as error:
        return f"the line is not UTF-8 from its character {error.start + 1} on. Nothing was changed; type it again"
    return None


def _refusal(why: str) -> dict[str, Any]:
    return {"type": "error", "result": {"command": "", "error": why}}


def _where(engine: Kira) -> dict[str, Any]:
    return {**engine.state.recorded(), "tier": engine.state.tier}


def _names() -> list[str]:
    """What a line may begin with, for whoever completes it."""
    from holdfast.engines.kira import TOOL_REGISTRY, prompt, ucf

    commands = [name for command in prompt.COMMANDS for name in command.names]
    behind_ucf = [f"{ucf.PREFIX}{name}" for name in (*ucf.COMMANDS, *TOOL_REGISTRY)]
    return list(dict.fromkeys((*commands, *behind_ucf, *LEAVING)))
