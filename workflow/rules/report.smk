"""Report: gather all runs of the study in tables, test the claims on them, and write the report.

Needs the runs with their examinations, the datasets' cards and the profiles. Writes
results/studies/<study>/<key>/{tables,verdicts,report}/, and links to these three in results/<study>/. report/ has index.html,
which opens from disk, report.md and the figures.
"""

from cnntention.report.figures import figure_files

FIGURES = figure_files(STUDY)
REPORT_FILES = ["card.json", "report.md", "index.html", *(figure.path for figure in FIGURES)]


rule summarise:
    """The tables: all runs of the study as CSV files."""
    input:
        get_all_results,
    output:
        [f"results/studies/{{study}}/{{key}}/tables/{name}" for name in paths.TABLE_FILES],
    log:
        "logs/summarise/{study}-{key}.log",
    benchmark:
        "logs/summarise/{study}-{key}.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    params:
        config=config_of,
    shell:
        r"""
        exec &> >(tee {log:q})
        python -m cnntention summarise \
            --config {params.config:q} \
            --out results/studies/{wildcards.study}/{wildcards.key}/tables
        """


checkpoint judge:
    """The tests of all claims, and their verdicts: with `until: decided`, which seeds are trained depends on them."""
    input:
        get_tables,
    output:
        "results/studies/{study}/{key}/verdicts/look.json",  # first: Snakemake asks for a checkpoint's first file alone
        "results/studies/{study}/{key}/verdicts/card.json",
        "results/studies/{study}/{key}/verdicts/looks.csv",
        report(
            "results/studies/{study}/{key}/verdicts/claims.csv",
            category="Which claims hold?",
            labels={"file": "Verdicts"},
            caption="../report/claims.rst",
        ),
        report(
            "results/studies/{study}/{key}/verdicts/tests.csv",
            category="Which claims hold?",
            labels={"file": "Tests"},
            caption="../report/claims.rst",
        ),
    log:
        "logs/judge/{study}-{key}.log",
    benchmark:
        "logs/judge/{study}-{key}.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    params:
        config=config_of,
    shell:
        r"""
        exec &> >(tee {log:q})
        python -m cnntention judge \
            --config {params.config:q} \
            --tables results/studies/{wildcards.study}/{wildcards.key}/tables \
            --out results/studies/{wildcards.study}/{wildcards.key}/verdicts
        """


rule report:
    """The report: a page and its figures."""
    input:
        get_tables_and_verdicts,
    output:
        "results/studies/{study}/{key}/report/card.json",
        "results/studies/{study}/{key}/report/report.md",
        page=report(
            "results/studies/{study}/{key}/report/index.html",
            category="The whole report",
            labels={"page": "Report"},
            caption="../report/page.rst",
        ),
        figures=[
            report(
                f"results/studies/{{study}}/{{key}}/report/{figure.path}",
                category=figure.category,
                subcategory=figure.experiment or "all experiments",
                labels=figure.labels,
                caption=f"../report/{figure.topic}.rst",
            )
            for figure in FIGURES
        ],
    log:
        "logs/report/{study}-{key}.log",
    benchmark:
        "logs/report/{study}-{key}.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    params:
        config=config_of,
    shell:
        r"""
        exec &> >(tee {log:q})
        python -m cnntention report \
            --config {params.config:q} \
            --tables results/studies/{wildcards.study}/{wildcards.key}/tables \
            --verdicts results/studies/{wildcards.study}/{wildcards.key}/verdicts \
            --out results/studies/{wildcards.study}/{wildcards.key}/report
        """


rule publish:
    """Copy the report and tables to results/published/, and update the README's results."""
    input:
        get_report,
        get_published,
    log:
        f"logs/publish/{STUDY.study.name}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        config=lambda wildcards: plan.freeze(settled()),
    shell:
        r"""
        exec &> >(tee {log:q})
        python -m cnntention verify --config {params.config:q} --runs 0
        python -m cnntention publish \
            --config {params.config:q} \
            --readme README.md
        """


rule rocrate:
    """Describe the finished study as a Workflow Run RO-Crate, in its folder."""
    input:
        get_report,
    log:
        f"logs/rocrate/{STUDY.study.name}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        config=lambda wildcards: plan.freeze(settled()),
    shell:
        r"""
        exec &> >(tee {log:q})
        python -m cnntention rocrate \
            --config {params.config:q}
        """
