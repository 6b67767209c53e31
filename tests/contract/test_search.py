"""What Workspace.search promises beside what the property test holds."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.reading.index import session as indexing
from holdfast.reading.index.store import index_folder, stretches
from holdfast.storage.files import RealFiles
from tests.helpers.programs import in_child
from tests.helpers.search_oracle import finds

PATTERN = "Φ×|*|celestial"
LATTICE = [
    "Φ×|Reactor|celestial_em",
    "Φ×|Reactor|bio_prion",
    "e+|Filter|celestial_grav",
    "Φ×|Dynamo|celestial_grav",
    "e+|NP0|t4",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with holdfast.session("old", root=tmp_path, epoch=1) as run:
        run.emission("the lens of e")
        for index, text in enumerate(LATTICE):
            run.token(text, z=index / 4, phase="TRUE" if index % 2 else None, tier=index, source="here", meta={"k": index})
    with holdfast.session("new", root=tmp_path, epoch=2) as run:
        run.tokens(LATTICE, z=[0.5] * 5, phase=["TRUE"] * 5, k=[7] * 5)
        run.token(17)
        run.token(b"\xff\x00")
    return tmp_path


def found(root: Path, pattern: str = "*", **options: Any) -> list[tuple[str, int, int]]:
    return [(hit.session, hit.n, hit.place) for hit in holdfast.Workspace(root).search(pattern, **options)]


def test_sessions_come_by_age_and_each_in_the_order_of_its_log(root: Path) -> None:
    assert found(root, PATTERN) == [("old", 3, 0), ("old", 6, 0), ("new", 2, 0), ("new", 2, 3)]
    assert found(root, PATTERN, session=["new", "old"]) == found(root, PATTERN)
    assert found(root, PATTERN, session="new") == [("new", 2, 0), ("new", 2, 3)]


def test_ids_are_found_by_their_digits_and_bytes_as_text(root: Path) -> None:
    assert found(root, "17") == [("new", 3, 0)]
    assert found(root, r"\\xff*") == [("new", 4, 0)]
    assert holdfast.Workspace(root).search("17").first(1)[0].token == "17"


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"epoch": 1}, 5),
        ({"epoch": 3}, 0),
        ({"phase": "TRUE"}, 7),
        ({"phase": ["TRUE", "x"], "session": "old"}, 2),
        ({"tier": 4}, 1),
        ({"source": "here"}, 5),
        ({"z": (0.5, 0.75)}, 7),
        ({"z": (None, 0.25)}, 2),
        ({"meta": "k"}, 10),
        ({"meta": "k=7"}, 5),
        ({"meta": ["k", "k=2"]}, 1),
        ({"meta": "none"}, 0),
        ({"since": datetime.max.replace(tzinfo=UTC)}, 0),
        ({"until": 0}, 0),
        ({"since": 0}, 12),
    ],
)
def test_only_what_passes_every_filter_is_found(root: Path, options: dict[str, Any], count: int) -> None:
    assert len(found(root, **options)) == count


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"session": "odl"}, holdfast.SessionNotFound, "did you mean 'old'"),
        ({"z": (0.6, 0.1)}, holdfast.InvalidSetting, "lowest comes first"),
        ({"meta": "=x"}, holdfast.InvalidSetting, "names no key"),
        ({"tier": "x"}, holdfast.InvalidSetting, "tier"),
        ({"since": datetime(2026, 1, 1)}, holdfast.InvalidSetting, "no time zone"),
    ],
)
def test_what_makes_no_sense_is_refused(root: Path, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        holdfast.Workspace(root).search("*", **options)


def test_hits_are_grouped_by_what_their_tokens_are_made_of(root: Path) -> None:
    hits = holdfast.Workspace(root).search("*", session="old")
    assert hits.group_by("spiral") == {"Φ": 3, "e": 2}
    assert hits.group_by("operator") == {"×": 3, "+": 2}
    assert hits.group_by("machine") == {"Reactor": 2, "Filter": 1, "Dynamo": 1, None: 1}
    assert hits.group_by("domain") == {"celestial_grav": 2, "celestial_em": 1, "bio_prion": 1, None: 1}
    assert hits.group_by("phase") == {None: 3, "TRUE": 2}
    assert hits.group_by("session") == {"old": 5}
    with pytest.raises(holdfast.InvalidSetting, match="is one of spiral"):
        hits.group_by("colour")


def test_around_a_hit_stand_the_records_of_the_log(root: Path) -> None:
    hits = holdfast.Workspace(root).search(PATTERN, session="old")
    assert [(record["n"], record["kind"]) for record in hits.around(hits[0], 2)] == [
        (1, "opened"),
        (2, "emission"),
        (3, "token"),
        (4, "token"),
        (5, "token"),
    ]
    assert hits.around(hits[-1], 0)[0]["token"] == "Φ×|Dynamo|celestial_grav"


def test_an_index_out_of_range_is_one(root: Path) -> None:
    hits = holdfast.Workspace(root).search(PATTERN)
    with pytest.raises(IndexError):
        hits[4]
    assert hits[-4] == hits[0]


def test_a_damaged_session_is_told_of_and_raises_where_it_was_named(root: Path) -> None:
    path = root / "sessions" / "old" / "log" / "main" / "000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"z":0.25', b'"z":"25"'))
    hits = holdfast.Workspace(root).search(PATTERN)
    assert hits.by_session() == {"new": 2}
    assert any(notice.startswith("session 'old' was not searched:") for notice in hits.notices)
    with pytest.raises(holdfast.Corrupted, match=r"000001\.jsonl"):
        holdfast.Workspace(root).search(PATTERN, session="old")


def test_an_empty_workspace_and_an_empty_answer_are_no_errors(tmp_path: Path) -> None:
    hits = holdfast.Workspace(tmp_path).search("*")
    assert (len(hits), bool(hits), list(hits), hits.last(3), hits.by_session(), hits.notices) == (0, False, [], [], {}, ())
    assert list(hits.columns()["n"]) == []


def test_hits_stay_what_they_were_while_the_session_goes_on(tmp_path: Path) -> None:
    workspace = holdfast.Workspace(tmp_path)
    with holdfast.session("s", root=tmp_path) as run:
        run.token("a")
        before = workspace.search("a")
        for _ in range(3000):
            run.token("a")
        after = workspace.search("a")
        assert (len(before), len(list(before)), before.last(1)[0].n) == (1, 1, 2)
        assert (len(after), after.last(1)[0].n) == (3001, 3002)
        assert len(before.around(before[0], 5)) == 2  # of the log as it was


def test_a_search_takes_in_what_came_since_and_files_stay_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "WRITTEN_FROM", 10)
    workspace = holdfast.Workspace(tmp_path)
    with holdfast.session("s", root=tmp_path) as run:
        for count in range(1, 60):
            for _ in range(10):
                run.token("a")
            assert len(workspace.search("a")) == 10 * count
    kept = stretches(RealFiles(), index_folder(tmp_path, "s"))
    assert len(kept) < 8
    assert len(holdfast.Workspace(tmp_path).search("a")) == 590


WRITER = 3000


def test_a_session_that_another_process_writes_is_searched_ten_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never fewer than before, each answer that of a prefix of the log, and the last that of a scan."""
    monkeypatch.setattr(indexing, "WRITTEN_FROM", 500)

    def write() -> None:
        with holdfast.session("live", root=tmp_path) as run:
            for index in range(WRITER):
                run.token(LATTICE[index % len(LATTICE)], z=0.5)

    with holdfast.session("live", root=tmp_path) as run:
        run.token("begun")
    reading = threading.Thread(target=lambda: counts.append(in_child(write).status))
    counts: list[int] = []
    workspace = holdfast.Workspace(tmp_path)
    reading.start()
    answers: list[int] = []
    while len(answers) < 10 or reading.is_alive():
        hits = workspace.search(PATTERN, session="live")
        rows = list(hits)
        assert len(rows) == len(hits)
        numbers = [hit.n for hit in rows]
        assert numbers == sorted(numbers)
        answers.append(len(hits))
    reading.join()
    answers.append(len(workspace.search(PATTERN, session="live")))
    scanned = sum(
        finds(PATTERN, record["token"]) for record in holdfast.Workspace(tmp_path).records("live") if record["kind"] == "token"
    )
    assert answers == sorted(answers)
    assert answers[-1] == scanned


