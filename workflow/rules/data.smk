"""Data: fetch the source archives, prepare the splits.

Needs the network, or the archives copied into data/raw/ by hand; a generated dataset needs nothing.
Writes data/raw/<dataset>/ and data/<dataset>/<key>/{train,val,test}.safetensors with card.json.
"""


rule fetch:
    """Download one source file and check its SHA-256."""
    output:
        "data/raw/{dataset}/{file}",
    log:
        "logs/fetch/{dataset}/{file}.log",
    benchmark:
        "logs/fetch/{dataset}/{file}.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    params:
        config=CONFIG,
    shell:
        r"""
        exec &> >(tee {log:q})
        python -m cnntention fetch \
            --config {params.config:q} \
            --dataset {wildcards.dataset:q} \
            --out {output:q}
        """


rule prepare:
    """Make the train, val and test splits of a dataset."""
    input:
        get_archives,
    output:
        "data/{dataset}/{key}/train.safetensors",
        "data/{dataset}/{key}/val.safetensors",
        "data/{dataset}/{key}/test.safetensors",
        "data/{dataset}/{key}/card.json",
    log:
        "logs/prepare/{dataset}/{key}.log",
    benchmark:
        "logs/prepare/{dataset}/{key}.tsv"
    conda:
        "../../environment.yml"
    params:
        config=CONFIG,
    shell:
        r"""
        exec &> >(tee {log:q})
        python -m cnntention prepare \
            --config {params.config:q} \
            --dataset {wildcards.dataset:q} \
            --out data/{wildcards.dataset}/{wildcards.key}
        """
