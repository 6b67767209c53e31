"""A second reader of the format, naive and slow: written from docs/format.md alone, with the standard library alone.

It knows nothing of the package, and nothing here may be imported from it. Where it cannot be written from the page, the page
has a gap. Sealed files are read with DuckDB, as with any reader of Parquet.
"""

import base64
import hashlib
import json
import re
import struct
import zlib
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 1
CANONICAL = {"token", "tokens", "emission", "metric", "module", "once", "transition", "event", "file", "note"}
BOOKKEEPING = {"opened", "resumed", "superseded", "checkpoint", "released", "closed", "annotated", "flushed"}
VOLATILE = {"n", "ts", "back", "info", "join", "synced", "crc"}
HEADER = {"kind", "format", "session", "writer", "segment", "attempt", "boot", "durability", "first", "prev", "crc"}
SAFETENSORS = {
    "BOOL": "|b1",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "I8": "|i1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
    "U8": "|u1",
    "U16": "<u2",
    "U32": "<u4",
    "U64": "<u8",
}


class Damage(Exception):
    """Bytes that are not what was written, and that no kill or power loss explains."""


class TooNew(Exception):
    """A greater format version."""


# Lines ---------------------------------------------------------------------------------------------------------------


class Number(float):
    """A float that keeps the text it was written as."""

    text: str


def parse(line: bytes) -> dict[str, Any] | None:
    """The object of a line, or None where it is no whole one."""

    def number(text: str) -> Number:
        kept = Number(text)
        kept.text = text
        return kept

    try:
        found = json.loads(line.decode("utf-8"), parse_float=number)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def write(value: Any) -> str:
    """The JSON of what `parse` gave, as a line has it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{write(key)}:{write(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write, value)) + "]"
    if isinstance(value, Number):
        return value.text
    return json.dumps(value, ensure_ascii=False)


def canonical(value: Any) -> Any:
    """A value in the order of canonical JSON; `write` it for the text."""
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("$t") == "dict":
        pairs = [[canonical(key), canonical(item)] for key, item in value["v"]]
        return {"$t": "dict", "v": sorted(pairs, key=lambda pair: write(pair[0]).encode())}
    return {key: canonical(value[key]) for key in sorted(value, key=str.encode)}


# Segments ------------------------------------------------------------------------------------------------------------


@dataclass
class Segment:
    """A segment file. start: offset of its first record. closes: start, offset behind the newline, value, good."""

    path: Path
    data: bytes
    header: dict[str, Any]
    start: int
    closes: list[tuple[int, int, int, bool]]
    sealed: "SealedSegment | None" = None


def close_of(line: bytes) -> int | None:
    """The value in a line's close."""
    found = re.search(rb',"crc":"([0-9a-f]{8})"\}$', line)
    return int(found[1], 16) if found else None


def read_segment(path: Path) -> Segment | None:
    """A segment, or None where its first line is not a whole header."""
    data = path.read_bytes()
    first = data.split(b"\n")[0]
    header, stated = parse(first), close_of(first)
    if header is None or header.get("kind") != "segment" or stated is None or b"\n" not in data:
        return None
    if zlib.crc32(first[: first.rindex(b',"crc":"')]) != stated:
        return None
    if header["format"] > FORMAT:
        raise TooNew(header["format"])
    if set(header) != HEADER:
        raise Damage(f"{path}: fields of the header: {sorted(header)}")
    closes, begin, offset, seed = [], len(first) + 1, len(first) + 1, stated
    for line in data[begin:].split(b"\n")[:-1]:
        value = close_of(line)
        if value is not None:
            until = offset + line.rindex(b',"crc":"')
            closes.append((begin, offset + len(line) + 1, value, zlib.crc32(data[begin:until], seed) == value))
            begin, seed = offset + len(line) + 1, value
        offset += len(line) + 1
    return Segment(path, data, header, len(first) + 1, closes)


