"""Bad input: what is refused, what is taken, and that each message says what happened, where, what is safe and what to do."""

import errno
import json
import os
import threading
import unicodedata
import zlib
from base64 import b64decode
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast import (
    DiskFull,
    HoldfastError,
    InvalidSetting,
    InvalidValue,
    NewerFormat,
    NoSession,
    Run,
    SessionBusy,
    SessionClosed,
    SessionNotFound,
    SettingsDiffer,
    UsageError,
    Workspace,
    WorkspaceUnusable,
    WriteFailed,
    current_run,
)
from holdfast.recording.policy import SaveMode
from holdfast.recording.recorder import Recorder
from holdfast.sessions.names import checked_name
from holdfast.storage.faulty import FailingFiles
from holdfast.storage.files import RealFiles
from holdfast.storage.lines import close_line
from tests.helpers.programs import canonical, digest, everything, superseded

MODES: tuple[SaveMode, ...] = ("continuous", "batch", "checkpoint")
MB = 1_000_000


class Holder:
    """An object whose state is what `state` holds."""

    def __init__(self, **state: Any) -> None:
        self.state = state

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state = state


def refusal(kind: type[BaseException], call: Callable[[], object]) -> str:
    """The message with which a call is refused."""
    with pytest.raises(kind) as refused:
        call()
    return str(refused.value)


