"""The rules that the shape of the source keeps, as functions over module name → source: tests can plant breaches."""

import ast
from collections.abc import Collection, Iterator, Mapping

PACKAGE = "holdfast"
SHARED = ("errors", "events", "records", "codec", "tokens", "engine")  # these may import each other, and nothing below
BELOW = (
    ("storage",),
    ("recording", "reading"),
    ("mirrors",),
    ("sessions",),
    ("engines",),
    ("workflows",),
    ("guide", "importing"),
    ("workspace", "autosave"),
    ("cli",),
    ("web",),
)
FRONTS = ("cli", "web")  # these see the public names, the errors and themselves
ONLY_SHARED = ("engines",)
BARRED = {("mirrors", "recording")}  # beyond the order: a mirror reads the log
# The first has every operation; the second lays out a disk after power loss, for tests.
FILE_MODULES = (f"{PACKAGE}.storage.files", f"{PACKAGE}.storage.powerloss")

_RANKS = {layer: rank for rank, line in enumerate((SHARED, *BELOW)) for layer in line}

Sources = Mapping[str, str]


def layer_breaches(sources: Sources, public: Collection[str]) -> list[str]:
    """Every import that goes against the order, as "module:line: why". `public` are the names cli and web may use."""
    packages = {name.rpartition(".")[0] for name in sources} - {""}
    breaches = []
    for module, source in sources.items():
        layer = layer_of(module)
        if layer and layer not in _RANKS:
            breaches.append(f"{module}:1: has no place in the order of layers")
            continue
        tree = ast.parse(source)
        for line, target in sorted(_imports(tree, module, module in packages or module == PACKAGE, sources)):
            why = _objection(layer, target, sources, public)
            if why:
                breaches.append(f"{module}:{line}: {why}")
    return breaches


def layer_of(module: str) -> str:
    """The layer that a module lies in; "" for the package's own `__init__`. `__main__` belongs to the command."""
    parts = module.split(".")
    if len(parts) == 1:
        return ""
    return "cli" if parts[1] == "__main__" else parts[1]


def _objection(layer: str, target: str, sources: Sources, public: Collection[str]) -> str:
    """Why a module of `layer` may not import `target`, a module of ours or a name in the package; "" if it may."""
    is_module = target in sources or target.count(".") > 1
    target_layer = layer_of(target) if is_module or layer_of(target) in _RANKS else ""
    if layer in FRONTS:
        if target_layer in ("errors", layer):
            return ""
        name = target.removeprefix(PACKAGE).lstrip(".")
        if name in ("", "__version__") or name in public:
            return ""
        return f"{layer} imports {target}, which is not a public name"
    if not layer:
        return f"the package itself imports {target_layer}" if target_layer in FRONTS else ""
    if not target_layer:
        return f"{layer} imports {target}: the package itself lies below every layer"
    if target_layer == layer:
        return ""
    if target_layer not in _RANKS:
        return f"{layer} imports {target}, which has no place in the order of layers"
    above, own = _RANKS[target_layer], _RANKS[layer]
    if layer in ONLY_SHARED and above > 0:
        return f"{layer} imports {target}, and may import only {', '.join(SHARED)}"
    if above > own:
        return f"{layer} imports {target}, which lies below it"
    if above == own and layer not in SHARED:
        return f"{layer} imports {target}, its sibling"
    if (layer, target_layer) in BARRED:
        return f"{layer} imports {target}, which it may not"
    return ""


def _imports(tree: ast.AST, module: str, is_package: bool, sources: Sources) -> Iterator[tuple[int, str]]:
    """Line and target of every import of ours in a module, wherever it stands, also by `import_module("…")`."""
    aliases = {PACKAGE: PACKAGE}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if _is_ours(alias.name):
                    yield node.lineno, alias.name
                    if alias.asname:
                        aliases[alias.asname] = alias.name
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, is_package)
            if _is_ours(base):
                for alias in node.names:
                    yield node.lineno, _target(base, alias.name, sources)
        elif isinstance(node, ast.Call) and node.args and _name(node.func) in ("import_module", "__import__"):
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str) and _is_ours(first.value):
                yield node.lineno, first.value
    for node in ast.walk(tree):  # `holdfast.x`, after `import holdfast`
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            yield node.lineno, _target(aliases[node.value.id], node.attr, sources)