def chain_value(segment: Segment, length: int) -> int:
    """The chain's value at a length of a segment."""
    begin, value = segment.start, int(segment.header["crc"], 16)
    for _, end, stated, _ in segment.closes:
        if end <= length:
            begin, value = end, stated
    return zlib.crc32(segment.data[begin:length], value)


def segments_that_count(folder: Path) -> list[Segment]:
    """The segments from the first to the last, without abandoned ones."""
    numbers = {int(path.stem): path for path in folder.iterdir() if re.fullmatch(r"[0-9]{6,}\.jsonl", path.name)}
    chain: list[Segment] = []
    sealed = sealed_segments(folder)
    for number in sorted({*numbers, *sealed}, reverse=True):
        segment = read_segment(numbers[number]) if number in numbers else agreeing(sealed[number], None)
        if segment is not None:
            chain = [segment]
            break
        if any(parse(line) for line in numbers[number].read_bytes().split(b"\n")[1:]):
            raise Damage(f"{numbers[number]}: records without a header")
    while chain and (prev := chain[0].header["prev"]) is not None:
        before = read_segment(numbers[prev["segment"]]) if prev["segment"] in numbers else None
        if prev["segment"] not in numbers and prev["segment"] in sealed:
            before = agreeing(sealed[prev["segment"]], prev)
        if before is None:
            raise Damage(f"{chain[0].path}: what it builds on is not there")
        chain.insert(0, before)
    return chain


def whole_lines(data: bytes, pos: int, n: int) -> tuple[int, int]:
    """How far whole lines with the numbers behind n go from pos on: the offset, and the last number."""
    end, last = pos, n
    while (newline := data.find(b"\n", pos)) > pos:
        record = parse(data[pos:newline])
        if record is None or record["n"] != n + 1:
            break
        if close_of(data[pos:newline]) is not None and not record.get("join"):
            raise Damage(f"byte {pos}: a close that does not match")
        pos, n = newline + 1, n + 1
        if not record.get("join"):
            end, last = pos, n
    return end, last


def end_after_kill(segment: Segment) -> int:
    """Where a last segment ends, on the boot that wrote it."""
    good = [close[3] for close in segment.closes]
    if False in good and any(good[good.index(False) :]):
        raise Damage(f"{segment.path}: a bad close before a good one")
    end = max([segment.start, *(close[1] for close in segment.closes if close[3])])
    n = segment.header["first"] - 1 + len(segment.data[segment.start : end].split(b"\n")) - 1
    return whole_lines(segment.data, end, n)[0]


def end_after_power_loss(segment: Segment) -> int:
    """Where a segment ends, on another boot."""
    end = segment.start
    for _, behind, _, good in segment.closes:
        if not good:
            break
        end = behind
    return end


def highest_synced(segment: Segment, offset: int) -> int:
    """The greatest `synced` that a good close behind an offset states."""
    stated = [0]
    for _, end, _, good in segment.closes:
        if good and end > offset:
            record = parse(segment.data[:end].split(b"\n")[-2])
            stated.append((record or {}).get("synced", 0))
    return max(stated)


# Sealed files --------------------------------------------------------------------------------------------------------


@dataclass
class SealedSegment:
    """A segment in a sealed file: what the seal says of it, and its lines."""

    length: int
    n: int
    crc: str
    lines: list[bytes]


def read_seal(path: Path) -> dict[str, Any]:
    """A sealed file's seal; every byte of the file is checked."""
    data = path.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    pointer = re.fullmatch(rb"holdfast ([0-9]{10})\n", data[footer - 20 : footer]) if footer >= 24 else None
    if data[-4:] != b"PAR1" or pointer is None:
        raise Damage(f"{path}: none of ours, or cut")
    start = footer - 20 - int(pointer[1])
    line = data[start : footer - 20].rstrip(b"\n")
    seal = parse(line)
    if seal is None or zlib.crc32(line[: line.rindex(b',"crc":"')]) != close_of(line):
        raise Damage(f"{path}: the seal")
    if seal["format"] > FORMAT:
        raise TooNew(seal["format"])
    pieces = [zlib.crc32(data[at : min(at + (1 << 20), start)]) for at in range(0, start, 1 << 20)]
    if seal["data_bytes"] != start or seal["data"] != pieces or seal["footer"] != zlib.crc32(data[footer:-8]):
        raise Damage(f"{path}: a checksum")
    return seal


