"""Any mutilated configuration gives a study, or one sentence: from mappings, from files, and when it is planned."""

import copy
import datetime
import os
import subprocess
import sys
from random import Random

import pytest
import yaml
from conftest import ROOT, small_study
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnntention import plan
from cnntention.config import merge, parse_study, read
from cnntention.errors import UserError
from cnntention.results import paths

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "250"))  # by hand: FUZZ_EXAMPLES=10000
FUZZ = settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
FULL = yaml.safe_load((ROOT / "config.yaml").read_text())
ARCHIVES = ("cifar10", "mnist", "cifar10-published", "mnist-published")
MAIN = FULL | {
    "study": FULL["study"] | {"experiments": ["main", "published"]},
    "experiments": {name: FULL["experiments"][name] for name in ("main", "published")},
    "datasets": {name: FULL["datasets"][name] for name in ARCHIVES},
    "claims": {n: c for n, c in FULL["claims"].items() if c["experiment"] in ("main", "published")},
    "explanation": {},
}
SMALL = small_study() | {
    "claims": {"C": {"sentence": "Looking helps.", "experiment": "first", "model": "looking", "against": "tiny"}},
    "statistics": {"min_seeds": 3},
    "published": [{"dataset": "cues", "model": "tiny", "test_error": 8.0, "epochs": 2, "note": "one run"}],
}
SMALL["recipes"]["long"] = {
    "extends": "brief",
    "optimizer": {"name": "adam", "betas": [0.9, 0.99], "decay_exempt": ["gates"]},
    "schedule": {"name": "multistep", "milestones": [1]},
    "stop": {"patience": 3},
}
SMALL["models"]["both"] = {
    "extends": "looking",
    "attention": {"stage2": [{"kind": "cbam", "reduction": 2}, {"kind": "multi-head"}]},
}

SMALL["datasets"]["cues"] |= {"augment": {"crop_padding": 2}, "normalize": {"mean": [0, 0, 0], "sd": [1, 1, 1]}}


def deep(value, levels: int):
    for i in range(levels):
        value = [value] if i % 2 else {"kind": value}
    return value


WORDS = ["", "a", "cbam", "raw", "runs", "three", "1e3", "$x^{", "{seed}", "a\nb", "\x00", "\ud800", "é" * 300, "../x"]
WORDS += ["http://[::1", "http://x/", "test_acuracy", "hardware", "seed", "first", "looking", "cues", "brief", "null"]
NUMBERS = [0, -1, 1, 2, 7, 10**9, 2**63, 10**400, -(10**400), 0.5, 1.5, -0.1, 1e300, 1e-300, float("nan"), float("inf")]


def any_value(random: Random, leaves: int = 4):
    """Of any type, sometimes nested."""
    how = random.randrange(9)
    if how == 0:
        return random.choice([None, True, False])
    if how == 1:
        return random.choice(
            [random.randint(-(10**6), 10**6), random.uniform(-2, 2), datetime.date(2001, 1, 1), b"\xff"]
        )
    if how == 2:
        return deep(any_value(random, 0), random.choice([10, 60, 300, 900]))
    if how < 5 and leaves:
        inner = [any_value(random, leaves - 1) for _ in range(random.randrange(4))]
        return inner if how == 3 else {random.choice([*WORDS, *NUMBERS, None]): value for value in inner}
    return random.choice(NUMBERS if how < 7 else WORDS)


def places(node, path=(), around=()):
    """The path of every entry of nested mappings and lists, less deep than 20."""
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries if id(node) not in around and len(path) < 20 else ():
        yield (*path, key)
        yield from places(value, (*path, key), (*around, id(node)))


