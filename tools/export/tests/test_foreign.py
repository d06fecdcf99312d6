"""Other architectures through spandrel's interface, which is played here by a stand-in.

What is tested is this side of the interface: tensors only go in, and what comes out is converted
without the rewrites that hold for this project's networks only. `test_spandrel.py` has spandrel
itself.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from realesrgan_export import ExportOptions, export_checkpoint
from realesrgan_export.errors import ExportError
from realesrgan_train.networks.rrdbnet import RRDB
from realesrgan_vk.models.ncnn.param import read_graph


class _Attention(nn.Module):
    """Channel attention: an addition that broadcasts, a pooling, a scaled residual, a shuffle."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 8, 3, padding=1)
        self.gate = nn.Conv2d(8, 8, 1)
        self.tail = nn.Sequential(nn.Conv2d(8, 12, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.head(x))
        gate = torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))
        out: Tensor = self.tail(x + 0.5 * gate)
        return out


class _Picky(nn.Module):
    """Shuffles pixels together, so sides must be multiples; refuses pictures that are small."""

    def __init__(self, multiple: int, minimum: int) -> None:
        super().__init__()
        self.minimum = minimum
        self.body = nn.Sequential(
            nn.PixelUnshuffle(multiple),
            nn.Conv2d(3 * multiple**2, 3 * (2 * multiple) ** 2, 3, padding=1),
            nn.PixelShuffle(2 * multiple),
        )

    def forward(self, x: Tensor) -> Tensor:
        if min(x.shape[2:]) < self.minimum:
            raise RuntimeError("padding size should be less than the corresponding dimension")
        out: Tensor = self.body(x)
        return out


class _Descriptor:
    def __init__(self, model: nn.Module, channels: int = 3, **sizes: int) -> None:
        self.model, self.scale, self.input_channels, self.output_channels = model, 2, channels, 3
        self.architecture = SimpleNamespace(name=type(model).__name__.strip("_"))
        needed = {"minimum": 0, "multiple_of": 1, "square": False}
        self.size_requirements = SimpleNamespace(**(needed | sizes))


def _spandrel(descriptor: object) -> ModuleType:
    class Loader:
        def __init__(self, device: str) -> None:
            assert device == "cpu"

        def load_from_state_dict(self, state: dict[str, Tensor]) -> object:
            assert all(isinstance(tensor, Tensor) for tensor in state.values())
            if not isinstance(descriptor, _Descriptor):
                return descriptor
            descriptor.model.load_state_dict(state)
            return descriptor

    module = ModuleType("spandrel")
    module.ModelLoader = Loader  # type: ignore[attr-defined]
    module.ImageModelDescriptor = _Descriptor  # type: ignore[attr-defined]
    return module


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "attention.pth"
    torch.save(_Attention().state_dict(), path)
    return path