def sealed_lines(path: Path, seal: dict[str, Any]) -> list[bytes]:
    """The lines of all records of a sealed file."""
    import duckdb

    rows = duckdb.connect(":memory:").execute("SELECT * FROM read_parquet(?)", [str(path)])
    names = [column[0] for column in rows.description or []]
    lines = [sealed_line(dict(zip(names, row, strict=True)), seal) for row in rows.fetchall()]
    behind = [block[0] for block in seal["blocks"][1:]] + [seal["last"] + 1]
    for (first, size, crc), following in zip(seal["blocks"], behind, strict=True):
        text = b"".join(line + b"\n" for line in lines[first - seal["first"] : following - seal["first"]])
        if (len(text), zlib.crc32(text)) != (size, crc):
            raise Damage(f"{path}: the lines from {first} on")
    return lines


def sealed_line(row: dict[str, Any], seal: dict[str, Any]) -> bytes:
    """A row's line."""
    if row["line"] is not None:
        return str(row["line"]).encode()
    names = ["kind", "n", "ts", "lane", "top", "back", *seal["fields"]]
    parts = [f'"{name}":{written(name, row[name])}' for name in names if row[name] is not None and row[name] is not False]
    meta = {key: row[f"meta.{key}"] for key, _ in seal["meta"]}
    if row["meta"] is not None:
        parts.append(f'"meta":{row["meta"]}')
    elif meta and next(iter(meta.values())) is not None:
        pairs = [
            f"{json.dumps(key, ensure_ascii=False)}:{written(key, value)}" for key, value in meta.items() if value is not None
        ]
        parts.append(f'"meta":{{{",".join(pairs)}}}')
    return f"{{{','.join(parts)}}}".encode()


def written(name: str, value: Any) -> str:
    """A value as lines have it."""
    if name == "info":
        return str(value)
    if isinstance(value, float):
        return float_text(value)
    return json.dumps(value, ensure_ascii=False)


def float_text(value: float) -> str:
    """The shortest decimal, with an exponent from 1e16 on and below 1e-5."""
    text = re.sub(r"e([+-])0*([0-9]+)", lambda found: f"e{found[1].strip('+')}{found[2]}", repr(value))
    if found := re.fullmatch(r"(-?)([0-9])\.?([0-9]*)e-5", text):
        return f"{found[1]}0.0000{found[2]}{found[3]}"
    return text


def sealed_segments(folder: Path) -> dict[int, list[Segment]]:
    """What the sealed files of a folder have, by the number of the segment; the file of the greatest number first."""
    found: dict[int, list[Segment]] = {}
    for path in sorted(folder.glob("*.parquet"), reverse=True):
        if not re.fullmatch(r"[0-9]{6,}\.parquet", path.name):
            continue
        seal = read_seal(path)
        lines = sealed_lines(path, seal)
        for entry in seal["segments"]:
            header = parse(entry["header"].encode()) or {}
            own = lines[header["first"] - seal["first"] : entry["n"] + 1 - seal["first"]]
            sealed = SealedSegment(entry["length"], entry["n"], entry["crc"], own)
            found.setdefault(header["segment"], []).append(Segment(path, b"", header, 0, [], sealed))
    return found


def agreeing(found: list[Segment], prev: dict[str, Any] | None) -> Segment:
    """Of what sealed files have of a segment: what the next one says of it."""
    for segment in found:
        assert segment.sealed is not None
        if prev is None or (segment.sealed.length, segment.sealed.n, segment.sealed.crc) == (
            prev["length"],
            prev["n"],
            prev["crc"],
        ):
            return segment
    raise Damage(f"{found[0].path}: not what the next segment says of it")


