"""What docs/format.md says is what is written, and samples of each version are read for ever, also from it alone."""

import json
import re
import shutil
import subprocess
import zlib
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

import holdfast
from holdfast import codec, records
from holdfast.errors import NewerFormat
from holdfast.reading.catalog import Manifest
from holdfast.reading.digest import digest_of
from holdfast.reading.view import all_records, canonical_records
from holdfast.sessions.checkpoints import CheckpointStore
from holdfast.sessions.listing import list_checkpoints
from holdfast.sessions.lookup import find_checkpoint
from holdfast.storage.files import RealFiles
from holdfast.storage.lines import Header, Predecessor
from holdfast.storage.reader import LogReader
from holdfast.storage.recovery import recover
from tests.data.make_fixtures import TENSOR_SHOWN, Box, make_fixtures
from tests.helpers import docs_reader
from tests.helpers.describe import describe
from tests.helpers.sources import ROOT

PAGE = (ROOT / "docs" / "format.md").read_text(encoding="utf-8")
DATA = ROOT / "tests" / "data"
SAMPLES = sorted(DATA.glob("v*/expected/*.json"))
FILES = RealFiles()
ENDED = ["arrays", "batch", "closed", "everything", "forked", "forked~2", "power", "powerloss", "rewound", "rolled", "sealed"]


def folder_of(expected: Path) -> Path:
    return expected.parent.parent / "sessions" / expected.stem


def copied(tmp_path: Path, name: str) -> Path:
    """A workspace in which a sample can be written to."""
    shutil.copytree(DATA / "v1" / "sessions" / name, tmp_path / "sessions" / name)
    return tmp_path


