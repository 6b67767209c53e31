"""Holdfast saves training and generation runs as they happen, and brings them back exactly."""

from typing import TYPE_CHECKING, Any

from holdfast.errors import (
    BadPattern,
    BadQuery,
    Corrupted,
    DiskFull,
    Diverged,
    HoldfastError,
    Interrupted,
    InvalidSetting,
    InvalidValue,
    NewerFormat,
    NoSession,
    QueryStopped,
    ReadFailed,
    SessionBusy,
    SessionClosed,
    SessionNotFound,
    SettingsDiffer,
    StorageError,
    UsageError,
    WorkspaceUnusable,
    WriteFailed,
)
from holdfast.recording.health import Health, Latency
from holdfast.recording.outlet import Watermarks
from holdfast.sessions.opening import current_run, session, start
from holdfast.sessions.session import Run
from holdfast.sessions.steps import Outcome

if TYPE_CHECKING:
    from holdfast.autosave import KiraEngine
    from holdfast.importing.findings import Finding
    from holdfast.importing.report import FileReport, ImportReport
    from holdfast.reading.compare import Comparison
    from holdfast.reading.curves import Curve
    from holdfast.reading.export.tables import Exported
    from holdfast.reading.follower import Batch, Consumer, Follower, Position
    from holdfast.reading.hits import Hit, Hits
    from holdfast.reading.loader import Rows
    from holdfast.reading.sql.asking import Answer
    from holdfast.reading.texts import TextHit
    from holdfast.workflows.conversation import converse
    from holdfast.workflows.registry import Workflow, find_workflow, list_workflows, workflow
    from holdfast.workflows.stages import Phase, Plan, Stage, Stopped, run_stages
    from holdfast.workspace import Workspace

__version__ = "0.1.0"

# Imported when they are first asked for: who saves a run of his own pays for none of it.
_LATER = {
    "KiraEngine": "holdfast.autosave",
    "converse": "holdfast.workflows.conversation",
    "Workspace": "holdfast.workspace",
    "Comparison": "holdfast.reading.compare",
    "Curve": "holdfast.reading.curves",
    "Exported": "holdfast.reading.export.tables",
    "Finding": "holdfast.importing.findings",
    **dict.fromkeys(("FileReport", "ImportReport"), "holdfast.importing.report"),
    **dict.fromkeys(("Hit", "Hits"), "holdfast.reading.hits"),
    "TextHit": "holdfast.reading.texts",
    "Rows": "holdfast.reading.loader",
    "Answer": "holdfast.reading.sql.asking",
    **dict.fromkeys(("Batch", "Consumer", "Follower", "Position"), "holdfast.reading.follower"),
    **dict.fromkeys(("Phase", "Plan", "Stage", "Stopped", "run_stages"), "holdfast.workflows.stages"),
    **dict.fromkeys(("Workflow", "find_workflow", "list_workflows", "workflow"), "holdfast.workflows.registry"),
}

__all__ = [
    "Answer",
    "BadPattern",
    "BadQuery",
    "Batch",
    "Comparison",
    "Consumer",
    "Corrupted",
    "Curve",
    "DiskFull",
    "Diverged",
    "Exported",
    "FileReport",
    "Finding",
    "Follower",
    "Health",
    "Hit",
    "Hits",
    "HoldfastError",
    "ImportReport",
    "Interrupted",
    "InvalidSetting",
    "InvalidValue",
    "KiraEngine",
    "Latency",
    "NewerFormat",
    "NoSession",
    "Outcome",
    "Phase",
    "Plan",
    "Position",
    "QueryStopped",
    "ReadFailed",
    "Rows",
    "Run",
    "SessionBusy",
    "SessionClosed",
    "SessionNotFound",
    "SettingsDiffer",
    "Stage",
    "Stopped",
    "StorageError",
    "TextHit",
    "UsageError",
    "Watermarks",
    "Workflow",
    "Workspace",
    "WorkspaceUnusable",
    "WriteFailed",
    "converse",
    "current_run",
    "find_workflow",
    "list_workflows",
    "run_stages",
    "session",
    "start",
    "workflow",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(_LATER[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
