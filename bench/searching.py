"""What searching costs: us, DuckDB on Parquet, ripgrep on lines and indexed SQLite, over the same tokens in one run.

    python bench/searching.py                  1 million tokens, and 1 million that all differ; a minute or two
    python bench/searching.py --tokens 10000000 --distinct 10000000

The corpus is bench/corpus.py's, written by the log's own writer. Contenders are compared by the medians of calls that take
turns, so that each finds the processor's caches full of the others'; "warm" is the median of a hundred calls one after the
other. Ours forgets between two calls what a pattern found before. Prints a table with the targets, and
writes it to bench/results.
"""

import argparse
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

import corpus
import report
from holdfast import Workspace
from holdfast.reading.catalog import rebuild_manifest
from holdfast.records import Closed, Opened, Record, Token
from holdfast.sessions.manifest import write_manifest
from holdfast.storage.files import RealFiles, make_folders
from holdfast.storage.host import boot_id
from holdfast.storage.log import LogWriter
from holdfast.storage.reader import LogReader
from holdfast.storage.recovery import Past
from report import Row, row

EXACT, PREFIX, COMPONENT = "Φ×|Reactor|celestial_em", "Φ×|Rea*", "Φ×|*|celestial"
SUBSTRING, COMMON, REGEX = "*Regenerator*", "*alpha*", r"t[3-5].*(alpha|zeta)$"
REPEATS = 15
_BATCH = 2_000


def write_log(root: Path, session: str, tokens: Iterator[Record]) -> None:
    """A closed session of these tokens."""
    files, folder = RealFiles(), root / "sessions" / session / "log" / "main"
    make_folders(files, folder)
    log = LogWriter(files, folder, Past(), session=session, attempt=1, boot=boot_id(), durability="process", use_map=False)
    log.append_batch([Opened(ts=1, session=session)])
    while batch := list(islice(tokens, _BATCH)):
        log.append_batch(batch)
    log.close(Closed(ts=2, status="finished"))
    manifest = rebuild_manifest(LogReader(files, folder, boot_id()), session)
    assert manifest is not None
    write_manifest(files, root / "sessions" / session, manifest)


def corpus_tokens(count: int) -> Iterator[Record]:
    """The corpus as records."""
    for text, z, phase, tier, ts, meta in corpus.records(count):
        yield Token(ts=ts, token=text, z=z, phase=phase, tier=tier, source=str(meta["source"]), meta=meta)


def distinct_tokens(count: int) -> Iterator[Record]:
    """Tokens that all differ."""
    for index in range(count):
        yield Token(ts=index, token=_distinct(index), z=0.5, phase="TRUE", tier=6)


