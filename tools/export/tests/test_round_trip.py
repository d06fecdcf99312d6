"""PyTorch -> ncnn -> every engine -> PyTorch, for every architecture and scale."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from conftest import Save, randomised, small_compact, small_rrdbnet
from torch import nn

import realesrgan_vk
from realesrgan_export import ExportOptions, export_checkpoint
from realesrgan_export.recover import read_network
from realesrgan_export.verify import CHECKPOINT, CORE, NCNN
from realesrgan_train.networks import RRDBNet, SRVGGNetCompact
from realesrgan_vk.models.ncnn.param import read_graph

SMALL: dict[str, nn.Module] = {
    **{f"rrdb-x{scale}": small_rrdbnet(scale) for scale in (1, 2, 4)},
    "rrdb-x2-two-blocks": small_rrdbnet(2, blocks=2),
    **{
        f"compact-{act_type}-x{scale}": small_compact(scale, act_type)
        for act_type, scales in (
            ("prelu", (1, 2, 3, 4)),
            ("leakyrelu", (1, 2, 3, 4)),
            ("relu", (2,)),
        )
        for scale in scales
    },
}
# The published sizes; the small ones above have every activation and scale.
FULL: dict[str, Callable[[], nn.Module]] = {
    **{
        f"rrdb-{blocks}-x{scale}": partial(RRDBNet, scale=scale, num_block=blocks)
        for blocks, scale in ((6, 4), (23, 2), (23, 4))
    },
    **{
        f"compact-{convs}-x{scale}": partial(
            SRVGGNetCompact, num_conv=convs, upscale=scale, act_type="prelu"
        )
        for convs, scale in ((16, 2), (16, 3), (32, 4))
    },
}


def _there_and_back(network: nn.Module, save: Save, folder: Path, *, fp16: bool) -> None:
    """Export, verified in every engine, and read back; the weights tell whether it is the same."""
    checkpoint = save(network, "there")
    out = export_checkpoint(checkpoint, folder, ExportOptions(name="net", fp16=fp16))
    assert {NCNN, CORE} <= {row.engine for row in out.rows}
    assert {row.picture for row in out.rows} == {"1x1", "7x5", "33x64", "96x80", "photograph"}
    graph = read_graph(out.param)
    assert (graph.input, graph.output) == ("data", "output")
    assert not {"Reorg", "ReLU"} & {layer.type for layer in graph}
    plan = realesrgan_vk.Upscaler(out.param, device="cpu").plan((64, 48))
    assert plan.path == "stream", plan.reason

    back, _, blob = read_network(out.param)
    assert blob == "output"
    assert type(back) is type(network)
    state = back.state_dict()
    assert state.keys() == network.state_dict().keys()
    for name, tensor in network.state_dict().items():
        stored = tensor.half().float() if fp16 and tensor.dim() == 4 else tensor
        assert torch.equal(state[name], stored), name


@pytest.mark.parametrize("name", SMALL)
def test_small_networks(name: str, save: Save, tmp_path: Path) -> None:
    _there_and_back(SMALL[name], save, tmp_path / "out", fp16="x2" in name)


@pytest.mark.slow
@pytest.mark.usefixtures("all_cores")
@pytest.mark.parametrize("name", FULL)
def test_full_networks(name: str, save: Save, tmp_path: Path) -> None:
    _there_and_back(randomised(FULL[name]()), save, tmp_path / "out", fp16=False)


def test_the_cost_of_16_bit_weights_is_reported_apart(save: Save, tmp_path: Path) -> None:
    out = export_checkpoint(save(small_compact(), "net"), tmp_path, ExportOptions(fp16=True))
    rounding = max(row.max_error for row in out.rows if row.engine == CHECKPOINT)
    engine = max(row.max_error for row in out.rows if row.engine == NCNN)
    assert rounding > 10 * engine


def test_residuals_become_eltwise_and_concats_are_flat(save: Save, tmp_path: Path) -> None:
    graph = read_graph(export_checkpoint(save(small_rrdbnet(), "net"), tmp_path).param)
    sums = [layer for layer in graph if layer.type == "Eltwise"]
    assert len(sums) == 4
    assert all(layer.numbers(1) == pytest.approx((0.2, 1.0)) for layer in sums)
    assert [len(la.inputs) for la in graph if la.type == "Concat"] == [2, 3, 4, 5] * 3
    assert sum(layer.type == "BinaryOp" for layer in graph) == 1


def test_manifest_tells_what_was_exported(save: Save, tmp_path: Path) -> None:
    checkpoint, folder = save(small_compact(2), "mine"), tmp_path / "models"
    export_checkpoint(checkpoint, folder, ExportOptions(name="other"))
    out = export_checkpoint(
        checkpoint, folder, ExportOptions(licence="CC0-1.0", weak_denoise="other")
    )
    entries = json.loads(out.manifest.read_text())["models"]
    assert [entry["name"] for entry in entries] == ["mine", "other"]
    mine = entries[0]
    assert (mine["architecture"], mine["scale"], mine["channels"]) == ("SRVGGNetCompact", 2, 3)
    assert (mine["licence"], mine["weak_denoise"], mine["precision"]) == (
        "CC0-1.0",
        "other",
        "fp16",
    )
    assert len(mine["source"]["sha256"]) == 64
    assert len(mine["parity"]) == len(out.rows)
    leftovers = {path.name for path in folder.iterdir()}
    assert leftovers == {"manifest.json"} | {
        f"{n}.{e}" for n in ("mine", "other") for e in ("param", "bin")
    }


@pytest.mark.parametrize("name", ["rrdb-x1", "rrdb-x2", "compact-prelu-x3"])
def test_onnx_has_free_sides(name: str, save: Save, tmp_path: Path) -> None:
    out = export_checkpoint(save(SMALL[name], "net"), tmp_path, ExportOptions(onnx=True))
    assert out.onnx is not None
    assert out.onnx.is_file()
    rows = [row for row in out.rows if row.engine.startswith("onnxruntime")]
    assert len(rows) == 5
    assert max(row.max_error for row in rows) < 1e-4


def test_an_export_without_onnx_removes_that_of_the_one_before(save: Save, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    before = export_checkpoint(save(small_compact(2), "net"), folder, ExportOptions(onnx=True))
    assert before.onnx is not None
    (folder / "other.onnx").touch()
    after = export_checkpoint(save(small_compact(2, seed=1), "net"), folder)
    assert after.onnx is None
    assert not before.onnx.exists()
    assert "onnx" not in json.loads(after.manifest.read_text())["models"][0]["files"]
    assert (folder / "other.onnx").exists()


def test_an_export_removes_no_file_but_its_own_onnx(save: Save, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    entry = {"name": "net", "files": {"onnx": {"file": "thesis.txt"}}}
    (folder / "manifest.json").write_text(json.dumps({"models": [entry]}))
    kept = [folder / "thesis.txt", folder / "net.onnx"]
    for path in kept:
        path.write_text("of the user")
    out = export_checkpoint(save(small_compact(2), "net"), folder)
    assert all(path.read_text() == "of the user" for path in kept)
    assert out.param.is_file()


def test_a_write_that_fails_midway_changes_nothing(save: Save, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    export_checkpoint(save(small_compact(2), "net"), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "net.onnx").mkdir()
    second = save(small_compact(2, seed=1), "net")
    with pytest.raises(OSError, match=r"net\.onnx"):
        export_checkpoint(second, folder, ExportOptions(onnx=True))
    (folder / "net.onnx").rmdir()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
