"""What loading costs: pages, counts, columns, a catalogue, a follower; DuckDB on the same lines beside it, in one run.

    python bench/reading.py                     1 million tokens, 10,000 sessions
    python bench/reading.py --tokens 10000000   the size that the targets speak of
    python bench/reading.py --only pages        one group

Calls of the contenders alternate, each on a workspace that was just opened, and their medians are compared: nothing is kept
from one to the next but what the operating system keeps of the files. Prints a table with the targets, and writes it to
bench/results.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import apsw
import duckdb
import msgspec

import corpus
import report
from holdfast import Batch, Position, Workspace
from holdfast.reading.catalog import rebuild_manifest
from holdfast.reading.columns import token_batches
from holdfast.records import Closed, Opened, Record, Token
from holdfast.storage.files import RealFiles, make_folders
from holdfast.storage.host import boot_id
from holdfast.storage.log import LogWriter
from holdfast.storage.reader import LogReader
from holdfast.storage.recovery import Past
from report import Row, row

SESSION = "big"
PAGE = 100
REPEATS = 9
_BATCH = 2_000


class Place:
    """What the groups share: a workspace with one session of the corpus, and how much of it there is."""

    def __init__(self, scratch: Path, tokens: int, sessions: int) -> None:
        self.scratch, self.tokens, self.sessions = scratch, tokens, sessions
        self.root = scratch / "one"
        self.log = self.root / "sessions" / SESSION / "log" / "main"
        write_session(self.root, SESSION, corpus_tokens(tokens))
        self.lines = f"read_json('{self.log}/*.jsonl', format = 'newline_delimited', columns = {{kind: 'VARCHAR', n: 'BIGINT', \
ts: 'BIGINT', token: 'VARCHAR', z: 'DOUBLE', phase: 'VARCHAR', tier: 'BIGINT', source: 'VARCHAR'}})"

    def reader(self) -> LogReader:
        """The session's log."""
        return LogReader(RealFiles(), self.log, boot_id())


def corpus_tokens(count: int) -> Iterator[Record]:
    """The corpus as records."""
    for text, z, phase, tier, ts, meta in corpus.records(count):
        yield Token(ts=ts, token=text, z=z, phase=phase, tier=tier, source=str(meta["source"]), meta=meta)


def write_session(root: Path, session: str, tokens: Iterator[Record]) -> None:
    """A closed session of these tokens, with its manifest."""
    files, folder = RealFiles(), root / "sessions" / session
    make_folders(files, folder / "log" / "main")
    log = LogWriter(
        files, folder / "log" / "main", Past(), session=session, attempt=1, boot=boot_id(), durability="process", use_map=False
    )
    log.append_batch([Opened(ts=1, session=session, epoch=7)])
    while batch := list(islice(tokens, _BATCH)):
        log.append_batch(batch)
    log.close(Closed(ts=2, status="finished"))
    manifest = rebuild_manifest(LogReader(files, folder / "log" / "main", boot_id()), session)
    (folder / "session.json").write_bytes(msgspec.json.encode(manifest))