def left_in(root: Path) -> list[str]:
    """What is in a workspace, without its own .gitignore."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.name not in (".gitignore", "sessions"))


class FullDisk(FailingFiles):
    """Files that, while `is_full`, take no space for a log: writes into space that was taken before go on."""

    is_full = False

    def __init__(self) -> None:
        super().__init__(RealFiles(), operation="write", nth=0, error=errno.ENOSPC)

    def put(self, operation: str, path: Path, data: bytes, write: Callable[[bytes], None]) -> None:
        if self.is_full and not data.strip(b"\n"):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(data)


def failing(operation: str, error: int, nth: int = 1, *, repeat: bool = True, role: str | None = None) -> FailingFiles:
    return FailingFiles(RealFiles(), operation=operation, nth=nth, error=error, repeat=repeat, role=role)


# Session names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a/b", "it holds /, which file systems reserve"),
        ("a\\b", "it holds \\, which file systems reserve"),
        ("../up", "it begins with a dot"),
        ("..", "it begins with a dot"),
        (".", "it begins with a dot"),
        (".hidden", "it begins with a dot"),
        ("a:b*c", "it holds * :, which file systems reserve"),
        ("", "it is empty"),
        ("   ", "it is empty"),
        (" a", "begins or ends with a space"),
        ("a ", "begins or ends with a space"),
        ("-a", "it begins with a dash, as the options of commands do"),
        ("--yes", "it begins with a dash"),
        ("a\0b", "a control sign"),
        ("a\nb", "a control sign"),
        ("a\x7fb", "a control sign"),
        ("a\u202eb", "it holds U+202E, an invisible sign"),
        ("👩\u200d🔬", "it holds U+200D, an invisible sign"),
        ("a\u2028b", "it holds U+2028, a line separator"),
        ("a\U0001ffffb", "it holds U+1FFFF, a sign that Unicode has not assigned"),
        ("a\ud800", "half a character"),
        ("\udc80", "half a character"),
        ("x" * 300, f"{'x' * 59}…': it takes 300 bytes in UTF-8, and 200 is the limit"),
        ("é" * 101, "it takes 202 bytes in UTF-8, and 200 is the limit"),
        (5, "a session's name must be a text, and int came"),
        (b"run", "a session's name must be a text, and bytes came"),
        (Path("run"), "a session's name must be a text"),
    ],
)
def test_a_name_that_cannot_be_a_folder_is_refused_and_leaves_nothing(tmp_path: Path, name: Any, why: str) -> None:
    message = refusal(InvalidSetting, lambda: holdfast.start(name, root=tmp_path / "work"))
    assert why in message
    assert message.isprintable()
    if isinstance(name, str):
        assert "Nothing was created; choose another name" in message
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    "name", ["a", "ünïcödé", "Φ×|Reactor".replace("|", "-"), "日本語", "a b", "a.b", "x" * 200, "a-", "~2", "🙂"]
)
def test_a_name_that_can_be_a_folder_is_taken(tmp_path: Path, name: str) -> None:
    with holdfast.session(name, root=tmp_path) as run:
        run.note("x")
    assert [info.name for info in Workspace(tmp_path).sessions()] == [name]
    assert len(canonical(tmp_path, name)) == 1


def test_both_unicode_forms_of_a_name_are_one_session(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Ré-é-ﬁn") for form in ("NFC", "NFD"))
    assert composed != decomposed
    for name in (composed, decomposed, composed):
        with holdfast.session(name, root=tmp_path) as run:
            assert run.name == composed
            run.note("x")
    assert [info.name for info in Workspace(tmp_path).sessions()] == [composed]
    assert len(list(Workspace(tmp_path).records(decomposed))) == 1
    with holdfast.session(composed, root=tmp_path):
        assert "is open in" in refusal(SessionBusy, lambda: holdfast.start(decomposed, root=tmp_path))
    assert checked_name(decomposed) == composed


def test_names_of_the_public_calls_are_checked_alike(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        for _ in run.loop(1):
            run.note("x")
    workspace = Workspace(tmp_path)
    calls: list[Callable[[], object]] = [
        lambda: workspace.digest("../run"),
        lambda: workspace.rename("run", "a/b"),
        lambda: workspace.fork("run", at=1, to=".."),
        lambda: workspace.delete(""),
    ]
    for call in calls:
        assert "choose another name" in refusal(InvalidSetting, call)
    assert [info.name for info in workspace.sessions()] == ["run"]


def test_a_name_that_is_not_there_is_met_with_close_ones(tmp_path: Path) -> None:
    with holdfast.session("nano-lm", root=tmp_path) as run:
        run.note("x")
    assert "did you mean 'nano-lm'?" in refusal(SessionNotFound, lambda: Workspace(tmp_path).digest("nano-ln"))
    assert "holdfast sessions" in refusal(SessionNotFound, lambda: Workspace(tmp_path).digest("other"))


# Values -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("z", [float("nan"), float("inf"), -float("inf"), -0.1, 1.0000001, 2, -1, 10**400])
def test_z_is_finite_and_in_its_range(tmp_path: Path, mode: SaveMode, z: float) -> None:
    with holdfast.session("run", root=tmp_path, save_mode=mode) as run:
        run.token("before")
        message = refusal(InvalidValue, lambda: run.token("bad", z=z))
        assert message.startswith("z: z is finite and in [0, 1], and this is ")
        assert "Nothing was recorded by this call; everything recorded before it is intact" in message
        assert "emission.z" in refusal(InvalidValue, lambda: run.emission("bad", z=z))
        assert "tokens.z[1]" in refusal(InvalidValue, lambda: run.tokens(["a", "b"], z=[0.5, z]))
        run.token("after", z=0.5)
    assert [fields.get("token") for fields in canonical(tmp_path)] == ["before", "after"]


@pytest.mark.parametrize("z", ["0.5", True, [0.5], object(), 1j, b"1"])
def test_z_is_a_number(tmp_path: Path, z: Any) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        message = refusal(InvalidValue, lambda: run.token("bad", z=z))
        assert f"z: z is a number in [0, 1], and this is {type(z).__name__}" in message
        run.token("after")
    assert len(canonical(tmp_path)) == 1


@pytest.mark.parametrize("z", [0, 1, 0.0, 1.0, -0.0, 1e-300])
def test_the_ends_of_zs_range_are_in_it(tmp_path: Path, z: float) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        run.token("x", z=z)
    assert canonical(tmp_path)[0]["z"] == z


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("field", "record"),
    [
        ("token", lambda run: run.token(1.5)),
        ("token", lambda run: run.token(None)),
        ("token", lambda run: run.token(True)),
        ("phase", lambda run: run.token("x", phase=5)),
        ("source", lambda run: run.token("x", source=b"x")),
        ("tier", lambda run: run.token("x", tier=1.5)),
        ("tier", lambda run: run.token("x", tier=2**63)),
        ("tier", lambda run: run.token("x", tier=-(2**63) - 1)),
        ("meta", lambda run: run.token("x", meta={"a": object()})),
        ("meta", lambda run: run.token("x", meta={"a": {"b": [1, lambda: 0]}})),
        ("info", lambda run: run.token("x", info={"a": open})),
        ("meta", lambda run: run.token("x", meta=[1])),
        ("emission.meta", lambda run: run.emission("x", meta="a")),
        ("info", lambda run: run.token("x", info=3)),
        ("info", lambda run: run.note("x", info=[("a", 1)])),
        ("tokens[1]", lambda run: run.tokens(["a", 1.5])),
        ("tokens[0]", lambda run: run.tokens([None])),
        ("tokens[2]", lambda run: run.tokens(["a", "b", True])),
        ("tokens.phase", lambda run: run.tokens(["a", "b"], phase=["A"])),
        ("tokens.phase", lambda run: run.tokens(["a", "b"], phase="AB")),
        ("tokens", lambda run: run.tokens("ab")),
        ("tokens", lambda run: run.tokens(5)),
        ("emission.text", lambda run: run.emission(5)),
        ("emission.quality", lambda run: run.emission("x", quality=float("nan"))),
        ("emission.quality", lambda run: run.emission("x", quality=10**400)),
        ("emission.tokens", lambda run: run.emission("x", tokens=[object()])),
        ("emission.tokens[1]", lambda run: run.emission("x", tokens=["a", None])),
        ("emission.tokens[0]", lambda run: run.emission("x", tokens=[1.5])),
        ("metric['loss']", lambda run: run.metric(loss=object())),
        ("module.name", lambda run: run.module(5, None)),
        ("module.status", lambda run: run.module("x", None, status="fine")),
        ("module.index", lambda run: run.module("x", None, index=2**64)),
        ("module.result", lambda run: run.module("x", {"a": {1: object()}})),
        ("transition.after", lambda run: run.transition(1, object())),
        ("event.name", lambda run: run.event(None)),
        ("event.data", lambda run: run.event("x", a=object())),
        ("note.text", lambda run: run.note(b"x")),
        ("step['x']", lambda run: run.step("x", lambda: object())),
        ("once['x']", lambda run: run.once("x", lambda: {"a": open})),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_the_path_of_its_field(
    tmp_path: Path, mode: SaveMode, field: str, record: Callable[[Any], object]
) -> None:
    with holdfast.session("run", root=tmp_path, save_mode=mode) as run:
        run.token("before")
        message = refusal(InvalidValue, lambda: record(run))
        assert message.startswith(field)
        assert "Nothing was recorded by this call; everything recorded before it is intact" in message
        run.token("after")
    assert [fields.get("token") for fields in canonical(tmp_path)] == ["before", "after"]


def test_a_refused_value_is_named_by_its_whole_path_and_says_what_to_store(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        message = refusal(InvalidValue, lambda: run.module("x", {"rows": [{"a": 1}, {"b": threading.Lock()}]}))
    assert "module.result['rows'][1]['b']" in message
    assert "lock cannot be stored" in message
    assert "leave it out, and make a new one after a resume" in message


# State ------------------------------------------------------------------------------------------------------------------------


def test_state_that_cannot_be_stored_is_refused_at_registration_and_leaves_nothing(tmp_path: Path) -> None:
    tracked = Holder(layers=[{"weight": 1.0}, {"hook": print}])
    message = refusal(InvalidValue, lambda: holdfast.start("run", root=tmp_path / "work", track={"model": tracked}))
    assert message.startswith("track['model']['layers'][1]['hook']: ")
    assert "cannot be stored" in message
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("value", [5, None, {"a": 1}, open, Holder])
def test_what_has_no_state_is_refused_at_registration(tmp_path: Path, value: Any) -> None:
    message = refusal(InvalidValue, lambda: holdfast.start("run", root=tmp_path / "work", track={"it": value}))
    assert message.startswith("track['it']: ")
    assert "state_dict() and load_state_dict()" in message
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("track", [{1: Holder()}, {None: Holder()}, {"\ud800": Holder()}])
def test_tracked_names_are_texts(tmp_path: Path, track: Any) -> None:
    message = refusal(InvalidValue, lambda: holdfast.start("run", root=tmp_path / "work", track=track))
    assert message.startswith("track[")
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("mode", MODES)
def test_a_checkpoint_that_is_refused_leaves_the_one_before_and_the_run_goes_on(tmp_path: Path, mode: SaveMode) -> None:
    tracked = Holder(step=0)

    def steps(run: Run) -> None:
        for step in run.loop(6, checkpoint_every=2):
            run.metric(step=step)
            tracked.state["step"] = step
            if step == 3:
                tracked.state["late"] = {"born": (1, object())}

    with holdfast.session("run", root=tmp_path, track={"it": tracked}, save_mode=mode) as run:
        message = refusal(InvalidValue, lambda: steps(run))
        assert message.startswith("track['it']['late']['born'][1]: object cannot be stored")
        assert "everything recorded before it is intact" in message
        del tracked.state["late"]
        run.note("the run goes on")
        run.checkpoint("and can take checkpoints")
    infos = Workspace(tmp_path).checkpoints("run")
    assert [(info.step, info.name) for info in infos] == [(2, None), (None, "and can take checkpoints")]
    assert [fields["kind"] for fields in canonical(tmp_path)] == [*["metric"] * 4, "note"]
    assert Workspace(tmp_path).verify("run").problems == ()


def test_after_a_refused_checkpoint_the_same_line_goes_on_from_the_one_before(tmp_path: Path) -> None:
    def program(spoil: bool) -> list[int]:
        tracked, seen = Holder(step=0), []
        with holdfast.session("run", root=tmp_path, track={"it": tracked}) as run:
            for step in run.loop(6, checkpoint_every=2):
                seen.append(step)
                run.metric(step=step)
                tracked.state = {"step": step, "late": object()} if spoil and step == 3 else {"step": step}
        return seen

    with pytest.raises(InvalidValue):
        program(spoil=True)
    info = Workspace(tmp_path).session("run")
    assert info.status == "failed"
    assert "track['it']['late']" in str(info.reason)
    assert program(spoil=False) == [2, 3, 4, 5]
    assert superseded(tmp_path) == []


class Noisy:
    """Its state_dict records, as no state_dict may."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self.restored = False

    def state_dict(self) -> dict[str, Any]:
        if self.run is not None:
            self.run.token("from state_dict")
        return {"a": 1}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


