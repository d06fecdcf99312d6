"""The node of ComfyUI, against a small stand-in of the interface that it uses.

PyTorch is replaced, too, by what the node needs of it, so that the test runs without; where it is
installed, one test runs with it.
"""

import asyncio
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import script_modules
from compact_network import write_compact
from conftest import Photo
from numpy.typing import NDArray

import realesrgan_vk

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "integrations" / "comfyui"
CHOICES = {"model": "mine", "scale": 0.0, "strength": 1.0, "device": "cpu", "precision": "fp32"}


class Interrupted(BaseException):
    """As ComfyUI's InterruptProcessingException."""


@dataclass
class Socket:
    """An input or output: its type, and what it was made with."""

    type: str
    given: tuple[Any, ...]
    options: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.given[0] if self.given else self.options["display_name"])


def _kind(name: str) -> SimpleNamespace:
    def make(*given: Any, **options: Any) -> Socket:  # noqa: ANN401
        return Socket(name, given, options)

    return SimpleNamespace(Input=make, Output=make)


@dataclass
class Schema:
    """The fields of ComfyUI's, as far as the node uses them."""

    node_id: str
    display_name: str
    category: str
    description: str
    inputs: list[Socket]
    outputs: list[Socket]


class NodeOutput:
    def __init__(self, *results: Any) -> None:  # noqa: ANN401
        self.result = results


class ComfyExtension:
    async def get_node_list(self) -> list[type]:
        raise NotImplementedError


@dataclass
class Comfy:
    """What the node did to ComfyUI.

    Attributes:
        bars: Value and total of the progress bar after each change.
        interrupt_at: The value at which the user cancels.
    """

    bars: list[tuple[int, int]] = field(default_factory=list)
    interrupt_at: int | None = None

    def check(self) -> None:
        if self.interrupt_at is not None and self.bars and self.bars[-1][0] >= self.interrupt_at:
            raise Interrupted

    def bar(self, total: int) -> SimpleNamespace:
        def update_absolute(value: int) -> None:
            self.bars.append((value, total))

        return SimpleNamespace(update_absolute=update_absolute)


