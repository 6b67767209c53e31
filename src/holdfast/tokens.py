"""The words of KIRA's tokens: spirals, operators, machines, domains and slots, in the order in which ids count them."""

SPIRALS = {"Φ": "Structure", "e": "Energy", "π": "Emergence"}

# "−" is U+2212, the minus sign; the hyphen on the keyboard is its alias (ALIASES).
OPERATORS = {"()": "Boundary", "×": "Fusion", "^": "Amplify", "÷": "Decohere", "+": "Group", "−": "Separate"}
ALIASES = {"-": "−", "%": "÷"}

MACHINES = ("Encoder", "Catalyst", "Conductor", "Filter", "Oscillator", "Reactor", "Dynamo", "Decoder", "Regenerator")
DOMAINS = ("bio_prion", "bio_bacterium", "bio_viroid", "celestial_grav", "celestial_em", "celestial_nuclear")

SLOTS = {"+": "NP", "−": "VP", "^": "MOD", "()": "DET", "×": "CONN", "÷": "Q"}
"""The part of speech that an operator stands for: the slot that its tokens fill."""
