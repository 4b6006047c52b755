"""The configuration: strict, typed, and in step with its schema and its registry."""

import copy
import json
import re
import sys

import pytest
import yaml
from conftest import ROOT

from cnntention import plan, versions
from cnntention.config import ATTENTION_OPTIONS, Strict, Study, load, merge, parse_study, read
from cnntention.config.claims import cases
from cnntention.errors import UserError
from cnntention.models.attention import KINDS
from cnntention.models.registry import check, options_of

FULL = [ROOT / "config.yaml"]
STUDIES = sorted((ROOT / "workflow/studies").rglob("*.yaml"))  # in a folder: overlays of the study beside it


def changed(mapping: dict, path: str, value) -> dict:
    result = copy.deepcopy(mapping)
    node = result
    *parents, last = path.split("/")
    for part in parents:
        node = node[part]
    node[last] = value
    return result


@pytest.mark.parametrize("overlay", [None, *STUDIES], ids=lambda p: p.stem if p else "full")
def test_the_studies_that_we_ship_are_valid(overlay):
    below = [overlay.parent.with_suffix(".yaml")] if overlay and overlay.parent.name != "studies" else []
    study = plan.load([*FULL, *below, *([overlay] if overlay else [])])
    assert study.runs()
    assert study.study.name == ((below or [overlay])[0].stem if overlay else "cnntention")


def test_the_main_experiment_is_four_models_on_two_datasets_with_ten_seeds():
    runs = load(FULL).runs_of("main")
    assert len(runs) == 80
    assert {run.recipe for run in runs} == {"equal"}


def test_the_study_has_its_twenty_claims_and_runs_what_they_are_tested_on():
    study = load(FULL)
    assert [name for name in study.claims if re.fullmatch(r"C\d+", name)] == [f"C{i}" for i in range(1, 21)]
    for name, claim in study.claims.items():
        assert claim.experiment in study.study.experiments, name
        cells = study.cells(claim.experiment)
        assert all(cell in cells for case in cases(claim, cells) for cell in case.cells), f"{name} lacks runs"


def test_only_the_published_experiment_leaks():
    study = load(FULL)
    leaking = {n for n in study.study.experiments for run in study.runs_of(n) if study.recipes[run.recipe].leaks}
    assert leaking == {"published"}


def test_the_study_shares_runs_between_experiments():
    study = load(FULL)
    assert set(study.runs_of("combined")) & set(study.runs_of("main"))
    assert len(study.runs()) < sum(len(study.runs_of(name)) for name in study.study.experiments)


def test_an_entry_may_extend_another(small):
    small["models"]["two"] = {"extends": "looking", "attention": {"stage2": {"kind": "cbam", "reduction": 2}}}
    small["models"]["three"] = {"extends": "two", "depth": 14, "attention": {"stage3": None}}
    models = parse_study(small).models
    assert list(models["two"].modules) == ["stage2", "stage3"]
    assert (models["two"].width, models["three"].depth) == (4, 14)
    assert list(models["three"].modules) == ["stage2"]
    study = parse_study(small)
    assert study.run("cues", "tiny", "brief", 0) == parse_study(study.model_dump()).run("cues", "tiny", "brief", 0)


@pytest.mark.parametrize(
    ("extends", "sentence"),
    [
        ("lokking", "models.two.extends: unknown model 'lokking'; did you mean 'looking'?"),
        ("two", "models.two.extends: two > two goes in a circle"),
    ],
)
def test_what_cannot_be_extended_is_named(small, extends, sentence):
    small["models"]["two"] = {"extends": extends}
    with pytest.raises(UserError) as error:
        parse_study(small)
    assert sentence in str(error.value)


def test_a_recipe_that_monitors_an_empty_split_is_refused(small):
    small["datasets"]["cues"]["validation_images"] = 0
    with pytest.raises(UserError, match="recipe 'brief' monitors the validation split, and"):
        parse_study(small)
    small["recipes"]["brief"]["monitor"] = "test"
    assert not parse_study(small).recipes["brief"].leaks
    small["recipes"]["brief"]["stop"] = {"patience": 3}
    assert parse_study(small).recipes["brief"].leaks


def test_the_schema_for_editors_is_in_step():
    schema = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text())
    schema.pop("$schema")
    assert schema == Study.model_json_schema(), (
        "run: python -m cnntention schema --out workflow/schemas/config.schema.json"
    )


