"""`realesrgan_vk.upscale`: which calls share a network, and when it is loaded anew."""

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from compact_network import write_compact
from numpy.typing import NDArray

import realesrgan_vk
from realesrgan_vk import DeviceError, ModelError, Upscaler, upscaler

IMAGE = np.full((4, 5, 3), 0.5, np.float32)


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    upscaler._kept.clear()
    yield
    upscaler._kept.clear()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Upscaler]:
    """Every upscaler that is loaded."""
    loaded: list[Upscaler] = []

    def load(model: Path, **options: object) -> Upscaler:
        time.sleep(0.05)  # long enough for other threads to ask as well
        loaded.append(Upscaler(model, **options))  # type: ignore[arg-type]
        return loaded[-1]

    monkeypatch.setattr(upscaler, "Upscaler", load)
    return loaded


def test_a_network_is_loaded_once_even_by_eight_threads(
    tmp_path: Path, made: list[Upscaler]
) -> None:
    param = write_compact(tmp_path, "net")
    results: list[NDArray[np.float32]] = []

    def call() -> None:
        results.append(realesrgan_vk.upscale(IMAGE, model=param, device="cpu", threads=1))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all(np.array_equal(result, results[0]) for result in results)
    assert len(made) == 1


def test_other_arguments_are_another_upscaler(tmp_path: Path, made: list[Upscaler]) -> None:
    param = write_compact(tmp_path, "net")
    for options in ({"tile": 64}, {"tta": True}, {"memory_limit": "1GiB"}, {"tile": 64}):
        realesrgan_vk.upscale(IMAGE, model=param, device="cpu", **options)
    assert len(made) == 4, "two are kept: the first is gone"
    realesrgan_vk.upscale(IMAGE, model=str(param), device="cpu", tile=64)
    assert len(made) == 4
    with pytest.raises(TypeError, match="tta must be True or False, not 1"):
        realesrgan_vk.upscale(IMAGE, model=param, device="cpu", tta=1)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="device must be a name or an index, not list"):
        realesrgan_vk.upscale(IMAGE, model=param, device=[])  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="model must be a name or a path, not int"):
        realesrgan_vk.upscale(IMAGE, model=3, device="cpu")  # type: ignore[call-overload]
    realesrgan_vk.upscale(IMAGE, model=param, device="cpu", tile=64)
    assert len(made) == 4, "what fails takes nobody's place"


def test_changed_files_are_loaded_anew(tmp_path: Path) -> None:
    param = write_compact(tmp_path, "net", seed=1)
    before = realesrgan_vk.upscale(IMAGE, model=param, device="cpu")
    write_compact(tmp_path, "net", seed=2)
    after = realesrgan_vk.upscale(IMAGE, model=param, device="cpu")
    assert not np.array_equal(after, before)
    assert np.array_equal(after, Upscaler(param, device="cpu").upscale(IMAGE))
    param.with_suffix(".bin").unlink()
    with pytest.raises(ModelError, match=r"net\.bin does not exist"):
        realesrgan_vk.upscale(IMAGE, model=param, device="cpu")


def test_the_environments_folders_take_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for seed in (1, 2):
        write_compact(tmp_path / str(seed), "mine", seed=seed)
        monkeypatch.setenv("REALESRGAN_VK_MODELS", str(tmp_path / str(seed)))
        results.append(realesrgan_vk.upscale(IMAGE, model="mine", device="cpu"))
    assert not np.array_equal(results[0], results[1])
    shutil.rmtree(tmp_path / "2")
    with pytest.raises(ModelError, match="unknown model 'mine'"):
        realesrgan_vk.upscale(IMAGE, model="mine", device="cpu")


def test_after_a_device_error_the_next_call_begins_anew(
    tmp_path: Path, made: list[Upscaler], monkeypatch: pytest.MonkeyPatch
) -> None:
    param = write_compact(tmp_path, "net")

    def upscale() -> NDArray[np.float32]:
        return realesrgan_vk.upscale(IMAGE, model=param, device="cpu")

    expected = upscale()

    def lost(*_: object, **__: object) -> None:
        raise DeviceError("the device was lost; make a new upscaler")

    monkeypatch.setattr(made[0], "upscale", lost, raising=True)
    with pytest.raises(DeviceError, match="lost"):
        upscale()
    assert np.array_equal(upscale(), expected)
    assert len(made) == 2
