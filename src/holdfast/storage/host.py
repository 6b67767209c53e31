"""What must be known of this machine: its boot, its name, and which file systems a shared map is safe on."""

import os
from functools import cache
from pathlib import Path

_MAPPED = frozenset(("ext4", "ext3", "ext2", "xfs", "tmpfs"))
_REMOTE = frozenset(("nfs", "nfs4", "cifs", "smb3", "fuse", "9p", "ceph", "glusterfs", "lustre", "overlay", "virtiofs"))
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@cache
def boot_id() -> str:
    """The id of this boot; a random one of this process where the system has none (then every start counts as a boot)."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return os.urandom(16).hex()


@cache
def host_name() -> str:
    """This machine's name."""
    return os.uname().nodename


def file_system(path: Path) -> str:
    """The type of the file system that holds path ("ext4"), or "unknown"."""
    try:
        device = os.stat(path).st_dev
        wanted = f"{os.major(device)}:{os.minor(device)}"
        with Path("/proc/self/mountinfo").open(encoding="utf-8", errors="replace") as mounts:
            for line in mounts:
                left, _, right = line.partition(" - ")
                if left.split()[2] == wanted:
                    return right.split()[0]
    except (OSError, IndexError):
        pass
    return "unknown"


def can_map(kind: str) -> bool:
    """Whether lines may go through a shared map on this type: a store is flushed the moment it returns. Nowhere that boots
    cannot be told apart: a kill would look like a power loss, and take the lines that are not closed yet."""
    return kind in _MAPPED and _BOOT_ID.exists()


def degraded(kind: str) -> str | None:
    """What a file system of this type does not promise, as a sentence; None on local Linux ones."""
    base = kind.split(".")[0]
    if base in _REMOTE:
        return (
            f"the workspace is on {kind}: locks and syncs are as good as that file system's own, and each record "
            "costs one write (docs/promises.md)"
        )
    if not can_map(kind):
        return f"the workspace is on {kind}, where each record costs one write (docs/promises.md)"
    return None


def is_alive(pid: int) -> bool:
    """Whether a process of this number is there, as far as can be seen: also another one that has it now."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return True
