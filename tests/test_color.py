"""Colour profiles: enhanced in sRGB-encoded values, tagged correctly in the end."""

import struct
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pyvips
from numpy.typing import NDArray
from PIL import Image, ImageCms

from realesrgan_vk import Upscaler, image_io
from realesrgan_vk.image_io import icc
from realesrgan_vk.image_io.color import WorkingCurve, cmyk_to_rgb, rgb_to_cmyk
from realesrgan_vk.request import Request

Photo = Callable[..., NDArray[np.uint8]]
WIDTH, HEIGHT = 24, 16
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def enhanced(fast: Upscaler, source: Path, target: Path, *, strip: bool = False) -> None:
    picture = fast.upscale_picture(image_io.read(source), Request())
    image_io.write(picture, target, image_io.WriteOptions(strip=strip))


def p3_profile() -> bytes:
    grey = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb")
    return bytes(grey.icc_transform("p3", input_profile="srgb").get("icc-profile-data"))


def gamma_profile(gamma: float) -> bytes:
    """A matrix profile with sRGB's primaries and a pure power curve."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)

    def fixed(*xyz: float) -> bytes:
        return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * value) for value in xyz))

    tags = {
        b"wtpt": fixed(0.9642, 1.0, 0.8249),
        b"rXYZ": fixed(0.4361, 0.2225, 0.0139),
        b"gXYZ": fixed(0.3851, 0.7169, 0.0971),
        b"bXYZ": fixed(0.1431, 0.0606, 0.7141),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    table, content = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(content), len(data))
        content += data
    head = bytearray(128)
    head[8:12] = struct.pack(">I", 0x02400000)
    head[12:24] = b"mntrRGB XYZ "
    head[36:40] = b"acsp"
    head[68:80] = struct.pack(">iii", 63190, 65536, 54061)
    head[0:4] = struct.pack(">I", start + len(content))
    return bytes(head) + table + content


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
