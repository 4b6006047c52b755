"""Evaluate: score a run on the test split, examine its attention, explain it; measure what models cost.

`examine` needs a finished run and the test split, which no training sees. It leaves examination-<key>/ in the run's
folder: metrics.json with predictions.safetensors, attention.json, and explanations.json with explanations.safetensors.
`profile` needs the dataset's card alone; it leaves results/profiles/.
"""


rule examine:
    """How accurate is a run on the test split, is its attention alive, and where does it look?

    One process for all three, since each would load the same network and images.
    """
    input:
        get_run_and_test,
    output:
        "results/runs/{dataset}/{model}/{recipe}-{key}/seed{seed}/examination-{examination}/metrics.json",
        "results/runs/{dataset}/{model}/{recipe}-{key}/seed{seed}/examination-{examination}/predictions.safetensors",
        "results/runs/{dataset}/{model}/{recipe}-{key}/seed{seed}/examination-{examination}/attention.json",
        "results/runs/{dataset}/{model}/{recipe}-{key}/seed{seed}/examination-{examination}/explanations.json",
        "results/runs/{dataset}/{model}/{recipe}-{key}/seed{seed}/examination-{examination}/explanations.safetensors",
    log:
        "logs/examine/{dataset}/{model}/{recipe}-{key}/seed{seed}-{examination}.log",
    benchmark:
        "logs/examine/{dataset}/{model}/{recipe}-{key}/seed{seed}-{examination}.tsv"
    priority: 1  # before further trainings, so that `cnntention status` has results to show
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=1,
    shell:
        r"""
        exec &> >(tee {log:q})
        python -m cnntention examine \
            --config {CONFIG:q} \
            --run results/runs/{wildcards.dataset}/{wildcards.model}/{wildcards.recipe}-{wildcards.key}/seed{wildcards.seed} \
            --threads {threads:q}
        """


rule profile:
    """What do the models cost on a dataset's images, measured in turn?"""
    input:
        get_profile_inputs,
    output:
        "results/profiles/{dataset}/{key}.json",
    log:
        "logs/profile/{dataset}/{key}.log",
    benchmark:
        "logs/profile/{dataset}/{key}.tsv"
    priority: 1  # not last, when no other job is left to run beside it
    conda:
        "../../environment.yml"
    threads: STUDY.profiling.threads
    resources:
        gpu=1,
    shell:
        r"""
        exec &> >(tee {log:q})
        python -m cnntention profile \
            --config {CONFIG:q} \
            --dataset {wildcards.dataset:q} \
            --out {output:q}
        """
