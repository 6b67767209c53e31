"""What documents of KIRA say of their state, against what follows from it (the project's facts, sections 2 and 3)."""

import re
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

from holdfast.engines.kira.constants import K_ETA, K_KAPPA, K_R, PHI
from holdfast.engines.kira.state import check_k_formation, negentropy_at
from holdfast.importing import findings as kinds
from holdfast.importing.items import Event
from holdfast.importing.reading import Reading, number

_COORDINATE = re.compile(r"Δ(-?[0-9.]+)\|(-?[0-9.]+)\|(-?[0-9.]+)Ω")
_TOLERANCE = 1e-3  # some files print four digits
_DEEPEST = 40


def check_state(value: Any, reading: Reading, where: str = "") -> Iterator[Event]:
    """Note what a document, or a part of it, says that cannot be; where k_formed is contradicted, both are an event."""
    if where.count(".") + where.count("[") > _DEEPEST:
        return
    if isinstance(value, list):
        for index, entry in enumerate(value):
            if isinstance(entry, dict | list):
                yield from check_state(entry, reading, f"{where}[{index}]")
        return
    if not isinstance(value, dict):
        return
    check_negentropy(value, reading, where)
    _check_coordinate(value, reading, where)
    yield from check_k_formed(value, reading, where)
    for name, entry in value.items():
        if isinstance(entry, dict | list):
            yield from check_state(entry, reading, f"{where}.{name}" if where else name)


def check_negentropy(fields: Mapping[str, Any], reading: Reading, where: str) -> None:
    """Negentropy follows from z."""
    if "z" not in fields:
        return
    z = number(fields["z"])
    name = next((name for name in ("negentropy", "neg", "eta") if name in fields), None)
    told = number(fields[name]) if name is not None else None
    if z is None or told is None or not 0.0 <= z <= 1.0:
        return
    expected = negentropy_at(z)
    if not abs(told - expected) <= _TOLERANCE:  # NaN too
        reading.note(kinds.NEGENTROPY, _joined(where, name or ""), f"{told!r} with z {z!r}, of which {expected:.6g} follows")


def _check_coordinate(fields: Mapping[str, Any], reading: Reading, where: str) -> None:
    """`r` follows from z; some writers printed 1.000 always."""
    text = fields.get("coordinate")
    found = _COORDINATE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return
    try:
        z, r = float(found[2]), float(found[3])
    except ValueError:
        return
    expected = 1 + (PHI - 1) * negentropy_at(min(1.0, max(0.0, z)))
    if r == 1.0 and expected > 1.001:
        reading.note(
            kinds.PRINTED, _joined(where, "coordinate"), f"{text}: r is printed {found[3]}, and is {expected:.3f} at that z"
        )


def check_k_formed(fields: Mapping[str, Any], reading: Reading, where: str) -> Iterator[Event]:
    """K-formation follows from kappa, eta and R, as far as they are told; some writers have 1.0 for true."""
    name = next((name for name in ("k_formed", "achieved") if fields.get(name) in (0, 1)), None)
    if name is None or (name == "achieved" and "kappa" not in fields):
        return
    told = bool(fields[name])
    kappa = _first(fields, "kappa", "coherence")
    eta = _first(fields, "eta", "negentropy")
    r = _first(fields, "R", "triad_completions", "r_count")
    if r is not None and not isfinite(r):
        r = None
    known = {"kappa": kappa, "eta": eta, "R": r}
    wrong = []
    if kappa is not None and kappa < K_KAPPA:
        wrong.append(f"kappa = {kappa:.4g} (at least {K_KAPPA} is needed)")
    if eta is not None and not eta > K_ETA:
        wrong.append(f"eta = {eta:.4g} (above {K_ETA:.4g} is needed)")
    if r is not None and r < K_R:
        wrong.append(f"R = {r:g} (at least {K_R} is needed)")
    if told and wrong:
        recomputed = False
    elif not told and kappa is not None and eta is not None and r is not None and check_k_formation(kappa, eta, int(r)):
        recomputed, wrong = True, [f"kappa = {kappa:.4g}, eta = {eta:.4g}, R = {r:g}"]
    else:
        return
    reading.note(kinds.K_FORMED, _joined(where, name), f"{str(told).lower()} with {', '.join(wrong)}")
    data = {"recorded": told, "recomputed": recomputed, "threshold": K_R, **known}
    yield Event("k_formation", {name: value for name, value in data.items() if value is not None}, where=_joined(where, name))


def _first(fields: Mapping[str, Any], *names: str) -> float | None:
    return next((found for name in names if (found := number(fields.get(name))) is not None), None)


def _joined(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
