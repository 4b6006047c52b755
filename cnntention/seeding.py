"""All seeding: each random stream has a name, so adding a stream changes no other."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive(seed: int, stream: str) -> int:
    """A 63-bit seed for the named stream of a run."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{stream}".encode()).digest()[:8], "big") >> 1


def generator(seed: int, stream: str) -> torch.Generator:
    """A CPU generator for the named stream: the same numbers on every device."""
    return torch.Generator().manual_seed(derive(seed, stream))


@contextmanager
def seeded(seed: int, stream: str) -> Iterator[None]:
    """In the block torch's global generator is the named stream; afterwards its state is restored."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, stream))
        yield
