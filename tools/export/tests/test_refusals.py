"""Broken and foreign checkpoints: one reason, exit code 1, no files, no code run."""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Save, small_compact, small_rrdbnet
from torch import nn

import realesrgan_export
from realesrgan_export import ParityError, export, export_checkpoint, recover_network
from realesrgan_export.cli import main
from realesrgan_export.errors import ExportError
from realesrgan_export.tidy import tidy
from realesrgan_train.networks import UNetDiscriminatorSN
from realesrgan_vk.models.ncnn.param import Graph, Layer, format_graph, read_graph
from realesrgan_vk.models.ncnn.weights import LayerWeights, format_weights, read_weights


class _Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.mkdir, (str(self.marker),)


def _truncated(path: Path) -> None:
    torch.save(small_compact().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-2000])


def _code_in_zip(path: Path) -> None:
    torch.save({"params": {"conv.weight": _Payload(path.with_name("ran"))}}, path)


def _bare_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"params": _Payload(path.with_name("ran"))}))


def _wrong_shape(path: Path) -> None:
    state = small_rrdbnet().state_dict()
    state["body.0.rdb2.conv3.weight"] = state["body.0.rdb2.conv3.weight"][:, :-1]
    torch.save(state, path)


def _discriminator(path: Path) -> None:
    torch.save({"params": UNetDiscriminatorSN(num_feat=8).state_dict()}, path)


def _foreign(path: Path) -> None:
    torch.save({"layers.0.attn.qkv.weight": torch.zeros(4, 4)}, path)


def _not_finite(path: Path) -> None:
    state = small_compact().state_dict()
    state["body.2.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, path)


def _plain_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no network")


def _empty(path: Path) -> None:
    path.touch()


def _html(path: Path) -> None:
    path.write_text("<!doctype html><title>404</title>")


def _changed(path: Path, name: str, tensor: torch.Tensor) -> None:
    torch.save(small_rrdbnet().state_dict() | {name: tensor}, path)


def _complex(path: Path) -> None:
    _changed(path, "conv_hr.bias", torch.full((16,), 1 + 2j))


def _integers(path: Path) -> None:
    _changed(path, "conv_hr.bias", torch.ones(16, dtype=torch.int64))


def _sparse(path: Path) -> None:
    _changed(path, "conv_hr.weight", torch.ones(16, 16).to_sparse())


def _far_layer(path: Path) -> None:
    _changed(path, "body.999999.rdb1.conv1.weight", torch.zeros(8, 16, 3, 3))


def _nested(path: Path) -> None:
    text = b'{"a":' + b"[" * 50_000
    path.write_bytes(len(text).to_bytes(8, "little") + text)


CASES: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (_truncated, "not a whole PyTorch checkpoint"),
    "code in a zip": (_code_in_zip, "would run code"),
    "bare pickle": (_bare_pickle, "checkpoint|would run code"),
    "wrong shape": (_wrong_shape, r"body.0.rdb2.conv3.weight has shape \(8, 31, 3, 3\)"),
    "discriminator": (_discriminator, "discriminator"),
    "foreign": (_foreign, r"neither an RRDBNet nor.*is installed: pip install spandrel"),
    "NaN": (_not_finite, "NaN"),
    "plain zip": (_plain_zip, "not a checkpoint but a zip archive without PyTorch's data.pkl"),
    "empty": (_empty, "not a checkpoint but an empty file"),
    "HTML": (_html, "not a checkpoint but an HTML or XML page"),
    "complex": (_complex, r"conv_hr\.bias is of type complex64"),
    "integers": (_integers, r"conv_hr\.bias holds int64 numbers; weights are floating-point"),
    "sparse": (_sparse, r"conv_hr\.weight is a sparse tensor"),
    "far layer": (_far_layer, r"a layer body\.999999, but only 2 layers up to it"),
    "nested": (_nested, "not a whole .safetensors file"),
}


