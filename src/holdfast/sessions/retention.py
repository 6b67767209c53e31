"""Which checkpoints are kept: the last ones, the best one, and every one with a name."""

from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from holdfast.errors import InvalidSetting
from holdfast.records import Checkpoint

_ALWAYS = 2


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """keep_last: how many of the newest stay (None: all; at least 2). keep_best: the metric whose best checkpoint stays too,
    "loss" (the lowest) or "max:accuracy" (the highest). Checkpoints with a name (milestones) always stay."""

    keep_last: int | None = None
    keep_best: str | None = None

    def __post_init__(self) -> None:
        if self.keep_last is not None and (not isinstance(self.keep_last, int) or self.keep_last < _ALWAYS):
            raise InvalidSetting(f"keep_last={self.keep_last!r}: at least {_ALWAYS} checkpoints are always kept")
        if self.keep_best is not None and not isinstance(self.keep_best, str):
            raise InvalidSetting(f'keep_best={self.keep_best!r} is the name of a metric, "loss" or "max:accuracy"')

    def superfluous(self, kept: Iterable[Checkpoint], dead: Collection[int] = ()) -> list[Checkpoint]:
        """Those of the kept checkpoints, given in order, whose files may go. Dead ones (by number of their record) go with the
        last one that is alive and older than they are, and never count."""
        checkpoints = list(kept)
        alive = [record for record in checkpoints if record.n not in dead and record.at is not None]
        if self.keep_last is None or not alive:
            return []
        newest = alive[-max(self.keep_last, _ALWAYS) :]
        stay = {record.n for record in checkpoints if record.n >= newest[0].n}
        stay |= {record.n for record in checkpoints if record.name is not None}
        stay |= {loop.ended for loop in newest[-1].loops if loop.ended is not None}
        if self.keep_best is not None:
            is_highest = self.keep_best.startswith("max:")
            metric = self.keep_best.removeprefix("max:")
            rated = [(value, record.n) for record in alive if (value := _number(record.metrics, metric)) is not None]
            if rated:
                stay.add((max(rated) if is_highest else min(rated))[1])
        return [record for record in checkpoints if record.n not in stay and record.folder is not None]


def deletable_folders(gone: Iterable[Checkpoint], kept: Iterable[Checkpoint]) -> set[str]:
    """Folders of released checkpoints that no kept one refers to."""
    return folders_of(gone) - folders_of(kept)


def bytes_in(folders: Collection[str], checkpoints: Iterable[Checkpoint]) -> int:
    """Bytes of the files in those folders that checkpoints refer to, each counted once."""
    sizes = {stored.name: stored.size for record in checkpoints for stored in record.files}
    return sum(size for name, size in sizes.items() if name.partition("/")[0] in folders)


def folders_of(checkpoints: Iterable[Checkpoint]) -> set[str]:
    """Folders that checkpoints refer to."""
    return {stored.name.partition("/")[0] for record in checkpoints for stored in record.files}


def _number(metrics: Any, name: str) -> float | None:
    value = metrics.get(name) if isinstance(metrics, dict) else None
    return float(value) if isinstance(value, int | float) and value == value else None
