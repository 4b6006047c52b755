"""Slurm: what Snakemake's plugin (2.8.0) leaves out. Nothing of it runs without Slurm. Explained in docs/cluster.md."""

import contextlib
import signal
import subprocess
import time

import psutil


def pass_on(number, frame):
    """Send the signal that came before the time limit to the step: Slurm sends it to Snakemake alone, which would end."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[1:3] == ["-m", "cnntention"]:
                process.send_signal(number)


if workflow.remote_exec:
    signal.signal(signal.SIGUSR1, pass_on)


def cancel_orphans():
    """Cancel the jobs of a Snakemake that was killed in this folder, and wait until they are gone.

    Snakemake holds the folder's lock by now, so no other one is waiting for them.
    """

    def squeue(*which):
        states = "--states=pending,configuring,running,suspended,completing"
        asked = ["squeue", "--noheader", states, "--format=%A|%k|%Z", *which]
        return [line.split("|") for line in subprocess.run(asked, capture_output=True, text=True).stdout.splitlines()]

    mine = squeue("--me")
    orphans = [job for job, comment, folder in mine if comment.startswith("rule_") and folder == os.getcwd()]
    if orphans:
        print(f"Cancelling {len(orphans)} Slurm jobs of an earlier call that was killed.", file=sys.stderr, flush=True)
        subprocess.run(["scancel", *orphans])
        for _ in range(60):
            if not squeue(f"--jobs={','.join(orphans)}"):
                break
            time.sleep(2)


def mend_plugin():
    """Two faults of the plugin, each of which would let Snakemake wait for ever."""
    import snakemake_executor_plugin_slurm as plugin

    # While slurmctld does not answer, it would turn to sacct, which fails without accounting, and forget its jobs.
    age = plugin.get_min_job_age()
    plugin.get_min_job_age = lambda: age

    # It takes a preempted job for one that Slurm will requeue; squeue calls a requeued job PENDING.
    query = plugin.query_job_status

    async def query_job_status(command, logger):
        states, seconds = await query(command, logger)
        if states is not None:
            states = {job: "CANCELLED" if state == "PREEMPTED" else state for job, state in states.items()}
        return states, seconds

    plugin.query_job_status = query_job_status


onstart:
    if workflow.executor_plugin.name == "slurm":
        cancel_orphans()
        mend_plugin()
