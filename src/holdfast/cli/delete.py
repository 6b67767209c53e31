"""holdfast delete"""

from typing import Annotated

import typer

from holdfast import Workspace
from holdfast.cli import amounts, output
from holdfast.cli.options import Json, Root, Session
from holdfast.errors import line_to_type

FIELDS = ("session", "deleted", "bytes", "files")
_LISTED = 20


def delete(
    session: Session,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without this, only what would go is printed.")] = False,
    root: Root = None,
    json: Json = False,
) -> None:
    """Delete a session; without --yes, print what would go.

    Example: holdfast delete count

    Example: holdfast delete count --yes
    """
    workspace = Workspace(root)
    plan = workspace.delete(session) if yes else workspace.plan_delete(session)
    if json:
        facts = (plan.session, yes, plan.bytes, [str(path) for path in plan.files])
        output.print_json(dict(zip(FIELDS, facts, strict=True)))
        return
    what = f"{amounts.count(len(plan.files), 'file')}, {amounts.size(plan.bytes)}"
    if yes:
        output.say(("deleted", "red"), f" {plan.session}: {what}")
        return
    for path in plan.files[:_LISTED]:
        output.say(str(path))
    if len(plan.files) > _LISTED:
        output.say(f"… and {len(plan.files) - _LISTED:,} more")
    output.say(("would be deleted", "yellow"), f": {plan.session}, {what}")
    output.tell(f"nothing was deleted; do it with: {line_to_type('delete', plan.session, '--yes', root=root)}")
