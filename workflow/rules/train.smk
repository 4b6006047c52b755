"""Train: one run, one process, one device.

Needs the train and val splits (test instead of val if the recipe monitors it). Writes the run's run.json,
model.safetensors and history.csv. The state of an unfinished run is not an output but a file in state/, so that a
killed run can resume; it is removed when the run is done.
"""


rule train:
    """Train one model on one dataset with one recipe and one seed."""
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
    params:
        config=CONFIG,
    shell:
        r"""
        exec &> >(tee {log:q})
        python -m cnntention train \
            --config {params.config:q} \
            --run results/runs/{wildcards.dataset}/{wildcards.model}/{wildcards.recipe}-{wildcards.key}/seed{wildcards.seed} \
            --state state/{wildcards.dataset}/{wildcards.model}/{wildcards.recipe}-{wildcards.key}/seed{wildcards.seed}.pt \
            --threads {threads:q}
        """
