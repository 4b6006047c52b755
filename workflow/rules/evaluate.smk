"""Evaluate: score a run on the test split, examine its attention, explain it; measure what models cost.

`examine` needs a finished run and the test split. It writes examination-<key>/ in the run's folder: metrics.json with
predictions.safetensors, attention.json, and explanations.json with explanations.safetensors.
`profile` needs only the dataset's card. It writes results/profiles/<study>/<dataset>/<key>.json.
"""


rule examine:
    """Test accuracy, attention diagnostics and Grad-CAM maps of a run.

    One process for all three: each would load the same network and images.
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
    priority: 1  # before more training, so that `cnntention status` can show results
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
        python -m cnntention examine \
            --config {params.config:q} \
            --run results/runs/{wildcards.dataset}/{wildcards.model}/{wildcards.recipe}-{wildcards.key}/seed{wildcards.seed} \
            --threads {threads:q}
        """


rule profile:
    """The cost of all models on a dataset's images, measured in turn, in several processes one after another."""
    input:
        get_profile_inputs,
    output:
        "results/profiles/{study}/{dataset}/{key}.json",
    log:
        "logs/profile/{study}/{dataset}/{key}.log",
    benchmark:
        "logs/profile/{study}/{dataset}/{key}.tsv"
    priority: 1  # early: last, nothing would be left to run beside it
    conda:
        "../../environment.yml"
    threads: STUDY.profiling.threads
    resources:
        gpu=1,
    params:
        config=CONFIG,
    shell:
        r"""
        exec &> >(tee {log:q})
        python -m cnntention profile \
            --config {params.config:q} \
            --dataset {wildcards.dataset:q} \
            --out {output:q}
        """
