"""`Upscaler`: one network on one device, for arrays, PIL images and files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

from realesrgan_vk import _core
from realesrgan_vk.arguments import byte_count, flag, picture_size, thread_count, tile_side
from realesrgan_vk.denoise import denoised
from realesrgan_vk.devices import find_device, list_devices
from realesrgan_vk.errors import DeviceError, ModelError
from realesrgan_vk.models import find_model
from realesrgan_vk.request import (
    DEFAULT_MAX_PIXELS,
    AlphaMethod,
    Light,
    Precision,
    Progress,
    Request,
    UpscaleOptions,
)
from realesrgan_vk.run_plan import RunPlan
from realesrgan_vk.sizes import TargetSize

# A network is loaded before what decodes and converts pictures is: `upscaling` imports NumPy,
# Pillow and libvips, which takes a process about as long as a network takes.
# ruff: noqa: PLC0415
if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image
    from typing_extensions import Unpack

    from realesrgan_vk.image_io.rows import RowReader, RowWriter
    from realesrgan_vk.picture import Picture

DEFAULT_MODEL = "realesrgan-x4plus"


class Upscaler:
    """One network on one device. Any number of threads may share it.

    Attributes:
        model: The network in use.
        device: The Vulkan device's index, or -1 for the CPU.
        fp16: Whether values are stored in 16 bits between layers.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        device: str | int = "auto",
        precision: Precision = "auto",
        tile: int | Literal["auto", "whole"] = "auto",
        tta: bool = False,
        denoise: float | None = None,
        threads: int | None = None,
        memory_limit: int | str | None = None,
    ) -> None:
        """Load a network.

        Args:
            model: An official name, a name in `$REALESRGAN_VK_MODELS`, or the path of a `.param`
                file or of a folder with one.
            device: "auto" (a discrete GPU, else an integrated one, else the CPU), "cpu", an index
                of `list_devices()`, "vulkan:INDEX", or part of a device's name. Software Vulkan
                drivers are used only when asked for by name or index.
            precision: "fp32", "fp16" (16-bit storage; sums stay 32-bit), or "auto": fp16 on a GPU
                that has it, else fp32.
            tile: "auto" for the best path; a tile's side in input pixels (at least 32) for tiles;
                "whole" for the whole picture at once.
            tta: Average over the eight orientations: eight times the work, slightly better.
            denoise: For a network with a weakly denoising twin (realesr-general-x4v3): 0 keeps
                noise, 1 removes it, values between blend the two. None: the network as it is.
            threads: CPU threads; None: one a core.
            memory_limit: Bytes a run may use on the device, or text such as "2GiB"; None: a share
                of what is free.

        Raises:
            TypeError: An argument of the wrong type.
            ValueError: An argument out of range.
            ModelError: No such network, or a file of it is missing or damaged.
            DeviceError: No such device, or it lacks what was asked for.
        """
        if precision not in get_args(Precision):
            allowed = ", ".join(get_args(Precision))
            raise ValueError(f"precision is {precision!r}; it must be one of {allowed}")
        self.model = find_model(model)
        self.device, self.fp16 = _device_and_precision(device, precision)
        with denoised(self.model, denoise) as weights:
            self._core = _core.Upscaler(
                str(self.model.param),
                str(weights),
                device=self.device,
                fp16=self.fp16,
                tile=tile_side(tile),
                tta=flag("tta", tta),
                threads=thread_count(threads),
                memory_limit=byte_count(memory_limit),
            )
        if notices := self._core.notices():
            import logging

            for notice in notices:
                logging.getLogger("realesrgan_vk").warning(notice)
        channels = (self._core.network.input_channels, self._core.network.output_channels)
        if channels not in ((1, 1), (3, 3)):
            raise ModelError(
                f"model {self.model.name} maps {channels[0]} channels to {channels[1]}; only "
                "1 to 1 and 3 to 3 can be used on pictures"
            )

    @property
    def network(self) -> _core.NetworkInfo:
        """Scale, channels and receptive field, as the graph says."""
        return self._core.network

    @property
    def scale(self) -> int:
        """The network's own scale."""
        return self._core.network.scale

    @overload
    def upscale(self, image: NDArray[Any], **options: Unpack[UpscaleOptions]) -> NDArray[Any]: ...
    @overload
    def upscale(
        self, image: Image.Image | str | os.PathLike[str], **options: Unpack[UpscaleOptions]
    ) -> Image.Image: ...
    def upscale(
        self,
        image: NDArray[Any] | Image.Image | str | os.PathLike[str],
        *,
        scale: float | None = None,
        width: int | None = None,
        height: int | None = None,
        long_edge: int | None = None,
        alpha: AlphaMethod = "network",
        light: Light = "gamma",
        max_pixels: int | None = DEFAULT_MAX_PIXELS,
        progress: Progress | None = None,
    ) -> NDArray[Any] | Image.Image:
        """Upscale one picture.

        Args:
            image: An array of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8, uint16 or
                float32 in 0..1, any strides; a PIL image; or the path of a picture. The network
                sees floats outside 0..1 as they are; the result is clipped to 0..1.
            scale: Output pixels per input pixel, above 0, at most 256; the network's own when no
                size is asked for.
            width: Output width in pixels; the height follows unless it is given too.
            height: Output height in pixels; the width follows unless it is given too.
            long_edge: Longer side of the output in pixels.
            alpha: What upscales an alpha channel: "network" or "lanczos".
            light: Whether resampling to a size that is not a power of the network's scale
                averages "gamma" (encoded) values or "linear" light.
            max_pixels: Refuse a file that claims more, before it is decoded; None: never.
            progress: Told the finished share, 0..1, from this thread. What it raises stops the
                run and comes out: that is how to cancel (`raise realesrgan_vk.Cancelled` will do).

        Returns:
            The same kind: an array of the same type and number of dimensions, or a PIL image of
            the same mode. A path gives a PIL image, turned upright; of an animation, its first
            frame.

        Raises:
            TypeError: An argument of the wrong type.
            ValueError: An argument out of range, or an array of another shape.
            ImageError: A file that is not a picture, or a value that is not finite.
            DeviceError: The device failed.
            OutOfMemoryError: The result, or the smallest plan for it, does not fit.
        """
        from realesrgan_vk import upscaling

        request = Request(TargetSize(scale, width, height, long_edge), alpha, light)
        return upscaling.upscale(self._core, image, request, max_pixels, progress)

    def upscale_picture(
        self, picture: Picture, request: Request, progress: Progress | None = None
    ) -> Picture:
        """Upscale every frame of a decoded picture; metadata stays as it is.

        Raises:
            DeviceError: The device failed.
            OutOfMemoryError: The result, or the smallest plan for it, does not fit.
        """
        from realesrgan_vk import upscaling

        return upscaling.upscale_picture(self._core, picture, request, progress)

    def prepare(
        self, image: NDArray[Any] | Image.Image | str | os.PathLike[str] | tuple[int, int]
    ) -> int:
        """Make now what the first picture of this size would wait for; nothing is run.

        Args:
            image: A picture of 8-bit samples, as for `upscale`, or its (width, height) in pixels.

        Returns:
            Bytes that a run of such a picture takes on the device, weights included; 0 in tiles.

        Raises:
            TypeError: An argument of the wrong type.
            ValueError: A size below 1x1.
            ImageError: A file that is not a picture.
            DeviceError: The device failed.
            OutOfMemoryError: The planned memory cannot be had.
        """
        if isinstance(image, tuple):
            return self._core.prepare(*picture_size(image))
        from realesrgan_vk import upscaling

        return self._core.prepare(*upscaling.size_of(image)[:2])

    def plan(
        self, image: NDArray[Any] | Image.Image | str | os.PathLike[str] | tuple[int, int]
    ) -> RunPlan:
        """How one run of the network over a picture would go; nothing is run.

        Args:
            image: A picture, as for `upscale`, or its (width, height) in pixels for one of 8 bits.

        Raises:
            TypeError: An argument of the wrong type.
            ValueError: A size below 1x1.
            ImageError: A file that is not a picture.
            OutOfMemoryError: Not even the smallest plan fits the memory.
        """
        from realesrgan_vk import upscaling

        width, height, samples = upscaling.size_of(image)
        return RunPlan.of(self._core, width, height, samples)

    def upscale_rows(
        self, source: RowReader, sink: RowWriter, progress: Progress | None = None
    ) -> None:
        """Upscale a picture row by row, by the network's own scale, into `scale` times the rows.

        Neither picture is held in memory, unless the run needs it whole: with tiles, `tta`, or
        where not even one row of the full width fits the memory (`plan` tells).

        Args:
            source: Such as `image_io.rows.TiffRows` or `RawRows`; its channels are the network's.
            sink: Such as `image_io.rows.TiffRowWriter`; takes samples of the source's type.
            progress: As in `upscale`.

        Raises:
            ValueError: The source's channels are not the network's.
            ImageError: The source is damaged.
            DeviceError: The device failed.
            OutOfMemoryError: Not even the smallest plan fits, or memory failed on the way.
        """
        from realesrgan_vk.row_run import run_rows

        run_rows(self._core, source, sink, progress)


def _device_and_precision(device: str | int, precision: Precision) -> tuple[int, bool]:
    devices = list_devices() if device != "cpu" else []
    index = find_device(device, devices)
    chosen = next((known for known in devices if known.index == index), None)
    if precision == "fp16" and not (chosen and chosen.fp16_storage):
        name = chosen.name if chosen else "the CPU"
        raise DeviceError(
            f"precision 'fp16' needs a GPU with 16-bit storage; {name} has none; use 'auto'"
        )
    return index, precision != "fp32" and chosen is not None and chosen.fp16_storage
