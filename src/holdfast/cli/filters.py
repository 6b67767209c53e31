"""Which records are meant, on the command line."""

import re
from datetime import datetime
from typing import Annotated

import typer

from holdfast import InvalidSetting

Sessions = Annotated[list[str] | None, typer.Option("--session", "-s", metavar="SESSION", help="Only in these.")]
Epoch = Annotated[int | None, typer.Option("--epoch", metavar="N", help="Only sessions of this training epoch.")]
Phases = Annotated[list[str] | None, typer.Option("--phase", metavar="PHASE", help="Only of these phases.")]
Tiers = Annotated[list[int] | None, typer.Option("--tier", metavar="N", help="Only of these tiers.")]
ZRange = Annotated[str | None, typer.Option("--z", metavar="LOW:HIGH", help="Only with a z in this range.")]
Since = Annotated[str | None, typer.Option("--since", metavar="TIME", help="Only from this time on.")]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only before this time.")]
Sources = Annotated[list[str] | None, typer.Option("--source", metavar="SOURCE", help="Only from these sources.")]
Superseded = Annotated[bool, typer.Option("--superseded", help="Superseded ones too.")]


def range_of(text: str | None) -> tuple[float | None, float | None] | None:
    """LOW:HIGH, either of which may be left out."""
    if text is None:
        return None
    low, colon, high = text.partition(":")
    try:
        if not colon:
            raise ValueError
        return float(low) if low else None, float(high) if high else None
    except ValueError:
        raise InvalidSetting(f"--z {text}: a range is written as in 0.6:0.9, 0.6: or :0.9") from None


def time_of(option: str, text: str | None) -> datetime | int | None:
    """Microseconds since 1970, or a date and time, of this machine's zone where it names none."""
    if text is None:
        return None
    if re.fullmatch("[0-9]{12,}", text):
        return int(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidSetting(
            f"{option} {text}: a time is written as in 2026-11-25T14:30, or as microseconds since 1970"
        ) from None
    return found.astimezone() if found.tzinfo is None else found
