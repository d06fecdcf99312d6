"""Animations: every frame, how long it is shown, how often it all runs."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from realesrgan_vk import Upscaler, image_io
from realesrgan_vk.imaging.picture import Frame, Metadata, Picture
from realesrgan_vk.options import Request

Photo = Callable[..., NDArray[np.uint8]]
WIDTH, HEIGHT = 24, 20


def saved(image: Image.Image, name: str, **options: object) -> bytes:
    """The bytes of an animation that Pillow writes."""
    out = BytesIO()
    image.save(out, name, save_all=True, **options)
    return out.getvalue()


def upscaled(fast: Upscaler, source: bytes, path: Path) -> None:
    before = path.with_name("source" + path.suffix)
    before.write_bytes(source)
    image_io.write(fast.upscale_picture(image_io.read(before), Request()), path)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_animations_keep_frames_durations_and_loops(
    photo: Photo, fast: Upscaler, tmp_path: Path, suffix: str
) -> None:
    rgb = photo(WIDTH, HEIGHT)
    colours = [Image.fromarray(np.roll(rgb, 3 * index, axis=1)) for index in range(4)]
    name, durations = {"gif": "GIF", "png": "PNG", "webp": "WEBP"}[suffix], [40, 120, 70, 200]
    extra: dict[str, object] = {"lossless": True} if suffix == "webp" else {"disposal": 1}
    later: dict[str, object] = {"append_images": colours[1:], "duration": durations, "loop": 3}
    source = saved(colours[0], name, **later, **extra)
    path = tmp_path / f"out.{suffix}"
    upscaled(fast, source, path)
    with Image.open(path) as out, Image.open(BytesIO(source)) as before:
        assert (getattr(out, "n_frames", 1), out.size) == (4, (4 * WIDTH, 4 * HEIGHT))
        assert out.info["loop"] == before.info["loop"] == 3
        told = []
        for after, frame in zip(
            ImageSequence.Iterator(out), ImageSequence.Iterator(before), strict=True
        ):
            after.load()
            told.append(after.info["duration"])
            expected = fast.upscale(np.asarray(frame.convert("RGB")))
            assert np.abs(np.asarray(after.convert("RGB")).astype(int) - expected).mean() < 8
        assert told == durations


ORDERS = ([0, 0, 1, 1, 1, 0], [0, 0, 0], [0, 1, 1], [0, 1, 0, 2, 2, 1, 1])


@pytest.mark.parametrize("kind", ["gif", "png", "webp", "lossless.webp"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("opaque", [True, False])
def test_repeated_frames_stay_frames(
    photo: Photo, tmp_path: Path, kind: str, order: list[int], opaque: bool
) -> None:
    """Encoders merge them; an animation that is edited further needs every one."""
    lossless, suffix = kind == "lossless.webp", kind.rpartition(".")[2]
    rgb = photo(WIDTH, HEIGHT)
    alpha = np.full(rgb.shape[:2], 255, np.uint8)
    alpha[:8] = 255 if opaque else 0
    patch = rgb.copy()
    patch[10:14, 4:10] = (200, 30, 30)
    kinds = [Frame(rgb, alpha), Frame(patch, alpha), Frame(rgb, np.roll(alpha, 4, axis=0))]
    durations = [40, 120, 70, 200, 30, 50, 90][: len(order)]
    frames = tuple(
        replace(kinds[which], duration=duration)
        for which, duration in zip(order, durations, strict=True)
    )
    carried = Metadata(xmp=b"<x:xmpmeta/>") if suffix == "webp" else Metadata()
    picture = Picture(frames, "colour", 8, carried, plays=3)
    path = tmp_path / f"out.{suffix}"
    image_io.write(picture, path, image_io.WriteOptions(lossless=lossless))
    with Image.open(path) as out:
        assert getattr(out, "n_frames", 1) == len(order)
        assert out.info["loop"] == (2 if suffix == "gif" else 3)
        for index, frame in enumerate(frames):
            out.seek(index)
            shown = np.asarray(out.convert("RGBA")).astype(int)
            assert out.info["duration"] == frame.duration
            seen = np.asarray(frame.alpha) > 0
            if suffix != "gif":  # Pillow does not clear to transparent what was opaque before
                assert np.array_equal(shown[..., 3] > 0, seen)
            off = np.abs(shown[..., :3] - frame.pixels)[seen].mean()
            assert off < (1 if suffix == "png" or lossless else 8)


@pytest.mark.parametrize(("suffix", "longest"), [("gif", 655.35), ("webp", 16777.215)])
def test_durations_beyond_the_formats_are_cut_and_said(
    photo: Photo, tmp_path: Path, suffix: str, longest: float
) -> None:
    rgb = photo(WIDTH, HEIGHT)
    frames = (Frame(rgb, None, 65_000_000), Frame(rgb[::-1], None, 50))
    picture = Picture(frames, "colour", 8, plays=70_000)
    notes = image_io.write(picture, tmp_path / f"a.{suffix}")
    name = {"gif": "GIF", "webp": "WebP"}[suffix]
    assert notes == (f"{name} shows a frame for at most {longest:g} s",)
    with Image.open(tmp_path / f"a.{suffix}") as out:
        assert getattr(out, "n_frames", 1) == 2
        assert out.info["loop"] in (65534, 65535)
        out.load()
        assert out.info["duration"] == round(longest * 1000)
    assert image_io.write(picture, tmp_path / "a.png") == ()
    again = image_io.read(tmp_path / "a.png")
    assert [frame.duration for frame in again.frames] == [65_000_000, 50]
    assert again.plays == 70_000
    odd = replace(picture, frames=(Frame(rgb, None, 70_001), Frame(rgb[::-1], None, 65_535)))
    image_io.write(odd, tmp_path / "a.png")
    kept = [frame.duration for frame in image_io.read(tmp_path / "a.png").frames]
    assert kept == [70_000, 65_535], "PNG has fractions of 16-bit numbers"


def test_gif_disposal_is_flattened(fast: Upscaler, tmp_path: Path) -> None:
    """A small patch drawn over a background, then removed again."""
    first = Image.new("RGBA", (16, 16), (200, 30, 30, 255))
    patch = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    patch.paste((30, 200, 30, 255), (4, 4, 12, 12))
    source = saved(first, "GIF", append_images=[patch, first], duration=100, disposal=[1, 3, 1])
    path = tmp_path / "out.gif"
    upscaled(fast, source, path)
    with Image.open(path) as out:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(out)]
    assert len(frames) == 3
    assert np.abs(frames[1][32, 32].astype(int) - (30, 200, 30)).max() < 30, "the patch"
    assert np.abs(frames[1][4, 4].astype(int) - (200, 30, 30)).max() < 30, "around it"
    assert np.abs(frames[2][32, 32].astype(int) - (200, 30, 30)).max() < 30, "it is gone"
