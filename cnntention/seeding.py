"""The one place that seeds: every random stream is named, so that adding one never shifts another."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive(seed: int, stream: str) -> int:
    """A 63-bit seed for the named stream of a run."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{stream}".encode()).digest()[:8], "big") >> 1


def generator(seed: int, stream: str) -> torch.Generator:
    """A CPU generator for the named stream: the same draws whatever the device is."""
    return torch.Generator().manual_seed(derive(seed, stream))


@contextmanager
def seeded(seed: int, stream: str) -> Iterator[None]:
    """Run code that draws from torch's global generator on the named stream, and leave that generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, stream))
        yield
