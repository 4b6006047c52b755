"""Assign GPUs to the processes of a machine, by a lock file for each GPU and slot.

A lock is held until its process ends, however it ends. Files: cnntention-gpu-<name>-slot<i>.lock, one for each process
on the GPU, and cnntention-gpu-<name>.lock, the GPU's door. A process holds the door briefly while it takes a slot. One
that needs the whole GPU keeps it until it ends, so that no other enters while it waits for the slots to become free.
"""

import contextlib
import fcntl
import os
import stat
import sys
import tempfile
import time
from pathlib import Path

from cnntention.errors import UserError

FIRST_WORD, NEXT_WORD = 1.0, 600.0  # s of waiting before the first message, and between messages

_held: list[int] = []  # file descriptors of this process's locks, never closed


def count() -> int:
    """Processes per GPU: $CNNTENTION_GPU_SLOTS; 1 in a Slurm job, since Slurm assigns the GPUs."""
    said = os.environ.get("CNNTENTION_GPU_SLOTS", "1")
    if not (said.isascii() and said.isdecimal() and int(said) >= 1):
        raise UserError(f"CNNTENTION_GPU_SLOTS is {said!r}; give a whole number from 1 on, the processes on one GPU.")
    return 1 if "SLURM_JOB_ID" in os.environ else int(said)


def mps() -> bool:
    """Whether CUDA's Multi-Process Service runs here: whether its control socket exists."""
    return Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"), "control").exists()


def acquire(gpus: list[str], folder: Path | None = None, pause: float = 1.0, whole: bool = False) -> int:
    """Wait for a free slot and hold it; returns the index in `gpus`, of the GPU with the most free slots.

    whole: hold all slots of a GPU, for timing. In a Slurm job: the first visible GPU, without locks.
    """
    slots = count()
    if "SLURM_JOB_ID" in os.environ:
        return 0
    if slots > 1 and not whole and not mps():
        say(
            f"CNNTENTION_GPU_SLOTS is {slots}, but CUDA's MPS does not run here: processes on one GPU take turns and "
            "gain little; start it with `nvidia-cuda-mps-control -d`."
        )
    known = [Gpu(name, folder or Path(tempfile.gettempdir()), slots) for name in gpus]
    waiting = Waiting(f"waiting for a GPU{' of its own' if whole else ''}: all slots of {', '.join(gpus)} are taken")
    while not (mine := first_open(known, whole)):
        waiting.sleep(pause)
    while whole and not mine.emptied():
        waiting.sleep(pause)
    return known.index(mine)


def first_open(known: list["Gpu"], whole: bool) -> "Gpu | None":
    """The GPU with the most free slots of which this process now holds a slot, or the door if `whole`; None if none."""
    by_load = sorted(known, key=Gpu.busy)
    return next((gpu for gpu in by_load if (gpu.shut() if whole else gpu.enter())), None)


class Gpu:
    """The lock files of one GPU."""

    def __init__(self, name: str, folder: Path, slots: int):
        self.folder, self.stem = folder, f"cnntention-gpu-{name.replace('/', '_')}"
        self.door = folder / f"{self.stem}.lock"
        self.slots = [folder / f"{self.stem}-slot{i}.lock" for i in range(slots)]
        self.mine: set[Path] = set()

    def hold(self, path: Path) -> bool:
        """Lock a file for this process; False if another process holds it."""
        if path not in self.mine and (descriptor := lock(path)) is not None:
            _held.append(descriptor)
            self.mine.add(path)
        return path in self.mine

    def busy(self) -> int:
        """Number of slots in use."""
        return sum(not free(path) for path in self.slots)

    def enter(self) -> bool:
        """Hold a slot, if the door is free and a slot is."""
        door = lock(self.door)
        if door is None:
            return False
        try:
            return any(self.hold(path) for path in self.slots)
        finally:
            os.close(door)

    def shut(self) -> bool:
        """Hold the door, so that no other process enters."""
        return self.hold(self.door)

    def emptied(self) -> bool:
        """Lock the free slots, also those of processes with a larger slot count; whether all are held now."""
        known = {*self.slots, *self.folder.glob(f"{self.stem}-slot*.lock")}
        return all(self.hold(path) for path in sorted(known))


class Waiting:
    """Prints what a process waits for: soon, then rarely."""

    def __init__(self, what: str):
        self.what, self.next = what, time.monotonic() + FIRST_WORD

    def sleep(self, pause: float) -> None:
        if time.monotonic() >= self.next:
            say(self.what)
            self.next = time.monotonic() + NEXT_WORD
        time.sleep(pause)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# --- lock files -------------------------------------------------------------------------------------------------


def free(path: Path) -> bool:
    """Whether no process holds the lock."""
    descriptor = lock(path, fcntl.LOCK_SH)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is not None


def lock(path: Path, how: int = fcntl.LOCK_EX) -> int | None:
    """A file descriptor that holds the lock; None if another process holds it."""
    descriptor = opened(path)
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        os.close(descriptor)
        raise UserError(
            f"{path}: cannot be locked ({error.strerror}); set TMPDIR to a folder on a local disk."
        ) from None
    return descriptor


def opened(path: Path) -> int:
    """A descriptor of the lock file, which another user may have created; UserError if it is no regular file."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # locking needs no write permission; opening a FIFO would block
    try:
        # O_CREAT only if there is none: in /tmp Linux refuses it for another user's file (fs.protected_regular)
        descriptor = open_old(path, flags)
        if descriptor is None:
            descriptor = open_new(path, flags)
    except OSError as error:
        raise UserError(f"{path}: cannot be opened as a lock file ({error.strerror}); remove it.") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError(f"{path}: is no plain file, so it cannot be a lock file; remove it.")
    return descriptor


def open_old(path: Path, flags: int) -> int | None:
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, flags)
    return None


def open_new(path: Path, flags: int) -> int:
    """Create the file, readable and writable for all users; open it if another process was faster."""
    umask = os.umask(0)
    try:
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return os.open(path, flags)
    finally:
        os.umask(umask)
