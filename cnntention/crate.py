"""A study as a Workflow Run RO-Crate 0.5: results/studies/<study>/<key>/, described by ro-crate-metadata.json.

The folder can then be moved and published alone: the workflow and each run's run.json are copied into it. See
https://w3id.org/ro/wfrun/workflow/0.5. Whoever ran it is not recorded anywhere, so actions have no agent.
"""

import mimetypes
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cnntention import __version__, files, provenance
from cnntention.config import Archive, Run, Study
from cnntention.data.archives import bare, raw_path
from cnntention.results import paths
from cnntention.results.records import RunRecord

METADATA = "ro-crate-metadata.json"
CONTEXT = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
LICENCE = "https://spdx.org/licenses/MIT"
SNAKEMAKE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"
WORKFLOW = ("Snakefile", "environment.yml", "workflow/**/*.smk", "workflow/**/*.rst")
ARRAYS = ".safetensors"
mimetypes.add_type("text/markdown", ".md")


def write_crate(study: Study) -> None:
    """Copy the workflow and run.json files into the finished study's folder, and describe all that is there."""
    folder = Path(paths.study_folder(study))
    cards = {part: files.read_record(folder / part / "card.json") for part in paths.STUDY_PARTS}
    runs = {run: RunRecord.of(run) for run in study.runs()}
    crate, made = Crate(folder), cards["report"]["made"]

    workflow = [crate.copy(path, path) for pattern in WORKFLOW for path in sorted(map(str, Path().glob(pattern)))]
    config = crate.file("tables/study.json", description="The configuration, resolved, with all overlays.")
    data = {name: crate.dataset(study, name, made) for name in study.datasets_used()}
    results = [crate.file(f"{part}/{name}") for part, card in cards.items() for name in ("card.json", *card["sha256"])]
    if (folder / "verify.json").exists():
        crate.file("verify.json", description="What `cnntention verify` found.")
    trainings = [crate.training(run, record, [config, data[run.dataset]]) for run, record in runs.items()]
    whole = crate.add(
        "#study",
        "CreateAction",
        name=f"Run of the study {study.study.name}",
        description=f"The results have the key {cards['tables']['key']}.",
        startTime=min(record.started for record in runs.values()),
        endTime=made,
        instrument={"@id": "Snakefile"},
        object=[config, *data.values()],
        result=[file for file in results if file != config]
        + [crate.entities[one["@id"]]["result"] for one in trainings],
        actionStatus={"@id": "http://schema.org/CompletedActionStatus"},
    )
    crate.workflow(workflow[1:], cards["report"]["provenance"])
    crate.write(study.study.question, made, [whole, *trainings])
    print(f"{folder / METADATA}: {len(crate.entities)} entities, {len(trainings)} trainings.")


