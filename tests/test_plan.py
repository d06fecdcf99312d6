"""`Upscaler.plan`, `realesrgan-vk plan` and amounts of memory as people write them."""

import json
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import tifffile
from conftest import FAST_MODEL, Photo
from numpy.typing import NDArray
from picture_files import gamma_profile, png
from PIL import Image, ImageCms, ImageFile

from realesrgan_vk import ImageError, NetworkInfo, OutOfMemoryError, RunPlan, Upscaler, image_io
from realesrgan_vk.checks import format_bytes, parse_bytes
from realesrgan_vk.image_io.codecs import vips
from realesrgan_vk.options import Request
from realesrgan_vk.processing.pictures import picture_of
from realesrgan_vk.processing.planned_passes import passes_of
from realesrgan_vk.processing.processor import Processor

PLAN_KEYS = {
    "path",
    "reason",
    "band_rows",
    "column_tiles",
    "halo",
    "tile",
    "memory_bytes",
    "dispatches_per_band",
    "bytes_moved_per_input_pixel",
}


@pytest.mark.parametrize(
    ("given", "count"),
    [
        (7, 7),
        ("7", 7),
        ("2GiB", 2 << 30),
        ("2G", 2 << 30),
        ("512m", 512 << 20),
        ("1.5 MiB", 3 << 19),
        ("500MB", 500_000_000),
    ],
)
def test_sizes_are_read_as_people_write_them(given: int | str, count: int) -> None:
    assert parse_bytes("memory_limit", given) == count


@pytest.mark.parametrize("given", ["2 Gx", "", "-1", "0", 0, "lots", "9" * 5000 + "GB", 2**64])
def test_other_sizes_are_refused_by_name(given: int | str) -> None:
    with pytest.raises(ValueError, match="memory_limit is"):
        parse_bytes("memory_limit", given)


def test_sizes_are_printed_in_binary_units() -> None:
    printed = [format_bytes(count) for count in (512, 1536, 5 << 20, 3 << 30)]
    assert printed == ["512 B", "1.5 KiB", "5.0 MiB", "3.00 GiB"]


