"""Questions in SQL: the rows are the loader's, and nothing else can be read or done."""

import gc
import resource
import signal
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.reading.seal import seal_log
from holdfast.reading.sql.asking import Asker
from holdfast.reading.sql.relations import Relations
from holdfast.sessions.folder import SessionFolder
from holdfast.storage.host import boot_id
from tests.helpers.programs import result_of
from tests.helpers.quick import QuickFiles


def record(root: Path, count: int = 40) -> holdfast.Workspace:
    with holdfast.session("s", root=root, extend=True) as run:
        for step in run.loop(count):
            run.token(
                f"Φ×|M|{step % 5}", z=step / 100, phase="A" if step % 3 else None, tier=step % 4, meta={"step": step, "x": (1,)}
            )
            run.metric(loss=float("nan") if step == 3 else 1.0 / (step + 1))
    return holdfast.Workspace(root)


def seal(root: Path) -> None:
    files = QuickFiles()
    folder = SessionFolder(files, root, "s")
    seal_log(files, folder.log, folder.lock, "s", boot_id(), least_bytes=1, most_bytes=6000)
    assert list(root.rglob("*.parquet"))


def rows_of(workspace: holdfast.Workspace) -> list[tuple[Any, ...]]:
    found = workspace.tokens("s")
    return [(row.n, row.token, row.z, row.phase, row.tier, row.source, row.top) for row in found]


QUERY = "select n, token, z, phase, tier, source, top from tokens order by n, place"


def test_tokens_are_those_of_the_loader_live_sealed_and_both(tmp_path: Path) -> None:
    workspace = record(tmp_path)
    assert list(workspace.sql(QUERY)) == rows_of(workspace)
    seal(tmp_path)
    assert list(workspace.sql(QUERY)) == rows_of(workspace)
    record(tmp_path, 60)
    assert list(workspace.sql(QUERY)) == rows_of(workspace)
    assert list(holdfast.Workspace(tmp_path).sql(QUERY)) == rows_of(workspace)
    assert len(rows_of(workspace)) == 60


def test_user_values_are_json_and_metrics_are_numbers(tmp_path: Path) -> None:
    workspace = record(tmp_path)
    assert list(workspace.sql("select meta->>'$.step' from tokens where z = 0.07")) == [("7",)]
    ((count, nans),) = workspace.sql("select count(*), count(*) filter (isnan(value)) from metrics where name = 'loss'")
    assert (count, nans) == (40, 1)
    assert list(workspace.sql("select session, status from sessions")) == [("s", "finished")]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("copy tokens to 'x'", "COPY is not possible"),
        ("explain analyze copy (select 1) to 'x'", "COPY is not possible"),
        ("attach 'x'", "ATTACH is not possible"),
        ("set threads = 1", "SET is not possible"),
        ("pragma version", "PRAGMA is not possible"),
        ("create table x (a int)", "CREATE is not possible"),
        ("select 1; select 2", "these are 2 statements"),
        ("", "no statement"),
        ("selec 1", "syntax error"),
        ("select foo from tokens", "not found"),
        ("select * from read_text('/etc/passwd')", "only what the sessions hold"),
        ("select * from read_csv('/etc/passwd')", "only what the sessions hold"),
        ("select * from glob('/etc/*')", "only what the sessions hold"),
        ("select * from '/etc/passwd'", "does not exist"),
    ],
)
def test_other_questions_are_refused_by_message(tmp_path: Path, query: str, reason: str) -> None:
    workspace = record(tmp_path, 3)
    with pytest.raises(holdfast.BadQuery, match=reason):
        list(workspace.sql(query))


@pytest.mark.parametrize("query", ["explain select 1", "explain (select 1)", "/* a */ explain analyze select n from tokens"])
def test_a_select_may_be_explained(tmp_path: Path, query: str) -> None:
    assert list(record(tmp_path, 3).sql(query))


@pytest.mark.parametrize("place", ["data", "end"])
def test_a_damaged_sealed_file_is_told_of(tmp_path: Path, place: str) -> None:
    workspace = record(tmp_path)
    seal(tmp_path)
    for path in tmp_path.rglob("*.parquet"):
        data = path.read_bytes()
        path.write_bytes(b"PAR1" + bytes(len(data) - 4) if place == "end" else data[:4] + bytes(600) + data[604:])
    with pytest.raises(holdfast.HoldfastError):
        list(workspace.sql(QUERY))


def test_a_sealed_file_with_one_other_bit_gives_no_answer(tmp_path: Path) -> None:
    workspace = record(tmp_path)
    seal(tmp_path)
    path = min(tmp_path.rglob("*.parquet"))
    whole = path.read_bytes()
    for place in range(10, len(whole), 997):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(holdfast.HoldfastError, match=path.name):
            list(holdfast.Workspace(tmp_path).sql("select count(*) from tokens"))
    path.write_bytes(whole)
    assert list(workspace.sql(QUERY)) == rows_of(workspace)


