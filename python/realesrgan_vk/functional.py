"""`upscale`: upscales a picture in one call and keeps the network for the next."""

from __future__ import annotations

import atexit
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, SupportsFloat, SupportsIndex, cast, overload

from realesrgan_vk.errors import DeviceError
from realesrgan_vk.models.denoise import blended_networks
from realesrgan_vk.models.registry import find_model
from realesrgan_vk.options import (
    DEFAULT_MAX_PIXELS,
    AlphaMethod,
    CallArguments,
    FileSource,
    Light,
    Precision,
    Progress,
    Tile,
    UpscalerOptions,
)
from realesrgan_vk.upscaler import DEFAULT_MODEL, Upscaler

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image
    from typing_extensions import Unpack


_MOST_KEPT = 2


@dataclass(slots=True)
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)  # held while the network is loaded
    upscaler: Upscaler | None = None


class _Kept:
    """The upscalers used last, by their options and the state of their files."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Upscaler]) -> Upscaler:
        """The upscaler of this key; the first caller makes it, others wait until it is made."""
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
        with entry.lock:
            if entry.upscaler is None:
                try:
                    entry.upscaler = make()
                except BaseException:
                    self.drop(key, None)
                    raise
        with self._lock:
            while len(self._entries) > _MOST_KEPT:
                self._entries.popitem(last=False)
        return entry.upscaler

    def drop(self, key: Hashable, upscaler: Upscaler | None) -> None:
        """Forget this upscaler, unless another has taken its place already."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry.upscaler is upscaler:
                del self._entries[key]

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()


_kept = _Kept()
# Networks are freed before the interpreter shuts down, not by its last garbage collection.
atexit.register(_kept.clear)


@overload
def upscale(
    image: NDArray[Any], *, as_array: bool = ..., **options: Unpack[CallArguments]
) -> NDArray[Any]: ...
@overload
def upscale(
    image: Image.Image | FileSource, *, as_array: Literal[True], **options: Unpack[CallArguments]
) -> NDArray[Any]: ...
@overload
def upscale(
    image: Image.Image | FileSource,
    *,
    as_array: Literal[False] = ...,
    **options: Unpack[CallArguments],
) -> Image.Image: ...
def upscale(
    image: NDArray[Any] | Image.Image | FileSource,
    *,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    device: str | SupportsIndex = "auto",
    precision: Precision = "auto",
    tile: SupportsIndex | Tile = "auto",
    tta: bool = False,
    denoise: SupportsFloat | None = None,
    threads: SupportsIndex | None = None,
    memory_limit: SupportsIndex | str | None = None,
    runs_at_once: SupportsIndex = 1,
    scale: SupportsFloat | None = None,
    width: SupportsIndex | None = None,
    height: SupportsIndex | None = None,
    long_edge: SupportsIndex | None = None,
    alpha: AlphaMethod = "network",
    light: Light = "gamma",
    max_pixels: SupportsIndex | None = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
    as_array: bool = False,
) -> NDArray[Any] | Image.Image:
    """Upscale one picture; the network is loaded on first use and kept for the next call.

    The two networks used last are kept. One is loaded again when its files change, when another
    file goes by its name (`$REALESRGAN_VK_MODELS`), and after a `DeviceError`.

    Args:
        image: An array, a PIL image, or a picture file's path, bytes or open file, as for
            `Upscaler.upscale`.
        model: A network's name, or the path of its `.param` file.
        device: "auto", "cpu", an index of `list_devices()`, or part of a device's name.
        precision: "auto", "fp32" or "fp16".
        tile: "auto", "whole", or a tile's side in input pixels.
        tta: Average the eight orientations.
        denoise: 0 keeps noise, 1 removes it, for a network that offers it.
        threads: CPU threads; None: one a core.
        memory_limit: Bytes, or text such as "2GiB"; None: a share of what is free.
        runs_at_once: How many runs divide that share of what is free.
        scale: Output pixels per input pixel; None: the network's own.
        width: Output width in pixels.
        height: Output height in pixels.
        long_edge: Longer side of the output in pixels.
        alpha: What upscales an alpha channel: "network" or "lanczos".
        light: "gamma" or "linear": what the final resampling works in.
        max_pixels: Refuse a file of more pixels; None: no limit.
        progress: Called with the completed fraction, 0..1; what it raises stops the run.
        as_array: Return an array for a PIL image or a file, too.

    Returns:
        As `Upscaler.upscale`.

    Raises:
        TypeError, ValueError, ModelError, DeviceError, ImageError, OutOfMemoryError: As `Upscaler`
            and `Upscaler.upscale`.
    """
    given: dict[str, Any] = {
        "device": device,
        "precision": precision,
        "tile": tile,
        "tta": tta,
        "denoise": denoise,
        "threads": threads,
        "memory_limit": memory_limit,
        "runs_at_once": runs_at_once,
    }
    options = UpscalerOptions(**given)
    key = (options, *_files(model, options.denoise))
    shared = _kept.get(key, lambda: Upscaler(model, **asdict(options)))
    try:
        # The types of `image` and `as_array` select the overload.
        result: NDArray[Any] | Image.Image = cast("Any", shared).upscale(
            image,
            scale=scale,
            width=width,
            height=height,
            long_edge=long_edge,
            alpha=alpha,
            light=light,
            max_pixels=max_pixels,
            progress=progress,
            as_array=as_array,
        )
    except DeviceError:
        _kept.drop(key, shared)  # a lost device stays lost: the next call loads the network
        raise
    return result


def _files(
    model: str | os.PathLike[str], denoise: float | None
) -> list[tuple[str, Path, int, int]]:
    """The network's files with their sizes and modification times."""
    states = []
    for network in blended_networks(find_model(model), denoise):
        for path in (network.param, network.bin):
            status = path.stat()
            states.append((network.name, path.resolve(), status.st_size, status.st_mtime_ns))
    return states
