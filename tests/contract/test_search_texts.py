"""The search of emissions and notes: by trigrams and by the log, always the same."""

import errno
from pathlib import Path

import apsw
import pytest

import holdfast
from holdfast.reading import texts as searching
from holdfast.reading.index import texts as indexing
from holdfast.reading.texts import TextSearcher
from holdfast.storage.faulty import FailingFiles
from holdfast.storage.files import RealFiles
from holdfast.workspace import Workspace
from tests.helpers.command import count
from tests.helpers.programs import in_child

NEEDLES = [
    "lens of",
    "LENS OF",
    "of",
    "ß",
    "strasse",
    '"of" "it"',
    "Φ 7",
    "a\0b",
    "b",
    "nothing",
    "*",
    "x OR y",
    "né",
    "e\u0301",
    "lens\0of",
]


def record(root: Path, name: str, first: int, last: int) -> None:
    with holdfast.session(name, root=root, extend=True, save_mode="batch") as run:
        for step in run.loop(last):
            run.token("lens of")
            if step >= first and step % 3 == 0:
                run.emission(f"The Lens of Φ {step} Straße né", z=0.5, phase="TRUE" if step % 2 else None)
            if step % 7 == 0:
                run.note(f'a\0b "of" "it" x OR y {step}')


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(searching, "WRITTEN_FROM", 20)
    record(tmp_path, "one", 0, 60)
    record(tmp_path, "two", 0, 10)
    return tmp_path


def scan(root: Path, needle: str) -> list[tuple[str, int]]:
    workspace = Workspace(root)
    sessions = sorted(workspace.sessions(), key=lambda entry: entry.created)
    return [
        (entry.name, fields["n"])
        for entry in sessions
        for fields in workspace.records(entry.name)
        if fields["kind"] in ("emission", "note") and needle.casefold() in fields["text"].casefold()
    ]


def found(root: Path, needle: str) -> list[tuple[str, int]]:
    hits = Workspace(root).search_texts(needle)
    assert hits.notices == ()
    return [(hit.session, hit.n) for hit in hits]


def database(root: Path) -> Path:
    return root / "index" / "texts.db"


@pytest.mark.parametrize("needle", NEEDLES)
def test_a_text_is_found_as_by_a_scan(root: Path, needle: str) -> None:
    assert found(root, needle) == scan(root, needle)  # makes the database
    assert found(root, needle) == scan(root, needle)  # asks it
    record(root, "one", 0, 65)
    assert found(root, needle) == scan(root, needle)  # and the log behind what it knows
    record(root, "two", 0, 50)
    assert found(root, needle) == scan(root, needle)


def test_filters_are_those_of_tokens(root: Path) -> None:
    workspace = Workspace(root)
    assert len(workspace.search_texts("lens")) == 20 + 4
    assert len(workspace.search_texts("lens", session="two")) == 4
    assert len(workspace.search_texts("lens", phase="TRUE")) == 10 + 2
    assert len(workspace.search_texts("lens", z=(0.6, None))) == 0
    assert len(workspace.search_texts("lens", until=0)) == 0
    with pytest.raises(holdfast.SessionNotFound):
        workspace.search_texts("lens", session="three")
    with pytest.raises(holdfast.BadPattern, match="nothing to look for"):
        workspace.search_texts("")


def test_the_database_asks_only_what_may_hold_the_text(root: Path) -> None:
    found(root, "lens")
    texts = indexing.Texts(RealFiles(), root)
    try:
        assert texts.numbers("one", "φ 57") == [n for name, n in scan(root, "Φ 57") if name == "one"]
        assert texts.sessions() == ["one"]  # the other one is too small to be worth it
    finally:
        texts.close()


def test_superseded_texts_are_left_out_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "WRITTEN_FROM", 5)
    count(tmp_path)
    workspace = Workspace(tmp_path)
    with holdfast.session("s", root=tmp_path) as run:
        for step in run.loop(6, checkpoint_every=2):
            run.note(f"remark {step}")
    assert len(workspace.search_texts("remark")) == 6
    workspace.rewind("s", at=1)
    assert [hit.superseded for hit in workspace.search_texts("remark", superseded=True)] == [False] * 2 + [True] * 4
    assert len(workspace.search_texts("remark")) == 2


def test_another_session_of_the_same_name_is_taken_in_anew(root: Path) -> None:
    assert found(root, "lens") == scan(root, "lens")
    workspace = Workspace(root)
    workspace.delete("one")
    assert found(root, "lens") == scan(root, "lens")
    record(root, "one", 30, 90)
    assert found(root, "lens") == scan(root, "lens")
    workspace.rename("two", "three")
    assert found(root, "of") == scan(root, "of")


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100])
def test_a_spoilt_database_is_told_of_and_made_anew(root: Path, content: bytes) -> None:
    found(root, "lens")
    database(root).write_bytes(content)
    hits = Workspace(root).search_texts("lens")
    assert [(hit.session, hit.n) for hit in hits] == scan(root, "lens")
    assert bool(hits.notices) is bool(content)  # an empty one is a new one
    assert found(root, "lens") == scan(root, "lens")


def test_a_database_of_a_newer_version_is_told_of_and_left_alone(root: Path) -> None:
    found(root, "lens")
    with apsw.Connection(str(database(root))) as connection:
        connection.pragma("user_version", 9)
    connection.close()
    before = database(root).read_bytes()
    hits = Workspace(root).search_texts("lens")
    assert [(hit.session, hit.n) for hit in hits] == scan(root, "lens")
    assert "texts.db: of version 9, and this Holdfast reads up to 1; the log itself was searched" in hits.notices[0]
    assert database(root).read_bytes() == before


def test_a_database_that_cannot_be_made_is_told_of(root: Path) -> None:
    files = FailingFiles(RealFiles(), operation="mkdir", nth=1, error=errno.EROFS, role="/index")
    hits = TextSearcher(files, root).search(["one", "two"], "lens", holdfast.reading.filters.Filter(), strict=True)
    assert [(hit.session, hit.n) for hit in hits] == scan(root, "lens")
    assert "Read-only file system; the log itself was searched" in hits.notices[0]


def test_a_database_that_another_process_holds_is_worked_around(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "_BUSY_MS", 1)
    found(root, "lens")
    record(root, "one", 0, 90)
    holder = apsw.Connection(str(database(root)))
    holder.execute("BEGIN EXCLUSIVE")
    try:
        hits = Workspace(root).search_texts("lens")
        assert [(hit.session, hit.n) for hit in hits] == scan(root, "lens")
        assert "locked" in hits.notices[0]
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    assert found(root, "lens") == scan(root, "lens")


@pytest.mark.parametrize("after", range(0, 40, 3))
def test_a_kill_while_texts_are_taken_in_leaves_the_database_as_it_was(root: Path, after: int) -> None:
    """The process dies behind so many records: SQLite's transaction is all or nothing."""

    def program() -> None:
        import os

        seen = 0
        add = searching._read

        def dying(line: bytes) -> searching._Said:
            nonlocal seen
            seen += 1
            if seen > after:
                os.kill(os.getpid(), 9)
            return add(line)

        searching._read = dying
        Workspace(root).search_texts("lens")

    record(root, "two", 0, 200)
    assert in_child(program).status == -9
    assert found(root, "lens") == scan(root, "lens")
