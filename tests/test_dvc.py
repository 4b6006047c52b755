"""DVC as users run it: reproduce, carry data and checkpoints to a clone, fetch one run, find nothing to do."""

import functools
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import chdir, contextmanager
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, small_study

from cnntention import load_run
from cnntention.config import load
from cnntention.versioning import pipeline, plan

PARTS = ("Snakefile", "config.yaml", "environment.yml", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore",
         "workflow", "profiles", "cnntention")  # fmt: skip
DEMO, OTHER = "workflow/studies/demo.yaml", "workflow/studies/other.yaml"
CALL = ("snakemake", "--configfile", DEMO)
PAGE = Path("results/demo/report/index.html")
IDENTITY = {f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@pytest.fixture(scope="module")
def run(environment):
    def command(folder, *words, code=0, **more):
        told = environment | IDENTITY | {"PYTHONPATH": str(folder)} | more
        done = subprocess.run(words, cwd=folder, env=told, text=True, capture_output=True, timeout=600)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr if code else done.stdout

    return command


def cnntention(*words):
    return sys.executable, "-m", "cnntention", *words


def overlay(name: str, datasets: list[str], seeds: int = 1) -> dict:
    """A small study on datasets that are alike, so that the runs of `finished` are theirs: a key holds no names."""
    small = small_study()
    parts = {part: small[part] for part in ("models", "recipes", "diagnostics", "explanation", "profiling")}
    grid = small["experiments"]["first"]["grid"] | {"seeds": seeds}
    experiments = {of: {"question": "?", "baseline": "tiny", "grid": grid | {"datasets": of}} for of in datasets}
    return parts | {
        "study": {"name": name, "question": "?", "experiments": datasets},
        "datasets": dict.fromkeys(datasets, small["datasets"]["cues"]),
        "experiments": experiments,
        "claims": {},
    }


def write(path: Path, study: dict) -> None:
    path.write_text(yaml.safe_dump(study, sort_keys=False))


@pytest.fixture(scope="module")
def made(tmp_path_factory, run, finished):
    """The repository with a small study in the demo's place, whose runs are there: reproduced, committed and pushed."""
    folder = tmp_path_factory.mktemp("dvc") / "project"
    for part in PARTS:
        target = folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, target)
    write(folder / DEMO, overlay("demo", ["demo-relation", "demo-local"]))
    for name in ("demo-relation", "demo-local"):
        for source, target in (("data/cues", "data"), ("results/runs/cues", "results/runs"),
                               ("results/profiles/small/cues", "results/profiles/demo")):  # fmt: skip
            shutil.copytree(finished / source, folder / target / name)
    run(folder, "git", "init", "-q")
    run(folder, *cnntention("dvc", DEMO, "--out", "dvc.yaml"))
    commit(run, folder)
    told = run(folder, "dvc", "repro")
    assert all(f"Running stage '{name}'" in told for name in ("plan", "data", "runs", "profiles", "report", "metrics"))
    assert "up to date" in run(folder, "dvc", "status")
    commit(run, folder)
    tracked = run(folder, "git", "ls-files").splitlines()
    assert {"dvc.lock", "studies/demo/plan.json", "studies/demo/metrics.json"} <= set(tracked)
    assert not any("safetensors" in path for path in tracked)
    run(folder, "dvc", "push")
    return folder


def commit(run, folder: Path) -> None:
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "As it is")


@pytest.fixture
def clone(made, tmp_path, run):
    """A clone beside its storage."""
    run(tmp_path, "git", "clone", "-q", str(made), "clone")
    shutil.copytree(made.parent / "cnntention-storage", tmp_path / "cnntention-storage")
    return tmp_path / "clone"


def weights(folder: Path) -> dict[str, bytes]:
    found = folder.glob("results/runs/**/model.safetensors")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@contextmanager
