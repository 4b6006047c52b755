"""When a training saves its state within an epoch: now and then, and at once if a signal asks it to end."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)  # Ctrl-C; kill, Slurm at the time limit or when it preempts
SAVE_EVERY = 300.0  # s; a save takes some 20 ms


class Pause:
    """Notes signals, and when the state was last saved."""

    def __init__(self):
        self.asked: int | None = None
        self.saved = time.monotonic()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """In the block, a signal does not end the process; Ctrl-C twice does."""
        before = {number: signal.signal(number, self.heard) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def heard(self, number: int, frame: object) -> None:
        if number == self.asked == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = number

    def due(self) -> bool:
        """Whether the state should be saved now."""
        return self.asked is not None or time.monotonic() - self.saved >= SAVE_EVERY

    def taken(self, name: str, where: str) -> None:
        """The state was saved; raises KeyboardInterrupt if a signal asked for the end."""
        self.saved = time.monotonic()
        if self.asked is not None:
            with suppress(OSError):  # the signal may have ended who reads the output
                print(f"{name}: {signal.Signals(self.asked).name}: saved {where}; the next call goes on", flush=True)
            raise KeyboardInterrupt