@pytest.mark.parametrize("mode", MODES)
def test_a_state_dict_that_records_is_refused(tmp_path: Path, mode: SaveMode) -> None:
    noisy = Noisy()
    with holdfast.session("run", root=tmp_path, track={"noisy": noisy}, save_mode=mode) as run:
        run.token("before")
        noisy.run = run
        message = refusal(InvalidValue, run.checkpoint)
        assert "state_dict" in message
        assert "recorded something while its state was being copied" in message
        noisy.run = None
        run.checkpoint()
        run.token("after")
    assert [fields["token"] for fields in canonical(tmp_path)] == ["before", "after"]
    assert len(Workspace(tmp_path).checkpoints("run")) == 1


class NoisyLoad(Holder):
    """Its load_state_dict records, as none may."""

    run: Run

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.run.token("from load_state_dict")


def test_a_load_state_dict_that_records_is_refused(tmp_path: Path) -> None:
    tracked = NoisyLoad(a=1)
    for attempt in (1, 2):
        with holdfast.session("run", root=tmp_path, track={"it": tracked}) as run:
            tracked.run = run
            if attempt == 1:
                assert list(run.loop(2)) == [0, 1]
            else:
                assert "load_state_dict" in refusal(InvalidValue, lambda: list(run.loop(2)))
    assert canonical(tmp_path) == []


# Large tokens -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_token_of_10_mb_is_taken_and_read_back(tmp_path: Path, mode: SaveMode) -> None:
    text = 'ab\n"é' * (2 * MB)
    with holdfast.session("run", root=tmp_path, save_mode=mode) as run:
        run.token("before")
        run.token(text[: 10 * MB])
        run.token("after")
    tokens = [fields["token"] for fields in Workspace(tmp_path).records("run")]
    assert tokens == ["before", text[: 10 * MB], "after"]
    assert Workspace(tmp_path).verify("run").problems == ()