def all_parts(cls=Strict):
    return {part for child in cls.__subclasses__() for part in {child, *all_parts(child)}}


@pytest.mark.parametrize("part", sorted(all_parts(), key=lambda part: part.__name__), ids=lambda part: part.__name__)
def test_every_key_has_a_description(part):
    for key, field in part.model_fields.items():
        assert field.description, f"{part.__name__}.{key} has no description"


def test_options_and_registry_agree():
    assert set(ATTENTION_OPTIONS) == set(KINDS)
    for kind, options in ATTENTION_OPTIONS.items():
        assert set(options.model_fields) - {"kind", "control"} == options_of(KINDS[kind])


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("mdoels", {}, ["mdoels", "'models'"]),
        ("recipes/brief/epocs", 3, ["recipes.brief", "'epocs'", "'epochs'"]),
        ("recipes/brief/optimizer/momentun", 0.9, ["recipes.brief.optimizer", "'momentun'", "'momentum'"]),
        ("recipes/brief/optimizer/name", "sdg", ["recipes.brief.optimizer.name", "'sgd'", "'sdg'"]),
        ("recipes/brief/optimizer/lr", -1, ["recipes.brief.optimizer.lr", "greater than 0", "-1"]),
        ("recipes/brief/schedule/milestones", [3], ["recipes.brief.schedule", "multistep"]),
        ("experiments/first/grid/recipes", "breif", ["experiments.first.grid.recipes", "'breif'", "'brief'"]),
        (
            "experiments/first/grid/models",
            ["tiny", "lookin"],
            ["experiments.first.grid.models", "'lookin'", "'looking'"],
        ),
        ("experiments/first/grid/datasets", "cue", ["experiments.first.grid.datasets", "'cue'", "'cues'"]),
        ("experiments/first/grid/seeds", 0, ["experiments.first.grid", "seeds"]),
        ("experiments/first/baseline", "tinny", ["experiments.first.baseline", "'tinny'", "'tiny'"]),
        ("study/experiments", ["frist"], ["study.experiments", "'frist'", "'first'"]),
        ("study/name", "My Study", ["study.name", "My Study"]),
        (
            "models/looking/attention/stage3/kind",
            "slef-attention",
            ["models.looking", "slef-attention", "'self-attention'"],
        ),
        ("models/looking/attention/stage3/haeds", 2, ["models.looking.attention.stage3", "'haeds'"]),
        ("models/looking/attention/stage4", {"kind": "cbam"}, ["models.looking.attention", "'stage4'"]),
        ("models/looking/attention/stage3", {"kind": "multi-head", "heads": 3}, ["heads 3", "16 channels"]),
        (
            "models/looking/attention/stage3",
            {"kind": "cbam", "reduction": 32},
            ["reduction 32", "16 // 32 = 0", "16 or less"],
        ),
        ("models/tiny/depth", 21, ["models.tiny", "depth 21", "6n + 2"]),
        ("datasets/cues/source/format", "cuemach", ["datasets.cues.source.format", "'cuemach'", "'cuematch'"]),
        ("datasets/cues/source/track", "locl", ["datasets.cues.source.track", "'local'"]),
        ("datasets/cues/train_images", None, ["datasets.cues", "train_images"]),
        ("explanation/showcase", {"cuse": [1]}, ["explanation.showcase", "'cuse'", "'cues'"]),
        ("recipes/brief", {"epochs": 1}, ["recipes.brief.optimizer", "missing"]),
        ("recipes/brief", 3, ["recipes.brief", "a mapping of keys"]),
        ("recipes/brief/epochs", True, ["recipes.brief", "epochs: give a number, not True"]),
        ("recipes/brief/epochs", 10**10, ["recipes.brief.epochs"]),
        ("recipes/brief/optimizer/betas", [0.9], ["recipes.brief.optimizer.betas"]),
        ("recipes/brief/optimizer/betas", [0.9, 1.5], ["recipes.brief.optimizer.betas.1", "less than 1", "1.5"]),
        (
            "recipes/brief/optimizer",
            {"name": "sgd", "lr": 1, "momentum": 0, "nesterov": True},
            ["nesterov needs a mom"],
        ),
        ("recipes/brief/schedule", {"name": "multistep", "milestones": [-1]}, ["schedule.milestones.0", "-1"]),
        (
            "recipes/brief/schedule",
            {"name": "multistep", "milestones": [1, 2]},
            ["milestones: 2 is not below", "2 epochs"],
        ),
        ("recipes/brief/schedule/warmup_epochs", 2, ["recipes.brief.schedule.warmup_epochs: 2.0 is not below"]),
        ("recipes/brief/extends", ["brief"], ["recipes.brief.extends", "name of another recipe", "['brief']"]),
        ("recipes/brief/extends", None, ["recipes.brief.extends", "name of another recipe", "None"]),
        ("models/looking/attention/stage3/kind", ["cbam"], ["models.looking.attention.stage3.kind", "string"]),
        ("models/looking/attention/stage3/gate_init", 1e300, ["models.looking.attention.stage3.gate_init", "1e+300"]),
        ("experiments/first/grid/seeds", 10**9, ["experiments.first.grid.seeds", "1 to 1000 seeds"]),
        (
            "experiments/first/grid/seeds",
            "three",
            ["experiments.first.grid.seeds", "a number or a list of numbers", "'three'"],
        ),
        ("study/experiments", ["first", "first"], ["study.experiments", "'first' is there twice"]),
        ("study/name", "runs", ["study.name", "results/runs/", "another name"]),
        ("study/name", "published", ["study.name", "results/published/"]),
        ("datasets/cues/test_images", 1, ["datasets.cues.test_images", "2"]),
        ("datasets/cues/normalize", {"mean": [0], "sd": [0]}, ["datasets.cues.normalize.sd.0"]),
        ("datasets/cues/normalize", {"mean": [0, 0], "sd": [1]}, ["datasets.cues.normalize", "2 means and 1 sds"]),
        ("datasets/cues/source/distances", [], ["datasets.cues.source", "distances", "at least one"]),
        ("datasets/cues/source/size", 24, ["datasets.cues.source", "near, mid"]),
        ("datasets/cues/source/vocabulary", 3, ["datasets.cues.source", "candidates", "at most 3"]),
        (
            "datasets/cues/source",
            {"format": "npz", "archive": {"urls": "http://[::1", "sha256": "0" * 64}},
            ["datasets.cues.source.archive.urls", "is not a valid URL"],
        ),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_key_the_value_and_what_would_do(small, path, value, words):
    with pytest.raises(UserError) as error:
        parse_study(changed(small, path, value))
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def test_the_example_is_itself_valid(small):
    assert [run.name for run in parse_study(small).runs()] == ["cues/tiny/brief/seed0", "cues/looking/brief/seed0"]


