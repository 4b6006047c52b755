"""Do small CNNs get better with attention? From the datasets' archives to the report; see README.md."""

import subprocess
import sys

from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/reading.smk"


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/console.smk"
include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/targets.smk"
include: "workflow/rules/slurm.smk"


# A run that fails stops no other; in the end it is named, and the report is of the others.
onerror:
    if workflow.is_main_process and not workflow.dryrun:
        subprocess.run([sys.executable, "-m", "cnntention", "partial", "--config", CONFIG])


# The study's report, with its figures.
rule all:
    default_target: True
    input:
        get_report,
