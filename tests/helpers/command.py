"""The command, called in this process, and sessions for it to look at."""

import io
import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import holdfast
from holdfast.cli import main
from tests.helpers.programs import kill
from tests.helpers.sources import ROOT

_OUTSIDE = ("HOLDFAST_ROOT", "COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TERM")
_PAGE = (ROOT / "docs" / "command.md").read_text(encoding="utf-8")


class _Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Called:
    """What a call of the command came to."""

    status: int
    out: str
    err: str

    @property
    def documents(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


def call(*words: object, terminal: bool = False, **environment: str) -> Called:
    """Call `holdfast` with these words, in an environment that holds nothing of ours but what is given."""
    kind = _Terminal if terminal else io.TextIOWrapper
    out, err = (kind(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    kept = {name: value for name, value in os.environ.items() if name not in _OUTSIDE}
    with patch.dict(os.environ, kept | environment, clear=True), redirect_stdout(out), redirect_stderr(err):
        status = main([str(word) for word in words])
    return Called(status, *(stream.buffer.getvalue().decode() for stream in (out, err)))  # type: ignore[attr-defined]  # a BytesIO


class Counter:
    """The smallest object that can be tracked."""

    def __init__(self) -> None:
        self.total = 0

    def state_dict(self) -> dict[str, int]:
        return {"total": self.total}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.total = state["total"]


def count(root: Path, name: str = "count", *, steps: int = 20, **options: Any) -> None:
    """A finished session: a metric a step, a checkpoint every fifth. The plain one is recorded once, and then copied."""
    folder = root / "sessions" / name
    is_plain = (name, steps, options) == ("count", 20, {}) and not folder.exists()
    if is_plain and _plain:
        for path, data in _plain.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
        return
    _count(root, name, steps, options)
    if is_plain:
        _plain.update({path.relative_to(root): path.read_bytes() for path in folder.rglob("*") if path.is_file()})


_plain: dict[Path, bytes] = {}  # a session's files: syncing takes longer than all the rest of a test


def _count(root: Path, name: str, steps: int, options: dict[str, Any]) -> None:
    with counting(root, name, **options) as (run, counter):
        for step in run.loop(steps, checkpoint_every=5):
            counter.total += step
            run.metric(total=counter.total)


def count_until_killed(root: Path, name: str = "count", *, at: int = 13) -> None:
    """The same, killed in a step of 20."""

    def program() -> None:
        with counting(root, name) as (run, counter):
            for step in run.loop(20, checkpoint_every=5):
                counter.total += step
                run.metric(total=counter.total)
                if step == at:
                    os.kill(os.getpid(), signal.SIGKILL)

    kill(program)


@contextmanager
def counting(root: Path, name: str = "count", **options: Any) -> Iterator[tuple[holdfast.Run, Counter]]:
    """An open session with a tracked counter."""
    counter = Counter()
    with holdfast.session(name, root=root, track={"counter": counter}, **options) as run:
        yield run, counter


class Kept:
    """A state that never changes."""

    def __init__(self, value: object) -> None:
        self._value = value

    def state_dict(self) -> dict[str, object]:
        return {"value": self._value}

    def load_state_dict(self, state: dict[str, object]) -> None:
        self._value = state["value"]


def promised(command: str) -> set[str]:
    """The fields of a command's JSON, by the page."""
    (section,) = re.findall(rf"^### `{command}[ `].*?(?=^#|\Z)", _PAGE, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([a-z_0-9]+)`", section.partition("With `--json`")[2]))


def keys(value: object) -> set[str]:
    """The keys of a document, and of the lists and objects in it; names of lanes left out."""
    if isinstance(value, list):
        return {key for entry in value for key in keys(entry)}
    if isinstance(value, dict):
        return {key for key in value if key} | {key for entry in value.values() for key in keys(entry)}
    return set()


def log_of(root: Path) -> Path:
    """The first segment of the session "count"."""
    return root / "sessions" / "count" / "log" / "main" / "000001.jsonl"


def damage(root: Path, *, offset: int) -> Path:
    """Flip a bit of the log."""
    path = log_of(root)
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)
    return path
