"""Compression as a frame of a video: colours, quality, motion, draws, and what is missing."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from realesrgan_train.config.degradation import VIDEO_CODECS, DegradationConfig, VideoConfig
from realesrgan_train.degradations.draw import DrawnVideo, draw
from realesrgan_train.degradations.recipe import Degrader
from realesrgan_train.degradations.video import (
    _to_planes,
    _to_rgb,
    check_encoders,
    compress_as_video,
)
from realesrgan_train.errors import ConfigError
from realesrgan_train.preview import describe
from tests.degradations.pictures import crops

FINEST = {"h264": 1, "hevc": 1, "vp9": 1, "mpeg2": 1}


@pytest.fixture
def av() -> None:
    if not os.environ.get("CI"):
        pytest.importorskip("av", reason="PyAV is not installed")


def drawn(codec: str, *quantisers: int, frames: int = 1, move: float = 0.0) -> DrawnVideo:
    count = len(quantisers)
    return DrawnVideo(
        applied=torch.ones(count, dtype=torch.bool),
        codec=torch.full((count,), VIDEO_CODECS.index(codec)),
        quantiser=torch.tensor(quantisers),
        frames=torch.full((count,), frames),
        move_y=torch.full((count,), move, dtype=torch.float64),
        move_x=torch.full((count,), -move, dtype=torch.float64),
    )


def through_colours(x: Tensor) -> Tensor:
    """A picture, [1, 3, H, W], as 4:2:0 and back, which costs the same with every codec."""
    return torch.from_numpy(_to_rgb(_to_planes(x[0].numpy())))[None]


def error(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().mean()) * 255


def test_colours_are_those_of_bt_601() -> None:
    known = {  # ITU-R BT.601, 8 bits
        (0, 0, 0): (16, 128, 128),
        (1, 1, 1): (235, 128, 128),
        (1, 0, 0): (81, 90, 240),
        (0, 1, 0): (145, 54, 34),
        (0, 0, 1): (41, 240, 110),
    }
    for rgb, yuv in known.items():
        picture = np.broadcast_to(np.array(rgb, np.float32)[:, None, None], (3, 4, 6))
        planes = _to_planes(picture)
        assert [plane.shape for plane in planes] == [(4, 6), (2, 3), (2, 3)]
        assert tuple(int(plane[0, 0]) for plane in planes) == yuv
        assert np.abs(_to_rgb(planes) - picture).max() * 255 < 2.5
    smooth = np.linspace(0, 1, 3 * 8 * 10, dtype=np.float32).reshape(3, 8, 10)
    assert np.abs(_to_rgb(_to_planes(smooth)) - smooth).mean() * 255 < 1


@pytest.mark.usefixtures("av")
@pytest.mark.parametrize("codec", VIDEO_CODECS)
def test_a_larger_quantiser_loses_more(codec: str) -> None:
    x = crops(1, 70, 90)
    worst = {"mpeg2": 31, "vp9": 63}.get(codec, 50)
    results = compress_as_video(x.expand(3, -1, -1, -1), drawn(codec, 1, worst // 2, worst))
    planes = through_colours(x)
    errors = [error(result[None], planes) for result in results]
    assert errors[0] < 1 < errors[1] < errors[2]
    assert errors[2] > 3
    steps = results * 255
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-4)
    again = compress_as_video(x, drawn(codec, worst))
    assert torch.equal(again[0], results[2])


@pytest.mark.usefixtures("av")
@pytest.mark.parametrize("codec", VIDEO_CODECS)
def test_the_last_frame_of_a_moving_clip_is_the_picture(codec: str) -> None:
    for height, width in ((65, 83), (7, 3)):
        x = crops(1, height, width)
        still = through_colours(x[..., : height // 2 * 2, : width // 2 * 2])
        result = compress_as_video(x, drawn(codec, FINEST[codec], frames=5, move=1.7))
        assert result.shape == x.shape
        inside = result[..., : height // 2 * 2, : width // 2 * 2]
        assert error(inside, still) < 2.5


@pytest.mark.usefixtures("av")
def test_only_drawn_samples_are_compressed() -> None:
    recipe = DegradationConfig(
        granularity="sample", input_size=64, patch_size=64, video=VideoConfig(probability=0.5)
    )
    gt = crops(6, 64, 64)
    decisions = draw(recipe, 6, torch.Generator().manual_seed(3))
    video = decisions.video
    assert video is not None
    assert 0 < int(video.applied.sum()) < 6
    degrader = Degrader(recipe, 4)
    with_video = degrader.apply_drawn(gt, decisions).lq
    plain = DegradationConfig(granularity="sample", input_size=64, patch_size=64)
    without = draw(plain, 6, torch.Generator().manual_seed(3))
    assert without.video is None
    before = Degrader(plain, 4).apply_drawn(gt, without).lq  # all other draws are the same
    changed = (with_video != before).flatten(1).any(1)
    assert torch.equal(changed, video.applied)
    assert torch.equal(degrader.apply_drawn(gt, decisions).lq, with_video)
    lines = [describe(decisions, sample) for sample in range(6)]
    assert all(len(each) == 11 for each in lines)
    assert {each[-1] == "no video" for each in lines} == {True, False}


def test_draws_keep_to_the_configuration() -> None:
    config = VideoConfig(probability=0.7, frames=(2, 5), motion=3.0, h264=(20, 23))
    found = draw(DegradationConfig(video=config), 4000, torch.Generator().manual_seed(0)).video
    assert found is not None
    assert float(found.applied.double().mean()) == pytest.approx(0.7, abs=0.03)
    for index, (name, share) in enumerate(zip(VIDEO_CODECS, config.codecs.as_tuple(), strict=True)):
        mine = found.codec == index
        assert float(mine.double().mean()) == pytest.approx(share, abs=0.03)
        low, high = getattr(config, name)
        assert sorted(set(found.quantiser[mine].tolist())) == list(range(low, high + 1))
    assert sorted(set(found.frames.tolist())) == [2, 3, 4, 5]
    for move in (found.move_y, found.move_x):
        assert -3 <= float(move.min()) < -2.9 < 2.9 < float(move.max()) <= 3


def test_what_is_missing_or_impossible_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for values, told in (
        ({"h264": (40, 52)}, "h264: 52 is above 51"),
        ({"mpeg2": (8, 2)}, "lower bound 8 is above"),
        ({"codecs": {"h264": 0.9}}, "add up to 1.5, not to 1"),
    ):
        with pytest.raises(ValueError, match=told):
            VideoConfig.model_validate(values)
    monkeypatch.setattr("realesrgan_train.degradations.video.find_spec", lambda _: None)
    check_encoders(VideoConfig())
    with pytest.raises(ConfigError, match="pip install av"):
        Degrader(DegradationConfig(video=VideoConfig(probability=0.1)), 4)


@pytest.mark.usefixtures("av")
def test_an_encoder_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import av.codec  # noqa: PLC0415 - optional

    assert "av" in sys.modules
    without = av.codec.codecs_available - {"libx265"}
    monkeypatch.setattr(av.codec, "codecs_available", without)
    with pytest.raises(ConfigError, match="no encoder libx265: set it to 0"):
        check_encoders(VideoConfig(probability=0.1))
