"""The module to be tested: a file with a class, a module of timm, or a dotted name."""

import ast
import importlib
import keyword
import re
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

import yaml

from cnntention.config import ATTENTION_OPTIONS
from cnntention.config.plugins import registered, with_imports
from cnntention.errors import UserError
from cnntention.files import write_text
from cnntention.models.trial import blamed

MODULE_CLASSES = ("Module", "Attention", "MultiHead", "SelfAttention", "CBAM")  # bases by which a class is recognised
PLUGIN = "tested_module.py"


@dataclass(frozen=True)
class Source:
    """A module, as the configuration of a slot names it."""

    name: str
    """Short, for models and folders."""
    slot: dict[str, Any]
    """`kind` and options."""
    plugin: str = ""
    """The file that registers the kind; empty if it is known."""
    files: tuple[Path, ...] = ()
    """The user's, which the study needs, in or below the first one's folder."""
    text: str = ""
    """Of the plugin, where it is not one of them."""

    def write(self, folder: Path) -> None:
        """Put plugin and files into the study's folder."""
        for file in self.files:
            target = folder / file.relative_to(self.files[0].parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not (target.exists() and target.samefile(file)):
                shutil.copy(file, target)
        if self.text:
            write_text(folder / self.plugin, self.text)


def kind_of(name: str) -> str:
    """Of a class, and none of ours: MyModule -> my-module, CBAM -> own-cbam."""
    kind = slug(name)
    return f"own-{kind}" if kind in ATTENTION_OPTIONS else kind


def slug(text: str) -> str:
    """MyModule -> my-module"""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "-", text).strip("-").lower()
    return words[:40] or "module"


def parse(text: str, options: list[str]) -> Source:
    """`my_module.py`, `my_module.py:Class`, `timm:eca`, `package.module.Class`, or a kind of this package.

    `options`: `ratio=4`, keywords of the constructor. UserError if there is no such module.
    """
    given = dict(map(option, options))
    if text.startswith("timm:"):
        return Source(slug(text.removeprefix("timm:")), {"kind": "timm", "name": text.removeprefix("timm:"), **given})
    if text in ATTENTION_OPTIONS:
        return Source(text, {"kind": text, **given})
    file, _, wanted = text.partition(":")
    if file.endswith(".py"):
        return of_file(Path(file), wanted, given)
    return of_package(text, given)


def option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UserError(f"--option: give NAME=VALUE, not {text!r}.")
    try:
        literal = ast.literal_eval(value)  # for YAML None, 1e-4 and (3, 3) are texts
        return name, list(literal) if isinstance(literal, tuple) else literal
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError:
        raise UserError(f"--option {name}: {value!r} is no YAML value.") from None


def of_file(path: Path, wanted: str, options: dict[str, Any]) -> Source:
    """The class of a file that is an attention module: the one named, the one registered, or the only one."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; give a Python file with an attention module.")
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{path}: is not Python ({error}).") from None
    if kinds := sorted(registered(path)):
        if len(kinds) > 1 and not wanted:
            raise UserError(f"{path}: registers {', '.join(kinds)}; say which: {path}:{kinds[0]}.")
        kind = wanted or kinds[0]
        if kind in kinds:
            return Source(slug(kind), {"kind": kind, **options}, path.name, files_of(path))
    classes = {
        node.name: [base_name(base) for base in node.bases] for node in tree.body if isinstance(node, ast.ClassDef)
    }
    modules = [name for name, bases in classes.items() if is_module(name, classes)]
    if wanted and wanted not in classes:
        raise UserError(f"{path}: has no class {wanted!r}; it has {', '.join(classes) or 'none'}.")
    if not wanted and len(modules) != 1:
        found = f"{len(modules)} nn.Modules: {', '.join(modules)}" if modules else "no nn.Module"
        example = modules[-1] if modules else "Class"
        raise UserError(f"{path}: has {found}; name the attention module: {path}:{example}.")
    files = files_of(path)
    for file in files:
        if not file.stem.isidentifier() or keyword.iskeyword(file.stem) or file.name == PLUGIN:
            raise UserError(f"{file}: cannot be imported by this name; call it my_module.py or the like.")
    return of_class(f".{path.stem}", wanted or modules[0], options, files)


def files_of(path: Path) -> tuple[Path, ...]:
    """A file, and then what it imports from its folder."""
    return path, *sorted(with_imports(path, path.parent) - {path})


def base_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def is_module(name: str, classes: dict[str, list[str]], above: tuple[str, ...] = ()) -> bool:
    """Whether a class derives from one that is known to be a module, maybe by way of others of its file."""
    bases = [base for base in classes[name] if base not in (name, *above)]
    return any(
        base in MODULE_CLASSES or (base in classes and is_module(base, classes, (name, *above))) for base in bases
    )


def of_package(text: str, options: dict[str, Any]) -> Source:
    """A class of an installed package."""
    package, _, name = text.rpartition(".")
    if not package:
        raise UserError(
            f"{text}: is no file, no kind of this package ({', '.join(ATTENTION_OPTIONS)}), and no dotted name; give "
            "my_module.py, timm:eca or package.module.Class."
        )
    if "/" in text:
        raise UserError(f"{text}: is no file; give the path of a Python file, with its ending, .py.")
    with blamed(f"{text}: cannot be imported"):
        found = getattr(importlib.import_module(package), name, None)
    if not isinstance(found, type):
        raise UserError(f"{text}: {package} has no class {name!r}.")
    return of_class(package, name, options, note=release(package))


def of_class(package: str, name: str, options: dict[str, Any], files: tuple[Path, ...] = (), note: str = "") -> Source:
    """A class that a plugin of ours registers."""
    kind = kind_of(name)
    return Source(kind, {"kind": kind, **options}, PLUGIN, files, plugin(package, name, kind, note))


def release(package: str) -> str:
    """The version of the package's code, for the plugin's text, which the runs' key holds."""
    top = package.split(".")[0]
    try:
        return f"  # {top} {version((packages_distributions().get(top) or [top])[0])}"
    except PackageNotFoundError:
        return ""


def plugin(package: str, name: str, kind: str, note: str) -> str:
    return (
        f'"""Written by `cnntention new`: registers {name} as an attention module."""\n\n'
        f"from {package} import {name}{note}\n\n"
        "from cnntention.models.attention import register\n\n"
        "# its operations may have no deterministic GPU kernel\n"
        f'{name}.deterministic = getattr({name}, "deterministic", False)\n'
        f'register("{kind}")({name})\n'
    )
