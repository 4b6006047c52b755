"""Explain: where does a run look?

Needs a finished run and the test split. Leaves explanations.safetensors and explanations.json.
"""


rule explain:
    """Grad-CAM maps of the same test images for every run."""
    input:
        get_explanation_inputs,
    output:
        "results/runs/{dataset}/{model}/{recipe}-{key}/seed{seed}/explanations.json",
        "results/runs/{dataset}/{model}/{recipe}-{key}/seed{seed}/explanations.safetensors",
    log:
        "logs/explain/{dataset}/{model}/{recipe}-{key}/seed{seed}.log",
    benchmark:
        "logs/explain/{dataset}/{model}/{recipe}-{key}/seed{seed}.tsv"
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
        python -m cnntention explain \
            --config {params.config:q} \
            --run {params.run:q} \
            --threads {threads:q}
        """
