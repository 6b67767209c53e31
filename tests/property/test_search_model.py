"""Search against a plain scan, on random sessions, whatever state the index is in between."""

import json
import os
import random
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from holdfast.reading.index import session as indexing
from holdfast.reading.index import sorted_lines
from holdfast.reading.index.dictionary import Dictionary, dictionary_of
from holdfast.reading.patterns import compile_pattern
from holdfast.reading.seal import seal_log
from holdfast.records import Note, Opened, Range, Superseded, Token, Tokens
from holdfast.sessions.folder import SessionFolder
from holdfast.storage.host import boot_id
from holdfast.storage.log import LogWriter
from holdfast.storage.recovery import recover
from holdfast.workspace import Workspace
from tests.helpers.quick import QuickFiles
from tests.helpers.search_oracle import finds

FILES = QuickFiles()
MORE = 20 if os.environ.get("HOLDFAST_FULL") else 1
SIGNS = ["Φ", "×", "-", "−", "%", "÷", "|", "|", "_", "a", "b", " ", "\n", "\0", "é", "*", "\\", "\N{NO-BREAK SPACE}"]
TIDY_SIGNS = ["Φ", "×", "-", "%", "|", "|", "|", "_", "_", "a", "a", "b", "é"]
tokens = st.lists(st.sampled_from(SIGNS), max_size=7).map("".join)
tidy_tokens = st.lists(st.sampled_from(TIDY_SIGNS), max_size=7).map("".join)
pieces = st.sampled_from(["Φ", "×", "-", "%", "÷", "a", "b", "_", "é", " ", "\n", "*", "*", "|", "|", r"\|", r"\*", r"\\"])
globs = st.lists(pieces, min_size=1, max_size=6).map("".join)
regexes = st.sampled_from(
    ["a", "^a", r"a\z", "a.b", "[ab|]{2}", "(?:a|_b)+", "[^a]b", "^$", "(?s)a.b", "é|Φ", r"\s", r"(?m)^b", r"^[^|]*\|[^|]*$"]
)


def is_good(pattern: str) -> bool:
    parts = re.split(r"(?<!\\)(?:\\\\)*\|", pattern)
    return bool(pattern) and (len(parts) == 1 or all(part.strip() for part in parts))


def ids_of(dictionary: Dictionary, pattern: str, *, regex: bool = False) -> list[int]:
    selection = dictionary.select(compile_pattern(pattern, regex=regex))
    return list(range(selection.start, selection.stop)) if isinstance(selection, slice) else selection.tolist()


def regex_finds(pattern: str, text: str) -> bool:
    return re.search(pattern.replace(r"\z", r"\Z").replace("^$", r"^\Z").replace("*$", r"*\Z"), text, re.ASCII) is not None


@settings(max_examples=300 * MORE, deadline=None)
@given(st.sets(tokens, max_size=30) | st.sets(tidy_tokens, max_size=30), globs.filter(is_good))
def test_a_pattern_finds_in_a_dictionary_what_it_means(texts: set[str], pattern: str) -> None:
    dictionary, ids = dictionary_of(sorted(texts))
    assert dictionary.lines.texts(ids.tolist()) == sorted(texts)
    wanted = sorted(text for text in texts if finds(pattern, text))
    assert sorted(dictionary.lines.texts(ids_of(dictionary, pattern))) == wanted
    for is_tidy in {False, dictionary.is_tidy}:
        without_parts = Dictionary(dictionary.lines, is_tidy=is_tidy)
        assert ids_of(without_parts, pattern) == ids_of(dictionary, pattern)
        for kept in range(1, len(dictionary.parts)):
            parts, codes = dictionary.parts[:kept], dictionary.codes[:kept]
            some_parts = Dictionary(dictionary.lines, parts, codes, dictionary.counts, is_tidy=is_tidy)
            assert ids_of(some_parts, pattern) == ids_of(dictionary, pattern)
    assert sorted(text for text in texts if compile_pattern(pattern).matches(text)) == wanted


