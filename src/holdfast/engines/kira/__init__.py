"""KIRA: a small state machine whose state depends on its path. It is Holdfast's demanding engine."""

from holdfast.engines.kira.engine import Kira
from holdfast.engines.kira.modules import MODULES, MODULES_OF_PHASE, PHASES
from holdfast.engines.kira.state import State, check_k_formation
from holdfast.engines.kira.tiers import TIERS, Phase
from holdfast.engines.kira.tools.registry import TOOL_REGISTRY
from holdfast.engines.kira.ucf import UcfResult

__all__ = [
    "MODULES",
    "MODULES_OF_PHASE",
    "PHASES",
    "TIERS",
    "TOOL_REGISTRY",
    "Kira",
    "Phase",
    "State",
    "UcfResult",
    "check_k_formation",
]