LARGE = "x" * (20 * MB)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("field", "record"),
    [
        ("token.token", lambda run: run.token(LARGE)),
        ("token.meta", lambda run: run.token("small", meta={"a": LARGE})),
        ("token.source", lambda run: run.token("small", source=LARGE)),
        ("token.phase", lambda run: run.token("small", phase=LARGE)),
        ("emission.text", lambda run: run.emission(LARGE)),
        ("event.data", lambda run: run.event("x", a=LARGE)),
        ("module.result", lambda run: run.step("x", lambda: LARGE)),
        ("once.value", lambda run: run.once("x", lambda: LARGE)),
        ("tokens.tokens", lambda run: run.tokens([LARGE])),
    ],
)
def test_a_record_of_20_mb_is_refused_by_its_largest_field(
    tmp_path: Path, mode: SaveMode, field: str, record: Callable[[Run], object]
) -> None:
    with holdfast.session("run", root=tmp_path, save_mode=mode) as run:
        run.token("before")
        run.token("phase", phase="A")
        message = refusal(InvalidValue, lambda: record(run))
        assert message.startswith(f"{field}: the record would take 20,0")
        assert "the limit is 16,777,216" in message
        assert "everything recorded before it is intact" in message
        run.token("after")
        run.flush()
        run.token("at the end")
    tokens = [fields.get("token") for fields in Workspace(tmp_path).records("run")]
    assert tokens == ["before", "phase", "after", "at the end"]
    assert Workspace(tmp_path).verify("run").problems == ()


@pytest.mark.parametrize("mode", MODES)
def test_many_large_tokens_do_not_pile_up_in_memory(tmp_path: Path, mode: SaveMode) -> None:
    with holdfast.session("run", root=tmp_path, save_mode=mode) as run:
        for number in range(40):
            run.token(f"t{number}", source="s" * MB)
            marks = run.watermarks()
            assert marks.accepted - marks.flushed <= 10


# Texts that are no Unicode ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_lone_surrogates_are_shown_as_replacements_and_kept_exactly(tmp_path: Path, mode: SaveMode) -> None:
    text = "a\ud800b\udfffé"
    with holdfast.session("run", root=tmp_path, save_mode=mode) as run:
        run.token("before")
        run.token(text)
        run.token(text, z=0.5, phase="A", tier=1, source="s", meta={"a": 1})
        run.emission(text)
        run.note(text)
        run.token("after")
    records = canonical(tmp_path)
    shown = [fields.get("token", fields.get("text")) for fields in records]
    assert shown == ["before", *["a\ufffdb\ufffdé"] * 4, "after"]
    for fields in records[1:5]:
        assert b64decode(fields["raw"]).decode("utf-8", "surrogatepass") == text
    assert "raw" not in records[0]
    assert Workspace(tmp_path).verify("run").problems == ()


@pytest.mark.parametrize("mode", MODES)
def test_lone_surrogates_are_taken_in_every_other_field(tmp_path: Path, mode: SaveMode) -> None:
    bad = "x\ud800"
    config = {"name": bad, bad: 1}

    def program() -> None:
        with holdfast.session("run", root=tmp_path, save_mode=mode, config=config, tags=[bad], notes=bad) as run:
            run.token("a", phase=bad)
            run.token("b", source=bad)
            run.token("c", meta={"key": bad, bad: 2})
            run.token("d", meta={"key": bad}, info={bad: bad})
            run.tokens(["e", bad], phase=[bad, "p"])
            run.emission("f", tokens=[bad], phase=bad, meta={bad: bad})
            run.metric(value=bad)
            run.module(bad, {bad: bad}, phase=bad)
            run.transition(bad, {bad})
            run.event(bad, data=bad)
            with run.lane(bad):
                run.token("in a lane")
            run.once(bad, lambda: bad)
            assert run.step(bad, lambda: bad) == bad
            for _ in run.loop(1):
                run.checkpoint(bad)

    program()
    before = digest(tmp_path)
    program()  # and it is matched
    assert superseded(tmp_path) == []
    assert digest(tmp_path) == before
    assert Workspace(tmp_path).verify("run").problems == ()
    assert len(canonical(tmp_path)) == 13


