"""What the commands print that only look."""

import json
import random
import re
from pathlib import Path

import pytest
from rich.cells import cell_len

import holdfast
from holdfast import Workspace
from tests.helpers.command import Called, Kept, call, count, count_until_killed, counting, damage, keys, log_of, promised
from tests.helpers.programs import die, kill


@pytest.mark.parametrize("command", ["sessions", "checkpoints", "stats", "digest", "verify"])
def test_the_fields_of_json_are_those_of_the_page(tmp_path: Path, command: str) -> None:
    count(tmp_path)
    words = [command, *([] if command == "sessions" else ["count"]), "--root", tmp_path, "--json"]
    good = call(*words)
    if command == "verify":
        damage(tmp_path, offset=700)
        good = Called(0, good.out + call(*words).out, "")
    assert good.status == 0
    assert {key for entry in good.documents for key in keys(entry)} == promised(command)
    assert good.err == ""


def test_json_says_the_same_as_the_workspace(tmp_path: Path) -> None:
    count(tmp_path, tags=["a"], epoch=3, config={"rate": 0.1})
    (session,) = call("sessions", "--root", tmp_path, "--json").documents
    assert (session["name"], session["status"], session["tags"], session["epoch"]) == ("count", "finished", ["a"], 3)
    assert session["config"] == {"rate": 0.1}
    stats = call("stats", "count", "--root", tmp_path, "--json").documents
    assert sum(entry["records"] for entry in stats) == session["records"]
    digest = call("digest", "count", "--root", tmp_path, "--json").documents[0]["sessions"][0]
    assert (digest["digest"], digest["records"]) == (Workspace(tmp_path).digest("count"), 20)
    numbers = [entry["number"] for entry in call("checkpoints", "count", "--root", tmp_path, "--json").documents]
    assert numbers == [1, 2, 3, 4]


def test_the_root_can_come_from_the_environment(tmp_path: Path) -> None:
    count(tmp_path)
    named = call("sessions", "--root", tmp_path, "--json")  # not the table: ages in it tick
    assert len(named.documents) == 1
    assert call("sessions", "--json", HOLDFAST_ROOT=str(tmp_path)) == named


def test_sessions_tells_how_each_one_stands(tmp_path: Path) -> None:
    count(tmp_path, "done")
    count_until_killed(tmp_path, "dead")
    with pytest.raises(ZeroDivisionError):
        _divide_by_nothing(tmp_path)
    with counting(tmp_path, "live") as (run, _):
        run.note("here")
        done = call("sessions", "--root", tmp_path)
    found = {line.split()[0]: line.split()[1] for line in done.out.splitlines()[1:]}
    assert found == {"live": "running", "broken": "failed", "dead": "killed", "done": "finished"}
    assert "ZeroDivisionError" in done.out
    assert done.status == 0


def test_colours_are_for_terminals(tmp_path: Path) -> None:
    count(tmp_path)
    assert "\x1b[32mfinished" in call("sessions", "--root", tmp_path, terminal=True, TERM="xterm").out
    assert "\x1b[3" not in call("sessions", "--root", tmp_path, terminal=True, TERM="xterm", NO_COLOR="1").out
    assert "\x1b" not in call("sessions", "--root", tmp_path).out


def test_show_tells_where_a_run_came_from_and_how_it_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["train.py", "--fast"])
    count_until_killed(tmp_path, at=13)
    count(tmp_path)
    out = call("show", "count", "--root", tmp_path).out
    assert out.startswith("count  finished\n")
    for fact in ("train.py --fast", "host", "started", "took", "2 attempts", "log", "20 records", "continuous, process"):
        assert fact in out
    assert re.search(r"1 +\S+ \S+ +opened +14 +2 .* killed", out)
    assert re.search(r"2 +\S+ \S+ +resumed from checkpoint 2, replay 4 +6 +2 .* finished", out)
    assert re.search(r"metric +20  █{30}", out)
    assert re.search(r"total +▁.*█ +0 +190 +0 +190", out)
    assert re.search(r"4 +\d+ +\d+ bytes .* total 190", out)
    assert re.search(r"\d+  \S+  metric +total 190", out)


def test_show_tells_how_to_go_on_with_a_killed_run(tmp_path: Path) -> None:
    count_until_killed(tmp_path)
    assert re.search(r"^go on with +\S+", call("show", "count", "--root", tmp_path).out, re.MULTILINE)


