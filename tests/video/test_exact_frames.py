"""The contract for pictures holds for frames: lossless results against H.273 in doubles.

Each decoded frame is compared with `Upscaler.upscale` of the exactly converted source frame. With a
result of 16 bits and 4:4:4 nothing but its rounding is allowed: one step of 16 bits, which is 1/256
of a step of 8 bits.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pytest
import video_files
from compact_network import compact_graph, random_weights, write_compact
from h273 import Plane, planes_by_h273, rgb_by_h273
from numpy.typing import NDArray
from video_files import COLOURS, ClipFile, Matrix, plain

from realesrgan_vk import Upscaler, YuvFormat, video
from realesrgan_vk.models.ncnn.param import format_graph
from realesrgan_vk.models.ncnn.weights import LayerWeights, format_weights
from realesrgan_vk.video import VideoOptions, VideoReader

MATRICES: tuple[Matrix, ...] = get_args(Matrix)
SIXTEEN_BITS = "yuv444p16le"


@dataclass(frozen=True)
class Source:
    """How a source file stores the scene, losslessly."""

    pixels: str
    tags: Matrix | None = None
    full_range: bool = False
    codec: str = "ffv1"
    suffix: str = ".mkv"

    @property
    def stream(self) -> video_files.VideoOptions:
        if self.tags is None:
            return {}
        return {"tags": self.tags, "full_range": self.full_range}

    @property
    def siting(self) -> video_files.Siting:
        return "top_left" if self.tags == "bt2020" else "left"

    def __str__(self) -> str:
        stored = "full" if self.full_range else "limited"
        return f"{self.pixels}-{self.tags or 'untagged'}-{stored}"


SOURCES = [
    *(Source("yuv420p", tags, full) for tags in MATRICES for full in (False, True)),
    *(Source("yuv420p10le", tags) for tags in MATRICES[1:]),
    Source("yuv420p"),
    Source("yuv422p", "bt709"),
    Source("yuv444p", "bt601"),
    Source("yuv420p12le", "bt2020"),
    Source("nv12", codec="rawvideo", suffix=".nut"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_compact(tmp_path_factory.mktemp("network"), "net", features=4)


@pytest.fixture(scope="module")
def enlarging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that writes every pixel four times: all its weights are zero but those around."""
    folder = tmp_path_factory.mktemp("network")
    graph = compact_graph(features=4)
    weights = {
        name: LayerWeights(
            np.zeros_like(each.weight), None if each.bias is None else np.zeros_like(each.bias)
        )
        for name, each in random_weights(graph, 0).items()
    }
    (folder / "net.param").write_text(format_graph(graph), "utf-8")
    (folder / "net.bin").write_bytes(format_weights(graph, weights))
    return folder / "net.param"


def upscaled(
    source: Path, model: Path | str, pixels: str, strength: float = 1
) -> list[list[Plane]]:
    """Planes of all frames of the result, which is lossless."""
    result = source.with_name("result.mkv")
    options = VideoOptions(codec="ffv1", pixel_format=pixels)
    video.upscale(source, result, model=model, device="cpu", options=options, strength=strength)
    return video_files.decoded(result)


def expected_colours(
    upscaler: Upscaler, planes: list[Plane], form: YuvFormat
) -> NDArray[np.float32]:
    return upscaler.upscale(rgb_by_h273(planes, form).astype(np.float32))


def form_of_16_bits(form: YuvFormat) -> YuvFormat:
    return YuvFormat(matrix=form.matrix, full_range=form.full_range, bits=16, subsampling=(1, 1))


def steps_between(frame: list[Plane], expected: list[Plane]) -> int:
    assert [plane.shape for plane in frame] == [plane.shape for plane in expected]
    return max(
        int(np.abs(plane.astype(np.int64) - other).max())
        for plane, other in zip(frame, expected, strict=True)
    )


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_frames_are_the_pictures_of_their_colours(
    source: Source, model: Path, tmp_path: Path
) -> None:
    """Within one step of 16 bits, 0.004 steps of 8 bits."""
    clip = plain(
        tmp_path / f"source{source.suffix}",
        3,
        codec=source.codec,
        pixels=source.pixels,
        siting=source.siting,
        **source.stream,
    )
    frames = upscaled(clip.path, model, SIXTEEN_BITS)
    assert len(frames) == len(clip.frames)
    target = form_of_16_bits(clip.form)
    with Upscaler(model, device="cpu") as upscaler:
        for frame, planes in zip(frames, clip.frames, strict=True):
            expected = planes_by_h273(expected_colours(upscaler, planes, clip.form), target)
            assert steps_between(frame, expected) <= 1


def test_frames_of_an_official_network(tmp_path: Path) -> None:
    """Within one step of 16 bits, 0.004 steps of 8 bits."""
    clip = plain(tmp_path / "source.mkv", 2, codec="ffv1", tags="bt709")
    frames = upscaled(clip.path, "realesr-animevideov3-x2", SIXTEEN_BITS)
    target = form_of_16_bits(clip.form)
    with Upscaler("realesr-animevideov3-x2", device="cpu") as upscaler:
        for frame, planes in zip(frames, clip.frames, strict=True):
            expected = planes_by_h273(expected_colours(upscaler, planes, clip.form), target)
            assert steps_between(frame, expected) <= 1


