"""The benchmark corpus: one seeded stream of realistic token records, the same for every benchmark and every peer.

80 % of the tokens come from a 972-word vocabulary with Zipf-like frequencies ('Φ×|Reactor|celestial_em'), 20 %
uniformly from 34,992 five-part tokens ('e:U|G|CORE|t3|alpha'). z is a bounded random walk that moves every 20 tokens;
phase and tier follow it; meta is {"source": str, "module": int, "step": int}. Arrival times grow by an exponential step
of 50 µs on average. Needs NumPy. `python corpus.py 1000000 > tokens.jsonl` writes lines; `columns(n)` gives arrays;
`records(n)` gives tuples.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

Rec = tuple[str, float, str, int, int, dict[str, object]]

SPIRALS = ("Φ", "e", "π")
OPERATORS = ("()", "×", "^", "÷", "+", "−")
MACHINES = ("Encoder", "Catalyst", "Conductor", "Filter", "Oscillator", "Reactor", "Dynamo", "Decoder", "Regenerator")
DOMAINS = ("bio_prion", "bio_bacterium", "bio_viroid", "celestial_grav", "celestial_em", "celestial_nuclear")
LONG = (
    ("U", "D", "AM", "AP", "E", "M"),
    ("G", "C", "R", "N"),
    ("CORE", "OSC", "COND", "CAT", "FILT", "ENC", "DEC", "REGEN", "DYN"),
    ("alpha", "beta", "gamma", "delta", "epsilon", "zeta"),
)
PHASES = ("UNTRUE", "PARADOX", "TRUE")
SOURCES = ("emit_token", "generate_spinner_tokens", "ucf:tokens972", "cmd_emit")


def vocabulary() -> list[str]:
    """The 35,964 distinct tokens; the first 972 are the lattice."""
    words = [f"{s}{o}|{m}|{d}" for s in SPIRALS for o in OPERATORS for m in MACHINES for d in DOMAINS]
    words += [
        f"{s}:{o}|{i}|{m}|t{t}|{d}"
        for s in SPIRALS
        for o in LONG[0]
        for i in LONG[1]
        for m in LONG[2]
        for t in range(1, 10)
        for d in LONG[3]
    ]
    return words


def columns(n: int, seed: int = 7) -> dict[str, np.ndarray[Any, Any]]:
    """n records as arrays: code (index into vocabulary()), z, phase, tier, ts (µs), source, module, step."""
    rng = np.random.default_rng(seed)
    weight = 1.0 / np.arange(1, 973) ** 0.8
    rng.shuffle(weight)
    lattice = rng.random(n) < 0.8
    code = np.where(lattice, rng.choice(972, n, p=weight / weight.sum()), rng.integers(972, 35_964, n))
    step = np.arange(n) // 20
    walk = np.abs((np.cumsum(rng.normal(0, 0.004, n // 20 + 1)) + 0.5) % 2.0 - 1.0)
    z = walk[step]
    tiers = [0.10, 0.20, 0.45, 0.65, 0.75, 0.8660254037844386, 0.92, 0.97]
    return {
        "code": code.astype(np.int32),
        "z": z,
        "phase": np.digitize(z, [0.6180339887498948, 0.8660254037844386]).astype(np.int8),
        "tier": np.digitize(z, tiers).astype(np.int8) + np.int8(1),
        "ts": 1_700_000_000_000_000 + np.cumsum(rng.exponential(50, n).astype(np.int64) + 1),
        "source": rng.integers(0, len(SOURCES), n).astype(np.int8),
        "module": (step // 50 % 33).astype(np.int8),
        "step": step.astype(np.int32),
    }


def records(n: int, seed: int = 7) -> Iterator[Rec]:
    """(token, z, phase, tier, ts, meta) one by one; each token is a fresh string, so nobody wins by object identity."""
    words = [w.encode() for w in vocabulary()]
    c = {k: v.tolist() for k, v in columns(n, seed).items()}
    names = ("code", "z", "phase", "tier", "ts", "source", "module", "step")
    for k, z, p, t, ts, s, m, st in zip(*(c[x] for x in names), strict=True):
        yield words[k].decode(), z, PHASES[p], t, ts, {"source": SOURCES[s], "module": m, "step": st}


if __name__ == "__main__":
    for token, z, phase, tier, ts, meta in records(int(sys.argv[1])):
        line = {"token": token, "z": z, "phase": phase, "tier": tier, "ts": ts, "meta": meta}
        print(json.dumps(line, ensure_ascii=False))
