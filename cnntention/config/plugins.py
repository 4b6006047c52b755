"""Plugins, read as text: which attention kinds a file registers, and which files of its folder it imports.

Files are parsed, never imported, so planning is fast and needs no torch.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from cnntention.config.attention import ATTENTION_OPTIONS
from cnntention.errors import UserError

OURS = Path(__file__).parents[1].name  # our package beside a plugin: `versions` counts its changes


def parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), str(path))
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"plugins: cannot read '{path}' ({reason}); give the path of a Python file.") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # the last two: nested too deeply
        raise UserError(f"plugins: {path} is not Python ({error}).") from None


def registered(path: Path) -> Iterator[str]:
    """The kinds that a file registers by a literal name, as in `@register("squeeze")`."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call) and "register" in (getattr(node.func, "id", ""), getattr(node.func, "attr", "")):
            for value in (*node.args[:1], *(word.value for word in node.keywords if word.arg == "kind")):
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value


def imported(path: Path) -> Iterator[str]:
    """Top-level names of all modules that a file imports: x for `import x.y` and `from .x import y`."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.Import | ast.ImportFrom):  # `from . import x` names modules, as `import x` does
            yield from (alias.name.split(".")[0] for alias in node.names)


def with_imports(path: Path, folder: Path) -> set[Path]:
    """A file and what it imports, directly or not, from its folder or from `folder`, that of its plugin.

    All files of an imported package are included.
    """
    files, left = set(), [path]
    while left:
        file = left.pop()
        if file not in files:
            files.add(file)
            beside = [place / name for place in {file.parent, folder} for name in imported(file) if name != OURS]
            left += [module for name in beside if (module := name.with_suffix(".py")).is_file()]
            left += [module for name in beside for module in name.rglob("*.py")]
    return files


def definitions(plugins: Iterable[str]) -> dict[str, set[Path]]:
    """Kind -> the file that registers it and what that file imports; ValueError if a name is taken.

    "" -> all files of all plugins, for kinds whose name is computed.
    """
    owners: dict[str, Path] = {}
    sources: dict[str, set[Path]] = {"": set()}
    for plugin in map(Path, plugins):
        files = with_imports(plugin, plugin.parent)
        sources[""] |= files
        for path in sorted(files):
            for kind in registered(path):
                if kind in ATTENTION_OPTIONS:
                    raise ValueError(f"plugins: {path} registers {kind!r}, which is built in; use another name")
                if owners.setdefault(kind, path) != path:
                    raise ValueError(f"plugins: {owners[kind]} and {path} both register {kind!r}; rename one")
                sources[kind] = with_imports(path, plugin.parent)
    return sources


def identity(kinds: Iterable[str], sources: Mapping[str, set[Path]]) -> list[str]:
    """Hashes of what defines these kinds, by `definitions`; empty if all are built in.

    A kind whose registered name is computed, not literal, depends on all files of all plugins.
    """
    return hashes(set().union(*(sources.get(kind, sources[""]) for kind in kinds if kind not in ATTENTION_OPTIONS)))


def hashes(files: Iterable[Path]) -> list[str]:
    """The sorted SHA-256 of the files' contents; their names and folders do not matter."""
    return sorted({hashlib.sha256(path.read_bytes()).hexdigest() for path in files})