class Crate:
    """The entities of a crate, by their id, and its folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.entities: dict[str, dict[str, Any]] = {}

    def add(self, key: str, kind: str, **facts: Any) -> dict[str, str]:
        """Describe an entity; a reference to it."""
        self.entities[key] = {"@id": key, "@type": kind} | facts
        return {"@id": key}

    def file(self, path: str, **facts: Any) -> dict[str, str]:
        """Describe a file of the folder; UserError if it is missing."""
        with files.readable(self.folder / path):
            facts |= {"sha256": files.sha256(self.folder / path)}
            facts |= {"contentSize": str((self.folder / path).stat().st_size)}
        kind = mimetypes.guess_type(path)[0] or ("application/octet-stream" if path.endswith(ARRAYS) else "text/plain")
        return self.add(quote(path), "File", name=path, encodingFormat=kind, **facts)

    def copy(self, source: str, path: str) -> dict[str, str]:
        """Copy a file into the folder, and describe it."""
        with files.readable(source), files.atomic(self.folder / path) as temporary:
            shutil.copyfile(source, temporary)
        return self.file(path)

    def dataset(self, study: Study, name: str, made: str) -> dict[str, str]:
        """Describe a dataset, by its key, with its archives."""
        source = study.datasets[name].source
        facts = {"name": name, "identifier": study.data_key(name)}
        if source.archives:
            sources = [self.archive(archive, raw_path(name, archive), made) for archive in source.archives.values()]
            facts |= {"conditionsOfAccess": source.licence, "isBasedOn": sources}
        elif source.hashes:
            facts |= {"conditionsOfAccess": source.licence, "description": f"A folder of images, {source.hashes[0]}."}
        else:
            facts |= {"description": "Generated by the workflow from the configuration."}
        return self.add(f"#data/{name}", "CreativeWork", **facts)

    def archive(self, archive: Archive, raw: str, made: str) -> dict[str, str]:
        """Describe a source file, by its first URL, or by its hash if it has only been a local file."""
        facts = {"name": archive.filename, "sha256": archive.sha256}
        if Path(raw).exists():
            facts["contentSize"] = str(Path(raw).stat().st_size)
        urls = [bare(url) for url in archive.urls if url.startswith(("http://", "https://"))]
        if not urls:
            return self.add(f"#archive/{archive.sha256}", "CreativeWork", **facts)
        return self.add(urls[0], "File", **facts, sdDatePublished=made[:10])

    def training(self, run: Run, made: RunRecord, used: list[dict[str, str]]) -> dict[str, str]:
        """Describe a training, and copy its run.json, which has the hashes of weights, history and data."""
        return self.add(
            f"#training/{run.name}",
            "CreateAction",
            name=f"Training of {run.name}",
            description=f"On {provenance.hardware(made.provenance, made.precision)}; the run's key is {run.key}.",
            startTime=made.started,
            endTime=made.finished,
            instrument=self.software(made.provenance.commit, made.provenance.libraries),
            object=used,
            result=self.copy(f"{run.folder}/run.json", f"{run.folder.removeprefix('results/')}/run.json"),
        )

    def workflow(self, parts: list[dict[str, str]], made: dict[str, Any]) -> None:
        """Describe the Snakefile, already copied, as the main workflow; made: the report's provenance."""
        libraries = made["libraries"]
        self.entities["Snakefile"] |= {
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
            "name": "CNNtention",
            "version": f"{__version__}, commit {made['commit']}",
            "programmingLanguage": {"@id": SNAKEMAKE},
            "license": {"@id": LICENCE},
            "hasPart": parts,
            "softwareRequirements": self.software(made["commit"], libraries),
        }
        url, version = "https://snakemake.readthedocs.io", libraries["snakemake"]
        self.add(SNAKEMAKE, "ComputerLanguage", name="Snakemake", url=url, version=version)

    def software(self, commit: str, libraries: dict[str, str]) -> dict[str, str]:
        """Describe the package at a commit, with the libraries that it used."""
        needs = [self.add(f"#{name}-{of}", "SoftwareApplication", name=name, softwareVersion=of,
                          url=f"https://pypi.org/project/{name}/{of}/") for name, of in libraries.items()]  # fmt: skip
        facts = {"softwareVersion": f"{__version__}, commit {commit}", "softwareRequirements": needs}
        return self.add(f"#cnntention-{commit}", "SoftwareApplication", name="cnntention", **facts)

    def write(self, question: str, made: str, actions: list[dict[str, str]]) -> None:
        """Write ro-crate-metadata.json."""
        for key, (name, version) in PROFILES.items():
            self.add(key, "CreativeWork", name=name, version=version)
        self.add(LICENCE, "CreativeWork", name="MIT License")
        parts = [{"@id": key} for key, entity in self.entities.items() if "File" in entity["@type"]]
        descriptor = {
            "@id": METADATA,
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": [{"@id": "https://w3id.org/ro/crate/1.1"}, {"@id": list(PROFILES)[-1]}],
        }
        root = {
            "@id": "./",
            "@type": "Dataset",
            "name": question,
            "description": "A study by CNNtention: report, tables, verdicts and runs, and the workflow that made them.",
            "datePublished": made,
            "license": {"@id": LICENCE},
            "conformsTo": [{"@id": key} for key in PROFILES],
            "mainEntity": {"@id": "Snakefile"},
            "hasPart": parts,
            "mentions": actions,
        }
        files.write_json(
            self.folder / METADATA, {"@context": CONTEXT, "@graph": [descriptor, root, *self.entities.values()]}
        )
