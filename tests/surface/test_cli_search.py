"""holdfast search: what it prints, and how it ends."""

import json
from pathlib import Path

import pytest

import holdfast
from tests.helpers.command import Called, call, promised

TOKENS = ["Φ×|Reactor|celestial_em", "Φ×|Reactor|bio_prion", "e+|Filter|celestial_grav", "Φ×|Dynamo|celestial_grav"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("first", "second"):
        with holdfast.session(name, root=tmp_path, epoch=3 if name == "first" else None) as run:
            run.emission("the Lens of\x1b[31m e")
            for index, text in enumerate(TOKENS):
                run.token(text, z=index / 4, phase="TRUE", tier=index, source="here", meta={"k": index})
            run.tokens(["plain", "Φ×|M|celestial_\x1b[31m"])
    return tmp_path


def search(root: Path, *words: object, **options: bool) -> Called:
    return call("search", *words, "--root", root, **options)  # type: ignore[arg-type]  # terminal


def test_hits_are_printed_newest_last_with_the_total(root: Path) -> None:
    done = search(root, "Φ×|*|celestial")
    assert done.status == 0
    lines = [line.split() for line in done.out.splitlines()]
    assert [line[0] for line in lines] == ["session", *["first"] * 3, *["second"] * 3]
    assert [line[1] for line in lines] == ["n", "3", "6", "7.1", "3", "6", "7.1"]
    assert lines[1][4:] == ["Φ×|Reactor|celestial_em", "0.0000", "TRUE", "0"]
    assert "\x1b" not in done.out
    assert r"celestial_\x1b[31m" in done.out
    assert done.err == "6 tokens: first 3, second 3\n"


def test_what_matched_is_coloured_on_a_terminal(root: Path) -> None:
    out = search(root, "*React*", "--last", 1, terminal=True).out
    assert "React\x1b[0m" in out
    assert "\x1b[1;32m" in out


def test_nothing_found_is_status_1_with_a_message(root: Path) -> None:
    done = search(root, "Φ×|*|celestial", "--phase", "none")
    assert (done.status, done.out) == (1, "")
    assert "no token found for 'Φ×|*|celestial'" in done.err
    for words in (["--count"], ["--json"], ["--group-by", "spiral"], ["--text"]):
        assert search(root, "zzz", *words).status == 1


@pytest.mark.parametrize(
    ("words", "last_lines"),
    [
        (["(a)\\1", "--regex"], ["  (a)\\1", "     ^"]),
        (["a||b"], ["  a||b", "    ^"]),
        ([""], ["", "  ^"]),
        (["", "--text"], ["", "  ^"]),
    ],
)
def test_a_bad_pattern_is_status_2_and_shows_where(root: Path, words: list[str], last_lines: list[str]) -> None:
    done = search(root, *words)
    assert (done.status, done.out) == (2, "")
    assert [line.rstrip() for line in done.err.splitlines()[-2:]] == [line.rstrip() for line in last_lines]
    assert done.err.startswith("holdfast: pattern, sign ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["*", "--z", "0.5"], "a range is written as in 0.6:0.9"),
        (["*", "--since", "yesterday"], "a time is written as in 2026-11-25T14:30"),
        (["*", "--group-by", "colour"], "it is one of spiral, operator, machine, domain, phase"),
        (["*", "--first", 1, "--last", 1], "cannot both be given"),
        (["*", "--session", "frist"], "did you mean 'first'"),
        (["x", "--text", "--tier", 1], "--tier is about tokens"),
        (["x", "--text", "--group-by", "phase"], "--group-by is about tokens"),
    ],
)
def test_wrong_usage_is_status_2_with_what_to_write(root: Path, words: list[object], message: str) -> None:
    done = search(root, *words)
    assert (done.status, done.out) == (2, "")
    assert message in done.err


def test_json_has_a_line_a_hit_and_just_the_promised_fields(root: Path) -> None:
    everything = search(root, "*", "--json").documents
    assert len(everything) == 12
    assert search(root, "*", "--json", "--first", 2).documents == everything[:2]
    assert search(root, "*", "--json", "--last", 2).documents == everything[-2:]
    assert search(root, "*", "--json", "--last", 0).documents == []
    assert {name for document in everything for name in document} <= promised("search")
    found = search(root, "Φ×|Dynamo", "--json", "--context", 1).documents[0]
    assert [record["n"] for record in found["context"]] == [5, 6, 7]
    texts = search(root, "lens OF", "--text", "--json").documents
    assert [(text["session"], text["n"], text["kind"]) for text in texts] == [
        ("first", 2, "emission"),
        ("second", 2, "emission"),
    ]
    counted = search(root, "*", "--json", "--count").documents
    assert counted == [{"count": 12, "sessions": {"first": 6, "second": 6}}]
    assert search(root, "*", "--json", "--group-by", "spiral").documents == [
        {"group": "spiral", "value": "Φ", "count": 6},
        {"group": "spiral", "value": None, "count": 4},
        {"group": "spiral", "value": "e", "count": 2},
    ]
    names = {name for document in (found, *texts, *counted) for name in document} | {"group", "value", "count"}
    assert names <= promised("search")


def test_filters_of_the_command_are_those_of_the_library(root: Path) -> None:
    def count(*words: object) -> int:
        done = search(root, "*", "--count", "--json", *words)
        return json.loads(done.out)["count"] if done.status == 0 else 0

    assert count("--session", "first") == 6
    assert count("--session", "first", "--session", "second") == 12
    assert count("--epoch", 3) == 6
    assert count("--phase", "TRUE", "--tier", 1, "--tier", 2) == 4
    assert count("--z", "0.25:0.5") == 4
    assert count("--z", ":0.25") == count("--z", "0.5:") == 4
    assert count("--source", "here", "--meta", "k=1") == 2
    assert count("--meta", "k") == 8
    assert count("--since", "2020-01-01") == 12
    assert count("--until", "2020-01-01T00:00:00+00:00") == 0
    assert count("--until", 1_600_000_000_000_000) == 0


def test_context_is_printed_around_each_hit(root: Path) -> None:
    out = search(root, "*Filter*", "--context", 1, "--session", "first").out
    assert [line.split()[0] for line in out.splitlines()] == ["session", "first", "4", "5", "6"]


def test_groups_and_counts_are_tables(root: Path) -> None:
    groups = [line.split()[:3] for line in search(root, "Φ*|celestial", "--group-by", "machine").out.splitlines()]
    assert groups == []  # a bar makes parts: the second of these is a machine
    groups = [line.split()[:3] for line in search(root, "Φ×", "--group-by", "machine").out.splitlines()]
    assert groups == [
        ["machine", "found", "share"],
        ["Reactor", "4", "50.0%"],
        ["Dynamo", "2", "25.0%"],
        ["none", "2", "25.0%"],
    ]
    counts = [line.split() for line in search(root, "Φ×", "--count").out.splitlines()]
    assert counts == [["session", "found"], ["first", "4"], ["second", "4"], ["all", "8"]]


def test_texts_are_printed_with_what_matched(root: Path) -> None:
    done = search(root, "lens of", "--text")
    assert done.status == 0
    assert [line.split()[0] for line in done.out.splitlines()] == ["session", "first", "second"]
    assert r"the Lens of\x1b[31m e" in done.out
    assert search(root, "lens of", "--text", "--last", 1).out.splitlines()[-1].startswith("second")
    assert search(root, "lens of", "--text", "--count", "--json").documents[0]["sessions"] == {"first": 1, "second": 1}
