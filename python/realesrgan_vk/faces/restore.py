"""The network that restores aligned crops of faces."""

from __future__ import annotations

import logging
import threading

import numpy as np

from realesrgan_vk._core import TILE_WHOLE, inspect_network
from realesrgan_vk._core import Upscaler as Core
from realesrgan_vk.errors import ModelError
from realesrgan_vk.faces.align import CROP, Floats
from realesrgan_vk.models.registry import Model, find_model
from realesrgan_vk.options import Progress


def find_restorer(name: str) -> Model:
    """The network of a name, or of the path of a `.param` file, that restores faces.

    Raises:
        ModelError: There is no such network, with the command that gets it; or a file of it is
            damaged; or it is not one for faces.
    """
    model = find_model(name)
    network = inspect_network(model.param)
    if (network.scale, network.input_channels, network.output_channels) != (1, 3, 3):
        raise ModelError(
            f"model {model.name} enlarges by {network.scale} and maps {network.input_channels} "
            f"channels to {network.output_channels}; a network for faces keeps the size and has "
            "3 channels"
        )
    return model


class Restorer:
    """A network for crops of `CROP` pixels a side, on one device; it is loaded at the first face.

    Threads may share it; one crop runs at a time, because each takes about half a gigabyte.
    """

    def __init__(self, model: str, *, device: int, fp16: bool, threads: int) -> None:
        """Find a network's files.

        Args:
            model: A name, or the path of a `.param` file.
            device: The Vulkan device's index, or that of the CPU.
            fp16: Whether values are stored in 16 bits between layers.
            threads: On the CPU; 0: one a core.

        Raises:
            ModelError: As `find_restorer`.
        """
        self._model = find_restorer(model)
        self._device, self._fp16, self._threads = device, fp16, threads
        self._lock = threading.Lock()
        self._core: Core | None = None

    def __call__(self, crop: Floats, progress: Progress | None = None) -> Floats:
        """Restore a crop: height x width x RGB in 0..1, to the same.

        Raises:
            ModelError: The network's files are damaged.
            DeviceError: The device failed.
            OutOfMemoryError: There is not enough memory.
        """
        restored = np.empty((CROP, CROP, 3), np.float32)
        with self._lock:
            core = self._loaded()
            core.run(np.ascontiguousarray(np.clip(crop, 0, 1)), restored, progress)
        return restored

    def load(self) -> None:
        """Load the network, if it is not yet, which shows whether its files are damaged.

        Raises:
            ModelError, DeviceError, OutOfMemoryError: As a call.
        """
        with self._lock:
            self._loaded()

    def _loaded(self) -> Core:
        if self._core is None:
            self._core = Core(
                self._model.param,
                self._model.bin,
                device=self._device,
                fp16=self._fp16,
                tile=TILE_WHOLE,
                threads=self._threads,
            )
            _tell_licence(self._model)
        return self._core


_told: set[str] = set()


def _tell_licence(model: Model) -> None:
    """Log once a process that a network is not for commercial use."""
    if model.non_commercial and model.name not in _told:
        _told.add(model.name)
        logging.getLogger("realesrgan_vk").warning(
            "%s has the licence %s, which allows non-commercial use only", model.name, model.licence
        )
