"""What `run` prints when a workflow has ended: its stages, and how it stands."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.cli import output
from holdfast.cli.charts import regime_style
from holdfast.cli.describe import brief
from holdfast.cli.layout import Column
from holdfast.cli.output import Cell

_SHOWN = 120  # signs of a result
STATUS_SIGNS = {"ok": ("ok", "green"), "error": ("error", "bold red"), "skipped": ("skipped", "yellow")}


@dataclass
class StageRow:
    """A stage as it was recorded, with the tokens and emissions it made."""

    index: int
    name: str
    phase: str
    status: str
    result: Any
    tokens: int
    emissions: int

    def facts(self) -> dict[str, Any]:
        """The row for programs."""
        return {name: getattr(self, name) for name in ("index", "phase", "name", "status", "tokens", "emissions")}


@dataclass
class Recorded:
    """What the canonical view of a session holds: its stages, and how many records of each kind."""

    stages: list[StageRow] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def counts(self) -> dict[str, int]:
        """How many stages ended how."""
        found = Counter(row.status for row in self.stages)
        return {status: found[status] for status in STATUS_SIGNS}


def read_stages(records: Iterable[Mapping[str, Any]]) -> Recorded:
    """Count records, and take the modules that have a place in a plan as stages."""
    found, before = Recorded(), Counter[str]()
    for fields in records:
        kind = fields["kind"]
        found.kinds[kind] += len(fields["tokens"]) if kind == "tokens" else 1
        if kind == "module" and fields.get("index") is not None and fields.get("key"):
            made = found.kinds - before
            before = found.kinds.copy()
            found.stages.append(
                StageRow(
                    index=fields["index"],
                    name=fields["name"],
                    phase=fields.get("phase") or "",
                    status=fields.get("status", "ok"),
                    result=fields.get("result"),
                    tokens=made["token"] + made["tokens"],
                    emissions=made["emission"],
                )
            )
    return found


def print_stages(stages: Iterable[StageRow]) -> None:
    """A row a stage."""
    rows: list[tuple[Cell, ...]] = []
    phase = None
    for row in stages:
        z = row.result.get("z") if isinstance(row.result, dict) else None
        rows.append(
            (
                str(row.index),
                row.phase if row.phase != phase else "",
                (row.name, "bold"),
                STATUS_SIGNS[row.status],
                (f"{z:.3f}", regime_style(z)) if isinstance(z, float) else "",
                f"{row.tokens:,}" if row.tokens else "",
                (_what(row.result), "dim"),
            )
        )
        phase = row.phase
    columns = (
        Column(name="#", right=True),
        Column(name="phase", rank=3),
        Column(name="stage"),
        Column(name="status"),
        Column(name="z", right=True, rank=2),
        Column(name="tokens", right=True, rank=4),
        Column(name="result", least=16, rank=1),
    )
    output.print_table(columns, rows)


def _what(result: Any) -> str:
    """The first facts of a result, without what other columns show."""
    if not isinstance(result, dict):
        return "" if result is None else brief(result)
    if said := result.get("error") or result.get("reason"):
        return str(said)
    shown = {
        name: value for name, value in result.items() if name not in ("z", "tool", "action", "status", "_token_integration")
    }
    text = "  ".join(f"{name} {brief(value)}" for name, value in shown.items())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
