"""What train_lm shows: a live display on a terminal, plain lines elsewhere, and the table at the end."""

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

import holdfast

REFRESH_EVERY_SECONDS = 0.25
PLAIN_LINES = 25  # in a whole run
BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """How a run stands when it is over: all attempts together, but for the costs, which are this process's own."""

    session: str
    was_finished: bool
    attempt: int
    resumed_step: int | None
    steps: int
    losses: list[float]
    perplexity: dict[str, float]
    records: dict[str, int]
    checkpoints: int
    bytes: int
    ns_per_record: float | None
    cost_share: float
    seconds: float
    digest: str
    weights_sha256: str

    @property
    def loss(self) -> float:
        """Return the mean of the last steps' losses."""
        return _mean_of_last(self.losses)

    def facts(self) -> dict[str, object]:
        """Return all of it but the single losses."""
        every = dataclasses.asdict(self) | {"loss": self.loss}
        return {name: value for name, value in every.items() if name != "losses"}


class Screen:
    """The one place that prints. Nothing it does changes what is recorded."""

    def __init__(self, *, steps: int, plain: bool, to_stderr: bool) -> None:
        self._console = Console(stderr=to_stderr, highlight=False)
        self._live: Live | None = None
        self._wants_live = self._console.is_terminal and not plain
        self._steps, self._began, self._refreshed = steps, time.perf_counter(), 0.0
        self._losses: list[float] = []
        self._sample, self._held_out, self._seen_notices = "", 0.0, 0

    def say(self, text: str) -> None:
        """Print one line."""
        self._console.print(text, markup=False, soft_wrap=True)

    def opened(self, run: holdfast.Run) -> None:
        """Say what opening the session found."""
        self._notices(run)
        if run.finished:
            self.say(f"session {run.name!r} was finished before")

    def started(self, run: holdfast.Run, step: int) -> None:
        """Say where the loop begins, and start the display."""
        if run.attempt > 1:
            self.say(
                f"attempt {run.attempt}: going on from step {step:,} of {self._steps:,}, "
                f"{run.replay_total:,} records to replay (matched with the log, not written again)"
            )
        self._notices(run)
        self._began = time.perf_counter()
        if self._wants_live:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()

    def sampled(self, text: str) -> None:
        self._sample = " ".join(text.split()) or self._sample

    def validated(self, held_out: float) -> None:
        self._held_out = held_out
        if not self._live:
            self.say(f"held-out perplexity {held_out:.2f}; it writes: {self._sample}")

    def stepped(self, run: holdfast.Run, step: int, loss: float, *, tokens: int) -> None:
        """Show a finished step: a few times a second on a terminal, else every so many steps."""
        self._losses.append(loss)
        now = time.perf_counter()
        if self._live is not None:
            if now - self._refreshed >= REFRESH_EVERY_SECONDS or step == self._steps:
                self._refreshed = now
                self._live.update(self._panel(run, step, tokens / (now - self._began)), refresh=True)
        elif step % max(1, self._steps // PLAIN_LINES) == 0 or step == self._steps:
            health = run.health()
            self.say(
                f"step {step:>6,}/{self._steps:,}  loss {loss:.3f}  {tokens / (now - self._began):>8,.0f} tokens/s  "
                f"saving {health.cost_share:.2%}{each(health.ns_per_record)}  lost now by {health.at_risk}"
            )

    def stop(self) -> None:
        """End the live display; the terminal is as it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def close(self, summary: Summary, following: Mapping[str, str]) -> None:
        """Print the closing table and the lines to type next, by what they do."""
        wrote = not summary.was_finished
        records = ", ".join(f"{count:,} {kind}" for kind, count in sorted(summary.records.items()))
        rows = {
            "steps": f"{summary.steps:,}" + (f" ({summary.seconds:.1f} s in this attempt)" if wrote else ""),
            "loss": f"{summary.loss:.3f}  {sparkline(summary.losses)}",
            "perplexity": "{model:.2f}  held out (bigram {bigram:.2f}, unigram {unigram:.2f})".format(**summary.perplexity),
            "records": f"{sum(summary.records.values()):,}: {records}",
            "checkpoints": f"{summary.checkpoints}",
            "bytes": f"{summary.bytes:,}",
            "saving": f"{summary.cost_share:.2%} of the run{each(summary.ns_per_record)}" if wrote else "",
            "digest": summary.digest,
            "weights": summary.weights_sha256,
        }
        table = Table(title=f"session {escape(summary.session)}", title_justify="left", show_header=False, box=None)
        table.add_column(no_wrap=True, style="dim")
        table.add_column(overflow="fold")  # 64 digits of a hash fit into 80 columns
        for name, value in rows.items():
            if value:
                table.add_row(name, Text(value))
        self._console.print(table)
        if summary.was_finished:
            self.say("finished: nothing was left to do.")
        for what, line in following.items():
            self.say(f"{what + ':':<15} {line}")

    def _notices(self, run: holdfast.Run) -> None:
        for notice in run.notices[self._seen_notices :]:
            self.say(notice)
        self._seen_notices = len(run.notices)

    def _panel(self, run: holdfast.Run, step: int, tokens_per_second: float) -> Panel:
        health = run.health()
        held_out = f"   held-out perplexity {self._held_out:.2f}" if self._held_out else ""
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="dim", no_wrap=True)
        rows.add_column(no_wrap=True, overflow="ellipsis")
        rows.add_row("step", f"{step:,} of {self._steps:,}   {tokens_per_second:,.0f} tokens/s{held_out}")
        rows.add_row("loss", f"{_mean_of_last(self._losses):.3f}  {sparkline(self._losses)}")
        rows.add_row("says", Text(self._sample))
        rows.add_row(
            "saving",
            f"{health.cost_share:.2%} of the run{each(health.ns_per_record)}, {health.records:,} records",
        )
        rows.add_row("a kill now", Text(health.at_risk))
        return Panel(Group(rows), title=f"training {escape(run.name)}", title_align="left")


def each(ns: float | None) -> str:
    """Say what a record costs, where that is known: not before the first new one."""
    return f", {ns:,.0f} ns a record" if ns is not None else ""


def sparkline(values: list[float], *, width: int = 40) -> str:
    """Draw values as bars: the mean of each of at most `width` equal parts, the lowest bar for the lowest."""
    count = min(width, len(values))
    edges = [len(values) * place // count for place in range(count + 1)] if count else [0]
    means = [sum(values[low:high]) / (high - low) for low, high in pairwise(edges)]
    low, span = min(means, default=0.0), (max(means, default=0.0) - min(means, default=0.0)) or 1.0
    return "".join(BARS[min(int((mean - low) / span * len(BARS)), len(BARS) - 1)] for mean in means)


def _mean_of_last(values: list[float], *, count: int = 100) -> float:
    last = values[-count:]
    return sum(last) / len(last) if last else 0.0
