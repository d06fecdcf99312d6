"""Time of restoring one face with GFPGAN's network on the CPU; weights of its size, random values.

python benchmarks/faces.py [--threads N] [--rounds N]. Needs the training package (PyTorch), which
makes the checkpoint.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from realesrgan_train.networks import GFPGANv1Clean
from realesrgan_vk.faces.restore import Restorer
from realesrgan_vk.models.add import add_models


def main() -> None:
    """Print seconds of wall and processor time; the first round, which loads, is left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder, "faces.pth")
        torch.save({"params_ema": GFPGANv1Clean().state_dict()}, checkpoint)
        add_models(checkpoint, Path(folder), name="faces")
        restorer = Restorer(
            str(Path(folder, "faces.param")), device=-1, fp16=False, threads=asked.threads
        )
        face = np.random.default_rng(0).random((512, 512, 3), dtype=np.float32)
        restorer(face)
        wall, processor = [], []
        for _ in range(asked.rounds):
            begin = time.perf_counter(), time.process_time()
            restorer(face)
            wall.append(time.perf_counter() - begin[0])
            processor.append(time.process_time() - begin[1])
    print(f"{asked.threads} threads, median of {asked.rounds}: {statistics.median(wall):.2f} s")
    print(f"processor time: {statistics.median(processor):.2f} s")


if __name__ == "__main__":
    main()
