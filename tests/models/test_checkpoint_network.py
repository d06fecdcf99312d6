"""PyTorch's tensors become a network that the core loads; others are refused by name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from checkpoint_files import compact_arrays
from numpy.typing import NDArray

import realesrgan_vk
from realesrgan_vk.models.checkpoint_network import convert_network
from realesrgan_vk.models.ncnn.param import format_graph
from realesrgan_vk.models.ncnn.weights import format_weights

Arrays = dict[str, NDArray[np.float32]]


def _compact() -> Arrays:
    return {name: np.asarray(array, np.float32) for name, array in compact_arrays().items()}


def _rrdbnet(unshuffle: int = 1, features: int = 4, growth: int = 2) -> Arrays:
    shapes = {"conv_first": (features, 3 * unshuffle**2), "conv_last": (3, features)}
    for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
        shapes[name] = (features, features)
    for dense in (1, 2, 3):
        for number in range(5):
            outputs = growth if number < 4 else features
            shapes[f"body.0.rdb{dense}.conv{number + 1}"] = (outputs, features + number * growth)
    rng = np.random.default_rng(5)
    arrays: Arrays = {}
    for name, (outputs, inputs) in shapes.items():
        kernel = rng.normal(0, 0.1, (outputs, inputs, 3, 3))
        arrays[f"{name}.weight"] = kernel.astype(np.float16).astype(np.float32)
        arrays[f"{name}.bias"] = rng.normal(0, 0.02, outputs).astype(np.float32)
    return arrays


def _load(arrays: Arrays, folder: Path) -> realesrgan_vk.Upscaler:
    network = convert_network(arrays)
    param = folder / "net.param"
    param.write_text(format_graph(network.graph))
    param.with_suffix(".bin").write_bytes(format_weights(network.graph, network.weights))
    upscaler = realesrgan_vk.Upscaler(param, device="cpu", threads=1)
    assert upscaler.scale == network.scale
    return upscaler


@pytest.mark.parametrize("unshuffle", [1, 2, 4])
def test_an_rrdbnet_streams(unshuffle: int, tmp_path: Path) -> None:
    upscaler = _load(_rrdbnet(unshuffle), tmp_path)
    assert upscaler.scale == 4 // unshuffle
    assert upscaler.plan((64, 48)).path == "stream"


def test_a_compact_network_enlarges_as_numpy_does(tmp_path: Path) -> None:
    arrays = _compact()
    picture = np.random.default_rng(1).random((9, 11, 3)).astype(np.float32)
    values = picture.transpose(2, 0, 1)
    for index in range(5):
        weight = arrays[f"body.{index}.weight"]
        if weight.ndim == 1:
            values = np.where(values > 0, values, values * weight[:, None, None])
            continue
        padded = np.pad(values, ((0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
        bias = arrays[f"body.{index}.bias"]
        values = np.einsum("chwyx,ocyx->ohw", windows, weight) + bias[:, None, None]
    shuffled = values.reshape(3, 2, 2, 9, 11).transpose(0, 3, 1, 4, 2).reshape(3, 18, 22)
    expected = shuffled.transpose(1, 2, 0) + picture.repeat(2, 0).repeat(2, 1)
    made = np.asarray(_load(arrays, tmp_path).upscale(picture), np.float32)
    assert np.abs(made - expected.clip(0, 1)).max() < 1e-5


def test_values_too_large_for_16_bits_are_kept_in_32(tmp_path: Path) -> None:
    arrays = _compact()
    assert convert_network(arrays).weights["convolution_0"].fp16
    arrays["body.0.weight"] = arrays["body.0.weight"] * np.float32(1e7)
    assert not convert_network(arrays).weights["convolution_0"].fp16
    assert _load(arrays, tmp_path).scale == 2


def _without(name: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {key: value for key, value in arrays.items() if key != name}


def _with(name: str, *shape: int) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {**arrays, name: np.zeros(shape, np.float32)}


@pytest.mark.parametrize(
    ("make", "change", "reason"),
    [
        (_compact, _without("body.2.bias"), r"body\.2\.bias is missing"),
        (_compact, _without("body.0.weight"), "neither an RRDBNet nor"),
        (_compact, _with("body.9.bias", 4), r"body\.9\.bias belongs to no layer"),
        (_compact, _with("body.3.weight", 5), r"body\.3\.weight has the shape \(5,\) instead of"),
        (_compact, _with("body.4.weight", 13, 4, 3, 3), "no whole scale"),
        (_compact, _with("body.4.weight", 4), "has not 4 dimensions"),
        (_compact, _with("body.0.weight", 4, 3, 5, 5), r"instead of \(4, 3, 3, 3\)"),
        (_rrdbnet, _without("conv_up2.weight"), r"conv_up2\.weight is missing"),
        (_rrdbnet, _without("body.0.rdb2.conv3.bias"), r"body\.0\.rdb2\.conv3\.bias is missing"),
        (_rrdbnet, _with("conv_first.weight", 4, 27, 3, 3), "reads 27 channels"),
        (_rrdbnet, _with("body.2.rdb1.conv1.bias", 2), "belongs to no layer"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    make: Callable[[], Arrays], change: Callable[[Arrays], Arrays], reason: str
) -> None:
    with pytest.raises(realesrgan_vk.ModelError, match=reason):
        convert_network(change(make()))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    arrays = _compact()
    arrays["body.2.weight"][1, 1, 1, 1] = value
    with pytest.raises(realesrgan_vk.ModelError, match=r"body\.2\.weight has values .* not finite"):
        convert_network(arrays)
