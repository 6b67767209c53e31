"""Values as one text, and that text as a short hash: what checksums, seals and digests of the tools are made of."""

import hashlib
import json


def canonical_json(value: object) -> str:
    """Equal plain values give equal texts: sorted keys, no spaces, only ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(value: object, length: int = 16) -> str:
    """The first `length` hexadecimal digits of the SHA-256 of a plain value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()[:length]
