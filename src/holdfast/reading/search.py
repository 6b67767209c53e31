"""Search the tokens of a workspace: each session by its index, and what that has not seen yet by its log."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from holdfast.errors import HoldfastError
from holdfast.reading.filters import Bounds, Filter, Moment, Names, filter_of
from holdfast.reading.hits import Found, Hits, Meta, meta_of
from holdfast.reading.index.session import SessionIndex, Snapshot
from holdfast.reading.index.store import forget_the_gone
from holdfast.reading.locate import located
from holdfast.reading.opening import open_log
from holdfast.reading.patterns import Pattern, compile_pattern
from holdfast.reading.texts import TextHits, TextSearcher
from holdfast.storage.files import Files
from holdfast.storage.host import boot_id

Progress = Callable[[str, int, int], object]
"""Is told of a session that is being indexed: records done, and of how many."""


class Searching:
    """Tokens by what they say: the half of a workspace that searches."""

    _searcher: "Searcher"

    def _names(self, session: Names, epoch: int | None) -> list[str]:
        raise NotImplementedError  # the workspace knows its sessions

    def search(
        self,
        pattern: str,
        *,
        regex: bool = False,
        session: Names = None,
        epoch: int | None = None,
        phase: Names = None,
        tier: int | Collection[int] | None = None,
        z: Bounds = None,
        since: Moment = None,
        until: Moment = None,
        source: Names = None,
        meta: str | Collection[str] = (),
        superseded: bool = False,
        progress: Progress = lambda session, done, total: None,
    ) -> Hits:
        """The tokens that a pattern finds (docs/command.md, "search"), as the sessions are now.

        session: a name, or several; None for all. epoch: of those the ones whose last attempt was opened with it. phase, tier,
        source: one, or several of which any will do. z: lowest and highest, both included. since, until: by time, the first
        included, the second not. meta: KEY or KEY=VALUE of the token's metadata, all of several. superseded: also what is no
        longer part of the run. progress: told of a session that is being indexed, records done and of how many.

        Raises BadPattern, InvalidSetting, and where a session was named SessionNotFound and what reading it raises; of all
        sessions those that cannot be read are told in `notices`.
        """
        asked = compile_pattern(pattern, regex=regex)
        wanted = filter_of(phase=phase, tier=tier, z=z, since=since, until=until, source=source, superseded=superseded)
        metas = [meta_of(text) for text in ([meta] if isinstance(meta, str) else meta)]
        names = self._names(session, epoch)
        return self._searcher.search(names, asked, wanted, metas, strict=session is not None, progress=progress)

    def search_texts(
        self,
        text: str,
        *,
        session: Names = None,
        epoch: int | None = None,
        phase: Names = None,
        z: Bounds = None,
        since: Moment = None,
        until: Moment = None,
        superseded: bool = False,
        progress: Progress = lambda session, done, total: None,
    ) -> TextHits:
        """The emissions and notes that hold a text somewhere, capitals or not, as the sessions are now. The words mean what
        they mean in `search`, and the same is raised."""
        wanted = filter_of(phase=phase, z=z, since=since, until=until, superseded=superseded)
        names = self._names(session, epoch)
        return self._searcher.search_texts(names, text, wanted, strict=session is not None, progress=progress)


class Searcher:
    """Searches the sessions of a workspace, and keeps their indexes open in between."""

    def __init__(self, files: Files, root: Path) -> None:
        self._files, self._root = files, root
        self._indexes: dict[str, SessionIndex] = {}
        self._is_swept = False  # once is enough: it looks at every folder of the index
        self.search_texts = TextSearcher(files, root).search

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
        for gone in [name for name in self._indexes if not self._files.exists(self._root / "sessions" / name)]:
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
        if len(snapshots) and not self._is_swept:
            forget_the_gone(self._files, self._root)
            self._is_swept = True
        return Hits(pattern, found, snapshots, notices)

    def _snapshot(self, session: str, progress: Progress) -> Snapshot:
        folder = self._root / "sessions" / session
        index = self._indexes.get(session)
        if index is None:
            index = SessionIndex(self._files, self._root, session, lambda: open_log(self._files, folder, boot_id()))
            self._indexes[session] = index
        with located(self._files, folder / "log" / "main"):
            return index.snapshot(lambda done, total: progress(session, done, total))
