"""Rows of pictures that are read while they are decoded, from files and from URLs."""

import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import remote_stores
import tifffile
from conftest import Photo
from numpy.typing import NDArray
from PIL import Image, ImageCms

from realesrgan_vk import ImageError, image_io
from realesrgan_vk.image_io.codecs import vips
from realesrgan_vk.image_io.rows import PictureRows, TiffRowWriter
from realesrgan_vk.image_io.urls import path_of

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def pil(rgb: NDArray[np.uint8], kind: str, mode: str = "RGB", **more: Any) -> bytes:  # noqa: ANN401
    out = BytesIO()
    Image.fromarray(rgb).convert(mode).save(out, kind, **more)
    return out.getvalue()


def deep_tiff(rgb: NDArray[np.uint8]) -> bytes:
    out = BytesIO()
    tifffile.imwrite(out, rgb.astype(np.uint16) * 257, photometric="rgb", rowsperstrip=5)
    return out.getvalue()


def ppm(rgb: NDArray[np.uint8], top: int, dtype: str) -> bytes:
    height, width = rgb.shape[:2]
    samples = (rgb.astype(np.uint32) * top // 255).astype(dtype)
    return b"P6\n# a comment\n%d %d\n%d\n" % (width, height, top) + samples.tobytes()


FILES: dict[str, Callable[[NDArray[np.uint8]], bytes]] = {
    "rgb.png": lambda rgb: pil(rgb, "PNG", icc_profile=SRGB),
    "grey.png": lambda rgb: pil(rgb, "PNG", "L"),
    "palette.png": lambda rgb: pil(rgb, "PNG", "P"),
    "deep.png": lambda rgb: vips.png_bytes(rgb.astype(np.uint16) * 257, 16, 6),
    "rgb.jpg": lambda rgb: pil(rgb, "JPEG", icc_profile=SRGB),
    "grey.jpg": lambda rgb: pil(rgb, "JPEG", "L"),
    "progressive.jpg": lambda rgb: pil(rgb, "JPEG", progressive=True, subsampling=2),
    "rgb.tif": lambda rgb: pil(rgb, "TIFF", compression="tiff_lzw", icc_profile=SRGB),
    "deep.tif": deep_tiff,
    "rgb.ppm": lambda rgb: ppm(rgb, 255, ">u1"),
    "low.ppm": lambda rgb: ppm(rgb, 100, ">u1"),
    "deep.ppm": lambda rgb: ppm(rgb, 1023, ">u2"),
    "grey.pgm": lambda rgb: pil(rgb, "PPM", "L"),
}


def compare(rows: PictureRows, path: Path) -> None:
    """They are what the whole file gives, in pieces of a few rows."""
    whole = image_io.read(path)
    pixels = whole.frames[0].pixels
    assert (rows.height, rows.width, rows.channels) == pixels.shape
    assert rows.dtype == pixels.dtype
    parts = [rows.read(y, min(7, rows.height - y)) for y in range(0, rows.height, 7)]
    assert np.array_equal(np.concatenate(parts), pixels)
    assert rows.metadata.icc == whole.metadata.icc


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pictures")
    y, x = np.mgrid[:61, :83]
    rgb = np.stack([x * 3, y * 4, (x * y) % 256], axis=-1).astype(np.uint8)
    for name, encode in FILES.items():
        (made / name).write_bytes(encode(rgb))
    return made


@pytest.mark.parametrize("name", FILES)
def test_rows_of_a_file_are_those_of_the_whole(name: str, folder: Path) -> None:
    with PictureRows(folder / name) as rows:
        compare(rows, folder / name)


@pytest.mark.parametrize("name", FILES)
def test_rows_of_a_store(name: str, folder: Path) -> None:
    remote_stores.require("fsspec")
    import fsspec  # noqa: PLC0415 - an optional dependency

    store = fsspec.filesystem("memory")
    store.pipe_file(f"/rows/{name}", (folder / name).read_bytes())
    with PictureRows(f"memory://rows/{name}") as rows:
        compare(rows, folder / name)


def test_rows_of_a_web_server(folder: Path) -> None:
    remote_stores.require("fsspec", "aiohttp")
    with remote_stores.web_server(folder) as address:
        for name in FILES:
            with PictureRows(f"{address}/{name}") as rows:
                compare(rows, folder / name)
        with pytest.raises(ImageError, match="there is no such file"):
            PictureRows(f"{address}/none.png")


def test_large_files_of_a_web_server_that_gives_no_parts(tmp_path: Path) -> None:
    """Of more than the 5 MiB that fsspec asks for at a time."""
    remote_stores.require("fsspec", "aiohttp")
    y, x = np.mgrid[:1500, :1300]
    rgb = np.stack([x % 256, y % 256, (x * y) % 251], axis=-1).astype(np.uint8)
    (tmp_path / "large.ppm").write_bytes(ppm(rgb, 255, ">u1"))
    tifffile.imwrite(tmp_path / "large.tif", rgb, photometric="rgb", rowsperstrip=64)
    with remote_stores.web_server(tmp_path) as address:
        with PictureRows(f"{address}/large.ppm") as rows:
            assert np.array_equal(rows.read(0, 1500), rgb)
        for suffix in ("ppm", "tif"):
            picture = image_io.read(path_of(f"{address}/large.{suffix}"))
            assert np.array_equal(picture.frames[0].pixels, rgb)
        with pytest.raises(ImageError, match=r"range"):
            PictureRows(f"{address}/large.tif").read(0, 1500)


def test_rows_go_from_store_to_store(folder: Path, tmp_path: Path) -> None:
    """A TIFF file is uploaded when it is complete, and not where rows are missing."""
    remote_stores.require("fsspec")
    import fsspec  # noqa: PLC0415 - an optional dependency

    store = fsspec.filesystem("memory")
    store.pipe_file("/rows/in.png", (folder / "rgb.png").read_bytes())

    def copy(target: str | Path, height: int) -> None:
        with (
            PictureRows("memory://rows/in.png") as rows,
            TiffRowWriter(target, rows.width, rows.height, rows.metadata) as sink,
        ):
            for y in range(0, height, 8):
                sink.write(y, rows.read(y, min(8, height - y)))

    with pytest.raises(ValueError, match="40 of 61 rows"):
        copy("memory://rows/out.tif", 40)
    assert not store.exists("/rows/out.tif")
    copy("memory://rows/out.tif", 61)
    copy(tmp_path / "out.tif", 61)
    assert store.cat_file("/rows/out.tif") == (tmp_path / "out.tif").read_bytes()
    with pytest.raises(OSError, match="takes no results"):
        TiffRowWriter("https://127.0.0.1:9/a.tif", 4, 4)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda rgb: pil(rgb, "PNG", "RGBA"), "neither grey nor RGB"),
        (lambda rgb: pil(rgb, "JPEG", "CMYK"), "neither grey nor RGB"),
        (lambda rgb: pil(rgb, "TIFF", "RGBA"), "neither grey nor RGB"),
        (lambda rgb: pil(rgb, "TIFF", "1"), "samples of 1 bit"),
        (lambda rgb: pil(rgb, "WEBP"), "no PNG, JPEG, TIFF, PGM or PPM file; read it whole"),
        (lambda rgb: pil(rgb, "JPEG", exif=turned()), "turned upright"),
        (lambda _: b"", "no PNG"),
        (lambda rgb: pil(rgb, "PNG")[:40], "cannot be read"),
        (lambda _: b"P6\n0 5\n255\n", "cannot be read"),
    ],
)
def test_what_has_no_rows(content: Any, words: str, photo: Photo, tmp_path: Path) -> None:  # noqa: ANN401
    path = tmp_path / "a"
    path.write_bytes(content(photo(24, 20)))
    with pytest.raises(ImageError, match=words):
        PictureRows(path)


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.mark.parametrize("name", ["rgb.png", "rgb.jpg", "rgb.ppm"])
def test_a_file_that_ends_early(name: str, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    content = (folder / name).read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with PictureRows(path) as rows, pytest.raises(ImageError, match="cannot be decoded"):
        list(map(rows.read, range(rows.height), [1] * rows.height))


def test_a_store_that_fails_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with PictureRows(folder / "rgb.ppm") as rows:
        rows._start = b""

        def fail(_: int) -> bytes:
            raise TimeoutError("the store does not answer")

        monkeypatch.setattr(rows, "_file", type("File", (), {"read": staticmethod(fail)}))
        with pytest.raises(ImageError, match="the store does not answer"):
            rows.read(0, 60)


MEASURE = """
import re, sys
from pathlib import Path
from realesrgan_vk.image_io.rows import PictureRows

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10

before = peak()
with PictureRows(sys.argv[1]) as rows:
    for y in range(0, rows.height, 64):
        rows.read(y, min(64, rows.height - y))
print(peak() - before)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """96 MiB of samples, of which 64 rows have 0.8 MiB."""
    if sys.platform != "linux":
        pytest.skip("the system does not tell the peak")
    path = tmp_path / "large.ppm"
    width, height = 4096, 8192
    with path.open("wb") as file:
        file.write(b"P6\n%d %d\n255\n" % (width, height))
        file.truncate(file.tell() + 3 * width * height)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 32 << 20
