"""What `run` shows while a workflow runs: a live display on a terminal, a line a stage elsewhere."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from holdfast import Phase, Plan, Run, Stage
from holdfast.cli import output
from holdfast.cli.charts import bar, regimes

if TYPE_CHECKING:
    from rich.console import RenderableType

_REFRESHES_A_SECOND = 8


class StageView(AbstractContextManager["StageView"]):
    """Watches a workflow. Nothing it does changes what is recorded; the terminal is as it was when the block is left."""

    def __init__(self, workflow: str, *, is_live: bool) -> None:
        self.run: Run | None = None
        self.began_count = self.ended_count = 0
        self._workflow, self._is_live = workflow, is_live
        self._plan: Plan | None = None
        self._state: Callable[[], Mapping[str, Any]] = dict
        self._now: tuple[Phase, Stage] | None = None
        self._live: Any = None

    def __enter__(self) -> "StageView":
        if self._is_live:
            from rich.live import Live

            self._live = Live(
                console=output.console_for_messages(),
                get_renderable=self._picture,
                refresh_per_second=_REFRESHES_A_SECOND,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def opened(self, run: Run) -> None:
        """See Watcher."""
        self.run = run

    def planned(self, plan: Plan, state: Callable[[], Mapping[str, Any]]) -> None:
        """See Watcher."""
        self._plan, self._state = plan, state

    def began(self, phase: Phase, stage: Stage) -> None:
        """See Watcher."""
        if not self.began_count and self.run is not None and self.run.attempt > 1:
            output.tell(
                f"attempt {self.run.attempt}: going on with stage {stage.index}, {stage.name}; "
                f"{self.run.replay_left:,} records to replay"
            )
        self.began_count += 1
        self._now = phase, stage

    def ended(self, phase: Phase, stage: Stage) -> None:
        """See Watcher."""
        self.ended_count += 1
        if self._live is None and self.began_count and self._plan is not None:
            state = self._state()
            z = f"  z {state['z']:.3f} {state['phase']}" if "z" in state else ""
            output.tell(f"{stage.index:>3}/{len(self._plan)}  {phase.name}  {stage.name}{z}")

    def _picture(self) -> "RenderableType":
        from rich.console import Group
        from rich.panel import Panel
        from rich.text import Text

        run, lines = self.run, []
        if run is None or run.is_closed:
            return Text("")
        if self._plan is not None:
            done, total = self.ended_count, len(self._plan)
            where = f"{self._now[0].title}: {self._now[1].name}" if self._now else "what is recorded already"
            lines.append(Text.assemble((f"{bar(done / total, width=33):<33} ", "cyan"), f"{done}/{total}  ", (where, "bold")))
        state = self._state()
        if isinstance(z := state.get("z"), float):
            lines.append(Text.assemble("z  ", *regimes(z, width=60), f"  {z:.6f} {state.get('phase', '')}"))
        if "triad_completions" in state:
            lines.append(_standing(state))
        health = run.health()
        kinds = health.records_by_kind
        counts = "  ".join(f"{kinds[kind]:,} {kind}" for kind in ("token", "emission", "checkpoint") if kind in kinds)
        each = f", {health.ns_per_record / 1000:,.1f} µs a record" if health.ns_per_record else ""
        lines.append(Text(f"{health.records:,} records  {counts}"))
        lines.append(Text(f"saving takes {health.cost_share:.1%} of the run{each}; lost now by {health.at_risk}", "dim"))
        return Panel(Group(*lines), title=f"{self._workflow} · {run.name}", title_align="left", expand=False)


def _standing(state: Mapping[str, Any]) -> Any:
    from rich.text import Text

    passed = min(3, state["triad_completions"])
    triad = "●" * passed + "○" * (3 - passed)
    unlocked = "unlocked" if state.get("triad_unlocked") else "locked"
    formed = ("K formed", "bold green") if state.get("k_formed") else ("K not formed", "dim")
    return Text.assemble(f"TRIAD {triad} {unlocked}   κ {state['coherence']:.3f} {state['crystal']}   ", formed)
