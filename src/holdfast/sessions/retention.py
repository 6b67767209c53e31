"""Which checkpoints are kept: the last ones, the best one, and every one with a name."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from holdfast.errors import InvalidSetting
from holdfast.records import Checkpoint

_ALWAYS = 2


@dataclass(frozen=True, kw_only=True)
class Retention:
    """keep_last: how many of the newest stay (None: all; at least 2). keep_best: the metric whose best checkpoint stays too,
    "loss" (the lowest) or "max:accuracy" (the highest). Checkpoints with a name (milestones) always stay."""

    keep_last: int | None = None
    keep_best: str | None = None

    def __post_init__(self) -> None:
        if self.keep_last is not None and (not isinstance(self.keep_last, int) or self.keep_last < _ALWAYS):
            raise InvalidSetting(f"keep_last={self.keep_last!r}: at least {_ALWAYS} checkpoints are always kept")

    def superfluous(self, kept: Iterable[Checkpoint]) -> list[Checkpoint]:
        """Those of the kept checkpoints, given in order, whose files may go."""
        checkpoints = list(kept)
        if self.keep_last is None:
            return []
        stay = {record.n for record in checkpoints[-max(self.keep_last, _ALWAYS) :]}
        stay |= {record.n for record in checkpoints if record.name is not None}
        if self.keep_best is not None:
            way, _, metric = self.keep_best.rpartition(":")
            rated = [(value, record.n) for record in checkpoints if (value := _number(record.metrics, metric)) is not None]
            if rated:
                stay.add((max(rated) if way == "max" else min(rated))[1])
        return [record for record in checkpoints if record.n not in stay and record.folder is not None]


def deletable_folders(gone: Iterable[Checkpoint], kept: Iterable[Checkpoint]) -> set[str]:
    """Folders of released checkpoints that no kept one refers to."""
    return _folders(gone) - _folders(kept)


def _folders(checkpoints: Iterable[Checkpoint]) -> set[str]:
    return {stored.name.partition("/")[0] for record in checkpoints for stored in record.files}


def _number(metrics: Any, name: str) -> float | None:
    value = metrics.get(name) if isinstance(metrics, dict) else None
    return float(value) if isinstance(value, int | float) and value == value else None
