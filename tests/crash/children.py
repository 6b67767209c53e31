"""Starts of the program: forked from warm interpreters, which takes milliseconds, or as interpreters of their own."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from tests.crash.program import Order, execute
from tests.crash.witness import Plan

ROOT = Path(__file__).parents[2]
HASH_SEEDS = (0, 1, 4_000_000_000)
TIME_ZONES = ("UTC", "Asia/Kathmandu", "America/St_Johns", "XYZ-13:37")
_PIPE_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What differs from one start of a session to the next. fresh: as a new interpreter."""

    hash_seed: int = 0
    time_zone: str = "UTC"
    folder: str = "/"
    fresh: bool = False

    @classmethod
    def of(cls, number: int, folder: Path, *, fresh: bool = False) -> "Surroundings":
        """Others for every start; the working directory is one of two."""
        seed, zone = HASH_SEEDS[number % len(HASH_SEEDS)], TIME_ZONES[number % len(TIME_ZONES)]
        return cls(hash_seed=seed, time_zone=zone, folder=str(folder) if number % 2 else "/", fresh=fresh)


class Child(Protocol):
    """A start of the program. acks: the reading end of its pipe, which ends with the process."""

    acks: int

    def send(self, number: signal.Signals) -> None:
        """Send it a signal. It is there until `wait`."""

    def wait(self) -> int:
        """Its exit status; minus the number of the signal that killed it. Closes the pipe."""


class Children:
    """Starts children; a warm interpreter for each hash seed is made when it is first needed."""

    def __init__(self) -> None:
        self._warm: dict[int, _Warm] = {}

    def start(self, order: Order, surroundings: Surroundings, errors: Path) -> Child:
        """Start the program. What it prints goes to the end of the file `errors`."""
        if surroundings.fresh:
            return _Fresh(order, surroundings, errors)
        if surroundings.hash_seed not in self._warm:
            self._warm[surroundings.hash_seed] = _Warm(surroundings.hash_seed)
        return self._warm[surroundings.hash_seed].start(order, surroundings, errors)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for warm in self._warm.values():
            warm.end()


def command(order: Order) -> list[str]:
    """The line that starts the program by hand."""
    options = {name: value for name, value in asdict(order).items() if name not in ("plan", "acks")}
    line = [sys.executable, "-W", "error", "-m", "tests.crash.program"]
    for name, value in options.items():
        line += [f"--{name}", str(value)]
    return [*line, "--acks", str(order.acks), "--plan", json.dumps(asdict(order.plan))]


def environment(hash_seed: int, time_zone: str = "UTC") -> dict[str, str]:
    """The environment of an interpreter that can import the program from anywhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    paths = os.pathsep.join((str(ROOT), str(ROOT / "src")))
    return {**kept, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1", "TZ": time_zone}


def _pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    try:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:
        pass  # a smaller pipe only makes the child wait sooner
    return reading, writing


class _Fresh:
    """A child that is an interpreter of its own."""

    def __init__(self, order: Order, surroundings: Surroundings, errors: Path) -> None:
        self.acks, writing = _pipe()
        try:
            with errors.open("ab") as shown:
                self._process = subprocess.Popen(
                    command(replace(order, acks=writing)),
                    env=environment(surroundings.hash_seed, surroundings.time_zone),
                    cwd=surroundings.folder,
                    pass_fds=(writing,),
                    stderr=shown,
                )
        finally:
            os.close(writing)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        os.close(self.acks)
        return self._process.wait()


class _Warm:
    """An interpreter that has imported everything, and forks a child for every start."""

    def __init__(self, hash_seed: int) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        line = [sys.executable, "-W", "error", "-m", "tests.crash.children", str(theirs.fileno())]
        self._process = subprocess.Popen(
            line, env=environment(hash_seed), cwd="/", pass_fds=(theirs.fileno(),), start_new_session=True
        )
        theirs.close()

    def start(self, order: Order, surroundings: Surroundings, errors: Path) -> "_Forked":
        acks, writing = _pipe()
        try:
            what = {"order": asdict(order), "surroundings": asdict(surroundings), "errors": str(errors)}
            socket.send_fds(self._socket, [json.dumps(what).encode()], [writing])
        finally:
            os.close(writing)
        return _Forked(self, int(self._socket.recv(64)), acks)

    def wait(self, pid: int) -> int:
        """Reap a child."""
        self._socket.send(json.dumps({"wait": pid}).encode())
        return int(self._socket.recv(64))

    def end(self) -> None:
        self._socket.close()
        self._process.wait()


class _Forked:
    """A child of a warm interpreter, which does not reap it before it is asked to."""

    def __init__(self, warm: _Warm, pid: int, acks: int) -> None:
        self._warm, self._pid, self.acks = warm, pid, acks

    def send(self, number: signal.Signals) -> None:
        os.kill(self._pid, number)

    def wait(self) -> int:
        os.close(self.acks)
        return self._warm.wait(self._pid)


def _serve(connection: socket.socket) -> None:
    while True:
        data, fds, _, _ = socket.recv_fds(connection, 1 << 16, 1)
        if not data:
            return
        request = json.loads(data)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            connection.send(b"%d" % os.waitstatus_to_exitcode(status))
            continue
        pid = os.fork()
        if not pid:
            connection.close()
            os._exit(_run_child(request, fds[0]))
        os.close(fds[0])
        connection.send(b"%d" % pid)


def _run_child(request: dict[str, Any], acks: int) -> int:
    """In the child: what a fresh interpreter would do."""
    surroundings = Surroundings(**request["surroundings"])
    try:
        errors = os.open(str(request["errors"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(errors, 2)
        os.environ["TZ"] = surroundings.time_zone
        time.tzset()
        os.chdir(surroundings.folder)
        options: dict[str, Any] = request["order"]
        execute(Order(**{**options, "plan": Plan(**options["plan"]), "acks": acks}))
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as ours:
        _serve(ours)
