"""SQL against the loader, on random sessions: attempts, superseded ranges, lanes, batches, seals in between."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Workspace
from holdfast.reading.columns import shown_text
from holdfast.reading.index.build import text_of
from holdfast.reading.seal import seal_log
from holdfast.reading.sql.tables import TABLES
from holdfast.reading.tables import json_of
from holdfast.records import Closed, Range, Resumed, Superseded, Token
from holdfast.sessions.folder import SessionFolder
from holdfast.storage.log import LogWriter
from holdfast.storage.recovery import recover
from holdfast.storage.sealed import quoted
from tests.property.test_loader_model import BOOT, FILES, attempts, numbers, write


def shown(table: str, name: str, value: Any) -> Any:
    """A field of a row as SQL has it."""
    if name == "token":
        return shown_text(text_of(value))
    if TABLES[table].columns[name] == "JSON":
        return None if value is None else json_of(value)
    return shown_text(value) if isinstance(value, str) else value


def assert_same(workspace: Workspace, table: str, *, superseded: bool) -> None:
    options = {} if table == "checkpoints" else {"superseded": superseded}
    rows: Any = getattr(workspace, table)(session=["s0", "s1"], **options)
    columns = [name for name in TABLES[table].columns if name != "exact"]
    order = "session, n, place" if table == "tokens" else "session, n, name" if table == "metrics" else "session, n"
    found = list(
        workspace.sql(f"select {', '.join(map(quoted, columns))} from {table} order by {order}", superseded=superseded)
    )
    expected = [tuple(shown(table, name, getattr(row, name)) for name in columns) for row in rows]
    if table == "metrics":
        expected.sort(key=lambda row: (row[0], row[1], row[columns.index("name")]))
    assert found == expected


@settings(max_examples=60)
@given(recorded=attempts, other=attempts, more=attempts, superseded=st.booleans(), is_sealed=st.booleans())
def test_sql_says_what_the_loader_says(
    tmp_path_factory: pytest.TempPathFactory, recorded: Any, other: Any, more: Any, superseded: bool, is_sealed: bool
) -> None:
    root = tmp_path_factory.getbasetemp() / f"sql{next(numbers)}"
    folder = SessionFolder(FILES, root, "s0")
    write(folder, recorded)
    write(SessionFolder(FILES, root, "s1"), other)
    workspace = Workspace(root)
    for table in TABLES:
        if table != "files":
            assert_same(workspace, table, superseded=superseded)
    if is_sealed:
        seal_log(FILES, folder.log, folder.lock, folder.name, BOOT, least_bytes=1, most_bytes=1500)
    write(folder, more)  # further attempts, that take back some of what was taken in
    for table in ("tokens", "events", "metrics"):
        assert_same(workspace, table, superseded=superseded)
        assert_same(Workspace(root), table, superseded=not superseded)
    shutil.rmtree(root)


def test_what_is_taken_back_after_it_was_asked_for_is_left_out(tmp_path: Path) -> None:
    folder = SessionFolder(FILES, tmp_path, "s0")
    write(folder, [([Token(token=f"t{index}") for index in range(6)], [], False, False)])
    write(SessionFolder(FILES, tmp_path, "s1"), [([], [], False, False)])
    workspace = Workspace(tmp_path)
    assert_same(workspace, "tokens", superseded=False)
    past = recover(FILES, folder.log, BOOT)
    log = LogWriter(FILES, folder.log, past, session="s0", attempt=2, boot=BOOT, durability="process", use_map=False)
    log.append_batch([Resumed(ts=1, attempt=2), Superseded(ts=1, ranges=[Range(3, 4)], reason="differs")])
    log.close(Closed(ts=1, status="interrupted"))
    assert len(workspace.tokens("s0")) == 4
    assert_same(workspace, "tokens", superseded=False)
    assert_same(workspace, "tokens", superseded=True)
