"""The row stream on the CPU against the ncnn wheel and OpenVINO: seconds, peak memory, error.

Every run is a process of its own, so that its peak memory is its own; the engines take turns, and
the median counts. Also: peak memory at two heights with the picture's own bytes taken off, and a
picture of 300x20000. The figures go to benchmarks/results/stream-cpu.json (--quick: -quick.json);
a limit that does not hold is named, and the program ends with 1. The small pictures of --quick say
nothing of the limits.

    python benchmarks/stream_cpu.py [--quick] [--rounds 5] [--json results.json]
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk import _core
from realesrgan_vk.models import find_model

Pixels = NDArray[np.uint8]
RESULTS = Path(__file__).parent / "results"
HEIGHT_LIMIT = 1.15  # peak memory of a high picture over a low one's, the pictures taken off
PEAK_LIMIT = 900e6  # bytes of an x4plus run in all, at 512x256
ENGINES = ("stream", "ncnn", "openvino")
THREADS = 2


def photograph(width: int, height: int) -> Pixels:
    """A CC0 photograph of scikit-image's, repeated by mirroring where it is too small."""
    path = Path(skimage.__file__).parent / "data" / "astronaut.png"
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    grow = ((0, max(0, height - pixels.shape[0])), (0, max(0, width - pixels.shape[1])), (0, 0))
    return np.ascontiguousarray(np.pad(pixels, grow, mode="symmetric")[:height, :width])


def run_stream(name: str, image: Pixels) -> tuple[float, Pixels]:
    """Seconds of the run alone, and the result."""
    model = find_model(name)
    upscaler = _core.Upscaler(str(model.param), str(model.bin), threads=THREADS)
    scale = upscaler.network.scale
    output = np.zeros((image.shape[0] * scale, image.shape[1] * scale, 3), np.uint8)
    start = time.perf_counter()
    upscaler.run(image, output)
    return time.perf_counter() - start, output


def run_ncnn(name: str, image: Pixels) -> tuple[float, Pixels]:
    """PyPI's ncnn, the whole picture at once."""
    import ncnn  # noqa: PLC0415 - only the process that measures it loads it

    model = find_model(name)
    net = ncnn.Net()
    net.opt.num_threads = THREADS
    net.opt.use_vulkan_compute = False
    net.load_param(str(model.param))
    net.load_model(str(model.bin))
    start = time.perf_counter()
    planes = np.ascontiguousarray(image.transpose(2, 0, 1).astype(np.float32) / 255)
    source = ncnn.Mat(planes)  # does not own what it shows
    extractor = net.create_extractor()
    extractor.input("data", source)
    _, result = extractor.extract("output")
    upscaled = np.array(result)
    output = (upscaled.transpose(1, 2, 0).clip(0, 1) * 255 + 0.5).astype(np.uint8)
    seconds = time.perf_counter() - start
    del extractor, result
    return seconds, output


