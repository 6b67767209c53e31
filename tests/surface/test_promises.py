"""Each promise of docs/promises.md is kept by tests that exist."""

import re

from tests.helpers.sources import ROOT

PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


def test_every_test_that_the_promises_name_exists() -> None:
    missing = [
        f"{path}::{name}"
        for path, name in NAMED
        if not (ROOT / path).is_file() or f"\ndef {name}(" not in (ROOT / path).read_text(encoding="utf-8")
    ]
    assert missing == []
    assert len(NAMED) == len(set(NAMED)) > 40


def test_every_table_of_promises_names_its_tests() -> None:
    sections = PAGE.split("\n## ")[1:]
    assert [text.split("\n")[0] for text in sections if "Kept by: `tests/" not in text] == ["What is not promised"]


def test_the_platforms_of_the_page_are_those_of_the_code() -> None:
    from holdfast.storage.host import can_map, degraded

    rows = PAGE.split("## Platforms")[1].split("\n\n")[1]
    mapped = next(row for row in rows.split("\n") if "a store into a shared map" in row)
    named = re.findall(r"ext4|xfs|tmpfs|btrfs|overlay|nfs", mapped)
    assert named == ["ext4", "xfs", "tmpfs", "tmpfs"]
    assert all(can_map(kind) and degraded(kind) is None for kind in named)
    assert all(not can_map(kind) and degraded(kind) for kind in ("btrfs", "overlay", "nfs", "nfs4", "cifs", "fuse.sshfs", "9p"))
