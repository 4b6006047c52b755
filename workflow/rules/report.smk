"""Report: gather all runs of the study into tables, test the claims on them, and make a page of both.

Needs every run's results, the datasets' cards and the profiles. Leaves results/<study>/tables/, results/<study>/claims/
with claims.json, and results/<study>/report/ with index.html, which opens from disk, report.md for a forge, and the figures.
"""

from cnntention.report.figures import figure_files


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
    localrule: True
    conda:
        "../../environment.yml"
    params:
        config=CONFIG,
    shell:
        r"""
        exec &> >(tee {log:q})
        python -m cnntention summarise \
            --config {params.config:q} \
            --out results/{wildcards.study}/tables
        """


rule judge:
    """Which claims hold?"""
    input:
        get_tables,
    output:
        report(
            "results/{study}/claims/claims.json",
            category="Which claims hold?",
            labels={"file": "Verdicts"},
            caption="../report/claims.rst",
        ),
        report(
            "results/{study}/claims/comparisons.csv",
            category="Which claims hold?",
            labels={"file": "Comparisons"},
            caption="../report/claims.rst",
        ),
    log:
        "logs/judge/{study}.log",
    benchmark:
        "logs/judge/{study}.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    params:
        config=CONFIG,
    shell:
        r"""
        exec &> >(tee {log:q})
        python -m cnntention judge \
            --config {params.config:q} \
            --tables results/{wildcards.study}/tables \
            --out results/{wildcards.study}/claims
        """


rule report:
    """The page that a researcher reads."""
    input:
        get_tables_and_claims,
    output:
        "results/{study}/report/card.json",
        "results/{study}/report/report.md",
        page=report(
            "results/{study}/report/index.html",
            category="The whole report",
            labels={"page": "Report"},
            caption="../report/page.rst",
        ),
        figures=[
            report(
                f"results/{{study}}/report/{figure.path}",
                category=figure.category,
                subcategory=figure.experiment or "all experiments",
                labels=figure.labels,
                caption=f"../report/{figure.topic}.rst",
            )
            for figure in figure_files(STUDY)
        ],
    log:
        "logs/report/{study}.log",
    benchmark:
        "logs/report/{study}.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    params:
        config=CONFIG,
    shell:
        r"""
        exec &> >(tee {log:q})
        python -m cnntention report \
            --config {params.config:q} \
            --tables results/{wildcards.study}/tables \
            --claims results/{wildcards.study}/claims \
            --out results/{wildcards.study}/report
        """


rule publish:
    """Put the study's small results under version control, and the README's table in step with them."""
    input:
        f"results/{STUDY.study.name}/report/card.json",
    log:
        f"logs/publish/{STUDY.study.name}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        config=CONFIG,
    shell:
        r"""
        exec &> >(tee {log:q})
        python -m cnntention publish \
            --config {params.config:q} \
            --readme README.md
        """