def measured(calls: dict[str, Callable[[], Any]], repeats: int = REPEATS) -> dict[str, tuple[float, Any]]:
    """The median of each call in ms, and what it found; the contenders take turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    found: dict[str, Any] = {}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter_ns()
            found[name] = call()
            times[name].append((time.perf_counter_ns() - start) / 1e6)
    return {name: (statistics.median(taken), found[name]) for name, taken in times.items()}


def duck(sql: str) -> Callable[[], Any]:
    """A query by DuckDB, on one connection a call."""

    def query() -> Any:
        with duckdb.connect() as connection:
            return connection.execute(sql).fetchall()

    return query


def pages(place: Place) -> list[Row]:
    """The rows that somebody looks at first."""
    group, rows = "pages", []
    fields = "n, ts, token, z, phase, tier, source"
    asked: dict[str, tuple[Callable[[], Any], str, float | None]] = {
        f"first {PAGE} of tokens()": (
            lambda: Workspace(place.root).tokens(SESSION)[:PAGE],
            f"SELECT {fields} FROM {place.lines} WHERE kind = 'token' LIMIT {PAGE}",
            50.0,
        ),
        f"tokens(last={PAGE})": (
            lambda: list(Workspace(place.root).tokens(SESSION, last=PAGE)),
            f"SELECT * FROM (SELECT {fields} FROM {place.lines} WHERE kind = 'token' ORDER BY n DESC LIMIT {PAGE}) ORDER BY n",
            None,
        ),
        "tokens()[-1]": (lambda: [Workspace(place.root).tokens(SESSION)[-1]], "", None),
        f"{PAGE} in the middle, once counted": (_middle(place), "", None),
    }
    for what, (ours, sql, at_most) in asked.items():
        found = measured({"ours": ours, **({"duckdb": duck(sql)} if sql else {})})
        taken, got = found["ours"]
        rows.append(row(group, what, taken, "ms", at_most=at_most))
        if sql:
            other, theirs = found["duckdb"]
            assert [entry.n for entry in got] == [entry[0] for entry in theirs]
            rows.append(row(group, f"{what}: DuckDB on the lines takes", other / taken, "x", note=f"{other:,.1f} ms"))
    return rows


def _middle(place: Place) -> Callable[[], Any]:
    counted = Workspace(place.root)
    assert len(counted.tokens(SESSION)) == place.tokens
    return lambda: counted.tokens(SESSION)[place.tokens // 2 : place.tokens // 2 + PAGE]


def counts(place: Place) -> list[Row]:
    """How many there are: the first time, and once the segments are known."""
    group, rows = "counts", []
    known = Workspace(place.root)
    asked: dict[str, tuple[dict[str, Any], str]] = {
        "len(tokens())": ({}, ""),
        "len(tokens(z=(0.95, 1)))": ({"z": (0.95, 1)}, " AND z BETWEEN 0.95 AND 1"),
        'len(tokens(phase="TRUE"))': ({"phase": "TRUE"}, " AND phase = 'TRUE'"),
    }
    for what, (options, where) in asked.items():
        found = measured(
            {
                "first": lambda options=options: len(Workspace(place.root).tokens(SESSION, **options)),  # type: ignore[misc]
                "again": lambda options=options: len(known.tokens(SESSION, **options)),  # type: ignore[misc]  # bound at once
                "duckdb": duck(f"SELECT count(*) FROM {place.lines} WHERE kind = 'token'{where}"),
            },
            repeats=3,
        )
        first, again, other = (found[name][0] for name in ("first", "again", "duckdb"))
        assert found["first"][1] == found["again"][1] == found["duckdb"][1][0][0]
        rows.append(row(group, what, first, "ms", note=f"{found['first'][1]:,} rows"))
        rows.append(row(group, f"{what}, again", again, "ms"))
        rows.append(row(group, f"{what}: DuckDB on the lines takes", other / first, "x", note=f"{other:,.0f} ms, on all cores"))
    return rows


def throughput(place: Place) -> list[Row]:
    """Tokens a second, in this process's own time."""
    group, reader = "throughput", place.reader()
    few = min(place.tokens, 300_000)
    consumed: dict[str, Callable[[], int]] = {
        "token_batches: the tokens alone": lambda: sum(map(len, token_batches(reader, fields=("token",)))),
        "token_batches: its usual eight columns": lambda: sum(map(len, token_batches(reader))),
        "token_batches: with meta": lambda: sum(map(len, token_batches(reader, fields=("token", "z", "meta")))),
        "rows of tokens()": lambda: sum(1 for _ in islice(Workspace(place.root).tokens(SESSION), few)),
        "follower, a consumer that does nothing": lambda: Workspace(place.root).follower(Idle()).poll(),
        "follower, into SQLite": lambda: Workspace(place.root).follower(InSqlite(place.scratch)).poll(),
    }
    rows = []
    for what, consume in consumed.items():
        speeds = []
        for _ in range(3):
            start = time.process_time_ns()
            count = consume()
            speeds.append(count / (time.process_time_ns() - start) * 1e3)
        at_least = 1.0 if what.endswith("alone") else None
        rows.append(row(group, what, statistics.median(speeds), "million/s", at_least=at_least))
    return rows