def test_a_remark_from_outside_may_hold_lone_surrogates(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        run.note("x")
    before = digest(tmp_path)
    Workspace(tmp_path).note("run", "a\ud800")
    assert digest(tmp_path) == before
    assert [fields["text"] for fields in everything(tmp_path) if fields["kind"] == "annotated"] == ["a\ufffd"]
    with pytest.raises(InvalidValue, match="text"):
        Workspace(tmp_path).note("run", 5)  # type: ignore[arg-type]
    assert Workspace(tmp_path).session("run").status == "finished"


# Time -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_clock_that_goes_backwards_takes_nothing_but_the_times_with_it(
    tmp_path: Path, mode: SaveMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def program(root: Path) -> None:
        with holdfast.session("run", root=root, save_mode=mode) as run:
            run.note("begin")
            for step in run.loop(50, checkpoint_every=10):
                run.token(f"t{step}")
                run.metric(step=step)

    program(tmp_path / "forwards")
    now = [2_000_000_000_000_000_000]

    def clock_ns() -> int:
        now[0] -= 3_600_000_000_000
        return now[0]

    monkeypatch.setattr("holdfast.sessions.attempt.Recorder", partial(Recorder, clock_ns=clock_ns))
    program(tmp_path / "backwards")
    records = everything(tmp_path / "backwards")
    times = [fields["ts"] for fields in records]
    assert times[0] > times[-1]
    assert [fields["n"] for fields in records] == list(range(1, len(records) + 1))
    assert digest(tmp_path / "backwards") == digest(tmp_path / "forwards")
    program(tmp_path / "backwards")
    assert superseded(tmp_path / "backwards") == []
    assert Workspace(tmp_path / "backwards").verify("run").problems == ()
    [info] = Workspace(tmp_path / "backwards").sessions()
    assert (info.status, info.records) == ("finished", len(records))


def test_a_clock_before_1970_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.sessions.attempt.Recorder", partial(Recorder, clock_ns=lambda: -1_500))
    with holdfast.session("run", root=tmp_path) as run:
        run.token("a")
        run.note("b")
    assert {fields["ts"] for fields in everything(tmp_path)} == {-2}
    assert Workspace(tmp_path).session("run").status == "finished"


# The workspace ----------------------------------------------------------------------------------------------------------------


def test_a_workspace_that_is_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "work"
    path.write_text("mine")
    message = refusal(WorkspaceUnusable, lambda: holdfast.start("run", root=path))
    assert message.startswith(f"{path}: ")
    assert "Nothing was written; name another folder with root=, --root or HOLDFAST_ROOT" in message
    assert path.read_text() == "mine"
    for call in (Workspace(path).sessions, lambda: Workspace(path).digest("run")):
        assert str(path) in refusal(HoldfastError, call)


def test_a_session_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions" / "run").write_text("mine")
    message = refusal(HoldfastError, lambda: holdfast.start("run", root=tmp_path))
    assert str(tmp_path) in message
    assert (tmp_path / "sessions" / "run").read_text() == "mine"


@pytest.mark.parametrize(("error", "words"), [(errno.EACCES, "Permission denied"), (errno.EROFS, "Read-only file system")])
def test_a_workspace_that_cannot_be_written_is_refused(tmp_path: Path, error: int, words: str) -> None:
    message = refusal(WorkspaceUnusable, lambda: holdfast.start("run", root=tmp_path / "work", files=failing("mkdir", error)))
    assert message.startswith(f"{tmp_path / 'work'}: {words}")
    assert "Nothing was written; name another folder" in message
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(("error", "words"), [(errno.EACCES, "Permission denied"), (errno.EROFS, "Read-only file system")])
def test_a_session_that_can_no_longer_be_written_is_refused_and_stays_as_it_was(tmp_path: Path, error: int, words: str) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        run.note("x")
    before = everything(tmp_path)
    message = refusal(HoldfastError, lambda: holdfast.start("run", root=tmp_path, files=failing("open", error)))
    assert str(tmp_path / "sessions" / "run") in message
    assert words in message
    assert everything(tmp_path) == before
    assert Workspace(tmp_path).session("run").status == "finished"


@pytest.mark.parametrize("operation", ["mkdir", "open", "write", "sync", "sync_folder"])
@pytest.mark.parametrize("name", ["run", None])
def test_a_start_on_a_full_disk_is_refused_and_leaves_nothing(tmp_path: Path, operation: str, name: str | None) -> None:
    holdfast.start("other", root=tmp_path).close()  # the workspace is there

    def begin() -> None:
        with holdfast.session(name, root=tmp_path, files=failing(operation, errno.ENOSPC)) as run:
            run.note("x")

    for _ in range(3):
        message = refusal(HoldfastError, begin)
        assert "No space left on device" in message
        assert str(tmp_path) in message
    assert left_in(tmp_path) == []


def test_the_very_first_start_on_a_full_disk_leaves_no_session(tmp_path: Path) -> None:
    files = failing("write", errno.ENOSPC, role=".gitignore")
    for _ in range(3):
        message = refusal(WorkspaceUnusable, lambda: holdfast.start(root=tmp_path / "work", files=files))
        assert "No space left on device" in message
    assert left_in(tmp_path / "work") == []


@pytest.mark.parametrize("mode", MODES)
def test_on_a_disk_that_fills_up_a_record_is_refused_and_the_run_goes_on_when_there_is_space(
    tmp_path: Path, mode: SaveMode
) -> None:
    files = FullDisk()
    with holdfast.session("run", root=tmp_path, files=files, save_mode=mode) as run:
        run.token("first")
        run.flush()
        files.is_full = True
        taken = []
        message = ""
        for number in range(20_000):
            try:
                run.token(f"{number}", source="s" * 500)
            except DiskFull as error:
                message = str(error)
                break
            taken.append(str(number))
        assert ".jsonl: No space left on device" in message
        assert "Every record accepted before this is intact" in message
        assert 'free some space and go on, or open the session with on_full="wait"' in message
        files.is_full = False
        run.token("after")
    tokens = [fields["token"] for fields in canonical(tmp_path)]
    assert tokens == ["first", *taken, "after"]
    assert Workspace(tmp_path).verify("run").problems == ()


def test_on_full_wait_goes_on_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = FullDisk()
    waits = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        files.is_full = len(waits) < 3

    monkeypatch.setattr("holdfast.sessions.attempt.Recorder", partial(Recorder, wait=wait))
    with holdfast.session("run", root=tmp_path, files=files, on_full="wait") as run:
        run.token("first")
        files.is_full = True
        for number in range(500):
            run.token(f"{number}", source="s" * 500)
        assert len(waits) == 3
        assert run.health().stalls == 1
        [notice] = run.notices
    assert "waiting for space" in notice
    assert "nothing accepted is lost" in notice
    assert len(canonical(tmp_path)) == 501


# Writes that fail for good ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_failed_write_raises_at_every_further_call_and_at_the_end(tmp_path: Path, mode: SaveMode) -> None:
    files = failing("write", errno.EIO, nth=0, role=".jsonl")
    seen = []

    def write(run: Run) -> None:
        run.emission("y" * 200_000)
        run.flush()

    def program() -> None:
        with holdfast.session("run", root=tmp_path, files=files, save_mode=mode) as run:
            run.note("synced")
            run.flush("synced")
            files._nth = files.calls["write"] + 1
            calls: list[Callable[[], object]] = [
                lambda: write(run),
                lambda: run.token("more"),
                lambda: run.metric(a=1),
                lambda: run.flush(),
                lambda: run.checkpoint(),
                lambda: list(run.loop(1)),
                lambda: run.step("x", lambda: seen.append("ran")),
            ]
            seen.extend(refusal(WriteFailed, call) for call in calls)

    message = refusal(WriteFailed, program)  # a program that swallows all of them is told at the end
    assert "Input/output error" in message
    assert "Records synced before this are intact; fix the cause, then run the same line again" in message
    assert set(seen) == {message}
    info = Workspace(tmp_path).session("run")
    assert info.status != "finished"
    assert [fields["kind"] for fields in canonical(tmp_path)] == ["note"]


def test_a_close_that_fails_is_no_finish(tmp_path: Path) -> None:
    files = FullDisk()

    def program() -> None:
        with holdfast.session("run", root=tmp_path, files=files, save_mode="checkpoint") as run:
            run.note("first")
            run.flush()
            run.emission("y" * 300_000)
            files.is_full = True

    assert "No space left on device" in refusal(DiskFull, program)
    assert Workspace(tmp_path).session("run").status in ("failed", "killed")


# Formats and manifests --------------------------------------------------------------------------------------------------------


def test_a_session_of_a_newer_format_is_refused_and_not_touched(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        run.note("x")
    path = tmp_path / "sessions" / "run" / "log" / "main" / "000001.jsonl"
    header, _, rest = path.read_bytes().partition(b"\n")
    fields = json.loads(header)
    del fields["crc"]
    line, _ = close_line(json.dumps({**fields, "format": 99, "new": {"a": 1}}, separators=(",", ":")).encode(), 0)
    path.write_bytes(line + b"\n" + rest)
    before = path.read_bytes()
    message = refusal(NewerFormat, lambda: holdfast.start("run", root=tmp_path))
    assert message.startswith(f"{path}: format version 99, and this Holdfast reads up to 1")
    assert "Nothing was changed; upgrade with: pip install -U holdfast" in message
    assert path.read_bytes() == before
    assert refusal(NewerFormat, lambda: Workspace(tmp_path).digest("run")) == message
    [info] = Workspace(tmp_path).sessions()
    assert (info.name, info.status in ("finished", "damaged")) == ("run", True)
    assert any(
        "format version 99" in problem.what or "newer" in problem.what for problem in Workspace(tmp_path).verify("run").problems
    )


def closed_anew(lines: list[bytes]) -> bytes:
    """A segment's lines, with closes that fit them where there were some."""
    crc = covered = 0
    for index, line in enumerate(lines):
        if b',"crc":"' in line[-20:]:
            lines[index], crc = close_line(line[:-18] + b"}", covered if index else 0)
            covered = zlib.crc32(b"", crc)
        else:
            covered = zlib.crc32(line + b"\n", covered)
    return b"\n".join(lines)


def test_fields_and_tags_of_a_newer_version_are_kept(tmp_path: Path) -> None:
    """Records are read by what is known of them; what is not known stays in the canonical view."""
    with holdfast.session("run", root=tmp_path) as run:
        run.event("x", a=1)
    path = tmp_path / "sessions" / "run" / "log" / "main" / "000001.jsonl"
    lines = path.read_bytes().split(b"\n")
    assert b'"kind":"event"' in lines[2]
    lines[2] = lines[2].replace(b'"name":"x"', b'"name":"x","colour":"red"')
    path.write_bytes(closed_anew(lines))
    assert Workspace(tmp_path).verify("run").problems == ()
    [fields] = canonical(tmp_path)
    assert fields["colour"] == "red"


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b'{"name": 5}', b'{"name": "\xf3"}', b"\0" * 300, b"\xff\xfe"])
def test_an_emptied_or_damaged_manifest_is_rebuilt_from_the_log(tmp_path: Path, content: bytes) -> None:
    with holdfast.session("run", root=tmp_path, config={"lr": 0.1}, tags=["t"]) as run:
        run.note("x")
    path = tmp_path / "sessions" / "run" / "session.json"
    path.write_bytes(content)
    [info] = Workspace(tmp_path).sessions()
    assert (info.name, info.status, info.config, info.tags) == ("run", "finished", {"lr": 0.1}, ["t"])
    with holdfast.session("run", root=tmp_path, config={"lr": 0.1}) as run:
        assert run.finished
        run.note("x")
        run.note("y")
    assert json.loads(path.read_bytes())["status"] == "finished"


