"""Targets for a part of the study: one a stage (`train_all`), one an experiment (`experiment_main`)."""


rule prepare_all:
    """All datasets of the study."""
    input:
        [path for name in DATASETS for path in splits(name)],


rule train_all:
    """All runs of the study, trained."""
    input:
        [f"{run.folder}/{name}" for run in RUNS for name in plan.RUN_FILES],


rule evaluate_all:
    """All runs of the study, trained and scored."""
    input:
        [f"{run.folder}/{name}" for run in RUNS for name in plan.EXAMINATION["evaluation"]],


rule diagnose_all:
    """All runs of the study, trained and their attention examined."""
    input:
        [f"{run.folder}/{name}" for run in RUNS for name in plan.EXAMINATION["diagnosis"]],


rule explain_all:
    """All runs of the study, trained and explained."""
    input:
        [f"{run.folder}/{name}" for run in RUNS for name in plan.EXAMINATION["explanation"]],


rule profile_all:
    """The cost of all models of the study."""
    input:
        plan.profiles(STUDY).values(),


for experiment in STUDY.experiments:

    rule:
        name:
            f"experiment_{experiment}"
        input:
            [f"{run.folder}/{name}" for run in STUDY.runs_of(experiment) for name in plan.EXAMINED],
