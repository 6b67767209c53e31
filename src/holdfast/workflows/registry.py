"""Workflows by name: the ones we ship, ones that a program registers, and any function by its place, `package.module:name`."""

import functools
import inspect
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeVar

from holdfast.errors import UsageError
from holdfast.sessions import opening
from holdfast.sessions.session import Run
from holdfast.workflows.parameters import Parameter, as_config, parameters_of, parse_parameters, plain_function, require_all
from holdfast.workflows.stages import Plan, Unwatched, Watcher

F = TypeVar("F", bound=Callable[..., Any])
GIVEN = ("session", "until", "watch")
"""Parameters that a workflow's function gets from us, where it has them: how to open the session, the stage to stop behind,
and who is shown what happens."""


class OpenSession(Protocol):
    """`holdfast.session` with the name, workspace and settings of the command already in it; the rest as there."""

    def __call__(self, **options: Any) -> AbstractContextManager[Run]: ...


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """A function that is one training run. plan: what it will do, for the same parameters; None where that is not known."""

    name: str
    function: Callable[..., Any]
    plan: Callable[..., Plan] | None = None

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (plain_function(self.function).__doc__ or "").strip().partition("\n")[0]

    @property
    def parameters(self) -> dict[str, Parameter]:
        """What may be set."""
        return parameters_of(self.function, given=GIVEN)

    @property
    def session_name(self) -> str:
        """The session it runs in where none is named."""
        return self.name.rpartition(":")[2]

    @property
    def opens_own(self) -> bool:
        """Whether the function opens its sessions by itself, as it takes no `session`."""
        return "session" not in self._takes

    @property
    def _takes(self) -> Collection[str]:
        """The names of all its parameters."""
        return inspect.signature(self.function).parameters

    def parse(self, settings: Iterable[str]) -> dict[str, Any]:
        """Values from texts, `name=value` each. Raises UsageError that names the parameter and what it takes."""
        return parse_parameters(self.parameters, settings)

    def planned(self, parameters: Mapping[str, Any]) -> Plan:
        """What it will do. Raises UsageError where that is not known."""
        if self.plan is None:
            raise UsageError(f"{self.name} has no plan: what it does is known when it runs. Nothing was run")
        require_all(self.parameters, parameters)
        return self.plan(**parameters)

    def config(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The config of its sessions: its name, and all its parameters."""
        return {"workflow": self.name, **as_config(self.parameters, parameters)}

    def run(
        self,
        session: str | None = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        until: str | None = None,
        watch: Watcher | None = None,
        **options: Any,
    ) -> Any:
        """Run it, or go on with it, in a session (of its own name where none is given), and return what the function returns.

        parameters: values by name, which also are the session's config. options: see holdfast.session. Raises UsageError,
        before anything is opened, where the parameters do not fit.
        """
        values = dict(parameters or {})
        require_all(self.parameters, values)
        if self.opens_own and (named := [name for name in ("session", *options) if name != "session" or session is not None]):
            raise UsageError(
                f"{self.name} takes no `session`, and opens its own: {', '.join(named)} would say nothing. Nothing was run"
            )
        self.check_until(until, values)
        opened = functools.partial(opening.session, self.session_name if session is None else session, **options)
        config = self.config(values)
        given = {"session": self._opener(opened, config, watch or Unwatched()), "until": until, "watch": watch}
        return self.function(**values, **{name: value for name, value in given.items() if name in self._takes})

    def check_until(self, until: str | None, parameters: Mapping[str, Any]) -> None:
        """Raise UsageError where it cannot stop behind that stage."""
        if until is not None:
            if "until" not in self._takes:
                raise UsageError(f"{self.name} has no stages that it could stop behind: its function takes no `until`")
            if self.plan is not None:
                self.plan(**parameters).last_of(until)

    def _opener(
        self, opened: Callable[..., AbstractContextManager[Run]], config: Mapping[str, Any], watch: Watcher
    ) -> OpenSession:
        @contextmanager
        def session(**options: Any) -> Iterator[Run]:
            own = options.pop("config", None) or {}
            with opened(**options, config={**config, **own}) as run:
                watch.opened(run)
                yield run

        return session


_registered: dict[str, Workflow] = {}


def workflow(name: str, *, plan: Callable[..., Plan] | None = None) -> Callable[[F], F]:
    """Register a function under a name, which it then has however it is found. Raises UsageError where that is taken."""

    def register(function: F) -> F:
        if name in _registered:
            raise UsageError(f"there is a workflow {name!r} already")
        _registered[name] = Workflow(name=name, function=function, plan=plan)
        return function

    return register


def list_workflows() -> dict[str, Workflow]:
    """All that are registered, by name."""
    import holdfast.workflows.full_pipeline  # noqa: F401  # registers itself

    return dict(_registered)


def find_workflow(name: str) -> Workflow:
    """A registered workflow, or the function at `package.module:name`, in the current folder too. Raises UsageError.

    A program's own are registered when its module is imported: by `package.module:name` they are found in any case.
    """
    module, colon, attribute = name.partition(":")
    if colon and not (module and attribute):
        raise UsageError(f"{name!r} is no function: it is written package.module:function")
    if not colon:
        known = list_workflows()
        if name in known:
            return known[name]
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}; or give package.module:function"
        raise UsageError(f"there is no workflow {name!r}: {hint}")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise  # something that the module itself needs is not there
        raise UsageError(f"{name!r}: there is no module {error.name!r} here or installed") from None
    except AttributeError:
        raise UsageError(f"{name!r}: {module} has no {attribute!r}") from None
    if not callable(found):
        raise UsageError(f"{name!r} is no function")
    registered = [known for known in _registered.values() if known.function is found]
    return registered[0] if registered else Workflow(name=name, function=found)
