"""Evaluate: score a run on the test split, measure what a model costs.

`evaluate` needs a finished run and the test split, which no training sees; it leaves metrics.json and
predictions.safetensors. `profile` needs the dataset's card alone; it leaves results/profiles/.
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


rule profile:
    """What does a model cost on a dataset's images?"""
    input:
        get_profile_inputs,
    output:
        "results/profiles/{dataset}/{model}-{key}.json",
    log:
        "logs/profile/{dataset}/{model}-{key}.log",
    benchmark:
        "logs/profile/{dataset}/{model}-{key}.tsv"
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
            --model {wildcards.model:q} \
            --out {output:q}
        """
