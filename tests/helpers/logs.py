"""Logs made by hand: any lines, in segments whose closes and headers are right."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from holdfast.reading.seal import Sealed, seal_log
from holdfast.storage.files import Files
from holdfast.storage.host import boot_id
from holdfast.storage.lines import FORMAT_VERSION, Header, Predecessor, close_line, header_line, stamp_synced
from holdfast.storage.reader import LogReader
from holdfast.storage.recovery import segment_path
from tests.helpers.quick import QuickFiles


def line(kind: str, n: int, rest: str = "") -> bytes:
    """A record's line: `rest` is what comes behind n and ts, with its comma."""
    return f'{{"kind":"{kind}","n":{n},"ts":{1_764_000_000_000_000 + 7 * n}{rest}}}'.encode()


def write_log(folder: Path, segments: Sequence[Sequence[bytes]], *, close_every: int = 3, power: bool = False) -> None:
    """Write lines, which have the numbers from 1 on, as segments; the last one is closed."""
    folder.mkdir(parents=True, exist_ok=True)
    prev: Predecessor | None = None
    n = 0
    for number, lines in enumerate(segments, 1):
        header = Header(
            format=FORMAT_VERSION,
            session="made",
            writer="main",
            segment=number,
            attempt=number,
            boot=boot_id(),
            durability="power" if power else "process",
            first=n + 1,
            prev=prev,
        )
        data, crc = header_line(header)
        since = len(data)
        for index, bare in enumerate(lines, 1):
            n += 1
            if index % close_every == 0 or (index == len(lines) and number == len(segments)):
                crc = zlib.crc32(data[since:], crc)
                closed, crc = close_line(stamp_synced(bare, n - 1) if power else bare, crc)
                data += closed + b"\n"
                since = len(data)
            else:
                data += bare + b"\n"
        crc = zlib.crc32(data[since:], crc)
        segment_path(folder, number).write_bytes(data)
        prev = Predecessor(number, len(data), n, f"{crc:08x}")


def seal(session: Path, *, files: Files | None = None, most_bytes: int = 160 << 20, keep_lines: bool = False) -> Sealed:
    """Seal a session, however small it is."""
    return seal_log(
        files or QuickFiles(),
        session / "log" / "main",
        session / "lock",
        session.name,
        boot_id(),
        least_bytes=0,
        most_bytes=most_bytes,
        keep_lines=keep_lines,
    )


def reader_of(session: Path) -> LogReader:
    """The log of a session."""
    return LogReader(QuickFiles(), session / "log" / "main", boot_id())


def names_in(session: Path) -> list[str]:
    """The files of a session's log."""
    return sorted(path.name for path in (session / "log" / "main").iterdir())


def json_of(value: object) -> str:
    """A value as our lines have it."""
    return msgspec.json.encode(value).decode()