def lines_of(folder: Path) -> list[bytes]:
    """All lines of a session, without their closes."""
    found: list[bytes] = []
    session = Session(folder)
    for segment, end in zip(session.segments, session.ends, strict=True):
        lines = segment.sealed.lines if segment.sealed else segment.data[segment.start : end].split(b"\n")[:-1]
        found += [re.sub(rb'(,"synced":[0-9]+)?,"crc":"[0-9a-f]{8}"\}$', b"}", line) for line in lines]
    return found


# A session -----------------------------------------------------------------------------------------------------------


@dataclass
class Checkpoint:
    """A checkpoint. problem: why its files are not what was written. tree: its state, undecoded."""

    number: int
    n: int
    position: int
    released: bool
    dead: bool
    problem: str | None = None
    tree: Any = None
    files: dict[str, bytes] = field(default_factory=dict)

    def state(self) -> Any:
        """The state of what was tracked, decoded."""
        return {name: decode(value, self.files) for name, value in self.tree["track"].items()}


class Session:
    """A session's folder, read. same_boot=False: as after a power loss."""

    def __init__(self, folder: Path, *, same_boot: bool = True) -> None:
        self.folder = folder
        self.segments = segments_that_count(folder / "log" / "main")
        self.records: list[dict[str, Any]] = []
        self.ends: list[int] = []
        self.torn = b""
        self._read(same_boot)

    def _read(self, same_boot: bool) -> None:
        attempt = self.segments[-1].header["attempt"] if self.segments else 0
        for index, segment in enumerate(self.segments):
            following = self.segments[index + 1].header["prev"] if index + 1 < len(self.segments) else None
            if segment.sealed is not None:
                self._take_sealed(segment, segment.sealed)
                continue
            end = following["length"] if following else end_after_kill(segment) if same_boot else end_after_power_loss(segment)
            is_torn = False
            if not same_boot and following and segment.header["attempt"] == attempt:
                is_torn = end_after_power_loss(segment) < end
                end = min(end, end_after_power_loss(segment))
            self._take(segment, end, following if not is_torn else None)
            if is_torn or not following:
                self.torn = segment.data[end:].rstrip(b"\n\0")
                self._check_torn(self.segments[index:], end, same_boot)
                return

    def _take_sealed(self, segment: Segment, sealed: SealedSegment) -> None:
        self.ends.append(0)
        if segment.header["first"] != len(self.records) + 1:
            raise Damage(f"{segment.path}: it begins with record {segment.header['first']}")
        for line in sealed.lines:
            record = parse(line)
            if record is None or record["n"] != len(self.records) + 1 or record["kind"] not in CANONICAL | BOOKKEEPING:
                raise Damage(f"{segment.path}: record {len(self.records) + 1} is not there")
            self.records.append(record)

    def _take(self, segment: Segment, end: int, following: dict[str, Any] | None) -> None:
        self.ends.append(end)
        if segment.header["first"] != len(self.records) + 1:
            raise Damage(f"{segment.path}: it begins with record {segment.header['first']}")
        for line in segment.data[segment.start : end].split(b"\n")[:-1]:
            record = parse(line)
            if record is None or record["n"] != len(self.records) + 1 or record["kind"] not in CANONICAL | BOOKKEEPING:
                raise Damage(f"{segment.path}: record {len(self.records) + 1} is not there")
            self.records.append(record)
        if following is not None:
            stated = (following["n"], following["length"], following["crc"])
            if stated != (len(self.records), min(end, len(segment.data)), f"{chain_value(segment, end):08x}"):
                raise Damage(f"{segment.path}: not what the next segment says of it")
        if any(not good for _, behind, _, good in segment.closes if behind <= end):
            raise Damage(f"{segment.path}: a bad close")

    def _check_torn(self, rest: list[Segment], end: int, same_boot: bool) -> None:
        if same_boot:
            lines = rest[0].data[end:].split(b"\n")
            while (parse(lines[0]) or {}).get("join"):
                lines = lines[1:]
            for line in lines[1:]:
                if (record := parse(line)) is not None and record.get("n", 0) > len(self.records):
                    raise Damage(f"{rest[0].path}: record {record['n']} behind the tear")
        elif max([highest_synced(rest[0], end), *(highest_synced(later, 0) for later in rest[1:])]) > len(self.records):
            raise Damage(f"{rest[0].path}: synced bytes are gone")

    def superseded(self) -> list[tuple[int, dict[str, Any]]]:
        """Number of the record and range, of every range."""
        return [(record["n"], span) for record in self.records if record["kind"] == "superseded" for span in record["ranges"]]

    def canonical(self) -> list[dict[str, Any]]:
        """The canonical view."""
        spans = self.superseded()
        return [
            record
            for record in self.records
            if record["kind"] in CANONICAL
            and not any(
                n > record["n"]
                and span["first"] <= record["n"] <= span["last"]
                and span.get("lane", "") == record.get("lane", "")
                and span.get("top", False) == record.get("top", False)
                for n, span in spans
            )
        ]

    def digest(self) -> str:
        """The digest."""
        lanes: dict[str, list[bytes]] = {}
        for record in self.canonical():
            gone = VOLATILE | ({"value"} if record["kind"] == "once" else set())
            kept = {key: value for key, value in record.items() if key not in gone}
            lanes.setdefault(record.get("lane", ""), []).append(write(canonical(kept)).encode() + b"\n")
        total = ""
        for lane in sorted(lanes, key=str.encode):
            inner = hashlib.sha256(b"".join(lanes[lane])).hexdigest()
            total += f"{len(lane.encode())}:{lane}:{len(lanes[lane])}:{inner}\n"
        return hashlib.sha256(total.encode()).hexdigest()

    def check_chain(self) -> None:
        """See that `back` links what the page says it links."""
        last = 0
        for record in self.records:
            n = record["n"]
            if record["kind"] == "checkpoint":
                if record["back"] != last:
                    raise Damage(f"record {n}: back")
            elif record.get("top") or record["kind"] == "superseded":
                if record.get("back", n - 1) != last:
                    raise Damage(f"record {n}: back")
                last = n
            elif "back" in record:
                raise Damage(f"record {n}: back")

    def checkpoints(self) -> list[Checkpoint]:
        """All checkpoints; the files of those that are not released are checked."""
        released = {n for record in self.records if record["kind"] == "released" for n in record["checkpoints"]}
        found = []
        for record in self.records:
            if record["kind"] == "checkpoint":
                position = record["position"]["main"]
                entry = Checkpoint(record["number"], record["n"], position, record["n"] in released, self._is_dead(record))
                if not entry.released:
                    self._load(record, entry)
                found.append(entry)
        return found

    def _is_dead(self, record: dict[str, Any]) -> bool:
        rewinds = [(other["n"], other["rewound"]) for other in self.records if "rewound" in other]
        if any(to < record["n"] < n for n, to in rewinds):
            return True
        for n, span in self.superseded():
            reached = record["position"]["main"]
            behind = record.get("behind", {}).get(span.get("lane", ""))
            if behind is not None:
                reached = min(reached, behind - 1)
            if n > record["n"] and not span.get("top", False) and span["first"] <= reached:
                return True
        return False

    def _load(self, record: dict[str, Any], entry: Checkpoint) -> None:
        for stored in record.get("files", []):
            path = self.folder / "checkpoints" / stored["name"]
            data = path.read_bytes() if path.exists() else None
            if data is None or len(data) != stored["size"] or hashlib.sha256(data).hexdigest() != stored["sha256"]:
                entry.problem = stored["name"]
                return
            entry.files[stored["name"]] = data
        entry.tree = record.get("state") or parse(entry.files[f"{record['folder']}/state.json"])

    def check_files(self) -> None:
        """See that the content of every `file` record is there."""
        for record in self.records:
            if record["kind"] == "file":
                data = (self.folder / "files" / record["sha256"]).read_bytes()
                if len(data) != record["size"] or hashlib.sha256(data).hexdigest() != record["sha256"]:
                    raise Damage(f"files/{record['sha256']}")


