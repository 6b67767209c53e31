"""The loader against a plain list of the records, on random sessions: attempts, superseded ranges, lanes, batches, seals."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Workspace
from holdfast.codec import decode, encode
from holdfast.reading import blocks, loader, outline
from holdfast.reading.columns import TOKEN_FIELDS, token_batches
from holdfast.reading.seal import seal_log
from holdfast.reading.view import all_records
from holdfast.records import (
    Checkpoint,
    Closed,
    Emission,
    Event,
    Metric,
    Module,
    Note,
    Opened,
    Range,
    Record,
    Resumed,
    Superseded,
    Token,
    Tokens,
    Transition,
)
from holdfast.sessions.folder import SessionFolder
from holdfast.storage.host import boot_id
from holdfast.storage.log import LogWriter
from holdfast.storage.reader import LogReader
from holdfast.storage.recovery import recover
from tests.helpers.quick import QuickFiles

FILES = QuickFiles()
BOOT = boot_id()
numbers = itertools.count()
lanes = st.sampled_from([None, "side"])
phases = st.sampled_from([None, "A", "B"])
zs = st.sampled_from([None, 0.0, 0.25, 0.5, 1.0])
tiers = st.sampled_from([None, 1, 2])
sources = st.sampled_from([None, "here", "there"])
moments = st.integers(1, 20)
values = st.sampled_from([None, {"a": 1}, {"a": (1, 2.0), "b": b"x"}, {1: float("inf")}])
names = st.sampled_from(["loss", "score", "other"])
shown_tokens = st.sampled_from(["Φ×|Reactor|celestial_em", "e", '{"kind":"token",', 7, b"bytes"])
single = st.builds(
    lambda token, **fields: Token(token=encode(token), **fields),
    token=shown_tokens,
    z=zs,
    phase=phases,
    tier=tiers,
    source=sources,
    meta=values.map(encode),
    ts=moments,
    lane=lanes,
    top=st.booleans(),
)


@st.composite
def batches(draw: st.DrawFn) -> Tokens:
    tokens = draw(st.lists(st.one_of(shown_tokens, st.just("\ud800")), max_size=5))
    drawn: dict[str, Any] = {"z": zs, "phase": phases, "tier": st.one_of(tiers, st.booleans()), "step": st.integers(0, 9)}
    chosen = draw(st.sets(st.sampled_from(sorted(drawn))))
    listed = {name: draw(st.lists(drawn[name], min_size=len(tokens), max_size=len(tokens))) for name in sorted(chosen)}
    columns = {name: encode(column) for name, column in listed.items()}
    return Tokens(tokens=encode(tokens), columns=columns, ts=draw(moments), lane=draw(lanes), top=draw(st.booleans()))


shared: dict[str, Any] = {"ts": moments, "lane": lanes, "top": st.booleans()}
records = st.one_of(
    single,
    single,
    batches(),
    st.builds(Emission, text=st.text(max_size=3), z=zs, phase=phases, meta=values.map(encode), **shared),
    st.builds(Metric, values=st.dictionaries(names, st.floats(0, 1), max_size=2), **shared),
    st.builds(Module, name=names, result=values.map(encode), phase=phases, **shared),
    st.builds(Transition, before=values.map(encode), after=values.map(encode), **shared),
    st.builds(Event, name=names, data=values.map(encode), **shared),
    st.builds(Note, text=st.text(max_size=3), **shared),
    st.builds(Checkpoint, number=st.integers(1, 9), position=st.just({"main": 1}), ts=moments),
)
ranges = st.lists(
    st.builds(
        lambda first, size, lane, top: (first, size, lane or "", top), st.floats(0, 1), st.integers(0, 9), lanes, st.booleans()
    ),
    max_size=3,
)
attempts = st.lists(
    st.tuples(st.lists(records, max_size=14), ranges, st.booleans(), st.sampled_from([False, False, False, True])),
    min_size=1,
    max_size=3,
)


def write(folder: SessionFolder, attempts: list[tuple[list[Record], list[tuple[float, int, str, bool]], bool, bool]]) -> None:
    folder.make()
    for attempt, (recorded, spans, is_killed, is_sealed) in enumerate(attempts, 1):
        past = recover(FILES, folder.log, BOOT)
        log = LogWriter(
            FILES,
            folder.log,
            past,
            session=folder.name,
            attempt=attempt,
            boot=BOOT,
            durability="process",
            use_map=True,
            max_segment_bytes=900,
        )
        log.append_batch(
            [Opened(ts=1, session=folder.name, epoch=3) if attempt == 1 else Resumed(ts=1, attempt=attempt, epoch=3)]
        )
        before = past.last
        ranges = [Range(n, n + size, lane, top) for share, size, lane, top in spans for n in [1 + int(share * before)]]
        if attempt > 1:
            log.append_batch([Superseded(ts=1, ranges=ranges, reason="differs")])
        for record in recorded:
            log.append(record)
        if is_killed:
            log.release()
        else:
            log.close(Closed(ts=1, status="interrupted"))
        if is_sealed:
            seal_log(FILES, folder.log, folder.lock, folder.name, BOOT, least_bytes=1, most_bytes=1500)


def plain(reader: LogReader) -> list[dict[str, Any]]:
    return [{"superseded": False, **fields} for _, fields in all_records(reader)]


def plain_tokens(session: str, reader: LogReader) -> Iterator[dict[str, Any]]:
    """What `tokens` is to say, from the decoded lines alone."""
    for fields in plain(reader):
        if fields["kind"] == "token":
            entries: list[Any] = [decode(fields["token"])]
            columns: dict[str, Any] = {}
        elif fields["kind"] == "tokens":
            entries, columns = decode(fields["tokens"]), decode(fields.get("columns", {}))  # type: ignore[assignment]
        else:
            continue
        for place, entry in enumerate(entries):
            row: dict[str, Any] = {"session": session, "place": place, "token": entry, "others": None}
            row |= {name: fields.get(name, default) for name, default in {"lane": None, "top": False, "ts": 0}.items()}
            row |= {"n": fields["n"], "superseded": fields["superseded"], "info": None}
            row |= {name: decode(fields.get(name)) for name in ("z", "phase", "tier", "source", "meta")}
            for name, column in columns.items():
                if name in ("z", "phase") or (name == "tier" and type(column[place]) is not bool):
                    row[name] = column[place]
                else:
                    row["others"] = {**(row["others"] or {}), name: column[place]}
            yield row


def as_dicts(rows: Any) -> list[dict[str, Any]]:
    return [{name: getattr(row, name) for name in row.__struct_fields__} for row in rows]


def check(make: Callable[[], Any], expected: list[dict[str, Any]], data: st.DataObject) -> None:
    """Every way of reading a sequence agrees with the list; each on a fresh one, and on one that was counted."""
    rows = make()
    assert as_dicts(rows) == expected
    assert len(rows) == len(expected)
    assert as_dicts(rows) == expected
    assert bool(make()) is bool(expected)
    begin, end = data.draw(st.integers(-30, 30)), data.draw(st.one_of(st.none(), st.integers(-30, 30)))
    for taken in (slice(begin, end), slice(None, end), slice(begin, end, 2), slice(end, begin, -1)):
        assert as_dicts(make()[taken]) == expected[taken]
        assert as_dicts(rows[taken]) == expected[taken]
    for index in (begin, -1, 0):
        for sequence in (make(), rows):
            try:
                wanted = expected[index]
            except IndexError:
                with pytest.raises(IndexError):
                    sequence[index]
            else:
                assert as_dicts([sequence[index]]) == [wanted]


@pytest.fixture(params=[2, 50])
def small_pages(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """So that every boundary falls into a log of some dozen records; the first page within a segment, or over several."""
    monkeypatch.setattr(blocks, "_FEW_LINES", 3)
    monkeypatch.setattr(blocks, "_CHUNK_BYTES", 300)
    monkeypatch.setattr(outline, "FIRST_PAGE", request.param)
    monkeypatch.setattr(outline, "_STRETCH_ROWS", 3)
    monkeypatch.setattr(outline, "_SEALED_ROWS", 6)
    monkeypatch.setattr(loader, "FIRST_PAGE", request.param)
    monkeypatch.setattr(loader, "_LAST_ONES", 2)
    monkeypatch.setattr(loader, "_NEAR_THE_END", 4)
    monkeypatch.setattr(loader, "_CACHED_ROWS", 6)


@pytest.mark.usefixtures("small_pages")
@settings(max_examples=150)
@given(sessions=st.lists(attempts, min_size=1, max_size=2), data=st.data())
def test_tokens_are_a_list(tmp_path_factory: pytest.TempPathFactory, sessions: list[Any], data: st.DataObject) -> None:
    root = tmp_path_factory.getbasetemp() / f"tokens{next(numbers)}"
    everything: list[dict[str, Any]] = []
    for index, recorded in enumerate(sessions):
        folder = SessionFolder(FILES, root, f"s{index}")
        write(folder, recorded)
        reader = LogReader(FILES, folder.log, BOOT)
        everything += plain_tokens(folder.name, reader)
        check_columns(reader, [row for row in everything if row["session"] == folder.name])
    workspace = Workspace(root)
    wanted: dict[str, Any] = {
        "phase": data.draw(st.sampled_from([None, "A", ["A", "B"], "none of them"])),
        "tier": data.draw(st.sampled_from([None, None, 1, [1, 2]])),
        "source": data.draw(st.sampled_from([None, None, "here"])),
        "z": data.draw(st.sampled_from([None, None, (0.25, 0.5), (None, 0.3), (0.9, None)])),
        "since": data.draw(st.sampled_from([None, None, 5, datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=5)])),
        "until": data.draw(st.sampled_from([None, None, 15])),
        "superseded": data.draw(st.booleans()),
        "last": data.draw(st.sampled_from([None, None, 0, 1, 3, 20])),
        "session": data.draw(st.sampled_from(["s0", ["s0"], [f"s{index}" for index in range(len(sessions))]])),
        "epoch": data.draw(st.sampled_from([None, 3])),
    }
    expected = [row for row in everything if is_wanted(row, wanted)]
    if wanted["last"] is not None:
        expected = expected[max(0, len(expected) - wanted["last"]) :]
    check(lambda: workspace.tokens(**wanted), expected, data)
    assert as_dicts(workspace.tokens(**{**wanted, "epoch": 4})) == []
    shutil.rmtree(root)


def is_wanted(row: dict[str, Any], wanted: dict[str, Any]) -> bool:
    if row["superseded"] and not wanted["superseded"]:
        return False
    if row["session"] not in wanted["session"]:
        return False
    for name in ("phase", "tier", "source"):
        if wanted[name] is not None and row[name] not in (wanted[name] if type(wanted[name]) is list else [wanted[name]]):
            return False
    if wanted["z"] is not None:
        low, high = wanted["z"]
        if row["z"] is None or row["z"] < (low or 0) or row["z"] > (1 if high is None else high):
            return False
    return (wanted["since"] is None or row["ts"] >= 5) and (wanted["until"] is None or row["ts"] < 15)


def check_columns(reader: LogReader, expected: list[dict[str, Any]]) -> None:
    """The columns agree too, from any record to any."""
    for first, last, canonical in ((1, None, True), (1, None, False), (4, 9, True), (7, 7, False)):
        names = ("n", "place", "superseded", *TOKEN_FIELDS, "meta")
        found = [
            dict(zip(names, entry, strict=True))
            for batch in token_batches(reader, first, last, fields=(*TOKEN_FIELDS, "meta"), canonical=canonical)
            for entry in zip(*(getattr(batch, name) for name in names), strict=True)
        ]
        wanted = [
            {name: row[name] if row["token"] != "\ud800" or name != "token" else "\N{REPLACEMENT CHARACTER}" for name in names}
            for row in expected
            if first <= row["n"] <= (last or reader.last) and not (canonical and row["superseded"])
        ]
        assert found == wanted


SHELVES: dict[str, tuple[str, tuple[str, ...]]] = {
    "emissions": ("emission", ("text", "z", "phase", "meta")),
    "modules": ("module", ("name", "result", "phase", "status")),
    "transitions": ("transition", ("before", "after")),
    "events": ("event", ("name", "data")),
    "notes": ("note", ("text",)),
    "checkpoints": ("checkpoint", ("number",)),
}


@pytest.mark.usefixtures("small_pages")
@settings(max_examples=60)
@given(recorded=attempts, data=st.data())
def test_every_other_kind_is_a_list(tmp_path_factory: pytest.TempPathFactory, recorded: list[Any], data: st.DataObject) -> None:
    root = tmp_path_factory.getbasetemp() / f"kinds{next(numbers)}"
    folder = SessionFolder(FILES, root, "s")
    write(folder, recorded)
    workspace = Workspace(root)
    lines = plain(LogReader(FILES, folder.log, BOOT))
    superseded = data.draw(st.booleans())
    last = data.draw(st.sampled_from([None, 2]))
    kept = [fields for fields in lines if superseded or not fields["superseded"]]
    for method, (kind, names) in SHELVES.items():
        options: dict[str, Any] = {"session": "s", "last": last, "until": 15}
        if method != "checkpoints":
            options["superseded"] = superseded
        rows = getattr(workspace, method)(**options)
        found = [(row.n, *(getattr(row, name) for name in names)) for row in rows]
        expected = [
            (fields["n"], *(decode(fields.get(name, "ok" if name == "status" else None)) for name in names))
            for fields in kept
            if fields["kind"] == kind and fields.get("ts", 0) < 15
        ]
        assert found == expected[-last if last else 0 :]
        assert len(rows) == len(found)
    metrics = [
        (fields["n"], name, value) for fields in kept if fields["kind"] == "metric" for name, value in fields["values"].items()
    ]
    for wanted in (None, "loss", ["loss", "score"], "unknown"):
        rows = workspace.metrics(wanted, session="s", superseded=superseded)
        asked = [wanted] if isinstance(wanted, str) else wanted
        expected = [entry for entry in metrics if asked is None or entry[1] in asked]
        assert len(rows) == len(expected)
        assert [(row.n, row.name, row.value) for row in rows] == expected
        assert [(row.n, row.name, row.value) for row in rows[1:3]] == expected[1:3]
    shutil.rmtree(root)


def test_a_sequence_is_one_snapshot_of_a_running_session(tmp_path: Path) -> None:
    folder = SessionFolder(FILES, tmp_path, "s")
    folder.make()
    past = recover(FILES, folder.log, BOOT)
    log = LogWriter(
        FILES, folder.log, past, session="s", attempt=1, boot=BOOT, durability="process", use_map=True, max_segment_bytes=900
    )
    log.append_batch([Opened(ts=1, session="s")])
    for number in range(20):
        log.append(Token(token=number))
    workspace = Workspace(tmp_path)
    rows = workspace.tokens("s")
    assert [row.token for row in rows] == list(range(20))
    for number in range(20, 40):
        log.append(Token(token=number))
    assert len(rows) == 20
    assert rows[-1].token == 19
    assert [row.token for row in rows] == list(range(20))
    assert len(workspace.tokens("s")) == 40
    assert workspace.tokens("s")[39].token == 39
    assert msgspec.json.decode(LogReader(FILES, folder.log, BOOT).find(41))["token"] == 39
    log.release()


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("taken", [0, 1, 30])
def test_a_sequence_goes_on_when_its_session_is_sealed_meanwhile(tmp_path: Path, taken: int) -> None:
    folder = SessionFolder(FILES, tmp_path, "s")
    write(folder, [([Token(ts=number, token=number) for number in range(1, 61)], [], False, False)])
    workspace = Workspace(tmp_path)
    rows, counted, untouched = workspace.tokens("s"), workspace.tokens("s"), workspace.tokens("s")
    assert len(counted) == 60
    coming = iter(rows)
    before = [next(coming).token for _ in range(taken)]
    assert seal_log(FILES, folder.log, folder.lock, "s", BOOT, least_bytes=1).records == 62
    assert not [name for name in FILES.names(folder.log) if name.endswith(".jsonl")]
    assert before + [row.token for row in coming] == list(range(1, 61))
    for sequence in (rows, counted, untouched):
        assert [row.token for row in sequence] == list(range(1, 61))
        assert len(sequence) == 60
        assert sequence[45].token == 46
        assert sequence[-1].token == 60