@pytest.mark.parametrize("fp16", [False, True])
def test_a_network_with_global_pooling(
    fp16: bool, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", _spandrel(_Descriptor(_Attention())))
    out = export_checkpoint(checkpoint, tmp_path / "out", ExportOptions(fp16=fp16))
    graph = read_graph(out.param)
    assert (graph.input, graph.output) == ("data", "output")
    assert not any(layer.type == "Eltwise" for layer in graph)
    assert '"Attention"' in out.manifest.read_text()


def test_what_spandrel_reads_otherwise_is_refused(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for descriptor, reason in (
        (SimpleNamespace(), "no upscaling network"),
        (_Descriptor(_Attention(), channels=4), "only networks that keep them"),
        (_Descriptor(nn.Conv2d(3, 3, 1)), "spandrel refuses it too"),
    ):
        monkeypatch.setitem(sys.modules, "spandrel", _spandrel(descriptor))
        with pytest.raises(ExportError, match=reason):
            export_checkpoint(checkpoint, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _export(
    network: nn.Module, folder: Path, monkeypatch: pytest.MonkeyPatch, **sizes: int
) -> Path:
    descriptor = _Descriptor(network, **sizes)
    monkeypatch.setitem(sys.modules, "spandrel", _spandrel(descriptor))
    torch.save(network.state_dict(), folder / "foreign.pth")
    return export_checkpoint(folder / "foreign.pth", folder / "out").manifest


@pytest.mark.parametrize(
    ("sizes", "pictures"),
    [
        ({"multiple_of": 2}, ["1x1", "7x5", "33x64", "96x80", "photograph"]),
        ({"multiple_of": 20, "minimum": 60}, ["96x80", "photograph"]),
    ],
)
def test_needed_sizes_are_kept(
    sizes: dict[str, int], pictures: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = _Picky(sizes["multiple_of"], sizes.get("minimum", 0))
    manifest = _export(network, tmp_path, monkeypatch, **sizes)
    entry = json.loads(manifest.read_text())["models"][0]
    assert list(dict.fromkeys(row["picture"] for row in entry["parity"])) == pictures
    assert entry.get("minimum_side", 0) == sizes.get("minimum", 0)


@pytest.mark.parametrize(
    ("minimum", "sizes", "reason"),
    [
        (0, {"square": True}, "takes only square pictures"),
        (0, {"minimum": 512}, "at least 512 pixels a side"),
        (9, {}, "PyTorch cannot run the network on the picture 1x1: padding size should be less"),
        (999, {}, "cannot be traced: padding size should be less"),
    ],
)
def test_sizes_that_cannot_be_had_are_refused(
    minimum: int,
    sizes: dict[str, int],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ExportError, match=reason):
        _export(_Picky(1, minimum), tmp_path, monkeypatch, **sizes)
    assert not (tmp_path / "out").exists()


class OneUp(nn.Module):
    """BSRGAN's x2: an RRDBNet that enlarges once, under the same names."""

    def __init__(self, growth: int = 8) -> None:
        super().__init__()
        self.conv_first = nn.Conv2d(3, 16, 3, padding=1)
        self.body = nn.Sequential(RRDB(16, growth))
        self.conv_body, self.conv_up1, self.conv_hr = (
            nn.Conv2d(16, 16, 3, padding=1) for _ in range(3)
        )
        self.conv_last = nn.Conv2d(16, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_first(x)
        x = x + self.conv_body(self.body(x))
        x = self.conv_up1(functional.interpolate(x, scale_factor=2, mode="nearest"))
        x = self.conv_hr(functional.leaky_relu(x, 0.2))
        out: Tensor = self.conv_last(functional.leaky_relu(x, 0.2))
        return out


def test_an_rrdbnet_that_enlarges_once_is_given_to_spandrel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    manifest = _export(OneUp(), tmp_path, monkeypatch)
    entry = json.loads(manifest.read_text())["models"][0]
    assert (entry["architecture"], entry["scale"]) == ("OneUp", 2)
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(ExportError, match=r"with 1 of the 2 conv.*pip install spandrel"):
        export_checkpoint(tmp_path / "foreign.pth", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_what_spandrel_itself_lacks_is_named(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "spandrel"
    package.mkdir()
    (package / "__init__.py").write_text("import absent_vision.transforms\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "spandrel", raising=False)
    with pytest.raises(ExportError, match=r"absent_vision is missing.*pip install absent_vision$"):
        export_checkpoint(checkpoint, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_integers_as_weights_are_refused_before_spandrel_converts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", _spandrel(_Descriptor(_Attention())))
    state = _Attention().state_dict()
    state["gate.bias"] = torch.ones(8, dtype=torch.int32)
    torch.save(state | {"relative_position_index": torch.arange(4)}, tmp_path / "net.pth")
    with pytest.raises(ExportError, match=r"gate\.bias holds int32 numbers"):
        export_checkpoint(tmp_path / "net.pth", tmp_path / "out")
