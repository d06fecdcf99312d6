"""Frames of planar YUV: the conversion against H.273 in doubles, and runs against those of RGB."""

from typing import Any, Literal

import numpy as np
import pytest
from compact_network import write_compact
from conftest import Photo
from h273 import empty_planes, rgb_by_h273

import realesrgan_vk
from realesrgan_vk import Upscaler, YuvFormat, list_devices
from realesrgan_vk._core import rgb_to_yuv, yuv_to_rgb

Siting = Literal["left", "center", "top_left"]
MATRICES: tuple[Literal["bt601", "bt709", "bt2020"], ...] = ("bt601", "bt709", "bt2020")


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    return Upscaler("realesr-animevideov3-x2", device="cpu")


@pytest.fixture(scope="module")
def on_vulkan(tmp_path_factory: pytest.TempPathFactory) -> Upscaler:
    """A small network on the first device, which converts the colours of planes itself."""
    if not list_devices():
        pytest.skip("no Vulkan device: no loader (libvulkan.so.1) or no driver is installed")
    return Upscaler(write_compact(tmp_path_factory.mktemp("network"), "small"), device=0)


SAMPLES: tuple[tuple[Siting, int, tuple[int, int]], ...] = (
    ("left", 8, (2, 2)),
    ("center", 8, (2, 2)),
    ("top_left", 10, (2, 2)),
    ("left", 12, (2, 1)),
    ("left", 16, (1, 1)),
    ("left", 8, (4, 1)),
)
FORMATS = [
    YuvFormat(matrix=matrix, full_range=full, siting=siting, bits=bits, subsampling=subsampling)
    for matrix in MATRICES
    for full in (False, True)
    for siting, bits, subsampling in SAMPLES
] + [
    YuvFormat(matrix="rgb", full_range=full, bits=10, subsampling=(1, 1)) for full in (False, True)
]


@pytest.mark.parametrize("form", FORMATS, ids=repr)
@pytest.mark.parametrize("size", [(37, 23), (1, 1), (2, 5)])
def test_planes_become_the_colours_of_the_standard(form: YuvFormat, size: tuple[int, int]) -> None:
    random = np.random.default_rng(3)
    planes = [
        random.integers(0, 2**form.bits, plane.shape, plane.dtype)
        for plane in empty_planes(*size, form)
    ]
    assert np.abs(yuv_to_rgb(planes, form) - rgb_by_h273(planes, form)).max() < 2e-6


@pytest.mark.parametrize("form", FORMATS, ids=repr)
def test_colours_that_planes_gave_become_the_same_planes(form: YuvFormat) -> None:
    """Where chroma is subsampled, only if it is flat: a mean of interpolations is smoother."""
    random = np.random.default_rng(4)
    planes = [
        random.integers(0, 2**form.bits, plane.shape, plane.dtype)
        for plane in empty_planes(20, 14, form)
    ]
    if form.subsampling != (1, 1):
        for plane in planes[1:]:
            plane[...] = plane[0, 0]
    back = empty_planes(20, 14, form)
    rgb_to_yuv(yuv_to_rgb(planes, form), back, form)
    for before, after in zip(planes, back, strict=True):
        assert np.array_equal(before, after)


@pytest.mark.parametrize("siting", ["left", "center", "top_left"])
def test_what_subsampling_again_does_to_a_photograph(siting: Siting, photo: Photo) -> None:
    form = YuvFormat(siting=siting)
    planes, back = empty_planes(256, 256, form), empty_planes(256, 256, form)
    rgb_to_yuv((photo(256, 256) / 255).astype(np.float32), planes, form)
    rgb_to_yuv(yuv_to_rgb(planes, form), back, form)
    assert np.array_equal(planes[0], back[0])
    for before, after in zip(planes[1:], back[1:], strict=True):
        change = np.abs(before.astype(int) - after)
        # Per axis the samples are weighted by 1/8, 6/8 and 1/8.
        assert change.mean() < 0.6
        assert np.quantile(change, 0.99) <= 6


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (YuvFormat(matrix="bt601"), YuvFormat(bits=16, subsampling=(1, 1))),
        (YuvFormat(bits=10, low_bits=6), YuvFormat(bits=16, subsampling=(1, 1))),
        (YuvFormat(matrix="bt2020", bits=10, siting="top_left"), YuvFormat(siting="center")),
        (YuvFormat(full_range=True), None),
    ],
    ids=repr,
)
def test_a_frame_is_the_picture_of_its_colours(
    upscaler: Upscaler, source: YuvFormat, target: YuvFormat | None, photo: Photo
) -> None:
    width, height = 50, 37
    planes = empty_planes(width, height, source)
    rgb_to_yuv((photo(width, height) / 255).astype(np.float32), planes, source)
    large = empty_planes(2 * width, 2 * height, target or source)
    upscaler.upscale_yuv(planes, source, large, target)
    expected = empty_planes(2 * width, 2 * height, target or source)
    colours = upscaler.upscale(yuv_to_rgb(planes, source))
    rgb_to_yuv(colours, expected, target or source)
    for frame, picture in zip(large, expected, strict=True):
        assert np.array_equal(frame, picture)


