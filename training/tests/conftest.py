"""Small pictures, and a configuration that trains in a blink."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from realesrgan_train.config import RunConfig, load_config

Overrides = Callable[..., list[str]]

# A shell's background jobs ignore Ctrl-C, and so would the tests of it, and all they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def draw_picture(seed: int, width: int = 96, height: int = 80) -> Image.Image:
    """A picture with smooth areas, edges and grain."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    large = coarse.resize((width, height), Image.Resampling.NEAREST)
    smooth = np.asarray(large.filter(ImageFilter.GaussianBlur(1)), dtype=np.int16)
    grain = rng.integers(-8, 9, smooth.shape)
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


torch.set_num_threads(1)  # the tests' tensors are tiny, and threads only get in each other's way


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures, two of them deeper; do not write to it."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(6):
        path = folder / ("deep/er" if number % 3 == 2 else "") / f"p{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_picture(number).save(path)
    return folder


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pairs at scale 2: `gt/q0.png` and `lq/q0x2.png`."""
    folder = tmp_path_factory.mktemp("pairs")
    for side in ("gt", "lq"):
        (folder / side).mkdir()
    for number in range(3):
        gt = draw_picture(100 + number)
        gt.save(folder / "gt" / f"q{number}.png")
        gt.resize((gt.width // 2, gt.height // 2), Image.Resampling.BOX).save(
            folder / "lq" / f"q{number}x2.png"
        )
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The folder of a file system of 2 MB."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root on Linux")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def micro(pictures: Path, pairs: Path, tmp_path: Path) -> Overrides:
    """Overrides of the tiny preset for a run of both stages in about a second."""

    def overrides(*more: str) -> list[str]:
        return [
            f"output={tmp_path / 'runs'}",
            "name=micro",
            "scale=2",
            "network={num_feat: 8, num_conv: 2}",
            "discriminator.num_feat=4",
            f"data.pictures={pictures}",
            f"data.pairs=[{{gt: {pairs / 'gt'}, lq: {pairs / 'lq'}}}]",
            "data.pair_ratio=0.3",
            "data.batch_size=2",
            "degradation.input_size=40",
            "degradation.patch_size=32",
            "degradation.pool_size=6",
            "stages.net.steps=8",
            "stages.gan.steps=6",
            "checkpoint.every=3",
            "logging.every=1",
            "guards.every=2",
            "execution.threads=1",
            "execution.device=cpu",
            *more,
        ]

    return overrides


@pytest.fixture
def micro_config(micro: Overrides) -> RunConfig:
    """The configuration of `micro`."""
    return load_config("tiny", micro())
