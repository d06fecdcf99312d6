"""Any picture can be written in any format, and any Pillow mode can be upscaled."""

from collections.abc import Callable

import numpy as np
import pytest
from fuzz_image_io import seeds
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk import ImageError, Upscaler
from realesrgan_vk.image_io import encode
from realesrgan_vk.image_io.formats import FORMATS, Format, sniff
from realesrgan_vk.image_io.read import decode
from realesrgan_vk.imaging.samples import to_unit

Photo = Callable[..., NDArray[np.uint8]]


@pytest.fixture(scope="module")
def files() -> list[bytes]:
    return seeds()


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_every_picture_goes_to_every_format(files: list[bytes], known: Format) -> None:
    for data in files:
        picture = decode(data)
        encoded, notes = encode(picture, known)
        assert sniff(encoded[:64]) is known
        again = decode(encoded)
        assert (again.width, again.height) == (picture.width, picture.height)
        lost_frames = len(picture.frames) > 1 and not known.animation
        lost_alpha = picture.has_alpha and not known.alpha
        carried = [field for field in ("exif", "xmp") if getattr(picture.metadata, field)]
        lost_fields = sum(field not in known.carries for field in carried)
        frame = picture.frames[0]
        grey = not known.colour or (frame.pixels.shape[2] == 1 and frame.alpha is None)
        lost_colour = not known.colour and frame.pixels.shape[2] == 3
        lost_grey = known.max_bits == 1 and picture.mode != "bilevel"
        bits = known.max_bits if known.deep_colour or grey else 8
        lost_depth = bits == 8 and frame.pixels.dtype != np.uint8
        lost = lost_frames + lost_alpha + lost_fields + lost_colour + lost_grey + lost_depth
        assert len(notes) == lost, notes
        if lost_grey:
            continue
        before = to_unit(picture.frames[0].pixels).mean()
        after = to_unit(again.frames[0].pixels).mean()
        if not lost_alpha:
            assert abs(before - after) < 0.1, (picture.mode, picture.bits)


@pytest.mark.parametrize("mode", ["PA", "RGBX", "La", "RGBa", "HSV", "LAB", "I", "I;16B"])
def test_rare_modes_come_back(photo: Photo, fast: Upscaler, mode: str) -> None:
    rgb = Image.fromarray(photo(12, 10))
    through = {"PA": "P", "La": "LA", "RGBa": "RGBA", "I": "L", "I;16B": "I;16"}
    if mode == "LAB":
        image = Image.merge("LAB", [rgb.convert("L"), *[Image.new("L", rgb.size, 128)] * 2])
    elif mode == "I;16B":
        deep = (np.asarray(rgb.convert("L")).astype(">u2") * 257).astype(">u2")
        image = Image.frombytes("I;16B", rgb.size, deep.tobytes())
    else:
        image = rgb.convert(through.get(mode, mode)).convert(mode)
    out = fast.upscale(image)
    assert (out.mode, out.size) == (mode, (48, 40))


def test_modes_and_values_that_cannot_be_used_are_said(fast: Upscaler) -> None:
    with pytest.raises(ImageError, match=r"values from 0 to 70000, not within 0\.\.65535"):
        fast.upscale(Image.fromarray(np.array([[0, 70_000]], np.int32)))
    with pytest.raises(ImageError, match="NaN or infinite"):
        fast.upscale(Image.fromarray(np.array([[0, np.inf]], np.float32)))
    with pytest.raises(ImageError, match="no pixels"):
        fast.upscale(Image.new("RGB", (0, 5)))
