"""Train a network, export it, use it by name, and compare with PyTorch.

Usage: train_export_upscale.py FOLDER [--steps N]. The page `docs/tutorial/train-export-upscale.md`
explains the commands; this script runs the same ones. The pictures are CC0 or public
domain photographs of scikit-image's wheel.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import skimage
import torch
from PIL import Image

from realesrgan_train.weights import load_network

TRAINED_ON = ("astronaut.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "ihc.png")
UPSCALED = "chelsea.png"
CROP = (150, 60, 300, 180)
"""Left, top, right, bottom of the picture that is upscaled."""


def main() -> None:
    """Run all steps in a folder; exit code 1 when the pictures differ by more than one step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="made; its models folder gets the network")
    parser.add_argument("--steps", type=int, default=80, help="80 take about a minute")
    given = parser.parse_args()
    folder: Path = given.folder.resolve()
    photographs, small = write_pictures(folder)

    # Installed networks go to the user's data folder; an example should leave none there.
    os.environ["XDG_DATA_HOME"] = str(folder / "data")
    weights = train(photographs, folder / "runs", given.steps)
    run("realesrgan-export", weights, "--output", folder / "models", "--name", "mine")
    run("realesrgan-vk", "models", "add", folder / "models")
    large = folder / "large.png"
    run("realesrgan-vk", "upscale", small, "--output", large, "-n", "mine", "--device", "cpu")

    steps, equal = difference(weights, small, large)
    print(f"against PyTorch: at most {steps} of 255 apart, {equal:.3%} of the samples equal")
    if steps > 1 or equal < 0.999:
        sys.exit("the exported network does not make PyTorch's picture")
    print(f"the picture: {large}")


def run(program: str, *arguments: object) -> None:
    """Run one of the project's programs of this Python; stop when it fails."""
    words = [str(argument) for argument in arguments]
    print("$", program, *words, flush=True)
    done = subprocess.run([str(Path(sys.executable).with_name(program)), *words], check=False)
    if done.returncode:
        sys.exit(f"{program} failed with exit code {done.returncode}")


def write_pictures(folder: Path) -> tuple[Path, Path]:
    """Write the photographs to train on and the small one to upscale.

    Returns:
        The folder of photographs, and the small picture.
    """
    data = Path(skimage.__file__).parent / "data"
    photographs = folder / "photographs"
    photographs.mkdir(parents=True, exist_ok=True)
    for name in TRAINED_ON:
        with Image.open(data / name) as image:
            image.convert("RGB").save(photographs / f"{Path(name).stem}.png")
    small = folder / "small.png"
    with Image.open(data / UPSCALED) as image:
        image.convert("RGB").crop(CROP).save(small)
    return photographs, small


def train(photographs: Path, output: Path, steps: int) -> Path:
    """Train the `tiny` preset's first stage; started again, the same command continues.

    Returns:
        The weights.
    """
    run(
        "realesrgan-train",
        "run",
        "tiny",
        f"data.pictures=[{{kind: folder, path: {photographs}}}]",
        f"output={output}",
        "name=mine",
        f"stages.net.steps={steps}",
        f"stages.net.optimizer.warmup={min(20, steps // 2)}",
        "stages.gan=null",
    )
    return output / "mine" / "weights" / "net.safetensors"


def difference(weights: Path, small: Path, large: Path) -> tuple[int, float]:
    """Compare a picture with PyTorch's whole-picture result, of the weights as they are stored.

    Returns:
        The largest difference in steps of 1/255, and the share of equal samples.
    """
    network = load_network(weights).network
    with torch.no_grad():  # what --fp16, the default, stores of a convolution
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.copy_(module.weight.half().float())
        with Image.open(small) as image:
            batch = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None] / 255
        result = network(batch)[0].permute(1, 2, 0).clamp(0, 1).numpy()
    expected = np.floor(result * 255 + 0.5).astype(int)
    with Image.open(large) as image:
        steps = np.abs(np.array(image.convert("RGB")).astype(int) - expected)
    return int(steps.max()), float((steps == 0).mean())


if __name__ == "__main__":
    main()
