"""Exports in other formats: other programs find the loader's rows in them, equal records give equal bytes."""

import csv
import errno
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import duckdb
import pytest

import holdfast
from holdfast import Exported, InvalidSetting, Workspace, WriteFailed
from holdfast.errors import DiskFull
from holdfast.reading.columns import shown_text
from holdfast.reading.index.build import text_of
from holdfast.reading.seal import seal_log
from holdfast.reading.tables import json_of
from holdfast.sessions.folder import SessionFolder
from holdfast.storage.faulty import FailingFiles, KillingFiles
from holdfast.storage.host import boot_id
from tests.helpers.programs import die, kill, result_of
from tests.helpers.quick import QuickFiles

pandas: Any = pytest.importorskip("pandas")
polars: Any = pytest.importorskip("polars")
ALL = ("tokens", "emissions", "metrics", "modules", "states", "checkpoints", "events", "files", "notes")
EXACTLY: dict[str, dict[str, Any]] = {
    "json": {"precise_float": True},
    "csv": {"keep_default_na": False},
    "parquet": {},
}
ODD = ["plain", "=1+1", "+a", "-b", "@c", 'a "quoted", text', "two\nlines", "Φ×|é|\u2028", "", "tab\t", "\ud800 alone", "'"]


def record(root: Path, session: str = "s", *, first: int = 0, count: int = 40) -> Workspace:
    """A session with something of every kind, values that are hard to write, and a batch."""
    source = root / "kept.txt"
    source.write_text("kept")
    with holdfast.session(session, root=root, extend=True, files=QuickFiles()) as run:
        for step in run.loop(count, checkpoint_every=10):
            text = ODD[step % len(ODD)]
            run.token(text, z=step / 100, phase="A" if step % 3 else None, tier=step % 4, meta={"step": step, "x": 1.0})
            if step % 9 == 4:
                run.tokens([1, 2, 3], z=[0.1, 0.2, 0.3])
            run.metric(loss=float("nan") if step == 3 else 1.0 / (step + 1), label=text, large=10**30)
            run.emission(text, tokens=[text], z=0.5, phase="B", quality=1.0)
            run.transition({"z": step}, {"z": step + 1, "t": (1, 2)})
            run.event("e", value=float("inf"), text=text)
            run.module("m", status="ok", result={"step": step})
            if step == 5:
                run.file(source)
                run.note("a remark")
    return Workspace(root)


def seal(root: Path, session: str = "s") -> None:
    files = QuickFiles()
    folder = SessionFolder(files, root, session)
    seal_log(files, folder.log, folder.lock, session, boot_id(), least_bytes=1, most_bytes=6000)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return record(tmp_path_factory.mktemp("saved"))


