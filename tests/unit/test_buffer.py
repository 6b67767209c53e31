"""recording/buffer.py and turn.py: what is accepted is written once, and in order, whatever comes in between."""

from _thread import get_ident
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.recording.policy import SaveMode
from tests.helpers.programs import canonical


def test_a_flush_that_is_interrupted_twice_writes_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with holdfast.session("run", root=tmp_path, save_mode="batch") as run:
        run.note("first")
        run.flush()
        outlet = run._recorder.outlet
        append, settle = outlet.log.append_batch, outlet.log.settle

        def written_and_interrupted(records: Any) -> bytes:
            append(records)
            raise KeyboardInterrupt

        def interrupted() -> Any:
            raise KeyboardInterrupt

        run.note("second")
        with monkeypatch.context() as once:
            once.setattr(outlet.log, "append_batch", written_and_interrupted)
            with pytest.raises(KeyboardInterrupt):
                run.flush()
        assert len(outlet.buffer.entries) == 1  # it is written, and not yet struck out
        with monkeypatch.context() as again:
            again.setattr(outlet.log, "settle", interrupted)
            with pytest.raises(KeyboardInterrupt):
                outlet.buffer.settle(outlet.log, outlet.counts)
        assert outlet.log.settle == settle
        run.note("third")
    assert [fields["text"] for fields in canonical(tmp_path)] == ["first", "second", "third"]


@pytest.mark.parametrize("mode", ["continuous", "batch"])
def test_nothing_overtakes_what_a_signal_handler_recorded(tmp_path: Path, mode: SaveMode) -> None:
    with holdfast.session("run", root=tmp_path, save_mode=mode) as run:
        run.note("first")
        run.flush()
        turn = run._recorder.turn
        turn.busy = get_ident()  # as in the middle of a record
        run.token("of the handler")
        turn.busy = 0
        run.token("behind it")
        assert turn.gate != 0  # and then the short way is open again
    assert [fields["token"] for fields in canonical(tmp_path)[1:]] == ["of the handler", "behind it"]