def served(folder: Path):
    """The address of a read-only server of the folder's files."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *words: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_committed_pipelines_are_those_of_their_studies():
    with chdir(ROOT):
        for path in plan.pipelines():
            content = yaml.safe_load(path.read_text())
            configs = content["vars"][0]["config"].split()
            study = load(configs)
            assert content == json.loads(json.dumps(pipeline.stages(study, configs, path))), f"{path}: cnntention dvc"
            assert plan.written(study) == json.loads((plan.folder(study) / plan.PLAN).read_text()), path
            assert path.with_name("dvc.lock").exists()


@pytest.mark.slow
def test_reproduce_push_clone_pull(made, clone, run):
    assert "Running stage" not in run(made, "dvc", "repro")
    run(clone, "dvc", "pull")
    assert "Job stats" not in run(clone, *CALL, "-n")
    assert "up to date" in run(clone, "dvc", "status")
    run(clone, *CALL, "--cores", "1")  # sets the links
    assert (clone / PAGE).read_bytes() == (made / PAGE).read_bytes()
    runs = weights(clone)
    assert len(runs) == 4
    assert weights(made) == runs
    shown = json.loads(run(clone, "dvc", "metrics", "show", "--json"))
    cells = shown[""]["data"]["studies/demo/metrics.json"]["data"]["runs"]
    assert 0 < cells["demo-local"]["tiny"]["brief"]["accuracy"] < 1
    plots = json.loads(run(clone, "dvc", "plots", "show", "--json"))["data"]
    assert {"demo-local learning curves", "studies/demo/plots/accuracy.csv"} <= set(plots)

    # one seed more, made in the clone: the runs that were pulled stay as they are
    write(clone / DEMO, more := overlay("demo", ["demo-relation", "demo-local"]))
    more["experiments"]["demo-local"]["grid"]["seeds"] = 2
    write(clone / DEMO, more)
    told = run(clone, "dvc", "repro")
    assert "'data' didn't change" in told
    assert "'profiles' didn't change" in told
    assert len(weights(clone)) == len(runs) + 2
    assert weights(clone).items() >= runs.items()
    assert (clone / PAGE).read_bytes() != (made / PAGE).read_bytes()
    assert "plan.json" in run(clone, "dvc", "params", "diff")
    # and back: by Git and DVC alone, with nothing trained; the links lead nowhere until snakemake is called
    run(clone, "git", "checkout", "-q", ".")
    run(clone, "dvc", "checkout")
    assert "up to date" in run(clone, "dvc", "status")
    assert "Job stats" not in run(clone, *CALL, "-n")
    run(clone, *CALL, "--cores", "1")
    assert (clone / PAGE).read_bytes() == (made / PAGE).read_bytes()


@pytest.mark.slow
def test_a_stranger_gets_one_run_over_http(clone, run):
    with served(clone.parent / "cnntention-storage") as address:
        run(clone, "dvc", "remote", "add", "web", address)
        folder = run(clone, *cnntention("get", "demo-local/tiny/brief/0", "--remote", "web")).strip()
        assert [*weights(clone)] == [f"{folder}/model.safetensors"]
        (card,) = clone.glob("data/demo-local/*/card.json")
        shutil.copy(card, clone / folder)  # the run's dataset is called cues: see `overlay`
        assert load_run(clone / folder).record.seed == 0
        told = run(clone, *cnntention("get", "demo-local/tiny/brief/7", "--remote", "web"), code=1)
        assert "seed7" in told
    told = run(clone, *cnntention("get", "demo-local/looking/brief/0", "--remote", "web"), code=1)
    assert "remote 'web' cannot be used" in told
    assert "Traceback" not in told
    told = run(clone, *cnntention("get", "demo-local/tinny/brief/0"), code=1)
    assert "did you mean 'tiny'?" in told


@pytest.mark.slow
def test_a_hole_in_the_remote_is_found_and_filled(made, clone, run):
    storage = clone.parent / "cnntention-storage/files/md5"
    run(clone, "dvc", "pull")
    check = cnntention("verify", "--config", DEMO, "--runs", "0", "--remote", "local")
    assert "has all" in run(clone, *check)
    lost = next(path for path in storage.glob("*/*") if path.suffix != ".dir")
    lost.unlink()
    assert "in sync" in run(clone, "dvc", "status", "--cloud")  # why this is needed
    assert "lacks 1 of the" in run(clone, *check, code=1)
    assert "1 of 1 missing objects sent" in run(clone, *check, "--repair")
    assert lost.exists()
    told = run(clone, *cnntention("verify", "--config", DEMO, "--runs", "0", "--remote", "nowhere"), code=1)
    assert "`dvc remote list`" in told


@pytest.mark.long
def test_what_dvc_does_not_see_stops(clone, run):
    """A checkpoint that is lost, a dataset that no stage has, a study that was half made and committed."""
    run(clone, "dvc", "pull")
    runs, check = weights(clone), cnntention("verify", "--config", DEMO, "--runs", "0")
    os.remove(clone / next(iter(runs)))
    run(clone, "dvc", "repro", "--single-item", "runs")
    assert weights(clone) == runs
    assert "0 wrong" in run(clone, *check)

    write(clone / DEMO, overlay("demo", ["demo-relation", "demo-local", "demo-third"]))
    told = run(clone, "dvc", "repro", code=255)
    assert "data/demo-third is not among its outs; run `cnntention dvc`" in told
    run(clone, *cnntention("dvc", DEMO, "--out", "dvc.yaml"))
    run(clone, "dvc", "repro", "plan")
    run(clone, *CALL, "--cores", "2", "--", "prepare_all")
    run(clone, "dvc", "commit", "--force", "data")
    assert "demo-third/tiny" in (told := run(clone, *check, code=1))
    assert "is in no dvc.lock; run `dvc repro dvc.yaml`" in told


@pytest.mark.long
def test_two_studies_share_runs_in_both_orders(made, clone, run, tmp_path):
    """The second one has a dataset of its own, and one seed more on one of the first's."""
    other = overlay("other", ["demo-local", "own"])
    other["experiments"]["demo-local"]["grid"]["seeds"] = 2
    write(clone / OTHER, other)
    run(clone, "dvc", "pull")
    told = run(clone, *cnntention("dvc", OTHER))
    assert "results/runs/demo-local/tiny: is versioned by dvc.yaml, which has it too" in told
    commit(run, clone)
    run(clone, "dvc", "repro", "studies/other/dvc.yaml")
    assert "modified" in run(clone, "dvc", "status", "dvc.yaml")
    run(clone, "dvc", "repro")
    assert "up to date" in run(clone, "dvc", "status")
    commit(run, clone)
    run(clone, "dvc", "push")
    for config in (DEMO, OTHER):
        assert "has all" in run(clone, *cnntention("verify", "--config", config, "--runs", "0", "--remote", "local"))
    again = tmp_path / "again"
    run(tmp_path, "git", "clone", "-q", str(clone), "again")
    run(again, "dvc", "pull")
    for config in (OTHER, DEMO):
        assert "Job stats" not in run(again, "snakemake", "--configfile", config, "-n")
    assert "up to date" in run(again, "dvc", "status")
    assert "Running stage" not in run(again, "dvc", "repro", "--all-pipelines")


