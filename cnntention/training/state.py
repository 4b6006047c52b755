"""The training state of an unfinished run: saved after every epoch and removed at the end, so a killed run resumes.

It is not an output of the workflow: Snakemake may delete the outputs of a failed job. It is the only pickle that the
project reads, with `weights_only=True`.
"""

import fcntl
import hashlib
import io
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch

from cnntention.errors import UserError
from cnntention.files import atomic, leftovers


class State:
    """A run's state file. `fingerprint` identifies the run; the state of another run is ignored."""

    def __init__(self, path: Path, fingerprint: str):
        self.path, self.fingerprint = path, fingerprint
        self.resumed: list[int] = []  # the epochs after which the run was resumed, by this process and earlier ones

    def save(self, epoch: int, history: list[dict], parts: dict[str, Any]) -> None:
        """Save what is needed to resume after `epoch`; parts: name -> object with a state_dict."""
        states = {name: part.state_dict() for name, part in parts.items()}
        facts = {"fingerprint": self.fingerprint, "epoch": epoch, "history": history, "resumed": self.resumed}
        content = io.BytesIO()
        torch.save(facts | states, content)
        with atomic(self.path) as temporary:
            temporary.write_bytes(hashlib.sha256(content.getbuffer()).digest() + content.getbuffer())

    def load(self, parts: dict[str, Any], device: torch.device) -> tuple[int, list[dict]]:
        """Restore `parts`; return (epochs done, their history), (0, []) if there is nothing to resume."""
        if not self.path.exists():
            return 0, []
        try:
            content = self.path.read_bytes()
            if hashlib.sha256(content[32:]).digest() != content[:32]:
                raise ValueError
            saved = torch.load(io.BytesIO(content[32:]), map_location=device, weights_only=True)
            if saved["fingerprint"] != self.fingerprint:
                return 0, []
            for name, part in parts.items():
                part.load_state_dict(saved[name])
            self.resumed = [*saved["resumed"], saved["epoch"]]
        except (KeyError, ValueError, RuntimeError, OSError):  # of another version, or damaged
            raise UserError(f"{self.path}: this training state is damaged; delete it to start the run anew.") from None
        return saved["epoch"], saved["history"]

    def remove(self) -> None:
        """Delete the state, and temporary files of killed writes. Only for the process that holds the run."""
        for path in (self.path, *leftovers(self.path)):
            path.unlink(missing_ok=True)

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Lock the run for this process: a job of a killed workflow may still be training it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_suffix(".lock")
        with lock.open("a") as handle:  # "w" would erase the name that the holder wrote
            if not taken(handle):
                raise UserError(f"{self.path}: another process is training this run; wait for it or stop it.")
            # the host's name, for `status`: a lock may not be visible on other machines
            handle.truncate(0)
            handle.write(platform.node())
            handle.flush()
            yield
            lock.unlink(missing_ok=True)


def taken(handle: IO) -> bool:
    """Whether this process now holds the lock. Retries briefly, since `status` locks it for a moment to test it."""
    for _ in range(20):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            time.sleep(0.01)
    return False