@pytest.mark.parametrize("case", CASES)
def test_broken_checkpoints(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "spandrel", None)
    make, reason = CASES[case]
    checkpoint, folder = tmp_path / "broken.pth", tmp_path / "out"
    make(checkpoint)
    with pytest.raises(ExportError, match=reason):
        export_checkpoint(checkpoint, folder)
    with pytest.raises(SystemExit) as left:
        main([str(checkpoint), "-o", str(folder)])
    assert left.value.code == 1
    message = capsys.readouterr().err
    assert message.startswith("realesrgan-export: ")
    assert message.count("\n") == 1
    assert not folder.exists()
    assert not (tmp_path / "ran").exists()


def test_a_network_that_makes_black_pictures_is_told_to_be_trained_longer(
    save: Save, tmp_path: Path
) -> None:
    network = small_rrdbnet()  # a fresh one has results around 0, many of them below
    assert network.conv_last.bias is not None
    with torch.no_grad():
        network.conv_last.weight.mul_(0.01)
        network.conv_last.bias.fill_(-0.1)
    with pytest.raises(ExportError, match=r"all black picture of 1x1, in PyTorch, too.*longer"):
        export_checkpoint(save(network, "fresh"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_checkpoint_and_bad_name(save: Save, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no such checkpoint"):
        export_checkpoint(tmp_path / "absent.pth", tmp_path / "out")
    with pytest.raises(ExportError, match="cannot name a network"):
        export_checkpoint(save(small_compact(), "a b"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_graph_that_computes_something_else_is_not_installed(
    save: Save,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    right = tidy

    def wrong(graph: Graph, *, broadcasts: bool = False) -> Graph:
        graph = right(graph, broadcasts=broadcasts)
        next(la for la in graph if la.type == "Eltwise").params[1] = (1.0, 0.2)
        return graph

    monkeypatch.setattr(export, "tidy", wrong)
    checkpoint = save(small_rrdbnet(), "net")
    with pytest.raises(ParityError, match=r"ncnn, CPU fp32 differs from PyTorch by .* limit"):
        export_checkpoint(checkpoint, tmp_path / "out")
    with pytest.raises(SystemExit) as left:
        main([str(checkpoint), "-o", str(tmp_path / "out")])
    assert left.value.code == 1
    told = capsys.readouterr()
    table = [line for line in told.out.splitlines() if "realesrgan-vk, CPU" in line]
    assert len(table) == 5  # one line a picture
    assert "photograph" in table[-1]
    assert told.err.startswith("realesrgan-export: ncnn, CPU fp32 differs from PyTorch by ")
    assert told.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_weights_beyond_16_bits(save: Save, tmp_path: Path) -> None:
    network = small_compact()
    with torch.no_grad():
        next(network.parameters())[0, 0, 0, 0] = 1e5
    with pytest.raises(ExportError, match="too large for 16 bits; export with --fp32"):
        export_checkpoint(save(network, "net"), tmp_path / "out")


def test_ambiguous_activation_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "leaky.pth"
    torch.save(small_compact(act_type="leakyrelu").state_dict(), path)
    with pytest.raises(ExportError, match="give --act-type relu or --act-type leakyrelu"):
        export_checkpoint(path, tmp_path / "out")
    main_arguments = [str(path), "-o", str(tmp_path / "out"), "--act-type", "leakyrelu"]
    with pytest.raises(SystemExit) as left:
        main(main_arguments)
    assert left.value.code == 0
    assert (tmp_path / "out" / "leaky.param").is_file()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (small_compact, "--act-type relu was given, but the file says prelu"),
        (small_rrdbnet, "the activation of an RRDBNet is fixed"),
    ],
)
def test_an_activation_the_file_contradicts(
    make: Callable[[], nn.Module], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, folder = tmp_path / "net.pth", tmp_path / "out"
    torch.save(make().state_dict(), path)
    for words in (
        [str(path), "-o", str(folder)],
        ["interpolate", str(path), str(path), "--alpha", "1", "-o", f"{folder}.safetensors"],
    ):
        with pytest.raises(SystemExit) as left:
            main([*words, "--act-type", "relu"])
        assert left.value.code == 1
        assert reason in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["net.pth"]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: data[:-40], "cut short"),
        (lambda data: data + b"\0" * 8, "left over"),
        (lambda data: b"\x38\x4b\x0d\x00" + data[4:], "8 bits"),
        (lambda data: b"\xff\xff\xff\x7f" + data[4:], "unknown tag"),
    ],
)
def test_damaged_ncnn_weights(
    damage: Callable[[bytes], bytes], reason: str, official: Path, tmp_path: Path
) -> None:
    name = "REALESRGAN_ANIMAVIDEOV3_UP4X"
    (tmp_path / "net.param").write_bytes((official / f"{name}.param").read_bytes())
    (tmp_path / "net.bin").write_bytes(damage((official / f"{name}.bin").read_bytes()))
    with pytest.raises(ExportError, match=reason):
        recover_network(tmp_path / "net.param", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_an_ncnn_network_wired_otherwise_is_not_recovered(official: Path, tmp_path: Path) -> None:
    name = "REALESRGAN_ANIMAVIDEOV3_UP4X"
    text = (official / f"{name}.param").read_text()
    (tmp_path / "net.param").write_text(text.replace("0=1 1=4.0", "0=2 1=4.0"))  # bilinear skip
    (tmp_path / "net.bin").write_bytes((official / f"{name}.bin").read_bytes())
    with pytest.raises(ParityError, match="looks like an SRVGGNetCompact, but"):
        recover_network(tmp_path / "net.param", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def _no_slope(graph: Graph) -> None:
    for layer in graph:
        if layer.type == "Convolution":
            layer.params[9] = 2


def _resize_of_nothing(graph: Graph) -> None:
    graph.layers.append(Layer("Interp", "grow", [], ["grown"]))


def _nothing(graph: Graph) -> None:
    graph.layers.clear()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_no_slope, "has a LeakyReLU with 0 slopes instead of one"),
        (_resize_of_nothing, "has 2 outputs"),
        (_nothing, "has no layers"),
    ],
)
def test_damaged_ncnn_graphs(
    damage: Callable[[Graph], None], reason: str, save: Save, tmp_path: Path
) -> None:
    out = export_checkpoint(save(small_compact(2, "relu"), "net"), tmp_path / "out")
    graph = read_graph(out.param)
    damage(graph)
    out.param.write_text(format_graph(graph))
    with pytest.raises(ExportError, match=reason):
        recover_network(out.param, tmp_path / "back.safetensors")
    assert not (tmp_path / "back.safetensors").exists()


def test_prelus_that_do_not_fit_their_convolutions(save: Save, tmp_path: Path) -> None:
    out = export_checkpoint(save(small_compact(2), "net"), tmp_path / "out")
    graph = read_graph(out.param)
    weights = read_weights(graph, out.bin)
    first = next(layer for layer in graph if layer.type == "PReLU")
    first.params[0] = 17
    weights[first.name] = LayerWeights(np.full(17, 0.1, np.float32))
    out.param.write_text(format_graph(graph))
    out.bin.write_bytes(format_weights(graph, weights))
    with pytest.raises(ExportError, match="has 17 slopes for 16 channels"):
        recover_network(out.param, tmp_path / "back.safetensors")
    assert not (tmp_path / "back.safetensors").exists()


def test_messages_name_packages_of_others_only() -> None:
    """A name of ours is not on the package index: whoever registered it would be installed."""
    for path in Path(realesrgan_export.__file__).parent.rglob("*.py"):
        assert not re.search(r"pip install[^#]{0,9}realesrgan", path.read_text("utf-8")), path
