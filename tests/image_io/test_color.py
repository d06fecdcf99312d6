"""Colour profiles: enhanced in sRGB-encoded values, tagged correctly in the end."""

import struct
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from picture_files import gamma_profile, matrix_profile
from PIL import Image, ImageCms

from realesrgan_vk import Upscaler, image_io
from realesrgan_vk.image_io.codecs.color import WorkingCurve, cmyk_to_rgb, rgb_to_cmyk
from realesrgan_vk.image_io.metadata import icc
from realesrgan_vk.imaging.picture import Frame, Metadata, Picture
from realesrgan_vk.options import Request

Photo = Callable[..., NDArray[np.uint8]]
WIDTH, HEIGHT = 24, 16
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def enhanced(fast: Upscaler, source: Path, target: Path, *, strip: bool = False) -> None:
    picture = fast.upscale_picture(image_io.read(source), Request())
    image_io.write(picture, target, image_io.WriteOptions(strip=strip))


def p3_profile() -> bytes:
    grey = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb")
    return bytes(grey.icc_transform("p3", input_profile="srgb").get("icc-profile-data"))


def parametric(kind: int, *values: float) -> bytes:
    """A parametric curve (ICC.1:2022, section 10.18)."""
    fixed = (round(65536 * value) for value in values)
    return b"para" + bytes(4) + struct.pack(f">HH{len(values)}i", kind, 0, *fixed)


