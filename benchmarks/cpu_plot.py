"""Our engine's time and memory on the processor against picture height and threads, as a plot.

    python benchmarks/cpu_plot.py [--model realesrgan-x4plus-anime] [--rounds 5]
        [--png docs/images/cpu-cost.png] [--json benchmarks/results/cpu-cost.json]

Every run is a process of its own; heights and thread counts take turns, the median of the rounds
counts. Memory is the process' peak less the picture and the result, which any engine needs. Ends
with 1 where time is not linear in the pixels (10 % off the line through the origin) or memory grows
with the height (by more than 5 %). Needs scikit-image and matplotlib.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from cpu import machine, photograph, run_once

from realesrgan_vk.models import find_model

WIDTH = 512
HEIGHTS = (128, 256, 512, 1024)
LINEAR_WITHIN = 0.10
MEMORY_WITHIN = 0.05


def own_bytes(run: dict[str, Any], height: int, scale: int) -> float:
    """Peak memory without the picture and its result, both float32."""
    picture = WIDTH * height * 3 * 4
    return float(run["peak_bytes"]) - picture * (1 + scale**2)


def measure(model: str, rounds: int, most_threads: int) -> dict[str, Any]:
    """Medians by height (all threads) and by threads (the second lowest height)."""
    param = find_model(model).param
    scale = find_model(model).scale
    cases = [(height, most_threads) for height in HEIGHTS]
    cases += [(HEIGHTS[1], threads) for threads in range(1, most_threads)]
    runs: dict[tuple[int, int], list[dict[str, Any]]] = {case: [] for case in cases}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for turn in range(rounds):
            for height, threads in cases:
                np.save(folder / "picture.npy", photograph(WIDTH, height))
                runs[height, threads].append(run_once("ours", param, folder, threads))
            print(f"round {turn + 1} of {rounds}", file=sys.stderr)

    def seconds(case: tuple[int, int]) -> float:
        return float(statistics.median(run["seconds"] for run in runs[case]))

    by_height = [
        {
            "height": height,
            "seconds": seconds((height, most_threads)),
            "own_bytes": statistics.median(
                own_bytes(run, height, scale) for run in runs[height, most_threads]
            ),
        }
        for height in HEIGHTS
    ]
    by_threads = [
        {"threads": threads, "seconds": seconds((HEIGHTS[1], threads))}
        for threads in range(1, most_threads + 1)
    ]
    return {"width": WIDTH, "by_height": by_height, "by_threads": by_threads}


def faults(found: dict[str, Any]) -> list[str]:
    """What does not hold, in words."""
    points = found["by_height"]
    rows = sum(point["height"] for point in points)
    each = sum(point["seconds"] for point in points) / rows  # seconds a row
    wrong = [
        f"{point['height']} rows take {point['seconds']:.2f} s, {each * point['height']:.2f} on "
        "the line"
        for point in points
        if abs(point["seconds"] / (each * point["height"]) - 1) > LINEAR_WITHIN
    ]
    memory = [point["own_bytes"] for point in points]
    if max(memory) > (1 + MEMORY_WITHIN) * min(memory):
        wrong.append(f"memory is {min(memory) / 1e6:.0f} to {max(memory) / 1e6:.0f} MB")
    return wrong


def plot(found: dict[str, Any], model: str, path: Path) -> None:
    """Three panels: time and memory by height, time by threads."""
    import matplotlib as mpl  # noqa: PLC0415 - needed by the plot alone

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, (time, memory, threads) = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    heights = [point["height"] for point in found["by_height"]]
    time.plot(heights, [point["seconds"] for point in found["by_height"]], "o-")
    time.set(title="time", xlabel=f"rows of {WIDTH} pixels", ylabel="seconds")
    memory.plot(heights, [point["own_bytes"] / 1e6 for point in found["by_height"]], "o-")
    memory.set(title="memory without the picture", xlabel=f"rows of {WIDTH} pixels", ylabel="MB")
    counts = [point["threads"] for point in found["by_threads"]]
    threads.bar(counts, [point["seconds"] for point in found["by_threads"]], width=0.5)
    threads.set(title=f"{HEIGHTS[1]} rows", xlabel="threads", ylabel="seconds", xticks=counts)
    for axes in (time, memory, threads):
        axes.set_ylim(0, 1.1 * axes.dataLim.y1)
    figure.suptitle(f"{model}, {found['machine']}, {found['threads']} threads")
    figure.savefig(path, dpi=90)


def main() -> int:
    """Measure, write and plot; 1 when the cost is not what was promised."""
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="realesrgan-x4plus-anime")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, default=here / "results" / "cpu-cost.json")
    parser.add_argument(
        "--png", type=Path, default=here.parent / "docs" / "images" / "cpu-cost.png"
    )
    given = parser.parse_args()
    found = measure(given.model, given.rounds, given.threads)
    found = {"machine": machine(), "model": given.model, "threads": given.threads, **found}
    given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="ascii")
    plot(found, given.model, given.png)
    wrong = faults(found)
    for line in wrong:
        print(f"NOT AS PROMISED: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