def contents(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {"": path.read_bytes()}
    return {entry.name: entry.read_bytes() for entry in sorted(path.iterdir())}


def everything(workspace: Workspace, output: Path, format: str, **options: Any) -> dict[str, bytes]:
    return contents(workspace.export(format=format, output=output, **options).path)


def rows_of(workspace: Workspace, kind: str) -> list[dict[str, Any]]:
    """The loader's rows, as plain JSON says them."""
    rows: Any = getattr(workspace, "transitions" if kind == "states" else kind)(session="s")
    found = []
    for row in rows:
        fields: dict[str, Any] = {}
        for name in row.__struct_fields__:
            value = getattr(row, name)
            if name == "token":
                value = shown_text(text_of(value))
            elif name == "value" or not isinstance(value, int | float | str | None):
                value = json.loads(json_of(value))
            elif isinstance(value, str):
                value = shown_text(value)
            fields[name] = value
        found.append(fields)
    return found


def test_json_is_one_document_of_the_loaders_rows(saved: Workspace, tmp_path: Path) -> None:
    done = saved.export(format="json", output=tmp_path / "deep" / "er" / "all.json")
    document = json.loads(done.path.read_bytes())
    assert [*document] == ["tokens", "emissions", "metrics", "modules", "states", "final_states", *ALL[5:]]
    for kind in ALL:
        assert document[kind] == rows_of(saved, kind), kind
        assert done.rows[kind] == len(document[kind]) > 0, kind
    (final,) = document["final_states"]
    assert (final["session"], final["state"]) == ("s", document["states"][-1]["after"])


def test_all_that_read_json_csv_and_parquet_find_the_same(saved: Workspace, tmp_path: Path) -> None:
    texts = [shown_text(text_of(row.token)) for row in saved.tokens("s")]
    levels = [row.z for row in saved.tokens("s")]
    for format in ("json", "csv", "parquet"):
        path = saved.export(format=format, output=tmp_path / f"t.{format}", include=["tokens"]).path
        by_duckdb = duckdb.execute(f"select token, z from '{path}'").fetchall()
        assert by_duckdb == [(text or None if format == "csv" else text, z) for text, z in zip(texts, levels, strict=True)]
        read: Any = getattr(pandas, f"read_{format}")
        frame = read(path, **EXACTLY[format])
        assert [*frame["token"]] == texts
        assert [*frame["z"].astype(float)] == levels
        columns: Any = getattr(polars, f"read_{format}")(path)
        assert columns["token"].to_list() == texts
        if format != "json":
            assert [*map(json.loads, columns["meta"].drop_nulls())] == [row.meta for row in saved.tokens("s") if row.meta]
        assert columns["z"].to_list() == levels
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        assert [row["token"] for row in csv.DictReader(file)] == texts


def test_jq_reads_it(saved: Workspace, tmp_path: Path) -> None:
    path = saved.export(format="json", output=tmp_path / "all.json").path
    try:
        found = subprocess.run(["jq", ".metrics | length", str(path)], capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("jq is not installed here: make tools")
    assert int(found.stdout) == len(saved.metrics(session="s"))


@pytest.mark.parametrize("format", ["json", "csv", "parquet"])
def test_the_same_records_are_the_same_bytes_live_sealed_and_both(tmp_path: Path, format: str) -> None:
    workspace = record(tmp_path)
    live = everything(workspace, tmp_path / "1", format)
    seal(tmp_path)
    assert list(tmp_path.rglob("*.parquet"))[:1]
    assert everything(workspace, tmp_path / "2", format) == live
    record(tmp_path, count=60)
    both = everything(workspace, tmp_path / "3", format)
    assert both != live
    seal(tmp_path)
    assert everything(Workspace(tmp_path), tmp_path / "4", format) == both


def test_many_rows_are_the_same_parquet_whatever_their_pieces(tmp_path: Path) -> None:
    with holdfast.session("s", root=tmp_path, files=QuickFiles()) as run:
        for step in range(300):
            run.tokens([f"t{step}-{index}" for index in range(500)])
            run.metric(step=step)
    workspace = Workspace(tmp_path)
    live = everything(workspace, tmp_path / "1", "parquet", include=["tokens"])
    seal(tmp_path)
    assert everything(workspace, tmp_path / "2", "parquet", include=["tokens"]) == live
    sizes = duckdb.execute(
        f"select row_group_num_rows from parquet_metadata('{tmp_path / '1'}') where column_id = 0"
    ).fetchall()
    assert sizes == [(65_536,), (65_536,), (150_000 - 2 * 65_536,)]


def test_batches_of_tokens_are_cut_between_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with holdfast.session("s", root=tmp_path, files=QuickFiles()) as run:
        for step in range(40):
            run.tokens([f"t{step}-{index}" for index in range(3000 if step == 20 else 90)])
    workspace = Workspace(tmp_path)
    whole = everything(workspace, tmp_path / "1", "csv", include=["tokens"])
    monkeypatch.setattr("holdfast.reading.export.tables._PORTION", 500)
    totals: set[int] = set()
    for index in range(2):
        cut = everything(
            workspace,
            tmp_path / f"cut{index}",
            "csv",
            include=["tokens"],
            progress=lambda what, done, total: totals.add(total) if what == "tokens" else None,
        )
        assert cut == whole
        seal(tmp_path)
    assert all(8 < total < 30 for total in totals)  # 39 of 90, at most 5 together, and one of 3000


def test_row_groups_are_of_the_same_records_wherever_these_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.reading.export.tables._ROW_GROUP", 2500)
    for count in (3, 5, 8):  # an attempt each, and so a segment
        with holdfast.session("s", root=tmp_path, extend=True, files=QuickFiles()) as run:
            for step in run.loop(count):
                rng = random.Random(step)
                for index in range(1000):
                    if rng.random() < 0.3:
                        run.metric(loss=rng.random())
                    else:
                        meta = {"step": index} if rng.random() < 0.9 else {"odd": [1]}
                        run.token(f"t{rng.randrange(90)}", z=rng.random(), phase=rng.choice(["A", None]), meta=meta)
    workspace = Workspace(tmp_path)
    live = everything(workspace, tmp_path / "1", "parquet")
    seal(tmp_path)
    assert len(list((tmp_path / "sessions").rglob("*.parquet"))) > 1
    assert everything(workspace, tmp_path / "2", "parquet") == live
    path = tmp_path / "1" / "tokens.parquet"
    groups = duckdb.execute(f"select row_group_num_rows from parquet_metadata('{path}') where column_id = 0").fetchall()
    assert len(groups) > 2
    assert sum(count for (count,) in groups) == len(workspace.tokens("s"))


@pytest.mark.parametrize("format", ["json", "csv", "parquet"])
def test_pieces_of_several_sessions_are_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str) -> None:
    monkeypatch.setattr("holdfast.reading.export.tables._ROW_GROUP", 64)
    asked: list[dict[str, Any]] = [
        {},
        {"z": (0.0, 0.11)},
        {"last": 29},
        {"superseded": True},
        {"last": 0},
        {"phase": "none"},
    ]

    def exported(part: int) -> list[dict[str, bytes]]:
        monkeypatch.setattr("holdfast.reading.export.tables._PORTION", part)
        return [
            everything(Workspace(tmp_path), tmp_path / "out", format, include=["tokens"], force=True, **words)
            for words in asked
        ]

    for count in (9, 30):  # an attempt each
        for session in ("a", "b", "c"):
            record(tmp_path, session, count=count)
    with holdfast.session("d", root=tmp_path, files=QuickFiles()) as run:
        run.tokens([f"t{index}" for index in range(700)])
    live = exported(1 << 17)
    assert live == exported(9) == exported(50)
    for session in ("b", "c"):
        seal(tmp_path, session)
    record(tmp_path, "c", count=50)
    both = exported(1 << 17)
    assert both == exported(9) == exported(50)
    assert both != live
    for session in ("a", "c", "d"):
        seal(tmp_path, session)
    assert exported(1 << 17) == both == exported(9) == exported(50)
    if format == "parquet":
        path = Workspace(tmp_path).export(format=format, include=["tokens"], output=tmp_path / "out", force=True).path
        groups = duckdb.execute(f"select row_group_num_rows from parquet_metadata('{path}') where column_id = 0").fetchall()
        assert len(groups) > 10


def test_filters_choose_what_the_loader_chooses(saved: Workspace, tmp_path: Path) -> None:
    def exported(**options: Any) -> dict[str, Any]:
        path = saved.export(format="json", output=tmp_path / "x.json", force=True, **options).path
        document = json.loads(path.read_bytes())
        return document if isinstance(document, dict) else {"only": document}

    asked: dict[str, Any] = {"phase": "A", "tier": [1, 2], "z": (0.1, 0.3)}
    assert [row["n"] for row in exported(**asked)["only"]] == [row.n for row in saved.tokens(**asked)]
    by_phase = exported(phase="B")  # kinds that have no phase are left out
    assert [*by_phase] == ["tokens", "emissions", "modules"]
    assert len(by_phase["emissions"]) == 40
    middle = saved.metrics()[60].ts
    assert len(exported(include="metrics", since=middle)["only"]) == len(saved.metrics(since=middle))
    assert len(exported(include="metrics", until=middle, name="loss")["only"]) == len(saved.metrics("loss", until=middle))
    assert exported(include=["events"], last=3)["only"] == rows_of(saved, "events")[-3:]
    assert exported(include=["events"], last=0)["only"] == []
    assert exported(include=["tokens"], phase="nothing has it")["only"] == []


def test_several_sessions_follow_each_other(tmp_path: Path) -> None:
    record(tmp_path, "b", count=3)
    workspace = record(tmp_path, "a", count=2)
    for asked, expected in ((None, ["b", "a"]), (["a", "b"], ["a", "b"]), ("a", ["a"])):
        path = workspace.export(format="json", output=tmp_path / "x.json", session=asked, force=True).path
        document = json.loads(path.read_bytes())
        assert [*dict.fromkeys(row["session"] for row in document["events"])] == expected
        assert [row["session"] for row in document["final_states"]] == expected


def test_an_empty_workspace_gives_empty_lists(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "none")
    document = json.loads(workspace.export(format="json", output=tmp_path / "x.json").path.read_bytes())
    assert set(map(len, document.values())) == {0}
    assert workspace.export(format="csv", output=tmp_path / "x").path.is_dir()
    assert (tmp_path / "x" / "notes.csv").read_text() == "session,n,ts,lane,top,superseded,info,text\n"


def test_superseded_ones_come_when_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), holdfast.session("s", root=tmp_path, files=QuickFiles()) as run:
        for step in run.loop(10, checkpoint_every=2):
            run.metric(step=step)
            if step == 5:
                _ = 1 / 0
    with holdfast.session("s", root=tmp_path, on_divergence="supersede", files=QuickFiles()) as run:
        for step in run.loop(10, checkpoint_every=2):
            run.metric(step=step * 2)
    workspace = Workspace(tmp_path)
    for superseded in (False, True):
        path = workspace.export(format="json", output=tmp_path / "x", include="metrics", superseded=superseded, force=True).path
        rows = json.loads(path.read_bytes())
        assert [row["n"] for row in rows] == [row.n for row in workspace.metrics(superseded=superseded)]
        assert any(row["superseded"] for row in rows) == superseded


