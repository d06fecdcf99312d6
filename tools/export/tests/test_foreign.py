"""Other architectures through spandrel's interface, which is played here by a stand-in.

spandrel itself needs torchvision, so what is tested is this side of the interface: tensors only go
in, and what comes out is converted without the rewrites that hold for this project's networks only.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from realesrgan_export import ExportOptions, export_checkpoint
from realesrgan_export.errors import ExportError
from realesrgan_vk.ncnn_graph import read_graph


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


class _Descriptor:
    def __init__(self, model: nn.Module, channels: int = 3) -> None:
        self.model, self.scale, self.input_channels, self.output_channels = model, 2, channels, 3
        self.architecture = SimpleNamespace(name="Attention")
        self.size_requirements = SimpleNamespace(multiple_of=1)


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
