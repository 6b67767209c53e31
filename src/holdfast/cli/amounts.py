"""Amounts as people read them: bytes, counts, times. Times are microseconds, moments are those since 1970."""

from datetime import datetime

_BYTE_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def size(byte_count: int) -> str:
    """999 → "999 bytes", 1_234_567 → "1.2 MB"."""
    amount, unit = float(byte_count), 0
    while round(amount, 1) >= 1000 and unit < len(_BYTE_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{byte_count:,} bytes" if unit == 0 else f"{amount:.1f} {_BYTE_UNITS[unit]}"


def count(number: int, what: str) -> str:
    """1, "record" → "1 record"; 1200, "record" → "1,200 records"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def span(microseconds: int) -> str:
    """How long something took, in the largest fitting unit: "3.2 s", "12.5 min"."""
    seconds = microseconds / 1e6
    for unit, name in _SPANS:
        if seconds >= unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def age(moment: int, now: int) -> str:
    """How long ago: "12 s", "3 min", "5 d". A clock that went backwards shows as "0 s"."""
    seconds = max(0, now - moment) // 1_000_000
    for unit, name in _SPANS:
        if seconds >= unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


def date_and_time(moment: int) -> str:
    """Local date and time, to the second."""
    return f"{datetime.fromtimestamp(moment / 1e6):%Y-%m-%d %H:%M:%S}"


def time_of_day(moment: int) -> str:
    """Local time, to the millisecond."""
    return f"{datetime.fromtimestamp(moment / 1e6):%H:%M:%S.%f}"[:-3]


def number(value: float) -> str:
    """A number in at most six digits: 0.693147, 1.25e-07, nan."""
    return f"{value:.6g}"
