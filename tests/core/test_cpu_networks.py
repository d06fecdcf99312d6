"""Official networks on the processor: the numerical contract, for each instruction set it has."""

from collections.abc import Callable
from functools import cache
from itertools import product

import ncnn
import numpy as np
import pytest
from numpy.typing import NDArray

from realesrgan_vk import _core
from realesrgan_vk.models import find_model

Photo = Callable[..., NDArray[np.uint8]]
Planes = NDArray[np.float32]

MAX_ERROR = 1e-4
"""Of full scale, against the whole picture in fp32."""
EQUAL_SHARE = 0.999
"""Of the 8-bit samples; the others are one step off at most."""
SIZES = {
    "realesrgan-x4plus": (45, 33),
    "realesrgan-x4plus-anime": (61, 46),
    "realesr-animevideov3": (131, 77),
    "realesr-animevideov3-x2": (90, 50),
    "realesr-animevideov3-x3": (90, 50),
}
LEAN_LIMIT = 60 << 20
"""Bytes that the transformed weights of the RRDB networks do not fit."""


@cache
def whole_picture(model: str, samples: bytes, height: int, width: int) -> Planes:
    """What PyPI's `ncnn` makes of the whole picture, by direct convolution."""
    found = find_model(model)
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = net.opt.use_winograd_convolution = False
    assert net.load_param(str(found.param)) == 0
    assert net.load_model(str(found.bin)) == 0
    picture = np.frombuffer(samples, np.float32).reshape(height, width, 3)
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
    with net.create_extractor() as extractor:
        extractor.input(net.input_names()[0], ncnn.Mat(planes).clone())
        code, result = extractor.extract(net.output_names()[0])
        assert code == 0
        whole: Planes = np.array(result, np.float32).transpose(1, 2, 0)
        return whole


def ours(
    model: str, picture: Planes, *, backend: str = "", band: int = 0, memory_limit: int = 0
) -> Planes:
    """The same from our core, clamped to 0..1."""
    found = find_model(model)
    core = _core.Upscaler(
        str(found.param),
        str(found.bin),
        device=_core.CPU_DEVICE,
        threads=2,
        backend=backend,
        band=band,
        memory_limit=memory_limit,
    )
    height, width, channels = picture.shape
    result = np.empty((height * core.network.scale, width * core.network.scale, channels), "f4")
    core.run(picture, result)
    return result


def to_bytes(values: Planes) -> NDArray[np.int32]:
    whole: NDArray[np.int32] = np.floor(np.clip(values, 0, 1) * 255 + 0.5).astype(np.int32)
    return whole


def assert_contract(result: Planes, truth: Planes) -> None:
    assert np.abs(result - np.clip(truth, 0, 1)).max() <= MAX_ERROR
    steps = np.abs(to_bytes(result) - to_bytes(truth))
    assert steps.max() <= 1
    assert (steps == 0).mean() >= EQUAL_SHARE


@pytest.mark.parametrize(
    ("model", "backend"),
    list(product(SIZES, ["avx512", "avx2", "neon", "baseline"])),
)
def test_contract(model: str, backend: str, photo: Photo) -> None:
    picture = photo(*SIZES[model]).astype(np.float32) / np.float32(255)
    try:
        result = ours(model, picture, backend=backend)
    except ValueError as error:
        pytest.skip(str(error))
    assert_contract(result, whole_picture(model, picture.tobytes(), *picture.shape[:2]))


@pytest.mark.parametrize("model", SIZES)
def test_contract_on_waves_edges_and_noise(model: str) -> None:
    """Networks amplify rounding most where every frequency is in the picture."""
    y, x = np.mgrid[0:64, 0:33]
    waves = 0.5 + 0.3 * np.sin(0.19 * x + 0.07 * y) * np.cos(0.11 * y)
    edges = 0.2 * ((x // 5 + y // 7) % 2)
    noise = np.random.default_rng([33, 64, 3]).normal(0, 0.05, (64, 33, 3))
    tint = np.linspace(0.8, 1.0, 3)
    picture = np.clip((waves + edges)[..., None] * tint + noise, 0, 1).astype(np.float32)
    assert_contract(ours(model, picture), whole_picture(model, picture.tobytes(), 64, 33))


@pytest.mark.parametrize("model", SIZES)
def test_contract_on_black_and_white_noise(model: str) -> None:
    """What rounding is worst on of all that was tried for the networks with large tiles."""
    pixels = np.random.default_rng(0).integers(0, 2, (72, 50, 3))
    picture = pixels.astype(np.float32)
    assert_contract(ours(model, picture), whole_picture(model, picture.tobytes(), 72, 50))


@pytest.mark.parametrize("band", [1, 5, 32])
def test_bands_and_lean_weights(band: int, photo: Photo) -> None:
    """Bands of one row are convolved directly, with weights as the file has them."""
    model = "realesrgan-x4plus-anime"
    picture = photo(*SIZES[model]).astype(np.float32) / np.float32(255)
    result = ours(model, picture, band=band, memory_limit=LEAN_LIMIT)
    assert_contract(result, whole_picture(model, picture.tobytes(), *picture.shape[:2]))


def test_an_unknown_backend_is_refused() -> None:
    found = find_model("realesr-animevideov3")
    with pytest.raises(ValueError, match='instruction set "sse9" is not available here; choose'):
        _core.Upscaler(str(found.param), str(found.bin), backend="sse9")
