"""The page's sections, built from a study's results: overview, experiments, cost, and how it was made."""

from collections.abc import Iterator

import yaml

from cnntention.config import Statistics
from cnntention.report import answers, declared, looks, tables, zoo
from cnntention.report import numbers as num
from cnntention.report.catalogue import asks_for_life, attends, many
from cnntention.report.certificate import certificate, in_a_sentence
from cnntention.report.document import Code, Counts, Facts, Fold, Picture, Section, Text
from cnntention.report.reading import Results
from cnntention.report.tuning import tuning

Pictures = dict[tuple[str, str], Picture]
"""(kind, experiment) -> the figure."""


def overview(results: Results, pictures: Pictures) -> Iterator:
    """The answer, the claims, what it rests on, and all claims in one figure."""
    claims, missing = results.frames["claims"], tables.not_run(results)
    certified = results.study.study.certificate is not None
    yield Text(in_a_sentence(results) if certified else " ".join(answers.study_answer(results)), "lead")
    if results.card["missing"]:
        yield Text(answers.unfinished(results.card), "scale")
    if results.study.study.scale == "cpu":
        yield Text(answers.SMALL, "scale")
    yield Text(answers.unseen(results), "note")
    if text := looks.still_open(results):
        yield Text(text, "note")
    if table := certificate(results):
        yield table
    if len(claims):
        yield Counts(tuple(answers.claims_ended(claims)))
    if (claims["tests"] > 0).any():
        yield Text(declared.of_study(claims), "note")
    yield facts(results)
    if ("claims", "") in pictures:
        yield pictures["claims", ""]
    if missing:
        yield Fold("Claims that were not tested", (missing,))


def facts(results: Results) -> Facts:
    """What the answer rests on."""
    runs, cells = results.frames["runs"], results.frames["cells"]
    data = [f"{row['dataset']} ({row['train']:,} training images)" for _, row in results.frames["datasets"].iterrows()]
    commits = f"commit {num.listing(runs['commit'])}"
    rows = {
        "Runs": f"{len(runs)}, {num.between(cells['n'])} seeds a model and recipe",
        "Data": num.listing(data),
        "Hardware": num.listing(runs["hardware"]),
        "Code": commits if len(commits) < 40 else f"{num.count(runs['commit'].nunique(), 'commit')}, see methods",
        "Scale": "small; see above" if results.study.study.scale == "cpu" else "",
        "Made": results.card["made"].replace("T", " ").replace("Z", " UTC"),
    }
    return Facts(tuple(row for row in rows.items() if row[1]))


def experiment(results: Results, name: str, pictures: Pictures) -> Section:
    """An experiment: its question, answer, figure, scores and claims; the rest is folded."""
    parts = tuple(answered(results, name, pictures))
    return Section(results.study.experiments[name].question, parts, name, f"experiment-{name}")


def answered(results: Results, name: str, pictures: Pictures) -> Iterator:
    """The parts of an experiment's section."""
    of_life, part, claims = asks_for_life(results.study, name), results.runs_of(name), tables.claims(results, name)

    def shown(*kinds: str) -> list:
        return [pictures[kind, name] for kind in kinds if (kind, name) in pictures]

    yield Text(answers.answer(results, name), "lead")
    text = f"{num.count(len(part), 'run')} on {num.listing(part['dataset'])}, trained by {num.listing(part['recipe'])}."
    if part["leaks"].any():
        text += " The test split decided when some of them stopped, or which epoch to keep: their scores are biased."
    yield Text(f"{text} {looks.looked_before(results, name)}".strip(), "note")
    if many(results.study, name):
        yield from shown("tradeoff")
        yield zoo.table(results, name)
        yield Fold("Test accuracy of every seed", tuple(shown("accuracy")))
    else:
        yield from shown("alive" if of_life else "accuracy")
        yield tables.scores(results, name)
    if claims:
        yield claims
    yield from tuning(results, name)
    yield Fold("How the models learned", (*shown("learning"), tables.learning(results, name)))
    if attends(results.study, name):
        title = "Accuracy and gates" if of_life else "Is the attention alive, and used?"
        figures = shown("accuracy" if of_life else "alive", "gates")
        yield Fold(title, (*figures, tables.modules(results, name)))
    yield Fold("Where the models look", (*shown("cams"), tables.maps(results, name), *shown("maps")))


