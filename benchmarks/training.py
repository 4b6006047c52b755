"""Training throughput: this pipeline against the plain equations fed by PIL transforms and a DataLoader.

    python benchmarks/training.py [--threads 1] [--steps 4] [--rounds 5] [--models resnet20 cbam ...]

All candidates take turns in one process, round after round; a row gives the best round of each, in images per
second, and its ratio to the naive pipeline in fp32. Images are random, 32x32x3, batch 128; a step is forward, backward
and SGD. The naive pipeline is what a first implementation does: q k^T as a matrix that is stored, softmax, product;
one PIL image at a time through torchvision's transforms.
"""

import argparse
import time

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from cnntention.config import Augmentation, Model, Optimizer, Recipe, Schedule, load
from cnntention.data.augment import Batches
from cnntention.models.registry import attention_modules, build
from cnntention.provenance import cpu_name
from cnntention.training.loop import train_step
from cnntention.training.recipe import make_optimizer

BATCH = 128
MEAN, SD = [0.49, 0.48, 0.45], [0.25, 0.24, 0.26]


class NaiveAttention(nn.Module):
    """Dot-product attention by its equations, with the weights of one of the pipeline's modules."""

    def __init__(self, fast: nn.Module):
        super().__init__()
        self.fast = fast

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        heads = self.fast.heads
        parts = (
            conv(x).reshape(b, heads, c // heads, h * w) for conv in (self.fast.query, self.fast.key, self.fast.value)
        )
        q, k, v = parts
        weights = torch.softmax(q.mT @ k * self.fast.scale, dim=-1)  # (B, heads, HW, HW), stored
        return x + self.fast.gate * self.fast.out((v @ weights.mT).reshape(b, c, h, w))


class PilImages(Dataset):
    """Images one at a time through PIL, as torchvision's tutorials do."""

    def __init__(self, images: np.ndarray, labels: np.ndarray):
        self.images, self.labels = images.transpose(0, 2, 3, 1), labels
        steps = [transforms.RandomHorizontalFlip(), transforms.RandomCrop(32, padding=4)]
        self.transform = transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(MEAN, SD)])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[i])), int(self.labels[i])


class Candidate:
    """One way of training one model; `run()` gives images per second of a round."""

    def __init__(self, config: Model, precision: str, naive: bool, steps: int):
        draws = np.random.default_rng(0)
        images = draws.integers(0, 256, (BATCH * steps, 3, 32, 32), dtype=np.uint8)
        labels = draws.integers(0, 10, BATCH * steps)
        optimizer = Optimizer(name="sgd", lr=0.001)
        self.recipe = Recipe(epochs=1, optimizer=optimizer, schedule=Schedule(name="constant"), precision=precision)
        self.net = build(config, 3, 10)
        self.naive = naive
        if naive:
            for name, module in list(attention_modules(self.net)):
                if hasattr(module, "query"):
                    self.net.attention[name] = NaiveAttention(module)
            self.data = DataLoader(PilImages(images, labels), BATCH, shuffle=True)
        else:
            self.net.to(memory_format=torch.channels_last)
            augment = Augmentation(flip=True, crop_padding=4)
            self.data = Batches(images, labels, MEAN, SD, torch.device("cpu"), augment)
        self.optimizer = make_optimizer(self.net, optimizer)
        self.epoch = 0

    def batches(self):
        self.epoch += 1
        return self.data if self.naive else self.data.shuffled(BATCH, seed=0, epoch=self.epoch)

    def run(self) -> float:
        self.net.train()
        start, seen = time.perf_counter(), 0
        for images, labels in self.batches():
            if self.naive:
                self.optimizer.zero_grad()
                F.cross_entropy(self.net(images), labels).backward()
                self.optimizer.step()
            else:
                train_step(self.net, images, labels, self.optimizer, 0.001, self.recipe)
            seen += len(labels)
        return seen / (time.perf_counter() - start)


def main() -> None:
    models = load(["config.yaml"]).models
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", nargs="+", default=list(models), choices=list(models))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(
        f"{cpu_name()}, {args.threads} thread(s), torch {torch.__version__}, "
        f"best of {args.rounds} rounds of {args.steps} steps"
    )
    print(
        "| model | naive fp32 | pipeline fp32 | ratio | pipeline bf16 | ratio |\n| --- | --: | --: | --: | --: | --: |"
    )
    for name in args.models:
        ways = (("fp32", True), ("fp32", False), ("bf16", False))
        candidates = [Candidate(models[name], precision, naive, args.steps) for precision, naive in ways]
        best = [0.0] * len(candidates)
        for _ in range(args.rounds):
            best = [max(b, candidate.run()) for b, candidate in zip(best, candidates, strict=True)]
        slow, fast, faster = best
        print(
            f"| {name} | {slow:.0f} | {fast:.0f} | {fast / slow:.2f} | {faster:.0f} | {faster / slow:.2f} |", flush=True
        )


if __name__ == "__main__":
    main()
