"""`upscale`: one call, the network kept for the next."""

import atexit
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, overload

from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk.request import CallOptions, Precision, UpscaleOptions
from realesrgan_vk.upscaler import DEFAULT_MODEL, Upscaler

if TYPE_CHECKING:
    from typing_extensions import Unpack


@overload
def upscale(image: NDArray[Any], **options: "Unpack[CallOptions]") -> NDArray[Any]: ...
@overload
def upscale(
    image: Image.Image | str | os.PathLike[str], **options: "Unpack[CallOptions]"
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
    **options: "Unpack[UpscaleOptions]",
) -> NDArray[Any] | Image.Image:
    """Upscale one picture; the network is loaded on first use and kept for the next call.

    Takes the arguments of `Upscaler` and of `Upscaler.upscale`, returns and raises the same.
    """
    shared = _shared(os.fspath(model), device, precision, tile, tta, denoise)
    return shared.upscale(image, **options)


@lru_cache(maxsize=2)
def _shared(  # noqa: PLR0917 - the cache tells positional arguments from keywords
    model: str,
    device: str | int,
    precision: Precision,
    tile: int | Literal["auto", "whole"],
    tta: bool,
    denoise: float | None,
) -> Upscaler:
    return Upscaler(model, device=device, precision=precision, tile=tile, tta=tta, denoise=denoise)


# Networks are freed while the interpreter is still whole, not by its last garbage collection.
atexit.register(_shared.cache_clear)
