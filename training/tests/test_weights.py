"""Public checkpoint formats load; everything else is refused with a plain message."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from realesrgan_train.checkpoint_file import read_tensors
from realesrgan_train.errors import CheckpointError
from realesrgan_train.networks import RRDBNet, SRVGGNetCompact, UNetDiscriminatorSN
from realesrgan_train.weights import deduce_architecture, interpolate, load_network, save_network


def small_rrdbnet(scale: int = 4) -> RRDBNet:
    torch.manual_seed(0)
    return RRDBNet(scale=scale, num_feat=8, num_block=2, num_grow_ch=4)


def small_compact(act_type: str = "prelu") -> SRVGGNetCompact:
    torch.manual_seed(0)
    return SRVGGNetCompact(num_feat=8, num_conv=3, upscale=2, act_type=act_type)


def assert_same(a: nn.Module, b: nn.Module) -> None:
    assert type(a) is type(b)
    for name, tensor in a.state_dict().items():
        assert torch.equal(tensor, b.state_dict()[name]), name


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("RRDBNet", {}),
        ("RRDBNet", {"scale": 2}),
        ("RRDBNet", {"scale": 1, "num_block": 3}),
        ("RRDBNet", {"num_block": 6}),
        ("RRDBNet", {"num_feat": 32, "num_grow_ch": 16, "num_in_ch": 1, "num_out_ch": 1}),
        ("SRVGGNetCompact", {"num_conv": 32}),
        ("SRVGGNetCompact", {"num_conv": 16, "upscale": 3, "num_feat": 24}),
    ],
)
def test_architecture_is_read_off_the_tensors(name: str, kwargs: dict[str, Any]) -> None:
    with torch.device("meta"):
        network = {"RRDBNet": RRDBNet, "SRVGGNetCompact": SRVGGNetCompact}[name](**kwargs)
        found = deduce_architecture(network.state_dict())
        assert found.name == name
        assert found.scale == kwargs.get("scale", kwargs.get("upscale", 4))
        assert {k: found.kwargs[k] for k in kwargs} == kwargs
        rebuilt = found.build().state_dict()
    shapes = {key: tensor.shape for key, tensor in network.state_dict().items()}
    assert {key: tensor.shape for key, tensor in rebuilt.items()} == shapes


def old_numbered(blocks: int) -> list[str]:
    """Names of the first ESRGAN release, in the order of the network."""
    dense = [
        f"model.1.sub.{b}.RDB{r}.conv{c}.0"
        for b in range(blocks)
        for r in (1, 2, 3)
        for c in range(1, 6)
    ]
    ends = ["model.3", "model.6", "model.8", "model.10"]
    return ["model.0", *dense, f"model.1.sub.{blocks}", *ends]


def old_named(blocks: int) -> list[str]:
    """Names of the second ESRGAN release."""
    dense = [
        f"RRDB_trunk.{b}.RDB{r}.conv{c}"
        for b in range(blocks)
        for r in (1, 2, 3)
        for c in range(1, 6)
    ]
    return ["conv_first", *dense, "trunk_conv", "upconv1", "upconv2", "HRconv", "conv_last"]


@pytest.mark.parametrize("names", [old_numbered, old_named])
def test_old_esrgan_names_load(tmp_path: Path, names: Callable[[int], list[str]]) -> None:
    network, path = small_rrdbnet(), tmp_path / "old.pth"
    old = [f"{stem}.{kind}" for stem in names(2) for kind in ("weight", "bias")]
    torch.save(dict(zip(old, network.state_dict().values(), strict=True)), path)
    assert_same(load_network(path).network, network)


def test_old_esrgan_of_another_scale_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old_x8.pth"
    state = dict(zip([f"{s}.weight" for s in old_numbered(1)], torch.zeros(21, 1), strict=True))
    torch.save({**state, "model.13.weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match=r"model\.13\.weight, which no x4 RRDBNet has"):
        load_network(path)


@pytest.mark.parametrize("act_type", ["prelu", "relu", "leakyrelu"])
def test_safetensors_round_trip_keeps_weights_and_metadata(tmp_path: Path, act_type: str) -> None:
    network, path = small_compact(act_type), tmp_path / "net.safetensors"
    save_network(path, network, {"licence": "BSD-3-Clause", "step": "7"})
    loaded = load_network(path)
    assert_same(loaded.network, network)
    assert loaded.architecture.name == "SRVGGNetCompact"
    assert loaded.architecture.scale == 2
    assert loaded.architecture.kwargs["act_type"] == act_type
    assert loaded.metadata["licence"] == "BSD-3-Clause"
    assert json.loads(loaded.metadata["kwargs"]) == loaded.architecture.kwargs
    assert not loaded.network.training
    assert [file.name for file in tmp_path.iterdir()] == ["net.safetensors"]


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    network, path = small_rrdbnet().half(), tmp_path / "net.safetensors"
    save_network(path, network)
    loaded = load_network(path).network
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert_same(loaded, network.float())


def test_activation_that_tensors_do_not_tell_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "relu.pth"
    torch.save(small_compact("relu").state_dict(), path)
    with pytest.raises(CheckpointError, match='act_type="relu" or act_type="leakyrelu"'):
        load_network(path)
    assert load_network(path, act_type="leakyrelu").architecture.kwargs["act_type"] == "leakyrelu"


class Bomb:
    """Unpickling it would create a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("as_zip", [True, False])
