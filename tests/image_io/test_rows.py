"""Pictures that run row by row: the array's result, and no more than some rows in memory."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from compact_network import write_compact
from conftest import Photo
from numpy.typing import NDArray

from realesrgan_vk import ImageError, Upscaler
from realesrgan_vk.image_io.rows import ArrayRows, RawFormat, RawRows, TiffRows, TiffRowWriter


@pytest.fixture
def small(tmp_path: Path) -> Upscaler:
    """A network of a few channels, scale 2."""
    return Upscaler(write_compact(tmp_path / "net", "small"), device="cpu", threads=1)


def typed(pixels: NDArray[np.uint8], dtype: type) -> NDArray[Any]:
    """The same picture in other samples."""
    if dtype is np.float32:
        return np.divide(pixels, 255, dtype=np.float32)
    wide: NDArray[Any] = pixels.astype(dtype) * (257 if dtype is np.uint16 else 1)
    return wide


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiff_rows_give_what_the_array_gives(
    photo: Photo, small: Upscaler, tmp_path: Path, dtype: type
) -> None:
    picture = typed(photo(60, 300), dtype)
    tifffile.imwrite(tmp_path / "in.tif", picture, photometric="rgb", compression="zlib")
    source = TiffRows(tmp_path / "in.tif")
    with TiffRowWriter(tmp_path / "out.tif", 120, 600, source.metadata) as sink:
        small.upscale_rows(source, sink)
    written = tifffile.imread(tmp_path / "out.tif")
    assert written.dtype == dtype
    assert np.array_equal(written, small.upscale(picture))
    assert sorted(path.name for path in tmp_path.glob("*.*")) == ["in.tif", "out.tif"]


@pytest.mark.parametrize(("pixels", "dtype"), [("rgb24", np.uint8), ("rgb48le", np.uint16)])
def test_raw_frames_give_what_the_array_gives(
    photo: Photo, small: Upscaler, pixels: RawFormat, dtype: type
) -> None:
    frames = [typed(photo(256, 33, name), dtype) for name in ("astronaut", "coffee")]
    given = BytesIO(np.stack(frames).astype(np.dtype(dtype).newbyteorder("<")).tobytes())
    taken = BytesIO()
    for _ in frames:
        small.upscale_rows(RawRows(given, 256, 33, pixels), RawRows(taken, 512, 66, pixels))
    result = np.frombuffer(taken.getvalue(), np.dtype(dtype).newbyteorder("<"))
    expected = np.stack([small.upscale(frame) for frame in frames])
    assert np.array_equal(result.reshape(expected.shape), expected)


def test_a_short_frame_is_an_error(photo: Photo, small: Upscaler) -> None:
    given = BytesIO(photo(256, 20).tobytes())
    band = small.plan((256, 40)).band_rows
    row = (20 // band + 1) * band
    short = f"ends {(row - 20) * 256 * 3} bytes before row {row} of 40"
    with pytest.raises(ImageError, match=short):
        small.upscale_rows(RawRows(given, 256, 40, "rgb24"), RawRows(BytesIO(), 512, 80, "rgb24"))


def test_what_a_reader_or_writer_raises_comes_out(photo: Photo, small: Upscaler) -> None:
    picture = photo(20, 50)

    class Full(ArrayRows):
        def write(self, first: int, rows: NDArray[Any]) -> None:
            raise OSError(f"no space for row {first}")

    with pytest.raises(OSError, match="no space for row 0"):
        small.upscale_rows(ArrayRows(picture), Full(np.zeros((100, 40, 3), np.uint8)))

    class Torn(ArrayRows):
        def read(self, first: int, count: int) -> NDArray[Any]:
            return super().read(first, count)[:, 1:]

    with pytest.raises(ValueError, match=r"expected \(50, 20, 3\)"):
        small.upscale_rows(Torn(picture), ArrayRows(np.zeros((100, 40, 3), np.uint8)))


@pytest.mark.parametrize("options", [{"tta": True}, {"tile": 40}])
def test_runs_that_need_the_picture_whole_give_the_same_too(
    photo: Photo, tmp_path: Path, options: dict[str, Any]
) -> None:
    upscaler = Upscaler(write_compact(tmp_path, "net"), device="cpu", threads=1, **options)
    picture = photo(50, 70)
    sink = ArrayRows(np.zeros((140, 100, 3), np.uint8))
    upscaler.upscale_rows(ArrayRows(picture), sink)
    assert np.array_equal(sink.pixels, upscaler.upscale(picture))


def test_a_tiff_that_must_be_decoded_whole_is_refused(photo: Photo, tmp_path: Path) -> None:
    path = tmp_path / "in.tif"
    tifffile.imwrite(path, photo(9, 9), photometric="rgb", extratags=[(274, "H", 1, 6, True)])
    with pytest.raises(ImageError, match="turned upright"):
        TiffRows(path)
    path.write_bytes(b"II*\x00 not really")
    with pytest.raises(ImageError, match="cannot be read"):
        TiffRows(path)


def test_nothing_is_left_of_a_file_that_was_not_finished(photo: Photo, tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="9 of 12 rows"),
        TiffRowWriter(tmp_path / "out.tif", 9, 12) as sink,
    ):
        sink.write(0, photo(9, 9))
    assert list(tmp_path.iterdir()) == []


PEAK = """
import resource, sys
from pathlib import Path
from realesrgan_vk import Upscaler
from realesrgan_vk.image_io.rows import TiffRows, TiffRowWriter
model, folder = sys.argv[1], Path(sys.argv[2])
upscaler = Upscaler(model, device="cpu", threads=1)
source = TiffRows(folder / "low.tif")
with TiffRowWriter(folder / "low-out.tif", 128, 400) as sink:
    upscaler.upscale_rows(source, sink)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
source = TiffRows(folder / "high.tif")
with TiffRowWriter(folder / "high-out.tif", 128, 2 * source.height) as sink:
    upscaler.upscale_rows(source, sink)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_a_high_tiff_takes_no_more_memory_than_a_low_one(photo: Photo, tmp_path: Path) -> None:
    model = write_compact(tmp_path, "small")
    rows = np.tile(photo(64, 200), (200, 1, 1))  # 40000 rows
    tifffile.imwrite(tmp_path / "low.tif", rows[:200], photometric="rgb", rowsperstrip=16)
    tifffile.imwrite(tmp_path / "high.tif", rows, photometric="rgb", rowsperstrip=16)
    command = [sys.executable, "-c", PEAK, str(model), str(tmp_path)]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    result_bytes = 128 * 2 * len(rows) * 3  # 31 MB, the picture itself 8 MB
    assert grown < result_bytes / 4
    with tifffile.TiffFile(tmp_path / "high-out.tif") as file:
        assert file.pages.first.shape == (80000, 128, 3)
