"""The published networks: recovered, exported again, and the same to the last byte."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import realesrgan_vk
from realesrgan_export import ExportOptions, export_checkpoint, recover_network
from realesrgan_export.cli import main
from realesrgan_export.engines import ncnn_engine
from realesrgan_export.pictures import verification_pictures
from realesrgan_export.recover import read_network
from realesrgan_train.weights import load_network
from realesrgan_vk.models.ncnn.param import Graph, read_graph

NAMES = [
    "REALESRGAN_ANIMAVIDEOV3_UP4X",
    pytest.param("REALESRGAN_X4PLUSANIME_UP4X", marks=pytest.mark.slow),
    pytest.param("REALESRGAN_X4PLUS_UP4X", marks=pytest.mark.slow),
]


def _layers(graph: Graph) -> list[tuple[str, int, int]]:
    return [
        (layer.type, len(layer.inputs), len(layer.outputs))
        for layer in graph
        if layer.type != "Split"
    ]


@pytest.mark.usefixtures("all_cores")
@pytest.mark.parametrize("name", NAMES)
def test_there_and_back_is_the_identity(name: str, official: Path, tmp_path: Path) -> None:
    published = official / f"{name}.param"
    first = tmp_path / "first.safetensors"
    recover_network(published, first)
    out = export_checkpoint(first, tmp_path / "out", ExportOptions(name="net", fp16=True))
    assert out.bin.read_bytes() == published.with_suffix(".bin").read_bytes()
    assert _layers(read_graph(out.param)) == _layers(read_graph(published))

    a = load_network(first).network.state_dict()
    b = read_network(out.param)[0].state_dict()
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)

    photograph = verification_pictures(3)[-1].pixels
    ours, theirs = (
        realesrgan_vk.Upscaler(param, device="cpu").upscale(photograph)
        for param in (out.param, published)
    )
    assert np.array_equal(ours, theirs)
    crop = photograph[16:64, 32:96]
    ours = ncnn_engine(out.param, out.bin)(crop)
    theirs = ncnn_engine(published, published.with_suffix(".bin"))(crop)
    assert np.array_equal(ours, theirs)


def test_an_installed_network_is_recovered_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(["from-ncnn", "realesr-animevideov3-x4"])
    assert left.value.code == 0
    loaded = load_network(tmp_path / "realesr-animevideov3-x4.safetensors")
    assert (loaded.architecture.name, loaded.architecture.scale) == ("SRVGGNetCompact", 4)
    assert loaded.metadata["licence"] == "BSD-3-Clause"
    capsys.readouterr()
    for name, reason in (
        ("realesr-animevideov3-x4", "exists already; name the file to write with -o"),
        ("realesrgan-x5", "realesrgan-x4plus"),
        ("absent.param", "absent.param"),
        ("realesr-animevideov3-x4.safetensors", "not an ncnn network; give NAME.param"),
    ):
        with pytest.raises(SystemExit) as left:
            main(["from-ncnn", name, *(["-o", "other.safetensors"] if "." in name else [])])
        assert left.value.code == 1
        message = capsys.readouterr().err
        assert reason in message
        assert message.count("\n") == 1


@pytest.mark.parametrize(("scale", "factor"), [(2, 0.5), (3, 0.75)])
def test_the_resize_after_animevideov3_is_kept_as_metadata(
    scale: int, factor: float, official: Path, tmp_path: Path
) -> None:
    back = tmp_path / "back.safetensors"
    param = official / f"REALESRGAN_ANIMAVIDEOV3_UP{scale}X.param"
    with pytest.raises(SystemExit) as left:
        main(["from-ncnn", str(param), "-o", str(back)])
    assert left.value.code == 0
    loaded = load_network(back)
    assert loaded.architecture.scale == 4
    assert json.loads(loaded.metadata["tail"]) == {"resize": "bicubic", "scale": factor}
    assert loaded.metadata["stored_precision"] == "fp16"
