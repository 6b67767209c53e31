"""What was saved, kind by kind: the half of a workspace that loads."""

from collections.abc import Callable, Collection
from typing import TypeVar

from holdfast.errors import InvalidSetting
from holdfast.reading import shelves
from holdfast.reading.filters import Bounds, Filter, Moment, Names, count_of_last, filter_of
from holdfast.reading.loader import Rows, Source
from holdfast.reading.outline import Outlines
from holdfast.reading.rows import (
    EmissionRow,
    EventRow,
    FileRow,
    MetricRow,
    ModuleRow,
    NoteRow,
    Row,
    TokenRow,
    TransitionRow,
)
from holdfast.reading.shelves import Shelf

R = TypeVar("R", bound=Row)
Tiers = int | Collection[int] | None


class Saved:
    """Lazy sequences of typed rows: see Rows.

    All methods take these. session: a name, or several; None for all, the oldest first. epoch: of those the ones of this
    training epoch, by what the last attempt was opened with. since, until: by time, the first included, the second not;
    a datetime with a time zone, or microseconds since 1970. last: only the last so many. superseded: also what is no
    longer part of the run. Further: phase, tier, source (one, or several of which any will do), z (lowest and highest,
    both included; None for no bound). A name that nothing has is an empty result; a session that does not exist raises
    SessionNotFound, a filter that makes no sense InvalidSetting.
    """

    _outlines: Outlines

    def _sources(self, session: Names, epoch: int | None) -> list[Source]:
        raise NotImplementedError  # the workspace knows its sessions

    def tokens(
        self,
        session: Names = None,
        *,
        epoch: int | None = None,
        phase: Names = None,
        tier: Tiers = None,
        z: Bounds = None,
        since: Moment = None,
        until: Moment = None,
        source: Names = None,
        last: int | None = None,
        superseded: bool = False,
    ) -> Rows[TokenRow]:
        """Tokens, those of batches one by one."""
        wanted = filter_of(phase=phase, tier=tier, z=z, since=since, until=until, source=source, superseded=superseded)
        return self._rows(shelves.token_shelf, wanted, session, epoch, last)

    def emissions(
        self,
        session: Names = None,
        *,
        epoch: int | None = None,
        phase: Names = None,
        z: Bounds = None,
        since: Moment = None,
        until: Moment = None,
        last: int | None = None,
        superseded: bool = False,
    ) -> Rows[EmissionRow]:
        """Emissions."""
        wanted = filter_of(phase=phase, z=z, since=since, until=until, superseded=superseded)
        return self._rows(shelves.emission_shelf, wanted, session, epoch, last)

    def modules(
        self,
        phase: Names = None,
        *,
        name: Names = None,
        session: Names = None,
        epoch: int | None = None,
        since: Moment = None,
        until: Moment = None,
        last: int | None = None,
        superseded: bool = False,
    ) -> Rows[ModuleRow]:
        """Results of modules, stages, steps and tools."""
        wanted = filter_of(names=name, phase=phase, since=since, until=until, superseded=superseded)
        return self._rows(shelves.module_shelf, wanted, session, epoch, last)

    def metrics(
        self,
        name: Names = None,
        *,
        session: Names = None,
        epoch: int | None = None,
        since: Moment = None,
        until: Moment = None,
        last: int | None = None,
        superseded: bool = False,
    ) -> Rows[MetricRow]:
        """Metrics, a row for each value."""
        wanted = filter_of(names=name, since=since, until=until, superseded=superseded)
        return self._rows(shelves.metric_shelf, wanted, session, epoch, last)

    def transitions(
        self,
        session: Names = None,
        *,
        epoch: int | None = None,
        since: Moment = None,
        until: Moment = None,
        last: int | None = None,
        superseded: bool = False,
    ) -> Rows[TransitionRow]:
        """Changes of state."""
        wanted = filter_of(since=since, until=until, superseded=superseded)
        return self._rows(shelves.transition_shelf, wanted, session, epoch, last)

    def events(
        self,
        name: Names = None,
        *,
        session: Names = None,
        epoch: int | None = None,
        since: Moment = None,
        until: Moment = None,
        last: int | None = None,
        superseded: bool = False,
    ) -> Rows[EventRow]:
        """Events."""
        wanted = filter_of(names=name, since=since, until=until, superseded=superseded)
        return self._rows(shelves.event_shelf, wanted, session, epoch, last)

    def files(
        self,
        name: Names = None,
        *,
        session: Names = None,
        epoch: int | None = None,
        since: Moment = None,
        until: Moment = None,
        last: int | None = None,
        superseded: bool = False,
    ) -> Rows[FileRow]:
        """Files whose content was recorded."""
        wanted = filter_of(names=name, since=since, until=until, superseded=superseded)
        return self._rows(shelves.file_shelf, wanted, session, epoch, last)

    def notes(
        self,
        session: Names = None,
        *,
        epoch: int | None = None,
        since: Moment = None,
        until: Moment = None,
        last: int | None = None,
        superseded: bool = False,
    ) -> Rows[NoteRow]:
        """Remarks that the program made."""
        wanted = filter_of(since=since, until=until, superseded=superseded)
        return self._rows(shelves.note_shelf, wanted, session, epoch, last)

    def _rows(
        self, shelf: Callable[[Filter], Shelf[R]], wanted: Filter, session: Names, epoch: int | None, last: int | None
    ) -> Rows[R]:
        count = count_of_last(last)
        if epoch is not None and (isinstance(epoch, bool) or not isinstance(epoch, int)):
            raise InvalidSetting(f"epoch={epoch!r} is no training epoch: give a whole number, or leave it out")
        return Rows(self._sources(session, epoch), shelf(wanted), self._outlines, last=count)
