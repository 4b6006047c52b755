"""Evaluate: score a run on the test split, examine its attention, explain it; measure what models cost.

`examine` needs a finished run and the test split, which no training sees. It leaves metrics.json with
predictions.safetensors, attention.json, and explanations.json with explanations.safetensors. `profile` needs the
dataset's card alone; it leaves results/profiles/.
"""


rule examine:
    """How accurate is a run on the test split, is its attention alive, and where does it look?

    One process for all three, since each would load the same network and images. It makes what is missing and leaves
    what is there, hence `update`.
    """
    input:
        get_run_and_test,
    output:
        [update(f"results/runs/{{dataset}}/{{model}}/{{recipe}}-{{key}}/seed{{seed}}/{name}") for name in plan.EXAMINED],
    log:
        "logs/examine/{dataset}/{model}/{recipe}-{key}/seed{seed}.log",
    benchmark:
        "logs/examine/{dataset}/{model}/{recipe}-{key}/seed{seed}.tsv"
    priority: 1  # before further trainings, so that `cnntention status` has results to show
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
        python -m cnntention examine \
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
    priority: 1  # not last, when no other job is left to run beside it
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
