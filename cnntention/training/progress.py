"""Progress of a training: a bar in a terminal, else a line every half minute."""

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm


PAUSE = 30.0  # s between lines


class Progress:
    """`images`: per epoch; `first`: number of epochs done before this process."""

    def __init__(self, name: str, epochs: int, images: int):
        self.name, self.epochs, self.images = name, epochs, images
        self.first, self.start = 0, time.perf_counter()
        self.said = self.start
        self.live = sys.stderr.isatty()
        self.bar: tqdm | None = None

    def begin(self, first: int) -> None:
        """Training starts, after `first` epochs of an earlier process."""
        self.first, self.start = first, time.perf_counter()
        if first:
            print(f"{self.name}: going on after epoch {first} of {self.epochs}", flush=True)
        if self.live:
            from tqdm import tqdm

            total = self.epochs * self.images
            self.bar = tqdm(total=total, initial=first * self.images, unit="img", unit_scale=True, desc=self.name)

    def step(self, epoch: int, seen: int, loss: float, accuracy: float) -> None:
        """`seen` images of `epoch` are done, with this mean loss and accuracy."""
        if self.bar:
            self.bar.set_postfix(epoch=f"{epoch}/{self.epochs}", loss=f"{loss:.3f}", accuracy=f"{accuracy:.1%}")
            self.bar.update((epoch - 1) * self.images + seen - self.bar.n)

    def epoch(self, row: dict) -> None:
        """An epoch is done; `row` is its row of the history."""
        if self.bar:
            return
        if row["train_loss"] is None:
            print(f"{self.name}: epoch {row['epoch']}: the loss is not finite; the run ends here", flush=True)
            return
        now = time.perf_counter()
        if now - self.said < PAUSE and row["epoch"] < self.epochs:
            return
        self.said = now
        left = (now - self.start) / (row["epoch"] - self.first) * (self.epochs - row["epoch"])
        print(
            f"{self.name}: epoch {row['epoch']}/{self.epochs}  lr {row['lr']:.2e}  "
            f"train loss {row['train_loss']:.3f} accuracy {row['train_accuracy']:.1%}  "
            f"val loss {row['val_loss']:.3f} accuracy {row['val_accuracy']:.1%}  "
            f"{row['images_per_s']:.0f} images/s  {left / 60:.1f} min left",
            flush=True,
        )

    def close(self) -> None:
        """Training has ended."""
        if self.bar:
            self.bar.close()