def test_a_study_is_frozen(small):
    study = parse_study(small)
    with pytest.raises(ValueError, match="frozen"):
        study.recipes["brief"].epochs = 3


# --- identity ---------------------------------------------------------------------------------------------------


def keys(mapping: dict) -> dict[str, str]:
    return {run.name: run.key for run in parse_study(mapping).runs()}


def test_reordering_keys_changes_no_identity(small):
    def reverse(value):
        return {k: reverse(value[k]) for k in reversed(value)} if isinstance(value, dict) else value

    assert keys(reverse(small)) == keys(small)


@pytest.mark.parametrize(
    ("path", "value", "models"),
    [
        ("recipes/brief/epochs", 3, {"tiny", "looking"}),
        ("models/looking/attention/stage3/gate_init", 0.1, {"looking"}),
        ("models/tiny/width", 8, {"tiny"}),
        ("datasets/cues/source/noise", 0.2, {"tiny", "looking"}),
        ("datasets/cues/augment", {"flip": True}, {"tiny", "looking"}),
        ("datasets/cues/split_seed", 1, {"tiny", "looking"}),
        ("explanation/images", 8, set()),
        ("experiments/first/question", "Why?", set()),
        ("profiling/threads", 2, set()),
    ],
)
def test_a_change_renames_exactly_the_runs_that_it_changes(small, path, value, models):
    old, new = keys(small), keys(changed(small, path, value))
    assert {name.split("/")[1] for name in old if old[name] != new[name]} == models


def test_renaming_a_model_or_recipe_changes_the_path_but_not_the_key(small):
    old = parse_study(small).runs()[1]
    for kind, before, after in (("models", "looking", "seeing"), ("recipes", "brief", "short")):
        small[kind][after] = small[kind].pop(before)
    small["experiments"]["first"]["grid"] |= {"models": ["tiny", "seeing"], "recipes": "short"}
    new = parse_study(small).runs()[1]
    assert new.key == old.key
    assert new.folder == old.folder.replace("looking", "seeing").replace("brief", "short")


