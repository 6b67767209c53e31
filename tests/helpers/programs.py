"""Programs that are run in a forked child, killed there, and run again until they are through."""

import os
import pickle
import signal
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast import Workspace

Tick = Callable[[], None]
Program = Callable[[Path, Tick], Any]
"""A program for a workspace: it calls `tick` where it may be killed, and returns something that can be compared."""


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit status, negative for a signal, and what the program returned."""

    status: int
    result: Any = None


def in_child(program: Callable[[], Any]) -> Ended:
    """Run a program in a child of its own, so that its generators, locks and signals are its own too."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(program(), pipe)
            status = 0
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        written = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return Ended(status, pickle.loads(written) if status == 0 else None)


def result_of(program: Callable[[], Any]) -> Any:
    """What a program returns that is expected to come through."""
    ended = in_child(program)
    assert ended.status == 0, f"the program ended with status {ended.status}"
    return ended.result


def kill(program: Callable[[], Any]) -> None:
    """Run a program that kills its own process."""
    assert in_child(program).status == -signal.SIGKILL


def die() -> None:
    """Kill this process as kill -9 does."""
    os.kill(os.getpid(), signal.SIGKILL)


def never() -> None:
    """The tick of a program that is not killed."""


class Fuse:
    """A tick that kills its process at the nth call."""

    def __init__(self, nth: int) -> None:
        self._left = nth

    def __call__(self) -> None:
        self._left -= 1
        if self._left == 0:
            die()


def run_through_kills(program: Program, root: Path, kills: Iterable[int]) -> Any:
    """Kill a program at the nth tick of each attempt in turn, then let it run to its end; what it returns then."""
    for nth in kills:
        kill(lambda nth=nth: program(root, Fuse(nth)))  # type: ignore[misc]  # bound at once
    return result_of(lambda: program(root, never))


def assert_goes_on_equal(program: Program, folder: Path, kills: Iterable[int], name: str = "run") -> None:
    """A run of the session `name` that is killed ends as one that is not: the same result and digest, nothing superseded."""
    whole = result_of(lambda: program(folder / "whole", never))
    resumed = run_through_kills(program, folder / "killed", kills)
    assert resumed == whole
    assert superseded(folder / "killed", name) == []
    assert digest(folder / "killed", name) == digest(folder / "whole", name)
    assert Workspace(folder / "killed").verify(name).problems == ()


def digest(root: Path, name: str = "run") -> str:
    """The digest of a session."""
    return Workspace(root).digest(name)


def canonical(root: Path, name: str = "run") -> list[dict[str, Any]]:
    """The canonical view of a session, without what is volatile."""
    volatile = {"n", "ts", "info", "crc", "back", "join", "synced"}
    return [{key: value for key, value in fields.items() if key not in volatile} for fields in Workspace(root).records(name)]


def everything(root: Path, name: str = "run") -> list[dict[str, Any]]:
    """All records of a session, bookkeeping and superseded ones too."""
    return list(Workspace(root).records(name, canonical=False))


def superseded(root: Path, name: str = "run") -> list[dict[str, Any]]:
    """The `superseded` records of a session."""
    return [fields for fields in everything(root, name) if fields["kind"] == "superseded"]