@pytest.mark.long
def test_experiments_are_tried_and_applied(clone, run):
    run(clone, "dvc", "pull")
    runs = weights(clone)
    run(clone, "dvc", "exp", "run", "--name", "longer", "--set-param", f"{DEMO}:recipes.brief.epochs=3")
    assert len(weights(clone)) == 2 * len(runs)
    assert "longer" in run(clone, "dvc", "exp", "show", "--csv")
    assert "accuracy" in run(clone, "dvc", "exp", "diff")
    run(clone, "git", "checkout", "-q", ".")
    run(clone, "dvc", "checkout")
    assert weights(clone) == runs


@pytest.mark.long
def test_killed_with_and_without_its_workflow(clone, run, environment):
    run(clone, "dvc", "pull")
    write(clone / DEMO, overlay("demo", ["demo-relation", "demo-local"], seeds=2))

    def started() -> subprocess.Popen:
        """`dvc repro` as soon as its workflow is at work."""
        with (clone.parent / "log").open("w") as log:
            going = subprocess.Popen(
                ["dvc", "repro"], cwd=clone, env=environment | {"PYTHONPATH": str(clone)}, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        while not list(clone.glob("state/*/*/*/*")) and going.poll() is None:
            time.sleep(0.2)
        assert going.poll() is None
        return going

    def orphaned() -> bool:
        return any((clone / ".snakemake/locks").glob("*"))

    going = started()
    going.kill()  # alone
    going.wait()
    if orphaned():
        assert "cannot be locked" in run(clone, *CALL, "--cores", "1", code=1)
    while orphaned():
        time.sleep(0.5)
    assert len(weights(clone)) == 8  # nothing was lost
    shutil.rmtree(clone / "results/runs/demo-local")
    going = started()
    os.killpg(going.pid, signal.SIGKILL)
    going.wait()
    time.sleep(1)
    assert "cannot be locked" in run(clone, *CALL, "--cores", "1", code=1)
    run(clone, *CALL, "--unlock")
    run(clone, "dvc", "repro")
    assert len(weights(clone)) == 8
    assert "up to date" in run(clone, "dvc", "status")


@pytest.mark.long
def test_s3(clone, run):
    """Against moto, which simulates S3: push, hole, pull; no bucket, no credentials, no server."""
    moto, boto3 = pytest.importorskip("moto.server"), pytest.importorskip("boto3")
    server = moto.ThreadedMotoServer(port=0)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    secret = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    run(clone, "dvc", "pull")
    run(clone, "dvc", "remote", "add", "--default", "storage", "s3://bucket/path")
    run(clone, "dvc", "remote", "modify", "storage", "endpointurl", address)
    get = cnntention("get", "demo-local/tiny/brief/0")
    shutil.rmtree(clone / "results/runs")
    shutil.rmtree(clone / ".dvc/cache")
    assert "credentials" in run(clone, *get, code=1)
    assert "bucket does not exist" in run(clone, *get, code=1, **secret)
    run(clone, "dvc", "pull", "--remote", "local")
    client = boto3.client("s3", endpoint_url=address, region_name="us-east-1", aws_access_key_id="any",
                          aws_secret_access_key="any")  # fmt: skip
    client.create_bucket(Bucket="bucket")
    run(clone, "dvc", "push", **secret)
    check = cnntention("verify", "--config", DEMO, "--runs", "0", "--remote", "storage")
    assert "has all" in run(clone, *check, **secret)
    lost = next(one["Key"] for one in client.list_objects_v2(Bucket="bucket")["Contents"] if ".dir" not in one["Key"])
    client.delete_object(Bucket="bucket", Key=lost)
    assert "lacks 1 of the" in run(clone, *check, code=1, **secret)
    assert "1 of 1 missing objects sent" in run(clone, *check, "--repair", **secret)
    shutil.rmtree(clone / ".dvc/cache")
    shutil.rmtree(clone / "results/runs")
    run(clone, *get, **secret)
    server.stop()
    told = run(clone, *check, code=1, **secret)
    assert "cannot be used" in told
    assert "Traceback" not in told
