"""from-ncnn reads what pnnx writes without this project's rewrites, too."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import small_compact, small_rrdbnet
from torch import nn

from realesrgan_export import recover_network
from realesrgan_export.convert import convert
from realesrgan_train.weights import load_network
from realesrgan_vk.models.ncnn.param import read_graph

NETWORKS = {
    "rrdb-x1": (small_rrdbnet(1), {"Reorg", "BinaryOp"}),
    "rrdb-x2": (small_rrdbnet(2), {"Reorg", "BinaryOp"}),
    "rrdb-x4": (small_rrdbnet(4), {"BinaryOp", "Interp"}),
    "compact-leaky": (small_compact(3, "leakyrelu"), {"PixelShuffle"}),
    "compact-prelu": (small_compact(2), {"PixelShuffle", "PReLU"}),
    "compact-x1": (small_compact(1), {"PixelShuffle", "PReLU"}),
}


@pytest.mark.parametrize(
    ("name", "fp16"),
    [
        ("rrdb-x1", False),
        ("rrdb-x2", True),
        ("rrdb-x4", False),
        ("compact-leaky", True),
        ("compact-prelu", True),
        ("compact-x1", False),
    ],
)
def test_raw_pnnx_files(name: str, fp16: bool, tmp_path: Path) -> None:
    network: nn.Module
    network, kinds = NETWORKS[name]
    param, _ = convert(network, 3, tmp_path, fp16=fp16)
    graph = read_graph(param)
    assert (graph.input, graph.output) == ("in0", "out0")
    assert kinds <= {layer.type for layer in graph}
    assert "Eltwise" not in {layer.type for layer in graph}
    rows = recover_network(param, tmp_path / "back.safetensors")
    assert max(row.max_error for row in rows) < 1e-4
    back = load_network(tmp_path / "back.safetensors").network.state_dict()
    for key, tensor in network.state_dict().items():
        # pnnx rounds to 11 bits, and to zero below the smallest normal number of 16 bits, 2**-14.
        tolerance = max(2**-14, 2**-11 * float(tensor.abs().max())) if fp16 else 0.0
        torch.testing.assert_close(back[key], tensor, rtol=0, atol=tolerance)