def test_show_tells_of_rewinds_and_notes(tmp_path: Path) -> None:
    count(tmp_path)
    Workspace(tmp_path).rewind("count", at=2)
    Workspace(tmp_path).note("count", "try that again")
    out = call("show", "count", "--root", tmp_path).out
    assert re.search(r"records \d+ to \d+ superseded: rewound to checkpoint 2", out)
    assert "try that again" in out
    assert re.search(r"superseded +10", out)
    assert re.search(r"1 +\S+ \S+ +opened +20 .* finished", out)


def test_show_prints_as_many_of_the_last_records_as_asked_for(tmp_path: Path) -> None:
    count(tmp_path)
    assert call("show", "count", "--root", tmp_path, "--last", 3).out.count("metric  total") == 3
    assert len(call("show", "count", "--root", tmp_path, "--last", 3, "--json").documents) == 3
    assert " closed " in call("show", "count", "--root", tmp_path, "--last", 3, "--all").out


def test_show_json_prints_the_canonical_records_and_with_all_every_one(tmp_path: Path) -> None:
    count(tmp_path)
    Workspace(tmp_path).rewind("count", at=3)
    workspace = Workspace(tmp_path)
    assert call("show", "count", "--root", tmp_path, "--json").documents == list(workspace.records("count"))
    every = call("show", "count", "--root", tmp_path, "--json", "--all").documents
    assert every == list(workspace.records("count", canonical=False))
    assert sum(1 for fields in every if fields.get("superseded")) == 5


def test_values_that_json_lacks_are_shown_for_what_they_are(tmp_path: Path) -> None:
    with counting(tmp_path) as (run, _):
        run.metric(loss=float("nan"), size=2**70)
        run.event("odd", pair=(1, 2), raw=b"abc")
        run.token(b"\xff")
        run.tokens(["a", "b"], z=[0.1, 0.2])
        run.emission("text", tokens=["a"], quality=0.5)
        run.module("stage", {"x": 1}, status="error", index=2)
        run.transition("A", {"B": 1})
        run.once("clock", lambda: 5)
        with run.lane("side"):
            run.note("in a lane")
    out = call("show", "count", "--root", tmp_path).out
    for shown in (
        "loss nan  size 1.18059e+21",
        "pair [1, 2]",
        "2: a b",
        "text  quality 0.5",
        "stage error",
        'A → {"B": 1}',
        "clock = 5",
    ):
        assert shown in out
    assert "[side] in a lane" in out
    assert "1 not finite" in out


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_on_a_narrow_terminal_no_cell_is_wrapped_and_no_unit_is_lost(
    tmp_path: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["train.py", "--with", "a rather long list of words", "--that", "does not fit into a line"])
    name = "a session whose name is long"
    with pytest.raises(ZeroDivisionError), counting(tmp_path, name) as (run, counter):
        for step in run.loop(90, checkpoint_every=10):
            counter.total += step
            run.metric(total=counter.total, learning_rate_of_the_decoder=1 / (1 + step))
            run.note(f"some words to make the log larger {'x' * 1_000}")
            assert step < 80 or 1 / 0
    Workspace(tmp_path).note(name, "a remark that takes more room than there is between the other columns of a table")
    for words in (["sessions"], ["show", name], ["show", name, "--all"], ["checkpoints", name], ["stats", name]):
        wide = call(*words, "--root", tmp_path).out.splitlines()
        narrow = call(*words, "--root", tmp_path, COLUMNS=str(width)).out.splitlines()
        assert len(narrow) == len(wide)
        for line in narrow:
            assert cell_len(line) <= width or line.startswith(("command ", "go on with ", name)) or ": holdfast " in line
        if words[0] == "checkpoints":
            assert narrow[0].split()[-1] == "state"
            assert {line.split()[-1] for line in narrow[1:]} == {"good"}
        if words[0] == "stats":
            assert {line.split()[0] for line in narrow} >= {"kind", "metric", "note", "all"}
            assert re.search(r"^note +\d+ +\d+\.\d kB", "\n".join(narrow), re.MULTILINE)
    shown = call("show", name, "--root", tmp_path, COLUMNS=str(width)).out
    assert "--that 'does not fit into a line'" in shown  # a command is for pasting
    assert re.search(r"^total +[▁-█]{4,} ", shown, re.MULTILINE)


