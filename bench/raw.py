"""The raw limits: what the single operations below any recorder cost on this machine.

Each class is one operation; `call` takes one prepared argument, so that all are measured alike.
"""

import mmap
import os
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import msgspec

from corpus import Rec

LINE = b'{"kind":"token","n":1234567,"ts":1700000000000038,"token":"\xce\xa6\xc3\x97|Reactor|bio_prion",'
LINE += b'"z":0.4975234364836212,"phase":"PARADOX","tier":6,"meta":{"source":"emit_token","module":12,"step":61728}}\n'
WINDOW_BYTES = 4 << 20


class TokenRecord(msgspec.Struct, tag_field="kind", tag="token", omit_defaults=True, kw_only=True, gc=False):
    """A token's record as it stands in the log."""

    n: int
    ts: int
    token: str
    z: float | None = None
    phase: str | None = None
    tier: int | None = None
    source: str | None = None
    meta: Any = None


def token_record(record: Rec, n: int = 1_234_567) -> TokenRecord:
    """The struct of one record of the corpus."""
    token, z, phase, tier, ts, meta = record
    return TokenRecord(n=n, ts=ts, token=token, z=z, phase=phase, tier=tier, meta=meta)


def empty_token(
    text: str,
    *,
    z: float | None = None,
    phase: str | None = None,
    tier: int | None = None,
    source: str | None = None,
    meta: object = None,
) -> None:
    """A call with the arguments of run.token that does nothing."""


class Append:
    """list.append; the list is emptied before each round."""

    def __init__(self) -> None:
        self.items: list[object] = []
        self.call = self.items.append


def clock(_: object) -> None:
    """One look at the wall clock."""
    time.time_ns()


class Lock:
    """Taking a free lock and giving it back."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def call(self, _: object) -> None:
        with self.lock:
            pass


class Encode:
    """One msgspec encode of the record struct."""

    def __init__(self) -> None:
        self.call = msgspec.json.Encoder().encode


class Crc:
    """CRC-32 of 100 bytes, which are the argument."""

    def __init__(self) -> None:
        self.call = zlib.crc32


class Write:
    """One write(2) of a line, appended."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def call(self, line: bytes) -> None:
        os.write(self._fd, line)

    def close(self) -> None:
        os.close(self._fd)


class Map:
    """One line copied into a shared, populated map of 4 MiB, from the front again when it is full."""

    def __init__(self, path: Path) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.write(fd, b"\n" * WINDOW_BYTES)
        self._window = mmap.mmap(fd, WINDOW_BYTES)
        for page in range(0, WINDOW_BYTES, mmap.PAGESIZE):
            self._window[page] = 10
        os.close(fd)
        self._at = 0

    def call(self, line: bytes) -> None:
        at = self._at
        end = at + len(line)
        if end > WINDOW_BYTES:
            at, end = 0, len(line)
        self._window[at:end] = line
        self._at = end

    def close(self) -> None:
        self._window.close()


class Sync:
    """One pwrite of the argument and one fdatasync, over space written and synced before."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.pwrite(self._fd, b"\n" * WINDOW_BYTES, 0)
        os.fsync(self._fd)
        self._at = 0

    def call(self, line: bytes) -> None:
        at = self._at if self._at + len(line) <= WINDOW_BYTES else 0
        os.pwrite(self._fd, line, at)
        os.fdatasync(self._fd)
        self._at = at + len(line)

    def close(self) -> None:
        os.close(self._fd)
