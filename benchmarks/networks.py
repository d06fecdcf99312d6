"""One network on the CPU: the row stream against stock ncnn, and memory over the height.

    python benchmarks/networks.py [--network span] [--rounds 5] [--threads 2] [--json results.json]

A network of its usual size with random weights is exported; time does not depend on them. Engines
take turns, every run is a process of its own, and the median of the rounds counts. A limit that
does not hold is named, and the program ends with 1. Needs scikit-image, torch, ncnn and
realesrgan-export; networks but SPAN need spandrel, too.
"""

import argparse
import json
import statistics
import sys
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from cpu import machine, photograph, run_once
from torch import nn

from realesrgan_export.convert import convert
from realesrgan_export.fold import folded
from realesrgan_train.networks import SPAN

SIDE = 512
HEIGHTS = (512, 2048)
TIME_LIMITS = {"span": 0.5, "mosr": 1.0, "plksr": 1.0, "upconv7": 0.6}  # of ncnn's processor time
HEIGHT_LIMIT = 1.15  # peak memory of the high picture over the low one's, the pictures taken off
SCALE = 4
UPCONV_SCALE = 2


def spandrels(family: str, **sizes: int) -> nn.Module:
    """Return a network of spandrel's; torchvision, which it imports for others, may be missing."""
    if "torchvision" not in sys.modules and find_spec("torchvision") is None:
        for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
            sys.modules[name] = ModuleType(name)
        for name in ("InterpolationMode", "rotate", "normalize"):
            setattr(sys.modules["torchvision.transforms.functional"], name, object)
    kind = getattr(import_module(f"spandrel.architectures.{family}"), family)
    network: nn.Module = kind(**sizes).eval()
    return network


def upconv7() -> nn.Module:
    """Return waifu2x' network of this name. Stock ncnn gets the picture without the border."""
    layers: list[nn.Module] = []
    channels = 3
    for features in (16, 32, 64, 128, 128, 256):
        layers += [nn.Conv2d(channels, features, 3), nn.LeakyReLU(0.1)]
        channels = features
    return nn.Sequential(*layers, nn.ConvTranspose2d(channels, 3, 4, 2, 3)).eval()


def random_network(architecture: str, folder: Path) -> Path:
    """Export one; the path of its `.param`."""
    torch.manual_seed(0)
    network: nn.Module = SPAN(upscale=SCALE)
    if architecture == "mosr":
        network = spandrels("MoSR", upscale=SCALE)
    elif architecture == "plksr":
        network = spandrels("PLKSR", upscaling_factor=SCALE)
    elif architecture == "upconv7":
        network = upconv7()
    param, weights = convert(folded(network), 3, folder)
    weights.rename(folder / "net.bin")  # engines look for them beside the graph, under its name
    return param.rename(folder / "net.param")


def engine_times(
    param: Path, folder: Path, side: int, rounds: int, threads: int
) -> dict[str, float]:
    """Median seconds of processor time, by engine."""
    np.save(folder / "picture.npy", photograph(side, side))
    seconds: dict[str, list[float]] = {"ours": [], "ncnn": []}
    for _ in range(rounds):
        for engine, found in seconds.items():
            found.append(run_once(engine, param, folder, threads)["cpu_seconds"])
            print(f"{engine}: {found[-1]:.2f} s of processor time")
    return {engine: statistics.median(found) for engine, found in seconds.items()}


def own_memory(param: Path, folder: Path, height: int, threads: int, scale: int) -> int:
    """Peak bytes of a run in 8 bits, less both pictures."""
    pixels = (photograph(SIDE, height) * 255 + 0.5).astype(np.uint8)
    np.save(folder / "picture.npy", pixels)
    peak: int = run_once("ours", param, folder, threads)["peak_bytes"]
    return peak - pixels.nbytes * (1 + scale**2)


def main() -> int:
    """Measure; 1 when a limit does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--network", choices=list(TIME_LIMITS), default="span")
    parser.add_argument("--side", type=int, default=SIDE, help="of the timed picture")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        param = random_network(options.network, folder)
        times = engine_times(param, folder, options.side, options.rounds, options.threads)
        scale = UPCONV_SCALE if options.network == "upconv7" else SCALE
        memory = {
            height: own_memory(param, folder, height, options.threads, scale) for height in HEIGHTS
        }
    ratio = times["ours"] / times["ncnn"]
    growth = memory[HEIGHTS[1]] / memory[HEIGHTS[0]]
    print(f"ours / ncnn at {options.side}x{options.side}: {ratio:.2f} of the processor time")
    print(f"memory less the pictures: {[round(own / 1e6) for own in memory.values()]} MB")
    report: dict[str, Any] = {
        "network": options.network,
        "side": options.side,
        "machine": machine(),
        "threads": options.threads,
        "rounds": options.rounds,
        "cpu_seconds": times,
        "ours / ncnn": ratio,
        "peak less the pictures, by height": memory,
    }
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    broken = []
    limit = TIME_LIMITS[options.network]
    if ratio > limit:
        broken.append(f"{ratio:.2f} of ncnn's processor time (limit {limit})")
    if growth > HEIGHT_LIMIT:
        broken.append(f"{growth:.2f} times the memory at {HEIGHTS[1]} rows (limit {HEIGHT_LIMIT})")
    for line in broken:
        print(f"LIMIT BROKEN: {line}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
