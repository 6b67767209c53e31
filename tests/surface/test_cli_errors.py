"""What goes wrong is said in one line with the next step, and the exit status is 2."""

import shlex
import zlib
from pathlib import Path

import pytest

import holdfast
from holdfast.errors import line_about, line_in
from holdfast.storage.lines import close_line, read_header, strip_close
from tests.helpers.command import Called, call, count, counting, damage, log_of


def words_to_type(message: str) -> list[str]:
    """The words behind `holdfast` of the line that a message ends with."""
    return shlex.split(message.rpartition(": holdfast ")[2])


def failed(done: Called) -> str:
    """The one line of a call that failed."""
    assert (done.status, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith("holdfast: ")
    return line


EVERY = [
    ["show", "coumt"],
    ["show", "coumt", "--follow"],
    ["checkpoints", "coumt"],
    ["stats", "coumt"],
    ["digest", "coumt"],
    ["digest", "count", "coumt"],
    ["verify", "coumt"],
    ["verify", "coumt", "--salvage"],
    ["resume", "coumt", "--at", "1"],
    ["fork", "coumt", "--at", "1"],
    ["export-checkpoint", "coumt", "1", "x.json"],
    ["note", "coumt", "hello"],
    ["rename", "coumt", "other"],
    ["delete", "coumt"],
]


@pytest.mark.parametrize("words", EVERY)
def test_an_unknown_session_is_named_with_the_one_that_was_meant(tmp_path: Path, words: list[str]) -> None:
    count(tmp_path)
    assert "did you mean 'count'?" in failed(call(*words, "--root", tmp_path))


def test_where_no_name_comes_close_the_list_is_the_next_step(tmp_path: Path) -> None:
    assert "holdfast sessions" in failed(call("show", "x", "--root", tmp_path))


@pytest.mark.parametrize(
    "words",
    [
        ["resume", "count", "--at", "1"],
        ["fork", "count", "--at", "1"],
        ["note", "count", "hello"],
        ["rename", "count", "other"],
        ["delete", "count", "--yes"],
    ],
)
def test_a_running_session_is_left_alone(tmp_path: Path, words: list[str]) -> None:
    count(tmp_path)
    with counting(tmp_path, extend=True) as (run, _):
        for step in run.loop(21):
            run.metric(step=step)
            line = failed(call(*words, "--root", tmp_path))
    assert "is open in this process" in line
    assert holdfast.Workspace(tmp_path).session("count").status == "finished"


@pytest.mark.parametrize("command", ["show", "checkpoints", "stats", "digest", "note"])
def test_a_damaged_file_is_named_with_its_byte_and_what_is_left(tmp_path: Path, command: str) -> None:
    count(tmp_path)
    path = damage(tmp_path, offset=10)
    line = failed(call(command, "count", *(["x"] if command == "note" else []), "--root", tmp_path))
    assert f"{path}, byte 0: " in line
    assert call(*words_to_type(line)).documents  # the rest can be had


@pytest.mark.parametrize("root", ["names", "my runs", "training"])
@pytest.mark.parametrize("name", ["é", "it's", "a b"])
def test_what_is_printed_to_be_typed_next_can_be_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    count(tmp_path / root, name)
    count(tmp_path / root, "other", steps=10)
    place = [] if root == "training" else ["--root", root]
    for words in (["digest", name, "other"], ["show", "nothing like it"], ["delete", name]):
        following = words_to_type(call(*words, *place).err)
        assert ("--root" in following) == bool(place)
        assert call(*following).status == 0
    assert not (tmp_path / root / "sessions" / name).exists()


def test_what_is_printed_of_a_damaged_session_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    count(tmp_path / "my runs", "it's")
    (path,) = (tmp_path / "my runs").rglob("*.jsonl")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\n", len(data) // 2) + 1])
    (verify, *words) = words_to_type(call("show", "it's", "--root", "my runs").err)
    assert verify == "verify"
    again = call("verify", *words)
    assert again.status == 1
    salvage = words_to_type(again.err)
    assert salvage[-2:] == [">", "records.jsonl"]
    assert call(*salvage[:-2]).documents


def test_the_library_names_the_workspace_where_the_command_would_look_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOLDFAST_ROOT", raising=False)
    assert line_in(tmp_path / "training", "sessions") == "holdfast sessions"
    assert line_in(tmp_path / "a b", "sessions") == f"holdfast sessions --root '{tmp_path}/a b'"
    file = tmp_path / "training" / "sessions" / "é" / "log" / "main" / "000001.jsonl"
    assert line_about(file, "verify", "--salvage") == "holdfast verify 'é' --salvage"
    assert line_about(tmp_path / "elsewhere", "verify") == "holdfast verify SESSION"
    monkeypatch.setenv("HOLDFAST_ROOT", "other")
    assert line_in(tmp_path / "training", "sessions") == f"holdfast sessions --root {tmp_path}/training"


def retyped(root: Path, kind: bytes, before: bytes, after: bytes) -> str:
    """Give a field of the last record of a kind another type, with closes that fit; where that line stands then."""
    path = log_of(root)
    head, *lines = path.read_bytes().splitlines()
    at = max(index for index, line in enumerate(lines) if line.startswith(b'{"kind":"%b"' % kind) and before in line)
    lines[at] = lines[at].replace(before, after)
    _, _, crc = read_header(head + b"\n")
    data = head + b"\n"
    for index, line in enumerate(lines):
        if index == at:
            found = len(data)
        if line != (bare := strip_close(line)):
            line, crc = close_line(bare, crc)
        else:
            crc = zlib.crc32(line, crc)
        data += line + b"\n"
        crc = crc if line != bare else zlib.crc32(b"\n", crc)
    path.write_bytes(data)
    return f"{path}, byte {found}: "


RETYPED = [
    (b"checkpoint", b'"length":20', b'"length":true', ["checkpoints", "digest", "resume", "fork", "export-checkpoint"]),
    (b"opened", b'"save_mode":"continuous"', b'"save_mode":5', ["sessions", "note", "resume"]),
    (b"metric", b'"values":{"total":190}', b'"values":{"total":190},"lane":5', ["show", "digest"]),
    (b"closed", b'"status":"finished"', b'"status":5', ["sessions", "note"]),
]


@pytest.mark.parametrize(("kind", "before", "after", "commands"), RETYPED)
def test_a_record_with_a_field_of_another_type_is_named_with_file_and_byte(
    tmp_path: Path, kind: bytes, before: bytes, after: bytes, commands: list[str]
) -> None:
    count(tmp_path)
    where = retyped(tmp_path, kind, before, after)
    checked = call("verify", "count", "--root", tmp_path)
    assert checked.status == 1
    assert checked.out.startswith(where)
    assert len(checked.out.splitlines()) == 1
    (tmp_path / "sessions" / "count" / "session.json").unlink()
    rest = {"note": ["x"], "resume": ["--at", "2"], "fork": ["--at", "2"], "export-checkpoint": ["2", "x.json"]}
    for command in commands:
        if command == "sessions":
            (session,) = call("sessions", "--root", tmp_path, "--json").documents
            assert (session["status"], session["reason"].startswith(where)) == ("damaged", True)
        else:
            assert where in failed(call(command, "count", *rest.get(command, []), "--root", tmp_path))
    if kind != b"metric":  # which is read when it has to be repeated
        with pytest.raises(holdfast.Corrupted):
            holdfast.start("count", root=tmp_path)


def test_a_damaged_session_does_not_hide_the_others(tmp_path: Path) -> None:
    count(tmp_path)
    count(tmp_path, "good")
    damage(tmp_path, offset=10)
    (tmp_path / "sessions" / "count" / "session.json").write_bytes(b"")
    found = {entry["name"]: entry["status"] for entry in call("sessions", "--root", tmp_path, "--json").documents}
    assert found == {"count": "damaged", "good": "finished"}


def test_a_workspace_that_is_a_file_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    line = failed(call("sessions", "--root", tmp_path / "file"))
    assert "Not a directory" in line
    assert "--root" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shw", "count"], "Did you mean 'show'? See: holdfast --help"),
        (["show"], "Missing argument 'SESSION'. See: holdfast show --help"),
        (["show", "count", "--lst"], "See: holdfast show --help"),
        (["show", "count", "--last", "-1"], "See: holdfast show --help"),
        (["resume", "count"], "Missing option '--at'. See: holdfast resume --help"),
        (["verify", "a", "b", "--salvage"], "one session at a time. See: holdfast verify --help"),
        (["show", "../count"], "choose another name"),
        (["rename", "count", "a/b"], "choose another name"),
        (["rename", "count", "count"], "nothing was changed"),
        (["fork", "count", "--at", "1", "--to", "count"], "already"),
        (["fork", "count", "--at", "99"], "holdfast checkpoints"),
        (["resume", "count", "--at", "99"], "holdfast checkpoints"),
        (["export-checkpoint", "count", "99", "x.json"], "holdfast checkpoints"),
        (["export-checkpoint", "count", "1", "x.txt"], ".safetensors"),
        (["export-checkpoint", "count", "1", "/dev/null/x.json"], "/dev/null/x.json: "),
    ],
)
def test_wrong_usage_is_sent_to_what_is_right(tmp_path: Path, words: list[str], said: str) -> None:
    count(tmp_path)
    assert said in failed(call(*words, HOLDFAST_ROOT=str(tmp_path)))


def test_ctrl_c_ends_quietly_with_130(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(workspace: holdfast.Workspace) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(holdfast.Workspace, "sessions", interrupted)
    assert call("sessions", "--root", tmp_path) == Called(130, "", "")
