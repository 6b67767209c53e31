"""holdfast verify"""

from pathlib import Path
from typing import Annotated

import typer

from holdfast import Workspace
from holdfast.cli import amounts, output
from holdfast.cli.options import Json, Root
from holdfast.errors import line_to_type

FIELDS = ("session", "ok", "records", "bytes", "checkpoints", "torn", "problems")
PROBLEM_FIELDS = ("path", "offset", "what", "checkpoint")


def verify(
    sessions: Annotated[list[str], typer.Argument(metavar="SESSION", show_default=False, help="Names of sessions.")],
    *,
    salvage: Annotated[
        bool, typer.Option("--salvage", help="Print every whole record that the files of a damaged session still hold.")
    ] = False,
    root: Root = None,
    json: Json = False,
) -> None:
    """Check every byte of sessions.

    Closes, gaps, and the files of checkpoints. The exit status is 1 when anything is wrong.

    Example: holdfast verify count

    Example: holdfast verify count --salvage > records.jsonl
    """
    workspace = Workspace(root)
    if salvage:
        _print_what_is_left(workspace, sessions)
        return
    results = [_verify(workspace, name, root, as_json=json) for name in sessions]
    raise typer.Exit(0 if all(results) else 1)


def _verify(workspace: Workspace, name: str, root: Path | None, *, as_json: bool) -> bool:
    """Check one session and print what was found; whether all is well."""
    with output.progress(f"checking {name}", workspace.session(name).bytes) as told:
        found = workspace.verify(name, told)
    is_good = not found.problems
    if as_json:
        problems = [{field: getattr(problem, field) for field in PROBLEM_FIELDS} for problem in found.problems]
        facts = (found.session, is_good, found.records, found.bytes, found.checkpoints, found.torn, problems)
        output.print_json(dict(zip(FIELDS, facts, strict=True)))
        return is_good
    for problem in found.problems:
        output.say((f"{problem.path}, byte {problem.offset}", "bold"), ": ", (problem.what, "red"))
    if is_good:
        output.say(
            ("good", "green"),
            f"  {found.session}: {amounts.count(found.records, 'log record')} in {amounts.size(found.bytes)} and "
            f"{amounts.count(found.checkpoints, 'checkpoint')} are as they were written",
        )
    if found.torn:
        output.tell(f"{amounts.size(found.torn)} behind the end were being written at a kill; they were never part of the log")
    if not is_good:
        if all(problem.checkpoint is not None for problem in found.problems):
            rest = (
                "the log is whole, and no record is lost. Restore these files from a copy; without them the run goes on from "
                "another checkpoint, or from the start, when the same line is run again. See which are good with: "
                f"{line_to_type('checkpoints', found.session, root=root)}"
            )
        else:
            line = line_to_type("verify", found.session, "--salvage", root=root)
            rest = f"restore these files from a copy, or take what can be had with: {line} > records.jsonl"
        output.tell(f"{found.session}: {amounts.count(len(found.problems), 'problem')}; {rest}")
    return is_good


def _print_what_is_left(workspace: Workspace, sessions: list[str]) -> None:
    if len(sessions) != 1:
        raise typer.BadParameter("one session at a time", param_hint="--salvage")
    count = 0
    for line in workspace.salvage(sessions[0]):
        output.print_bytes(line)
        count += 1
    output.tell(f"{amounts.count(count, 'whole record')}, in the order of the files; gaps show in their numbers (n)")
    raise typer.Exit(0 if count else 1)
