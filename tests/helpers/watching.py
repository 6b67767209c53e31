"""Watchers of workflows that end a process, or note what they see."""

from collections.abc import Callable, Mapping
from typing import Any

from holdfast import Phase, Plan, Run, Stage


class Noting:
    """Notes each stage; `at_stage` is called when one begins, `at_open` when the session is open."""

    def __init__(
        self,
        at_stage: Callable[[Stage], object] = lambda stage: None,
        at_open: Callable[[Run], object] = lambda run: None,
    ) -> None:
        self.began_stages: list[int] = []
        self.ended_stages: list[int] = []
        self.state: Callable[[], Mapping[str, Any]] = dict
        self.run: Run | None = None
        self._at_stage, self._at_open = at_stage, at_open

    def opened(self, run: Run) -> None:
        self.run = run
        self._at_open(run)

    def planned(self, plan: Plan, state: Callable[[], Mapping[str, Any]]) -> None:
        self.state = state

    def began(self, phase: Phase, stage: Stage) -> None:
        self.began_stages.append(stage.index)
        self._at_stage(stage)

    def ended(self, phase: Phase, stage: Stage) -> None:
        self.ended_stages.append(stage.index)
