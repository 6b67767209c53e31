"""Holdfast saves training and generation runs as they happen, and brings them back exactly."""

from holdfast.recording.health import Health
from holdfast.sessions.opening import current_run, session, start
from holdfast.sessions.session import Run

__version__ = "0.1.0"