def mutate(random: Random, config: dict) -> None:
    """Change one entry at any depth."""
    known = list(places(config))
    if not known:
        return
    *parents, last = path = random.choice(known)
    node = value_at(config, parents)
    old = value_at(config, path)
    how = random.choice(["value", "value", "gone", "renamed", "wrapped", "twin", "number", "text", "moved", "itself"])
    if how == "gone":
        del node[last]
    elif how == "renamed" and isinstance(node, dict):
        node[random.choice([*node, "x", 1, None, True, "extends", "a\nb"])] = node.pop(last)
    elif how == "wrapped":
        node[last] = random.choice([[old], {"a": old}, [[old]], [old, old], {"extends": old}])
    elif how == "twin" and isinstance(old, list) and old:
        node[last] = [*old, random.choice(old)]
    elif how == "number" and isinstance(old, int | float) and not isinstance(old, bool):
        node[last] = random.choice([-old, old * 10**9, old + 0.5, old / 3, str(old), 0, old - 1, old + 1])
    elif how == "text" and isinstance(old, str):
        node[last] = random.choice([old + "x", old.upper(), old[:-1], f" {old}", list(old), old * 50])
    elif how == "moved":
        node[last] = copy.deepcopy(value_at(config, random.choice(known)))
    elif how == "itself" and isinstance(node, dict):
        node[last] = node
    else:
        node[last] = any_value(random)


def value_at(config, path):
    for key in path:
        config = config[key]
    return config


def mutilated(seed: int, config: dict) -> dict:
    """A copy in which one to three entries are changed."""
    random, changed = Random(seed), copy.deepcopy(config)
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        try:
            mutate(random, changed)
        except (RecursionError, OverflowError):  # an entry holds itself, by the change before; a number without limits
            break
    return changed


def planned(read_study) -> str:
    """ "study", or the sentence of the UserError that it, or its planning, raised."""
    try:
        study = plan.checked(read_study())
        paths.study_key(study)
        study.model_dump_json()
        assert study.runs()
    except UserError as error:
        return str(error)
    return "study"


def is_one_sentence(said: str) -> None:
    assert said == "study" or (said.isprintable() and said.endswith((".", "more like it)")) and len(said) < 3000), said


@FUZZ
@given(seed=st.integers(0, 2**40), which=st.sampled_from([SMALL, SMALL, SMALL, MAIN]))
def test_a_mutilated_mapping_gives_a_study_or_a_sentence(seed, which):
    is_one_sentence(planned(lambda: parse_study(mutilated(seed, which))))


TEXT = yaml.safe_dump(SMALL, default_flow_style=None).encode()
ODD = [b"[", b"{", b": ", b"- ", b"&a ", b"*a", b"!!python/object:os.x ", b"1:30", b"\t", b"\xff", b"\x00", b"'", b"? "]
ODD += [
    b"2001-13-45",
    b"9" * 5000,
    b"<<: ",
    b"!!int x",
    b"%",
    b"@",
    b"|\n",
    b"[" * 300,
    b"\xef\xbb\xbf",
    b"",
    b"",
    b"\n",
]


def mutilated_text(seed: int) -> bytes:
    """Bytes of the file are replaced, repeated or cut."""
    random, text = Random(seed), bytearray(TEXT)
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(text))
        to = at + random.randrange(30)
        text[at:to] = random.choice([*ODD, bytes(text[at:to]) * 2])
    return bytes(text)


@FUZZ
@given(seed=st.integers(0, 2**40))
def test_a_mutilated_file_gives_a_study_or_a_sentence(seed, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    path.write_bytes(mutilated_text(seed))
    is_one_sentence(planned(lambda: parse_study(merge(SMALL, read(path)))))


@pytest.mark.parametrize("levels", [60, 5_000, 300_000])
@pytest.mark.parametrize("name", ["deep.yaml", "deep.json"])
def test_deep_nesting_is_a_sentence(tmp_path, name, levels):
    """In a process of its own: libyaml crashes."""
    path = tmp_path / name
    path.write_text('{"a": ' + "[" * levels + "]" * levels + "}")
    command = [sys.executable, "-m", "cnntention", "prepare", "--config", path, "--dataset", "a", "--out", "b"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr[-300:]
