"""Race the batched degradation against a straightforward one, sample by sample, on the CPU.

    python benchmarks/degradation_speed.py [--batch 16] [--size 256] [--rounds 10]

Both do the same draws of the recipe on the same pictures, in turn, so that a busy machine slows
both. CPU time tells more than the clock where other programs run. Exits with 1 if the published
recipe (the paper preset) is slower in batches by the median round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # a busy machine: do not spin for a thread

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks import straightforward
from realesrgan_train.degradations import DegradationConfig, Degrader, DrawnParameters, draw
from realesrgan_train.degradations.config import PresetName

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
PRESETS: tuple[PresetName, ...] = ("paper", "per-sample")


def pictures(batch: int, size: int) -> torch.Tensor:
    """Crops of scikit-image's photographs, [B, 3, size, size], 0..1."""
    from skimage import data  # noqa: PLC0415 - only the benchmark and the tests have it

    photographs = [getattr(data, name)() for name in PHOTOGRAPHS]
    rng = np.random.default_rng(0)
    crops = []
    for number in range(batch):
        photograph = photographs[number % len(photographs)]
        top = rng.integers(photograph.shape[0] - size + 1)
        left = rng.integers(photograph.shape[1] - size + 1)
        crops.append(photograph[top : top + size, left : left + size])
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float().contiguous() / 255


@dataclass
class Timer:
    """Wall and CPU milliseconds of each round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def run(self, work: Callable[[], object]) -> None:
        """Time one round."""
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        self.wall.append((time.perf_counter() - wall) * 1e3)
        self.cpu.append((time.process_time() - cpu) * 1e3)

    def __str__(self) -> str:
        wall, cpu = statistics.median(self.wall), statistics.median(self.cpu)
        return f"{wall:5.0f} ms (best {min(self.wall):4.0f}, CPU {cpu:5.0f})"


def race(preset: PresetName, batch: int, size: int, rounds: int) -> float:
    """Print the times of one preset; returns how many times faster the batched way is."""
    config = DegradationConfig.preset(preset).model_copy(update={"patch_size": None})
    degrader, gt = Degrader(config, 4), pictures(batch, size)
    arrays = [np.ascontiguousarray(picture.permute(1, 2, 0).numpy()) for picture in gt]
    rng = np.random.default_rng(0)
    batched, straight = Timer(), Timer()
    for number in range(-1, rounds):
        if number == 0:  # the round before warmed both up
            batched, straight = Timer(), Timer()
        drawn = draw(config, batch, torch.Generator().manual_seed(number + 1))

        def one_by_one(drawn: DrawnParameters = drawn) -> None:
            for i, array in enumerate(arrays):
                straightforward.degrade(array, drawn, i, 4, rng)

        batched.run(partial(degrader.apply_drawn, gt, drawn))
        straight.run(one_by_one)
    ratio = statistics.median(s / b for b, s in zip(batched.wall, straight.wall, strict=True))
    used = sum(straight.cpu) / sum(batched.cpu)
    print(f"{preset:>10}: batched {batched}, straightforward {straight}")
    print(f"{'':>10}  {ratio:.2f} times faster by the clock, {used:.2f} times by CPU time")
    return ratio


def main() -> int:
    """Race both presets."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(2)
    print(f"batch {options.batch}, {options.size} px, x4, {torch.get_num_threads()} threads")
    ratios = {name: race(name, options.batch, options.size, options.rounds) for name in PRESETS}
    return 0 if ratios["paper"] >= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
