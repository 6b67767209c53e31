"""KIRA's 33 modules in 7 phases, each a step of a session."""

from typing import Any

from holdfast.engines.kira import Kira
from holdfast.engines.kira.modules import MODULES_OF_PHASE, PHASES
from holdfast.sessions.steps import Outcome
from holdfast.workflows.registry import OpenSession, workflow
from holdfast.workflows.saving import Saving
from holdfast.workflows.stages import Phase, Plan, Stage, Watcher, run_stages


def plan_of(*, seed: int = 0, k_threshold: int = 7) -> Plan:
    """The modules in their order."""
    return _plan(Kira(seed=seed, k_threshold=k_threshold))


@workflow("full_pipeline", plan=plan_of)
def full_pipeline(
    session: OpenSession,
    *,
    seed: int = 0,
    k_threshold: int = 7,
    until: str | None = None,
    watch: Watcher | None = None,
) -> dict[str, Any]:
    """KIRA's 33 modules in 7 phases, everything saved."""
    engine = Kira(seed=seed, k_threshold=k_threshold)
    saving, plan = Saving(engine), _plan(engine)
    with session(track={"kira": saving}) as run:
        saving.attach(run)
        run_stages(run, plan, until=until, watch=watch, state=engine.state.to_dict)
    return {"state": engine.state.to_dict(), "k_formation": engine.state.k_formation(), **engine.pipeline.totals()}


def _plan(engine: Kira) -> Plan:
    return Plan(
        title="full_pipeline",
        phases=tuple(
            Phase(
                name=f"phase{number}",
                title=PHASES[number],
                stages=tuple(_stage(engine, module.number, module.name) for module in modules),
            )
            for number, modules in MODULES_OF_PHASE.items()
        ),
    )


def _stage(engine: Kira, number: int, name: str) -> Stage:
    def act() -> Outcome:
        before = engine.state.recorded()
        ran = engine.run_module(number, announce=False)
        return Outcome(
            {**ran.pop("result"), "z": ran["z"]},
            status=ran["status"],
            index=number,
            phase=ran["phase"],
            change=(before, engine.state.recorded()),
        )

    return Stage(index=number, name=name, act=act)