@pytest.mark.parametrize("form", FORMATS, ids=repr)
@pytest.mark.parametrize("size", [(37, 23), (1, 1), (2, 5)])
def test_a_frame_on_vulkan_is_the_picture_of_its_colours(
    on_vulkan: Upscaler, form: YuvFormat, size: tuple[int, int]
) -> None:
    """The device's conversion of planes against the host's, with the same network and device."""
    width, height = size
    random = np.random.default_rng(5)
    eighth = 2 ** (form.bits - 3)  # without the most saturated colours, which `upscale` refuses
    planes = [
        random.integers(eighth, 7 * eighth, plane.shape, plane.dtype)
        for plane in empty_planes(width, height, form)
    ]
    large = empty_planes(2 * width, 2 * height, form)
    on_vulkan.upscale_yuv(planes, form, large)
    expected = empty_planes(2 * width, 2 * height, form)
    rgb_to_yuv(on_vulkan.upscale(yuv_to_rgb(planes, form)), expected, form)
    steps = np.concatenate(
        [
            np.abs(frame.astype(int) - picture).ravel()
            for frame, picture in zip(large, expected, strict=True)
        ]
    )
    assert steps.max() <= 1
    assert (steps > 0).mean() <= 1e-3


def test_a_frame_on_vulkan_in_another_format(on_vulkan: Upscaler, photo: Photo) -> None:
    """From ten bits in the upper ones of two bytes (P010) to interleaved chroma (NV12)."""
    source, target = YuvFormat(matrix="bt2020", bits=10, low_bits=6), YuvFormat(siting="center")
    planes = empty_planes(51, 38, source)
    rgb_to_yuv((photo(51, 38) / 255).astype(np.float32), planes, source)
    luma, chroma = np.zeros((76, 112), np.uint8), np.zeros((38, 102), np.uint8)
    large = [luma[:, :102], chroma[:, 0::2], chroma[:, 1::2]]
    on_vulkan.upscale_yuv(planes, source, large, target)
    assert not luma[:, 102:].any()
    expected = empty_planes(102, 76, target)
    rgb_to_yuv(on_vulkan.upscale(yuv_to_rgb(planes, source)), expected, target)
    for frame, picture in zip(large, expected, strict=True):
        assert np.abs(frame.astype(int) - picture).max() <= 1


def test_interleaved_chroma_and_any_strides(upscaler: Upscaler, photo: Photo) -> None:
    form = YuvFormat()
    planes, large = empty_planes(30, 20, form), empty_planes(60, 40, form)
    rgb_to_yuv((photo(30, 20) / 255).astype(np.float32), planes, form)
    upscaler.upscale_yuv(planes, form, large)
    shared = np.empty((10, 30), np.uint8)  # NV12
    shared[:, 0::2], shared[:, 1::2] = planes[1:]
    interleaved = np.zeros((20, 60), np.uint8)
    luma = np.zeros((40, 64), np.uint8)  # FFmpeg's rows have gaps between them
    upscaler.upscale_yuv(
        [planes[0], shared[:, 0::2], shared[:, 1::2]],
        form,
        [luma[:, :60], interleaved[:, 0::2], interleaved[:, 1::2]],
    )
    assert np.array_equal(luma[:, :60], large[0])
    assert not luma[:, 60:].any()
    assert np.array_equal(interleaved[:, 0::2], large[1])
    assert np.array_equal(interleaved[:, 1::2], large[2])


def test_a_grey_frame(upscaler: Upscaler, photo: Photo) -> None:
    grey = photo(30, 20)[..., 1]
    large = np.zeros((40, 60), np.uint8)
    form = YuvFormat(full_range=True)
    upscaler.upscale_yuv([grey], form, [large])
    expected = upscaler.upscale(np.repeat(grey[..., None], 3, axis=2)).astype(float)
    luma = expected @ np.array([0.2126, 0.7152, 0.0722])
    assert np.abs(large - luma).max() <= 1


def test_wrong_frames_are_refused_in_words(upscaler: Upscaler) -> None:
    form = YuvFormat()
    planes, large = empty_planes(8, 6, form), empty_planes(16, 12, form)
    ten = YuvFormat(bits=10)
    cases: list[tuple[type[Exception], str, Any]] = [
        (ValueError, r"2 planes; expected 1 \(grey\) or 3", (planes[:2], form, large)),
        (
            ValueError,
            r"source\[1\] is 2 x 4; expected 3 x 4",
            ([planes[0], planes[1][1:], planes[2]], form, large),
        ),
        (ValueError, "target is 6 x 8; expected 12 x 16, 2 times", (planes, form, planes)),
        (TypeError, "uint8 for 8 bits, uint16 for more", (planes, ten, large)),
        (TypeError, "source_format", (planes, "bt709", large)),
        (ValueError, r"source\[0\] has 3 dimensions", ([planes[0][..., None]], form, large[:1])),
    ]
    for error, words, arguments in cases:
        with pytest.raises(error, match=words):
            upscaler.upscale_yuv(*arguments)
    large[2].flags.writeable = False
    with pytest.raises(ValueError, match="not writeable"):
        upscaler.upscale_yuv(planes, form, large)
    for options, words in (
        ({"matrix": "bt470"}, "matrix 'bt470'; possible are bt601, bt709, bt2020, rgb"),
        ({"siting": "right"}, "siting 'right'; possible are left, center, top_left"),
        ({"bits": 7}, "7 bits a sample; 8 to 16"),
        ({"subsampling": (3, 1)}, "subsampling by 3"),
        ({"bits": 16, "low_bits": 1}, "1 unused bits"),
        ({"matrix": "rgb"}, "cannot be subsampled"),
    ):
        with pytest.raises(ValueError, match=words):
            YuvFormat(**options)


def test_progress_and_cancelling(upscaler: Upscaler) -> None:
    form = YuvFormat()
    planes, large = empty_planes(40, 64, form), empty_planes(80, 128, form)
    seen: list[float] = []
    upscaler.upscale_yuv(planes, form, large, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1

    def cancel(_: float) -> None:
        raise realesrgan_vk.Cancelled("enough")

    with pytest.raises(realesrgan_vk.Cancelled, match="enough"):
        upscaler.upscale_yuv(planes, form, large, progress=cancel)
