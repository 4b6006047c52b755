"""The options of all steps."""

OPTIONS: dict[str, dict] = {
    "dataset": {"required": True, "help": "a dataset's name"},
    "run": {"required": True, "help": "results/runs/DATASET/MODEL/RECIPE-KEY/seedK"},
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
    "state": {"required": True, "help": "file of the training state while the run is unfinished"},
    "threads": {"type": int, "default": 1, "help": "CPU threads (they change the last bits of a result)"},
    "runs": {"type": int, "default": 1, "help": "how many finished runs to train again (default: 1; 0: only hashes)"},
    "seed": {"type": int, "default": 0, "help": "another number chooses other runs"},
    "watch": {"action": "store_true", "help": "redraw every 2 s until Ctrl-C or until the report is there"},
    "estimate": {"action": "store_true", "help": "before the start: time a few training steps of each model here"},
    "device": {"default": "auto", "choices": ["auto", "cuda", "mps", "cpu"], "help": "where to compute"},
}
