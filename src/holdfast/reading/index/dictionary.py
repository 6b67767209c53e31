"""The distinct texts of many tokens, and which of them a pattern finds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from holdfast.reading.index.sorted_lines import Lines, lines_of
from holdfast.reading.patterns import BLANK, BLANKS, STAR, Pattern, part_source, plain_beginning, variants
from holdfast.reading.regex import Expression

if TYPE_CHECKING:
    from holdfast.reading.index.sorted_lines import Array

Selection: TypeAlias = "slice | Array"
"""Ids of texts: a stretch, or an ascending array of them."""

MAX_PARTS = 8
MAX_DIFFERENT_PARTS = 1 << 16
"""Where more different ones stand between two bars, these and those behind are not kept apart."""
_BLOCK_TEXTS = 1 << 12
_NEWLINE = b"\n"
_UNTIDY = Expression(rf"^{BLANK}|{BLANK}\||\|{BLANK}|[^\n]{BLANK}$")
_BLANK_SIGNS = [sign for sign in map(chr, range(0x3001)) if sign.isspace() and sign != "\n"] + ["\0"]


class Dictionary:
    """Distinct texts by id, in the order of their bytes, and their first parts between bars.

    parts: the distinct texts of each part that has not too many; codes: for each of these, which of them each text has (the
    first `counts[id]` count). Without them patterns go over the texts. is_tidy: no text has a blank at an end, or beside a bar,
    or a newline.
    """

    def __init__(
        self,
        lines: Lines,
        parts: Sequence[Lines] = (),
        codes: Sequence["Array"] = (),
        counts: "Array | None" = None,
        *,
        is_tidy: bool = False,
    ) -> None:
        self.lines, self.parts, self.codes, self.counts, self.is_tidy = lines, parts, codes, counts, is_tidy
        self._known: dict[Pattern, Selection] = {}

    def __len__(self) -> int:
        return len(self.lines)

    def select(self, pattern: Pattern) -> Selection:
        """The ids of the texts that a pattern finds."""
        found = self._known.get(pattern)
        if found is None:
            found = self._select(pattern)
            if len(self._known) > 64:
                self._known.clear()
            self._known[pattern] = found
        return found

    def forget(self) -> None:
        """Forget what was found before."""
        self._known.clear()

    def _select(self, pattern: Pattern) -> Selection:
        import numpy as np

        found = self._select_lines(pattern)
        odd = self.lines.odd
        if not odd:
            return found
        ids = np.arange(found.start, found.stop) if isinstance(found, slice) else found
        right = np.array([index for index, text in odd.items() if pattern.matches(text)], dtype=np.int64)
        return np.union1d(np.setdiff1d(ids, np.array(list(odd), dtype=np.int64)), right)

    def _select_lines(self, pattern: Pattern) -> Selection:
        everything = slice(0, len(self))
        if pattern.is_regex:
            return self.lines.found_by(pattern.expression, everything)
        if (glob := pattern.plain) is not None:
            return self._select_glob(pattern, glob)
        if self.counts is not None and self._can_go_by_parts(pattern):
            return self._select_parts(pattern, self.counts)
        return self._select_ranges(pattern)

    def _can_go_by_parts(self, pattern: Pattern) -> bool:
        """Whether the parts that are kept tell what a pattern finds, and behind them at most one plain part is asked for."""
        asked = [index for index, glob in enumerate(pattern.parts) if glob != (STAR,) and index >= len(self.parts)]
        if pattern.has_escaped_bar or (not pattern.has_bars and asked):
            return False
        return not asked or (asked == [len(self.parts)] and self.is_tidy and pattern.part_texts(asked[0]) is not None)

    def _select_glob(self, pattern: Pattern, glob: tuple[str | None, ...]) -> Selection:
        texts = [text for text in glob if text is not STAR]
        if not texts:
            return slice(0, len(self))
        if len(texts) == 1 and (all_of := variants(texts[0], limit=1)) is not None:
            text = all_of[0].encode()
            if glob == (text.decode(), STAR):
                return self.lines.beginning_with(text)
            if glob == (STAR, text.decode(), STAR) and _NEWLINE not in text:
                return self.lines.holding(text)
        start = plain_beginning(glob[0] or "").encode()
        return self.lines.found_by(pattern.expression, self.lines.beginning_with(start))

    def _select_parts(self, pattern: Pattern, counts: "Array") -> Selection:
        import numpy as np

        length = len(pattern.parts)
        if length == 1:
            kept = self._having(pattern, 0, slice(0, len(self))) & (counts > 1)
            return np.union1d(np.flatnonzero(kept), self._equal(pattern))
        known = min(length, len(self.parts))
        lead = self._leading_texts(pattern)
        where = self.lines.beginning_with("".join(f"{text}|" for text in lead).encode()) if lead else slice(0, len(self))
        kept = counts[where] == length if pattern.is_whole else counts[where] >= length
        for index in range(len(lead), known):
            if pattern.parts[index] != (STAR,):
                kept &= self._having(pattern, index, where)
        found = np.flatnonzero(kept) + where.start
        return self._with_text(pattern, found) if known < length and pattern.parts[known] != (STAR,) else found

    def _leading_texts(self, pattern: Pattern) -> list[str]:
        """The first parts that stand for one text each, which is then just so at the beginning of what is sought."""
        lead: list[str] = []
        for index in range(min(len(pattern.parts) - 1, len(self.parts))):
            texts = pattern.part_texts(index)
            if texts is None or len(texts) > 1 or self.parts[index].odd or self.parts[index].has_blanks:
                break
            lead += texts
        return lead

    def _having(self, pattern: Pattern, index: int, where: slice) -> "Array":
        """Which texts of a stretch have a part that is as asked for, as a mask."""
        import numpy as np

        lines = self.parts[index]
        wanted = np.zeros(len(lines), dtype=bool)
        texts = None if lines.odd or lines.has_blanks else pattern.part_texts(index)
        if texts is not None:
            for text in texts:
                wanted[lines.equal_to(text.encode())] = True
                if pattern.is_family(index):
                    wanted[lines.beginning_with(f"{text}_".encode())] = True
        else:
            expression = Expression(f"^{BLANKS}(?:{pattern.part_expression(index)}){BLANKS}$")
            wanted[lines.found_by(expression, slice(0, len(lines)))] = True
            for odd, text in lines.odd.items():
                wanted[odd] = expression.is_in(text)
        return wanted[self.codes[index][where]]

    def _with_text(self, pattern: Pattern, ids: "Array") -> "Array":
        """Those of tidy texts whose first part that is not kept is as asked for: a plain text, or a family."""
        import numpy as np

        index, signs = len(self.parts), self.lines.signs
        texts = [text.encode() for text in pattern.part_texts(index) or ()]
        is_end = np.zeros(256, dtype=bool)
        is_end[list(b"|\n_" if pattern.is_family(index) else b"|\n")] = True
        sizes = [np.diff(part.starts).astype(np.int64) for part in self.parts]  # with the bar behind each
        found: list[Array] = []
        for low in range(0, len(ids), _BLOCK_TEXTS):
            block = ids[low : low + _BLOCK_TEXTS]
            begins = self.lines.starts[block].astype(np.int64)
            for size, codes in zip(sizes, self.codes, strict=True):
                begins += size[codes[block]]
            lines_end = self.lines.starts[block + 1]
            for text in texts:
                left = np.flatnonzero(begins + len(text) < lines_end)
                for offset, sign in enumerate(text):
                    left = left[signs[begins[left] + offset] == sign]
                found.append(block[left[is_end[signs[begins[left] + len(text)]]]])
        if len(texts) > 1:
            return np.unique(np.concatenate(found)) if found else ids[:0]
        return np.concatenate(found) if found else ids[:0]

    def _equal(self, pattern: Pattern) -> "Array":
        """The texts that are just a pattern without bars and stars."""
        import numpy as np

        (text,) = pattern.parts[0]
        all_of = variants(text or "")
        if all_of is None:
            return self.lines.found_by(Expression(f"^{part_source(pattern.parts[0])}$"), slice(0, len(self)))
        spans = [self.lines.equal_to(one.encode()) for one in all_of]
        return np.array(sorted({index for span in spans for index in range(span.start, span.stop)}), dtype=np.int64)

    def _select_ranges(self, pattern: Pattern) -> Selection:
        """Without parts: the texts that begin as the pattern does, or, where blanks stand somewhere, with a blank."""
        import numpy as np

        starts = _beginnings(pattern, over_bars=self.is_tidy)
        if "" in starts:
            return self.lines.found_by(pattern.expression, slice(0, len(self)))
        if not self.is_tidy:
            starts += _BLANK_SIGNS
        spans = [self.lines.beginning_with(text.encode()) for text in starts]
        found = [self.lines.found_by(pattern.expression, span) for span in spans if span.stop > span.start]
        return np.unique(np.concatenate(found)) if found else np.array([], dtype=np.int64)


def _beginnings(pattern: Pattern, *, over_bars: bool) -> list[str]:
    """Texts of which one, blanks apart, is the beginning of whatever a pattern finds."""
    start = ""
    for index, glob in enumerate(pattern.parts):
        text = "" if glob[0] is STAR else glob[0].strip()
        start += text
        if not over_bars or glob != (text,) or index + 1 == len(pattern.parts):
            break
        start += "|"
    return variants(start) or [plain_beginning(start)]


def dictionary_of(texts: Sequence[str]) -> tuple[Dictionary, "Array"]:
    """Different texts as a dictionary, and for each text its id there."""
    lines, ids = lines_of(texts)
    is_tidy = not lines.odd and next(_UNTIDY.lines_in(lines.data), None) is None
    return _with_parts(lines, is_tidy), ids


def _with_parts(lines: Lines, is_tidy: bool) -> Dictionary:
    import numpy as np

    counts: list[Array] = []
    interned: list[dict[str, int]] = [{} for _ in range(MAX_PARTS)]
    codes: list[list[Array]] = [[] for _ in range(MAX_PARTS)]
    most = MAX_PARTS  # so many parts are kept
    for low in range(0, len(lines), _BLOCK_TEXTS):
        split = [text.split("|") for text in lines.stretch(low, low + _BLOCK_TEXTS)]
        lengths = np.fromiter(map(len, split), dtype=np.int64, count=len(split))
        counts.append(np.minimum(lengths, 255).astype(np.uint8))
        for index in range(most):
            known = interned[index]
            found = [known.setdefault(part[index] if len(part) > index else "", len(known)) for part in split]
            if len(known) > MAX_DIFFERENT_PARTS:
                most = index  # those behind can still be asked for by the expression
                break
            codes[index].append(np.array(found, dtype=np.uint32))
    longest = max((int(block.max()) for block in counts), default=0)
    parts: list[Lines] = []
    kept: list[Array] = []
    for different, numbers in zip(interned[: min(most, longest)], codes, strict=False):
        part, ids = lines_of(list(different))
        parts.append(part)
        kept.append(ids[np.concatenate(numbers)].astype(np.min_scalar_type(len(different) - 1)))
    return (
        Dictionary(lines, parts, kept, np.concatenate(counts), is_tidy=is_tidy) if parts else Dictionary(lines, is_tidy=is_tidy)
    )