def _target(base: str, name: str, sources: Sources) -> str:
    """What `from base import name` reaches: a name in the package itself, a module, or the module that has the name."""
    return f"{base}.{name}" if base == PACKAGE or f"{base}.{name}" in sources else base


def _absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    """The module that a `from` statement names, with relative dots resolved."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    folder = parts[: len(parts) - node.level + is_package]
    return ".".join([*folder, node.module] if node.module else folder)


def _is_ours(module: str) -> bool:
    return module == PACKAGE or module.startswith(f"{PACKAGE}.")


def _name(func: ast.expr) -> str:
    """The last part of what is called."""
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""


_OS_CHANGES = frozenset(
    "open fdopen write writev pwrite pwritev rename renames replace fsync fdatasync sync unlink remove rmdir "
    "removedirs mkdir makedirs link symlink truncate ftruncate posix_fallocate sendfile copy_file_range "
    "mkfifo mknod".split()
)
_SHUTIL_CHANGES = frozenset("copy copy2 copyfile copyfileobj copytree move rmtree make_archive unpack_archive".split())
_PATH_CHANGES = frozenset("write_text write_bytes touch symlink_to hardlink_to".split())
_PATH_OPTIONS = frozenset(("parents", "exist_ok", "missing_ok"))
_BY_MODULE = {"os": _OS_CHANGES, "shutil": _SHUTIL_CHANGES, "io": frozenset(["open", "FileIO"])}


def file_breaches(sources: Sources, *, exempt: Collection[str] = FILE_MODULES) -> list[str]:
    """Every place outside the exempt modules that opens or changes files by itself, as "module:line: what".

    Objects cannot be told apart by type here, so methods that `Files` and `Path` share (rename, unlink, …) count only
    when called the way a Path wants it.
    """
    breaches = []
    for module, source in sources.items():
        if module in exempt:
            continue
        tree = ast.parse(source)
        aliases = {name: name for name in _BY_MODULE}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                aliases |= {alias.asname: alias.name for alias in node.names if alias.asname and alias.name in aliases}
        for node in ast.walk(tree):
            breaches += [f"{module}:{line}: {what}" for line, what in _file_changes(node, aliases)]
    return breaches


def _file_changes(node: ast.AST, aliases: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name == "tempfile":
                yield node.lineno, "tempfile"
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            if node.module == "tempfile" or alias.name in _BY_MODULE.get(node.module or "", ()):
                yield node.lineno, f"{node.module}.{alias.name}"
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
        library = aliases[node.value.id]
        if node.attr in _BY_MODULE[library]:
            yield node.lineno, f"{library}.{node.attr}"
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
        yield node.lineno, "open"
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _changes_a_path(node, node.func.attr):
        yield node.lineno, f"Path.{node.func.attr}"


def _changes_a_path(call: ast.Call, method: str) -> bool:
    options = {option.arg for option in call.keywords}
    first = call.args[0] if call.args else None
    match method:
        case "mkdir" | "unlink" | "rmdir":
            return not call.args  # those of Files take the path
        case "replace":
            return len(call.args) == 1 and not options  # that of a string takes two
        case "rename":
            return len(call.args) == 1 and not options  # that of Files takes two
        case "open":
            return isinstance(first, ast.Constant) and isinstance(first.value, str) and set(first.value) <= set("rwxabt+")
    return method in _PATH_CHANGES or bool(options & _PATH_OPTIONS)


def print_breaches(sources: Sources) -> list[str]:
    """Every `print`, and every write to the standard streams, outside cli and web, as "module:line: what"."""
    breaches = []
    for module, source in sources.items():
        if layer_of(module) in FRONTS:
            continue
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called == "print" or called.startswith(("sys.stdout.", "sys.stderr.")):
                breaches.append(f"{module}:{node.lineno}: {called}")
    return breaches
