"""holdfast digest"""

from typing import Annotated

import typer

from holdfast import Workspace
from holdfast.cli import amounts, output
from holdfast.cli.options import Json, Root
from holdfast.errors import line_to_type

FIELDS = ("equal", "sessions")
SESSION_FIELDS = ("session", "digest", "records", "lanes")
LANE_FIELDS = ("records", "sha256")


def digest(
    sessions: Annotated[list[str], typer.Argument(metavar="SESSION", show_default=False, help="Names of sessions.")],
    *,
    root: Root = None,
    json: Json = False,
) -> None:
    """Print digests: equal ones mean the same run.

    The exit status is 1 when they differ.

    Example: holdfast digest count another
    """
    workspace = Workspace(root)
    found = {}
    for name in dict.fromkeys(sessions):
        with output.progress(f"reading {name}", workspace.session(name).records) as told:
            found[name] = workspace.digest_parts(name, told)
    equal = len({entry.sha256 for entry in found.values()}) == 1
    if json:
        described = []
        for name, entry in found.items():
            lanes = {lane: dict(zip(LANE_FIELDS, facts, strict=True)) for lane, facts in entry.lanes.items()}
            described.append(dict(zip(SESSION_FIELDS, (name, entry.sha256, entry.records, lanes), strict=True)))
        output.print_json({"equal": equal, "sessions": described})
    else:
        for name, entry in found.items():
            output.say((entry.sha256, "green" if equal else "red"), f"  {name}")
        if len(found) > 1 and equal:
            output.tell(f"equal: the same run of {amounts.count(next(iter(found.values())).records, 'record')}")
    if not equal:
        one, *others = found.items()
        for other in (entry for entry in others if entry[1].sha256 != one[1].sha256):
            difference = _difference(one[0], one[1].lanes, other[0], other[1].lanes)
            output.tell(f"{difference}; look at each with: {line_to_type('show', one[0], '--json', root=root)}")
        raise typer.Exit(1)


def _difference(a: str, lanes_a: dict[str, tuple[int, str]], b: str, lanes_b: dict[str, tuple[int, str]]) -> str:
    """In which lanes two sessions differ, in one line."""
    nothing = (0, "")
    differing = [
        f"lane {lane or 'main program'!r} ({lanes_a.get(lane, nothing)[0]:,} and {lanes_b.get(lane, nothing)[0]:,} records)"
        for lane in sorted({*lanes_a, *lanes_b})
        if lanes_a.get(lane) != lanes_b.get(lane)
    ]
    return f"{a} and {b} differ in {', '.join(differing)}"
