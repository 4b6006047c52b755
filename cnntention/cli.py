"""One subcommand a step, thin: parse, read, call, write. Every step runs, and can be debugged, without the workflow.

The workflow's take `--config`, a list of YAML or JSON files of which later ones are laid over earlier ones; the
workflow passes its resolved configuration as one file.
"""

import argparse
import gc
import os
import sys

from cnntention import commands
from cnntention.errors import UserError, explained
from cnntention.parsing import Parser, count, positive

# These make the libraries compute fp32 in less, whatever the recipe says; oneDNN reads its own when torch is loaded.
OVERRULING = ("NVIDIA_TF32_OVERRIDE", "ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE")


def main(argv: list[str] | None = None) -> int:
    """Run one step; an error that has a sentence becomes one line on stderr and exit code 1."""
    args = parser().parse_args(argv)
    gc.set_threshold(100_000)  # importing torch makes many objects and hardly any garbage
    for name in OVERRULING:
        os.environ.pop(name, None)
    try:
        args.step(args)
    except (UserError, RuntimeError, OSError, ValueError) as error:
        sentence = error if isinstance(error, UserError) else explained(error)
        if sentence is None:
            raise
        print(f"cnntention {args.command}: {sentence}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"cnntention {args.command}: interrupted.", file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    top = Parser(prog="cnntention", description="Steps of the CNNtention study.")
    steps = top.add_subparsers(dest="command", required=True, metavar="STEP")

    def step(name: str, *options: str) -> None:
        function = getattr(commands, name)
        sub = steps.add_parser(name, help=function.__doc__, description=function.__doc__)
        sub.set_defaults(step=function)
        if name in ("seal", "status", "verify"):
            text = "configuration files, laid over config.yaml as Snakemake does (default: config.yaml alone)"
            sub.add_argument("--config", "--configfile", nargs="+", default=["config.yaml"], metavar="FILE", help=text)
        elif name not in ("clean", "dvc", "explain", "fingerprint", "get", "new", "predict", "schema", "test"):
            sub.add_argument("--config", nargs="+", required=True, metavar="FILE", help="configuration files, in order")
        for option in options:  # one with a question mark may be left out
            option, *optional = option.split("?")
            flag = option if option in PLACED else f"--{option}"
            sub.add_argument(flag, **OPTIONS[option] | ({"required": False} if optional else {}))

    step("test", "module", "option", "scale", "dataset?", "budget", "dir", "cores")
    step("new", "folder", "module", "option", "scale", "dataset?", "budget")
    step("fingerprint", "directory")
    step("fetch", "dataset", "out")
    step("prepare", "dataset", "out")
    step("train", "run", "state", "threads", "device")
    step("examine", "run", "threads", "device")
    step("profile", "dataset", "out", "device")
    step("summarise", "out")
    step("judge", "tables", "out")
    step("report", "tables", "verdicts", "out")
    step("seal")
    step("partial")
    step("publish", "readme")
    step("verify", "run?", "runs", "seed", "tables?", "remote?", "repair")
    step("dvc", "overlays", "out?")
    step("plan", "pipeline", "out")
    step("metrics", "out")
    step("get", "name", "remote?")
    step("rocrate")
    step("predict", "images", "run", "plugin", "top")
    step("explain", "image", "run", "plugin", "out?")
    step("clean", "study", "delete")
    step("status", "watch", "estimate")
    step("schema", "out")
    return top


PLACED = ("directory", "folder", "image", "images", "module", "name", "overlays")
OPTIONS: dict[str, dict] = {
    "module": {
        "metavar": "MODULE",
        "help": "my_module.py or my_module.py:Class, timm:eca, package.module.Class, or a kind of this package",
    },
    "folder": {"metavar": "DIR", "help": "where the study's files and results go"},
    "directory": {"metavar": "DIR", "help": "a folder of images, with train/CLASS/ and test/CLASS/"},
    "option": {"action": "append", "default": [], "metavar": "NAME=VALUE", "help": "an option of the module"},
    "scale": {"choices": ["cpu", "full"], "default": "cpu", "help": "cpu: small networks, under an hour; full: a GPU"},
    "budget": {
        "type": positive,
        "metavar": "HOURS",
        "help": "hours of training, of a core or GPU, after the first look",
    },
    "dir": {"metavar": "DIR", "help": "where the study's files and results go (default: certificate-MODULE)"},
    "cores": {"default": "all", "metavar": "N", "help": "CPU cores (default: all)"},
    "dataset": {"required": True, "help": "a dataset's name"},
    "run": {"required": True, "help": "results/runs/DATASET/MODEL/RECIPE-KEY/seedK"},
    "image": {"metavar": "IMAGE", "help": "an image file"},
    "images": {"metavar": "IMAGE", "nargs": "+", "help": "image files"},
    "plugin": {
        "action": "append",
        "default": [],
        "metavar": "FILE",
        "help": "the Python file that registers the run's attention module, if that is your own; may be repeated",
    },
    "top": {"type": count, "default": 3, "metavar": "N", "help": "how many classes to print (default: 3)"},
    "out": {"required": True, "help": "the file or folder to write"},
    "tables": {"required": True, "help": "the folder that `summarise` wrote"},
    "verdicts": {"required": True, "help": "the folder that `judge` wrote"},
    "study": {
        "action": "append",
        "nargs": "+",
        "default": [],
        "metavar": "FILE",
        "help": "the configuration of one more study that counts, laid over config.yaml; may be repeated (config.yaml "
        "alone and with each file of workflow/studies/ counts anyway)",
    },
    "delete": {"action": "store_true", "help": "remove them"},
    "readme": {"required": True, "help": "the Markdown file whose results are to be rewritten"},
    "overlays": {"nargs": "*", "metavar": "FILE", "help": "configuration files, laid over config.yaml in this order"},
    "pipeline": {"required": True, "help": "the study's dvc.yaml"},
    "name": {"metavar": "RUN", "help": "DATASET/MODEL/RECIPE/SEED"},
    "remote": {"required": True, "metavar": "NAME", "help": "a DVC remote"},
    "repair": {"action": "store_true", "help": "send what the remote lacks and DVC's cache has"},
    "state": {"required": True, "help": "file of the training state while the run is unfinished"},
    "threads": {"type": count, "default": 1, "help": "CPU threads (they change the last bits of a result)"},
    "runs": {"type": int, "default": 1, "help": "how many finished runs to train again (default: 1; 0: only hashes)"},
    "seed": {"type": int, "default": 0, "help": "another number chooses other runs"},
    "watch": {"action": "store_true", "help": "redraw every 2 s until Ctrl-C or until the report is there"},
    "estimate": {"action": "store_true", "help": "before the start: time a few training steps of each model here"},
    "device": {"default": "auto", "choices": ["auto", "cuda", "mps", "cpu"], "help": "where to compute"},
}
