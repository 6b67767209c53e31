"""The commands put together, and how a call of one ends."""

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from holdfast import BadPattern, HoldfastError, __version__
from holdfast.cli import output
from holdfast.cli.failures import in_one_line

_RUNNING = ("run", "kira")
_LOOKING = ("sessions", "show", "search", "sql", "checkpoints", "stats", "digest", "compare", "plot", "export", "verify")
_CHANGING = ("import_", "resume", "fork", "export_checkpoint", "note", "rename", "seal", "delete")
_ALL = (*_RUNNING, *_LOOKING, *_CHANGING)
"""Each is a function in the file of its name, which ends in `_` where Python has the word; help shows them in this order."""


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


def _print_version(wanted: bool) -> None:
    if wanted:
        output.say(f"holdfast {__version__}")
        raise typer.Exit


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
    called = tuple(name for name in _ALL if arguments and _command(name) == arguments[0])
    app = _app_of(called or _ALL)  # the others need not be imported
    try:
        status = typer.main.get_command(app).main(args=arguments, prog_name="holdfast", standalone_mode=False)
    except typer.TyperException as error:
        output.tell(f"holdfast: {in_one_line(error)}")
        return 2
    except (typer.Abort, KeyboardInterrupt):
        return 130
    return status if isinstance(status, int) else 0


def _app_of(names: tuple[str, ...]) -> typer.Typer:
    # Help is plain: to draw it with rich would take longer than all the rest of a call.
    app = typer.Typer(cls=_Commands, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.callback()(holdfast)
    for name in names:
        app.command(_command(name))(getattr(import_module(f"holdfast.cli.{name}"), name))
    return app


def _command(name: str) -> str:
    """What a function is called on the command line."""
    return name.rstrip("_").replace("_", "-")