def grey_profile(gamma: float) -> bytes:
    """A grey profile with a pure power curve."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    made = bytearray(matrix_profile(curve))
    made[16:20] = b"GRAY"
    return bytes(made).replace(b"rTRC", b"kTRC")


def test_a_display_p3_photograph_keeps_its_colours(
    photo: Photo, fast: Upscaler, tmp_path: Path
) -> None:
    profile = p3_profile()
    assert icc.colour_space(profile) == "RGB"
    saturated = photo(WIDTH, HEIGHT).copy()
    saturated[4:12, 4:12] = (255, 0, 0)  # a red that sRGB does not have
    source, target = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(saturated).save(source, icc_profile=profile)
    enhanced(fast, source, target)
    with Image.open(target) as out:
        assert out.info["icc_profile"] == profile
        pixels = np.asarray(out)
    assert np.array_equal(pixels, fast.upscale(saturated)), "its values are sRGB-encoded already"
    assert np.abs(pixels[32, 32].astype(int) - (255, 0, 0)).max() < 12


def test_other_curves_are_enhanced_in_srgb_encoded_values(
    photo: Photo, fast: Upscaler, tmp_path: Path
) -> None:
    profile = gamma_profile(1.0)  # linear light
    encoded = photo(WIDTH, HEIGHT)
    source, target = tmp_path / "a.png", tmp_path / "b.png"
    curve = WorkingCurve.of(profile)
    linear = curve.decode(encoded, np.dtype(np.uint16)).astype(np.uint16)
    expected = curve.decode(fast.upscale(curve.encode(linear)), np.dtype(np.uint16))
    data = pyvips.Image.new_from_array(linear).copy(interpretation="rgb16").pngsave_buffer()
    source.write_bytes(data)
    picture = image_io.read(source)
    picture = replace(picture, metadata=replace(picture.metadata, icc=profile))
    done = fast.upscale_picture(picture, Request())
    assert np.array_equal(done.frames[0].pixels, expected)
    plain = fast.upscale(linear)
    assert np.abs(plain.astype(int) - expected).max() > 500, "otherwise nothing was tested"
    image_io.write(done, target)
    with Image.open(target) as out:
        assert out.info["icc_profile"] == profile


def test_curves_invert_themselves_and_bad_profiles_are_left_alone() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    for gamma in (1.0, 1.8, 2.2):
        curve = WorkingCurve.of(gamma_profile(gamma))
        encoded = curve.encode(values)
        assert encoded.dtype == np.uint16
        assert np.array_equal(curve.decode(encoded, np.dtype(np.uint8)), values)
    x = 100 / 255
    working = WorkingCurve.of(gamma_profile(1.8)).encode(np.full((1, 1, 3), 100, np.uint8))
    assert abs(working[0, 0, 0] / 65535 - (1.055 * (x**1.8) ** (1 / 2.4) - 0.055)) < 1e-3
    for profile in (None, b"", b"no profile", SRGB, p3_profile(), gamma_profile(1.8)[:160]):
        assert WorkingCurve.of(profile).curves == ()


@pytest.mark.parametrize(
    "values",
    [(1, 2.2, 0.0, 0.5), (2, 2.2, 0.0, 0.5, 0.1), (1, -1.0, 1.0, 0.0), (1, 2.2, -1.0, 0.0), (3,)],
)
def test_curves_that_make_no_sense_are_not_used_and_said(
    photo: Photo, fast: Upscaler, tmp_path: Path, values: tuple[float, ...]
) -> None:
    profile = matrix_profile(parametric(int(values[0]), *values[1:]))
    assert WorkingCurve.of(profile).curves == ()
    rgb = photo(WIDTH, HEIGHT)
    Image.fromarray(rgb).save(tmp_path / "a.png", icc_profile=profile)
    picture = image_io.read(tmp_path / "a.png")
    assert picture.notes == ("the colour profile is damaged; its curves are not used",)
    enhanced(fast, tmp_path / "a.png", tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as out:
        assert np.array_equal(np.asarray(out), fast.upscale(rgb))


def test_parametric_curves_are_used() -> None:
    x = np.linspace(0, 1, icc.CURVE_POINTS)
    for kind, values, expected in (
        (0, (1.8,), x**1.8),
        (1, (2.0, 1.25, -0.25), np.maximum(1.25 * x - 0.25, 0) ** 2),
        (3, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045), None),
    ):
        curves = icc.tone_curves(matrix_profile(parametric(kind, *values)))
        assert curves is not None
        if expected is not None:
            assert np.abs(curves[0] - expected).max() < 1e-3
    assert WorkingCurve.of(matrix_profile(parametric(kind, *values))).curves == (), "it is sRGB"


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "deep.png"])
@pytest.mark.parametrize("kind", ["RGB", "GRAY"])
def test_a_grey_picture_keeps_its_profile_or_its_look(
    photo: Photo, fast: Upscaler, tmp_path: Path, suffix: str, kind: str
) -> None:
    """Grey with an RGB profile is common; WebP has no grey, so grey is converted to sRGB there."""
    profile = gamma_profile(1.0) if kind == "RGB" else grey_profile(1.0)
    grey = np.full((16, 24), 55, np.uint8)
    source, target = tmp_path / "a.png", tmp_path / f"b.{suffix}"
    Image.fromarray(grey).save(source, icc_profile=profile)
    picture = image_io.read(source)
    if suffix == "deep.png":
        deep = Frame(picture.frames[0].pixels.astype(np.uint16) * 257)
        picture = replace(picture, frames=(deep,), bits=16)
    done = fast.upscale_picture(picture, Request())
    assert image_io.write(done, target, image_io.WriteOptions(lossless=True)) == ()
    if suffix == "deep.png":
        assert image_io.read(target).metadata.icc == profile
    with Image.open(target) as out:
        value = np.asarray(out.convert("L") if out.mode == "RGB" else out)[32, 32]
        encoded = 255 * (1.055 * (55 / 255) ** (1 / 2.4) - 0.055)
        if suffix == "webp" and kind == "GRAY":
            assert "icc_profile" not in out.info
            assert abs(int(value) - encoded) < 3
        else:
            assert out.info["icc_profile"] == profile
            assert abs(int(value) / (257 if suffix == "deep.png" else 1) - 55) < 3
    stripped = tmp_path / "c.png"
    image_io.write(done, stripped, image_io.WriteOptions(strip=True))
    shown = image_io.read(stripped)
    assert shown.metadata.icc is None
    assert (
        abs(int(shown.frames[0].pixels[32, 32, 0]) / (257 if "deep" in suffix else 1) - encoded) < 3
    )


def test_a_profile_that_cannot_be_kept_is_said(photo: Photo) -> None:
    picture = Picture((Frame(photo(WIDTH, HEIGHT)),), "colour", 8)
    for profile, words in (
        (grey_profile(1.0), "is of GRAY and"),
        (b"no profile", "is damaged and"),
    ):
        wrong = replace(picture, metadata=Metadata(icc=profile))
        data, notes = image_io.encode(wrong, image_io.formats.PNG)
        expected = f"the colour profile {words} does not fit the RGB picture; it is dropped"
        assert notes == (expected,)
        assert b"iCCP" not in data


def test_stripping_cmyk_drops_its_profile_and_keeps_its_colours(tmp_path: Path) -> None:
    """The inks are then those of a reader without colour management."""
    plain = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb")
    profile = bytes(plain.icc_transform("cmyk", input_profile="srgb").get("icc-profile-data"))
    soft = np.full((8, 8, 3), (150, 120, 110), np.uint8)
    picture = Picture((Frame(soft),), "cmyk", 8, Metadata(icc=profile))
    for suffix in ("tif", "jpg"):
        path = tmp_path / f"a.{suffix}"
        image_io.write(picture, path, image_io.WriteOptions(strip=True))
        with Image.open(path) as image:
            assert image.mode == "CMYK"
            assert "icc_profile" not in image.info
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - soft).max() <= 4


def test_stripping_a_profile_converts_to_srgb(photo: Photo, fast: Upscaler, tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    image = Image.fromarray(np.full((16, 16, 3), (200, 90, 60), np.uint8))
    image.save(source, icc_profile=p3_profile())
    for target in (tmp_path / "b.png", tmp_path / "b.bmp"):
        enhanced(fast, source, target, strip=target.suffix == ".png")
        expected = ImageCms.profileToProfile(
            image, ImageCms.ImageCmsProfile(BytesIO(p3_profile())), ImageCms.createProfile("sRGB")
        )
        assert expected is not None
        with Image.open(target) as out:
            assert "icc_profile" not in out.info
            shown = np.asarray(out)[32, 32].astype(int)
        assert np.abs(shown - np.asarray(expected)[8, 8]).max() <= 6


def test_cmyk_goes_to_rgb_and_back() -> None:
    rng = np.random.default_rng(5)
    rgb = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    back = cmyk_to_rgb(rgb_to_cmyk(rgb, None), None)
    assert np.abs(back.astype(int) - rgb).max() <= 2
    grey = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb")
    profile = bytes(grey.icc_transform("cmyk", input_profile="srgb").get("icc-profile-data"))
    soft = np.full((8, 8, 3), (150, 120, 110), np.uint8)
    inks = rgb_to_cmyk(soft, profile)
    assert inks.shape == (8, 8, 4)
    assert not np.array_equal(inks, rgb_to_cmyk(soft, None)), "the profile is used"
    assert np.abs(cmyk_to_rgb(inks, profile).astype(int) - soft).max() <= 4
