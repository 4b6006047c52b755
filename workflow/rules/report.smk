"""Report: gather all runs of the study into tables, and the tables into a page.

Needs every run's results, the datasets' cards and the profiles. Leaves results/<study>/tables/ and
results/<study>/report/ with index.html, which opens from disk.
"""


rule summarise:
    """All runs of the study as tables."""
    input:
        get_all_results,
    output:
        "results/{study}/tables/card.json",
        "results/{study}/tables/runs.csv",
    log:
        "logs/summarise/{study}.log",
    benchmark:
        "logs/summarise/{study}.tsv"
    params:
        config=CONFIG,
    conda:
        "../../environment.yml"
    localrule: True
    shell:
        r"""
        exec &> >(tee {log:q})
        python -m cnntention summarise \
            --config {params.config:q} \
            --out results/{wildcards.study}/tables
        """


rule report:
    """The page that a researcher reads."""
    input:
        get_tables,
    output:
        "results/{study}/report/card.json",
        "results/{study}/report/index.html",
    log:
        "logs/report/{study}.log",
    benchmark:
        "logs/report/{study}.tsv"
    params:
        config=CONFIG,
    conda:
        "../../environment.yml"
    localrule: True
    shell:
        r"""
        exec &> >(tee {log:q})
        python -m cnntention report \
            --config {params.config:q} \
            --tables results/{wildcards.study}/tables \
            --out results/{wildcards.study}/report
        """