@settings(max_examples=150 * MORE, deadline=None)
@given(st.sets(tokens, max_size=30), st.text(alphabet="ab_é|", min_size=1, max_size=11), st.integers(1, 9))
def test_a_text_that_is_found_often_is_found_as_one_that_is_not(texts: set[str], sought: str, block_bytes: int) -> None:
    texts |= {sought, f"a{sought}", f"{sought}{sought}b"}
    lines = dictionary_of(sorted(texts))[0].lines
    with patch.multiple(sorted_lines, _FEW=1, _BLOCK_BYTES=block_bytes):
        found = lines.holding(sought.encode()).tolist()
    assert found == [index for index in range(len(lines)) if sought in lines.text(index)]


@settings(max_examples=150 * MORE, deadline=None)
@given(st.sets(tokens, max_size=30), regexes)
def test_a_regular_expression_finds_in_a_dictionary_what_it_means(texts: set[str], pattern: str) -> None:
    dictionary, _ = dictionary_of(sorted(texts))
    found = dictionary.lines.texts(ids_of(dictionary, pattern, regex=True))
    assert sorted(found) == sorted(text for text in texts if regex_finds(pattern, text))


PATTERNS = ["Φ×|*|celestial", "Φ×", "*a*", "Φ*", "*", "a", "a|b", "Φ-|M", "7", r"a\|b", "*\n*", "\\\\xff"]
WORDS = [
    "Φ×|M|celestial_em",
    "Φ×|M|celestial",
    "Φ× | M | bio_x",
    "Φ−|M|bio_x",
    "a",
    "a|b",
    "aa",
    " a",
    "Φ×",
    "x\ny",
    "e:U(U)TRUE@1",
    'a\0"\\b',
]
values = st.one_of(st.sampled_from(WORDS), st.integers(5, 8), st.binary(max_size=2), st.sampled_from(["\ud800a"]))
phases = st.sampled_from([None, "TRUE", "PARADOX"])
coordinates = st.sampled_from([None, 0.0, 0.25, 0.5, 1.0])
tiers = st.sampled_from([None, 1, 2, 10**12])
metas = st.sampled_from([None, {"k": 1}, {"k": "1"}, {"k": True}, {"k": "v", "j": None}])
lanes = st.sampled_from([None, "side"])


