"""Every error Holdfast raises, in one tree. Each says what happened, where, what is still safe and what to do next.

HoldfastError
├── UsageError                the call cannot be carried out as written; nothing was changed
│   ├── BadPattern            a pattern to search for that means nothing, with the place
│   ├── BadQuery              a question in SQL that cannot be asked
│   ├── QueryStopped          … that took too long or too much memory, or whose files failed
│   ├── InvalidSetting        an option out of its range
│   ├── InvalidValue          a value that cannot be recorded or stored, named by the path of its field
│   ├── NoSession             something was recorded with no session open
│   ├── SessionClosed         something was recorded after close, or in a forked child
│   └── SettingsDiffer        the session was recorded under other settings
├── StorageError              files and disks
│   ├── WriteFailed           bytes could not be made durable
│   │   └── DiskFull          … because there is no space
│   ├── ReadFailed            a file could not be read
│   ├── Corrupted             stored bytes are not what was written
│   ├── NewerFormat           written by a newer version of Holdfast
│   └── WorkspaceUnusable     the workspace cannot be used at all
├── SessionNotFound           no session or checkpoint of that name
├── SessionBusy               another process holds the session
└── Diverged                  the program did not repeat what it had recorded
Interrupted (SystemExit)      stopped on request at a boundary; exit status 75: run the same line again
"""

import os
import shlex
import sys
from pathlib import Path


def line_to_type(*words: str, root: Path | str | None = None) -> str:
    """`holdfast` with these words, quoted for a shell. root: the workspace; None for the one it takes by itself."""
    return shlex.join([_command(), *words, *([] if root is None else ["--root", str(root)])])


def _command() -> str:
    """The command as it was called, where a shell would not find it by its name alone; else its name."""
    called = Path(sys.argv[0] if sys.argv else "")
    if called.name != "holdfast":
        return "holdfast"
    from shutil import which  # here: it takes a while to import

    if which("holdfast") is not None:
        return "holdfast"
    return str(called.relative_to(Path.cwd()) if called.is_relative_to(Path.cwd()) else called)


def line_in(root: Path, *words: str) -> str:
    """The same for this workspace: --root is left out only where every shell in this folder would find it."""
    is_found = root == Path("training").absolute() and not os.environ.get("HOLDFAST_ROOT")
    return line_to_type(*words, root=None if is_found else root)


def line_about(path: Path | str, command: str, *words: str) -> str:
    """The same for the session whose folder, or something in it, is at `path` (WORKSPACE/sessions/NAME)."""
    for folder in (Path(path), *Path(path).parents):
        if folder.parent.name == "sessions":
            return line_in(folder.parent.parent, command, folder.name, *words)
    return line_to_type(command, "SESSION", *words)


class HoldfastError(Exception):
    """The base of all our errors."""


class UsageError(HoldfastError):
    """The call cannot be carried out as written. Nothing was changed."""


class BadPattern(UsageError):
    """A pattern to search for means nothing. `offset` is the sign where that shows, counted from 0."""

    def __init__(self, pattern: str, offset: int, reason: str) -> None:
        super().__init__(pattern, offset, reason)
        self.pattern, self.offset, self.reason = pattern, offset, reason

    def __str__(self) -> str:
        return f"pattern, sign {self.offset + 1}: {self.reason}. Nothing was searched:\n{self.shown}"

    @property
    def shown(self) -> str:
        """The pattern around the place, and under it a caret, in two lines."""
        start, end = max(0, self.offset - 40), self.offset + 40
        before, after = self._plain(start, self.offset), self._plain(self.offset, end)
        left, right = "…" * (start > 0), "…" * (end < len(self.pattern))
        return f"  {left}{before}{after}{right}\n  {' ' * (len(left) + len(before))}^"

    def _plain(self, start: int, end: int) -> str:
        return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in self.pattern[start:end])


class BadQuery(UsageError):
    """A question in SQL cannot be asked. Nothing was changed."""

    def __init__(self, query: str, reason: str) -> None:
        super().__init__(query, reason)
        self.query, self.reason = query, reason

    def __str__(self) -> str:
        return self.reason


class QueryStopped(UsageError):
    """A question in SQL reached its limit of time or memory, or a file that it reads or writes failed. Nothing was changed."""

    def __init__(self, query: str, reason: str, advice: str = "Ask for less, or raise the limit") -> None:
        super().__init__(query, reason, advice)
        self.query, self.reason, self.advice = query, reason, advice

    def __str__(self) -> str:
        return f"the question was stopped: {self.reason}. {self.advice}"


