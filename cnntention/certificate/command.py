"""`cnntention new` and `cnntention test`: a study's folder, and the call of Snakemake in it."""

import os
import shutil
import subprocess
import sys
import webbrowser
from pathlib import Path
from typing import Any

import torch
import yaml

from cnntention.certificate import source as sources
from cnntention.certificate.study import configuration
from cnntention.errors import UserError
from cnntention.files import write_text
from cnntention.plan import load
from cnntention.seal import seal
from cnntention.shipped import home

SNAKEFILE = """# Written by `cnntention new`. Run it: snakemake --cores all --resources gpu=1
configfile: "config.yaml"


module cnntention:
    snakefile:
        {snakefile!r}
    config:
        config


use rule * from cnntention
"""
HEAD = "# Written by `cnntention new`; edit it, and run snakemake again: what a change concerns is made anew.\n\n"


def new(folder: Path, module: str, option: list[str], scale: str, dataset: str | None, budget: float | None) -> None:
    """Write the study of a module into a folder: config.yaml, Snakefile, profiles/, the module's files, and the seal of
    its claims."""
    source = sources.parse(module, option)
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "config.yaml").exists() and not (folder / "config.yaml").read_text(encoding="utf-8").startswith(HEAD):
        raise UserError(f"{folder}/config.yaml: was not written by `cnntention new`; give another folder.")
    source.write(folder)
    before = Path.cwd()
    os.chdir(folder)  # plugins are named from here
    try:
        write("config.yaml", configuration(source, scale, dataset_from(before, dataset), budget))
        write_text("Snakefile", SNAKEFILE.format(snakefile=str(home() / "Snakefile")))
        shutil.copytree(home() / "profiles", "profiles", dirs_exist_ok=True)
        seal(load(["config.yaml"]))
    finally:
        os.chdir(before)


def dataset_from(folder: Path, dataset: str | None) -> str | None:
    """A file's path as seen from elsewhere; names stay."""
    return str((folder / dataset).resolve()) if dataset and (folder / dataset).is_file() else dataset


def write(path: str, config: dict[str, Any]) -> None:
    text = yaml.dump(config, Dumper=Plain, sort_keys=False, default_flow_style=None, width=118, allow_unicode=True)
    write_text(path, HEAD + text)


class Plain(yaml.SafeDumper):
    """Without anchors: an entry that is there twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def test(folder: Path, cores: str, **asked: Any) -> None:
    """Write the study, run it, and show its page; UserError if a step failed."""
    new(folder, **asked)
    print(f"The study is in {folder}; `cnntention status` there tells how far it is.", flush=True)
    snakemake = [sys.executable, "-m", "snakemake", "--cores", cores]
    snakemake += ["--resources", "gpu=1"] if torch.cuda.is_available() else []  # else a run a core at a time
    # the jobs call `python`, which has to be this one, also if its environment is not activated
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(snakemake, cwd=folder, env=os.environ | {"PATH": path})
    page = folder / "results" / load_name(folder) / "report/index.html"
    if done.returncode:
        raise UserError(f"a step failed; mend what it names, and run `snakemake --cores {cores}` in {folder}.")
    print(f"The certificate: {page}")
    if sys.stdout.isatty():
        webbrowser.open(page.resolve().as_uri())


def load_name(folder: Path) -> str:
    return yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["study"]["name"]
