"""Where the workflow lies: in the repository, or in the installed package."""

from pathlib import Path


def home() -> Path:
    """The folder of Snakefile, config.yaml, workflow/ and profiles/."""
    package = Path(__file__).parent
    beside = package.parent
    return beside if (beside / "Snakefile").exists() else package / "shipped"
