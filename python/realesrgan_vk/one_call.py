"""`upscale`: one call, the network kept for the next."""

from __future__ import annotations

import atexit
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, overload

from realesrgan_vk.denoise import blended_networks
from realesrgan_vk.errors import DeviceError
from realesrgan_vk.models import find_model
from realesrgan_vk.request import CallOptions, Precision, UpscaleOptions
from realesrgan_vk.upscaler import DEFAULT_MODEL, Upscaler

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image
    from typing_extensions import Unpack


@dataclass(slots=True)
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)  # held while the network is loaded
    upscaler: Upscaler | None = None


class _Kept:
    """The upscalers used last, by all that made them what they are."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Upscaler]) -> Upscaler:
        """The one of this key; the first of several callers makes it, the others wait for that."""
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
            while len(self._entries) > self._most:
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


_kept = _Kept(most=2)
# Networks are freed while the interpreter is still whole, not by its last garbage collection.
atexit.register(_kept.clear)


@overload
def upscale(image: NDArray[Any], **options: Unpack[CallOptions]) -> NDArray[Any]: ...
@overload
def upscale(
    image: Image.Image | str | os.PathLike[str], **options: Unpack[CallOptions]
) -> Image.Image: ...
def upscale(
    image: NDArray[Any] | Image.Image | str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    device: str | int = "auto",
    precision: Precision = "auto",
    tile: int | Literal["auto", "whole"] = "auto",
    tta: bool = False,
    denoise: float | None = None,
    threads: int | None = None,
    memory_limit: int | str | None = None,
    **options: Unpack[UpscaleOptions],
) -> NDArray[Any] | Image.Image:
    """Upscale one picture; the network is loaded on first use and kept for the next call.

    Takes the arguments of `Upscaler` and of `Upscaler.upscale`, returns and raises the same. The
    two networks used last are kept. One is loaded anew when its files change, when another file
    goes by its name (`$REALESRGAN_VK_MODELS`), and after a `DeviceError`.
    """

    def make() -> Upscaler:
        return Upscaler(
            model,
            device=device,
            precision=precision,
            tile=tile,
            tta=tta,
            denoise=denoise,
            threads=threads,
            memory_limit=memory_limit,
        )

    # Text, for arguments of a wrong type need not be hashable; 1, 1.0 and True differ in it.
    chosen = repr((device, precision, tile, tta, denoise, threads, memory_limit))
    key = (chosen, *_files(model, denoise))
    shared = _kept.get(key, make)
    try:
        return shared.upscale(image, **options)
    except DeviceError:
        _kept.drop(key, shared)  # a lost device does not come back: the next call begins anew
        raise


def _files(
    model: str | os.PathLike[str], denoise: float | None
) -> list[tuple[str, Path, int, int]]:
    """The files that the network is read from, and what tells that one has changed."""
    networks = blended_networks(find_model(model), denoise)
    states = []
    for network in networks:
        for path in (network.param, network.bin):
            status = path.stat()
            states.append((network.name, path.resolve(), status.st_size, status.st_mtime_ns))
    return states
