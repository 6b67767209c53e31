"""A process at a terminal of its own: what is typed there, and what it shows."""

import os
import pty
import re
import select
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_PATIENCE_SECONDS = 60.0
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command at a pseudo-terminal. What is not over at the end of the block is killed."""

    def __init__(self, words: Sequence[str], environment: dict[str, str]) -> None:
        self._unread = ""
        self._bytes = b""
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                os.execvpe(words[0], list(words), environment)
            finally:
                os._exit(127)
        self._status: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()
        os.close(self._fd)

    def type(self, keys: str | bytes) -> None:
        """Press keys."""
        os.write(self._fd, keys if isinstance(keys, bytes) else keys.encode())

    def until(self, text: str) -> str:
        """What was shown up to a text and with it, colours and all."""
        while text not in self._unread:
            if not self._read():
                raise AssertionError(f"{text!r} was not shown; what was: {self._unread!r}")
        shown, _, self._unread = self._unread.partition(text)
        return shown + text

    def end(self) -> tuple[int, str]:
        """Wait for its end: the exit status, and what was shown before, without colours."""
        while self._read():
            pass
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return self._status, plain(self._unread)

    def interrupt(self) -> None:
        """Press Ctrl-C, once it waits for keys: one pressed while readline still draws is seen at the next key only."""
        self._wait_until_idle()
        self.type("\x03")

    def ask_to_stop(self) -> None:
        """Send it SIGTERM, once it waits for keys."""
        self._wait_until_idle()
        os.kill(self._pid, signal.SIGTERM)

    def kill(self) -> None:
        """Kill it as kill -9 does, where it is not over."""
        if self._status is None:
            os.kill(self._pid, signal.SIGKILL)
            self._status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _wait_until_idle(self) -> None:
        until = time.monotonic() + _PATIENCE_SECONDS
        while Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
            assert time.monotonic() < until, "it does not come to rest"
            os.sched_yield()

    def _read(self) -> bool:
        """Take in what came; False at the end."""
        if not select.select([self._fd], [], [], _PATIENCE_SECONDS)[0]:
            raise AssertionError(f"nothing more is shown; what was: {self._unread!r}")
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:  # how Linux says that nobody has the terminal open any more
            return False
        self._bytes += data
        whole = self._bytes.decode(errors="ignore") if data else ""
        self._bytes = self._bytes[len(whole.encode()) :]
        self._unread += whole
        return bool(data)


def plain(shown: str) -> str:
    """Without colours and movements of the cursor."""
    return _CONTROL.sub("", shown).replace("\r\n", "\n")
