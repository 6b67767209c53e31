"""What a benchmark found: rows with their targets, the machine they were measured on, a table, and the result files."""

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from measure import Estimate


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure. at_most, at_least: the target, where there is one; low, high: its interval."""

    group: str
    what: str
    value: float | None
    unit: str
    low: float | None = None
    high: float | None = None
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a target."""
        if self.at_most is None and self.at_least is None:
            return None
        if self.value is None or math.isnan(self.value):
            return False
        return (self.at_most is None or self.value <= self.at_most) and (self.at_least is None or self.value >= self.at_least)

    @property
    def target(self) -> str:
        """The target in words, "" without one."""
        if self.at_most is not None:
            return f"≤ {figure(self.at_most)} {self.unit}"
        return "" if self.at_least is None else f"≥ {figure(self.at_least)} {self.unit}"

    @property
    def measured(self) -> str:
        """The value with its unit and interval."""
        if self.value is None:
            return "not measured"
        text = f"{figure(self.value)} {self.unit}"
        if self.low is None or self.high is None:
            return text
        return f"{text} ({figure(self.low)}-{figure(self.high)})"

    @property
    def verdict(self) -> str:
        """met, NOT MET, or nothing."""
        return {None: "", True: "met", False: "NOT MET"}[self.met]


def row(
    group: str,
    what: str,
    value: Estimate | float,
    unit: str,
    *,
    scale: float = 1.0,
    at_most: float | None = None,
    at_least: float | None = None,
    note: str = "",
) -> Row:
    """A row from an estimate or a bare value, which is divided by `scale` first."""
    found = value if isinstance(value, Estimate) else Estimate(value, math.nan, math.nan)
    bare = math.isnan(found.low)
    return Row(
        group=group,
        what=what,
        value=found.value / scale,
        unit=unit,
        low=None if bare else found.low / scale,
        high=None if bare else found.high / scale,
        at_most=at_most,
        at_least=at_least,
        note=note,
    )


def figure(value: float) -> str:
    """Three significant digits, thousands with a comma."""
    if value == 0 or math.isnan(value):
        return "0" if value == 0 else "?"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def machine(scratch: Path) -> dict[str, object]:
    """What a figure depends on: processor, cores, kernel, Python, the scratch folder's file system, load, commit."""
    now = datetime.now(UTC)
    return {
        "date": now.strftime("%Y-%m-%d"),
        "time": now.strftime("%H:%M:%SZ"),
        "commit": _git("rev-parse", "--short=10", "HEAD") or "uncommitted",
        "dirty": bool(_git("status", "--porcelain")),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "file_system": _file_system(scratch),
        "load_before": os.getloadavg()[0],
    }


def stolen_ticks() -> tuple[int, int]:
    """Clock ticks since boot that the host gave to others, and all ticks."""
    try:
        ticks = [int(t) for t in Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]]
    except (OSError, ValueError):
        return 0, 1
    return ticks[7], sum(ticks)


def show(rows: Sequence[Row], facts: dict[str, object]) -> None:
    """Print the table to standard output."""
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(headline(facts), highlight=False)
    table = Table(show_lines=False, header_style="bold")
    for name in ("group", "what", "measured", "target", ""):
        table.add_column(name, overflow="fold")
    group = ""
    for r in rows:
        if group and r.group != group:
            table.add_section()
        style = {None: "", True: "green", False: "bold red"}[r.met]
        what = f"{r.what}\n  [dim]{r.note}[/dim]" if r.note else r.what
        table.add_row(
            "" if r.group == group else r.group, what, r.measured, r.target, f"[{style}]{r.verdict}[/]" if style else ""
        )
        group = r.group
    console.print(table)
    judged = [r for r in rows if r.met is not None]
    console.print(f"{sum(bool(r.met) for r in judged)} of {len(judged)} targets met", highlight=False)


def write(
    folder: Path, name: str, rows: Sequence[Row], facts: dict[str, object], summaries: Sequence[dict[str, object]]
) -> Path:
    """Write <date>-<commit>-<name>.json and .md; returns the path of the .md."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{facts['date']}-{facts['commit']}-{name}"
    found = [{**asdict(r), "target": r.target, "met": r.met} for r in rows]
    content = {"machine": facts, "rows": found, "samples": list(summaries)}
    (folder / f"{stem}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    path = folder / f"{stem}.md"
    path.write_text(markdown(name, rows, facts), encoding="utf-8")
    return path


def markdown(name: str, rows: Sequence[Row], facts: dict[str, object]) -> str:
    """The table as a page."""
    lines = [f"# {name}, {facts['date']} {facts['time']}, commit {facts['commit']}", "", headline(facts), ""]
    lines += ["| group | what | measured | target | |", "|---|---|---|---|---|"]
    for r in rows:
        note = f" <br>{r.note}" if r.note else ""
        lines.append(f"| {r.group} | {r.what}{note} | {r.measured} | {r.target} | {r.verdict} |")
    return "\n".join(lines) + "\n"


def headline(facts: dict[str, object]) -> str:
    """The machine, and what stood in the way, in two lines."""
    dirty = ", with changes" if facts["dirty"] else ""
    machine = (
        f"{facts['cpu']}, {facts['usable_cores']} cores, Linux {facts['kernel']}, {facts['python']}, "
        f"{facts['file_system']}; commit {facts['commit']}{dirty}."
    )
    in_the_way = [f"Load before: {facts['load_before']:.1f}"]
    if "stolen_percent" in facts:
        in_the_way.append(f"taken by the host's other guests: {facts['stolen_percent']:.1f} %")
    if "empty_measurement_ns" in facts:
        in_the_way.append(f"subtracted from each timed call: {facts['empty_measurement_ns']} ns, an empty measurement")
    return f"{machine}\n{'; '.join(in_the_way)}."


def _git(*arguments: str) -> str:
    here = Path(__file__).parent
    found = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else ""


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _file_system(folder: Path) -> str:
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
            left, _, right = line.partition(" - ")
            if left.split()[2] == wanted:
                return right.split()[0]
    except OSError:
        pass
    return "unknown file system"
