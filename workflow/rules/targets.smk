"""Targets for a part of the study: a stage (`train_all`) or an experiment (`experiment_main`)."""


rule prepare_all:
    """All datasets of the study."""
    input:
        [path for name in STUDY.datasets_used() for path in splits(name, "train", "val", "test")],


rule train_all:
    """All runs of the study, trained."""
    input:
        lambda wildcards: [path for run in settled().runs() for path in paths.files_of_run(run)],


rule evaluate_all:
    """All runs of the study, trained, scored, diagnosed and explained."""
    input:
        lambda wildcards: [path for run in settled().runs() for path in paths.files_of_examination(STUDY, run)],


rule profile_all:
    """The cost of all models of the study, on each dataset."""
    input:
        [paths.profile_path(STUDY, name) for name in STUDY.datasets_used()],


for experiment in STUDY.experiments:

    rule:
        name:
            f"experiment_{experiment}"
        input:
            lambda wildcards, of=experiment: [
                path for run in settled().runs_of(of) for path in paths.files_of_examination(STUDY, run)
            ],