class Tensor:
    """A PyTorch tensor on the processor, as far as the node uses it."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array

    def cpu(self) -> "Tensor":
        return self

    def numpy(self) -> NDArray[Any]:
        return self._array


def _module(name: str, **contents: object) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(contents)
    return module


@pytest.fixture
def comfy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Comfy:
    """A ComfyUI to import, and an installed network `mine`."""
    write_compact(tmp_path / "installed", "mine")
    state = Comfy()
    kinds = {name: _kind(name.upper()) for name in ("Image", "Mask", "Combo", "Float")}
    io = SimpleNamespace(
        ComfyNode=type("ComfyNode", (), {}), Schema=Schema, NodeOutput=NodeOutput, **kinds
    )
    utils = _module("comfy.utils", ProgressBar=state.bar)
    management = _module(
        "comfy.model_management", throw_exception_if_processing_interrupted=state.check
    )
    latest = _module("comfy_api.latest", io=io, ComfyExtension=ComfyExtension)
    modules = {
        "comfy": _module("comfy", utils=utils, model_management=management),
        "comfy.utils": utils,
        "comfy.model_management": management,
        "comfy_api": _module("comfy_api", latest=latest),
        "comfy_api.latest": latest,
        "torch": _module("torch", Tensor=Tensor, from_numpy=Tensor),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return state


@pytest.fixture
def node(comfy: Comfy) -> Iterator[Any]:
    """The node, loaded as ComfyUI loads a folder of `custom_nodes`."""
    name = "custom_nodes_realesrgan_vk"
    module = script_modules.load(FOLDER / "__init__.py", name)
    (found,) = asyncio.run(nodes_of(module))
    yield found
    for loaded in (name, f"{name}.nodes"):
        del sys.modules[loaded]


async def nodes_of(module: Any) -> list[type]:  # noqa: ANN401 - it is loaded by its path
    extension = await module.comfy_entrypoint()
    found: list[type] = await extension.get_node_list()
    return found


def batch(photo: Photo) -> NDArray[np.float32]:
    pictures = [photo(24, 18, name) for name in ("astronaut", "chelsea", "coffee")]
    return np.stack(pictures).astype(np.float32) / np.float32(255)


def expected(picture: NDArray[np.float32], **options: Any) -> NDArray[np.float32]:  # noqa: ANN401
    large: NDArray[np.float32] = realesrgan_vk.upscale(
        picture, model="mine", device="cpu", precision="fp32", **options
    )
    return large


def test_the_schema_has_the_arguments_of_the_function(node: Any) -> None:  # noqa: ANN401
    schema = node.define_schema()
    names = [each.name for each in schema.inputs]
    assert names == list(inspect.signature(node.execute).parameters)
    by_name = {each.name: each for each in schema.inputs}
    assert "mine" in by_name["model"].options["options"]
    assert "realesrgan-x4plus" in by_name["model"].options["options"]
    assert by_name["device"].options["options"][:2] == ["auto", "cpu"]
    assert by_name["mask"].options["optional"]
    assert [each.type for each in schema.outputs] == ["IMAGE", "MASK"]


@pytest.mark.parametrize("options", [{}, {"scale": 1.5, "strength": 0.25}])
def test_a_batch_of_three_is_what_the_function_makes(
    node: Any,  # noqa: ANN401
    comfy: Comfy,
    photo: Photo,
    options: dict[str, float],
) -> None:
    pictures = batch(photo)
    image, mask = node.execute(Tensor(pictures), **CHOICES | options).result
    made = image.numpy()
    assert made.dtype == np.float32
    assert made.flags.c_contiguous
    for picture, large in zip(pictures, made, strict=True):
        np.testing.assert_array_equal(large, expected(picture, **options))
    assert mask.numpy().shape == made.shape[:3]
    assert not mask.numpy().any()
    values = [value for value, _ in comfy.bars]
    assert values == sorted(values)
    assert comfy.bars[-1] == (3000, 3000)


@pytest.mark.parametrize("masks", [1, 3])
def test_a_mask_is_alpha(node: Any, photo: Photo, masks: int) -> None:  # noqa: ANN401
    pictures = batch(photo)
    ramp = np.linspace(0, 1, 24, dtype=np.float32)
    mask = np.broadcast_to(ramp, (masks, 18, 24))
    image, out = node.execute(Tensor(pictures), mask=Tensor(mask), **CHOICES).result
    for index, picture in enumerate(pictures):
        large = expected(np.dstack([picture, 1 - mask[0]]))
        np.testing.assert_array_equal(image.numpy()[index], large[..., :3])
        np.testing.assert_array_equal(out.numpy()[index], 1 - large[..., 3])


def test_a_fourth_channel_is_alpha(node: Any, photo: Photo) -> None:  # noqa: ANN401
    alpha = np.broadcast_to(np.linspace(0, 1, 24, dtype=np.float32), (3, 18, 24))
    pictures = np.concatenate([batch(photo), alpha[..., None]], axis=3)
    image, mask = node.execute(Tensor(pictures), **CHOICES).result
    for index, picture in enumerate(pictures):
        large = expected(picture)
        np.testing.assert_array_equal(image.numpy()[index], large)
        np.testing.assert_array_equal(mask.numpy()[index], 1 - large[..., 3])


def test_the_mask_of_a_picture_without_alpha_has_any_size(node: Any, photo: Photo) -> None:  # noqa: ANN401
    empty = Tensor(np.zeros((1, 64, 64), np.float32))
    image, mask = node.execute(Tensor(batch(photo)), mask=empty, **CHOICES).result
    assert image.numpy().shape == (3, 36, 48, 3)
    assert not mask.numpy().any()


def test_another_masks_size_is_refused(node: Any, photo: Photo) -> None:  # noqa: ANN401
    mask = Tensor(np.ones((1, 9, 8), np.float32))
    with pytest.raises(ValueError, match=r"the mask is of 1 x 8 x 9 .*the image of 3 x 24 x 18"):
        node.execute(Tensor(batch(photo)), mask=mask, **CHOICES)


def test_grey_pictures_keep_their_channel(node: Any, photo: Photo) -> None:  # noqa: ANN401
    pictures = batch(photo)[..., :1]
    image, _ = node.execute(Tensor(pictures), **CHOICES).result
    np.testing.assert_array_equal(image.numpy()[1], expected(pictures[1]))


def test_cancelling_stops_between_pictures_and_rows(
    node: Any,  # noqa: ANN401
    comfy: Comfy,
    photo: Photo,
) -> None:
    comfy.interrupt_at = 1000
    with pytest.raises(Interrupted):
        node.execute(Tensor(batch(photo)), **CHOICES)
    assert comfy.bars[-1][0] == 1000


def test_a_device_of_the_list_is_found_by_its_index(
    node: Any,  # noqa: ANN401
    photo: Photo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []

    def upscale(picture: NDArray[np.float32], **options: Any) -> NDArray[np.float32]:  # noqa: ANN401
        asked.append(options["device"])
        return picture

    monkeypatch.setattr(realesrgan_vk, "upscale", upscale)
    node.execute(Tensor(batch(photo)[:1]), **CHOICES | {"device": "vulkan:1 NVIDIA H100 (x)"})
    assert asked == ["vulkan:1"]


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_with_pytorch(
    node: Any,  # noqa: ANN401
    photo: Photo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    import torch  # noqa: PLC0415 - the stand-in is removed above

    monkeypatch.setattr(sys.modules[node.__module__], "torch", torch)
    pictures = batch(photo)[:1]
    image, mask = node.execute(torch.from_numpy(pictures), **CHOICES).result
    assert (image.dtype, image.device.type) == (torch.float32, "cpu")
    assert image.is_contiguous()
    assert mask.shape == image.shape[:3]
    np.testing.assert_array_equal(image.numpy()[0], expected(pictures[0]))


def test_the_node_has_the_version_of_the_package() -> None:
    text = (FOLDER / "pyproject.toml").read_text("utf-8")
    assert f'\nversion = "{realesrgan_vk.__version__}"\n' in text
    assert f'dependencies = ["realesrgan-vk=={realesrgan_vk.__version__}"]' in text
    assert "\n[tool.comfy]\n" in text
