"""What others saved is brought in whole, once, with its times and where it came from; what is odd in it is told."""

import hashlib
import json
import os
import zipfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import holdfast
from holdfast import Finding, ImportReport, InvalidSetting, SettingsDiffer, Workspace
from holdfast.importing import walk
from holdfast.importing.documents import Unreadable, read_document
from holdfast.importing.findings import Findings
from holdfast.importing.times import Times
from tests.helpers.programs import Fuse, kill
from tests.helpers.quick import QuickFiles
from tests.helpers.sources import ROOT

FOLDER = ROOT / "tests" / "data" / "kira_folder"
REAL = ROOT.parent / "shared" / "data" / "kira"


def bring(source: Path, root: Path, **options: Any) -> ImportReport:
    workspace = Workspace(root)
    workspace._files = QuickFiles()
    return workspace.import_files(source, **options)


def state_of(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file below a folder by content and time of change."""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def digests(root: Path) -> dict[str, str]:
    workspace = Workspace(root)
    return {info.name: workspace.digest(info.name) for info in workspace.sessions()}


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ImportReport]:
    root = tmp_path_factory.mktemp("brought")
    return root, bring(FOLDER, root)


EPOCHS, HELIX, ARCHIVE = "training/epochs/", "nightly_run_results/helix_run/", "archives/ucf-20251215_052531/"
ROWS: list[tuple[str, str, dict[str, int], str]] = [
    ("training/tokens/epoch7_tokens.json", "tokens", {"tokens": 3}, "-epoch7"),
    ("training/tokens/epoch7_tokens.json.backup", "tokens", {"tokens": 2}, "-epoch7"),
    ("training/tokens/epoch12_tokens.json", "tokens", {"tokens": 1}, "-epoch12"),
    ("training/tokens/emitted_tokens.json", "tokens", {"tokens": 2}, ""),
    ("training/tokens/03_apl_972_tokens.json", "tokens", {"tokens": 3}, ""),
    ("training/tokens/nuclear-spinner-972-tokens.json", "lattice", {"tokens": 2}, ""),
    ("training/tokens/apl_972_tokens_.json", "tokens", {"tokens": 2}, ""),
    ("training/tokens/nuclear-spinner-run.json", "spinner run", {"tokens": 2}, ""),
    ("training/tokens/epoch8_tokens_20251216_204702_2.json", "tokens", {"tokens": 2}, "-epoch8"),
    ("training/emissions/epoch7_emissions.json", "emissions", {"emissions": 1}, "-epoch7"),
    ("training/emissions/epoch5-emissions.json", "emissions", {"emissions": 2}, "-epoch5"),
    ("training/emissions/epoch6_emissions.json", "emissions", {"emissions": 1}, "-epoch6"),
    (EPOCHS + "accumulated-vocabulary.json", "vocabulary", {"events": 1}, "-epoch2"),
    (EPOCHS + "accumulated-vocabulary-epoch4.json", "vocabulary", {"events": 1}, "-epoch4"),
    (EPOCHS + "epoch3-quasi-crystal-training.json", "training log", {"metrics": 2, "events": 1}, "-epoch3"),
    (EPOCHS + "05_triad_hysteresis.json", "hysteresis", {"events": 6}, ""),
    ("training/modules/all_33_modules.json", "modules", {"modules": 2, "states": 2}, ""),
    ("training/modules/02_prismatic.json", "evolution", {"metrics": 2, "events": 1}, ""),
    ("training/modules/03_spinner.json", "spinner run", {"tokens": 1}, ""),
    ("training/vaultnodes/epoch6-vaultnode.json", "vault node", {"events": 1}, "-epoch6"),
    ("training/vaultnodes/epoch12_vaultnode.json", "vault node", {"events": 2}, "-epoch12"),
    ("training/vaultnodes/vn_old.json", "vault node", {"events": 1}, ""),
    ("training/manifest_epoch6.json", "manifest", {"events": 1, "states": 1}, "-epoch6"),
    (ARCHIVE + "manifest.json", "manifest", {"events": 1, "states": 1}, ""),
    (ARCHIVE + "modules/01_hit_it.json", "stage", {"modules": 1}, ""),
    (ARCHIVE + "phases/02_tools.json", "stage", {"modules": 1}, ""),
    (ARCHIVE + "tokens/03_apl_972_tokens.json", "stage", {"modules": 1, "tokens": 2}, ""),
    (ARCHIVE + "traces/04_trace.json", "stage", {"modules": 1}, ""),
    (ARCHIVE + "emissions/06_emission_pipeline.json", "stage", {"modules": 1, "emissions": 1}, ""),
    (ARCHIVE + "vaultnodes/05_vaultnode.json", "vault node", {"events": 1}, ""),
    (ARCHIVE + "exports/07_export.json", "stage", {"modules": 1}, ""),
    ("kira_data/session.json", "engine session", {"tokens": 1, "emissions": 1, "states": 1, "events": 3}, ""),
    ("kira_data/learned_relations.json", "relations", {"events": 2}, ""),
    ("kira_data/consciousness_journeys/journey_1.json", "journey", {"tokens": 12, "modules": 2, "events": 3}, ""),
    ("learned_patterns/run1/results.json", "curves", {"metrics": 2, "events": 1}, ""),
    (HELIX + "metrics/metrics.jsonl", "metrics", {"metrics": 2, "events": 1}, ""),
    (HELIX + "logs/events.jsonl", "events", {"events": 2}, ""),
    (HELIX + "eval/gates.json", "report", {"events": 1}, ""),
    (HELIX + "report.json", "report", {"events": 1}, ""),
    (HELIX + "env.json", "report", {"events": 1}, ""),
    ("training/syntax/syntax-training-data.json", "syntax samples", {"tokens": 2}, ""),
    ("kira-responses/abc123.json", "reply", {"events": 1}, ""),
    ("kira-responses/.json", "reply", {"events": 1}, ""),
]


@pytest.mark.parametrize(("path", "kind", "records", "session"), ROWS)
def test_each_kind_of_file_is_known_and_its_records_counted(
    brought: tuple[Path, ImportReport], path: str, kind: str, records: dict[str, int], session: str
) -> None:
    (file,) = (file for file in brought[1].files if file.path == path)
    assert (file.kind, file.status, file.records) == (kind, "added", records)
    assert file.session == f"kira_folder{session}"
    assert file.added == sum(records.values())


def test_the_rows_are_all_there_is(brought: tuple[Path, ImportReport]) -> None:
    report = brought[1]
    assert sorted(file.path for file in report.files if file.status == "added") == sorted(row[0] for row in ROWS)
    others = {file.path: (file.status, file.reason) for file in report.files if file.status != "added"}
    assert others == {
        "training/vaultnodes/epoch6_vaultnode.json": ("copy", "training/vaultnodes/epoch6-vaultnode.json"),
        "learned_patterns/run1/model.npz": ("skipped", ".npz: not a kind of file that is read"),
        "logs/translator_1.json": ("skipped", "no kind of document that is known"),
        "logs/zwalk_1.md": ("skipped", ".md: not a kind of file that is read"),
        HELIX + "resolved_config.yaml": ("skipped", ".yaml: not a kind of file that is read"),
    }


FOUND = [
    ("junk token", "training/tokens/epoch12_tokens.json", "tokens[0]", "α⊕|CELL|T0"),
    ("count", "training/tokens/epoch7_tokens.json", "count", "it says 46, and there are 3"),
    ("count", "training/emissions/epoch5-emissions.json", "total_emissions", "it says 3"),
    ("count", "kira_data/session.json", "turn_count", "it says 2"),
    ("count", EPOCHS + "accumulated-vocabulary-epoch4.json", "vocab", "it says 67"),
    ("ids", "training/tokens/03_apl_972_tokens.json", "tokens[].id", "count from 1"),
    ("dialect", "training/tokens/03_apl_972_tokens.json", "", "dialect b"),
    ("dialect", "training/tokens/apl_972_tokens_.json", "", "dialect c"),
    ("overwritten epoch", "training/tokens/epoch7_tokens.json.backup", "", "epoch 7 has its tokens twice"),
    ("k_formed", "kira_data/session.json", "state.k_formed", "true with R = 3"),
    ("k_formed", "training/vaultnodes/epoch12_vaultnode.json", "k_formation.achieved", "kappa = 0.5"),
    ("k_formed", HELIX + "metrics/metrics.jsonl", "line 2.k_formed", "kappa = 0.6"),
    ("negentropy", HELIX + "metrics/metrics.jsonl", "line 2.negentropy", "0.1 with z 0.9"),
    ("negentropy", "training/tokens/nuclear-spinner-run.json", "emissions[1].negentropy", "of which 1 follows"),
    ("printed r", "training/vaultnodes/epoch6-vaultnode.json", "coordinate", "r is printed 1.000, and is 1.618"),
    ("empty word", "kira_data/learned_relations.json", "relations.potential", "linked to the empty text"),
    ("empty word", EPOCHS + "accumulated-vocabulary-epoch4.json", "vocab", "empty text"),
    ("broken", HELIX + "metrics/metrics.jsonl", "line 3", "was left out"),
    ("not JSON", HELIX + "metrics/metrics.jsonl", "line 2", "NaN"),
    ("copy", "training/tokens/nuclear-spinner-972-tokens.json", "tokens_by_machine", "copies of others"),
    ("copy", "kira_data/consciousness_journeys/journey_1.json", "", "counted once"),
    ("copy", "training/vaultnodes/epoch6_vaultnode.json", "", "the same content as"),
    ("name", "kira-responses/.json", "callback_id", "'.json'"),
    ("time", "kira_data/session.json", "history[0].timestamp", "no zone"),
]


@pytest.mark.parametrize(("kind", "path", "where", "what"), FOUND)
def test_what_is_odd_is_told_with_file_and_field(
    brought: tuple[Path, ImportReport], kind: str, path: str, where: str, what: str
) -> None:
    found = [entry for entry in brought[1].findings if (entry.kind, entry.path, entry.where) == (kind, path, where)]
    assert len(found) == 1
    assert what in found[0].what


def test_what_is_all_right_is_not_told(brought: tuple[Path, ImportReport]) -> None:
    told = {entry.path for entry in brought[1].findings}
    fine = {"training/tokens/epoch7_tokens.json.x", "training/manifest_epoch6.json", EPOCHS + "05_triad_hysteresis.json"}
    assert not told & fine
    assert Counter(entry.kind for entry in brought[1].findings)["k_formed"] == 3


def test_each_record_tells_where_it_came_from_and_when_it_was(brought: tuple[Path, ImportReport]) -> None:
    root, report = brought
    hashes = {file.path: file.sha256 for file in report.files}
    seen = set()
    for info in Workspace(root).sessions():
        for fields in Workspace(root).records(info.name):
            if fields["kind"] == "checkpoint" or fields.get("top"):
                continue
            origin = fields["info"]
            assert hashes[origin["path"]].startswith(origin["sha256"])
            assert len(origin["sha256"]) == 16
            seen.add(origin["path"])
    assert seen == {row[0] for row in ROWS}
    timed = {row.meta["index"]: row.ts for row in Workspace(root).tokens("kira_folder-epoch8")}
    expected = datetime(2025, 12, 16, 20, 47, 2, 1, tzinfo=UTC)
    assert timed[1] == round(expected.timestamp() * 1e6)
    (row, *_) = Workspace(root).emissions(epoch=7)
    assert (row.ts, row.quality) == (1_765_918_025_000_000, 7.344687092261596e-06)


def test_values_come_in_as_they_were(brought: tuple[Path, ImportReport]) -> None:
    workspace = Workspace(brought[0])
    assert [row.token for row in workspace.tokens(epoch=7)] == [
        *json.loads((FOLDER / "training/tokens/epoch7_tokens.json").read_text())["tokens"],
        *json.loads((FOLDER / "training/tokens/epoch7_tokens.json.backup").read_text())["tokens"],
    ]
    (node,) = (row for row in workspace.events("vaultnode", epoch=6))
    assert node.data == json.loads((FOLDER / "training/vaultnodes/epoch6-vaultnode.json").read_text())
    (relations,) = workspace.events("relations")
    assert relations.data["relations"]["potential"] == {"depth": 0.5, "": 0.0933}
    formed = [row.data for row in workspace.events("k_formation", session="kira_folder")]
    assert {"recorded": True, "recomputed": False, "threshold": 7, "kappa": 1.0, "eta": 0.9966137224772915, "R": 3} in formed
    assert [row.value for row in workspace.metrics("loss")] == [1.0, 0.5]
    modules = {row.name: row for row in workspace.modules(name=["hit_it", "kira_init"])}
    assert (modules["hit_it"].status, modules["kira_init"].status) == ("ok", "error")
    assert workspace.transitions("kira_folder")[-1].after is not None
    assert len(workspace.search("Φ()|Encoder|galactic_field")) == 2


def test_a_second_import_adds_nothing_and_the_source_is_never_written(tmp_path: Path) -> None:
    before = state_of(FOLDER)
    first = bring(FOLDER, tmp_path)
    logs = {path: path.read_bytes() for path in sorted(tmp_path.rglob("log/**/*")) if path.is_file()}
    second = bring(FOLDER, tmp_path)
    assert {path: path.read_bytes() for path in sorted(tmp_path.rglob("log/**/*")) if path.is_file()} == logs
    assert (sum(first.added.values()), sum(second.added.values())) == (sum(sum(row[2].values()) for row in ROWS), 0)
    assert second.findings == first.findings
    assert {file.status for file in second.files} == {"known", "copy", "skipped"}
    assert state_of(FOLDER) == before
    for info in Workspace(tmp_path).sessions():
        assert (info.status, info.attempts) == ("finished", 1)
        assert Workspace(tmp_path).verify(info.name).problems == ()


def test_what_comes_later_is_added_behind_and_a_changed_file_is_another_one(tmp_path: Path) -> None:
    source = tmp_path / "kira"
    source.mkdir()

    def write(name: str, tokens: list[str]) -> None:
        (source / name).write_text(json.dumps({"tokens": tokens}))

    write("b.json", ["e+|NP0|t4"])
    assert bring(source, tmp_path / "w").added == {"kira": 1}
    write("a.json", ["e+|NP1|t4", "e+|NP2|t4"])
    assert bring(source, tmp_path / "w").added == {"kira": 2}
    write("b.json", ["e+|NP3|t4"])
    (source / "a.json").rename(source / "c.json")
    assert bring(source, tmp_path / "w").added == {"kira": 1}
    assert [row.token for row in Workspace(tmp_path / "w").tokens()] == ["e+|NP0|t4", "e+|NP1|t4", "e+|NP2|t4", "e+|NP3|t4"]
    (source / "b.json").unlink()
    assert bring(source, tmp_path / "w").added == {"kira": 0}


@pytest.mark.parametrize("operation", ["write", "rename", "sync_folder", "mkdir", "open"])
def test_a_killed_import_goes_on_and_ends_as_one_that_was_not(tmp_path: Path, operation: str) -> None:
    from holdfast.storage.faulty import KillingFiles

    bring(FOLDER, tmp_path / "whole")
    expected = digests(tmp_path / "whole")
    kills = 0
    for nth in range(1, 200, 3):

        def program(nth: int = nth) -> None:
            workspace = Workspace(tmp_path / "killed")
            workspace._files = KillingFiles(QuickFiles(), operation=operation, nth=nth, when="after", role="/sessions/")
            workspace.import_files(FOLDER)

        try:
            kill(program)
        except AssertionError:
            break  # it came through
        kills += 1
    assert kills > 3
    report = bring(FOLDER, tmp_path / "killed")
    assert digests(tmp_path / "killed") == expected
    assert not {file.status for file in report.files} - {"added", "known", "copy", "skipped"}
    for name in expected:
        assert Workspace(tmp_path / "killed").verify(name).problems == ()


def test_a_kill_in_the_middle_of_a_file_leaves_no_record_twice(tmp_path: Path) -> None:
    source = tmp_path / "m.jsonl"
    source.write_text("".join(f'{{"step": {step}, "loss": {step / 8}}}\n' for step in range(2000)))
    bring(source, tmp_path / "whole")
    for nth in (2, 700, 1500):

        def program(nth: int = nth) -> None:
            from holdfast.importing import writing

            fuse, plain = Fuse(nth), writing._RECORDED

            def fused(kind: Callable[..., None]) -> Callable[..., None]:
                def record(*arguments: Any) -> None:
                    fuse()
                    kind(*arguments)

                return record

            writing._RECORDED = {item: fused(kind) for item, kind in plain.items()}
            bring(source, tmp_path / "killed")

        kill(program)
    assert bring(source, tmp_path / "killed").added == {"m": 2000}
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")
    assert len(Workspace(tmp_path / "killed").metrics("loss")) == 2000


def test_a_dry_run_reports_and_writes_nothing(tmp_path: Path, brought: tuple[Path, ImportReport]) -> None:
    report = bring(FOLDER, tmp_path / "w", dry_run=True)
    assert not (tmp_path / "w").exists()
    assert report.findings == brought[1].findings
    assert {file.path: file.records for file in report.files} == {file.path: file.records for file in brought[1].files}
    assert sum(report.added.values()) == 0


def test_all_can_go_into_one_session_and_kinds_can_be_chosen(tmp_path: Path) -> None:
    report = bring(FOLDER, tmp_path, session="one", only=["emissions", "modules"])
    assert report.added == {"one": 8}
    assert [info.name for info in Workspace(tmp_path).sessions()] == ["one"]
    with pytest.raises(InvalidSetting, match="only='foo' is no kind of file; there are: journey"):
        bring(FOLDER, tmp_path, only=["foo"])


def test_what_cannot_begin_says_why_and_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="is not there"):
        bring(tmp_path / "no", tmp_path / "w")
    with holdfast.session("mine", root=tmp_path / "w", config={"lr": 1}, files=QuickFiles()) as run:
        run.event("x")
    before = digests(tmp_path / "w")
    with pytest.raises(SettingsDiffer):
        bring(FOLDER, tmp_path / "w", session="mine")
    assert digests(tmp_path / "w") == before


# Lines of anybody's -----------------------------------------------------------------------------------------------------


def test_lines_of_anybody_become_metrics_with_the_names_that_are_asked_for(tmp_path: Path) -> None:
    source = tmp_path / "train.jsonl"
    source.write_text('{"train_loss": 0.5, "when": 1765918025, "x": 1}\n{"train_loss": 0.25, "when": 1765918026}\n')
    report = bring(source, tmp_path / "w", columns={"train_loss": "loss", "when": "ts"})
    assert report.added == {"train": 2}
    rows = Workspace(tmp_path / "w").metrics(session="train")
    assert [(row.name, row.value, row.ts) for row in rows] == [
        ("loss", 0.5, 1_765_918_025_000_000),
        ("loss", 0.25, 1_765_918_026_000_000),
    ]
    with pytest.raises(InvalidSetting, match="has no column 'loss'; there are: train_loss, when, x"):
        bring(source, tmp_path / "w", session="other", columns={"loss": "loss"})


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_tables_are_read_with_their_own_separator(tmp_path: Path, mark: str) -> None:
    source = tmp_path / "t.csv"
    text = 'step,loss,label,empty\n1,0.5,"a,b",\n2,nan,c,\n3,1e-3,d,\n4,1,e,x,more\n'
    source.write_bytes(b"\xef\xbb\xbf" + text.replace(",", mark).replace(f"a{mark}b", "a,b").encode())
    report = bring(source, tmp_path / "w")
    rows = Workspace(tmp_path / "w").metrics()
    assert [row.value for row in rows if row.name == "step"] == [1, 2, 3, 4]
    assert [repr(row.value) for row in rows if row.name == "loss"] == ["0.5", "nan", "0.001", "1"]
    assert [row.value for row in rows if row.name == "label"] == ["a,b", "c", "d", "e"]
    assert [row.value for row in rows if row.name == "empty"] == ["x"]
    assert {found.kind for found in report.findings} == {"encoding", "field"}


def test_names_that_our_methods_have_and_values_that_cannot_be_are_told(tmp_path: Path) -> None:
    source = tmp_path / "m.jsonl"
    deep = '{"a":' * 300 + "1" + "}" * 300
    source.write_text(f'{{"self": 1, "info": 2, "loss": 3}}\n[1]\n{{"loss": 4, "deep": {deep}}}\n{{"loss": 5}}\n')
    report = bring(source, tmp_path / "w")
    rows = Workspace(tmp_path / "w").metrics()
    assert [(row.name, row.value) for row in rows][:3] == [("self_", 1), ("info_", 2), ("loss", 3)]
    assert [row.value for row in rows if row.name == "loss"] in ([3, 4, 5], [3, 5])
    told = {found.where for found in report.findings}
    assert "line 2" in told
    assert "line 3" in told or len([row for row in rows if row.name == "deep"]) == 1


def test_streams_of_tokens_keep_each_token_with_its_time(tmp_path: Path) -> None:
    lines = [{"token": f"e+|NP{index}|t4", "timestamp": f"2025-12-16T20:47:0{index}Z", "z": index / 10} for index in range(5)]
    (tmp_path / "epoch9_stream.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert bring(tmp_path / "epoch9_stream.jsonl", tmp_path / "w").added == {"epoch9_stream-epoch9": 5}
    rows = Workspace(tmp_path / "w").tokens(epoch=9)
    assert [(row.token, row.z) for row in rows] == [(line["token"], line["z"]) for line in lines]
    assert [(row.ts - rows[0].ts) // 1_000_000 for row in rows] == [0, 1, 2, 3, 4]


def test_event_files_of_tensorboard_are_metrics_with_their_steps(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    proto: Any = import_module("tensorboard.compat.proto.event_pb2")
    summary: Any = import_module("tensorboard.compat.proto.summary_pb2")
    writer: Any = import_module("tensorboard.summary.writer.event_file_writer").EventFileWriter(str(tmp_path / "runs"))
    for step in range(3):
        value = summary.Summary.Value(tag="loss", simple_value=0.5 / 2**step)
        writer.add_event(proto.Event(wall_time=1765918025.5 + step, step=step, summary=summary.Summary(value=[value])))
    writer.close()
    (path,) = (tmp_path / "runs").iterdir()
    assert bring(tmp_path / "runs", tmp_path / "w").added == {"runs": 3}
    rows = Workspace(tmp_path / "w").metrics()
    assert [(row.name, row.value) for row in rows if row.name != "step"] == [("loss", 0.5), ("loss", 0.25), ("loss", 0.125)]
    assert [row.value for row in rows if row.name == "step"] == [0, 1, 2]
    assert rows[0].ts == 1_765_918_025_500_000
    data = path.read_bytes()
    for damaged, left in ((data[:-7], 2), (data[:60] + b"XX" + data[62:], 0), (b"junk", 0)):
        path.write_bytes(damaged)
        report = bring(tmp_path / "runs", tmp_path / f"w{len(damaged)}{left}")
        assert report.added == {"runs": left}
        assert [found.kind for found in report.findings] == ["broken"]


# Bad input --------------------------------------------------------------------------------------------------------------

TOKENS = '{"epoch": 3, "tokens": ["e+|NP0|t4", "e+|NP1|t4"]}'


def kinds_of(report: ImportReport) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for entry in report.findings:
        found.setdefault(entry.kind, []).append(entry)
    return found


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xef\xbb\xbf" + TOKENS.encode(), "encoding"),
        (TOKENS.encode("utf-16"), "encoding"),
        (b'{"epoch": 3, "z": NaN, "tokens": ["e+|NP0|t4", "e+|NP1|t4"]}', "not JSON"),
        (b'{"epoch": 2, "epoch": 3, "tokens": ["e+|NP0|t4", "e+|NP1|t4"]}', "not JSON"),
        (b'{"epoch": 3, "tokens": ["e+|NP0|t4", "e+|NP1|t4", "e+|NP', "broken"),
        (b'{"epoch": 3, "tokens": ["e+|NP0|t4", "e+|NP1|t4"], "count": }', "broken"),
        (b'{"epoch": 3, "tokens": ["e+|NP0|t4", "e+|NP1|t4"], "x": "\xff"}', "encoding"),
    ],
)
def test_files_that_are_no_good_json_are_read_all_the_same(tmp_path: Path, data: bytes, kind: str) -> None:
    (tmp_path / "k").mkdir()
    (tmp_path / "k" / "t.json").write_bytes(data)
    report = bring(tmp_path / "k", tmp_path / "w")
    assert report.added == {"k-epoch3": 2}, report.files
    assert [*kinds_of(report)] == [kind]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"\0\1\2", "it is no text"),
        (b"{", "nothing before it could be read"),
        (b"hello", "nothing before it could be read"),
        (b"[" * 100_000, "nested too deeply|nothing before it"),
        (b'{"a": 1}', "no kind of document that is known"),
        (b"3", "no kind of document that is known"),
    ],
)
def test_files_that_say_nothing_are_left_out_with_the_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    import re

    (tmp_path / "x.json").write_bytes(data)
    report = bring(tmp_path / "x.json", tmp_path / "w")
    (file,) = report.files
    assert file.status == "skipped"
    assert re.search(reason, file.reason)
    assert not (tmp_path / "w").exists()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(max_size=4), max_size=5), st.integers(0, 200))
def test_what_comes_before_a_cut_is_saved(texts: list[str], cut: int) -> None:
    document = json.dumps({"a": {"b": [1, 2]}, "tokens": texts, "end": True})
    try:
        found = read_document(document[:cut].encode(), Findings(""))
    except Unreadable:
        assert cut < document.index(",") or cut <= document.index("]")
        return
    if cut < len(document):
        assert isinstance(found, dict)
        assert found.get("tokens", [])[: len(texts)] == texts[: len(found.get("tokens", []))]


def test_a_folder_of_unrelated_files_is_left_alone(tmp_path: Path) -> None:
    source = tmp_path / "many"
    for index in range(2000):
        folder = source / f"d{index % 50}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index}.{('txt', 'json', 'py', '')[index % 4]}").write_text('{"x": 1}')
    report = bring(source, tmp_path / "w")
    assert report.skipped().total() == 2000
    assert report.skipped()["no kind of document that is known"] == 500
    assert not (tmp_path / "w").exists()


def test_links_are_not_followed_and_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    source = tmp_path / "k"
    source.mkdir()
    (source / "loop").symlink_to(source)
    (source / "away.json").symlink_to(FOLDER / "kira_data" / "session.json")
    (source / "dead.json").symlink_to("nowhere")
    os.mkfifo(source / "pipe.json")
    (source / os.fsdecode(b"\xff.json")).write_text(TOKENS)
    report = bring(source, tmp_path / "w")
    reasons = {file.path: file.reason for file in report.files}
    assert reasons["loop"] == reasons["away.json"] == reasons["dead.json"] == "a link: not followed"
    assert reasons["pipe.json"] == "neither a file nor a folder"
    assert report.added == {"k-epoch3": 2}


def test_archives_are_looked_into_and_never_unpacked(tmp_path: Path) -> None:
    source = tmp_path / "k"
    source.mkdir()
    with zipfile.ZipFile(source / "run.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("training/epoch3_tokens.json", TOKENS)
        archive.writestr("../../evil.json", TOKENS.replace("NP0", "NP8"))
        archive.writestr("/abs.json", TOKENS.replace("NP0", "NP9"))
        archive.writestr("inner.zip", b"PK")
    (source / "broken.zip").write_bytes(b"PK\x03\x04 and then nothing")
    good = (source / "run.zip").read_bytes()
    (source / "damaged.zip").write_bytes(good.replace(good[60:70], b"0123456789", 1))
    report = bring(source, tmp_path / "w")
    assert report.added == {"k-epoch3": 2}
    reasons = {file.path: file.reason for file in report.files if file.status == "skipped"}
    assert reasons["run.zip/../../evil.json"] == reasons["run.zip//abs.json"] == "its name leads out of the archive: not read"
    assert "an archive within" in reasons["run.zip/inner.zip"]
    assert "no zip archive" in reasons["broken.zip"]
    assert {row.info["path"] for row in Workspace(tmp_path / "w").tokens()} == {"run.zip/training/epoch3_tokens.json"}
    assert not list(tmp_path.rglob("evil.json"))


def test_what_is_too_large_to_be_read_whole_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MOST_BYTES", 100)
    source = tmp_path / "k"
    source.mkdir()
    (source / "large.json").write_text(TOKENS + " " * 100)
    (source / "lines.jsonl").write_text('{"loss": 1.0, "step": 2}\n' * 100)
    with zipfile.ZipFile(source / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", TOKENS + " " * 100_000)
    report = bring(source, tmp_path / "w")
    assert report.added == {"k": 100}  # lines are read piece by piece, however many
    assert all("MiB" in file.reason for file in report.files if file.status == "skipped")


def test_an_unreadable_file_is_told_and_ends_nothing(tmp_path: Path) -> None:
    class Refusing(QuickFiles):
        def open(self, path: Path, **options: Any) -> Any:
            if path.name == "secret.json":
                raise PermissionError(13, "Permission denied")
            return super().open(path, **options)

    source = tmp_path / "k"
    source.mkdir()
    (source / "secret.json").write_text(TOKENS)
    (source / "t.json").write_text(TOKENS)
    workspace = Workspace(tmp_path / "w")
    workspace._files = Refusing()
    report = workspace.import_files(source)
    assert {file.path: file.reason for file in report.files if file.status == "skipped"} == {
        "secret.json": "cannot be read: Permission denied"
    }
    assert report.added == {"k-epoch3": 2}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2025-12-16T21:22:13.500000+00:00", 1_765_920_133_500_000),
        ("2025-12-16T21:22:13.500000Z", 1_765_920_133_500_000),
        ("2025-12-16T21:22:13.500000", 1_765_920_133_500_000),
        ("2025-12-16T23:22:13.500000+02:00", 1_765_920_133_500_000),
        (1_765_920_133.5, 1_765_920_133_500_000),
        (1_765_920_133_500, 1_765_920_133_500_000),
        (1_765_920_133_500_000_000, 1_765_920_133_500_000),
        (12, None),
        ("yesterday", None),
        (True, None),
        ([], None),
        ("0001-01-01T00:00:00+00:00", None),
    ],
)
def test_times_of_every_dialect_are_microseconds(value: Any, expected: int | None) -> None:
    findings = Findings("f")
    assert Times(findings).read(value, "ts") == expected
    assert len(list(findings)) == (value == "2025-12-16T21:22:13.500000")


# The engine's own data ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not REAL.exists(), reason="the engine's saved data (shared/data/kira) is not here")
def test_the_engines_saved_data_comes_in_with_all_that_is_known_to_be_odd_in_it(tmp_path: Path) -> None:
    report = bring(REAL, tmp_path)
    assert sum(report.added.values()) == 2408
    files = {file.path: file for file in report.files}
    assert files["03_apl_972_tokens.json"].dialect == "lattice b"
    assert files["03_apl_972_tokens.json"].records == {"tokens": 972}
    assert files["helix_metrics.jsonl"].records["metrics"] == 500
    found = kinds_of(report)
    assert len(found["junk token"]) == 3
    assert found["ids"][0].count == 972
    (formed,) = (entry for entry in found["k_formed"] if entry.path == "session.json")
    assert formed.what.startswith("true with R = 3")
    assert {entry.path for entry in found["empty word"]} == {"learned_relations.json"}
    assert {entry.path for entry in found["printed r"]} == {"all_33_modules.json", "epoch6_vaultnode.json"}
    assert "negentropy" not in found
    assert sum(bring(REAL, tmp_path).added.values()) == 0