def run_openvino(name: str, image: Pixels) -> tuple[float, Pixels]:
    """OpenVINO in fp32, the same weights, on a graph built from the .param file."""
    from openvino_graph import compile_network  # noqa: PLC0415

    model = find_model(name)
    compiled = compile_network(Path(model.param), Path(model.bin), image.shape[:2], THREADS)
    start = time.perf_counter()
    planes = compiled(image.transpose(2, 0, 1)[None].astype(np.float32) / 255)[0][0]
    output = (planes.transpose(1, 2, 0).clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return time.perf_counter() - start, output


def child(engine: str, name: str, width: int, height: int, keep: str) -> None:
    """Run once and print the figures as one line of JSON."""
    image = photograph(width, height)
    before = time.process_time()
    if engine == "stream":
        seconds, output = run_stream(name, image)
    elif engine == "ncnn":
        seconds, output = run_ncnn(name, image)
    else:
        seconds, output = run_openvino(name, image)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if keep:
        np.save(keep, output)
    figures = {
        "seconds": seconds,
        "processor_seconds": time.process_time() - before,
        "peak_bytes": peak,
        "picture_bytes": image.nbytes + output.nbytes,
    }
    print(json.dumps(figures))


def measure(engine: str, name: str, width: int, height: int, keep: str = "") -> dict[str, Any]:
    """One run in a process of its own."""
    command = [sys.executable, __file__, "--child", engine, name, str(width), str(height), keep]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def compare(name: str, width: int, height: int, rounds: int, engines: list[str]) -> dict[str, Any]:
    """All engines in turn, `rounds` times."""
    runs: dict[str, list[dict[str, Any]]] = {engine: [] for engine in engines}
    for _ in range(rounds):
        for engine in engines:
            runs[engine].append(measure(engine, name, width, height))
    return {
        engine: {key: statistics.median(run[key] for run in kept) for key in kept[0]}
        for engine, kept in runs.items()
    }


def table(title: str, results: dict[str, Any]) -> str:
    """Medians as Markdown, times also as a share of the ncnn wheel's."""
    base = results.get("ncnn", next(iter(results.values())))
    lines = [
        f"### {title}",
        "",
        "| engine | s | of ncnn | CPU s | peak MB |",
        "|---|---|---|---|---|",
    ]
    for engine, run in results.items():
        share = run["seconds"] / base["seconds"]
        lines.append(
            f"| {engine} | {run['seconds']:.2f} | {share:.2f} | {run['processor_seconds']:.1f} "
            f"| {run['peak_bytes'] / 1e6:.0f} |"
        )
    return "\n".join([*lines, ""])


def broken_limits(results: dict[str, Any], own: dict[int, int]) -> list[str]:
    """What does not hold, in words.

    Args:
        results: Of x4plus, by engine.
        own: Peak bytes less the picture's, by height.
    """
    broken = []
    low, high = (own[height] for height in sorted(own))
    if high > HEIGHT_LIMIT * low:
        broken.append(
            f"peak memory grows with the height: {high / 1e6:.0f} MB at {max(own)} rows, "
            f"{low / 1e6:.0f} MB at {min(own)}, a ratio of {high / low:.3f} (limit {HEIGHT_LIMIT})"
        )
    stream = results.get("stream")
    if stream is not None and stream["peak_bytes"] > PEAK_LIMIT:
        broken.append(
            f"x4plus peaks at {stream['peak_bytes'] / 1e6:.0f} MB (limit {PEAK_LIMIT / 1e6:.0f})"
        )
    return broken


def main() -> int:
    """Measure, print the tables and write the figures; 1 when a limit does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small pictures, for a busy machine")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES)
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()
    part = 2 if options.quick else 1
    report: dict[str, Any] = {"threads": THREADS}
    cases = [("realesrgan-x4plus", 512, 256), ("realesr-animevideov3", 512, 512)]
    for name, width, height in cases:
        size = (width // part, height // part)
        results = compare(name, *size, options.rounds, options.engines)
        report[f"{name} {size[0]}x{size[1]}"] = results
        print(table(f"{name} {size[0]}x{size[1]}", results), flush=True)
    low, high = (128, 1024) if not options.quick else (32, 128)
    heights = {h: measure("stream", "realesrgan-x4plus", 512, h) for h in (low, high)}
    own = {h: run["peak_bytes"] - run["picture_bytes"] for h, run in heights.items()}
    report["peak less the picture"] = own
    print(
        f"x4plus 512x{low} and 512x{high}: peak less the picture {own[low] / 1e6:.0f} and "
        f"{own[high] / 1e6:.0f} MB, ratio {own[high] / own[low]:.3f}",
        flush=True,
    )
    rows = 20000 // part**3
    high_run = measure("stream", "realesr-animevideov3", 300, rows)
    report[f"animevideov3 300x{rows}"] = high_run
    print(
        f"animevideov3 300x{rows}: {high_run['seconds']:.1f} s, "
        f"{high_run['peak_bytes'] / 1e6:.0f} MB of which the picture "
        f"{high_run['picture_bytes'] / 1e6:.0f} MB"
    )
    x4plus = report[f"{cases[0][0]} {cases[0][1] // part}x{cases[0][2] // part}"]
    broken = [] if options.quick else broken_limits(x4plus, own)
    report["broken limits"] = broken
    path = options.json or RESULTS / f"stream-cpu{'-quick' if options.quick else ''}.json"
    path.write_text(json.dumps(report, indent=2) + "\n")
    for line in broken:
        print(f"LIMIT BROKEN: {line}")
    return 1 if broken else 0


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--child":
        child(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), sys.argv[6])
    else:
        sys.exit(main())