# Other settings than before ---------------------------------------------------------------------------------------------------


def run_loop(root: Path, steps: int | None, **options: Any) -> list[int]:
    with holdfast.session("run", root=root, **options) as run:
        return list(run.loop(steps, checkpoint_every=2))


@pytest.mark.parametrize("steps", [3, 9, None])
def test_a_loop_of_another_length_is_refused(tmp_path: Path, steps: int | None) -> None:
    assert run_loop(tmp_path, 6) == [0, 1, 2, 3, 4, 5]
    before = everything(tmp_path)
    message = refusal(SettingsDiffer, lambda: run_loop(tmp_path, steps))
    assert f"session 'run' was recorded under other settings: loop:0 had 6 steps, and now has {steps}" in message
    assert "Nothing was changed" in message
    assert "extend=True" in message
    assert 'allow_change=("loop",)' in message
    assert everything(tmp_path) == before
    assert Workspace(tmp_path).session("run").status == "finished"


def test_a_loop_grows_where_that_is_asked_for(tmp_path: Path) -> None:
    run_loop(tmp_path, 6)
    assert run_loop(tmp_path, 9, extend=True) == [6, 7, 8]
    assert "loop:0 had 9 steps, and now has 6" in refusal(SettingsDiffer, lambda: run_loop(tmp_path, 6, extend=True))
    assert run_loop(tmp_path, 6, allow_change=("loop",)) == []
    assert run_loop(tmp_path, 11, allow_change="loop") == [9, 10]


