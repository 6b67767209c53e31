"""holdfast run"""

import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from holdfast import Interrupted, Plan, Stopped, UsageError, Workflow, Workspace, find_workflow, list_workflows
from holdfast.cli import output
from holdfast.cli.layout import Column
from holdfast.cli.options import Durability, Json, Root, SaveMode
from holdfast.cli.output import Cell
from holdfast.cli.stage_table import Recorded, print_stages, read_stages
from holdfast.cli.stage_view import StageView
from holdfast.errors import line_to_type

_STATE = {"coordinate", "phase", "coherence", "crystal", "triad_completions", "triad_unlocked", "k_formed"}  # KIRA's
FIELDS = "workflow session status attempt stages counts records checkpoints returned digest".split()


def run(
    workflow: Annotated[
        str | None,
        typer.Argument(metavar="WORKFLOW", show_default=False, help="A workflow's name, or package.module:function."),
    ] = None,
    *,
    session: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", show_default=False, help="The session to begin or go on with; named as WORKFLOW if not given."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", show_default=False, help="The same as --param seed=N.")] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", show_default=False, help="Set a parameter of the workflow; may be repeated."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="STAGE", show_default=False, help="Stop behind this phase or stage, to be gone on with."),
    ] = None,
    from_stage: Annotated[
        str | None,
        typer.Option(metavar="STAGE", show_default=False, help="Set the session back to before this phase or stage first."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")] = False,
    save_mode: SaveMode = "continuous",
    durability: Durability = "process",
    allow_change: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", show_default=False, help="Let this parameter differ from the recorded one; may be repeated."
        ),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="A line a stage instead of a live display.")] = False,
    root: Root = None,
    json: Json = False,
) -> None:
    """Run a workflow with everything saved, or go on with it.

    Killed at any instant, the same line goes on and ends with the same digest. Without WORKFLOW: list what there is.

    Example: holdfast run full_pipeline --session demo --seed 7

    Example: holdfast run mypackage.training:train --session first --param lr=0.01
    """
    if workflow is None:
        _list(json=json)
        return
    found = find_workflow(workflow)
    parameters = found.parse([*(param or ()), *([] if seed is None else [f"seed={seed}"])])
    if dry_run:
        _print_plan(found, parameters, json=json)
        return
    name = found.session_name if session is None else session
    if from_stage is not None:
        found.check_until(until, parameters)
        _rewind(Workspace(root), name, found, parameters, from_stage, allow_change or ())
    settings = {"root": root, "save_mode": save_mode, "durability": durability, "allow_change": tuple(allow_change or ())}
    usual = {"root": None, "save_mode": "continuous", "durability": "process", "allow_change": ()}
    if found.opens_own and str(root) == os.environ.get("HOLDFAST_ROOT"):
        settings["root"] = None  # its own sessions are there too
    is_live = sys.stderr.isatty() and not plain and not json
    stopped = None
    with StageView(found.name, is_live=is_live) as view:
        try:
            returned = found.run(
                session,
                parameters=parameters,
                until=until,
                watch=view,
                **{option: value for option, value in settings.items() if value != usual[option]},
            )
        except Stopped as asked:
            stopped, returned = asked, None
        except Interrupted as asked:
            output.tell(f"{name}: stopped ({asked.reason}), with a checkpoint; the same line again goes on")
            raise
    if view.run is None and stopped is None:
        output.print_json({"workflow": found.name, "returned": _plain(returned)})
        what = "opens its sessions itself" if found.opens_own else "opened no session"
        output.tell(f"{found.name} {what}; see what there is with: {line_to_type('sessions', root=root)}")
        return
    name = view.run.name if view.run is not None else name  # a fork at a divergence has another one
    counts = _close(Workspace(root), name, found, parameters, view, returned, stopped, root=root, json=json)
    if counts["error"]:
        raise typer.Exit(1)


def _close(
    workspace: Workspace,
    name: str,
    workflow: Workflow,
    parameters: dict[str, Any],
    view: StageView,
    returned: Any,
    stopped: Stopped | None,
    *,
    root: Path | None,
    json: bool,
) -> dict[str, int]:
    """Print how it ended; how many stages ended how."""
    info = workspace.session(name)
    recorded = read_stages(workspace.records(name))
    checkpoints, digest = len(workspace.checkpoints(name)), workspace.digest(name)
    if json:
        facts = (
            *(workflow.name, name, info.status, info.attempts, [row.facts() for row in recorded.stages]),
            *(recorded.counts, dict(recorded.kinds), checkpoints, _plain(returned), digest),
        )
        output.print_json(dict(zip(FIELDS, facts, strict=True)))
        return recorded.counts
    if recorded.stages:
        print_stages(recorded.stages)
        output.say()
    output.print_facts(_facts(recorded, checkpoints, returned, digest), whole=("digest",))
    following = {"look further": line_to_type("show", name, root=root)}
    if stopped is not None:
        output.tell(f"{name}: {stopped.reason}; the same line without --until goes on")
    elif view.run is not None and view.run.finished and not view.run.health().records:
        output.tell("finished: nothing was left to do")
        settings = [word for key, value in parameters.items() for word in ("--param", f"{key}={value}")]
        following["start another"] = line_to_type("run", workflow.name, "--session", f"{name}-2", *settings, root=root)
    output.print_facts({what: (line, "bold") for what, line in following.items()}, whole=tuple(following))
    return recorded.counts


