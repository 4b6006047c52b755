"""What the report is made of: a study's tables and its claims' verdicts, read and checked. Reads nothing else."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cnntention import files
from cnntention.config import Study, parse_study
from cnntention.errors import UserError

NEEDED = {
    "runs": "dataset model recipe seed test_accuracy test_accuracy_low test_accuracy_high test_images ended leaks "
    "attention_alive attention_used modules epochs accuracy_without_attention accuracy_near accuracy_mid accuracy_far "
    "distance_slope learning_area epochs_to_reach hardware threads torch commit version",
    "accuracy": "dataset model recipe n mean sd min max top2 nll ece",
    "experiments": "experiment dataset model recipe n mean sd min max difference",
    "curves": "dataset model recipe seed epoch train_loss val_accuracy",
    "classes": "dataset model recipe seed class test_accuracy",
    "attention": "dataset model recipe seed module kind gate relative_change state accuracy_drop_identity "
    "accuracy_drop_mean entropy distance uniform_distance head_diversity effective_heads channel_spread spatial_spread",
    "explanations": "dataset model recipe seed stage target method region reportable mass normalized_mass auc",
    "faithfulness": "dataset model recipe seed method road road_se images",
    "sanity": "dataset model recipe seed stage level correlation threshold sane draws images",
    "lookup": "dataset model recipe seed module head direction score images",
    "agreement": "dataset recipe model other agreement sd pairs images of_seeds",
    "cost": "dataset model parameters macs macs_ratio latency_ms training_step_ms training_step_ratio "
    "training_memory_bytes training_step_joules inference_image_joules energy batch_size hardware",
    "pareto": "dataset recipe model low high front_macs front_time",
    "published": "dataset model test_error epochs note our_recipe our_epochs our_error our_sd n",
    "datasets": "dataset format image classes train val test key source source_sha256 licence",
}
COMPARISONS = (
    "experiment baseline dataset model recipe n n_baseline difference p p_holm tests superiority mde margin t_low "
    "t_high superiority_low superiority_high equivalence_low equivalence_high equivalence_p equivalent note"
)
TEXT = ("dataset", "model", "recipe", "experiment", "class", "key", "seeds", "commit", "note", "our_recipe", "baseline")
TEXT += ("source", "source_sha256", "licence", "image", "hardware", "energy", "torch", "folder", "module", "kind")
TEXT += ("format", "state", "stage", "target", "method", "region", "direction", "other", "ended")


@dataclass(frozen=True)
class Tables:
    """A study's tables and claims folders."""

    study: Study
    card: dict
    frames: dict[str, pd.DataFrame]
    """The tables by name, and `comparisons`: each experiment's cells beside its baseline."""
    verdicts: dict
    """claims.json."""
    tensors: dict

    @property
    def claims(self) -> dict[str, dict]:
        return self.verdicts["claims"]

    @property
    def in_turn(self) -> str:
        """How the models' times were taken, the end of a sentence."""
        return (
            f"all models in turn in one process, {self.study.profiling.rounds} rounds; other work on the machine, if "
            "it is shared, is in the times, less so in their ratios."
        )

    @property
    def datasets(self) -> list[str]:
        return list(self.frames["runs"]["dataset"].unique())

    def of(self, name: str, dataset: str, recipe: str = "") -> pd.DataFrame:
        """The rows of a table that are about a dataset, and if given a recipe."""
        frame = self.frames[name]
        chosen = frame["dataset"] == dataset
        if recipe:
            chosen &= frame["recipe"] == recipe
        return frame[chosen].reset_index(drop=True)

    def class_names(self, dataset: str) -> list[str]:
        return list(self.of("classes", dataset)["class"].unique())

    def classes_of(self, dataset: str) -> int:
        return int(self.of("datasets", dataset)["classes"].iloc[0])


def read(tables: Path, claims: Path) -> Tables:
    """Both folders; a UserError names the file that is missing, broken or not what the other files say."""
    card = files.read_json(tables / "card.json")
    found = read_some(tables, claims, NEEDED)
    tensors = files.read_tensors(tables / "explanations.safetensors")
    for name, hashed in card["sha256"].items():
        if files.sha256(tables / name) != hashed:
            raise UserError(f"{tables / name}: is not the file that card.json describes; run the step summarise again.")
    if found.verdicts["tables"] != card["key"]:
        raise UserError(f"{claims / 'claims.json'}: was judged on other tables; run the step judge again.")
    return Tables(found.study, card, found.frames, found.verdicts, tensors)


def read_some(tables: Path, claims: Path, names: Iterable[str]) -> Tables:
    """The named tables and the verdicts, without the maps and with no check of hashes: what is published holds both."""
    frames = {name: read_frame(tables / f"{name}.csv", NEEDED[name].split(), "summarise") for name in names}
    frames["comparisons"] = read_frame(claims / "comparisons.csv", COMPARISONS.split(), "judge")
    verdicts = files.read_json(claims / "claims.json")
    study = parse_study(files.read_json(tables / "study.json"))
    return Tables(study, files.read_json(tables / "card.json"), frames, verdicts, {})


def read_frame(path: Path, columns: list[str], step: str) -> pd.DataFrame:
    frame = files.read_csv(path, TEXT)
    missing = [name for name in columns if name not in frame]
    if missing:
        raise UserError(f"{path}: has no column {', '.join(missing)}; run the step {step} again.")
    return frame
