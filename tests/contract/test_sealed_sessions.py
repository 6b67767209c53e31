"""A sealed session is the same session: everything that reads, resumes, forks or checks one works on it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import holdfast
from holdfast.errors import Corrupted, NewerFormat, ReadFailed, SessionBusy
from holdfast.reading.digest import digest_of
from holdfast.reading.seal import seal_log
from holdfast.storage.files import RealFiles
from holdfast.storage.lines import strip_close
from holdfast.storage.seals import Seal, find_seals, read_seal, seal_bytes, split_parquet
from tests.crash.program import small_segments
from tests.helpers import docs_reader
from tests.helpers.command import call, count, counting
from tests.helpers.logs import line, names_in, reader_of, seal, write_log

SAMPLES = Path(__file__).parent.parent / "data" / "v1" / "sessions"


def session_of(root: Path, name: str = "count") -> Path:
    return root / "sessions" / name


def a_sealed_one(tmp_path: Path, **options: Any) -> tuple[holdfast.Workspace, Path]:
    """A finished session of several segments, sealed."""
    with small_segments():
        count(tmp_path, steps=200, **options)
    seal(session_of(tmp_path))
    return holdfast.Workspace(tmp_path), session_of(tmp_path)


def lines_in(session: Path) -> list[bytes]:
    return [strip_close(kept) for _, kept in reader_of(session).read()]


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.iterdir()))
@pytest.mark.parametrize("keep_lines", [False, True])
def test_samples_of_every_kind_stay_what_they_are(tmp_path: Path, name: str, keep_lines: bool) -> None:
    session = session_of(tmp_path, name)
    shutil.copytree(SAMPLES / name, session)
    before = lines_in(session), digest_of(reader_of(session))
    done = seal(session, keep_lines=keep_lines)
    assert (lines_in(session), digest_of(reader_of(session))) == before
    assert (done.files > 0) == any(entry.endswith(".parquet") for entry in names_in(session))
    if done.files and not keep_lines:
        assert len([entry for entry in names_in(session) if entry.endswith(".jsonl")]) < done.segments + 2
    if not holdfast.Workspace(tmp_path).verify(name).torn:
        assert docs_reader.lines_of(session) == before[0]


def without_close(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in ("crc", "synced")}


def test_everything_that_reads_says_the_same(tmp_path: Path) -> None:
    with small_segments():
        count(tmp_path, steps=200, tags=["a"], config={"rate": 0.5})
    workspace = holdfast.Workspace(tmp_path)

    def told() -> list[Any]:
        records = [without_close(entry) for entry in workspace.records("count", canonical=False)]
        verified = workspace.verify("count")
        return [
            records,
            [without_close(entry) for entry in workspace.records("count")],
            workspace.digest_parts("count"),
            msgspec.structs.replace(workspace.session("count"), updated=0),
            [msgspec.structs.replace(entry, updated=0) for entry in workspace.sessions()],
            workspace.checkpoints("count"),
            workspace.provenance("count"),
            (verified.records, verified.bytes, verified.checkpoints, verified.problems),
            {entry.kind: entry.records for entry in workspace.stats("count")},
        ]

    before = told()
    seal(session_of(tmp_path))
    (session_of(tmp_path) / "session.json").unlink()
    after = told()
    assert before == after
    assert names_in(session_of(tmp_path)) == ["000001.parquet"]


@pytest.mark.parametrize("command", ["show", "checkpoints", "stats", "digest", "verify", "sessions"])
def test_every_command_that_looks_works(tmp_path: Path, command: str) -> None:
    a_sealed_one(tmp_path)
    words = [command, *([] if command == "sessions" else ["count"]), "--root", tmp_path]
    assert call(*words).status == 0
    assert call(*words, "--json").status == 0


def test_a_sealed_session_goes_on(tmp_path: Path) -> None:
    workspace, session = a_sealed_one(tmp_path)
    with counting(tmp_path, extend=True) as (run, counter):
        for step in run.loop(250, checkpoint_every=5):
            counter.total += step
            run.metric(total=counter.total)
    assert workspace.session("count").status == "finished"
    whole = tmp_path / "whole"
    count(whole, steps=250)
    assert workspace.digest("count") == holdfast.Workspace(whole).digest("count")
    assert names_in(session)[0] == "000001.parquet"
    seal(session)
    assert workspace.digest("count") == holdfast.Workspace(whole).digest("count")
    assert all(name.endswith(".parquet") for name in names_in(session))


def test_top_level_records_and_once_values_are_found_in_sealed_segments(tmp_path: Path) -> None:
    calls: list[int] = []

    def called(which: int, value: int) -> int:
        calls.append(which)
        return value

    def program(steps: int) -> int:
        with small_segments(), counting(tmp_path, "tops", extend=True) as (run, counter):
            for number in range(30):
                run.note(f"before {number}")
            drawn: int = run.once("dice", lambda: called(1, 17))
            found: int = run.step("sum", lambda: called(2, 5))
            for step in run.loop(steps, checkpoint_every=5):
                counter.total += step + found
                run.metric(total=counter.total)
            return drawn + found

    assert program(20) == 22
    seal(session_of(tmp_path, "tops"))
    assert program(30) == 22
    assert calls == [1, 2]
    found = holdfast.Workspace(tmp_path).records("tops", canonical=False)
    assert not [entry for entry in found if entry["kind"] == "superseded"]


@pytest.mark.parametrize("at", [1, 7, 30])
def test_fork_and_rewind_of_a_sealed_session(tmp_path: Path, at: int) -> None:
    with small_segments():
        count(tmp_path / "lines", steps=200)
        shutil.copytree(tmp_path / "lines", tmp_path / "sealed")
    seal(session_of(tmp_path / "sealed"))
    digests = []
    for root in (tmp_path / "lines", tmp_path / "sealed"):
        workspace = holdfast.Workspace(root)
        workspace.fork("count", at=at, to="other")
        workspace.rewind("count", at=at)
        forked, rewound = workspace.digest("other"), workspace.digest("count")
        assert workspace.verify("other").problems == workspace.verify("count").problems == ()
        for name in ("other", "count"):
            with small_segments(), counting(root, name) as (run, counter):
                for step in run.loop(200, checkpoint_every=5):
                    counter.total += step
                    run.metric(total=counter.total)
        digests.append((forked, rewound, workspace.digest("other"), workspace.digest("count")))
    assert digests[0] == digests[1]
    for name in ("other", "count"):  # what was shared can be sealed once more, and neither takes from the other
        seal(session_of(tmp_path / "sealed", name))
        assert docs_reader.Session(session_of(tmp_path / "sealed", name)).digest() == digests[0][2 if name == "other" else 3]
    workspace = holdfast.Workspace(tmp_path / "sealed")
    assert (workspace.digest("other"), workspace.digest("count")) == digests[0][2:]
    assert workspace.verify("other").problems == workspace.verify("count").problems == ()


def test_export_note_rename_and_delete_work(tmp_path: Path) -> None:
    workspace, _ = a_sealed_one(tmp_path)
    workspace.export_checkpoint("count", 2, tmp_path / "state.json")
    assert (tmp_path / "state.json").stat().st_size > 0
    before = workspace.digest("count")
    workspace.note("count", "a remark")
    assert workspace.digest("count") == before
    workspace.rename("count", "counted")
    assert workspace.digest("counted") == before
    workspace.delete("counted")
    assert workspace.sessions() == []


# While something else goes on -----------------------------------------------------------------------------------------


def test_a_session_that_is_written_is_sealed_up_to_its_last_segment(tmp_path: Path) -> None:
    with small_segments(), counting(tmp_path) as (run, counter):
        for step in run.loop(600, checkpoint_every=5):
            counter.total += step
            run.metric(total=counter.total)
            if step % 200 == 199:
                done = seal(session_of(tmp_path))
                assert done.files == 1
                assert done.live_bytes > 0
                assert names_in(session_of(tmp_path))[-1].endswith(".jsonl")
                assert [entry["values"]["total"] for entry in run_metrics(tmp_path)][-1] == counter.total
    whole = tmp_path / "whole"
    count(whole, steps=600)
    assert holdfast.Workspace(tmp_path).digest("count") == holdfast.Workspace(whole).digest("count")
    assert holdfast.Workspace(tmp_path).verify("count").problems == ()


def run_metrics(root: Path) -> list[dict[str, Any]]:
    return list(holdfast.Workspace(root).records("count"))


def test_readers_go_on_when_their_lines_are_sealed(tmp_path: Path) -> None:
    with small_segments():
        count(tmp_path, steps=200)
    session = session_of(tmp_path)
    reader, other = reader_of(session), reader_of(session)
    expected = lines_in(session)
    forwards, backwards = reader.read(), other.read_backwards()
    begun = [next(forwards), next(backwards)]
    seal(session)
    assert [strip_close(kept) for _, kept in [begun[0], *forwards]] == expected
    assert [strip_close(kept) for _, kept in [begun[1], *backwards]] == expected[::-1]
    assert strip_close(reader.find(7)) == expected[6]
    reader.refresh()
    assert [kept for _, kept in reader.read()] == expected


def test_a_follower_misses_nothing_and_sees_nothing_twice(tmp_path: Path) -> None:
    seen: list[int] = []
    with small_segments(), counting(tmp_path) as (run, _):
        run.note("first")
        follower = holdfast.Workspace(tmp_path).follow("count")
        for step in run.loop(300, checkpoint_every=50):
            run.metric(total=step)
            if step % 30 == 29:
                seal(session_of(tmp_path))
            seen += [entry["n"] for entry in follower.poll()]
    seal(session_of(tmp_path))
    seen += [entry["n"] for entry in follower.poll()]
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) == holdfast.Workspace(tmp_path).session("count").records


def test_a_session_that_is_deleted_while_it_is_read_is_told(tmp_path: Path) -> None:
    workspace, session = a_sealed_one(tmp_path)
    reader = reader_of(session)
    workspace.delete("count")
    with pytest.raises(ReadFailed):
        list(reader.read())


def test_what_opened_before_its_lines_were_sealed_begins_all_the_same(tmp_path: Path) -> None:
    count(tmp_path, steps=20)
    with counting(tmp_path, extend=True) as (run, counter):
        assert not holdfast.Workspace(tmp_path).verify("count").problems
        seal(session_of(tmp_path))  # its last segment stays: the session is open
        assert names_in(session_of(tmp_path)) == ["000001.jsonl"]
        for step in run.loop(25, checkpoint_every=5):
            counter.total += step
            run.metric(total=counter.total)
        assert seal(session_of(tmp_path)).files == 1
    assert holdfast.Workspace(tmp_path).verify("count").problems == ()


def test_two_that_seal_at_once_do_not_meet(tmp_path: Path) -> None:
    count(tmp_path)
    log = session_of(tmp_path) / "log" / "main"
    held = RealFiles().open(log)
    assert held.lock()
    with pytest.raises(SessionBusy, match="sealing"):
        seal(session_of(tmp_path))
    (log / ".000001.columns.tmp").touch()
    with counting(tmp_path, extend=True) as (run, _):
        run.note("what is being made is not swept")
    assert ".000001.columns.tmp" in names_in(session_of(tmp_path))
    held.close()
    with counting(tmp_path, extend=True) as (run, _):
        run.note("what was left is")
    assert ".000001.columns.tmp" not in names_in(session_of(tmp_path))


# Small ones, and lines that stay --------------------------------------------------------------------------------------


def test_a_small_session_stays_lines_and_the_command_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.nice", lambda by: by)
    count(tmp_path)
    done = call("seal", "count", "--root", tmp_path)
    assert done.status == 0
    assert "below 4 MiB" in done.out
    assert names_in(session_of(tmp_path)) == ["000001.jsonl"]


def test_the_command_seals_keeps_lines_and_lets_them_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.nice", lambda by: by)
    monkeypatch.setattr(seal_log, "__kwdefaults__", {**(seal_log.__kwdefaults__ or {}), "least_bytes": 0})
    count(tmp_path)
    before = call("digest", "count", "--root", tmp_path).out
    (kept,) = call("seal", "count", "--keep-lines", "--root", tmp_path, "--json").documents
    assert kept["removed_bytes"] == 0
    assert names_in(session_of(tmp_path)) == ["000001.jsonl", "000001.parquet"]
    assert call("digest", "count", "--root", tmp_path).out == before
    (gone,) = call("seal", "--root", tmp_path, "--json").documents
    assert (gone["files"], gone["removed_bytes"]) == (0, kept["line_bytes"])
    assert names_in(session_of(tmp_path)) == ["000001.parquet"]
    assert call("digest", "count", "--root", tmp_path).out == before
    assert "nothing to be sealed" in call("seal", "count", "--root", tmp_path).out
    assert call("seal", "nothing", "--root", tmp_path).status == 2


def test_many_small_attempts_become_one_file(tmp_path: Path) -> None:
    lines = [[line("note", n, ',"text":"one"')] for n in range(1, 201)]
    lines.append([line("closed", 201, ',"status":"finished"')])
    write_log(session_of(tmp_path, "made") / "log" / "main", lines, close_every=1)
    seal(session_of(tmp_path, "made"))
    assert names_in(session_of(tmp_path, "made")) == ["000001.parquet"]
    reader = reader_of(session_of(tmp_path, "made"))
    assert [kept for _, kept in reader.read(50, 52)] == [entry for entries in lines[49:52] for entry in entries]
    assert reader.past.attempts == 201


def test_a_killed_session_is_sealed_up_to_what_its_next_attempt_builds_on(tmp_path: Path) -> None:
    session = session_of(tmp_path, "made")
    write_log(session / "log" / "main", [[line("note", 1, ',"text":"a"')], [line("note", 2, ',"text":"b"')]], close_every=1)
    seal(session)
    assert names_in(session) == ["000001.parquet", "000002.jsonl"]


# Bad files ------------------------------------------------------------------------------------------------------------


def test_every_byte_that_flips_is_found(tmp_path: Path) -> None:
    workspace, session = a_sealed_one(tmp_path)
    path = session / "log" / "main" / "000001.parquet"
    data = path.read_bytes()
    assert workspace.verify("count").problems == ()
    for offset in [*range(0, len(data), 173), *range(len(data) - 12, len(data))]:
        path.write_bytes(data[:offset] + bytes([data[offset] ^ 16]) + data[offset + 1 :])
        problems = workspace.verify("count").problems
        assert problems, offset
        assert {problem.path for problem in problems} == {str(path)}
    path.write_bytes(data)
    assert workspace.verify("count").problems == ()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def foreign(path: Path) -> None:
    from holdfast.storage.sealed import connection

    connection().execute(f"COPY (SELECT 1 AS n) TO '{path}' (FORMAT parquet)")


def text(path: Path) -> None:
    path.write_bytes(b"this is no Parquet file at all\n" * 9)


@pytest.mark.parametrize("spoil", [cut, emptied, foreign, text])
def test_a_spoiled_file_is_told_by_its_name(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    workspace, session = a_sealed_one(tmp_path)
    path = session / "log" / "main" / "000001.parquet"
    spoil(path)
    (session / "session.json").unlink()
    with pytest.raises(Corrupted, match=r"000001\.parquet"):
        list(workspace.records("count"))
    assert [problem.path for problem in workspace.verify("count").problems] == [str(path)]
    assert [entry.status for entry in workspace.sessions()] == ["damaged"]
    with pytest.raises(Corrupted), counting(tmp_path):
        pass
    assert call("show", "count", "--root", tmp_path).status == 2


def test_a_spoiled_file_beside_its_lines_harms_nothing_and_verify_tells(tmp_path: Path) -> None:
    count(tmp_path)
    before = lines_in(session_of(tmp_path))
    seal(session_of(tmp_path), keep_lines=True)
    cut(path := session_of(tmp_path) / "log" / "main" / "000001.parquet")
    assert lines_in(session_of(tmp_path)) == before
    assert [problem.path for problem in holdfast.Workspace(tmp_path).verify("count").problems] == [str(path)]
    assert seal(session_of(tmp_path)).files == 1  # it is made again
    assert lines_in(session_of(tmp_path)) == before


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    workspace, session = a_sealed_one(tmp_path)
    path = session / "log" / "main" / "000001.parquet"
    rewrite(path, lambda seal: Seal(**{**{name: getattr(seal, name) for name in seal.__struct_fields__}, "format": 2}))
    with pytest.raises(NewerFormat):
        list(workspace.records("count"))
    assert (
        "newer" in call("show", "count", "--root", tmp_path).err or "version 2" in call("show", "count", "--root", tmp_path).err
    )


def rewrite(path: Path, change: Callable[[Seal], Seal]) -> None:
    """Give a sealed file another seal."""
    files = RealFiles()
    seal = read_seal(files, path)
    file = files.open(path)
    _, footer = split_parquet(path, file)
    data = file.read(seal.data_bytes, 0)
    file.close()
    path.write_bytes(data + seal_bytes(change(seal)) + footer)


def test_salvage_prints_what_a_damaged_file_still_has(tmp_path: Path) -> None:
    workspace, session = a_sealed_one(tmp_path)
    expected = lines_in(session)
    assert list(workspace.salvage("count")) == expected
    ((path, _),) = find_seals(RealFiles(), session / "log" / "main").seals
    data = bytearray(path.read_bytes())
    data[1000] ^= 255
    path.write_bytes(data)
    assert set(workspace.salvage("count")) <= set(expected)


def test_lines_that_were_damaged_are_not_sealed(tmp_path: Path) -> None:
    with small_segments():
        count(tmp_path, steps=200)
    path = session_of(tmp_path) / "log" / "main" / "000001.jsonl"
    data = bytearray(path.read_bytes())
    data[900] ^= 1
    path.write_bytes(data)
    with pytest.raises(Corrupted, match=r"000001\.jsonl"):
        seal(session_of(tmp_path))
    assert not [name for name in names_in(session_of(tmp_path)) if not name.endswith(".jsonl")]
