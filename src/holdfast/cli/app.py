"""The commands put together, and how a call of one ends."""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from holdfast import BadPattern, HoldfastError, __version__
from holdfast.cli import output
from holdfast.cli.checkpoints import checkpoints
from holdfast.cli.delete import delete
from holdfast.cli.digest import digest
from holdfast.cli.export_checkpoint import export_checkpoint
from holdfast.cli.failures import in_one_line
from holdfast.cli.fork import fork
from holdfast.cli.kira import kira
from holdfast.cli.note import note
from holdfast.cli.rename import rename
from holdfast.cli.resume import resume
from holdfast.cli.run import run as run_workflow
from holdfast.cli.seal import seal
from holdfast.cli.search import search
from holdfast.cli.sessions import sessions
from holdfast.cli.show import show
from holdfast.cli.stats import stats
from holdfast.cli.verify import verify

_LOOKING: tuple[Callable[..., None], ...] = (sessions, show, search, checkpoints, stats, digest, verify)
_RUNNING: tuple[Callable[..., None], ...] = (run_workflow, kira)
_CHANGING: tuple[Callable[..., None], ...] = (resume, fork, export_checkpoint, note, rename, seal, delete)


class _Commands(TyperGroup):
    """Turns our errors, and those of the system, into one line and exit status 2."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BadPattern as error:
            for line in f"holdfast: {error}".splitlines():  # the place is shown under the pattern
                output.tell(line)
            raise typer.Exit(2) from None
        except (HoldfastError, OSError) as error:
            output.tell(f"holdfast: {in_one_line(error)}")
            raise typer.Exit(2) from None


# Help is plain: to draw it with rich would take longer than all the rest of a call.
app = typer.Typer(cls=_Commands, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
for _command in (*_RUNNING, *_LOOKING, *_CHANGING):
    app.command()(_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        output.say(f"holdfast {__version__}")
        raise typer.Exit


@app.callback()
def holdfast(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Run workflows and talk with KIRA, everything saved as it happens; see what was saved, set it back, copy, delete it.

    Example: holdfast run full_pipeline --session demo --seed 7
    """


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    output.never_fail_on_a_sign()
    try:
        status = typer.main.get_command(app).main(args=arguments, prog_name="holdfast", standalone_mode=False)
    except typer.TyperException as error:
        output.tell(f"holdfast: {in_one_line(error)}")
        return 2
    except (typer.Abort, KeyboardInterrupt):
        return 130
    return status if isinstance(status, int) else 0
