"""Race the batched degradation against a straightforward one, sample by sample, on the CPU.

    python benchmarks/degradation_speed.py [--batch 16] [--size 256] [--rounds 10] [--out FILE.json]

Both do the same draws of the recipe on the same pictures, in turn, so that a busy machine slows
both. CPU time tells more than the clock where other programs run. Exits with 1 if either preset is
slower in batches by the median round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # a busy machine: do not spin for a thread

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks import straightforward
from realesrgan_train.config.degradation import DegradationConfig, PresetName
from realesrgan_train.degradations.draw import DrawnParameters, draw
from realesrgan_train.degradations.recipe import Degrader

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


def race(preset: PresetName, batch: int, size: int, rounds: int) -> dict[str, Any]:
    """Race one preset and print its times; `faster` is of the median round, by the clock."""
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
    return {
        "preset": preset,
        "faster": ratio,
        "faster_by_cpu_time": used,
        "batched_ms": batched.wall,
        "straightforward_ms": straight.wall,
        "batched_cpu_ms": batched.cpu,
        "straightforward_cpu_ms": straight.cpu,
    }


def _report(options: argparse.Namespace, races: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "machine": processor(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "batch": options.batch,
        "size": options.size,
        "scale": 4,
        "races": races,
    }


def processor() -> str:
    """The processor's name where Linux tells it."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main() -> int:
    """Race both presets."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", type=Path, help="write the result as JSON")
    options = parser.parse_args()
    torch.set_num_threads(2)
    print(f"batch {options.batch}, {options.size} px, x4, {torch.get_num_threads()} threads")
    races = [race(name, options.batch, options.size, options.rounds) for name in PRESETS]
    if options.out:
        text = json.dumps(_report(options, races), indent=1) + "\n"
        options.out.write_text(text, encoding="utf-8")
    slower = [one["preset"] for one in races if one["faster"] < 1]
    print(f"SLOWER in batches: {', '.join(slower)}" if slower else "in batches no slower")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