class SearchMachine(RuleBasedStateMachine):
    """Sessions that grow, by several attempts, and an index that is deleted, spoilt or left behind in between."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.workspace = Workspace(root)
        self.clock = 100
        self.writers: dict[str, LogWriter] = {}
        self.draws = random.Random(7)

    def writer(self, session: str) -> LogWriter:
        if session not in self.writers:
            folder = SessionFolder(FILES, self.root, session)
            folder.make()
            past = recover(FILES, folder.log, boot_id())
            if not past.last:
                self.clock += 1
            self.writers[session] = LogWriter(
                FILES,
                folder.log,
                past,
                session=session,
                attempt=past.attempts + 1,
                boot=boot_id(),
                durability="process",
                use_map=False,
                max_segment_bytes=2000,
            )
            if not past.last:
                self.append(session, [Opened(session=session)])
        return self.writers[session]

    def append(self, session: str, records: list[Any]) -> None:
        log = self.writer(session)
        for record in records:
            self.clock += self.draws.choice([0, 1, 5])
            record.ts = self.clock
        log.append_batch(records)

    sessions = st.sampled_from(["one", "two"])

    @initialize()
    def begin(self) -> None:
        self.append("one", [Token(token="a")])

    @rule(
        session=sessions, words=st.lists(st.tuples(values, coordinates, phases, tiers, metas, lanes, st.booleans()), max_size=8)
    )
    def record(self, session: str, words: list[Any]) -> None:
        from holdfast.recording.fields import token_record

        records = []
        for text, z, phase, tier, meta, lane, top in words:
            record = token_record(text, z, phase, tier, "src" if top else None, meta, None, snapshot=True)
            record.lane, record.top = lane, top
            records.append(record)
        if records:
            self.append(session, records)

    @rule(session=sessions, words=st.lists(values, max_size=5), lane=lanes, has_columns=st.booleans())
    def record_batch(self, session: str, words: list[Any], lane: str | None, has_columns: bool) -> None:
        from holdfast.recording.fields import tokens_record

        columns: dict[str, Any] = {}
        if has_columns:
            columns = {
                "z": [0.25] * len(words),
                "phase": ["TRUE", None, "TRUE", None, "x"][: len(words)],
                "k": [1] * len(words),
            }
        record: Tokens = tokens_record(words, columns, None)
        record.lane = lane
        self.append(session, [record, Note(text="between")])

    @rule(session=sessions, count=st.integers(20, 60))
    def record_many(self, session: str, count: int) -> None:
        self.append(session, [Token(token=f"Φ×|M|celestial_{number}", z=0.5) for number in range(count)])

    @rule(
        session=sessions,
        back=st.integers(0, 12),
        length=st.integers(0, 8),
        lane=st.sampled_from(["", "side"]),
        top=st.booleans(),
    )
    def begin_again_and_supersede(self, session: str, back: int, length: int, lane: str, top: bool) -> None:
        if (log := self.writers.pop(session, None)) is not None:
            log.release()
        log = self.writer(session)
        first = max(1, log.n - back)
        span = Range(first=first, last=min(log.n, first + length), lane=lane, top=top)
        self.append(session, [Superseded(ranges=[span], reason="test")])

    @rule(session=sessions)
    def seal(self, session: str) -> None:
        if (self.root / "sessions" / session).exists():
            folder = SessionFolder(FILES, self.root, session)
            seal_log(FILES, folder.log, folder.lock, session, boot_id(), least_bytes=1)

    # What happens to the index

    @rule()
    def delete_the_index(self) -> None:
        shutil.rmtree(self.root / "index", ignore_errors=True)

    @rule(keep=st.integers(0, 200))
    def cut_a_piece(self, keep: int) -> None:
        for path in sorted(self.root.glob("index/*/*.tokens"))[:1]:
            _replace(path, path.read_bytes()[:keep])

    @rule()
    def leave_half_a_piece_behind(self) -> None:
        for path in sorted(self.root.glob("index/*/*.tokens"))[:1]:
            path.with_name(f".{path.name}.999999999-1.tmp").write_bytes(b"half")

    @rule()
    def make_a_piece_one_of_a_newer_version(self) -> None:
        for path in sorted(self.root.glob("index/*/*.tokens"))[:1]:
            _replace(path, _newer(path.read_bytes()))

    @rule()
    def put_another_sessions_pieces_there(self) -> None:
        if (self.root / "index" / "one").exists():
            shutil.rmtree(self.root / "index" / "two", ignore_errors=True)
            shutil.copytree(self.root / "index" / "one", self.root / "index" / "two")

    @rule()
    def open_the_workspace_again(self) -> None:
        self.workspace = Workspace(self.root)

    @rule(session=sessions)
    def delete_the_session_and_begin_another(self, session: str) -> None:
        if (log := self.writers.pop(session, None)) is not None:
            log.release()
        shutil.rmtree(self.root / "sessions" / session, ignore_errors=True)
        self.append(session, [Token(token="Φ×"), Token(token="aa")])

    # What search says

    @rule(
        pattern=st.sampled_from(PATTERNS),
        session=st.sampled_from([None, "one", "two"]),
        wanted=st.fixed_dictionaries(
            {},
            optional={
                "phase": st.sampled_from(["TRUE", ["TRUE", "x"], "none"]),
                "tier": st.sampled_from([1, [2, 10**12]]),
                "source": st.just("src"),
                "z": st.sampled_from([(0.25, 0.5), (None, 0.25)]),
                "since": st.integers(100, 160),
                "meta": st.sampled_from(["k", "k=1", "k=v", "k=true", ["k", "j"]]),
                "superseded": st.booleans(),
            },
        ),
    )
    def search(self, pattern: str, session: str | None, wanted: dict[str, Any]) -> None:
        if session is not None and not (self.root / "sessions" / session).exists():
            return
        hits = self.workspace.search(pattern, session=session, **wanted)
        expected = [entry for entry in self.scan(session) if self.is_wanted(entry, pattern, wanted)]
        shown = [
            (hit.session, hit.n, hit.place, hit.ts, hit.z, hit.phase, hit.tier, hit.source, hit.lane, hit.superseded)
            for hit in hits
        ]
        names = ("session", "n", "place", "ts", "z", "phase", "tier", "source", "lane", "superseded")
        assert shown == [tuple(entry[name] for name in names) for entry in expected]
        assert len(hits) == len(expected)
        assert bool(hits) == bool(expected)
        everything = list(hits)
        for count in (0, 1, 3, 1000):
            assert hits.first(count) == everything[:count]
            assert hits.last(count) == everything[len(everything) - min(count, len(everything)) :]
        assert hits[2:7] == everything[2:7]
        assert hits[::-1] == everything[::-1]
        assert hits.by_session() == dict(Counter(entry["session"] for entry in expected))
        assert hits.group_by("phase") == dict(Counter(entry["phase"] for entry in expected))
        assert sum(hits.group_by("domain").values()) == len(expected)
        columns = hits.columns()
        assert list(columns["n"]) == [hit.n for hit in everything]
        assert list(columns["token"]) == [hit.token for hit in everything]
        assert list(columns["tier"]) == [hit.tier for hit in everything]

    def scan(self, session: str | None) -> list[dict[str, Any]]:
        """Every token, by the records alone."""
        ages = {}
        rows: dict[str, list[dict[str, Any]]] = {}
        for path in (self.root / "sessions").iterdir():
            if session not in (None, path.name):
                continue
            records = list(self.workspace.records(path.name, canonical=False))
            ages[path.name] = records[0]["ts"]
            rows[path.name] = [row for record in records for row in _rows(path.name, record)]
        return [row for name in sorted(rows, key=lambda name: (ages[name], name)) for row in rows[name]]

    def is_wanted(self, row: dict[str, Any], pattern: str, wanted: dict[str, Any]) -> bool:
        if row["superseded"] and not wanted.get("superseded"):
            return False
        for name in ("phase", "tier", "source"):
            if name in wanted:
                values = wanted[name] if isinstance(wanted[name], list) else [wanted[name]]
                if row[name] not in values:
                    return False
        if "z" in wanted and (row["z"] is None or not (wanted["z"][0] or 0.0) <= row["z"] <= wanted["z"][1]):
            return False
        if row["ts"] < wanted.get("since", 0):
            return False
        asked = wanted.get("meta", [])
        for text in [asked] if isinstance(asked, str) else asked:
            key, _, value = text.partition("=")
            if key not in row["meta"]:
                return False
            stands = row["meta"][key]
            if value and stands != value and json.dumps(stands) != value:
                return False
        return finds(pattern, row["token"])


def _rows(session: str, record: dict[str, Any]) -> list[dict[str, Any]]:
    shared = {"session": session, "n": record["n"], "ts": record["ts"], "lane": record.get("lane")}
    shared["superseded"] = record.get("superseded", False)
    names = ("z", "phase", "tier", "source")
    if record["kind"] == "token":
        own = {name: record.get(name) for name in names}
        return [{**shared, **own, "place": 0, "token": _token(record["token"]), "meta": record.get("meta") or {}}]
    if record["kind"] != "tokens":
        return []
    columns = record.get("columns", {})
    return [
        {
            **shared,
            **{name: columns[name][index] if name in columns else None for name in names},
            "place": index,
            "token": _token(token),
            "meta": {name: values[index] for name, values in columns.items() if name not in names},
        }
        for index, token in enumerate(record["tokens"])
    ]


def _token(stored: Any) -> Any:
    from holdfast.codec import decode

    token = decode(stored) if isinstance(stored, dict) else stored
    if isinstance(token, str):
        return "".join("\N{REPLACEMENT CHARACTER}" if "\ud800" <= sign <= "\udfff" else sign for sign in token)
    return token


def _replace(path: Path, data: bytes) -> None:
    """Another file of that name: the old one may be mapped."""
    path.unlink()
    path.write_bytes(data)


def _newer(data: bytes) -> bytes:
    """A piece's file as a later version would begin it."""
    from zlib import crc32

    head = msgspec.json.encode({"version": 99})
    return data[:8] + len(head).to_bytes(4, "little") + crc32(head).to_bytes(4, "little") + head


@pytest.mark.parametrize("written_from", [1, 40])
def test_search_is_a_scan_whatever_becomes_of_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written_from: int
) -> None:
    monkeypatch.setattr(indexing, "WRITTEN_FROM", written_from)
    monkeypatch.setattr(indexing, "MAX_ROWS", 50)
    roots = iter(range(10**9))

    def machine() -> SearchMachine:
        root = tmp_path / str(next(roots))
        root.mkdir()
        return SearchMachine(root)

    run_state_machine_as_test(
        machine,  # type: ignore[arg-type]  # a function that makes one will do
        settings=settings(
            max_examples=25 * MORE,
            stateful_step_count=30,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