def test_progress_is_told_while_an_index_is_made(tmp_path: Path) -> None:
    with holdfast.session("s", root=tmp_path, save_mode="batch") as run:
        for index in range(9000):
            run.token(f"{index}")
    told: list[tuple[str, int, int]] = []
    holdfast.Workspace(tmp_path).search("5", progress=lambda *state: told.append(state))
    assert told
    assert all(session == "s" and 0 < done <= total == 9002 for session, done, total in told)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    told.clear()
    assert len(holdfast.Workspace(tmp_path).search("5", progress=lambda *state: told.append(state))) == 1
    assert told == []


def test_texts_that_all_differ_are_found_without_their_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.reading.index import dictionary

    monkeypatch.setattr(dictionary, "MAX_DIFFERENT_PARTS", 50)
    with holdfast.session("s", root=tmp_path, save_mode="batch") as run:
        for index in range(3000):
            run.token(f"Φ×|M{index % 7}|celestial_{index}")
        run.token(" Φ× | M3 | celestial_0x")
    workspace = holdfast.Workspace(tmp_path)
    assert len(workspace.search("Φ×|M3|celestial")) == 429 + 1
    assert len(workspace.search("*|M3|celestial_1*")) == sum(index % 7 == 3 and str(index)[0] == "1" for index in range(3000))
    assert len(workspace.search("Φ×|M3|celestial_10")) == 1
    assert len(workspace.search("*_299*")) == 11
    assert len(workspace.search("_2?7$", regex=True)) == 2
