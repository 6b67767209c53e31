"""State that comes back: at the loop or step in which a run goes on, and at the ends of what it passes on its way there."""

from typing import Any

from holdfast import codec
from holdfast.errors import StorageError
from holdfast.sessions.parts import Parts
from holdfast.sessions.refusals import refuse_other_objects


class Restoring:
    """Gives everything tracked the state that it had.

    at: key of the loop or step that the last checkpoint lies in, where its state is to come back; None once it has, and where
    there is none. is_on_the_way: the program passes what it did before that, or has another way to go since it was changed.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        checkpoint = parts.point.checkpoint
        self.at = checkpoint.at if checkpoint else None
        self.is_on_the_way = self.at is not None
        self._state = parts.store.load(checkpoint) if checkpoint else None
        if self._state is not None:
            refuse_other_objects(parts.name, parts.tracked, self._state[0], parts.settings)
        self._has_told_of_lost_state = False

    def restore(self) -> None:
        """Bring back the state of the checkpoint that the run goes on from."""
        assert self._state is not None
        (state, arrays), self._state, self.at = self._state, None, None
        self.is_on_the_way = False
        self._bring_back(state, arrays)

    def give_up(self) -> None:
        """The step whose state was to come back is no part of the program any more: the run goes on from where it is."""
        self._state = self.at = None

    def restore_passed(self, n: int, key: str) -> None:
        """Bring back the state at the end of a loop or step that the run passes on its way to where it goes on: code behind it
        may look. n is the record of the checkpoint taken there; one that is gone is done without."""
        parts = self._parts
        record = parts.checkpoint_at(n)
        if record is None or record.at != key:
            return
        try:
            state, arrays = parts.store.load(record)
        except StorageError:
            parts.expectations.trusts_top = True
            if not self._has_told_of_lost_state:  # a run of many steps would tell it of each
                self._has_told_of_lost_state = True
                parts.notice(
                    f"the state at the end of {key} is not there any more (keep_last let it go, or its files are damaged); "
                    "until the run goes on, the program sees an older one, and what it records outside loops and steps counts "
                    "as repeated whatever its values. Others like it are not told"
                )
        else:
            self._bring_back(state, arrays)

    def _bring_back(self, state: dict[str, Any], arrays: codec.ArraySource) -> None:
        recorder = self._parts.recorder
        self._parts.expectations.trusts_top = False
        recorder.capture("load_state_dict")
        try:
            self._parts.tracked.restore(state, arrays)
        finally:
            recorder.capturing = 0  # first: an interrupt may come with the call
            recorder.capture(None)
