"""The numerical contract of the row stream on Vulkan, for every official network.

The oracle is the `ncnn` wheel on the CPU, fp32, whole image. Every test runs on the first Vulkan
device and, where REALESRGAN_VK_SOFTGPU names a program that runs another one on a newer software
driver (cooperative matrices), on that driver, too.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import ncnn
import numpy as np
import pytest
import second_driver
import stream_vulkan_run
from numpy.typing import NDArray
from stream_vulkan_run import Job

from realesrgan_vk import _core
from realesrgan_vk.models import find_model

Photo = Callable[..., NDArray[np.uint8]]
Picture = NDArray[np.uint8]
Result = NDArray[Any]
Run = Callable[[list[Job], Picture], list[Result]]

# Direct convolution on a software driver does a few GFLOP/s, and x4plus needs 36 MFLOP a pixel.
SIZES = {
    "realesrgan-x4plus": (48, 32),
    "realesrgan-x4plus-anime": (48, 32),
    "realesr-animevideov3-x2": (96, 66),
    "realesr-animevideov3-x3": (96, 66),
    "realesr-animevideov3": (120, 88),
}
LIMITS = {False: 1e-4, True: 4e-3}  # of full scale, by fp16


def job(
    model: str,
    fp16: bool,
    band: int = 0,
    *,
    by_limit: bool = False,
    samples: Literal["uint8", "float32"] = "float32",
) -> Job:
    """One run of an official network."""
    found = find_model(model)
    return Job(
        param=str(found.param),
        bin=str(found.bin),
        fp16=fp16,
        band=band,
        by_limit=by_limit,
        samples=samples,
    )


@functools.cache
def oracle(model: str, data: bytes, shape: tuple[int, ...]) -> Result:
    """The whole image through the `ncnn` wheel, clamped to 0..1."""
    found = find_model(model)
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.num_threads = 2
    for option in ("packed", "storage", "arithmetic"):
        setattr(net.opt, f"use_fp16_{option}", False)
    assert net.load_param(str(found.param)) == 0
    assert net.load_model(str(found.bin)) == 0
    picture = np.frombuffer(data, np.uint8).reshape(shape)
    # The Mat borrows the array's memory: it needs a name that outlives it.
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1).astype(np.float32) / 255)
    extractor = net.create_extractor()
    extractor.input("data", ncnn.Mat(planes))
    status, output = extractor.extract("output")
    assert status == 0
    result: Result = np.asarray(output, np.float32).transpose(1, 2, 0).clip(0, 1)
    return result


def steps(result: Result) -> NDArray[np.int32]:
    """The 8-bit picture of a result."""
    whole: NDArray[np.int32] = np.floor(result * 255 + 0.5).astype(np.int32)
    return whole


@pytest.fixture(params=["this machine's driver", "newer driver"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Runs jobs on one of the drivers."""
    if request.param == "this machine's driver":
        if not _core.list_devices():
            pytest.skip("no Vulkan device on this machine")
        return lambda jobs, picture: [stream_vulkan_run.run_job(job, picture) for job in jobs]
    second_driver.require()

    def elsewhere(jobs: list[Job], picture: Picture) -> list[Result]:
        driver, results = run_elsewhere(tmp_path, jobs, picture)
        here = [device.driver for device in _core.list_devices()]
        assert driver not in here, "the second driver is not another one"
        return results

    return elsewhere


def run_elsewhere(
    folder: Path, jobs: list[Job], picture: Picture, **environment: str
) -> tuple[str, list[Result]]:
    """Run jobs on the newer driver, and return its name, too; `folder` is empty."""
    paths = [folder / name for name in ("jobs.json", "picture.npy", "results.npz")]
    paths[0].write_text(json.dumps(jobs))
    np.save(paths[1], picture)
    program = str(Path(stream_vulkan_run.__file__))
    second_driver.run_python(program, *map(str, paths), seconds=600, **environment)
    with np.load(paths[2]) as results:
        return str(results["driver"]), [results[f"arr_{index}"] for index in range(len(jobs))]


