"""GeoTIFF's tags and descriptions of TIFF files for a result of another size, or turned."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from realesrgan_vk import ImageError, Upscaler, image_io
from realesrgan_vk.image_io.formats import JPEG, PNG, TIFF
from realesrgan_vk.image_io.read import decode
from realesrgan_vk.image_io.rows import TiffRows, TiffRowWriter
from realesrgan_vk.imaging.picture import Picture
from realesrgan_vk.options import Request, TargetSize

Tag = tuple[int, str, int, Any, bool]
KEYS = (1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32633)
POINT_KEYS = (1, 1, 0, 2, 1024, 0, 1, 1, 1025, 0, 1, 2)
SCALE: Tag = (33550, "d", 3, (10.0, 20.0, 0.0), True)
TIE: Tag = (33922, "d", 6, (0.0, 0.0, 0.0, 5e5, 4.6e6, 0.0), True)
MATRIX = (8.0, -3.0, 0, 5e5, -2.0, -9.0, 0, 4.6e6, 0, 0, 1, 0, 0, 0, 0, 1)
GCPS = (0.0, 0.0, 0, 10, 50, 0, 24.0, 0.0, 0, 11, 50, 0, 0.0, 20.0, 0, 10, 49, 0)


def keys(values: tuple[int, ...]) -> Tag:
    return (34735, "H", len(values), values, True)


def made(rgb: NDArray[Any], *tags: Tag, **more: Any) -> bytes:  # noqa: ANN401
    out = BytesIO()
    tifffile.imwrite(out, rgb, photometric="rgb", extratags=tags, metadata=None, **more)
    return out.getvalue()


def tags_of(data: bytes) -> dict[int, Any]:
    with tifffile.TiffFile(BytesIO(data)) as file:
        return {tag.code: tag.value for tag in file.pages.first.tags}


def resized(fast: Upscaler, data: bytes, size: TargetSize) -> Picture:
    return fast.upscale_picture(decode(data), Request(size))


def place(tags: dict[int, Any], x: float, y: float, *, point: bool) -> NDArray[np.float64]:
    """Where a position of the picture is, counted from its upper left corner."""
    raster = np.array([x, y, 0, 1]) - (0.5 * np.array([1, 1, 0, 0]) if point else 0)
    if 34264 in tags:
        matrix = np.array(tags[34264], np.float64).reshape(4, 4)
        return (matrix @ raster)[:2]
    scale, tie = tags[33550], tags[33922]
    offset = (raster[:2] - tie[:2]) * scale[:2] * [1, -1]
    return np.array(tie[3:5]) + offset  # type: ignore[no-any-return]


@pytest.mark.parametrize("point", [False, True])
@pytest.mark.parametrize(
    "tags",
    [(SCALE, TIE), ((33922, "d", 6, (7.0, 3.0, 0, 5e5, 4.6e6, 0), True), SCALE),
     ((34264, "d", 16, MATRIX, True),)],
)  # fmt: skip
@pytest.mark.parametrize("target", [TargetSize(4), TargetSize(width=60, height=30)])
def test_every_corner_stays_where_it_was(
    rgb: NDArray[np.uint8], fast: Upscaler, tags: tuple[Tag, ...], target: TargetSize, point: bool
) -> None:
    data = made(rgb, *tags, keys(POINT_KEYS if point else KEYS))
    before = tags_of(data)
    picture = resized(fast, data, target)
    out, notes = image_io.encode(picture, TIFF)
    assert notes == picture.notes == ()
    after = tags_of(out)
    factors = np.array([picture.width / rgb.shape[1], picture.height / rgb.shape[0]])
    for corner in ((0, 0), (24, 0), (0, 20), (24, 20), (5.5, 7)):
        moved = np.array(corner) * factors
        assert place(after, *moved, point=point) == pytest.approx(
            place(before, *corner, point=point), abs=1e-6
        )
    assert after[34735] == before[34735]
    if 33550 in before:
        assert after[33550] == pytest.approx((10 / factors[0], 20 / factors[1], 0))


def test_ground_control_points_follow(rgb: NDArray[np.uint8], fast: Upscaler) -> None:
    tie = (33922, "d", 18, GCPS, True)
    after = tags_of(image_io.encode(resized(fast, made(rgb, tie), TargetSize(4)), TIFF)[0])
    expected = np.array(GCPS).reshape(-1, 6) * [4, 4, 1, 1, 1, 1]
    assert np.array(after[33922]).reshape(-1, 6) == pytest.approx(expected)


def test_rational_polynomials_follow(rgb: NDArray[np.uint8], fast: Upscaler) -> None:
    numbers = np.arange(92.0) + 1
    after = tags_of(
        image_io.encode(
            resized(fast, made(rgb, (50844, "d", 92, tuple(numbers), True)), TargetSize(4)), TIFF
        )[0]
    )
    expected = numbers.copy()
    expected[[2, 3]] = (numbers[[2, 3]] + 0.5) * 4 - 0.5
    expected[[7, 8]] *= 4
    assert np.array(after[50844]) == pytest.approx(expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("point", [False, True])
def test_a_turned_picture_stays_where_it_was(
    rgb: NDArray[np.uint8], fast: Upscaler, orientation: int, point: bool
) -> None:
    """The tags are of the pixels as stored, whatever the orientation is."""
    stored = rgb.copy()
    stored[4, 6] = (255, 0, 255)
    turn = (274, "H", 1, orientation, True)
    data = made(stored, SCALE, TIE, keys(POINT_KEYS if point else KEYS), turn)
    picture = decode(data)
    rows, columns = np.nonzero((picture.frames[0].pixels == (255, 0, 255)).all(axis=2))
    after = tags_of(image_io.encode(picture, TIFF)[0])
    found = place(after, columns[0] + 0.5, rows[0] + 0.5, point=point)
    assert found == pytest.approx(place(tags_of(data), 6.5, 4.5, point=point))
    large = tags_of(image_io.encode(resized(fast, data, TargetSize(4)), TIFF)[0])
    scaled = place(large, 4 * columns[0] + 2, 4 * rows[0] + 2, point=point)
    assert scaled == pytest.approx(found)


def test_what_cannot_be_turned_or_makes_no_sense_goes_with_a_note(rgb: NDArray[np.uint8]) -> None:
    turn = (274, "H", 1, 6, True)
    several = (33922, "d", 12, (*TIE[3], *TIE[3]), True)
    picture = decode(made(rgb, SCALE, several, turn))
    assert picture.notes == ("the GeoTIFF tags cannot be turned with the picture and are dropped",)
    beyond = "has numbers that are not finite, or beyond 1e+100"
    for tag, words in (
        ((33550, "d", 2, (1.0, 2.0), True), "tag 33550 has not 3 numbers"),
        ((33922, "d", 5, (1.0,) * 5, True), "tag 33922 has 5 numbers"),
        ((33550, "d", 3, (1e308, 1.0, 0.0), True), f"tag 33550 {beyond}"),
        ((34264, "d", 16, (float("nan"),) * 16, True), f"tag 34264 {beyond}"),
        ((33920, "d", 17, (1.0,) * 17, True), "tag 33920 is not supported"),
    ):
        picture = decode(made(rgb, tag, keys(KEYS)))
        assert picture.notes == (f"the GeoTIFF tags are dropped: {words}",)
        assert not {33550, 33922, 34264, 34735} & set(tags_of(image_io.encode(picture, TIFF)[0]))


def test_gdal_tags_are_kept_and_other_formats_say_so(rgb: NDArray[np.uint8]) -> None:
    description = "<GDALMetadata>\n  <Item name='AREA'>Alps</Item>\n</GDALMetadata>"
    gdal: tuple[Tag, ...] = (
        (42112, "s", 0, description, True),
        (42113, "s", 0, "-9999", True),
        (34737, "s", 0, "WGS 84 / UTM|", True),
        (34736, "d", 2, (6378137.0, 298.25), True),
    )
    picture = decode(made(rgb, SCALE, TIE, keys(KEYS), *gdal))
    data, _ = image_io.encode(picture, TIFF)
    after = tags_of(data)
    assert (after[42112], after[42113], after[34737]) == (description, "-9999", "WGS 84 / UTM|")
    assert after[34736] == (6378137.0, 298.25)
    for known in (PNG, JPEG):
        data, notes = image_io.encode(picture, known)
        assert notes == (f"{known.name} holds no GeoTIFF tags; they are dropped",)
        assert b"WGS 84" not in data
    stripped, _ = image_io.encode(picture, TIFF, image_io.WriteOptions(strip=True))
    assert not {33550, 33922, 34735, 42112, 42113} & set(tags_of(stripped))
    missing = decode(made(rgb, (42113, "s", 0, str(int(rgb[0, 0, 0])), True)))
    assert "the value for missing data" in missing.notes[0]


@pytest.mark.parametrize("big", [False, True])
def test_rows_carry_the_tags_as_well(rgb: NDArray[np.uint8], tmp_path: Path, big: bool) -> None:
    source = tmp_path / "in.tif"
    source.write_bytes(made(rgb, SCALE, TIE, keys(KEYS), bigtiff=big))
    height, width = rgb.shape[:2]
    rows = TiffRows(source)
    with TiffRowWriter(tmp_path / "out.tif", 2 * width, 2 * height, rows.metadata) as sink:
        sink.write(0, rgb.repeat(2, 0).repeat(2, 1))
    after = tags_of((tmp_path / "out.tif").read_bytes())
    assert (after[33550], after[33922]) == ((5, 10, 0), TIE[3])


def test_tifffiles_description_of_the_shape_is_corrected(
    rgb: NDArray[np.uint8], fast: Upscaler
) -> None:
    out = BytesIO()
    tifffile.imwrite(out, rgb, photometric="rgb", metadata={"sample": "A 7", "axes": "YXS"})
    picture = resized(fast, out.getvalue(), TargetSize(4))
    data, notes = image_io.encode(picture, TIFF)
    assert notes == picture.notes == ()
    with tifffile.TiffFile(BytesIO(data)) as file:
        assert file.is_shaped
        assert file.asarray().shape == (80, 96, 3)
        described = json.loads(file.pages.first.description)
    assert described == {"shape": [80, 96, 3], "sample": "A 7", "axes": "YXS"}
    assert image_io.encode(picture, PNG)[1] == ("the description for tifffile is dropped",)
    assert b"shape" not in image_io.encode(picture, PNG)[0]
    plain = BytesIO()
    tifffile.imwrite(plain, rgb[..., 0])
    data, _ = image_io.encode(resized(fast, plain.getvalue(), TargetSize(4)), TIFF)
    assert json.loads(tags_of(data)[270]) == {"shape": [80, 96]}


def test_descriptions_of_other_pixels_go_with_a_note(rgb: NDArray[np.uint8]) -> None:
    out = BytesIO()
    tifffile.imwrite(out, rgb, photometric="rgb", ome=True)
    picture = decode(out.getvalue())
    assert picture.notes == ("the OME-XML description is of the old pixels and is dropped",)
    data, _ = image_io.encode(picture, TIFF)
    assert not tifffile.TiffFile(BytesIO(data)).is_ome
    out = BytesIO()
    tifffile.imwrite(out, np.stack([rgb[..., 0]] * 3), imagej=True)
    notes = decode(out.getvalue()).notes
    assert notes[0] == "the ImageJ description is of the old pixels and is dropped"
    kept = decode(made(rgb, (270, "s", 0, "A mountain", True)))
    assert tags_of(image_io.encode(kept, TIFF)[0])[270] == "A mountain"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_further_channels_are_left_out_with_a_note(
    rgba: NDArray[np.uint8], dtype: type[np.generic]
) -> None:
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max // 255  # type: ignore[type-var]
    scale = 1 / 255 if dtype is np.float32 else top
    samples = (rgba.astype(np.float64) * scale).astype(dtype)
    infrared = np.dstack([samples, samples[..., :1]])
    for extra, alpha, note in (
        (["unspecified", "unspecified"], None, "red, green and blue are used"),
        (["unassalpha", "unspecified"], 3, "red, green and blue and transparency are used"),
        (["unspecified", "unassalpha"], 4, "red, green and blue and transparency are used"),
    ):
        picture = decode(made(infrared, extrasamples=extra, planarconfig="contig"))
        assert picture.notes == (f"of its 5 channels only {note}",)
        frame = picture.frames[0]
        assert np.array_equal(frame.pixels, samples[..., :3])
        assert (frame.alpha is None) == (alpha is None)
        if alpha is not None:
            assert frame.alpha is not None
            assert np.array_equal(frame.alpha, infrared[..., alpha])
    four = decode(made(samples, extrasamples=["unspecified"]))
    assert four.frames[0].alpha is None, "the fourth channel is said to be no alpha"
    assert four.notes == ("of its 4 channels only red, green and blue are used",)
    out = BytesIO()
    tifffile.imwrite(out, infrared, photometric="minisblack", planarconfig="contig", metadata=None)
    grey = decode(out.getvalue())
    assert np.array_equal(grey.frames[0].pixels, samples[..., :3])
    assert grey.notes == ("of its 5 channels only red, green and blue are used",)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("count", [2, 3, 4, 5])
@pytest.mark.parametrize("order", ["<", ">"])
def test_separate_planes_that_begin_with_grey_are_read(
    count: int, compression: str | None, order: Literal["<", ">"]
) -> None:
    """GDAL's layout of many bands, which libvips alone takes for samples side by side."""
    planes = np.random.default_rng(2).integers(0, 65536, (count, 20, 24), dtype=np.uint16)
    out = BytesIO()
    tifffile.imwrite(
        out,
        planes,
        photometric="minisblack",
        planarconfig="separate",
        metadata=None,
        compression=compression,
        byteorder=order,
    )
    picture = decode(out.getvalue())
    colours = 1 if count == 2 else 3
    assert np.array_equal(picture.frames[0].pixels, planes[:colours].transpose(1, 2, 0))
    assert len(picture.notes) == (count != 3), "its channels are named"


def test_tiles_of_separate_planes_are_refused_for_what_they_are() -> None:
    out = BytesIO()
    planes = np.zeros((3, 32, 32), np.uint8)
    tifffile.imwrite(out, planes, photometric="rgb", planarconfig="separate", tile=(16, 16))
    with pytest.raises(ImageError, match="the picture: tiles of separate planes cannot be read"):
        decode(out.getvalue())
