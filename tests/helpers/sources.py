"""The source of every module of a package, for tests that read code instead of running it."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def package_sources(folder: Path = ROOT / "src" / "holdfast") -> dict[str, str]:
    """Module name → source, for a package folder; a package's own `__init__` stands under the package's name."""
    sources = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources[name] = path.read_text(encoding="utf-8")
    return sources
