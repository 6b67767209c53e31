"""KIRA: a small state machine whose state depends on its path. It is Holdfast's demanding engine."""

from holdfast.engines.kira.engine import Kira
from holdfast.engines.kira.state import State, check_k_formation
from holdfast.engines.kira.tiers import TIERS, Phase

__all__ = ["TIERS", "Kira", "Phase", "State", "check_k_formation"]
