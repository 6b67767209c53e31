"""Files of the index: what they give back, and what is said of those that cannot be used."""

from pathlib import Path
from zlib import crc32

import msgspec
import numpy as np
import pytest

import holdfast
from holdfast.reading.index import session as indexing
from holdfast.reading.index.build import pieces_of
from holdfast.reading.index.piece import Piece, merge
from holdfast.reading.index.store import UnusableIndex, index_folder, piece_path, read_piece, stretches, sweep, write_piece
from holdfast.storage.host import boot_id
from holdfast.storage.reader import LogReader
from tests.helpers.quick import QuickFiles

FILES = QuickFiles()
TOKENS: list[str | int | bytes] = ["Φ×|M|celestial_em", "a", "x\ny", " a | b ", "é", 7, b"\xff"]


@pytest.fixture
def reader(tmp_path: Path) -> LogReader:
    with holdfast.session("s", root=tmp_path, files=FILES) as run:
        for index, token in enumerate(TOKENS * 5):
            run.token(token, z=None if index % 3 else 0.25, phase=["TRUE", None][index % 2], tier=index, source="here")
        run.tokens(["a", "zz"], z=[0.5, None])
    return LogReader(FILES, tmp_path / "sessions" / "s" / "log" / "main", boot_id())


def contents(piece: Piece) -> list[object]:
    """Everything of a piece, as it is asked for."""
    rows = np.arange(len(piece))
    texts = piece.dictionary.lines.texts(piece.codes.tolist())
    named = [[piece.names[name][code] for code in piece.columns[name]] for name in ("phase", "tier", "source", "lane")]
    numbers = [piece.values(name, rows).tolist() for name in ("n", "place", "ts", "top")]
    z = [None if value != value else value for value in piece.values("z", rows).tolist()]
    counts = piece.counts(slice(0, len(piece.dictionary))).tolist()
    return [piece.first, piece.last, piece.mark, texts, named, numbers, z, counts]


def whole(reader: LogReader) -> Piece:
    (piece,) = pieces_of(reader, 1, reader.last)
    return piece


def test_a_piece_comes_back_as_it_was_written(reader: LogReader, tmp_path: Path) -> None:
    piece = whole(reader)
    folder = index_folder(tmp_path, "s")
    path = write_piece(FILES, folder, piece)
    assert path == piece_path(folder, 1, reader.last)
    again = read_piece(FILES, path)
    assert contents(again) == contents(piece)
    assert contents(merge([again])) == contents(piece)
    assert stretches(FILES, folder) == [(1, reader.last)]


def test_pieces_put_together_are_the_piece_of_the_whole(reader: LogReader) -> None:
    pieces = list(pieces_of(reader, 1, 10)) + list(pieces_of(reader, 11, 12)) + list(pieces_of(reader, 13, reader.last))
    assert contents(merge(pieces)) == contents(whole(reader))


def test_a_piece_of_no_tokens_is_one(reader: LogReader, tmp_path: Path) -> None:
    (piece,) = pieces_of(reader, 1, 1)
    again = read_piece(FILES, write_piece(FILES, index_folder(tmp_path, "s"), piece))
    assert (len(again), again.first, again.last) == (0, 1, 1)
    assert contents(merge([again, *pieces_of(reader, 2, reader.last)])) == contents(whole(reader))


def test_many_tokens_come_in_several_pieces(reader: LogReader) -> None:
    pieces = list(pieces_of(reader, 1, reader.last, max_rows=1))
    assert [piece.first for piece in pieces[1:]] == [piece.last + 1 for piece in pieces[:-1]]
    assert pieces[-1].last == reader.last


@pytest.mark.parametrize("keep", [0, 7, 12, 16, 100, 1000, -1])
def test_half_a_file_is_told_from_a_whole_one(reader: LogReader, tmp_path: Path, keep: int) -> None:
    path = write_piece(FILES, index_folder(tmp_path, "s"), whole(reader))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UnusableIndex, match="half written"):
        read_piece(FILES, path)


def test_sweeping_leaves_what_others_may_be_writing_and_what_reaches_further(reader: LogReader, tmp_path: Path) -> None:
    folder = index_folder(tmp_path, "s")
    piece = whole(reader)
    write_piece(FILES, folder, piece)
    for first, last in ((1, 5), (6, reader.last), (1, reader.last + 1)):
        piece_path(folder, first, last).write_bytes(b"")
    (folder / ".x.tokens.1-0.tmp").write_bytes(b"")  # process 1 is always there
    (folder / ".x.tokens.999999999-0.tmp").write_bytes(b"")
    (folder / "README").write_bytes(b"")
    sweep(FILES, folder, [piece])
    left = {piece_path(folder, 1, reader.last).name, piece_path(folder, 1, reader.last + 1).name, ".x.tokens.1-0.tmp", "README"}
    assert {path.name for path in folder.iterdir()} == left


@pytest.fixture
def workspace(reader: LogReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> holdfast.Workspace:
    monkeypatch.setattr(indexing, "WRITTEN_FROM", 1)
    holdfast.Workspace(tmp_path).search("a")
    return holdfast.Workspace(tmp_path)


def the_file(workspace: holdfast.Workspace) -> Path:
    (path,) = (workspace.root / "index" / "s").glob("*.tokens")
    return path


def test_a_piece_of_a_newer_version_is_told_of_by_name_and_left_alone(workspace: holdfast.Workspace) -> None:
    path = the_file(workspace)
    head = msgspec.json.encode({"version": 2, "of": "another kind"})
    newer = path.read_bytes()[:8] + len(head).to_bytes(4, "little") + crc32(head).to_bytes(4, "little") + head
    path.unlink()
    path.write_bytes(newer)
    hits = workspace.search("a")
    assert len(hits) == 5 + 5 + 1  # alone, as a first part, and in the batch
    (notice,) = hits.notices
    assert notice.startswith(f"{path}: of version 2, and this Holdfast reads up to 1; the log itself was searched instead")
    assert path.read_bytes() == newer
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_half_written_piece_is_told_of_by_name_and_made_anew(workspace: holdfast.Workspace) -> None:
    path = the_file(workspace)
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[:500])
    hits = workspace.search("a")
    assert len(hits) == 5 + 5 + 1  # alone, as a first part, and in the batch
    assert [notice.partition(":")[0] for notice in hits.notices] == [str(path)]
    assert "half written" in hits.notices[0]
    assert path.read_bytes() == whole
    assert holdfast.Workspace(workspace.root).search("a").notices == ()


def test_pieces_of_another_log_are_not_believed(workspace: holdfast.Workspace) -> None:
    workspace.delete("s")
    with holdfast.session("s", root=workspace.root, files=FILES) as run:
        for _ in range(60):
            run.token("b")
    assert holdfast.Workspace(workspace.root).search("*").group_by("session") == {"s": 60}
    assert len(workspace.search("b")) == 60


def test_the_index_of_a_session_that_is_gone_goes_too(workspace: holdfast.Workspace) -> None:
    root = workspace.root
    workspace.rename("s", "t")
    (root / "index" / "mine").mkdir()
    (root / "index" / "mine" / "notes.txt").write_text("of the user")
    assert len(holdfast.Workspace(root).search("a")) == 11
    assert sorted(path.name for path in (root / "index").iterdir()) == ["mine", "t"]
    assert (root / "index" / "mine" / "notes.txt").exists()


def test_a_search_makes_no_folder_where_there_is_no_workspace(tmp_path: Path) -> None:
    workspace = holdfast.Workspace(tmp_path / "none")
    assert len(workspace.search("a")) == len(workspace.search_texts("a")) == 0
    assert not (tmp_path / "none").exists()
