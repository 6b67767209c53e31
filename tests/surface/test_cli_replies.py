"""Every reply of KIRA can be shown, in lines of which none is lost without a word."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.cli import replies
from tests.helpers.talking import Scripted

STATE = {
    "z": 0.9, "phase": "TRUE", "k_formed": True, "tier": "t7", "crystal": "Prismatic", "coherence": 1.0, "negentropy": 0.96,
    "triad_completions": 7, "triad_unlocked": True, "k_threshold": 7,
}  # fmt: skip


def shown(capsys: pytest.CaptureFixture[str], result: dict[str, Any], kind: str = "command") -> str:
    capsys.readouterr()
    replies.print_reply({"type": kind, "result": result, "state": STATE})
    return capsys.readouterr().out


def test_the_reply_to_everything_that_a_line_may_begin_with_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    session = partial(holdfast.session, "kira", root=tmp_path)
    first = Scripted(["/evolve 0.88", "the lens holds"])
    holdfast.converse(session, first)
    names = [name for name in first.facts["names"] if name not in ("/exit", "/quit")]
    talk = Scripted([*first._lines, *names, *(f"{name} the lens holds" for name in names), "/reset", *names])
    holdfast.converse(session, talk)
    monkeypatch.setattr(replies, "_long", lambda value: pytest.fail(str(value)) if "command" in value else None)
    for reply in talk.replies:
        replies.print_reply(reply)
        out = capsys.readouterr().out
        assert out.strip(), reply["line"]
        assert max(map(len, out.splitlines())) < 400, reply["line"]
        assert len(out.splitlines()) < 70, reply["line"]


def test_a_long_list_is_cut_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, {"command": "/x", "names": [f"name {number}" for number in range(1_234)]})
    assert "… (1,224 more; all of it is in the log)" in out
    rows = shown(capsys, {"command": "/x", "rows": [{"a": number, "b": None} for number in range(11)]})
    assert "… (1 more; all of it is in the log)" in rows
    assert "more" not in shown(capsys, {"command": "/x", "rows": [{"a": number} for number in range(10)]})


def test_a_long_text_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert "word " * 99 in shown(capsys, {"command": "/x", "text": "word " * 100})


def test_a_reply_of_a_shape_that_is_not_known_is_shown_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert "/evolve" in shown(capsys, {"command": "/evolve", "z_before": 0.5, "other": [1, 2]})
    assert "z " in shown(capsys, {"command": "/state"})


def test_control_signs_in_a_reply_are_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\\x1b[2J" in shown(capsys, {"command": "", "error": "no \x1b[2J"}, "error")
    assert "\x1b" not in shown(capsys, {"command": "/x", "text": "a\x1bb" * 50, "list": ["\x1b"], "rows": [{"a": "\x1b"}]})


def test_where_z_stands_is_shown_with_its_regime_and_k(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, {"command": "/evolve", "z_before": 0.8, "z_after": 0.9, "target": 0.9, "events": ["↑ RISING EDGE #7"]})
    assert "z 0.800000 → 0.900000" in out
    assert "↑ RISING EDGE #7" in out
    assert "█" * 45 + "·" * 5 + " 0.900000 TRUE" in out
    assert "TRIAD 7 unlocked, K formed (R ≥ 7)" in out