def _distinct(index: int) -> str:
    spiral, operator = corpus.SPIRALS[index % 3], corpus.OPERATORS[index // 3 % 6]
    return f"{spiral}{operator}|{corpus.MACHINES[index // 18 % 9]}|word_{index * 2_654_435_761 % (1 << 32):010d}"


def write_parquet(folder: Path, count: int) -> Path:
    """The same tokens as Parquet, by DuckDB with its own settings."""
    path, columns = folder / "tokens.parquet", corpus.columns(count)
    with duckdb.connect() as connection:
        words = np.array(corpus.vocabulary(), dtype=object)
        connection.register("words", {"code": np.arange(len(words)), "token": words})
        rows = {"n": np.arange(count) + 2, "code": columns["code"], "z": columns["z"], "ts": columns["ts"]}
        connection.register("columns", rows | {"phase": columns["phase"], "tier": columns["tier"], "source": columns["source"]})
        connection.execute(
            "COPY (SELECT n, token, z, phase, tier, ts, source FROM columns JOIN words USING (code) ORDER BY n) "
            f"TO '{path}' (FORMAT parquet)"
        )
    return path


def write_sqlite(folder: Path, parquet: Path) -> Path:
    """The same tokens in SQLite, with an index over them."""
    path = folder / "tokens.db"
    with closing(sqlite3.connect(path)) as connection, duckdb.connect() as source:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(
            "CREATE TABLE tokens (n INTEGER PRIMARY KEY, token TEXT, z REAL, phase INT, tier INT, ts INT, source INT)"
        )
        found = source.execute("SELECT n, token, z, phase, tier, ts, source FROM read_parquet(?)", [str(parquet)])
        while rows := found.fetchmany(100_000):
            connection.executemany("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute("CREATE INDEX by_token ON tokens (token)")
        connection.commit()
    return path


def measured(calls: dict[str, Callable[[], Any]], repeats: int = REPEATS) -> dict[str, tuple[float, Any]]:
    """The median milliseconds of each of several calls, which take turns, and what the last one gave; slow ones get fewer."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    results: dict[str, Any] = {}
    for turn in range(repeats):
        for name, call in calls.items():
            if turn >= 3 and sum(times[name]) > 4.0:
                continue
            start = time.perf_counter()
            results[name] = call()
            times[name].append(time.perf_counter() - start)
    return {name: (1e3 * statistics.median(values), results[name]) for name, values in times.items()}


class Ours:
    """A workspace that forgets what it found."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace(root)

    def search(self, pattern: str, **options: Any) -> Any:
        for index in self.workspace._searcher._indexes.values():
            index.forget()
        return self.workspace.search(pattern, **options)

    def count(self, pattern: str, **options: Any) -> int:
        return len(self.search(pattern, **options))


def counting(root: Path, parquet: Path, database: Path) -> list[Row]:
    """Counts of each kind of pattern, by all who can."""
    ours, duck, lite = Ours(root), duckdb.connect(), sqlite3.connect(database)
    lines = root / "sessions" / "corpus" / "log" / "main"
    source = f"read_parquet('{parquet}')"

    def by_duckdb(condition: str, *values: str) -> Callable[[], int]:
        return lambda: duck.execute(f"SELECT count(*) FROM {source} WHERE {condition}", list(values)).fetchall()[0][0]

    def by_sqlite(condition: str, *values: str) -> Callable[[], int]:
        return lambda: lite.execute(f"SELECT count(*) FROM tokens WHERE {condition}", values).fetchone()[0]

    def by_ripgrep(expression: str) -> Callable[[], int]:
        words = ["rg", "--no-filename", "--count", "--", rf'"token":"{expression}"', str(lines)]
        return lambda: sum(map(int, subprocess.run(words, capture_output=True, text=True, check=False).stdout.split()))

    celestial = r"^Φ×\|[^|]*\|celestial(_[^|]*)?$"
    kinds: list[tuple[str, str, dict[str, Any], float, dict[str, Callable[[], int]]]] = [
        (
            "exact",
            EXACT,
            {},
            0.5,
            {
                "DuckDB": by_duckdb("token = ?", EXACT),
                "ripgrep": by_ripgrep(r"Φ×\|Reactor\|celestial_em"),
                "SQLite": by_sqlite("token = ?", EXACT),
            },
        ),
        (
            "prefix",
            PREFIX,
            {},
            0.5,
            {
                "DuckDB": by_duckdb("starts_with(token, ?)", PREFIX[:-1]),
                "ripgrep": by_ripgrep(r'Φ×\|Rea[^"]*'),
                "SQLite": by_sqlite("token >= ? AND token < ?", PREFIX[:-1], PREFIX[:-2] + "b"),
            },
        ),
        (
            "component",
            COMPONENT,
            {},
            0.5,
            {
                "DuckDB": by_duckdb("regexp_matches(token, ?)", celestial),
                "ripgrep": by_ripgrep(r'Φ×\|[^|"]*\|celestial(_[^|"]*)?'),
                "SQLite": by_sqlite("token GLOB ?", "Φ×|*|celestial*"),
            },
        ),
        (
            "substring",
            SUBSTRING,
            {},
            2.0,
            {
                "DuckDB": by_duckdb("contains(token, ?)", SUBSTRING.strip("*")),
                "ripgrep": by_ripgrep(f'[^"]*{SUBSTRING.strip("*")}[^"]*'),
                "SQLite": by_sqlite("token LIKE ?", f"%{SUBSTRING.strip('*')}%"),
            },
        ),
        ("substring in 5,832 texts", COMMON, {}, 2.0, {"DuckDB": by_duckdb("contains(token, ?)", COMMON.strip("*"))}),
        (
            "regex",
            REGEX,
            {"regex": True},
            30.0,
            {
                "DuckDB": by_duckdb("regexp_matches(token, ?)", REGEX),
                "ripgrep": by_ripgrep(r'[^"]*t[3-5][^"]*(alpha|zeta)'),
            },
        ),
    ]
    rows: list[Row] = []
    for what, pattern, options, at_most, others in kinds:
        if shutil.which("rg") is None:
            others.pop("ripgrep", None)
        asked: dict[str, Callable[[], int]] = {"Holdfast": partial(ours.count, pattern, **options)}
        found = measured({**asked, **others})
        milliseconds, count = found["Holdfast"]
        warm = measured(asked, repeats=100)["Holdfast"][0]
        rows.append(row("count", f"{what}: Holdfast, warm", warm, "ms", at_most=at_most, note=f"`{pattern}`: {count:,} tokens"))
        rows.append(row("count", f"{what}: Holdfast, in turn with the others", milliseconds, "ms"))
        for name, (peer, other) in list(found.items())[1:]:
            note = "" if other == count else f"it found {other:,}"
            rows.append(row("count", f"{what}: {name}", peer, "ms", note=note))
            if name == "SQLite":
                rows.append(row("count", f"{what}: slower than SQLite by", milliseconds - peer, "ms", at_most=1.0))
            else:
                rows.append(row("count", f"{what}: faster than {name}", peer / milliseconds, "times", at_least=10))
    return rows


def fetching(root: Path, parquet: Path) -> list[Row]:
    """Rows: the last hundred, and all of a common substring."""
    ours, duck = Ours(root), duckdb.connect()
    rows: list[Row] = []
    for what, pattern, options in (
        ("component", COMPONENT, {}),
        ("common substring", COMMON, {}),
        ("regex", REGEX, {"regex": True}),
    ):
        found = measured({"ours": lambda pattern=pattern, options=options: ours.workspace.search(pattern, **options).last(100)})  # type: ignore[misc]
        rows.append(row("rows", f"the last 100 of what was counted before: {what}", found["ours"][0], "ms", at_most=10))
    pattern = "*_*"  # the lattice: four fifths of all
    for name, text in (("common substring", COMMON), ("very common substring", pattern)):
        query = f"SELECT n, token, z, phase, tier, ts, source FROM read_parquet('{parquet}') WHERE contains(token, ?)"
        found = measured(
            {
                "Holdfast": lambda text=text: ours.search(text).columns(),  # type: ignore[misc]  # bound at once
                "DuckDB": lambda text=text, query=query: duck.execute(query, [text.strip("*")]).fetchnumpy(),  # type: ignore[misc]
            },
            repeats=5,
        )
        ours_ms, duck_ms = found["Holdfast"][0], found["DuckDB"][0]
        count = len(found["Holdfast"][1]["n"])
        assert count == len(found["DuckDB"][1]["n"])
        rows.append(row("rows", f"all of a {name}, as columns: Holdfast", ours_ms, "ms", note=f"{count:,} rows"))
        rows.append(row("rows", f"all of a {name}, as columns: DuckDB", duck_ms, "ms"))
        rows.append(row("rows", f"all of a {name}: faster than DuckDB", duck_ms / ours_ms, "times", at_least=1))
    return rows


def indexing(root: Path, count: int) -> list[Row]:
    """Making the index, and opening it."""
    start, cpu = time.perf_counter(), time.process_time()
    Workspace(root).search(EXACT)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    size = sum(path.stat().st_size for path in (root / "index").rglob("*") if path.is_file())
    opened = measured({"open": lambda: len(Workspace(root).search(EXACT))}, repeats=7)["open"][0]
    words = [sys.executable, "-m", "holdfast", "search", COMPONENT, "--root", str(root)]
    cold = measured({"cold": lambda: subprocess.run(words, capture_output=True, check=True)}, repeats=7)["cold"][0]
    return [
        row(
            "index",
            "made from lines",
            count / seconds / 1e6,
            "million tokens/s",
            at_least=1,
            note=f"{count / cpu_seconds / 1e6:.2f} by CPU time",
        ),
        row("index", "its size", size / count, "bytes a token"),
        row("index", "opened by a new workspace, and asked", opened, "ms"),
        row("index", "from the shell, the last 20 printed", cold, "ms", at_most=400),
    ]


def indexing_sealed(root: Path, count: int) -> list[Row]:
    """Making the index of the same session, sealed."""
    shutil.rmtree(root / "index")
    workspace = Workspace(root)
    workspace.seal("corpus")
    start, cpu = time.perf_counter(), time.process_time()
    workspace.search(EXACT)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    note = f"{count / cpu_seconds / 1e6:.2f} by CPU time"
    return [row("index", "made from sealed", count / seconds / 1e6, "million tokens/s", at_least=1, note=note)]


def all_distinct(folder: Path, count: int) -> list[Row]:
    """The same where no token comes twice."""
    root = folder / "distinct"
    write_log(root, "distinct", distinct_tokens(count))
    start = time.perf_counter()
    Workspace(root).search("x")
    seconds = time.perf_counter() - start
    ours = Ours(root)
    some = _distinct(count // 3)
    asked: list[tuple[str, str, bool, float]] = [
        ("exact", some, False, 300),
        ("prefix", some[:-4] + "*", False, 300),
        ("component", "Φ×|*|word", False, 300),
        ("component, the first one open", f"*|Reactor|{some[-15:]}", False, 300),
        ("substring", f"*{some[-6:]}*", False, 1000),
        ("substring in all", "*word*", False, 1000),
        ("regex", r"Reactor.*77[0-4]7$", True, 10_000),
        ("regex in all", "_[0-9]+$", True, 10_000),
    ]
    rows = [row("all distinct", "index made from lines", count / seconds / 1e6, "million tokens/s")]
    for what, pattern, regex, at_most in asked:
        found = measured({"ours": lambda pattern=pattern, regex=regex: ours.count(pattern, regex=regex)}, repeats=3)  # type: ignore[misc]
        rows.append(
            row("all distinct", what, found["ours"][0], "ms", at_most=at_most, note=f"`{pattern}`: {found['ours'][1]:,}")
        )
    return rows


def main() -> int:
    """Measure, print, write."""
    options = _options()
    options.scratch.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="searching-", dir=options.scratch))
    try:
        facts = report.machine(scratch)
        facts["tokens"], facts["distinct"] = options.tokens, options.distinct
        root = scratch / "training"
        _say("writing the log")
        write_log(root, "corpus", corpus_tokens(options.tokens))
        _say("indexing")
        rows = indexing(root, options.tokens)
        _say("writing Parquet and SQLite")
        parquet = write_parquet(scratch, options.tokens)
        database = write_sqlite(scratch, parquet)
        _say("searching")
        rows += counting(root, parquet, database)
        rows += fetching(root, parquet)
        _say("sealing, and indexing that")
        rows += indexing_sealed(root, options.tokens)
        shutil.rmtree(root)
        database.unlink()
        if options.distinct:
            _say("tokens that all differ")
            rows += all_distinct(scratch, options.distinct)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if not any(options.scratch.iterdir()):
            options.scratch.rmdir()
    report.show(rows, facts)
    name = f"searching-{options.tokens // 1_000_000}m"
    print(f"written: {report.write(options.results, name, rows, facts, [])}")
    return 0


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tokens", type=int, default=1_000_000, metavar="N", help="of the corpus")
    parser.add_argument("--distinct", type=int, default=1_000_000, metavar="N", help="that all differ; 0: leave that out")
    parser.add_argument("--scratch", type=Path, default=here / ".scratch", metavar="FOLDER", help="on the disk to measure")
    parser.add_argument("--results", type=Path, default=here / "results", metavar="FOLDER")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