def test_spelling_out_a_default_changes_no_identity(small):
    assert keys(changed(small, "models/looking/attention/stage3/residual", "gated")) == keys(small)
    assert keys(changed(small, "recipes/brief/precision", "fp32")) == keys(small)


def test_where_an_archive_lies_is_not_its_identity_but_its_hash_is(small):
    def with_source(urls, sha256):
        archive = {"urls": urls, "sha256": sha256}
        return changed(
            small, "datasets/cues", {"source": {"format": "npz", "archive": archive}, "validation_images": 5}
        )

    here, there = with_source("a.npz", "0" * 64), with_source(["https://example.org/a.npz", "b.npz"], "0" * 64)
    assert keys(here) == keys(there)
    assert keys(here) != keys(with_source("a.npz", "1" * 64))


def test_raising_the_version_of_training_renames_every_run(small, monkeypatch):
    old = keys(small)
    monkeypatch.setattr(versions, "TRAINING", versions.TRAINING + 1)
    assert not set(old.values()) & set(keys(small).values())


def test_experiments_share_runs(small):
    second = small["experiments"]["first"] | {"grid": small["experiments"]["first"]["grid"] | {"seeds": [0, 5]}}
    small["experiments"]["second"] = second
    small["study"]["experiments"] = ["first", "second"]
    runs = parse_study(small).runs()
    assert len(runs) == len(set(runs)) == 4


def test_overlays_merge_mappings_and_replace_the_rest():
    assert merge({"a": {"b": 1, "c": [1, 2]}}, {"a": {"c": [3]}}) == {"a": {"b": 1, "c": [3]}}


