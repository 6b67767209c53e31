"""What was odd in the files that were read."""

from collections.abc import Iterator

import msgspec

JUNK = "junk token"
COUNT = "count"
IDS = "ids"
DIALECT = "dialect"
OVERWRITTEN = "overwritten epoch"
K_FORMED = "k_formed"
NEGENTROPY = "negentropy"
PRINTED = "printed r"
EMPTY_WORD = "empty word"
BROKEN = "broken"
NOT_JSON = "not JSON"
ENCODING = "encoding"
TIME = "time"
COPY = "copy"
NAME = "name"
FIELD = "field"
"""The kinds of findings."""
_SHOWN = 20  # of a kind in a file; more are only counted


class Finding(msgspec.Struct, frozen=True):
    """One thing that was odd. where: the field, as `tokens[3]`, or the line; count: of how many like it."""

    kind: str
    path: str
    where: str
    what: str
    count: int = 1


class Findings:
    """Those of one file, the first of each kind in words."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._found: dict[str, list[Finding]] = {}
        self._more: dict[str, int] = {}

    def add(self, kind: str, where: str, what: str, count: int = 1) -> None:
        """Note one."""
        known = self._found.setdefault(kind, [])
        if len(known) < _SHOWN:
            known.append(Finding(kind, self.path, where, what, count))
        else:
            self._more[kind] = self._more.get(kind, 0) + count

    def __iter__(self) -> Iterator[Finding]:
        for kind, found in self._found.items():
            yield from found
            if kind in self._more:
                yield Finding(kind, self.path, "", "further ones like these", self._more[kind])