def test_another_configuration_is_refused_with_the_list_of_differences(tmp_path: Path) -> None:
    config = {"lr": 0.1, "layers": [1, 2], "gone": None, "same": float("nan")}
    with holdfast.session("run", root=tmp_path, config=config) as run:
        run.note("x")
    before = everything(tmp_path)
    other = {"lr": 0.2, "layers": (1, 2), "new": "x", "same": float("nan")}
    message = refusal(SettingsDiffer, lambda: holdfast.start("run", root=tmp_path, config=other))
    for part in ("lr: 0.1 → 0.2", "gone: None → not set", "new: not set → 'x'", "layers: [1, 2] → "):
        assert part in message
    assert "same" not in message.partition("Nothing was changed")[0]
    assert "allow_change=" in message
    assert "Nothing was changed" in message
    assert everything(tmp_path) == before
    with pytest.raises(SettingsDiffer, match="lr"):
        holdfast.start("run", root=tmp_path, config=other, allow_change=("layers", "gone", "new"))
    for _ in range(2):  # an attempt that records nothing new changes nothing
        run = holdfast.start("run", root=tmp_path, config=other, allow_change=("lr", "layers", "gone", "new"))
        run.note("x")
        run.close()
    run = holdfast.start("run", root=tmp_path, config=other, allow_change=("lr", "layers", "gone", "new"))
    run.note("x")
    run.note("y")
    run.close()
    with pytest.raises(SettingsDiffer, match=r"lr: 0\.2 → 0\.1"):
        holdfast.start("run", root=tmp_path, config=config)
    run = holdfast.start("run", root=tmp_path, config=other)
    run.close()
    (tmp_path / "sessions" / "run" / "session.json").unlink()
    assert holdfast.Workspace(tmp_path).session("run").config["lr"] == 0.2


def test_a_configuration_that_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    message = refusal(InvalidValue, lambda: holdfast.start("run", root=tmp_path / "work", config={"a": [open]}))
    assert message.startswith("config['a'][0]")
    assert not (tmp_path / "work").exists()


def test_other_tracked_objects_are_refused(tmp_path: Path) -> None:
    def program(names: str, **options: Any) -> list[int]:
        track = {name: Holder(a=1) for name in names}
        with holdfast.session("run", root=tmp_path, track=track, **options) as run:
            return list(run.loop(2))

    program("ab")
    before = everything(tmp_path)
    message = refusal(SettingsDiffer, lambda: program("bc"))
    assert "track: 'a' was tracked and is not now; track: 'c' was not tracked" in message
    assert 'allow_change=("track",)' in message
    assert "Nothing was changed" in message
    assert everything(tmp_path) == before
    assert program("bc", allow_change="track") == []
    holdfast.start("run", root=tmp_path, track={"a": Holder(), "b": Holder()}).close()  # the refused ones let go of the lock


# Wrong options ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("save_mode", "fast"),
        ("save_mode", None),
        ("save_mode", ["batch"]),
        ("durability", "memory"),
        ("on_full", "drop"),
        ("on_divergence", "ignore"),
        ("max_seconds", 0),
        ("max_seconds", -1),
        ("max_seconds", float("nan")),
        ("max_seconds", "60"),
        ("keep_last", 0),
        ("keep_last", 1),
        ("keep_last", 2.5),
        ("keep_last", "3"),
        ("keep_best", 5),
        ("epoch", "3"),
        ("epoch", 1.5),
        ("epoch", 2**64),
        ("tags", 5),
        ("tags", "abc"),
        ("notes", 5),
        ("config", 5),
        ("config", [1, 2]),
        ("track", [1]),
        ("track", 5),
        ("allow_change", 5),
        ("root", 5),
    ],
)
def test_a_wrong_option_is_named_with_its_value_and_leaves_nothing(tmp_path: Path, option: str, value: Any) -> None:
    options = {"root": tmp_path / "work", option: value}
    message = refusal(UsageError, lambda: holdfast.start("run", **options))
    assert option in message
    assert not (tmp_path / "work").exists()