# Values --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scalar:
    """A NumPy scalar."""

    dtype: str
    value: Any


@dataclass(frozen=True)
class Array:
    """An array: its bytes in C order."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    def tobytes(self) -> bytes:
        return self.data


@dataclass(frozen=True)
class Tensor(Array):
    """A torch tensor; dtype is torch's name."""


def item_size(dtype: str) -> int:
    """Bytes of one item."""
    kind, size = dtype[1], dtype[2:].partition("[")[0]
    return int(size) * (4 if kind == "U" else 1)


def decode(value: Any, files: dict[str, bytes] | None = None) -> Any:
    """A stored value as what was put in. files: of its checkpoint, by name."""
    if isinstance(value, list):
        return [decode(item, files) for item in value]
    if isinstance(value, Number):
        return float(value)
    if not isinstance(value, dict):
        return value
    if "$t" not in value:
        return {key: decode(item, files) for key, item in value.items()}
    if set(value) != {"$t", "v"}:
        raise Damage(f"a tag with the keys {sorted(value)}")
    return decode_tag(value["$t"], value["v"], files)


def decode_tag(tag: str, v: Any, files: dict[str, bytes] | None) -> Any:
    if tag == "int":
        return int(v, 16)
    if tag == "float":
        return {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}[v]
    if tag == "str":
        return base64.b64decode(v, validate=True).decode("utf-8", "surrogatepass")
    if tag == "bytes":
        return base64.b64decode(v, validate=True)
    if tag == "bytearray":
        return bytearray(base64.b64decode(v, validate=True))
    if tag == "dict":
        return {decode(key, files): decode(item, files) for key, item in v}
    if tag == "OrderedDict":
        return OrderedDict((decode(key, files), decode(item, files)) for key, item in v)
    if tag == "array":
        return outside_array(v, files or {})
    parts = decode(v, files)
    if tag == "complex":
        return complex(*parts)
    if tag == "range":
        return range(*parts)
    if tag == "tuple":
        return tuple(parts)
    if tag == "set":
        return set(parts)
    if tag == "frozenset":
        return frozenset(parts)
    if tag == "numpy":
        return Scalar(*parts)
    if tag == "ndarray":
        dtype, shape, data = parts
        content = data.data if isinstance(data, Array) else base64.b64decode(data, validate=True)
        return Array(dtype, tuple(shape), content)
    if tag == "axes":
        return transposed(*parts)
    if tag == "tensor":
        return Tensor(parts[0], parts[1].shape, parts[1].data)
    raise Damage(f"unknown tag {tag}")


def transposed(axes: list[int], inner: Array) -> Array:
    """Axis k of what is returned is axis axes[k] of the inner array."""
    size = item_size(inner.dtype)
    strides = [size] * len(inner.shape)
    for axis in range(len(inner.shape) - 1, 0, -1):
        strides[axis - 1] = strides[axis] * inner.shape[axis]
    shape = tuple(inner.shape[axis] for axis in axes)
    offsets = [0]
    for axis in axes:
        offsets = [offset + index * strides[axis] for offset in offsets for index in range(inner.shape[axis])]
    return Array(inner.dtype, shape, b"".join(inner.data[offset : offset + size] for offset in offsets))


def outside_array(key: str, files: dict[str, bytes]) -> Array:
    """An array of a safetensors file."""
    name, _, tensor = key.partition("#")
    data = files[name]
    (length,) = struct.unpack("<Q", data[:8])
    entry = json.loads(data[8 : 8 + length])[tensor]
    begin, end = entry["data_offsets"]
    return Array(SAFETENSORS[entry["dtype"]], tuple(entry["shape"]), data[8 + length + begin : 8 + length + end])