def test_what_was_begun_to_be_taken_in_is_taken_in_anew(tmp_path: Path) -> None:
    workspace = record(tmp_path)
    before = workspace.sql(QUERY)

    def stop(session: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    record(tmp_path, 60)
    with pytest.raises(KeyboardInterrupt):
        workspace.sql(QUERY, progress=stop)
    assert list(workspace.sql(QUERY)) == rows_of(workspace)
    assert len(list(before)) == 40


def test_a_question_sees_nothing_that_another_thread_has_taken_in_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = record(tmp_path)
    both = "select (select count(*) from tokens), (select count(*) from metrics)"
    assert list(workspace.sql(both)) == [(40, 40)]
    create_views = Relations.create_views
    others: list[Any] = []

    def create_later(*arguments: Any, **options: Any) -> None:
        if not others:  # in the middle of the first question
            others.append(None)
            record(tmp_path, 60)
            others[0] = list(workspace.sql(both))
        create_views(*arguments, **options)

    monkeypatch.setattr(Relations, "create_views", create_later)
    assert list(workspace.sql(both)) == [(40, 40)]
    assert others == [[(60, 60)]]
    assert list(workspace.sql(both)) == [(60, 60)]


def test_threads_ask_a_running_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[object] = []
    over = threading.Event()
    inside: list[None] = []
    take_in = Relations.take_in

    def take_in_alone(*arguments: Any, **options: Any) -> None:
        inside.append(None)
        if len(inside) > 1:
            failed.append("two at once")
        take_in(*arguments, **options)
        inside.pop()

    monkeypatch.setattr(Relations, "take_in", take_in_alone)

    def ask() -> None:
        last = 0
        while not over.is_set():
            ((tokens, metrics),) = workspace.sql("select (select count(*) from tokens), (select count(*) from metrics)")
            if not (tokens - 1 <= metrics <= tokens and tokens >= last):
                failed.append((tokens, metrics, last))
            last = tokens

    threads = [threading.Thread(target=ask) for _ in range(3)]
    with holdfast.session("s", root=tmp_path, files=QuickFiles()) as run:
        workspace = holdfast.Workspace(tmp_path)
        run.token("t0")
        run.metric(loss=0)
        for thread in threads:
            thread.start()
        try:
            for step in range(12_000):
                run.token(f"t{step}")
                run.metric(loss=step)
        finally:
            over.set()
            for thread in threads:
                thread.join()
    assert failed == []
    assert list(workspace.sql("select count(*) from tokens")) == [(12_001,)]


def test_a_forked_child_asks_for_itself_and_survives_what_it_inherits(tmp_path: Path) -> None:
    workspace = record(tmp_path)
    assert list(workspace.sql("select count(*) from tokens")) == [(40,)]

    def program() -> list[tuple[Any, ...]]:
        found = list(workspace.sql("select count(*) from tokens"))
        workspace._asker = Asker()  # lets go of what it had
        gc.collect()
        return found

    assert result_of(program) == [(40,)]
    assert list(workspace.sql("select count(*) from tokens")) == [(40,)]


@pytest.mark.parametrize("query", ["select * from no_such", "select no_such from tokens", "select error('x') from tokens"])
def test_a_question_that_failed_leaves_no_garbage(tmp_path: Path, query: str) -> None:
    workspace = record(tmp_path)
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(holdfast.BadQuery) as caught:
            list(workspace.sql(query))
        del caught
        relations = weakref.ref(workspace._asker._relations)
        workspace._asker = Asker()
        assert relations() is None
    finally:
        gc.enable()


def test_a_question_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    workspace = record(tmp_path, 3)
    with pytest.raises(holdfast.QueryStopped, match="longer than"):
        list(workspace.sql("select count(*) from range(1000000000) a, range(1000000) b", timeout_seconds=0.05))


def test_an_answer_that_could_not_be_written_is_written_when_it_can_be(tmp_path: Path) -> None:
    workspace, target = record(tmp_path), tmp_path / "x.csv"
    answer = workspace.sql("select t.n, s.records from tokens t, sessions s, range(1000)")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        for _ in range(2):
            with pytest.raises(holdfast.HoldfastError, match="File too large"):
                answer.write(target, format="csv")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not target.exists()
    assert answer.write(target, format="csv") == 40_000
    assert len(target.read_text().splitlines()) == 40_001


@pytest.mark.parametrize("format", ["json", "csv", "parquet"])
def test_an_answer_is_written_whole_and_over_nothing(tmp_path: Path, format: str) -> None:
    workspace, target = record(tmp_path), tmp_path / "out" / f"x.{format}"
    assert workspace.sql("select n from tokens").write(target, format=format) == 40
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    with pytest.raises(holdfast.InvalidSetting, match="is there already"):
        workspace.sql("select n from tokens").write(target, format=format)
    with pytest.raises(holdfast.InvalidSetting, match="is a folder"):
        workspace.sql("select n from tokens").write(tmp_path / "out", format=format, force=True)
    assert workspace.sql("select n from tokens limit 1").write(target, format=format, force=True) == 1


def test_a_question_that_needs_more_memory_is_stopped_and_the_next_one_is_answered(tmp_path: Path) -> None:
    workspace = record(tmp_path, 3)
    hungry = "select length(string_agg(repeat('x', 1_000_000), '')) from range(200)"
    with pytest.raises(holdfast.QueryStopped, match="it needs more than 48 MiB of memory"):
        workspace.sql(hungry, memory_bytes=48 << 20)
    assert list(workspace.sql("select count(*) from tokens", memory_bytes=48 << 20)) == [(3,)]


def test_ctrl_c_ends_a_question_and_the_next_one_is_answered(tmp_path: Path) -> None:
    workspace = record(tmp_path, 3)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    # As Ctrl-C does, in the middle: the question would take days. Again, since Python hears of none while it lets go of a weak
    # reference.
    signal.setitimer(signal.ITIMER_REAL, 0.1, 2)
    try:
        with pytest.raises(KeyboardInterrupt):
            workspace.sql("select count(*) from range(10_000_000_000_000) a where hash(a.range) = 7")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert list(workspace.sql("select count(*) from tokens")) == [(3,)]
