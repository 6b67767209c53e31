"""Writing session.json, the cache that lists are made from."""

from pathlib import Path

import msgspec

from holdfast.reading.catalog import MANIFEST_NAME, Manifest, rebuild_manifest
from holdfast.sessions.folder import SessionFolder
from holdfast.storage.files import Files, replace_file
from holdfast.storage.host import boot_id
from holdfast.storage.reader import LogReader


def write_manifest(files: Files, folder: Path, manifest: Manifest) -> None:
    """Replace session.json atomically."""
    replace_file(files, folder / MANIFEST_NAME, [msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"])


def rewrite_manifest(folder: SessionFolder, name: str | None = None) -> None:
    """Replace session.json by what the log says of the session; name: where that is not the folder's yet."""
    manifest = rebuild_manifest(LogReader(folder.files, folder.log, boot_id()), name or folder.name)
    if manifest is not None:
        write_manifest(folder.files, folder.path, manifest)