def test_frames_of_less_strength(model: Path, tmp_path: Path) -> None:
    """Within one step of 16 bits."""
    clip = plain(tmp_path / "source.mkv", 2, codec="ffv1", tags="bt709")
    frames = upscaled(clip.path, model, SIXTEEN_BITS, strength=0.25)
    target = form_of_16_bits(clip.form)
    with Upscaler(model, device="cpu") as upscaler:
        for frame, planes in zip(frames, clip.frames, strict=True):
            colours = rgb_by_h273(planes, clip.form).astype(np.float32)
            expected = planes_by_h273(upscaler.upscale(colours, strength=0.25), target)
            assert steps_between(frame, expected) <= 1


@pytest.mark.parametrize(("codec", "suffix"), [("ffv1", "mkv"), ("prores_ks", "mov")])
def test_transparent_frames_are_transparent_pictures(
    codec: Literal["ffv1", "prores_ks"], suffix: str, model: Path, tmp_path: Path
) -> None:
    """Colours within one step of 16 bits, alpha too: of `Upscaler.upscale` with four channels."""
    clip = video_files.with_alpha(tmp_path / f"source.{suffix}", codec)
    source = video_files.decoded(clip.path)
    frames = upscaled(clip.path, model, "yuva444p16le")
    form = video_files.pixel_format("yuva444p" if codec == "ffv1" else "yuva444p12le")
    with Upscaler(model, device="cpu") as upscaler:
        for frame, planes in zip(frames, source, strict=True):
            colours = rgb_by_h273(planes[:3], form)
            alpha = planes[3] / (2**form.bits - 1)
            large = upscaler.upscale(np.dstack([colours, alpha]).astype(np.float32))
            expected = planes_by_h273(large[..., :3], form_of_16_bits(form))
            expected.append(np.round(large[..., 3].astype(np.float64) * 65535).astype(np.uint16))
            assert steps_between(frame, expected) <= 1


@pytest.mark.parametrize("pixels", ["bgr0", "gray"])
def test_frames_of_rgb_and_grey(pixels: str, model: Path, tmp_path: Path) -> None:
    """RGB becomes BT.709 of limited range, grey keeps its range; within one step of 16 bits."""
    clip = plain(tmp_path / "source.mkv", 2, codec="ffv1", pixels=pixels)
    frames = upscaled(clip.path, model, "yuv444p16le")
    matrix: Matrix = "bt709" if pixels == "bgr0" else "bt601"
    target = video_files.pixel_format("yuv444p16le", matrix)
    with Upscaler(model, device="cpu") as upscaler:
        for frame, planes in zip(frames, clip.frames, strict=True):
            if pixels == "gray":
                for plane in planes[1:]:
                    plane[...] = 128
            expected = planes_by_h273(expected_colours(upscaler, planes, clip.form), target)
            assert steps_between(frame, expected) <= 1


def flat_frames(form: YuvFormat) -> list[list[Plane]]:
    """A frame each of white, black, the primaries and their complements."""
    return [planes_by_h273(np.full((8, 8, 3), colour) / 255, form) for colour in COLOURS]


@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("tags", MATRICES)
def test_white_black_and_primaries_are_exact(
    tags: Matrix, pixels: str, full_range: bool, enlarging: Path, tmp_path: Path
) -> None:
    """No sample differs, in 16 bits and in the source's own depth.

    Colours of a few bits lie up to a step beyond 0..1, where pictures end; so does the reference.
    In full range, chroma of the primaries lies halfway between two samples; either may be taken.
    """
    form = video_files.pixel_format(pixels, tags, full_range=full_range)
    frames = flat_frames(form)
    source = tmp_path / "source.mkv"
    with ClipFile(source) as file:
        times = video_files.seconds(len(frames))
        file.video(frames, times, "ffv1", pixels, tags=tags, full_range=full_range)
    own = YuvFormat(matrix=form.matrix, full_range=full_range, bits=form.bits, subsampling=(1, 1))
    fine = upscaled(source, enlarging, SIXTEEN_BITS)
    coarse = upscaled(source, enlarging, pixels.replace("420", "444"))
    for results, target in ((fine, form_of_16_bits(form)), (coarse, own)):
        for result, planes in zip(results, frames, strict=True):
            colours = rgb_by_h273(planes, form).clip(0, 1).repeat(2, axis=0).repeat(2, axis=1)
            assert steps_between(result, planes_by_h273(colours, target)) <= full_range
    unit = 256
    white, black = fine[:2]
    if full_range:
        assert (white[0].min(), black[0].max()) == (65535, 0)
    else:
        assert (white[0].min(), black[0].max()) == (235 * unit, 16 * unit)
    assert all((plane == 128 * unit).all() for plane in (*white[1:], *black[1:]))


def test_colours_that_change_within_a_file(tmp_path: Path) -> None:
    """As in a stream that was put together of two."""
    path, other = tmp_path / "clip.h264", tmp_path / "other.h264"
    video_files.plain(path, 2, container="h264", tags="bt709")
    video_files.plain(other, 2, container="h264", tags="bt601", full_range=True)
    path.write_bytes(path.read_bytes() + other.read_bytes())
    with VideoReader(path) as frames:
        found = [(frame.yuv_format.matrix, frame.yuv_format.full_range) for frame in frames]
    assert found == [("bt709", False)] * 2 + [("bt601", True)] * 2
