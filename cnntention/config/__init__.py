"""The typed study: `config.yaml` and its overlays as frozen objects that reject unknown keys.

Imports neither torch nor Snakemake. `Study.runs()` is the run table that the workflow, the steps and the report share.
From parts to whole: base; sources, data, attention, models, recipes, experiments, claims, plugins; study; reading.
"""

from cnntention.config.attention import ATTENTION_OPTIONS
from cnntention.config.base import Strict, digest, merge, nearest
from cnntention.config.claims import Claim, Statistics
from cnntention.config.data import Augmentation, Dataset
from cnntention.config.experiments import Alive, Diagnostics, Profiling
from cnntention.config.models import STAGES, Model
from cnntention.config.reading import load, parse_study, read
from cnntention.config.recipes import Optimizer, Recipe, Schedule, Stop
from cnntention.config.sources import Archive, CifarBinarySource, CueMatchSource, FolderSource
from cnntention.config.study import Run, Study

__all__ = [
    "ATTENTION_OPTIONS",
    "STAGES",
    "Alive",
    "Archive",
    "Augmentation",
    "CifarBinarySource",
    "Claim",
    "CueMatchSource",
    "Dataset",
    "Diagnostics",
    "FolderSource",
    "Model",
    "Optimizer",
    "Profiling",
    "Recipe",
    "Run",
    "Schedule",
    "Statistics",
    "Stop",
    "Strict",
    "Study",
    "digest",
    "load",
    "merge",
    "nearest",
    "parse_study",
    "read",
]
