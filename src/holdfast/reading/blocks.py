"""The lines of a log in large pieces: for those who look at all of them."""

from collections.abc import Iterator

import msgspec

from holdfast.errors import Corrupted, ReadFailed
from holdfast.storage.files import File, read_errors
from holdfast.storage.reader import LogReader
from holdfast.storage.recovery import Extent

_CHUNK_BYTES = 1 << 20
_FEW_LINES = 4096  # up to here finding the first one by halving is quicker than counting newlines up to it


class Block(msgspec.Struct, frozen=True):
    """Whole lines, each with its newline but perhaps the last one: of the records first to last, both included."""

    first: int
    last: int
    data: bytes

    def lines(self) -> list[bytes]:
        """The lines, without their newlines."""
        return self.data.removesuffix(b"\n").split(b"\n")


def line_blocks(reader: LogReader, first: int = 1, last: int | None = None) -> Iterator[Block]:
    """The records first to last in blocks of about a megabyte (some, where they are sealed), in order and without a gap.

    Raises what LogReader.read raises.
    """
    last = reader.last if last is None else min(last, reader.last)
    for extent in reader.past.extents:
        begin, end = max(first, extent.header.first), min(last, extent.last)
        if begin > end:
            continue
        if _is_live(extent) and end - begin >= _FEW_LINES:
            try:
                for block in _blocks_of(reader, extent, begin, end):
                    yield block
                    begin = block.last + 1
                continue
            except FileNotFoundError:
                pass  # it was sealed meanwhile: the reader knows where the lines are now
        if extent.is_sealed and end - begin >= _FEW_LINES:
            for piece in reader.sealed(extent.path).pieces(begin, end):
                yield Block(*piece)
            continue
        yield from _joined(reader, begin, end)


def block_of(reader: LogReader, first: int, last: int) -> Block:
    """The records first to last as one block."""
    return Block(first, last, b"\n".join([line for _, line in reader.read(first, last)]))


def _is_live(extent: Extent) -> bool:
    """Whether the segment is one of lines."""
    return extent.path.suffix == ".jsonl"


def _joined(reader: LogReader, first: int, last: int) -> Iterator[Block]:
    piece: list[bytes] = []
    size = 0
    for n, line in reader.read(first, last):
        piece.append(line)
        size += len(line)
        if size >= _CHUNK_BYTES or len(piece) == _FEW_LINES:
            yield Block(n - len(piece) + 1, n, b"\n".join(piece))
            piece, size = [], 0
    if piece:
        yield Block(last - len(piece) + 1, last, b"\n".join(piece))


def _blocks_of(reader: LogReader, extent: Extent, first: int, last: int) -> Iterator[Block]:
    try:
        file = reader.files.open(extent.path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ReadFailed(extent.path, error.strerror or type(error).__name__) from error
    try:
        n, pos = extent.header.first, extent.start
        while n <= last:
            data, pos = _whole_lines(file, extent, pos, n)
            behind = n + data.count(b"\n")
            if behind > first:
                if n < first:
                    data, n = _without(data, first - n), first
                if behind > last + 1:
                    data = _first_lines(data, last + 1 - n)
                yield Block(n, min(behind - 1, last), data)
            n = behind
    finally:
        file.close()


def _whole_lines(file: File, extent: Extent, pos: int, n: int) -> tuple[bytes, int]:
    """The lines from offset pos on, and the offset behind them."""
    size = _CHUNK_BYTES
    while True:
        with read_errors(extent.path):
            data = file.read(min(size, extent.end - pos), pos)
        end = data.rfind(b"\n") + 1
        if end:
            return data[:end], pos + end
        if len(data) < size:
            raise Corrupted(extent.path, pos + len(data), f"the file ends here, and record {n} should follow")
        size *= 4


def _without(data: bytes, count: int) -> bytes:
    return data.split(b"\n", count)[-1]


def _first_lines(data: bytes, count: int) -> bytes:
    rest = data.split(b"\n", count)[-1]
    return data[: len(data) - len(rest)]
