"""Search the tokens of a workspace: each session by its index, and what that has not seen yet by its log."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from holdfast.errors import HoldfastError
from holdfast.reading.filters import Filter
from holdfast.reading.hits import Found, Hits, Meta
from holdfast.reading.index.session import SessionIndex, Snapshot
from holdfast.reading.locate import located
from holdfast.reading.patterns import Pattern
from holdfast.storage.files import Files
from holdfast.storage.host import boot_id
from holdfast.storage.reader import LogReader

Progress = Callable[[str, int, int], object]
"""Is told of a session that is being indexed: records done, and of how many."""


class Searcher:
    """Searches the sessions of a workspace, and keeps their indexes open in between."""

    def __init__(self, files: Files, root: Path) -> None:
        self._files, self._root = files, root
        self._indexes: dict[str, SessionIndex] = {}

    def search(
        self,
        sessions: Collection[str],
        pattern: Pattern,
        wanted: Filter,
        metas: Sequence[Meta],
        *,
        strict: bool,
        progress: Progress = lambda session, done, total: None,
    ) -> Hits:
        """What a pattern finds in these sessions now. strict: raise where one cannot be read, else tell of it in a notice."""
        snapshots: list[Snapshot] = []
        notices: list[str] = []
        for gone in [name for name in self._indexes if name not in sessions and not strict]:
            del self._indexes[gone]
        for name in sessions:
            try:
                snapshot = self._snapshot(name, progress)
            except HoldfastError as error:
                if strict:
                    raise
                notices.append(f"session {name!r} was not searched: {error}")
                continue
            notices += snapshot.notices
            if snapshot.pieces:
                snapshots.append(snapshot)
        snapshots.sort(key=lambda snapshot: (snapshot.created, snapshot.session))
        found = [
            Found(snapshot, piece, pattern, wanted, metas) for snapshot in snapshots for piece in snapshot.pieces if len(piece)
        ]
        return Hits(pattern, found, snapshots, notices)

    def _snapshot(self, session: str, progress: Progress) -> Snapshot:
        log = self._root / "sessions" / session / "log" / "main"
        index = self._indexes.get(session)
        if index is None:
            index = SessionIndex(self._files, self._root, session, lambda: LogReader(self._files, log, boot_id()))
            self._indexes[session] = index
        with located(self._files, log):
            return index.snapshot(lambda done, total: progress(session, done, total))
