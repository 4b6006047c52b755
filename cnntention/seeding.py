"""All seeding: each random stream has a name, so adding a stream changes no other."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive(seed: int, stream: str) -> int:
    """A 63-bit seed for the named stream of a run."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{stream}".encode()).digest()[:8], "big") >> 1


def generator(seed: int, stream: str) -> torch.Generator:
    """A CPU generator for the named stream: the same numbers on every device."""
    return torch.Generator().manual_seed(derive(seed, stream))


@contextmanager
def seeded(seed: int, stream: str) -> Iterator[None]:
    """In the block the global generators are the named stream; afterwards their states are restored."""
    of_random, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            seed_all(seed, stream)
            yield
    finally:
        random.setstate(of_random)
        np.random.set_state(of_numpy)  # noqa: NPY002


def seed_all(seed: int, stream: str) -> None:
    """From here on the global generators are the named stream; no module of ours draws from them, others may."""
    number = derive(seed, stream)
    random.seed(number)
    np.random.seed(number % 2**32)  # noqa: NPY002
    torch.manual_seed(number)


class GlobalState:
    """That of torch's global generators, as something to be saved: dropout draws from them."""

    def state_dict(self) -> dict:
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        return {"cpu": torch.get_rng_state(), "cuda": cuda}

    def load_state_dict(self, state: dict) -> None:
        torch.set_rng_state(state["cpu"].cpu())
        if state["cuda"]:
            torch.cuda.set_rng_state_all([one.cpu() for one in state["cuda"]])
