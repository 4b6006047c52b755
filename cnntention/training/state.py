"""The training state of an unfinished run: saved after every epoch, outside the workflow's outputs, removed at the end.

Snakemake deletes a failed job's outputs; this file is none of them, so a run that was killed goes on where it was.
It is the only pickle that the project reads, and it is read with `weights_only=True`.
"""

import fcntl
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
    """One run's state file. `fingerprint` names the run; another run's state is not resumed."""

    def __init__(self, path: Path, fingerprint: str):
        self.path, self.fingerprint = path, fingerprint
        self.resumed: list[int] = []  # after which epochs the run was taken up again, in this process and before it

    def save(self, epoch: int, history: list[dict], parts: dict[str, Any]) -> None:
        """Store what is needed to go on after `epoch`; parts: name -> object with a state_dict."""
        states = {name: part.state_dict() for name, part in parts.items()}
        with atomic(self.path) as temporary:
            facts = {"fingerprint": self.fingerprint, "epoch": epoch, "history": history, "resumed": self.resumed}
            torch.save(facts | states, temporary)

    def load(self, parts: dict[str, Any], device: torch.device) -> tuple[int, list[dict]]:
        """(epochs done, their history), with `parts` as they were then; (0, []) where there is nothing to resume."""
        if not self.path.exists():
            return 0, []
        try:
            saved = torch.load(self.path, map_location=device, weights_only=True)
            if saved["fingerprint"] != self.fingerprint:
                return 0, []
            for name, part in parts.items():
                part.load_state_dict(saved[name])
            self.resumed = [*saved["resumed"], saved["epoch"]]
        except (KeyError, ValueError, RuntimeError, EOFError, OSError) as error:
            raise UserError(
                f"{self.path}: this training state is damaged ({type(error).__name__}); "
                "delete it to start the run anew."
            ) from None
        return saved["epoch"], saved["history"]

    def remove(self) -> None:
        """The state, and what writes of it left that were killed half-way. Only by the run's owner."""
        for path in (self.path, *leftovers(self.path)):
            path.unlink(missing_ok=True)

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Hold the run for this process: an orphan of a killed workflow may still be training it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_suffix(".lock")
        with lock.open("a") as handle:  # "w" would empty the owner's
            if not taken(handle):
                raise UserError(f"{self.path}: another process is training this run; wait for it or stop it.")
            # `status` trusts a free lock only on the machine that held it: locks may not cross machines
            handle.truncate(0)
            handle.write(platform.node())
            handle.flush()
            yield
            lock.unlink(missing_ok=True)


def taken(handle: IO) -> bool:
    """Whether this process now holds the lock. Tries for a moment, since `status` holds each one while it looks."""
    for _ in range(20):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            time.sleep(0.01)
    return False
