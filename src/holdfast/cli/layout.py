"""Which columns of a table fit into a line, and how wide each of them is."""

from collections.abc import Sequence
from dataclasses import dataclass

GAP = 2  # signs between two columns


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table.

    least: down to how many signs its cells may be cut, or drawn; None: they are useful whole. rank: where there is no room the
    column with the highest goes first, and one of rank 0 never.
    """

    name: str
    right: bool = False
    least: int | None = None
    rank: int = 0


def fit(columns: Sequence[Column], natural: Sequence[int], room: int) -> list[int]:
    """The width of each column, 0 for one that is left out. natural: what each would take; 0 where there is nothing in it."""
    least = [
        width if column.least is None else min(width, column.least) for column, width in zip(columns, natural, strict=True)
    ]
    kept = [index for index, width in enumerate(natural) if width]
    widths = [*least]

    def spare() -> int:
        return room - sum(widths[index] for index in kept) - GAP * (len(kept) - 1)

    for index in sorted((index for index in kept if columns[index].rank), key=lambda index: -columns[index].rank):
        if spare() >= 0:
            break
        kept.remove(index)
    growing = sorted((index for index in kept if least[index] < natural[index]), key=lambda index: natural[index])
    for place, index in enumerate(growing):  # those that want little get it, the others share the rest
        widths[index] += min(natural[index] - least[index], max(0, spare()) // (len(growing) - place))
    while spare() < 0 and any(widths[index] > 1 for index in kept):
        widths[max(kept, key=lambda index: widths[index])] -= 1
    return [width if index in kept else 0 for index, width in enumerate(widths)]