def cost(results: Results, pictures: Pictures) -> Section:
    return Section("What does attention cost?", (pictures["cost", ""], tables.cost(results)), "cost", "cost")


def published(results: Results) -> Iterator[Section]:
    """The original study's numbers, if any of its models was trained here."""
    note = Text("Test errors that the original study reports, one run each, beside the mean of our runs.")
    if table := tables.published(results):
        yield Section("How do the published numbers compare?", (note, table), "published numbers", "numbers")


def methods(results: Results) -> Section:
    """Data, statistics, machine and versions, and the configuration as it was."""
    made = results.card["provenance"]
    libraries = ", ".join(f"{name} {version}" for name, version in made["libraries"].items())
    runs = results.frames["runs"]
    rows = {
        "Trained on": "; ".join(num.listing(runs[name]) for name in ("hardware", "precision")),
        "PyTorch": num.listing(runs["torch"]),
        "Training time": f"{runs['train_seconds'].sum() / 3600:.1f} hours in all",
        "Code": f"commit {num.listing(runs['commit'])}",
        "Gathered by": f"Python {made['python']}, {libraries}; commit {made['commit']}",
        "Tables": f"key {results.card['key']}; every number here is in its CSV files",
    }
    if results.verified:
        rows["Verified"] = f"{results.verified.made[:10]}: {results.verified.sentence}"
    return Section(
        "How was it made?",
        (
            tables.datasets(results),
            *(Text(text) for text in statistics(results)),
            Facts(tuple(rows.items())),
            *filter(None, [looks.looks(results)]),
            Fold("Configuration: datasets, models, recipes", (Code(configuration(results)),)),
        ),
        "methods",
        "methods",
    )


def statistics(results: Results) -> list[str]:
    of = results.study.statistics
    percent, paired = f"{100 * of.alpha:g} %", ", paired by seed where both have the same seeds" if of.paired else ""
    adjusted = "by Holm" if of.control == "family-wise" else "for the false discovery rate (Benjamini and Hochberg)"
    return [
        f"The unit is a run; n counts seeds. Two groups of runs are compared by a t test (Welch’s{paired}) if there "
        f"are {of.min_seeds} seeds. Runs that solve a task, or break down, are counted: Boschloo’s exact test compares "
        "two counts, the binomial test one with a number.",
        f"P-values are adjusted {adjusted} within a family: the models beside one baseline on one dataset, or the "
        "claims of one experiment. A claim of several tests needs all of them, so its largest p decides, and they are "
        "not adjusted for each other (intersection-union test); a test that contradicts it is. A difference is "
        f"significant at {percent}. {shared(of)}".strip(),
        "Accuracies are equivalent if two one-sided t tests show that they differ by less than "
        f"{num.size(of.margin, 'test_accuracy')}; a significant difference that small is called negligible. An "
        f"effect stays unseen if it would be detected with a power below {100 * of.power:g} %.",
        "Times are compared within rounds, in which all models take turns, by a t test of the logarithm of their "
        "ratio; n counts processes, each the mean of its rounds. MACs and other counts are compared as they are.",
        "All runs are compared, whatever their attention does. A claim is void if a precondition fails: attention that "
        "most runs do not use, different recipes, a test split used in training, maps that fail the sanity check, a "
        "control dataset that a model has not learned.",
    ]


def shared(of: Statistics) -> str:
    if of.sequential is None:
        return ""
    return (
        f"Looks at {num.listing(of.sequential.looks)} seeds share that level ({of.sequential.spending} spending), also "
        "in the intervals. A test that one of them decides stays as it was."
    )


def configuration(results: Results) -> str:
    """What the runs used, as YAML, without what was left empty."""
    config, runs = results.study.model_dump(mode="json"), results.frames["runs"]
    kinds = {kind: dict.fromkeys(runs[kind.removesuffix("s")]) for kind in ("datasets", "models", "recipes")}
    used = {kind: {name: filled(config[kind][name]) for name in names} for kind, names in kinds.items()}
    return yaml.safe_dump(used, sort_keys=False, default_flow_style=None, width=100)


def filled(value):
    """The same without empty entries and without places on a disk."""
    if isinstance(value, dict):
        return {k: filled(v) for k, v in value.items() if k != "urls" and v not in (None, {}, [], "")}
    return [filled(v) for v in value] if isinstance(value, list) else value
