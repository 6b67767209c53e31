"""Workflows by name: the ones we ship, ones that a program registers, and any function by its place, `package.module:name`."""

import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeVar

from holdfast.errors import UsageError
from holdfast.sessions import opening
from holdfast.sessions.session import Run
from holdfast.workflows.parameters import Parameter, parameters_of, parse_parameters, require_all
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
        return (self.function.__doc__ or "").strip().partition("\n")[0]

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
        return "session" not in parameters_of(self.function)

    def parse(self, settings: Iterable[str]) -> dict[str, Any]:
        """Values from texts, `name=value` each. Raises UsageError that names the parameter and what it takes."""
        return parse_parameters(self.parameters, settings)

    def planned(self, parameters: Mapping[str, Any]) -> Plan:
        """What it will do. Raises UsageError where that is not known."""
        if self.plan is None:
            raise UsageError(f"{self.name} has no plan: what it does is known when it runs. Nothing was run")
        require_all(self.parameters, parameters)
        return self.plan(**parameters)

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
        if session is not None and self.opens_own:
            raise UsageError(f"{self.name} takes no `session`: it names its sessions itself. Nothing was run")
        opened = functools.partial(opening.session, session or self.session_name, **options)
        given = {"session": self._opener(opened, values, watch or Unwatched()), "until": until, "watch": watch}
        takes = parameters_of(self.function)
        if until is not None:
            if "until" not in takes:
                raise UsageError(f"{self.name} has no stages that it could stop behind: its function takes no `until`")
            if self.plan is not None:
                self.plan(**values).last_of(until)
        return self.function(**values, **{name: value for name, value in given.items() if name in takes})

    def _opener(
        self, opened: Callable[..., AbstractContextManager[Run]], values: Mapping[str, Any], watch: Watcher
    ) -> OpenSession:
        @contextmanager
        def session(**options: Any) -> Iterator[Run]:
            config = {"workflow": self.name, **values, **(options.pop("config", None) or {})}
            with opened(**options, config=config) as run:
                watch.opened(run)
                yield run

        return session


_registered: dict[str, Workflow] = {}


def workflow(name: str, *, plan: Callable[..., Plan] | None = None) -> Callable[[F], F]:
    """Register a function under a name. Raises UsageError where that is taken."""

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
    """A registered workflow, or the function at `package.module:name`, in the current folder too. Raises UsageError."""
    module, colon, attribute = name.partition(":")
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
    return Workflow(name=name, function=found)
