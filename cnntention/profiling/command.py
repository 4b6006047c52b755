"""The profile step: the costs of all models that a study runs on a dataset."""

from pathlib import Path

from cnntention import device, provenance
from cnntention.config import Study
from cnntention.data.datasets import read_card
from cnntention.profiling.measure import prepare, profile
from cnntention.results import paths
from cnntention.results.profiles import Profile


def profile_models(study: Study, dataset: str, out: Path, device_name: str) -> None:
    """Write the dataset's profile to `out`; on a GPU, with the whole of it."""
    card = read_card(paths.data_folder(study, dataset), study.datasets[dataset])
    settings = study.profiling
    shape = tuple(card["image"][side] for side in ("channels", "height", "width"))
    models = {name: study.models[name] for name in sorted(study.models_on(dataset))}
    where = device.choose(device_name, whole=True)
    prepare(models, settings, where)
    profiles, source = profile(models, shape, card["classes"], settings, where, study.plugins)
    Profile(
        key=out.stem,
        dataset=dataset,
        image=shape,
        settings=settings.model_dump(mode="json"),
        energy=source,
        models=profiles,
        made=provenance.now(),
        provenance=provenance.describe(where, settings.threads),
    ).write(out)