def test_a_spreadsheet_finds_no_formula(saved: Workspace, tmp_path: Path) -> None:
    path = saved.export(format="csv", output=tmp_path / "t.csv", include=["tokens"], excel_safe=True).path
    assert path.read_bytes().startswith(b"\xef\xbb\xbfsession,")
    with path.open(newline="", encoding="utf-8-sig") as file:
        texts = [row["token"] for row in csv.DictReader(file)]
    plain = [shown_text(text_of(row.token)) for row in saved.tokens("s")]
    assert texts == [f"'{text}" if text[:1] in ("=", "+", "-", "@") and text else text for text in plain]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"format": "xml"}, "format='xml' is not known"),
    ({"include": ["tokens", "foo"]}, "include='foo' is not known; there are: tokens"),
    ({"include": []}, "include is empty"),
    ({"include": ["metrics"], "phase": "A"}, "metrics have no phase"),
    ({"excel_safe": True}, "excel_safe is for CSV"),
    ({"format": "guide", "phase": "A"}, "takes no filters"),
    ({"format": "guide", "last": 3}, "takes no filters"),
    ({"format": "guide", "include": ["metrics"]}, "no place in the guide's layout"),
    ({"format": "guide", "session": []}, "of one session, and these are 0"),
    ({"last": -1}, "no number of rows"),
    ({"z": (2, 3)}, "every z lies in"),
]


