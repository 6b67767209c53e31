"""The 972 tokens of the lattice, in the order of their ids: spiral, operator, machine, domain."""

from holdfast.tokens import DOMAINS, MACHINES, OPERATORS, SPIRALS

LATTICE = tuple(
    f"{spiral}{operator}|{machine}|{domain}"
    for spiral in SPIRALS
    for operator in OPERATORS
    for machine in MACHINES
    for domain in DOMAINS
)
FORMULA = (
    f"{len(SPIRALS)} spirals × {len(OPERATORS)} operators × {len(MACHINES)} machines × {len(DOMAINS)} domains = {len(LATTICE)}"
)
