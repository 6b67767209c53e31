"""Holdfast saves training and generation runs as they happen, and brings them back exactly."""

from holdfast.errors import (
    Corrupted,
    DiskFull,
    Diverged,
    HoldfastError,
    Interrupted,
    InvalidSetting,
    InvalidValue,
    NewerFormat,
    NoSession,
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
from holdfast.workspace import Workspace

__version__ = "0.1.0"

__all__ = [
    "Corrupted",
    "DiskFull",
    "Diverged",
    "Health",
    "HoldfastError",
    "Interrupted",
    "InvalidSetting",
    "InvalidValue",
    "Latency",
    "NewerFormat",
    "NoSession",
    "Outcome",
    "ReadFailed",
    "Run",
    "SessionBusy",
    "SessionClosed",
    "SessionNotFound",
    "SettingsDiffer",
    "StorageError",
    "UsageError",
    "Watermarks",
    "Workspace",
    "WorkspaceUnusable",
    "WriteFailed",
    "current_run",
    "session",
    "start",
]