class InvalidSetting(UsageError):
    """An option is out of its range."""


class InvalidValue(UsageError, ValueError):
    """A value cannot be recorded or stored. `path` names the field."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}. Nothing was recorded by this call; everything recorded before it is intact."


class NoSession(UsageError):
    """Something was recorded while no session was open."""

    def __str__(self) -> str:
        return "no session is open. Nothing was recorded; open one with holdfast.session(...) around this code."


class SessionClosed(UsageError):
    """Something was recorded after the session was closed, or in a forked child."""


class SettingsDiffer(UsageError):
    """The session was recorded under other settings. `differences` has a line each."""

    def __init__(self, session: str, differences: list[str], remedy: str) -> None:
        super().__init__(session, differences, remedy)
        self.session, self.differences, self.remedy = session, differences, remedy

    def __str__(self) -> str:
        listed = "; ".join(self.differences)
        return f"session {self.session!r} was recorded under other settings: {listed}. Nothing was changed; {self.remedy}."


class StorageError(HoldfastError):
    """A file or a disk did not do what was asked."""


class WriteFailed(StorageError):
    """Bytes could not be made durable. Everything synced before is intact."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.reason}. Records synced before this are intact; fix the cause, then run the same line again."
        )


class DiskFull(WriteFailed):
    """There is no space for the next record. Every record accepted before is intact, and this one was not accepted."""

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.reason}. Every record accepted before this is intact; "
            'free some space and go on, or open the session with on_full="wait".'
        )


class ReadFailed(StorageError):
    """A file could not be read. Nothing was changed."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}. Nothing was changed by reading; fix the cause, then run the same line again."


class Corrupted(StorageError):
    """Stored bytes are not what was written. `offset` is the byte where that shows, counted from 0."""

    def __init__(self, path: Path | str, offset: int, reason: str) -> None:
        super().__init__(path, offset, reason)
        self.path, self.offset, self.reason = path, offset, reason

    def __str__(self) -> str:
        return (
            f"{self.path}, byte {self.offset}: {self.reason}. Nothing was changed, and everything before that byte is "
            f"intact; restore the file from a copy, or see what can be had with: {line_about(self.path, 'verify', '--salvage')}"
        )


class NewerFormat(StorageError):
    """Written by a newer version of Holdfast than this one."""

    def __init__(self, path: Path | str, found: int, known: int) -> None:
        super().__init__(path, found, known)
        self.path, self.found, self.known = path, found, known

    def __str__(self) -> str:
        return (
            f"{self.path}: format version {self.found}, and this Holdfast reads up to {self.known}. "
            "Nothing was changed; upgrade with: pip install -U holdfast"
        )


class WorkspaceUnusable(StorageError):
    """The workspace, or the folder of a session, cannot be used at all."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}. Nothing was written; name another folder with root=, --root or HOLDFAST_ROOT."


class SessionNotFound(HoldfastError):
    """No session, or no checkpoint, of that name."""


class SessionBusy(HoldfastError):
    """Another process holds the session."""

    def __init__(self, session: str, holder: str) -> None:
        super().__init__(session, holder)
        self.session, self.holder = session, holder

    def __str__(self) -> str:
        return (
            f"session {self.session!r} is open in {self.holder}. It goes on undisturbed; "
            "wait for it, stop it, or use another name."
        )


class Diverged(HoldfastError):
    """The program did not repeat what it had recorded: record `n` of `lane` was `expected`, and now came `found`."""

    def __init__(self, session: str, n: int, lane: str, expected: str, found: str) -> None:
        super().__init__(session, n, lane, expected, found)
        self.session, self.n, self.lane, self.expected, self.found = session, n, lane, expected, found

    def __str__(self) -> str:
        return (
            f"session {self.session!r}: record {self.n} of lane {self.lane or 'main program'!r} was {self.expected}, "
            f"and now came {self.found}. Nothing was written; make the program repeat itself (pass its generators in "
            'track=, put what cannot be repeated in run.once), or open with on_divergence="supersede" or "fork".'
        )


class Interrupted(SystemExit):
    """Stopped on request at a boundary, with a checkpoint. Exit status 75 (EX_TEMPFAIL): run the same line again."""

    def __init__(self, reason: str) -> None:
        super().__init__(75)
        self.reason = reason

    def __str__(self) -> str:
        return f"stopped at a boundary ({self.reason}); run the same line again to go on"
