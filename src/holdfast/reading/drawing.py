"""Curves as a picture, by matplotlib: without a display, and without its global state."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast.errors import InvalidSetting, UsageError
from holdfast.reading.curves import Curve, Z

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = ("#2f6fb5", "#d1603d", "#3a8f5c", "#8a5aa8", "#b8862b", "#4f9ea6", "#b04a6f", "#6b7280")
_PHASES = {"UNTRUE": "#dbe7f5", "PARADOX": "#fbf0d0", "TRUE": "#dcf0df"}
_OTHER_PHASES = ("#e9e0f2", "#f5dfe6", "#dff0f1", "#eee6da", "#e6e8ec")
_INK, _FAINT = "#2b2f36", "#d5d9df"
_WIDTH_INCHES, _HEIGHT_INCHES, _DOTS_PER_INCH = 9.0, 3.4, 150
_MOST_NAMED_MARKS, _MOST_LEGEND = 12, 12
_LOOK: dict[Any, Any] = {  # on top of matplotlib's own defaults: what a user has set elsewhere stays outside
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "text.parse_math": False,
    "svg.hashsalt": "holdfast",
    "agg.path.chunksize": 20_000,
}


def draw(curves: Sequence[Curve], kind: str, *, log: bool = False) -> bytes:
    """The picture of curves as a .png or .svg file: a panel for each name, in it a line for each session. Equal curves make
    equal bytes. Raises UsageError where matplotlib is not installed, InvalidSetting where a log scale has nothing to show."""
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError(
            f"a picture needs matplotlib, which cannot be imported here ({error}): pip install 'holdfast[plot]'; "
            "without --out the plot comes to the terminal"
        ) from None
    names = [*dict.fromkeys(curve.name for curve in curves)]
    sessions = [*dict.fromkeys(curve.session for curve in curves)]
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_LOOK)
        size = _WIDTH_INCHES, 0.6 + _HEIGHT_INCHES * len(names)
        figure = Figure(figsize=size, dpi=_DOTS_PER_INCH, layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(len(names), 1, squeeze=False)[:, 0]
        for name, panel in zip(names, panels, strict=True):
            _draw_panel(panel, name, [curve for curve in curves if curve.name == name], sessions, log=log)
        figure.suptitle(_plain(", ".join(sessions[:4]) + (" …" if len(sessions) > 4 else "")), x=0.01, ha="left", weight="bold")
        data = io.BytesIO()
        figure.savefig(data, format=kind, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return data.getvalue()


def _draw_panel(panel: "Axes", name: str, curves: Sequence[Curve], sessions: Sequence[str], *, log: bool) -> None:
    panel.set_axisbelow(True)
    panel.grid(visible=True, color=_FAINT, linewidth=0.6, alpha=0.7)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
    is_log = log and name != Z
    if is_log:
        if not any((curve.y > 0).any() for curve in curves):
            raise InvalidSetting(f"{name!r} has no value above 0, and a log scale shows no others; leave --log out")
        _scale_by_powers(panel, curves)
    if name == Z:
        panel.set_ylim(-0.03, 1.03)
    if name == Z and len(curves) == 1:
        _draw_bands(panel, curves[0])
    for curve in curves:
        color = _COLORS[sessions.index(curve.session) % len(_COLORS)]
        y, smooth_y = (np.where(y > 0, y, np.nan) if is_log else y for y in (curve.y, curve.smooth_y))
        is_smoothed = len(curve.smooth_x) > 0
        look: dict[str, Any] = {"color": color, "solid_joinstyle": "round"}
        marker = "o" if len(curve.x) <= 40 and not is_smoothed else ""
        faint: dict[str, Any] = {"linewidth": 0.7, "alpha": 0.3} if is_smoothed else {"linewidth": 1.1}
        panel.plot(curve.x, y, label="" if is_smoothed else _plain(curve.session), marker=marker, markersize=3, **look, **faint)
        if is_smoothed:
            panel.plot(curve.smooth_x, smooth_y, linewidth=1.6, label=_plain(curve.session), **look)
    panel.margins(x=0.01)
    _draw_marks(panel, curves)
    panel.set_ylabel(_plain(name))
    panel.set_xlabel("token number" if name == Z else "value number")
    panel.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    if len(sessions) > 1 or (name == Z and curves[0].bands and len(curves) == 1):
        _draw_legend(panel)


def _scale_by_powers(panel: "Axes", curves: Sequence[Curve]) -> None:
    """A logarithmic scale with numbers as people write them; between powers of ten where there are few of these."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    panel.set_yscale("log")
    shown = FuncFormatter(lambda value, _: f"{value:g}")
    positive = np.concatenate([curve.y[curve.y > 0] for curve in curves])
    is_narrow = positive.max() < 30 * positive.min()
    panel.yaxis.set_major_formatter(shown)
    panel.yaxis.set_minor_formatter(shown if is_narrow else NullFormatter())
    panel.tick_params(axis="y", which="minor", labelsize=7)


def _draw_bands(panel: "Axes", curve: Curve) -> None:
    """Phases as the background. Each is named once."""
    others = [
        phase for phase in dict.fromkeys(band.phase for band in curve.bands) if phase is not None and phase not in _PHASES
    ]
    colors = _PHASES | {phase: _OTHER_PHASES[index % len(_OTHER_PHASES)] for index, phase in enumerate(others)}
    named: set[str] = set()
    for band in curve.bands:
        if band.phase is not None:
            label = "" if band.phase in named else _plain(band.phase)
            named.add(band.phase)
            panel.axvspan(band.first - 0.5, band.last + 0.5, color=colors[band.phase], linewidth=0, label=label, zorder=0)


def _draw_marks(panel: "Axes", curves: Sequence[Curve]) -> None:
    """Checkpoints as marks on the axis below, those with names as lines that bear them, where they are few."""
    for curve in curves[:1]:
        if not curve.marks or len(curves) > 1:
            continue
        label = f"checkpoint{'' if len(curve.marks) == 1 else 's'}"
        below = panel.get_xaxis_transform()
        x = [mark.x for mark in curve.marks]
        panel.plot(x, [0.0] * len(x), "^", color=_INK, markersize=5, transform=below, clip_on=False, label=label, zorder=5)
        named = [mark for mark in curve.marks if mark.name]
        for mark in named[:_MOST_NAMED_MARKS]:
            panel.axvline(mark.x, color=_INK, linewidth=0.7, linestyle=(0, (2, 2)), alpha=0.6)
            text = _plain(str(mark.name))
            ground = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1.0}
            panel.text(
                mark.x, 0.98, text, transform=below, rotation=90, va="top", ha="right", fontsize=7, bbox=ground, zorder=1.5
            )


def _draw_legend(panel: "Axes") -> None:
    handles, labels = panel.get_legend_handles_labels()
    if handles:
        panel.legend(
            handles[:_MOST_LEGEND],
            labels[:_MOST_LEGEND],
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
            frameon=False,
            fontsize=8,
            borderaxespad=0.2,
        )


def _plain(text: str) -> str:
    """A text as it is, without invisible signs; a label that began with an underscore would be hidden."""
    shown = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
    return f" {shown}" if shown.startswith("_") else shown