class Idle:
    """A consumer that keeps nothing but its place."""

    end: Position | None = None

    def position(self, session: str) -> Position | None:
        """Where it is."""
        return self.end

    def apply(self, batch: Batch) -> None:
        """Go on."""
        self.end = batch.end

    def forget(self, session: str) -> None:
        """Begin anew."""
        self.end = None


class InSqlite(Idle):
    """A consumer that keeps each line, and its place in the same transaction."""

    def __init__(self, folder: Path) -> None:
        path = Path(tempfile.mkdtemp(dir=folder)) / "follower.db"
        self.database = apsw.Connection(str(path))
        self.database.pragma("journal_mode", "wal")
        self.database.execute("CREATE TABLE records (n INTEGER PRIMARY KEY, line BLOB)")
        self.database.execute("CREATE TABLE position (n INTEGER, ts INTEGER)")

    def apply(self, batch: Batch) -> None:
        """Insert and commit."""
        with self.database:
            self.database.executemany("INSERT INTO records VALUES (?, ?)", enumerate(batch.lines, batch.first))
            self.database.execute("DELETE FROM position")
            self.database.execute("INSERT INTO position VALUES (?, ?)", batch.end)
        self.end = batch.end


def catalogue(place: Place) -> list[Row]:
    """A list of many sessions."""
    group, root = "catalogue", place.scratch / "many"
    write_session(root, "s00000", corpus_tokens(10))
    for index in range(1, place.sessions):
        shutil.copytree(root / "sessions" / "s00000", root / "sessions" / f"s{index:05d}")
    found = measured({"sessions": lambda: len(Workspace(root).sessions())})
    page = measured({"page": lambda: Workspace(root).tokens(epoch=7)[:PAGE]})
    assert found["sessions"][1] == place.sessions
    shutil.rmtree(root)
    return [
        row(group, f"sessions() of {place.sessions:,}", found["sessions"][0] / 1e3, "s", at_most=1.0),
        row(group, f"first {PAGE} of tokens(epoch=7) over all of them", page["page"][0] / 1e3, "s"),
    ]


GROUPS: dict[str, Callable[[Place], list[Row]]] = {
    "pages": pages,
    "counts": counts,
    "throughput": throughput,
    "catalogue": catalogue,
}


def main() -> int:
    """Measure, print, write."""
    options = _options()
    options.scratch.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="reading-", dir=options.scratch))
    try:
        facts = {**report.machine(scratch), "empty_measurement_ns": 0}
        stolen, ticks = report.stolen_ticks()
        place = Place(scratch, options.tokens, options.sessions)
        rows: list[Row] = []
        for name in options.only or GROUPS:
            start = time.perf_counter()
            rows += GROUPS[name](place)
            print(f"{name}: {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
        stolen_after, ticks_after = report.stolen_ticks()
        facts["stolen_percent"] = 100 * (stolen_after - stolen) / max(1, ticks_after - ticks)
        facts["tokens"] = options.tokens
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if not any(options.scratch.iterdir()):
            options.scratch.rmdir()
    report.show(rows, facts)
    name = "-".join(["reading", f"{options.tokens}", *(options.only or [])])
    print(f"written: {report.write(options.results, name, rows, facts, [])}")
    return 0


def _options() -> argparse.Namespace:
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tokens", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--sessions", type=int, default=10_000, metavar="N", help="of the catalogue")
    parser.add_argument("--only", action="append", choices=tuple(GROUPS), metavar="NAME", help=", ".join(GROUPS))
    parser.add_argument("--scratch", type=Path, default=here / ".scratch", metavar="FOLDER", help="on the disk to measure")
    parser.add_argument("--results", type=Path, default=here / "results", metavar="FOLDER")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