def _facts(recorded: Recorded, checkpoints: int, returned: Any, digest: str) -> dict[str, Cell]:
    kinds = recorded.kinds
    facts: dict[str, Cell] = {}
    if recorded.stages:
        facts["stages"] = ", ".join(f"{count} {status}" for status, count in recorded.counts.items())
    facts["tokens"] = (
        f"{kinds['token']:,} emitted, {kinds['tokens']:,} in batches" if kinds["tokens"] else f"{kinds['token']:,}"
    )
    facts["emissions"] = f"{kinds['emission']:,}"
    facts["checkpoints"] = f"{checkpoints:,}"
    if isinstance(returned, dict) and (state := returned.get("state") or {}).keys() >= _STATE:
        facts["final state"] = f"{state['coordinate']}  {state['phase']}  κ {state['coherence']:.3f} {state['crystal']}"
        facts["TRIAD"] = f"{state['triad_completions']} completions, {'unlocked' if state['triad_unlocked'] else 'locked'}"
        facts["K-formation"] = _formation(returned["k_formation"])
    elif returned is not None:
        facts["returned"] = str(returned)
    facts["digest"] = digest
    return {name: cell for name, cell in facts.items() if cell != "0"}


def _plain(returned: Any) -> Any:
    """What a function returned as JSON can say it; what it cannot is written out."""
    return msgspec.to_builtins(returned, enc_hook=repr, str_keys=True)


def _formation(found: dict[str, Any]) -> Cell:
    said = "formed" if found["k_formed"] else "not formed"
    text = f"{said}: κ {found['kappa']:.3f} (≥ 0.92), η {found['eta']:.3f} (> 0.618), R {found['R']} (≥ {found['threshold']})"
    return text, "bold green" if found["k_formed"] else ""


def _rewind(
    workspace: Workspace,
    name: str,
    workflow: Workflow,
    parameters: dict[str, Any],
    stage: str,
    allow_change: Collection[str],
) -> None:
    """Set the session back to the checkpoint before a stage. Raises UsageError where there is none, or where the session would
    be refused afterwards as one of other parameters."""
    plan = workflow.planned(parameters)
    recorded, config = workspace.session(name).config or {}, workflow.config(parameters)
    differing = [key for key in config if key in recorded and recorded[key] != config[key] and key not in allow_change]
    if differing:
        what = ", ".join(f"{key}: {recorded[key]!r} → {config[key]!r}" for key in differing)
        raise UsageError(f"{name} was recorded with other parameters: {what}. Nothing was changed; name them in --allow-change")
    wanted = plan.first_of(stage)
    key = plan.key_before(wanted)
    if key is None:
        raise UsageError(f"{stage!r} is where {workflow.name} begins: for a run from there give another --session")
    at = [info.number for info in workspace.checkpoints(name) if info.at == key and not info.dead and not info.released]
    if not at:
        raise UsageError(
            f"{name} has not come to {stage!r} yet, so that there is nothing to set it back to; run it without --from-stage"
        )
    workspace.rewind(name, at=at[-1])
    output.tell(f"{name} is set back to before stage {wanted.index}, {wanted.name}; what followed stays in the log, superseded")


def _list(*, json: bool) -> None:
    found = list_workflows()
    if json:
        for known in found.values():
            parameters = {name: str(parameter) for name, parameter in known.parameters.items()}
            output.print_json({"workflow": known.name, "summary": known.summary, "parameters": parameters})
        return
    rows: list[tuple[Cell, ...]] = [
        ((known.name, "bold"), ", ".join(map(str, known.parameters.values())), known.summary) for known in found.values()
    ]
    output.print_table((Column(name="workflow"), Column(name="parameters", least=16), Column(name="", least=16)), rows)


def _print_plan(workflow: Workflow, parameters: dict[str, Any], *, json: bool) -> None:
    plan: Plan = workflow.planned(parameters)
    if json:
        phases = [
            {"phase": phase.name, "title": phase.title, "stages": [{"index": s.index, "name": s.name} for s in phase.stages]}
            for phase in plan.phases
        ]
        output.print_json({"workflow": workflow.name, "parameters": parameters, "phases": phases})
        return
    settings = "  ".join(f"{name} {value}" for name, value in parameters.items())
    output.say((plan.title, "bold"), f"  {len(plan)} stages  {settings}".rstrip())
    for phase in plan.phases:
        is_last = phase is plan.phases[-1]
        output.say("└── " if is_last else "├── ", (phase.name, "cyan"), f"  {phase.title}")
        for stage in phase.stages:
            output.say(
                "    " if is_last else "│   ",
                "└── " if stage is phase.stages[-1] else "├── ",
                f"{stage.index:>2}  {stage.name}",
            )
