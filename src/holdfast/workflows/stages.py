"""The stages of a workflow in their order, and running them as steps of a session."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from holdfast.errors import Interrupted, UsageError
from holdfast.sessions.session import Run
from holdfast.sessions.steps import Outcome


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage, with its number in the whole plan."""

    index: int
    name: str
    act: Callable[[], Outcome]


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Stages that belong together. name: what records say; title: for people."""

    name: str
    title: str
    stages: tuple[Stage, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All a workflow does."""

    title: str
    phases: tuple[Phase, ...]

    def __iter__(self) -> Iterator[tuple[Phase, Stage]]:
        return ((phase, stage) for phase in self.phases for stage in phase.stages)

    def __len__(self) -> int:
        return sum(len(phase.stages) for phase in self.phases)

    def last_of(self, wanted: str) -> Stage:
        """The stage that a name means: a stage's number or name (its last, where several have it), or a phase's last stage.
        Raises UsageError."""
        return self._of(wanted)[-1]

    def first_of(self, wanted: str) -> Stage:
        """The same with the first."""
        return self._of(wanted)[0]

    def key_before(self, stage: Stage) -> str | None:
        """The key of the step before a stage (docs/format.md, "Resume"); None for the first."""
        names = [other.name for _, other in self if other.index < stage.index]
        return f"{names[-1]}#{names.count(names[-1]) - 1}" if names else None

    def _of(self, wanted: str) -> list[Stage]:
        for phase in self.phases:
            if wanted in (phase.name, phase.title):
                return list(phase.stages)
        if found := [stage for _, stage in self if wanted in (stage.name, str(stage.index))]:
            return found
        phases = ", ".join(phase.name for phase in self.phases)
        raise UsageError(
            f"{wanted!r} is no stage of {self.title}: give a phase ({phases}), a stage's name, or 1 to {len(self)}"
        )


class Watcher(Protocol):
    """Who is shown what happens: the terminal. It records nothing, and what it raises ends the run."""

    def opened(self, run: Run) -> None:
        """The session is open, and nothing was run yet."""

    def planned(self, plan: Plan, state: Callable[[], Mapping[str, Any]]) -> None:
        """These stages are coming; `state` tells where what is trained stands whenever it is called."""

    def began(self, phase: Phase, stage: Stage) -> None:
        """A stage is being run; never for one that an earlier attempt recorded."""

    def ended(self, phase: Phase, stage: Stage) -> None:
        """A stage is recorded, by this attempt or an earlier one."""


class Unwatched:
    """Nobody looks."""

    def opened(self, run: Run) -> None:
        """See Watcher."""

    def planned(self, plan: Plan, state: Callable[[], Mapping[str, Any]]) -> None:
        """See Watcher."""

    def began(self, phase: Phase, stage: Stage) -> None:
        """See Watcher."""

    def ended(self, phase: Phase, stage: Stage) -> None:
        """See Watcher."""


class Stopped(Interrupted):
    """The run stopped behind the stage it was told to stop at; the same line without that goes on."""


def run_stages(
    run: Run,
    plan: Plan,
    *,
    until: str | None = None,
    watch: Watcher | None = None,
    state: Callable[[], Mapping[str, Any]] = dict,
) -> None:
    """Run each stage as a step of the session: result, transition and checkpoint are one piece, and a stage that an earlier
    attempt recorded is not run again. The checkpoint at the end of a phase has the phase's name, and is kept; at a change
    of phase everything is flushed. `state` tells `watch` where what is trained stands. Raises Stopped behind `until`, and
    UsageError where there is no such stage."""
    watch = watch or Unwatched()
    last = plan.last_of(until) if until is not None else None
    watch.planned(plan, state)

    def perform(phase: Phase, stage: Stage) -> Outcome:
        watch.began(phase, stage)
        outcome = stage.act()
        if stage is phase.stages[-1]:
            run.checkpoint(phase.name)
        return outcome

    for phase in plan.phases:
        for stage in phase.stages:
            run.step(stage.name, perform, phase, stage)
            watch.ended(phase, stage)
            if stage is last and stage is not plan.phases[-1].stages[-1]:
                raise Stopped(f"told to stop behind stage {stage.index}, {stage.name}")
        run.flush()
