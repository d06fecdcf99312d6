"""Memory of the row stream on the CPU, in 8 bits: it must not grow with the picture's height.

    python benchmarks/stream_cpu.py [--quick] [--rounds 5] [--json results.json]

Every run is a process of its own; the median of the rounds counts. The figures go to
benchmarks/results/stream-cpu.json (--quick: -quick.json). A limit that does not hold is named, and
the program ends with 1; the small pictures of --quick say nothing about the limits. `cpu.py`
compares with other engines. Needs scikit-image.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from cpu import photograph, run_once

from realesrgan_vk.models import find_model

RESULTS = Path(__file__).parent / "results"
HEIGHT_LIMIT = 1.15  # peak memory of a high picture over a low one's, the pictures taken off
PEAK_LIMIT = 900e6  # bytes of an x4plus run in all, at 512x256
THREADS = 2


def measure(name: str, width: int, height: int, rounds: int = 1) -> dict[str, float]:
    """Median seconds and peak bytes of a network on a picture, and the bytes of both pictures."""
    model = find_model(name)
    pixels = (photograph(width, height) * 255 + 0.5).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "picture.npy", pixels)
        runs: list[dict[str, Any]] = [
            run_once("ours", model.param, Path(folder), THREADS) for _ in range(rounds)
        ]
    found = {key: statistics.median(run[key] for run in runs) for key in ("seconds", "peak_bytes")}
    print(f"{name} {width}x{height}: {found['seconds']:.2f} s, {found['peak_bytes'] / 1e6:.0f} MB")
    return {**found, "picture_bytes": pixels.nbytes * (1 + model.scale**2)}


def broken_limits(x4plus: dict[str, float], own: dict[int, float]) -> list[str]:
    """What does not hold, in words.

    Args:
        x4plus: Figures of x4plus at 512x256.
        own: Peak bytes without the picture, by height.
    """
    broken = []
    low, high = (own[height] for height in sorted(own))
    if high > HEIGHT_LIMIT * low:
        broken.append(
            f"peak memory grows with the height: {high / 1e6:.0f} MB at {max(own)} rows, "
            f"{low / 1e6:.0f} MB at {min(own)}, a ratio of {high / low:.3f} (limit {HEIGHT_LIMIT})"
        )
    if x4plus["peak_bytes"] > PEAK_LIMIT:
        broken.append(
            f"x4plus peaks at {x4plus['peak_bytes'] / 1e6:.0f} MB (limit {PEAK_LIMIT / 1e6:.0f})"
        )
    return broken


def main() -> int:
    """Measure and write the figures; 1 when a limit does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="small pictures, for a busy machine")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()
    part = 2 if options.quick else 1
    report: dict[str, Any] = {"threads": THREADS}
    for name, width, height in (
        ("realesrgan-x4plus", 512 // part, 256 // part),
        ("realesr-animevideov3", 512 // part, 512 // part),
    ):
        report[f"{name} {width}x{height}"] = measure(name, width, height, options.rounds)
    own = {}
    for height in (32, 128) if options.quick else (128, 1024):
        run = measure("realesrgan-x4plus", 512, height)
        own[height] = run["peak_bytes"] - run["picture_bytes"]
    report["peak less the picture"] = own
    rows = 20000 // part**3
    report[f"animevideov3 300x{rows}"] = measure("realesr-animevideov3", 300, rows)
    broken = []
    if not options.quick:
        broken = broken_limits(report["realesrgan-x4plus 512x256"], own)
    report["broken limits"] = broken
    path = options.json or RESULTS / f"stream-cpu{'-quick' if options.quick else ''}.json"
    path.write_text(json.dumps(report, indent=2) + "\n")
    for line in broken:
        print(f"LIMIT BROKEN: {line}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