@pytest.mark.parametrize("model", SIZES)
def test_the_contract(model: str, run: Run, photo: Photo) -> None:
    picture = photo(*SIZES[model])
    right = oracle(model, picture.tobytes(), picture.shape)
    results = run([job(model, fp16=False), job(model, fp16=True)], picture)
    for fp16, result in zip((False, True), results, strict=True):
        assert np.abs(result - right).max() <= LIMITS[fp16]
        assert np.abs(steps(result) - steps(right)).max() <= 1
        assert fp16 or (steps(result) != steps(right)).mean() <= 1e-3


@pytest.mark.parametrize(
    ("model", "products"),
    [
        ("realesr-animevideov3-x2", 1),
        ("realesr-animevideov3-x2", 3),
        ("realesr-animevideov3-x3", 3),
        ("realesr-animevideov3", 3),
        ("realesrgan-x4plus-anime", 3),
        pytest.param("realesrgan-x4plus", 3, marks=pytest.mark.slow),
    ],
)
def test_the_contract_with_sums_in_fp16(
    model: str, products: int, photo: Photo, tmp_path: Path
) -> None:
    second_driver.require()
    picture = photo(*(24, 16) if model == "realesrgan-x4plus-anime" else SIZES[model])
    right = oracle(model, picture.tobytes(), picture.shape)
    cache = tmp_path / "cache"  # with a choice of its own
    limits = {
        "REALESRGAN_VK_LIMITS": f"half_products={products}",
        "REALESRGAN_VK_CACHE": str(cache),
    }
    _, (result,) = run_elsewhere(tmp_path, [job(model, fp16=True)], picture, **limits)
    (kernels,) = cache.glob("kernels-fp16-*")
    assert f"fp16 sums of {8 * products}\n" in kernels.read_text()
    assert np.abs(result - right).max() <= LIMITS[True]
    assert np.abs(steps(result) - steps(right)).max() <= 1


@pytest.mark.parametrize("model", SIZES)
def test_the_contract_of_8_bit_results(model: str, run: Run, photo: Photo) -> None:
    picture = photo(*(24, 12) if "x4plus" in model else (48, 33))
    right = steps(oracle(model, picture.tobytes(), picture.shape))
    jobs = [job(model, fp16, samples="uint8") for fp16 in (False, True)]
    for fp16, result in zip((False, True), run(jobs, picture), strict=True):
        assert result.dtype == np.uint8
        assert np.abs(result - right).max() <= 1
        assert fp16 or (result != right).mean() <= 1e-3


@pytest.mark.parametrize("fp16", [False, True], ids=["fp32", "fp16"])
def test_the_memory_limit_changes_no_bit(fp16: bool, run: Run, photo: Photo) -> None:
    model = "realesr-animevideov3-x3"
    jobs = [job(model, fp16, band, by_limit=True) for band in (1, 7, 16)]
    whole, *limited = run([job(model, fp16), *jobs], photo(33, 24))
    for result in limited:
        assert np.array_equal(result, whole)


@pytest.mark.parametrize("fp16", [False, True], ids=["fp32", "fp16"])
@pytest.mark.parametrize(
    ("model", "size"), [("realesrgan-x4plus", (18, 20)), ("realesr-animevideov3-x3", (57, 61))]
)
def test_the_band_changes_no_bit(
    model: str, size: tuple[int, int], fp16: bool, run: Run, photo: Photo
) -> None:
    picture = photo(*size)
    whole, *banded = run([job(model, fp16, band) for band in (64, 1, 7, 16)], picture)
    for result in banded:
        assert np.array_equal(result, whole)


def test_the_plan_stays_within_its_ledger() -> None:
    """In bands of 80 rows, as of a GPU: stock ncnn needs 2465 dispatches and 1074 KB a pixel."""
    if not _core.list_devices():
        pytest.skip("no Vulkan device on this machine")
    wanted = job("realesrgan-x4plus", fp16=True)
    upscaler = _core.Upscaler(wanted["param"], wanted["bin"], device=0, fp16=True, band=80)
    plan = upscaler.plan(512, 384)
    assert plan["dispatches_per_band"] <= 400
    assert plan["bytes_moved_per_input_pixel"] <= 160e3