def values_of(found: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """Name and stored value of the events that hold sample values."""
    return [
        (fields["name"], fields["data"])
        for fields in found
        if fields["kind"] == "event" and fields.get("top") and "value" in fields.get("data", {})
    ]


def check_from_the_page(folder: Path, expected: dict[str, Any]) -> None:
    session = docs_reader.Session(folder)
    assert session.digest() == expected["digest"]
    assert len(session.records) == expected["records"]
    assert len(session.canonical()) == expected["canonical"]
    kinds = [record["kind"] for record in session.records]
    assert {kind: kinds.count(kind) for kind in kinds} == expected["kinds"]
    values = {name: describe(docs_reader.decode(data)["value"]) for name, data in values_of(session.canonical())}
    assert values == expected["values"]
    session.check_chain()
    session.check_files()
    checkpoints = session.checkpoints()
    assert [
        {
            "number": found.number,
            "n": found.n,
            "position": found.position,
            "released": found.released,
            "dead": found.dead,
            "state": None if found.released else describe(found.state()),
        }
        for found in checkpoints
    ] == expected["checkpoints"]
    assert [found.problem for found in checkpoints] == [None] * len(checkpoints)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_a_reader_written_from_the_page_reads_every_sample(sample: Path) -> None:
    check_from_the_page(folder_of(sample), json.loads(sample.read_bytes()))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_the_library_reads_every_sample(sample: Path) -> None:
    expected, name, folder = json.loads(sample.read_bytes()), sample.stem, folder_of(sample)
    workspace = holdfast.Workspace(sample.parent.parent)
    assert workspace.digest(name) == expected["elsewhere"]["digest"]
    assert workspace.session(name).name == name
    boot = docs_reader.Session(folder).segments[-1].header["boot"]
    reader = LogReader(FILES, folder / "log" / "main", boot)
    assert digest_of(reader).sha256 == expected["digest"]
    assert [n for n, _ in all_records(reader)] == list(range(1, expected["records"] + 1))
    canonical = [fields for _, fields in canonical_records(reader)]
    assert len(canonical) == expected["canonical"]
    values = dict(values_of(canonical))
    tensor = values.pop("tensor", None)  # whose library need not be here
    shown = {key: describe(codec.decode(value["value"])) for key, value in values.items()}
    assert {**shown, **({"tensor": TENSOR_SHOWN} if tensor else {})} == expected["values"]
    store = CheckpointStore(FILES, folder / "checkpoints", 0, 0)
    found = list_checkpoints(reader, store.verify)
    assert [info.problem for info in found] == [None] * len(found)
    for info, entry in zip(found, expected["checkpoints"], strict=True):
        assert (info.n, info.position) == (entry["n"], entry["position"])
        assert (info.released, info.dead) == (entry["released"], entry["dead"])
        if not info.released:
            record = find_checkpoint(reader, entry["number"])
            state, arrays = store.load(record)
            decoded = {key: codec.decode(value, arrays=arrays) for key, value in state["track"].items()}
            assert describe(decoded) == entry["state"]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_both_readers_recover_the_same_records_after_a_kill_and_after_a_power_loss(sample: Path) -> None:
    log = folder_of(sample) / "log" / "main"
    killed = docs_reader.Session(folder_of(sample))
    lost = docs_reader.Session(folder_of(sample), same_boot=False)
    assert recover(FILES, log, killed.segments[-1].header["boot"]).last == len(killed.records)
    expected = json.loads(sample.read_bytes())["elsewhere"]
    assert (lost.digest(), len(lost.records)) == (expected["digest"], expected["records"])
    assert recover(FILES, log, "another boot").last == len(lost.records)
    verified = holdfast.Workspace(sample.parent.parent).verify(sample.stem)
    assert (verified.problems, verified.records) == ((), len(lost.records))


def test_the_samples_hold_every_kind_every_tag_and_every_way_a_log_ends() -> None:
    sessions = [docs_reader.Session(folder_of(sample)) for sample in SAMPLES]
    lines = [line for session in sessions for segment in session.segments for line in segment.data.split(b"\n")]
    states = [path.read_bytes() for sample in SAMPLES for path in folder_of(sample).glob("checkpoints/*/state.json")]
    everything = b"".join([*lines, *states])
    assert {
        record["kind"] for session in sessions for record in session.records
    } == docs_reader.CANONICAL | docs_reader.BOOKKEEPING
    table = PAGE.split("| `$t` | stands for |")[1].split("\n\n")[0]
    tags = set(re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", table, re.MULTILINE))
    names = {name for cell in tags for name in re.findall(r"`(\w+)`", cell)}
    assert len(names) == 17
    assert [name for name in sorted(names) if b'{"$t":"%b"' % name.encode() not in everything] == []
    for piece in (b'"join":true', b'"synced":', b'"status":"failed"', b'"status":"forked"', b'"raw":', b'"lane":'):
        assert piece in everything
    assert any(session.torn for session in sessions)
    abandoned = [session for session in sessions if len(session.segments) > 3]
    assert abandoned[0].segments[2].header["prev"]["length"] < len(abandoned[0].segments[1].data)


def test_what_is_written_now_is_read_from_the_page_alone(tmp_path: Path) -> None:
    make_fixtures(tmp_path / "now")
    made = sorted((tmp_path / "now" / "expected").iterdir())
    assert [path.name for path in made] == [path.name for path in sorted((DATA / "v1" / "expected").iterdir())]
    for path in made:
        expected = json.loads(path.read_bytes())
        check_from_the_page(folder_of(path), expected)
        # Equal programs have equal digests, in every version that writes this format.
        assert expected["digest"] == json.loads((DATA / "v1" / "expected" / path.name).read_bytes())["digest"]


def test_a_killed_sample_is_gone_on_with(tmp_path: Path) -> None:
    box = Box(None)
    with holdfast.session("killed", root=copied(tmp_path, "killed"), track={"box": box}) as run:
        steps = []
        for step in run.loop(None, checkpoint_every=3):
            if run.resumed_step == step:
                assert box.state == {"steps": 6}
            run.metric(step=step)
            run.note(f"step {step}")
            box.state = {"steps": step + 1}
            steps.append(step)
            if step == 8:
                break
    assert steps == [6, 7, 8]
    session = docs_reader.Session(tmp_path / "sessions" / "killed")
    assert [record["values"]["step"] for record in session.canonical() if record["kind"] == "metric"] == list(range(9))
    assert holdfast.Workspace(tmp_path).verify("killed").problems == ()


# The page ------------------------------------------------------------------------------------------------------------


def fields_after(heading: str) -> list[str]:
    """The first column of the table that follows a text of the page."""
    assert PAGE.count(heading) == 1, heading
    table = PAGE.split(heading, 1)[1].split("|---|", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def fields_of(struct: type[msgspec.Struct]) -> list[str]:
    return [*struct.__struct_fields__]


def test_every_kind_and_field_of_a_record_stands_in_the_page_and_no_other() -> None:
    kinds = {kind.__struct_config__.tag: kind for kind in (*get_args(records.Canonical), *get_args(records.Bookkeeping))}
    sections = re.split(r"^#### `(\w+)`$", PAGE.split("## The chain")[0], flags=re.MULTILINE)
    described = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert [*described] == [*kinds]
    common = set(records.Record.__struct_fields__)
    for kind, text in described.items():
        own = [name for name in fields_of(kinds[kind]) if name not in common]
        shown = re.findall(r"^\| `(\w+)` \|", text.split("\nOf a ")[0], re.MULTILINE)
        assert shown == own, kind
    assert fields_after("Fields that every record may have:") == ["kind", *records.Record.__struct_fields__]


@pytest.mark.parametrize(
    ("heading", "struct"),
    [
        ("Of a range:", records.Range),
        ("Of a loop:", records.Loop),
        ("Of a file:", records.StoredFile),
        ("`prev` is an object of four fields:", Predecessor),
        ("replaced atomically.", Manifest),
    ],
)
def test_every_field_of_an_object_stands_in_the_page(heading: str, struct: type[msgspec.Struct]) -> None:
    assert fields_after(heading) == fields_of(struct)


def test_every_field_of_a_header_stands_in_the_page() -> None:
    assert fields_after("## Header") == ["kind", *fields_of(Header), "crc"]


def test_the_page_tells_which_kinds_are_canonical_and_which_fields_are_volatile() -> None:
    canonical = PAGE.split("### Canonical kinds")[1].split("### Bookkeeping")[0]
    assert set(re.findall(r"^#### `(\w+)`$", canonical, re.MULTILINE)) == records.CANONICAL_KINDS == docs_reader.CANONICAL
    step = PAGE.split("without the volatile fields ")[1].split(";")[0]
    assert set(re.findall(r"`(\w+)`", step)) == records.VOLATILE_FIELDS == docs_reader.VOLATILE


def test_the_example_of_the_page_is_read_by_both_and_its_sums_are_right(tmp_path: Path) -> None:
    text = PAGE.split("## An example")[1]
    data = text.split("<!-- example -->\n```\n")[1].split("```")[0].encode()
    log = tmp_path / "sessions" / "tiny" / "log" / "main"
    log.mkdir(parents=True)
    (log / "000001.jsonl").write_bytes(data + b"\n" * 1000)
    assert "1,015 bytes in eight lines" in text
    assert (len(data), data.count(b"\n")) == (1015, 8)
    sums = re.findall(r"^\| (\d+) to (\d+) \| `([0-9a-f]{8})` \| `([0-9a-f]{8})` \|", text, re.MULTILINE)
    assert len(sums) == 4
    for begin, end, seed, value in sums:
        assert f"{zlib.crc32(data[int(begin) : int(end)], int(seed, 16)):08x}" == value
    session = docs_reader.Session(tmp_path / "sessions" / "tiny")
    assert f"{docs_reader.chain_value(session.segments[0], len(data)):08x}" == sums[-1][3]
    assert recover(FILES, log, session.segments[0].header["boot"]).extents[0].crc == int(sums[-1][3], 16)
    assert len(session.records) == 7
    assert len(docs_reader.Session(tmp_path / "sessions" / "tiny", same_boot=False).records) == 6
    digest = re.search(r"The digest is `([0-9a-f]{64})`", text)
    assert digest is not None
    assert session.digest() == digest_of(LogReader(FILES, log, session.segments[0].header["boot"])).sha256 == digest[1]


def test_the_reader_of_the_page_is_on_its_own() -> None:
    source = (ROOT / "tests" / "helpers" / "docs_reader.py").read_text(encoding="utf-8")
    imported = set(re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE))
    assert imported == {"base64", "collections", "dataclasses", "hashlib", "json", "pathlib", "re", "struct", "typing", "zlib"}


# Ordinary tools ------------------------------------------------------------------------------------------------------

TORN = DATA / "v1" / "sessions" / "killed" / "log" / "main" / "000002.jsonl"


def test_jq_prints_every_line_before_a_torn_one() -> None:
    if (jq := shutil.which("jq")) is None:
        pytest.skip("jq is not installed (make tools installs it)")
    done = subprocess.run([jq, "-c", ".n", str(TORN)], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["null", *map(str, range(14, 21))]
    whole = DATA / "v1" / "sessions" / "forked" / "log" / "main" / "000002.jsonl"  # newlines behind its end, and no tear
    done = subprocess.run([jq, "-c", ".kind", str(whole)], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ['"segment"', '"closed"']


def test_duckdb_reads_a_torn_segment_leaving_errors_out() -> None:
    duckdb = pytest.importorskip("duckdb")
    query = "SELECT n FROM read_json(?, format='newline_delimited', ignore_errors=true) WHERE n IS NOT NULL ORDER BY n"
    with duckdb.connect() as connection:
        rows = connection.execute(query, [str(TORN)]).fetchall()
    assert [n for (n,) in rows if n <= 20] == list(range(14, 21))


# Versions and caches ---------------------------------------------------------------------------------------------------


def test_a_newer_format_is_refused_by_its_number_and_left_as_it_is(tmp_path: Path) -> None:
    root = copied(tmp_path, "closed")
    path = root / "sessions" / "closed" / "log" / "main" / "000001.jsonl"
    header, rest = path.read_bytes().split(b"\n", 1)
    body = header[: header.rindex(b',"crc":"')].replace(b'"format":1', b'"format":2,"shape":"new"')
    newer = b'%b,"crc":"%08x"}\n%b' % (body, zlib.crc32(body), rest)
    path.write_bytes(newer)
    with pytest.raises(NewerFormat, match=r"format version 2, and this Holdfast reads up to 1.*upgrade with: pip install"):
        holdfast.start("closed", root=root)
    with pytest.raises(NewerFormat):
        holdfast.Workspace(root).digest("closed")
    with pytest.raises(docs_reader.TooNew):
        docs_reader.Session(path.parents[2])
    assert path.read_bytes() == newer


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"name":"someone else"}'])
@pytest.mark.parametrize("name", ENDED)
def test_a_lost_session_json_is_rebuilt_from_the_log(tmp_path: Path, name: str, content: bytes | None) -> None:
    root = copied(tmp_path, name)
    path = root / "sessions" / name / "session.json"
    workspace = holdfast.Workspace(root)
    before = msgspec.structs.asdict(workspace.session(name))
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    after = msgspec.structs.asdict(workspace.session(name))
    assert {**after, "updated": 0} == {**before, "updated": 0}
    assert [entry.name for entry in workspace.sessions()] == [name]
    workspace.note(name, "written anew")
    assert json.loads(path.read_bytes())["records"] == before["records"] + 2