@pytest.mark.parametrize(("options", "reason"), REFUSED)
def test_what_makes_no_sense_is_refused_by_message(
    saved: Workspace, tmp_path: Path, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidSetting, match=reason):
        saved.export(**{"format": "json", "output": tmp_path / "out" / "x", **options})
    assert not (tmp_path / "out").exists()


def test_what_has_the_name_is_replaced_only_when_asked_and_only_where_it_is_an_export(saved: Workspace, tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("mine")
    with pytest.raises(InvalidSetting, match="is there already"):
        saved.export(format="json", output=file)
    folder.mkdir()
    (folder / "mine").write_text("mine")
    for force in (False, True):
        with pytest.raises(InvalidSetting, match="is a folder"):
            saved.export(format="json", output=folder, force=force)
        with pytest.raises(InvalidSetting, match="is there"):
            saved.export(format="csv", output=folder, force=force)
    with pytest.raises(InvalidSetting, match="no earlier export"):
        saved.export(format="csv", output=file, force=True)
    assert file.read_text() == (folder / "mine").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    (folder / "mine").unlink()
    assert saved.export(format="csv", output=folder, force=True) == saved.export(format="csv", output=folder, force=True)
    assert saved.export(format="json", output=file, force=True).path.stat().st_size > 1000


def test_the_guides_layout_is_a_format_too(tmp_path: Path) -> None:
    with holdfast.KiraEngine("k", root=tmp_path, seed=1, files=QuickFiles()) as engine:
        engine.cmd_hit_it()
        for format in ("json", "csv", "parquet", "guide"):
            path = engine.export_training_data(format=format, include=["tokens", "states"], output=tmp_path / format)
            assert path.exists()
    done = Workspace(tmp_path).export(format="guide", output=tmp_path / "whole", session="k")
    assert done.rows["modules"] == 33
    assert (done.path / "manifest.json").exists()
    assert len(json.loads((tmp_path / "json").read_bytes())["tokens"]) == len(Workspace(tmp_path).tokens("k"))


def test_a_full_disk_leaves_nothing_and_says_so(saved: Workspace, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        for format in ("json", "csv", "parquet"):
            with pytest.raises(DiskFull, match="out"):
                saved.export(format=format, output=tmp_path / "in" / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [*(tmp_path / "in").iterdir()] == []


def test_each_operation_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    workspace = record(tmp_path, count=12)
    target = tmp_path / "in" / "out"
    before = {format: everything(workspace, target.with_suffix(f".{format}"), format) for format in ("json", "csv")}
    record(tmp_path, count=20)
    failures = 0
    for format, known in before.items():
        for operation in ("mkdir", "rename", "sync", "sync_folder", "unlink", "write"):
            nth = 0
            while True:
                nth += 1
                files = FailingFiles(QuickFiles(), operation=operation, nth=nth, error=errno.EIO, role="/in")
                workspace._files = files
                try:
                    done = workspace.export(format=format, output=target.with_suffix(f".{format}"), force=True)
                except WriteFailed:
                    failures += 1
                    found = contents(target.with_suffix(f".{format}"))
                    if operation != "sync_folder" and operation != "unlink":  # those come when the name is given
                        assert found == known, (operation, nth)
                    assert found == known or len(found) == len(known)
                    continue
                assert sum(done.rows.values()) > 0
                break
            workspace._files = QuickFiles()
            workspace.export(format=format, output=target.with_suffix(f".{format}"), force=True)
            known = contents(target.with_suffix(f".{format}"))
    assert failures > 20


@pytest.mark.parametrize("format", ["json", "csv", "parquet"])
@pytest.mark.parametrize("operation", ["mkdir", "rename", "sync", "sync_folder"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_export_leaves_nothing_under_the_name(
    saved: Workspace, tmp_path: Path, format: str, operation: str, when: Literal["before", "after"]
) -> None:
    workspace = Workspace(saved.root)
    target = tmp_path / "in" / "out"
    whole = everything(workspace, tmp_path / "whole", format)
    (tmp_path / "in").mkdir()

    def export(nth: int) -> Callable[[], None]:
        def program() -> None:
            workspace._files = KillingFiles(QuickFiles(), operation=operation, nth=nth, when=when, role="/in")
            workspace.export(format=format, output=target)
            die()

        return program

    kill(export(1))
    assert not target.exists() or contents(target) == whole
    if target.exists():
        assert operation in ("rename", "sync_folder")
    workspace.export(format=format, output=target, force=True)
    assert contents(target) == whole
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["out"]


def test_a_damaged_session_is_not_exported(tmp_path: Path) -> None:
    workspace = record(tmp_path)
    seal(tmp_path)
    (path,) = (tmp_path / "sessions").rglob("*.parquet")
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    with pytest.raises(holdfast.Corrupted):
        workspace.export(format="json", output=tmp_path / "in" / "out")
    assert [*(tmp_path / "in").iterdir()] == []


def test_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    workspace = record(tmp_path, count=5)
    told: list[str] = []

    def progress(what: str, done: int, total: int) -> None:
        told.append(what)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workspace.export(format="json", output=tmp_path / "in" / "out", progress=progress)
    assert told
    assert [*(tmp_path / "in").iterdir()] == []
    assert [thread.name for thread in threading.enumerate() if thread.name == "holdfast-duckdb"] == []
    assert signal.getsignal(signal.SIGINT) is not None
    assert workspace.export(format="json", output=tmp_path / "in" / "out").rows["modules"] == 5
    assert os.listdir(tmp_path / "in") == ["out"]


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str) -> None:
    monkeypatch.setattr("holdfast.reading.export.tables._MEMORY_BYTES", 96 << 20)
    for index in range(400):  # a quarter of a megabyte for each would be too much
        with holdfast.session(f"s{index:03}", root=tmp_path, files=QuickFiles()) as run:
            run.tokens([f"t{index}", "x"])
    workspace = Workspace(tmp_path)
    assert workspace.export(format=format, include="tokens", output=tmp_path / "out").rows == {"tokens": 800}
    found = duckdb.execute(f"SELECT session, token FROM read_{format}('{tmp_path / 'out'}')").fetchall()
    assert found == [(f"s{index:03}", text) for index in range(400) for text in (f"t{index}", "x")]


@pytest.mark.parametrize("format", ["json", "csv", "parquet"])
def test_a_session_that_goes_meanwhile_is_not_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str) -> None:
    monkeypatch.setattr("holdfast.reading.export.tables._ROW_GROUP", 64)
    monkeypatch.setattr("holdfast.reading.export.tables._PORTION", 64)
    for session in ("a", "b", "c", "d"):
        record(tmp_path, session, count=60)
        seal(tmp_path, session)
    workspace = Workspace(tmp_path)
    told: list[tuple[str, int]] = []

    def progress(what: str, done: int, total: int) -> None:
        told.append((what, done))
        if told.count(("tokens", 1)) == 1 and (what, done) == ("tokens", 1):
            shutil.rmtree(tmp_path / "sessions" / "d")
            (begun,) = (tmp_path / "in").glob(".x.*.new")
            (begun / "tokens.9999").write_text("a piece that was made before its turn")

    found = everything(workspace, tmp_path / "in" / "x", format, include=["metrics", "tokens"], progress=progress)
    assert told.count(("tokens", 1)) == 2
    assert found == everything(workspace, tmp_path / "y", format, include=["metrics", "tokens"])
    assert workspace.export(format="csv", include="tokens", output=tmp_path / "z").rows == {"tokens": 3 * (60 + 3 * 7)}
    assert os.listdir(tmp_path / "in") == ["x"]


def test_memory_does_not_grow_with_the_rows_that_are_taken_in(tmp_path: Path) -> None:
    def saved_in(count: int) -> Workspace:
        root = tmp_path / str(count)
        with holdfast.session("s", root=root, files=QuickFiles()) as run:
            for index in range(count):
                run.token(f"t{index % 50}", z=index / count, meta={"step": index})
        return Workspace(root)

    def export(workspace: Workspace) -> int:
        """What this process had in memory at most."""
        workspace.export(format="csv", include="tokens", output=tmp_path / "out", force=True)
        return int(re.findall(r"VmHWM:\s+([0-9]+) kB", Path("/proc/self/status").read_text())[0]) * 1024

    def growth(workspace: Workspace) -> int:
        return int(result_of(lambda: -export(warm) + export(workspace)))

    few, many = 20_000, 220_000
    warm = saved_in(few)
    grown = growth(saved_in(many)) - growth(warm)
    assert grown / (many - few) < 250, "bytes a token"


def test_what_was_written_is_told(saved: Workspace, tmp_path: Path) -> None:
    assert saved.export(format="csv", output=tmp_path / "m", include="metrics") == Exported(tmp_path / "m", {"metrics": 120})
