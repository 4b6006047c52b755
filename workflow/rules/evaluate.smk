"""Evaluate: score a run on the test split, examine its attention, measure what models cost.

`evaluate` and `diagnose` need a finished run and the test split, which no training sees; they leave metrics.json
with predictions.safetensors, and attention.json. `profile` needs the dataset's card alone; it leaves results/profiles/.
"""


rule evaluate:
    """How accurate is a run on the test split?"""
    input:
        get_evaluation_inputs,
    output:
        "results/runs/{dataset}/{model}/{recipe}-{key}/seed{seed}/metrics.json",
        "results/runs/{dataset}/{model}/{recipe}-{key}/seed{seed}/predictions.safetensors",
    log:
        "logs/evaluate/{dataset}/{model}/{recipe}-{key}/seed{seed}.log",
    benchmark:
        "logs/evaluate/{dataset}/{model}/{recipe}-{key}/seed{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=1,
    params:
        config=CONFIG,
        run=run_of,
    shell:
        r"""
        exec &> >(tee {log:q})
        python -m cnntention evaluate \
            --config {params.config:q} \
            --run {params.run:q} \
            --threads {threads:q}
        """


rule diagnose:
    """Is the attention of a run alive, and what does it look at?"""
    input:
        get_diagnosis_inputs,
    output:
        "results/runs/{dataset}/{model}/{recipe}-{key}/seed{seed}/attention.json",
    log:
        "logs/diagnose/{dataset}/{model}/{recipe}-{key}/seed{seed}.log",
    benchmark:
        "logs/diagnose/{dataset}/{model}/{recipe}-{key}/seed{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=1,
    params:
        config=CONFIG,
        run=run_of,
    shell:
        r"""
        exec &> >(tee {log:q})
        python -m cnntention diagnose \
            --config {params.config:q} \
            --run {params.run:q} \
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
