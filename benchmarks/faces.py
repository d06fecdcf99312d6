"""Restoring one face with GFPGAN's network on the CPU: time and memory, ours and stock ncnn's.

python benchmarks/faces.py [--threads N] [--rounds N]. Weights of the official size, random values.
Each round runs both, each in a process of its own, one after the other: a process loads the
network, restores a face, and is timed for a second one. Stock ncnn is PyPI's, in 32 bits, on the
same files. Needs Linux, and the training package (PyTorch), which makes the checkpoint.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ENGINES = ("realesrgan-vk", "stock ncnn")
Figures = dict[str, float]
Floats = NDArray[np.float32]


def ours(param: Path, threads: int) -> Callable[[Floats], Floats]:
    """Load the restorer that `upscale --faces` uses."""
    from realesrgan_vk.faces.restore import Restorer  # noqa: PLC0415 - only where it is measured

    return Restorer(str(param), device=-1, fp16=False, threads=threads)


def stock(param: Path, threads: int) -> Callable[[Floats], Floats]:
    """Load PyPI's ncnn."""
    import ncnn  # noqa: PLC0415 - only where it is measured

    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.load_param(str(param))
    net.load_model(str(param.with_suffix(".bin")))

    def restored(face: Floats) -> Floats:
        planes = np.ascontiguousarray(face.transpose(2, 0, 1))  # ncnn.Mat keeps no reference to it
        with net.create_extractor() as extractor:
            extractor.input("data", ncnn.Mat(planes).clone())
            _, result = extractor.extract(net.output_names()[0])
            planes = np.array(result, np.float32)
        return planes.transpose(1, 2, 0).clip(0, 1)

    return restored


def measure(engine: str, param: Path, threads: int) -> None:
    """Restore two faces; print the second one's seconds, the most memory, and save the result."""
    restore = (ours if engine == ENGINES[0] else stock)(param, threads)
    face = np.random.default_rng(0).random((512, 512, 3), dtype=np.float32)
    restore(face)
    begin = time.perf_counter(), time.process_time()
    result = restore(face)
    wall, processor = time.perf_counter() - begin[0], time.process_time() - begin[1]
    np.save(param.with_name(f"{engine}.npy"), result)
    print(json.dumps({"wall": wall, "processor": processor, "peak": most_memory()}))


def most_memory() -> float:
    """The most memory of this process in megabytes.

    Linux's `getrusage` has the parent's where that is more.
    """
    status = Path("/proc/self/status").read_text("ascii")
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak) / 1024


def in_own_process(engine: str, param: Path, threads: int) -> Figures:
    """Run `measure` in a process of its own."""
    words = [sys.executable, __file__, "--measure", engine, str(param), "--threads", str(threads)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def make_network(folder: Path) -> Path:
    """Write a network of the official size and random values; return its `.param` file."""
    import torch  # noqa: PLC0415 - not in what is measured

    from realesrgan_train.networks import GFPGANv1Clean  # noqa: PLC0415 - not in what is measured
    from realesrgan_vk.models.add import add_models  # noqa: PLC0415 - not in what is measured

    torch.manual_seed(0)
    checkpoint = folder / "faces.pth"
    torch.save({"params_ema": GFPGANv1Clean().state_dict()}, checkpoint)
    add_models(checkpoint, folder, name="faces")
    return folder / "faces.param"


def main() -> None:
    """Print medians of seconds of wall and processor time, and the most megabytes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", nargs=2, metavar=("ENGINE", "PARAM"), help="used by itself")
    asked = parser.parse_args()
    if asked.measure:
        measure(asked.measure[0], Path(asked.measure[1]), asked.threads)
        return
    rounds: dict[str, list[Figures]] = {engine: [] for engine in ENGINES}
    with tempfile.TemporaryDirectory() as folder:
        param = make_network(Path(folder))
        for _ in range(asked.rounds):
            for engine in ENGINES:
                rounds[engine].append(in_own_process(engine, param, asked.threads))
        results = [np.load(param.with_name(f"{engine}.npy")) for engine in ENGINES]
    print(f"{asked.threads} threads, a face, median of {asked.rounds}:")
    for engine, figures in rounds.items():
        wall, processor = (
            statistics.median(each[key] for each in figures) for key in ("wall", "processor")
        )
        peak = max(each["peak"] for each in figures)
        print(f"{engine:14} {wall:6.2f} s  {processor:6.2f} s of processor time  {peak:5.0f} MB")
    print(f"largest difference: {np.abs(results[0] - results[1]).max():.2g}")


if __name__ == "__main__":
    main()
