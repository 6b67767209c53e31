"""The timer of batch mode: a quiet program's records are flushed too."""

import threading

from holdfast.recording.recorder import Recorder


class Flusher:
    """A thread that flushes what has waited for `seconds`, until it is stopped."""

    def __init__(self, recorder: Recorder, seconds: float) -> None:
        self._recorder, self._seconds = recorder, seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="holdfast-flusher", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # Twice in the time: what is there at one call and still there at the next is older than half of it.
        while not self._stop.wait(self._seconds / 2):
            self._recorder.flush_if_aged()

    def stop(self) -> None:
        """End the thread, after what it is doing."""
        self._stop.set()
        self._thread.join()