def test_counts_say_what_they_count(tmp_path: Path) -> None:
    count(tmp_path)
    every = Workspace(tmp_path).session("count").records
    assert "log records" in call("sessions", "--root", tmp_path).out.splitlines()[0]
    assert "log records" in call("stats", "count", "--root", tmp_path).out.splitlines()[0]
    assert "up to record" in call("checkpoints", "count", "--root", tmp_path).out.splitlines()[0]
    shown = call("show", "count", "--root", tmp_path).out
    assert f"20 records of the run; {every} in all" in shown
    assert re.search(r"^attempt +began +from +recorded +checkpoints", shown, re.MULTILINE)


def test_the_shared_part_of_a_fork_is_not_called_killed(tmp_path: Path) -> None:
    count(tmp_path)
    Workspace(tmp_path).fork("count", at=2, to="other")
    shown = call("show", "other", "--root", tmp_path).out
    assert re.search(r"^ +1 .* opened .* forked off$", shown, re.MULTILINE)
    assert "killed" not in shown
    Workspace(tmp_path).rewind("other", at=1)
    assert "killed" not in call("show", "other", "--root", tmp_path).out


def test_recorded_text_cannot_steer_the_terminal(tmp_path: Path) -> None:
    with counting(tmp_path) as (run, _):
        run.note("\x1b[2Jgone\r\nand [bold]marked[/bold]")
    done = call("show", "count", "--root", tmp_path, terminal=True, TERM="xterm", COLUMNS="200")
    assert r"\x1b[2Jgone\r\nand [bold]marked[/bold]" in done.out


def test_every_kind_of_bookkeeping_has_words(tmp_path: Path) -> None:
    count_until_killed(tmp_path, at=9)
    for steps in (20, 40):
        count(tmp_path, steps=steps, extend=True, keep_last=2)
    Workspace(tmp_path).rewind("count", at=7)
    out = call("show", "count", "--root", tmp_path, "--all", "--last", 100).out
    for words in ("opened", "attempt 2 from checkpoint", "rewound to checkpoint 7", "interrupted  reason"):
        assert words in out


def test_checkpoints_tells_the_state_of_each(tmp_path: Path) -> None:
    count(tmp_path)
    Workspace(tmp_path).rewind("count", at=3)
    out = call("checkpoints", "count", "--root", tmp_path).out.splitlines()
    assert [line.split()[-1] for line in out] == ["state", "good", "good", "good", "superseded"]


def test_stats_draws_the_share_of_each_kind(tmp_path: Path) -> None:
    count(tmp_path)
    out = call("stats", "count", "--root", tmp_path).out
    assert re.search(r"metric +20 .*%  █", out)
    assert out.splitlines()[-1].startswith("all ")


def test_equal_runs_have_equal_digests_and_different_ones_end_with_1(tmp_path: Path) -> None:
    count_until_killed(tmp_path, "a")
    count(tmp_path, "a")
    count(tmp_path, "b")
    count(tmp_path, "c", steps=10)
    same = call("digest", "a", "b", "--root", tmp_path)
    assert same.status == 0
    assert same.err == "equal: the same run of 20 records\n"
    assert len({line.split()[0] for line in same.out.splitlines()}) == 1
    other = call("digest", "a", "b", "c", "--root", tmp_path)
    assert other.status == 1
    assert "a and c differ in lane 'main program' (20 and 10 records)" in other.err
    assert call("digest", "a", "c", "--root", tmp_path, "--json").documents[0]["equal"] is False
    assert call("digest", "a", "--root", tmp_path).status == 0


def test_a_digest_is_not_given_of_bytes_that_are_not_what_was_written(tmp_path: Path) -> None:
    count(tmp_path)
    path = log_of(tmp_path)
    data = path.read_bytes()
    at = data.index(b'"values":{') + len(b'"values":{') + 1
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])  # a letter of a metric's name: all lines can be read
    refused = call("digest", "count", "--root", tmp_path)
    assert refused.status == 2
    assert refused.out == ""
    assert re.search(rf"{path.name}, byte \d+: the bytes from here to \d+ do not match their close", refused.err)


def test_verify_counts_what_it_checked(tmp_path: Path) -> None:
    count(tmp_path)
    done = call("verify", "count", "--root", tmp_path)
    assert done.status == 0
    assert re.match(r"good  count: \d+ log records in [\d.]+ kB and 4 checkpoints are as they were written\n", done.out)


