"""When an accepted record is flushed, and what happens when the disk is full."""

from typing import Literal, get_args

import msgspec

from holdfast.errors import InvalidSetting

SaveMode = Literal["continuous", "batch", "checkpoint"]
Durability = Literal["process", "power"]
OnFull = Literal["raise", "wait"]


class SavePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How a session saves. In batch mode whichever limit comes first flushes; a phase change always does.

    tokens and emissions are counts in the buffer (other kinds count as tokens); seconds is the age of the oldest
    record in it. checkpoint is the time between two time-driven checkpoints, in seconds; None for none of them.
    """

    save_mode: SaveMode = "continuous"
    durability: Durability = "process"
    on_full: OnFull = "raise"
    tokens: int = 100
    emissions: int = 10
    seconds: float = 1.0
    checkpoint: float | None = 300.0
    buffer_records: int = 10_000
    buffer_bytes: int = 8 << 20

    def __post_init__(self) -> None:
        for name, value, known in (
            ("save_mode", self.save_mode, get_args(SaveMode)),
            ("durability", self.durability, get_args(Durability)),
            ("on_full", self.on_full, get_args(OnFull)),
        ):
            if value not in known:
                raise InvalidSetting(f"{name}={value!r} is not known; it is one of {', '.join(known)}")
        for name, count in (("tokens", self.tokens), ("emissions", self.emissions)):
            if not isinstance(count, int) or count < 1:
                raise InvalidSetting(f"{name}={count!r} is a number of records between two flushes, at least 1")
        for name, seconds in (("seconds", self.seconds), ("checkpoint", self.checkpoint)):
            if seconds is not None and (not isinstance(seconds, int | float) or not seconds > 0):
                raise InvalidSetting(f"{name}={seconds!r} is a number of seconds above 0")

    @property
    def flush_at(self) -> int:
        """Records in the buffer at which it is flushed."""
        return min(self.tokens, self.buffer_records) if self.save_mode == "batch" else self.buffer_records
