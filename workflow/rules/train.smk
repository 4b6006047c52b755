"""Train: one run, one process, one device.

Needs the prepared train and val splits (test instead of val where the recipe monitors that). Leaves a run's run.json,
model.safetensors and history.csv. An unfinished run's state is no output, so that a killed run goes on: it is in state/,
and removed when the run is done.
"""


rule train:
    """Train one model on one dataset by one recipe from one seed."""
    input:
        get_training_data,
    output:
        "results/runs/{dataset}/{model}/{recipe}-{key}/seed{seed}/run.json",
        "results/runs/{dataset}/{model}/{recipe}-{key}/seed{seed}/model.safetensors",
        "results/runs/{dataset}/{model}/{recipe}-{key}/seed{seed}/history.csv",
    log:
        "results/runs/{dataset}/{model}/{recipe}-{key}/seed{seed}/train.log",
    benchmark:
        "logs/train/{dataset}/{model}/{recipe}-{key}/seed{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=1,
    shell:
        r"""
        exec &> >(tee {log:q})
        python -m cnntention train \
            --config {CONFIG:q} \
            --run results/runs/{wildcards.dataset}/{wildcards.model}/{wildcards.recipe}-{wildcards.key}/seed{wildcards.seed} \
            --state state/{wildcards.dataset}/{wildcards.model}/{wildcards.recipe}-{wildcards.key}/seed{wildcards.seed}.pt \
            --threads {threads:q}
        """