def test_what_a_kill_left_behind_the_end_is_no_problem(tmp_path: Path) -> None:
    count_until_killed(tmp_path)
    path = log_of(tmp_path)
    path.write_bytes(path.read_bytes().rstrip(b"\n") + b'\n{"kind":"metric","n":1')
    done = call("verify", "count", "--root", tmp_path)
    assert done.status == 0
    assert "22 bytes behind the end were being written at a kill" in done.err


def test_verify_names_file_byte_and_next_step(tmp_path: Path) -> None:
    count(tmp_path)
    path = damage(tmp_path, offset=700)
    done = call("verify", "count", "--root", tmp_path)
    assert done.status == 1
    assert re.match(rf"{path}, byte \d+: the bytes from here to \d+ do not match their close\n", done.out)
    assert "holdfast verify count --salvage" in done.err


def test_verify_finds_a_cut_segment(tmp_path: Path) -> None:
    count(tmp_path)
    path = log_of(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\n", len(data) // 2) + 1])
    done = call("verify", "count", "--root", tmp_path)
    assert done.status == 1
    assert "the log ends here with record" in done.out
    assert "see what is wrong with: holdfast verify count" in call("show", "count", "--root", tmp_path).err


@pytest.mark.parametrize("closed", [True, False])
def test_a_session_whose_log_is_gone_is_damaged_and_verify_names_the_folder(tmp_path: Path, closed: bool) -> None:
    count(tmp_path)
    if not closed:
        count_until_killed_again(tmp_path)  # session.json says that records were there when it began
    for path in log_of(tmp_path).parent.iterdir():
        path.unlink()
    done = call("verify", "count", "--root", tmp_path)
    assert done.status == 1
    assert done.out.startswith(f"{log_of(tmp_path).parent}, byte 0: no segment of the log is left")
    (session,) = call("sessions", "--root", tmp_path, "--json").documents
    assert (session["status"], session["reason"]) == ("damaged", "no segment of the log is left")
    for command in ("show", "checkpoints", "stats", "digest", "note"):
        done = call(command, "count", *(["x"] if command == "note" else []), "--root", tmp_path)
        assert done.status == 2
        assert f"{log_of(tmp_path).parent}, byte 0: no segment of the log is left" in done.err
    assert call("verify", "count", "--salvage", "--root", tmp_path).status == 1
    assert call("delete", "count", "--yes", "--root", tmp_path).status == 0
    assert call("sessions", "--root", tmp_path).status == 1


@pytest.mark.parametrize("gone", ["a part", "the last segment"])
def test_a_closed_session_whose_end_is_gone_is_damaged(tmp_path: Path, gone: str) -> None:
    count(tmp_path)
    count(tmp_path, steps=40, extend=True)
    path = log_of(tmp_path).with_name("000002.jsonl")
    data = path.read_bytes()
    if gone == "a part":
        path.write_bytes(data[: data.rindex(b"\n", 0, -1) + 1])
    else:
        path.unlink()
    (session,) = call("sessions", "--root", tmp_path, "--json").documents
    assert session["status"] == "damaged"
    assert re.fullmatch(r"the log ends with record \d+, and it was closed with record \d+", session["reason"])
    assert session["created"] > 0
    assert call("verify", "count", "--root", tmp_path).status == 1
    before = sorted(found.read_bytes() for found in tmp_path.rglob("*.jsonl"))
    refused = call("note", "count", "x", "--root", tmp_path)  # it would close the log anew, and hide the damage
    assert (refused.status, sorted(found.read_bytes() for found in tmp_path.rglob("*.jsonl"))) == (2, before)
    assert "and it was closed with record" in refused.err


def test_a_list_reads_no_log_of_a_closed_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count(tmp_path)
    monkeypatch.setattr("holdfast.reading.catalog.LogReader", None)
    assert [found.status for found in Workspace(tmp_path).sessions()] == ["finished"]


def test_an_unknown_name_is_never_said_to_be_itself(tmp_path: Path) -> None:
    count(tmp_path)
    (tmp_path / "sessions" / "coumt").mkdir()
    assert "did you mean 'count'?" in call("show", "coumt", "--root", tmp_path).err


@pytest.mark.parametrize("harm", ["flipped", "cut", "missing"])
def test_verify_finds_a_copied_file_that_is_not_what_it_was(tmp_path: Path, harm: str) -> None:
    source = tmp_path / "data.txt"
    source.write_text("abcdef")
    with holdfast.session("count", root=tmp_path) as run:
        kept = run.path / "files" / run.file(source)
        run.file(source)
    assert call("verify", "count", "--root", tmp_path).status == 0
    if harm == "missing":
        kept.unlink()
    else:
        kept.write_text("abCdef" if harm == "flipped" else "abc")
    done = call("verify", "count", "--root", tmp_path, "--json")
    (problem,) = done.documents[0]["problems"]
    assert done.status == 1
    assert problem["path"] == str(kept)
    assert problem["what"].startswith("file 'data.txt'")


def test_verify_finds_a_missing_checkpoint_file(tmp_path: Path) -> None:
    large = random.Random(0).randbytes(100_000)
    with holdfast.session("count", root=tmp_path, track={"large": Kept(large)}) as run:
        for _ in run.loop(2, checkpoint_every=1):
            run.note("a step")
    (path, *_) = sorted((tmp_path / "sessions" / "count" / "checkpoints").rglob("*.*"))
    path.unlink()
    done = call("verify", "count", "--root", tmp_path)
    assert done.status == 1
    assert str(path) in done.out
    assert "missing" in done.out
    assert "--salvage" not in done.err  # of a log that is whole
    assert "Restore these files from a copy; without them the run goes on from another checkpoint" in done.err
    assert done.err.endswith(f"holdfast checkpoints count --root {tmp_path}\n")
    (problem,) = call("verify", "count", "--root", tmp_path, "--json").documents[0]["problems"]
    assert problem["checkpoint"] == 1
    damage(tmp_path, offset=-50)
    assert "--salvage" in call("verify", "count", "--root", tmp_path).err


def test_verify_checks_several_sessions_and_one_bad_one_is_enough(tmp_path: Path) -> None:
    count(tmp_path, "a")
    count(tmp_path)
    damage(tmp_path, offset=700)
    found = call("verify", "a", "count", "--root", tmp_path, "--json")
    assert found.status == 1
    assert [entry["ok"] for entry in found.documents] == [True, False]


def test_verify_says_what_is_wrong_with_a_damaged_header(tmp_path: Path) -> None:
    count(tmp_path)
    damage(tmp_path, offset=10)
    done = call("verify", "count", "--root", tmp_path)
    assert done.status == 1
    assert len(done.out.splitlines()) == 1


def test_salvage_prints_every_whole_record(tmp_path: Path) -> None:
    count(tmp_path)
    whole = list(Workspace(tmp_path).records("count", canonical=False))
    damage(tmp_path, offset=700)
    done = call("verify", "count", "--salvage", "--root", tmp_path)
    assert done.status == 0
    assert len(done.documents) in (len(whole), len(whole) - 1)
    assert "whole records" in done.err
    assert all(json.loads(line)["n"] for line in done.out.splitlines())


def test_long_readings_show_progress_on_a_terminal(tmp_path: Path) -> None:
    count(tmp_path)
    assert "checking count" in call("verify", "count", "--root", tmp_path, terminal=True, TERM="xterm").err
    assert call("verify", "count", "--root", tmp_path).err == ""


@pytest.mark.parametrize(
    "words", [["sessions"], ["sessions", "--json"], ["checkpoints", "bare"], ["checkpoints", "bare", "--json"]]
)
def test_nothing_found_is_said_and_ends_with_1(tmp_path: Path, words: list[str]) -> None:
    if "bare" in words:
        with counting(tmp_path, "bare") as (run, _):
            run.note("nothing more")
    done = call(*words, "--root", tmp_path)
    assert (done.status, done.out) == (1, "")
    assert len(done.err.splitlines()) == 1


def count_until_killed_again(root: Path) -> None:
    """Go on with the session "count", and be killed."""

    def program() -> None:
        with counting(root, extend=True) as (run, counter):
            for step in run.loop(40):
                counter.total += step
                run.metric(total=counter.total)
                die()

    kill(program)


def _divide_by_nothing(root: Path) -> None:
    with counting(root, "broken") as (run, _):
        run.metric(loss=0.5)
        run.metric(loss=1 / 0)
