"""Pictures of what sessions measured: the part of a workspace that plots."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.errors import InvalidSetting
from holdfast.reading.filters import Names
from holdfast.reading.loader import Source
from holdfast.storage.files import Files, check_target, make_folders, replace_file, write_errors

if TYPE_CHECKING:
    from holdfast.reading.curves import Curve

_FORMATS = ("png", "svg")


class Plotting:
    """Curves of sessions, and pictures of them."""

    _files: Files

    def _sources(self, session: Names, epoch: int | None) -> list[Source]:
        raise NotImplementedError  # the workspace knows its sessions

    def curves(
        self, session: str | Collection[str], *, metric: Names = None, z: bool = False, smooth: int = 1
    ) -> "list[Curve]":
        """What a plot shows: for each metric, and for the z of tokens, a curve a session, of at most some thousand points.

        smooth: over how many values a running mean goes, beside the values themselves. What was superseded is left out. Raises
        InvalidSetting for a metric that a session does not have, naming those there are.
        """
        from holdfast.reading.curves import metric_curves, z_curve  # here: it imports NumPy

        names = [metric] if isinstance(metric, str) else [*dict.fromkeys(metric or ())]
        if not names and not z:
            raise InvalidSetting("nothing was asked for: name a metric (metric=, --metric), or ask for z (z=True, --z)")
        if isinstance(smooth, bool) or not isinstance(smooth, int) or smooth < 1:
            raise InvalidSetting(f"smooth={smooth!r} is no number of values: give a whole number from 1 on")
        found = []
        for source in self._sources(session, None):
            found += metric_curves(source, names, smooth) if names else []
            found += [z_curve(source, smooth)] if z else []
        return found

    def plot(
        self,
        session: str | Collection[str],
        output: str | os.PathLike[str],
        *,
        metric: Names = None,
        z: bool = False,
        log: bool = False,
        smooth: int = 1,
        force: bool = False,
    ) -> Path:
        """Draw curves (see `curves`) to a .png or .svg file, and return its path: a panel a metric, in it a line a session.

        z comes with phases as the background and checkpoints as marks, where there is one session. log: a logarithmic scale for
        metrics. force: a file of that name is replaced; nothing has the name before it is whole. Equal curves make equal bytes.
        Needs the extra `plot`. Raises InvalidSetting, UsageError where matplotlib is not installed, WriteFailed.
        """
        path = Path(output).absolute()
        kind = path.suffix.lower().removeprefix(".")
        if kind not in _FORMATS:
            raise InvalidSetting(f"{path.name}: a plot goes to a file that ends in .png or .svg")
        check_target(self._files, path, force=force)
        from holdfast.reading.drawing import draw

        data = draw(self.curves(session, metric=metric, z=z, smooth=smooth), kind, log=log)
        with write_errors(path):
            make_folders(self._files, path.parent)
            replace_file(self._files, path, [data])
        return path
