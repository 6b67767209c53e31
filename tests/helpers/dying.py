"""A process that dies, within a test's own process."""

from holdfast.errors import SessionClosed
from holdfast.sessions.session import Run


def kill(run: Run) -> None:
    """Leave everything as SIGKILL would: not another byte is written, the lock is free, and what was buffered is gone."""
    if run.is_closed:
        return
    recorder = run._recorder
    run._is_closed = True
    run._preemption.release()
    recorder.buffer.clear()
    recorder.end(SessionClosed("killed"))
    if run._flusher is not None:
        run._flusher.stop()
    recorder.log.release()
    opening = run._parts.on_closed.__self__  # type: ignore[attr-defined]  # a bound method of _Opening
    opening._lock.abandon()