def test_a_plan_says_path_band_and_memory(photo: Photo, fast: Upscaler, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(photo(96, 80)).save(path)
    with Image.open(path) as image:
        plans = [fast.plan(given) for given in ((96, 80), photo(96, 80), path, image)]
    assert len(set(map(str, plans))) == 1
    plan = plans[0]
    assert isinstance(plan, RunPlan)
    assert plan.path == "stream"
    assert plan.column_tiles == 1
    assert 1 <= plan.band_rows <= 80
    kinds = {kind: count for kind, count in plan.memory_bytes.items() if kind != "total"}
    assert sum(kinds.values()) == plan.memory_bytes["total"]


def test_preparing_takes_a_picture_or_its_size_and_tells_the_bytes(
    photo: Photo, fast: Upscaler
) -> None:
    taken = fast.prepare((96, 80))
    assert taken == fast.prepare(photo(96, 80))
    assert 0 < taken <= fast.plan((96, 80)).memory_bytes["total"]
    with pytest.raises(ValueError, match="0x80"):
        fast.prepare((0, 80))


def test_height_costs_no_memory(fast: Upscaler) -> None:
    low, high = fast.plan((512, 512)), fast.plan((512, 50_000))
    assert high.memory_bytes["total"] == low.memory_bytes["total"]


def test_less_memory_gives_a_smaller_plan_then_an_error() -> None:
    free = Upscaler(FAST_MODEL, device="cpu").plan((3000, 2000))
    tight = Upscaler(FAST_MODEL, device="cpu", memory_limit="24MiB").plan((3000, 2000))
    assert tight.memory_bytes["total"] <= 24 << 20 < free.memory_bytes["total"]
    with pytest.raises(OutOfMemoryError, match="3000x2000"):
        Upscaler(FAST_MODEL, device="cpu", memory_limit=1000).plan((3000, 2000))


def test_samples_of_16_bits_are_planned_as_such(photo: Photo, fast: Upscaler) -> None:
    eight = fast.plan(photo(96, 80))
    sixteen = fast.plan(photo(96, 80).astype(np.uint16))
    assert sixteen.memory_bytes["staging"] == 2 * eight.memory_bytes["staging"]


def test_a_plan_of_tiles_says_their_size_and_memory() -> None:
    tiles = Upscaler(FAST_MODEL, device="cpu", tile=100).plan((300, 200))
    assert (tiles.path, tiles.tile, tiles.reason) == ("tiles", 100, "a tile size was asked for")
    assert 1 <= tiles.halo <= 64
    assert tiles.memory_bytes["total"] == tiles.memory_bytes["tile"] + tiles.memory_bytes["host"]
    limit = tiles.memory_bytes["tile"] // 2
    small = Upscaler(FAST_MODEL, device="cpu", tile=100, memory_limit=limit).plan((300, 200))
    assert small.tile < 100
    assert small.memory_bytes["tile"] <= limit
    with pytest.raises(OutOfMemoryError, match="smallest tile"):
        Upscaler(FAST_MODEL, device="cpu", tile=100, memory_limit=1000).plan((300, 200))


@pytest.mark.parametrize("size", [(0, 5), (5, -1)])
def test_an_empty_size_is_refused(fast: Upscaler, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="each side must be from 1 to 67108864"):
        fast.plan(size)


def test_the_command_prints_a_table_and_json(tmp_path: Path, photo: Photo) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(np.asarray(photo(64, 48))).save(path)
    command = [sys.executable, "-m", "realesrgan_vk", "plan", str(path), "-n", FAST_MODEL]
    command += ["--device", "cpu", "--memory-limit", "1GiB"]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "64 x 48" in table
    assert "memory, total" in table
    printed = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(printed.stdout).keys() >= PLAN_KEYS


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LINEAR = gamma_profile(1.0)


def _saved(image: Image.Image, name: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, name, **options)
    return out.getvalue()


def _files(rgb: NDArray[np.uint8]) -> dict[str, bytes]:
    """Pictures of every kind of samples, upright and turned, with and without a foreign curve."""
    image = Image.fromarray(rgb)
    deep = rgb.astype(np.uint16) * 257
    turned = Image.Exif()
    turned[0x0112] = 6
    files = {
        "PNG": _saved(image, "PNG"),
        "PNG with sRGB's profile": _saved(image, "PNG", icc_profile=PROFILE),
        "PNG of linear light": _saved(image, "PNG", icc_profile=LINEAR),
        "grey PNG of linear light": _saved(image.convert("L"), "PNG", icc_profile=LINEAR),
        "PNG with a palette": _saved(image.convert("P"), "PNG"),
        "PNG with a palette, linear": _saved(image.convert("P"), "PNG", icc_profile=LINEAR),
        "PNG of 1 bit": _saved(image.convert("1"), "PNG"),
        "PNG with alpha": _saved(image.convert("RGBA"), "PNG"),
        "grey PNG with alpha": _saved(image.convert("LA"), "PNG", icc_profile=LINEAR),
        "PNG of 16 bits": png(deep, 16, 2),
        "grey PNG of 16 bits": png(deep[..., :1], 16, 0),
        "turned JPEG": _saved(image, "JPEG", exif=turned),
        "turned JPEG of linear light": _saved(image, "JPEG", exif=turned, icc_profile=LINEAR),
        "JPEG of CMYK": _saved(image.convert("CMYK"), "JPEG"),
        "GIF": _saved(image.convert("P"), "GIF", save_all=True, append_images=[image.rotate(90)]),
        "WebP": _saved(image, "WEBP", icc_profile=LINEAR),
        "BMP": _saved(image.convert("L"), "BMP"),
    }
    of_tiff: dict[str, NDArray[Any]] = {
        "TIFF": rgb,
        "TIFF of 16 bits": deep,
        "TIFF of floats": (rgb / 255).astype(np.float32),
        "grey TIFF": rgb[..., 0],
        "grey TIFF of floats": (rgb[..., 0] / 9).astype(np.float32),
    }
    for name, samples in of_tiff.items():
        photometric = "minisblack" if samples.ndim == 2 else "rgb"
        for profile in (None, LINEAR):
            out = BytesIO()
            tifffile.imwrite(out, samples, photometric=photometric, iccprofile=profile)
            files[f"{name}, {'linear' if profile else 'plain'}"] = out.getvalue()
    return files


class Recorded:
    """A core that keeps the shape and type of what it is given."""

    def __init__(self, network: NetworkInfo) -> None:
        self.network = network
        self.given: list[tuple[int, int, np.dtype[Any]]] = []

    def run(self, pixels: NDArray[Any], out: NDArray[Any], progress: object) -> None:
        self.given.append((pixels.shape[1], pixels.shape[0], pixels.dtype))
        out[:] = 0

    def run_rows(
        self,
        width: int,
        height: int,
        _: object,
        write: Callable[[int, NDArray[Any]], object],
        *,
        dtype: str,
        **__: object,
    ) -> None:
        self.given.append((width, height, np.dtype(dtype)))
        scale = self.network.scale
        write(0, np.zeros((height * scale, width * scale, 3), dtype))


def _planned(processor: Processor, image: Any) -> tuple[int, int, np.dtype[Any]]:  # noqa: ANN401
    """Width, height and the type of the samples in the first pass over a picture."""
    picture = processor.planned(image, None)
    return picture.width, picture.height, passes_of(picture, processor._network)[0].dtype


def test_a_plan_is_of_the_samples_that_the_run_is_given(photo: Photo, fast: Upscaler) -> None:
    for name, data in _files(photo(24, 20)).items():
        core: Any = Recorded(fast.network)
        processor = Processor(core)
        processor.picture(image_io.decode(data), Request(), None)
        assert _planned(processor, data) == core.given[0], name
        if "TIFF" not in name:
            with Image.open(BytesIO(data)) as image:
                core.given.clear()
                processor.picture(picture_of(image, None), Request(), None)
                assert _planned(processor, image) == core.given[0], name


def test_of_a_file_only_the_header_is_read(
    photo: Photo, fast: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, data in _files(photo(24, 20)).items():
        expected = fast.plan(data)
        with monkeypatch.context() as patch:
            patch.setattr(ImageFile.ImageFile, "load", _decoded)
            patch.setattr(vips, "pixels_of", _decoded)
            assert fast.plan(data) == expected, name
            assert fast.prepare(data) == fast.prepare((expected.width, expected.height)), name
    start = _files(photo(240, 200))["PNG"][:20_000]
    assert fast.plan(start) == fast.plan((240, 200))
    with pytest.raises(ImageError, match="more than the limit of 100"):
        fast.plan(start, max_pixels=100)


def _decoded(*_: object) -> NoReturn:
    raise AssertionError("pixels are decoded")
