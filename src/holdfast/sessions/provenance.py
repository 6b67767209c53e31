"""Where a run came from: command, Python, packages, host, git commit. It stands in `info`: equal runs may differ."""

import os
import sys
from pathlib import Path
from typing import Any

from holdfast.storage.host import host_name

_GIT_SECONDS = 2.0
_NO_PROGRAM = frozenset(("", "-", "-c"))  # as argv[0]: at the prompt, from standard input, from a text


def provenance() -> dict[str, Any]:
    """What is known of this process. Never raises: what cannot be had is left out."""
    found: dict[str, Any] = {
        "argv": [*sys.argv],
        "interpreter": sys.executable,
        "python": ".".join(map(str, sys.version_info[:3])),
        "packages": _imported_versions(),
        "host": host_name(),
        "pid": os.getpid(),
    }
    if (launch := _launch(sys.argv, sys.orig_argv)) is not None:
        found["launch"] = launch
    if root := os.environ.get("HOLDFAST_ROOT"):
        found["environment"] = {"HOLDFAST_ROOT": root}
    try:
        found["folder"] = str(Path.cwd())
    except OSError:
        return found  # the working directory is gone
    commit = _git("rev-parse", "HEAD") if _in_checkout(Path.cwd()) else None
    if commit:
        found["git"] = {"commit": commit, "dirty": bool(_git("status", "--porcelain", "--untracked-files=no"))}
    return found


def _launch(argv: list[str], typed: list[str]) -> list[str] | None:
    """The words between the interpreter and the program's own arguments: options, and the script, or -m and the module. None
    where no script or module was started."""
    if not argv or argv[0] in _NO_PROGRAM:
        return None
    words = typed[1 : len(typed) - len(argv) + 1]
    is_module = words[-2:-1] == ["-m"]
    if typed[len(typed) - len(argv) + 1 :] == argv[1:] and (is_module or words[-1:] == argv[:1]):
        return words
    return [argv[0]]  # the program has changed its arguments, or is a child that multiprocessing started


def _imported_versions() -> dict[str, str]:
    """Versions of the packages that are imported; asking all installed ones would take longer than many a run."""
    versions = {}
    for name, module in sorted(sys.modules.items()):
        if "." in name or name.startswith("_"):
            continue
        # Not getattr: some modules warn, import or raise where they are asked for what they do not hold.
        version = getattr(module, "__dict__", {}).get("__version__")
        if isinstance(version, str) and name not in sys.stdlib_module_names:
            versions[name] = version
    return versions


def _in_checkout(folder: Path) -> bool:
    return any((parent / ".git").exists() for parent in (folder, *folder.parents))


def _git(*command: str) -> str | None:
    import subprocess  # here: it takes longer to import than all of this

    try:
        done = subprocess.run(["git", "--no-optional-locks", *command], capture_output=True, timeout=_GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None