def test_an_option_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="savemode"), holdfast.session("run", root=tmp_path, savemode="batch"):  # type: ignore[call-arg]  # as a program without types may
        pass
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda run: run.loop(-1),
        lambda run: run.loop("5"),
        lambda run: run.loop(2.5),
        lambda run: run.loop(5, checkpoint_every=0),
        lambda run: run.loop(5, checkpoint_every=-2),
        lambda run: run.loop(5, checkpoint_every=2.5),
        lambda run: run.loop(5, checkpoint_every="2"),
        lambda run: run.loop(5, checkpoint_seconds=0),
        lambda run: run.loop(5, checkpoint_seconds=-1),
        lambda run: run.loop(5, checkpoint_seconds="1"),
        lambda run: run.flush("saved"),
        lambda run: run.flush("copied:tape"),
        lambda run: run.set_interval(tokens=0),
        lambda run: run.set_interval(emissions=1.5),
        lambda run: run.set_interval(checkpoint=-1),
        lambda run: run.set_interval(checkpoint="x"),
        lambda run: run.on("tokn", print),
        lambda run: run.lane(""),
        lambda run: run.lane(5),
        lambda run: run.checkpoint(5),
        lambda run: run.step(5, print),
        lambda run: run.once(5, print),
    ],
)
def test_a_wrong_argument_is_refused_and_the_run_goes_on(tmp_path: Path, call: Callable[[Any], object]) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        run.note("before")
        assert len(refusal(UsageError, lambda: call(run))) > 20
        assert list(run.loop(2)) == [0, 1]
        run.note("after")
    assert [fields["text"] for fields in canonical(tmp_path)] == ["before", "after"]


# At the wrong time or place ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_after_close_nothing_is_recorded_and_every_call_says_so(tmp_path: Path, mode: SaveMode) -> None:
    source = tmp_path / "file"
    source.write_text("x")
    root = tmp_path / "work"
    run = holdfast.start("run", root=root, save_mode=mode)
    run.token("x")
    run.close()
    before = left_in(root)
    ran: list[int] = []
    calls: list[Callable[[], object]] = [
        lambda: run.token("y"),
        lambda: run.token("y", z=0.5, meta={"a": [1]}),
        lambda: run.tokens(["y"]),
        lambda: run.emission("y"),
        lambda: run.metric(a=1),
        lambda: run.module("a", 1),
        lambda: run.transition(1, 2),
        lambda: run.event("a"),
        lambda: run.note("a"),
        lambda: run.file(source),
        lambda: run.step("a", lambda: ran.append(1)),
        lambda: run.once("a", lambda: ran.append(1)),
        lambda: run.checkpoint(),
        lambda: list(run.loop(2)),
        lambda: run.flush(),
        lambda: run.flush("synced"),
    ]
    for call in calls:
        message = refusal(SessionClosed, call)
        assert "session 'run' is closed" in message
        assert "open it again to record more" in message
    assert ran == []
    run.close()
    assert left_in(root) == before
    assert len(canonical(root)) == 1


def test_without_a_session_there_is_no_current_run(tmp_path: Path) -> None:
    message = refusal(NoSession, current_run)
    assert "no session is open" in message
    assert "open one with holdfast.session(...)" in message
    with holdfast.session("run", root=tmp_path) as run:
        assert current_run() is run
    refusal(NoSession, current_run)


def test_a_loop_within_a_loop_takes_no_checkpoints_of_its_own(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        for _ in run.loop(1):
            for options in ({"checkpoint_every": 2}, {"checkpoint_seconds": 1.0}):
                message = refusal(UsageError, lambda options=options: run.loop(3, **options))  # type: ignore[misc]
                assert "a loop inside a loop or step takes no checkpoints of its own; give them to the outer one" in message
            assert list(run.loop(2)) == [0, 1]
        run.step("x", lambda: refusal(UsageError, lambda: run.loop(3, checkpoint_every=1)))


def test_loops_steps_and_checkpoints_belong_to_the_thread_that_opened_the_session(tmp_path: Path) -> None:
    messages: list[str] = []
    with holdfast.session("run", root=tmp_path) as run:

        def work() -> None:
            for call in (lambda: run.loop(1), lambda: run.step("x", list), run.checkpoint):
                messages.append(refusal(UsageError, call))
            run.note("records come from any thread")

        thread = threading.Thread(target=work, name="worker")
        thread.start()
        thread.join()
        with run.lane("side"):
            messages.append(refusal(UsageError, lambda: run.loop(1)))
    for message, what in zip(messages, ("loop", "step", "checkpoint", "loop"), strict=True):
        assert f"run.{what} belongs to the thread that opened the session" in message
        assert "nothing was changed" in message.lower()
    assert [fields["lane"] for fields in canonical(tmp_path)] == ["worker"]


def test_a_second_process_on_a_live_session_is_told_who_holds_it(tmp_path: Path) -> None:
    with holdfast.session("run", root=tmp_path) as run:
        run.note("x")
        message = refusal(SessionBusy, lambda: holdfast.start("run", root=tmp_path))
        assert f"session 'run' is open in this process ({os.getpid()}) already; run.close() ends it there" in message
        assert "It goes on undisturbed; wait for it, stop it, or use another name" in message
        run.note("y")
    assert len(canonical(tmp_path)) == 2


@pytest.mark.parametrize("path", ["missing", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, path: str) -> None:
    with holdfast.session("run", root=tmp_path / "work") as run:
        message = refusal(HoldfastError, lambda: run.file(tmp_path / path))
        assert str(tmp_path / path) in message
        run.note("after")
    assert [fields["kind"] for fields in canonical(tmp_path / "work")] == ["note"]
    assert not any("files" in name for name in left_in(tmp_path / "work"))


def test_a_hundred_failed_starts_leave_no_litter(tmp_path: Path) -> None:
    for number in range(100):
        with pytest.raises(HoldfastError):
            holdfast.start(f"run {number}" if number % 2 else None, root=tmp_path, track={"a": Holder(b=open)})
        with pytest.raises(ValueError, match="stop"):
            _fail_at_once(tmp_path)
    assert left_in(tmp_path) == []


def _fail_at_once(root: Path) -> None:
    with holdfast.session(root=root):
        raise ValueError("stop")