def test_files_that_are_no_study(tmp_path):
    with pytest.raises(UserError, match=r"missing\.yaml: cannot be read"):
        load([tmp_path / "missing.yaml"])
    (tmp_path / "broken.yaml").write_text("a: [1")
    with pytest.raises(UserError, match=r"broken\.yaml, line 2, column 1: is not YAML"):
        load([tmp_path / "broken.yaml"])
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(UserError, match="holds no keys"):
        load([tmp_path / "list.yaml"])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            b"a: 1\nb: {c: 1,\n  c: 2}",
            "line 3, column 3: is not YAML that can be used (the key 'c' is there twice in one",
        ),
        (
            b"a:\n- epochs: 1:30",
            "line 2, column 11: is not YAML that can be used (1:30 is a number to base 60 in YAML; ",
        ),
        (b"a: \xff", "is not UTF-8 text ("),
        (b"a: &a {b: *a}\nstudy: 3", "x.yaml: "),
        (b"a: 2001-13-45", "x.yaml: is not YAML that can be used (month must be in 1..12)"),
        (
            b"a: !!python/object:os.x {}",
            "line 1, column 4: is not YAML that can be used (could not determine a constructor",
        ),
    ],
)
def test_a_file_that_yaml_would_take_for_something_else(tmp_path, content, sentence):
    (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(UserError) as error:
        load([tmp_path / "x.yaml", tmp_path / "x.yaml"])
    said = str(error.value)
    assert sentence in said or "nested too deeply" in said
    assert said.isprintable()


def test_a_time_in_quotes_and_equal_keys_of_different_mappings_are_fine(tmp_path):
    (tmp_path / "x.yaml").write_text('a: {b: "1:30", d: {b: 1}}\nc: {b: 12:3a, b2: b, e: b}\n')
    assert read(tmp_path / "x.yaml") == {"a": {"b": "1:30", "d": {"b": 1}}, "c": {"b": "12:3a", "b2": "b", "e": "b"}}


# --- plugins ----------------------------------------------------------------------------------------------------

PLUGIN = """
from torch import nn
from cnntention.models.attention import Attention, register

@register("{kind}")
class Squeeze(Attention):
    def __init__(self, channels, ratio=4, **residual):
        super().__init__(**residual)
        self.fc = nn.Linear(channels, channels)

    def attend(self, x):
        return x * self.fc(x.mean((2, 3))).sigmoid()[..., None, None]
"""


@pytest.fixture
def plugged(small, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN.format(kind="squeeze"))
    small["plugins"] = [str(path)]
    small["models"]["looking"]["attention"]["stage3"] = {"kind": "squeeze", "ratio": 2, "residual": "plain"}
    yield small, path
    KINDS.pop("squeeze", None)


def test_a_module_of_your_own_is_one_registered_class(plugged):
    import torch

    from cnntention.models.registry import build

    study = parse_study(plugged[0])
    check(study)
    net = build(study.models["looking"], 3, 10)
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert type(net.attention["stage3"]).__name__ == "Squeeze"


def test_editing_a_plugin_renames_the_runs_of_its_models_only(plugged):
    mapping, path = plugged
    old = keys(mapping)
    path.write_text(path.read_text() + "\n# changed\n")
    new = keys(mapping)
    assert {name.split("/")[1] for name in old if old[name] != new[name]} == {"looking"}


@pytest.fixture
def two_plugins(small, tmp_path, monkeypatch):
    """`looking` has a kind of mine.py, which imports help.py and so the package more; `tiny` has one of yours.py."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    more = tmp_path / "more"
    more.mkdir()
    (more / "__init__.py").write_text("from .deep import FOUR\n")
    (more / "deep.py").write_text("FOUR = 4\n")
    (tmp_path / "help.py").write_text("import more\n\nFOUR = more.FOUR\n")
    (tmp_path / "mine.py").write_text("import help as h\nfrom help import FOUR\n" + PLUGIN.format(kind="squeeze"))
    (tmp_path / "yours.py").write_text("from . import other\n" + PLUGIN.format(kind="press"))
    (tmp_path / "other.py").touch()
    (tmp_path / "unused.py").touch()
    small["plugins"] = [str(tmp_path / "mine.py"), str(tmp_path / "yours.py")]
    small["models"]["looking"]["attention"]["stage3"] = {"kind": "squeeze"}
    small["models"]["tiny"]["attention"] = {"stage3": {"kind": "press"}}
    yield small, tmp_path
    for kind in ("squeeze", "press"):
        KINDS.pop(kind, None)
    for name in ("help", "more", "more.deep"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("file", "models"),
    [
        ("mine.py", {"looking"}),
        ("help.py", {"looking"}),
        ("more/__init__.py", {"looking"}),
        ("more/deep.py", {"looking"}),
        ("yours.py", {"tiny"}),
        ("other.py", {"tiny"}),
        ("unused.py", set()),
    ],
)
def test_a_plugins_key_holds_its_file_and_what_that_imports_from_beside_it(two_plugins, file, models):
    mapping, folder = two_plugins
    old = keys(mapping)
    with (folder / file).open("a") as text:
        text.write("# a comment\n")
    new = keys(mapping)
    assert {name.split("/")[1] for name in old if old[name] != new[name]} == models


def test_plugins_find_what_lies_beside_them(two_plugins):
    check(parse_study(two_plugins[0]))
    assert {"squeeze", "press"} <= set(KINDS)


def test_a_kind_with_a_computed_name_depends_on_all_plugins(two_plugins):
    mapping, folder = two_plugins
    path = folder / "mine.py"
    path.write_text(path.read_text().replace('@register("squeeze")', '@register("squ" + "eeze")'))
    old = keys(mapping)
    (folder / "other.py").write_text("# a comment\n")
    assert {name.split("/")[1] for name, key in keys(mapping).items() if old[name] != key} == {"looking", "tiny"}


def test_the_place_of_a_plugin_and_the_project_beside_it_are_not_in_its_key(plugged, tmp_path):
    mapping, path = plugged
    old = keys(mapping)
    (tmp_path / "cnntention").mkdir()
    (tmp_path / "cnntention" / "models.py").touch()
    assert keys(mapping) == old
    mapping["plugins"] = [str(path.rename(tmp_path / "cnntention" / "new.py"))]
    assert keys(mapping) == old


def test_a_kind_that_is_taken_is_refused(two_plugins):
    mapping, folder = two_plugins
    path = folder / "yours.py"
    path.write_text(path.read_text().replace("press", "cbam"))
    with pytest.raises(
        UserError, match=r"^configuration: plugins: .*yours\.py registers 'cbam', which is built in; use"
    ):
        parse_study(mapping)
    path.write_text(path.read_text().replace("cbam", "squeeze"))
    with pytest.raises(UserError, match=r"plugins: .*mine\.py and .*yours\.py both register 'squeeze'; rename one\.$"):
        parse_study(mapping)
    path.write_text(path.read_text().replace('"squeeze"', '"cbam".lower()'))  # known only when it is imported
    with pytest.raises(
        UserError, match=r"yours\.py cannot be imported \(ValueError: 'cbam' is registered already, by cnn"
    ):
        check(parse_study(mapping))
    path.write_text("class :")
    with pytest.raises(UserError, match=r"yours\.py is not Python \(.*line 1"):
        parse_study(mapping)


def test_a_plugin_option_or_kind_that_is_not_known(plugged):
    mapping, path = plugged
    with pytest.raises(UserError, match=r"looking\.attention\.stage3: unknown key 'ratoi'; did you mean 'ratio'"):
        check(parse_study(changed(mapping, "models/looking/attention/stage3", {"kind": "squeeze", "ratoi": 2})))
    with pytest.raises(UserError, match="unknown attention kind 'squeze'; did you mean 'squeeze'"):
        check(parse_study(changed(mapping, "models/looking/attention/stage3", {"kind": "squeze"})))
    path.write_text("import nothing_of_that_name")
    with pytest.raises(UserError, match=r"mine\.py cannot be imported \(ModuleNotFoundError"):
        check(parse_study(mapping))
    with pytest.raises(UserError, match=r"cannot read 'gone\.py'"):
        check(parse_study(changed(mapping, "plugins", ["gone.py"])))


BAD_MODULES = {
    "def __init__(self, channels, ratio): super().__init__()": "Squeeze(16) cannot be made (TypeError",
    "def __init__(self, channels, *, ratio=4): super().__init__(); self.n = 1 / 0": "cannot be made (ZeroDivisionError",
    "def forward(self, x): return x.mean((2, 3), keepdim=True)": "in training returns (2, 16, 1, 1) for features",
    "def forward(self, x): return [x]": "in training returns list for features",
    "def forward(self, x): return x.view(3, -1)": "fails in training on features (2, 16, 8, 8) (RuntimeError: ",
    "def forward(self, x): return x if self.training else x / 0": "in evaluation returns values that are not finite",
    "def forward(self, x): return x if self.training else 1 / 0": "fails in evaluation on features (2, 16, 8, 8) (Z",
    "def forward(self, x): return x.abs().sqrt() + 0 * x[:, :1].sum()": "has gradients that are not finite",
    "def forward(self, x): import sys; sys.exit(0)": "fails in training on features (2, 16, 8, 8) (SystemExit: 0)",
    "def maps(self, x): raise KeyError('a\\nb')": "Squeeze(16).maps() fails (KeyError: ",
    "def maps(self, x): return x": "Squeeze(16).maps() returns no mapping of tensors",
    "def maps(self, x): return {'attention': x}": "'attention' has the shape (2, 16, 8, 8); it must be (2, heads, ",
    "def maps(self, x): return {'channel': x.mean((2, 3)) / 0}": "maps(): 'channel' has values that are not finite",
}


@pytest.mark.parametrize("method", BAD_MODULES)
def test_a_module_that_would_fail_in_training_or_after_is_refused_at_once(plugged, method):
    mapping, path = plugged
    mapping["models"]["looking"]["attention"]["stage3"] = {"kind": "squeeze"}
    whole = "def __init__(self, channels): super().__init__()\n    def forward(self, x): return x"
    path.write_text(
        "import torch\nfrom torch import nn\nfrom cnntention.models.attention import register\n"
        f"@register('squeeze')\nclass Squeeze(nn.Module):\n    {whole}\n    {method}\n"
    )
    with pytest.raises(UserError) as error:
        check(parse_study(mapping))
    said = str(error.value)
    assert said.startswith("configuration: models.looking.attention.stage3: Squeeze(16)"), said
    assert BAD_MODULES[method] in said
    assert said.isprintable()


@pytest.mark.parametrize("code", ["import sys; sys.exit(0)", "raise SystemExit", "raise BaseException('no')", "1 / 0"])
def test_a_plugin_that_ends_the_program_is_a_sentence(plugged, code):
    mapping, path = plugged
    path.write_text(code)
    with pytest.raises(
        UserError, match=r"plugins: .*mine\.py cannot be imported \((SystemExit|BaseExc|ZeroDiv).*\)\.$"
    ):
        check(parse_study(mapping))


def test_a_function_is_no_module(plugged):
    mapping, path = plugged
    path.write_text("from cnntention.models.attention import register\n\n@register('squeeze')\ndef f(channels): ...\n")
    with pytest.raises(
        UserError, match=r"stage3\.kind: 'squeeze' is registered for .*, which is no nn\.Module class\.$"
    ):
        check(parse_study(mapping))


def test_a_module_for_one_size_of_images_is_fine(plugged):
    mapping, path = plugged
    path.write_text(PLUGIN.format(kind="squeeze").replace("return x *", "return x.view(-1, 16, 7, 7) *"))
    check(parse_study(mapping))  # stage 3 of 28 px


@pytest.mark.parametrize("value", [float("nan"), b"x", {1, 2}, [[float("inf")]]])
def test_a_plugins_option_is_what_json_can_hold(plugged, value):
    mapping, _ = plugged
    with pytest.raises(UserError, match=r"^configuration: models\.looking\.attention\.stage3\.ratio: "):
        parse_study(changed(mapping, "models/looking/attention/stage3/ratio", value))


def test_config_knows_no_torch():
    import subprocess

    code = "import sys, cnntention.config, cnntention.plan, cnntention.data.archives; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_yaml_is_read_as_the_workflow_reads_it():
    assert parse_study(yaml.safe_load(FULL[0].read_text())) == load(FULL)


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        ({"model": "lokking"}, "claims.C: unknown model 'lokking'; did you mean 'looking'"),
        ({"experiment": "frist"}, "claims.C.experiment: unknown experiment 'frist'; did you mean 'first'"),
        ({"against": []}, "claims.C: give either `against` or `against_recipe`, runs to compare with, or `value`"),
        ({"expect": "front"}, "claims.C: expect front: needs the metric front_macs or front_time"),
        ({"metric": "front_time"}, "claims.C: expect front: needs the metric front_macs or front_time"),
        ({"metric": "nll", "expect": "equal"}, "claims.C: expect equal: needs a `margin` in the unit of nll"),
        ({"control": "cues", "expect": "equal"}, "claims.C: control: needs models or recipes to compare with"),
        ({"control_model": "tiny"}, "claims.C: control_model: compares recipes, so give `against_recipe`"),
        ({"metric": "solved", "expect": "not-lower"}, "claims.C: metric solved: runs are counted, which needs expect"),
        ({"metric": "solved", "control": "cues"}, "claims.C: metric solved: runs are counted, which needs expect"),
        ({"metric": "broken", "against": [], "value": 50}, "claims.C: metric broken: runs are counted, which needs"),
        ({"learned": "cuse"}, "claims.C: unknown dataset 'cuse'; did you mean 'cues'"),
        ({"learned": "cues"}, "claims.C: in experiment first, learned: none of the compared models has runs on cues"),
        (
            {"metric": "test_acuracy"},
            "claims.C.metric: no claim can be about 'test_acuracy'; did you mean 'test_accuracy'",
        ),
        ({"metric": "hardware"}, "claims.C.metric: no claim can be about 'hardware'"),
        ({"metric": "seed"}, "claims.C.metric: no claim can be about 'seed'"),
        ({"metric": "training_memory_bytes"}, "claims.C.metric: no claim can be about 'training_memory_bytes'"),
        ({"metric": "latency_ms", "against": [], "value": 0}, "claims.C.value: a time is above 0 ms"),
        ({"metric": "latency_ms", "expect": "equal"}, "claims.C: expect equal: needs a `margin` as a share"),
        ({"expects": "higher"}, "claims.C: unknown key 'expects'; did you mean 'expect'"),
    ],
)
def test_mistakes_in_a_claim_are_named(small, claim, sentence):
    told = {"sentence": "Looking helps.", "experiment": "first", "model": "looking", "against": "tiny"}
    with pytest.raises(UserError) as error:
        plan.checked(parse_study(small | {"claims": {"C": told | claim}}))
    assert sentence in str(error.value)


def test_an_ambiguous_recipe_is_refused(small):
    told = {"sentence": "A beats b.", "experiment": "first", "model": "looking", "against": "tiny"}
    claim = parse_study(small | {"claims": {"C": told}}).claims["C"]
    cells = [("d", "looking", "x"), ("d", "looking", "y"), ("d", "tiny", "x")]
    with pytest.raises(ValueError, match="looking has the recipes x, y there; name one under `recipe`"):
        cases(claim, cells)
    (case,) = cases(claim.model_copy(update={"recipe": "x"}), cells)
    assert (case.a, case.b) == (cells[0], cells[2])