def test_pickled_code_is_refused_and_not_run(tmp_path: Path, as_zip: bool) -> None:
    path, target = tmp_path / "bad.pth", tmp_path / "owned"
    if as_zip:
        torch.save({"params": Bomb(target)}, path)
    else:
        path.write_bytes(pickle.dumps({"params": Bomb(target)}))
    with pytest.raises(CheckpointError, match=r"bad\.pth: refused.*run code"):
        load_network(path)
    assert not target.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.98])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, share: float) -> None:
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    if suffix == ".pth":
        torch.save(small_rrdbnet().state_dict(), whole)
    else:
        save_network(whole, small_rrdbnet())
    content = whole.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match=r"cut.*copy or download it again"):
        load_network(path)


def with_changed(key: str, value: Tensor | None) -> dict[str, Tensor]:
    state = dict(small_rrdbnet().state_dict())
    if value is None:
        del state[key]
    else:
        state[key] = value
    return state


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (UNetDiscriminatorSN(num_feat=8).state_dict(), "a discriminator"),
        (with_changed("conv_hr.weight", torch.zeros(8, 9, 3, 3)), r"conv_hr\.weight has shape"),
        (with_changed("conv_hr.bias", None), r"lacks conv_hr\.bias"),
        (with_changed("conv_extra.bias", torch.zeros(1)), r"has unknown conv_extra\.bias"),
        (with_changed("conv_hr.bias", torch.full((8,), torch.nan)), "NaN or infinity"),
        (with_changed("conv_first.weight", torch.zeros(8, 6, 3, 3)), "neither x4, x2 nor x1"),
        (with_changed("body.0.rdb1.conv1.weight", torch.tensor(1.0)), "too few dimensions"),
        ({"fc.weight": torch.zeros(2, 2)}, "neither an RRDBNet nor an SRVGGNetCompact"),
        ({"epoch": 3, "loss": 0.5}, "holds no network weights .found epoch, loss"),
        ({}, "found nothing"),
        ([1, 2], "holds a list"),
        (
            small_compact().state_dict() | {"body.8.weight": torch.zeros(7, 8, 3, 3)},
            "no whole scale",
        ),
    ],
)
def test_other_content_is_refused(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_network(path)
    assert str(path) in str(caught.value)


def test_missing_and_misnamed_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_network(tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="not a file"):
        load_network(tmp_path)
    with pytest.raises(CheckpointError, match=r"written as \.safetensors"):
        save_network(tmp_path / "net.pth", small_rrdbnet())


def test_foreign_safetensors_metadata_is_harmless(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file(small_rrdbnet().state_dict(), path, metadata={"kwargs": "[not json"})
    assert_same(load_network(path).network, small_rrdbnet())


@pytest.mark.parametrize("kind", [OSError, SafetensorError])
def test_failed_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    path = tmp_path / "net.safetensors"
    save_network(path, small_rrdbnet())
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise kind("disk full")

    monkeypatch.setattr("realesrgan_train.checkpoint_file.save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save_network(path, small_compact())
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["net.safetensors"]


def test_broken_weights_are_not_written(tmp_path: Path) -> None:
    network = small_rrdbnet()
    nn.init.constant_(network.conv_hr.weight, torch.inf)
    with pytest.raises(CheckpointError, match="NaN or infinity"):
        save_network(tmp_path / "net.safetensors", network)
    assert not list(tmp_path.iterdir())


def test_read_tensors_of_a_large_public_sized_file(tmp_path: Path) -> None:
    path = tmp_path / "x2plus.pth"
    torch.save({"params_ema": RRDBNet(scale=2, num_block=1).state_dict()}, path)
    tensors, metadata = read_tensors(path)
    assert tensors["conv_first.weight"].shape == (64, 12, 3, 3)
    assert metadata == {}


def test_interpolation() -> None:
    a = {"w": torch.tensor([0.0, 1.0, 2.0]), "h": torch.tensor([1.0], dtype=torch.float16)}
    b = {"w": torch.tensor([4.0, 1.0, -2.0]), "h": torch.tensor([3.0], dtype=torch.float16)}
    mixed = interpolate(a, b, 0.25)
    assert mixed["w"].tolist() == [1.0, 1.0, 1.0]
    assert mixed["h"].dtype == torch.float16
    assert mixed["h"].tolist() == [1.5]
    for alpha, end in ((0.0, a), (1.0, b)):
        assert all(torch.equal(interpolate(a, b, alpha)[k], end[k]) for k in a)


def test_interpolation_refuses_what_does_not_fit() -> None:
    a = small_rrdbnet().state_dict()
    with pytest.raises(CheckpointError, match="differ in"):
        interpolate(a, small_compact().state_dict(), 0.5)
    with pytest.raises(CheckpointError, match=r"conv_first\.weight is \(8, 3, 3, 3\) in one"):
        interpolate(a, small_rrdbnet(scale=2).state_dict(), 0.5)
    with pytest.raises(ValueError, match=r"between 0 and 1, not 1\.5"):
        interpolate(a, a, 1.5)
