"""Writing session.json, the cache that lists are made from."""

from pathlib import Path

import msgspec

from holdfast.reading.catalog import MANIFEST_NAME, Manifest
from holdfast.storage.files import Files, replace_file


def write_manifest(files: Files, folder: Path, manifest: Manifest) -> None:
    """Replace session.json atomically."""
    replace_file(files, folder / MANIFEST_NAME, [msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"])
