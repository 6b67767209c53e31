"""Where the engine stands: z, what has piled up on the way, and everything that follows from these."""

import math
from collections.abc import Mapping
from enum import StrEnum

from holdfast.engines.kira.constants import COHERENCE_START, K_ETA, K_KAPPA, K_R, K_R_LEGACY, PHI, SIGMA, Z_CRITICAL, Z_START
from holdfast.engines.kira.fields import Fields, unit_number
from holdfast.engines.kira.tiers import Phase, Tier, frequency_at, phase_at, tier_at
from holdfast.errors import InvalidSetting

K_THRESHOLDS = (K_R, K_R_LEGACY)


class Crystal(StrEnum):
    """How ordered the engine is, by its coherence."""

    FLUID = "Fluid"
    TRANSITIONING = "Transitioning"
    CRYSTALLINE = "Crystalline"
    PRISMATIC = "Prismatic"


def negentropy_at(z: float) -> float:
    """eta: 1 at z_c, falling off on both sides."""
    return math.exp(-SIGMA * (z - Z_CRITICAL) ** 2)


def crystal_at(coherence: float) -> Crystal:
    if coherence < 0.5:
        return Crystal.FLUID
    if coherence < 0.75:
        return Crystal.TRANSITIONING
    return Crystal.CRYSTALLINE if coherence < 0.92 else Crystal.PRISMATIC


def check_k_formation(kappa: float, eta: float, r: int, threshold: int = K_R) -> bool:
    """Whether coherence kappa, negentropy eta and r completions form K: only eta must lie strictly above its bound."""
    return kappa >= K_KAPPA and eta > K_ETA and r >= threshold


class State:
    """The state of an engine. Facts are z, coherence, the three of TRIAD and the threshold; the rest follows from them.

    Assigning z or coherence checks it (finite, 0 to 1) and brings everything derived up to date, so nothing here is
    ever stale. It does not run TRIAD and announces nothing: Kira.move_to is the way that z changes in a run.
    """

    def __init__(self, *, k_threshold: int = K_R) -> None:
        if isinstance(k_threshold, bool) or k_threshold not in K_THRESHOLDS:
            raise InvalidSetting(f"k_threshold: {k_threshold!r} is not 7, or 3 for the rule of the legacy server")
        self.k_threshold = k_threshold
        self.triad_completions = 0
        self.triad_unlocked = False
        self.above_band = False
        self._z, self._coherence = Z_START, COHERENCE_START
        self.update_from_z()

    def update_from_z(self) -> None:
        """Derive theta, r, negentropy, phase and frequency from z anew. Assigning z has done so already."""
        z = self._z
        self.theta = 2 * math.pi * z
        self.negentropy = negentropy_at(z)
        self.r = 1 + (PHI - 1) * self.negentropy
        self.phase: Phase = phase_at(z)
        self.frequency = frequency_at(z)

    @property
    def z(self) -> float:
        return self._z

    @z.setter
    def z(self, value: float) -> None:
        self._z = unit_number(value, "state.z")
        self.update_from_z()

    @property
    def coherence(self) -> float:
        """kappa, 0 to 1. It piles up while the engine evolves, and never falls by itself."""
        return self._coherence

    @coherence.setter
    def coherence(self, value: float) -> None:
        self._coherence = unit_number(value, "state.coherence")

    @property
    def crystal(self) -> Crystal:
        return crystal_at(self._coherence)

    @property
    def coordinate(self) -> str:
        """The place on the helix as text, `Δtheta|z|rΩ`."""
        return f"Δ{self.theta:.3f}|{self._z:.6f}|{self.r:.3f}Ω"

    @property
    def tier_now(self) -> Tier:
        return tier_at(self._z, unlocked=self.triad_unlocked)

    @property
    def tier(self) -> str:
        """'t1' to 't9'."""
        return self.tier_now.name

    @property
    def tier_index(self) -> int:
        return self.tier_now.index

    @property
    def k_formed(self) -> bool:
        return check_k_formation(self._coherence, self.negentropy, self.triad_completions, self.k_threshold)

    def k_formation(self) -> dict[str, object]:
        """k_formed with everything it was decided by: what is stored wherever k_formed is."""
        return {
            "k_formed": self.k_formed,
            "kappa": self._coherence,
            "eta": self.negentropy,
            "R": self.triad_completions,
            "threshold": self.k_threshold,
        }

    def to_dict(self) -> dict[str, object]:
        """The thirteen values that the original shows, in its order."""
        return {
            "z": self._z,
            "theta": self.theta,
            "r": self.r,
            "coordinate": self.coordinate,
            "phase": self.phase.value,
            "crystal": self.crystal.value,
            "coherence": self._coherence,
            "negentropy": self.negentropy,
            "frequency": self.frequency,
            "triad_completions": self.triad_completions,
            "triad_unlocked": self.triad_unlocked,
            "above_band": self.above_band,
            "k_formed": self.k_formed,
        }

    def recorded(self) -> dict[str, object]:
        """to_dict with the threshold that k_formed was decided by (its R is triad_completions): for what is stored."""
        return {**self.to_dict(), "k_threshold": self.k_threshold}

    def state_dict(self) -> dict[str, object]:
        """The facts, from which the rest is derived again."""
        return {
            "z": self._z,
            "coherence": self._coherence,
            "triad_completions": self.triad_completions,
            "triad_unlocked": self.triad_unlocked,
            "above_band": self.above_band,
            "k_threshold": self.k_threshold,
        }

    def load_state_dict(self, values: Mapping[str, object]) -> None:
        """Take the facts of a state_dict. At a wrong one: InvalidValue that names it, and nothing is changed."""
        fields = Fields(values, "state")
        z, coherence = fields.number("z", 0, 1), fields.number("coherence", 0, 1)
        completions, threshold = fields.count("triad_completions"), fields.count("k_threshold")
        unlocked, above_band = fields.flag("triad_unlocked"), fields.flag("above_band")
        if threshold not in K_THRESHOLDS:
            raise fields.wrong("k_threshold", f"{threshold} is neither 7 nor 3")
        self._z, self._coherence, self.k_threshold = z, coherence, threshold
        self.triad_completions, self.triad_unlocked, self.above_band = completions, unlocked, above_band
        self.update_from_z()

    def reset(self) -> None:
        """Start anew; the threshold stays."""
        self.load_state_dict(State(k_threshold=self.k_threshold).state_dict())
