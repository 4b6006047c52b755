"""Console: one line a job. `--verbose` shows Snakemake's full output, with files, wildcards and reasons.

The logs under .snakemake/log/ are always complete.
"""

import logging
import sys
import time

CHATTER = ("Assuming unrestricted", "Using shell", "Provided ", "Rules claiming", "Select jobs", "Execute ")
STEPS = {"done": "0", "total": "?"}


def one_line_a_job(record):
    """Filter of Snakemake's console handler: one line when a job starts or fails; hides the rest."""
    event = getattr(getattr(record, "event", None), "value", None)
    if event == "job_info":
        known = [value for name, value in record.wildcards.items() if name not in ("key", "examination")]
        steps = "" if workflow.dryrun else f"[{STEPS['done']}/{STEPS['total']}] "
        line = f"{time.strftime('%H:%M:%S')} {steps}{record.rule_name} {'/'.join(map(str, known))}"
        print(line.rstrip(), file=sys.stderr, flush=True)
    elif event == "job_error":
        print(
            f"{time.strftime('%H:%M:%S')} FAILED {record.rule_name}; its log: {' '.join(record.log)}", file=sys.stderr
        )
        return False
    elif event == "progress":
        STEPS.update(done=record.done, total=record.total)
    if str(record.msg).startswith(CHATTER):
        return False
    return event not in ("job_info", "progress", "job_finished", "workflow_started", "resources_info")


if not (workflow.output_settings.verbose or workflow.remote_exec):
    for handler in logging.getLogger("snakemake.logging").handlers:
        if type(handler).__name__ == "ColorizingTextHandler":
            handler.addFilter(one_line_a_job)
