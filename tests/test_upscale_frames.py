"""`Upscaler.upscale_frames`: order, bounds, errors, closing, and the results of `upscale`."""

import threading
import time
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from compact_network import write_compact
from conftest import Photo
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk import DeviceError, Upscaler
from realesrgan_vk.options import FrameArguments, Progress, Request
from realesrgan_vk.processing.processor import Processor


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())  # those of earlier tests may end meanwhile
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def upscaler(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Upscaler:
    """Two frames at a time, on one core each."""
    monkeypatch.setattr("realesrgan_vk.upscaler.usable_cores", lambda: 2)
    path = write_compact(tmp_path_factory.mktemp("network"), "net")
    return Upscaler(path, device="cpu", threads=1, runs_at_once=2)


def test_results_are_those_of_upscale_in_order(upscaler: Upscaler, photo: Photo) -> None:
    frames = [photo(16 + 5 * (n % 4), 12 + n) for n in range(12)]
    asked: list[FrameArguments] = [{}, {"scale": 3, "light": "linear"}, {"width": 33}]
    for options in asked:
        results = list(upscaler.upscale_frames(frames, **options))
        assert len(results) == len(frames)
        for frame, result in zip(frames, results, strict=True):
            expected = upscaler.upscale(frame, **options)
            assert np.array_equal(result, expected)


def test_every_kind_of_frame(upscaler: Upscaler, photo: Photo) -> None:
    rgb = photo(10, 8)
    file = BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    deep = np.dstack([rgb, rgb[..., :1]]).astype(np.uint16) * 257
    arrays = list(upscaler.upscale_frames([rgb, deep, rgb[..., 0]]))
    assert [(each.dtype.name, each.shape) for each in arrays] == [
        ("uint8", (16, 20, 3)),
        ("uint16", (16, 20, 4)),
        ("uint8", (16, 20)),
    ]
    images = list(upscaler.upscale_frames([Image.fromarray(rgb), file.getvalue()]))
    assert [image.size for image in images] == [(20, 16)] * 2
    (as_array,) = upscaler.upscale_frames([file.getvalue()], as_array=True)
    assert np.array_equal(as_array, arrays[0])
    film = np.stack([rgb, rgb[::-1]])
    assert [each.shape for each in upscaler.upscale_frames(film)] == [(16, 20, 3)] * 2


def test_frames_are_taken_no_further_than_one_ahead(upscaler: Upscaler, photo: Photo) -> None:
    taken = 0

    def frames() -> Iterator[NDArray[np.uint8]]:
        nonlocal taken
        for _ in range(12):
            taken += 1
            yield photo(8, 8)

    for yielded, _ in enumerate(upscaler.upscale_frames(frames()), start=1):
        time.sleep(0.005)
        assert taken <= yielded + 3  # two at a time, and one more


def test_taking_frames_and_using_results_overlap_the_network(
    upscaler: Upscaler, photo: Photo
) -> None:
    """The second frame's run waits until the third is taken and the first result is used."""
    used, taken = threading.Event(), threading.Event()
    waited: list[bool] = []

    real = Processor.image

    def image(self: Processor, frame: Any, *rest: Any, **named: Any) -> Any:  # noqa: ANN401
        if frame.shape[0] == 9:
            waited.append(used.wait(20) and taken.wait(20))
        return real(self, frame, *rest, **named)

    def frames() -> Iterator[NDArray[np.uint8]]:
        yield photo(8, 8)
        yield photo(8, 9)
        taken.set()
        yield photo(8, 8)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Processor, "image", image)
        for _ in upscaler.upscale_frames(frames()):
            used.set()
    assert waited == [True]


def test_an_exception_of_the_frames_comes_at_its_place(upscaler: Upscaler, photo: Photo) -> None:
    def frames() -> Iterator[NDArray[np.uint8]]:
        for _ in range(3):
            yield photo(8, 8)
        raise OSError("the camera is unplugged")

    results = upscaler.upscale_frames(frames())
    for _ in range(3):
        next(results)
    with pytest.raises(OSError, match="the camera is unplugged"):
        next(results)
    assert list(results) == []


def test_an_exception_of_a_frame_comes_at_its_place(upscaler: Upscaler, photo: Photo) -> None:
    frames = [photo(8, 8), photo(8, 8), np.zeros((4, 4, 2), np.uint8), photo(8, 8)]
    results = upscaler.upscale_frames(frames)
    assert next(results).shape == (16, 16, 3)
    assert next(results).shape == (16, 16, 3)
    with pytest.raises(ValueError, match="1, 3 or 4 channels"):
        next(results)


def test_a_lost_device_ends_it(
    upscaler: Upscaler, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object, **__: object) -> None:
        raise DeviceError("the device is lost")

    monkeypatch.setattr(Processor, "image", lost)
    with pytest.raises(DeviceError, match="the device is lost"):
        next(upscaler.upscale_frames([photo(8, 8)] * 5))


def test_closing_stops_runs_that_are_under_way(
    upscaler: Upscaler, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = threading.Event()
    real = Processor.image

    def image(
        self: Processor,
        frame: NDArray[np.uint8],
        request: Request,
        max_pixels: int | None,
        progress: Progress,
        *,
        as_array: bool,
    ) -> object:
        while frame.shape[0] > 8:
            started.set()
            progress(0.5)
            time.sleep(0.001)
        return real(self, frame, request, max_pixels, progress, as_array=as_array)

    monkeypatch.setattr(Processor, "image", image)
    results = upscaler.upscale_frames(photo(8, 8 + n) for n in range(100))
    assert next(results).shape == (16, 16, 3)
    assert started.wait(20)
    results.close()  # else this would wait for ever


def test_a_loop_that_is_left_stops(upscaler: Upscaler, photo: Photo) -> None:
    for _ in upscaler.upscale_frames(photo(8, 8) for _ in iter(int, 1)):
        break


def test_wrong_arguments_are_refused_at_once(upscaler: Upscaler) -> None:
    with pytest.raises(ValueError, match="scale is 0"):
        upscaler.upscale_frames([], scale=0)
    with pytest.raises(TypeError, match="frames is one file"):
        upscaler.upscale_frames("film.mp4")
    with pytest.raises(TypeError, match="not iterable"):
        upscaler.upscale_frames(3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="as_array must be True or False"):
        upscaler.upscale_frames([], as_array=1)  # type: ignore[call-overload]
    upscaler.close()
    with pytest.raises(ValueError, match="closed"):
        upscaler.upscale_frames([])


@pytest.mark.parametrize(
    ("options", "device", "at_once"),
    [
        ({}, -1, 1),
        ({"threads": 2, "runs_at_once": 8}, -1, 4),
        ({"threads": 1, "runs_at_once": 3}, -1, 3),
        ({"threads": 1}, -1, 1),
        ({"threads": 8, "runs_at_once": 2}, -1, 1),
        ({}, 0, 2),
        ({"runs_at_once": 3}, 0, 3),
    ],
)
def test_how_many_frames_are_in_work(
    upscaler: Upscaler,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, int],
    device: int,
    at_once: int,
) -> None:
    monkeypatch.setattr("realesrgan_vk.upscaler.usable_cores", lambda: 8)
    with Upscaler(upscaler.model.param, device="cpu", **options) as other:  # type: ignore[arg-type]
        other.device = device
        assert other._frames_at_once == at_once
