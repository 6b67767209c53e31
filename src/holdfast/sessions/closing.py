"""The end of a session: what it is closed as, and what is let go of then."""

from collections.abc import Callable

from holdfast.errors import DiskFull, HoldfastError, Interrupted, SessionClosed
from holdfast.recording.flusher import Flusher
from holdfast.records import Closed
from holdfast.sessions.differences import Differences
from holdfast.sessions.parts import Parts
from holdfast.sessions.preemption import Preemption
from holdfast.sessions.program import Program
from holdfast.sessions.restoring import Restoring

_REASON_CHARACTERS = 2000


class Closing:
    """Closes a session once. is_closed: whether nothing more can be recorded. go_on: the program goes on behind a loop that it
    left."""

    def __init__(
        self,
        parts: Parts,
        program: Program,
        restoring: Restoring,
        differences: Differences,
        preemption: Preemption,
        flusher: Flusher | None,
        go_on: Callable[[], None],
    ) -> None:
        self._parts, self._program, self._restoring, self._differences = parts, program, restoring, differences
        self._preemption, self.flusher, self._go_on = preemption, flusher, go_on
        self._recorder, self._outlet = parts.recorder, parts.recorder.outlet
        self.is_closed = False

    def at_end_of_block(self, error: BaseException | None) -> None:
        """Close as what the end of a with statement says: finished, or by its exception interrupted or failed."""
        if isinstance(error, Interrupted):
            self._close("interrupted", error.reason)
        elif isinstance(error, KeyboardInterrupt):
            self._close("interrupted", "KeyboardInterrupt")
        elif error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
            try:
                self.close()
            except DiskFull as full:  # nobody will call it again
                self._close("failed", _reason_of(full))
                raise
        else:
            self._close("failed", _reason_of(error))

    def close(self) -> None:
        """Close as finished (see Run.close)."""
        if self.is_closed or self._recorder.is_foreign():
            return
        self._recorder.turn.refuse_inside("run.close")
        try:
            if self._outlet.failure is None:
                self._recorder.flush_accepted()
                self._go_on()
            if not self._has_only_looked():
                self._differences.ended()
        except DiskFull:
            raise
        except BaseException as error:
            self._close("failed", _reason_of(error))
            raise
        self._close("finished", None)

    def end(self, status: str, reason: str) -> None:
        """Close it as it is, to be gone on with; what fails is shown. For the end of the process."""
        try:
            self._close(status, reason[:_REASON_CHARACTERS])
        except HoldfastError as error:
            self._parts.notice(f"{self._parts.name} could not be closed: {error}")

    def _has_only_looked(self) -> bool:
        """Whether nothing came of this attempt: the program entered no loop or step, and ended before the place where the run
        is to go on, or without all that it has to repeat."""
        is_short = self._parts.expectations.remaining > 0 or self._restoring.at is not None
        is_idle = self._parts.point.is_finished or not self._recorder.matching.matched
        return is_short and is_idle and not self._outlet.has_begun and not self._program.has_entered

    def _close(self, status: str, reason: str | None) -> None:
        if self.is_closed or self._recorder.is_foreign():
            return
        closed = SessionClosed(f"session {self._parts.name!r} is closed; open it again to record more")
        record = Closed(status="interrupted", reason="closing was interrupted")
        was_finished = self._parts.point.is_finished and not self._outlet.has_begun and not self._parts.is_config_changed
        leaves_it = was_finished or self._has_only_looked()
        failed: HoldfastError | None = None
        self.is_closed = True
        try:
            self._preemption.release()
            if self.flusher is not None:
                self.flusher.stop()
            if status == "finished" and not leaves_it and self._outlet.log.n and self._outlet.failure is None:
                self._recorder.ensure_begun()
            self._recorder.close(Closed(status=status, reason=reason), closed)
            record = Closed(status=status, reason=reason)
        except HoldfastError as error:
            failed = error
            record = Closed(status="failed", reason=_reason_of(error))
        finally:
            try:
                self._recorder.let_go(closed)
                self._parts.expectations.close()
            finally:
                self._parts.on_closed(record)
        if failed is not None and status == "finished":
            raise failed  # else what ended the run is on its way already, and says more


def _reason_of(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_REASON_CHARACTERS]
