"""requirements.lock: every dependency with its hashes, in step with pyproject.toml."""

import re
import tomllib

from conftest import ROOT


def test_the_lock_has_the_pins_and_a_hash_of_everything():
    lock = (ROOT / "requirements.lock").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = re.findall(r"^([a-z0-9.-]+)==([^ ;]+)", lock, re.MULTILINE)
    for pin in (*project["dependencies"], *project["optional-dependencies"]["dev"]):
        assert tuple(pin.split("==")) in locked, f"{pin}: run `make lock`"
    entries = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]
    assert len(entries) == len(locked) > 100
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in lock
