"""The numbers of KIRA's physics, which is numerology, done faithfully."""

import math

PHI = (1 + math.sqrt(5)) / 2
PHI_INV = 1 / PHI  # not PHI - 1, which is one unit in the last place larger
PHI_SQUARED = PHI + 1

Z_CRITICAL = math.sqrt(3) / 2
"""z_c, "the lens": where negentropy is 1 and TRUE begins. 0.866 lies below it and is PARADOX."""

SIGMA = 36
"""The negentropy bell's steepness: eta(z) = exp(-SIGMA (z - z_c)²)."""

Z_START = 0.5
COHERENCE_START = 0.5
COHERENCE_GAIN = 0.05
"""What a step of evolution adds to coherence where eta is 1."""
Z_NOISE = 0.003
"""Standard deviation of the noise on each step of evolution."""

TRIAD_HIGH = 0.85
TRIAD_LOW = 0.82
TRIAD_T6 = 0.83
"""Where tier 6 ends once TRIAD is unlocked (z_c before)."""
TRIAD_COMPLETIONS_REQUIRED = 3

HYPER_TRUE = 0.92

K_KAPPA = 0.92
K_ETA = PHI_INV
K_R = 7
"""Completions that K-formation asks for."""
K_R_LEGACY = 3
"""The same by the rule of the original's server."""

LEARNING_RATE = 0.1
Q_KAPPA = 0.3514087324
LAMBDA = 7.7160493827
