"""`Upscaler`, one network on one device, and `upscale`, which keeps the ones used last."""

from __future__ import annotations

import atexit
import functools
import os
import threading
from collections import OrderedDict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, SupportsFloat, SupportsIndex, cast, overload

from realesrgan_vk._core import (
    CPU_DEVICE,
    TILE_AUTO,
    TILE_WHOLE,
    NetworkInfo,
    YuvFormat,
    usable_cores,
)
from realesrgan_vk._core import Upscaler as Core
from realesrgan_vk.checks import (
    MAX_INPUT_SIDE,
    callback,
    flag,
    instance_of,
    picture_size,
    pixel_limit,
    whole_number,
)
from realesrgan_vk.devices import find_device, list_devices
from realesrgan_vk.errors import DeviceError, ModelError, printable
from realesrgan_vk.models.denoise import blended_networks, denoised
from realesrgan_vk.models.registry import find_model, official_name
from realesrgan_vk.options import (
    DEFAULT_MAX_PIXELS,
    AlphaMethod,
    CallArguments,
    FaceOptions,
    FileSource,
    FrameArguments,
    Light,
    Precision,
    Progress,
    Request,
    TargetSize,
    Tile,
    UpscaleArguments,
    UpscalerOptions,
    face_options,
)

# `processing` imports NumPy, Pillow and libvips, which takes about as long as loading a network;
# it is therefore imported with the first picture.
# ruff: noqa: PLC0415
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image
    from typing_extensions import Self, Unpack

    from realesrgan_vk.faces.enhance import FaceEnhancer
    from realesrgan_vk.image_io.rows import RowReader, RowWriter
    from realesrgan_vk.imaging.picture import Picture
    from realesrgan_vk.processing.plan import RunPlan
    from realesrgan_vk.processing.processor import Processor
    from realesrgan_vk.processing.profile import RunProfile

DEFAULT_MODEL = "realesrgan-x4plus"
_FRAMES_ON_GPU = 2  # in work at a time: one is uploaded or downloaded while the other is computed
_MOST_KEPT = 2  # upscalers of `upscale`
_TILES = {"auto": TILE_AUTO, "whole": TILE_WHOLE}


class Upscaler:
    """One network on one device. Any number of threads may share it.

    Its memory is freed by `close`, at the end of a `with` block, or with the object:

    >>> with Upscaler() as upscaler:  # doctest: +SKIP
    ...     large = upscaler.upscale("photo.jpg")

    An upscaler can be pickled, such as for `multiprocessing`: the copy loads the network again,
    with the same arguments. A network given by a path is found there by its absolute path.

    Attributes:
        model: The network in use.
        device: The Vulkan device's index, or -1 for the CPU.
        fp16: Whether values are stored in 16 bits between layers.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        device: str | SupportsIndex = "auto",
        precision: Precision = "auto",
        tile: SupportsIndex | Tile = "auto",
        tta: bool = False,
        denoise: SupportsFloat | None = None,
        threads: SupportsIndex | None = None,
        memory_limit: SupportsIndex | str | None = None,
        runs_at_once: SupportsIndex = 1,
    ) -> None:
        """Load a network.

        Args:
            model: The name of an official network, or of one added or in a folder that
                `$REALESRGAN_VK_MODELS` lists; or the path of a `.param` file or of a folder with
                one.
            device: "auto" (a discrete GPU, else an integrated one, else the CPU), "cpu", an index
                of `list_devices()`, "vulkan:INDEX", or part of a device's name. Software Vulkan
                drivers are used only when asked for by name or index.
            precision: "fp32", "fp16" (16-bit storage; sums stay 32-bit), or "auto": fp16 on a GPU
                that has it, else fp32.
            tile: "auto" for the best path; a tile's side in input pixels (at least 32) for tiles;
                "whole" for the whole picture at once.
            tta: Average the results of the picture's eight orientations: eight times the work for
                a slightly better picture.
            denoise: For a network with a weakly denoising twin (realesr-general-x4v3): 0 keeps
                noise, 1 removes it, values between blend the two. None: the network as it is.
            threads: CPU threads of a run, no more than there are cores; None: one a core.
            memory_limit: Bytes a run may use on the device, or text such as "2GiB"; None: a share
                of what is free.
            runs_at_once: How many runs divide that share. Where a part is too small for a picture,
                a run takes more. On a Vulkan device a run that would be in lower row bands than
                without the others takes two parts, and they wait for it.

        Raises:
            TypeError: An argument of the wrong type.
            ValueError: An argument out of range.
            ModelError: No such network, or a file of it is missing or damaged.
            DeviceError: No such device, or it lacks what was asked for.
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
        options = self._options = UpscalerOptions(**given)
        self.model = find_model(model)
        self._official_name = official_name(model) if isinstance(model, str) else ""
        self.device, self.fp16 = _device_and_precision(options.device, options.precision)
        with denoised(self.model, options.denoise) as weights:
            core = Core(
                self.model.param,
                weights,
                device=self.device,
                fp16=self.fp16,
                tile=_TILES[options.tile] if isinstance(options.tile, str) else options.tile,
                tta=options.tta,
                threads=options.threads or 0,
                memory_limit=options.memory_limit or 0,
                runs_at_once=options.runs_at_once,
            )
        if warnings := core.notices():
            import logging

            for warning in warnings:
                logging.getLogger("realesrgan_vk").warning(printable(warning))
        channels = (core.network.input_channels, core.network.output_channels)
        if channels not in ((1, 1), (3, 3)):
            raise ModelError(
                f"model {self.model.name} maps {channels[0]} channels to {channels[1]}; only "
                "1 to 1 and 3 to 3 can be used on pictures"
            )
        self._core: Core | None = core

    def __enter__(self) -> Self:
        """Return the upscaler itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Free the network's memory, on the device too; closing again does nothing.

        Runs of other threads end first. Every further use raises `ValueError`.
        """
        self._core = None
        self.__dict__.pop("_processor", None)

    def __reduce__(self) -> tuple[functools.partial[Upscaler], tuple[()]]:
        """Pickle as the arguments that create an equal upscaler."""
        model = self._official_name or self.model.param.resolve()
        return functools.partial(type(self), model, **asdict(self._options)), ()

    @functools.cached_property
    def _processor(self) -> Processor:
        from realesrgan_vk.faces.restore import Restorer
        from realesrgan_vk.processing.processor import Processor

        def restorer(model: str) -> Restorer:
            return Restorer(
                model, device=self.device, fp16=self.fp16, threads=self._options.threads or 0
            )

        return Processor(self._open_core, restorer)

    @property
    def _open_core(self) -> Core:
        if self._core is None:
            raise ValueError("this upscaler is closed; make another one")
        return self._core

    @property
    def deciding_options(self) -> dict[str, object]:
        """The options that decide about a result's values, not only about its time and memory."""
        return self._options.deciding

    @property
    def network(self) -> NetworkInfo:
        """Scale, channels and receptive field, computed from the graph."""
        return self._open_core.network

    @property
    def scale(self) -> int:
        """The network's own scale."""
        return self._open_core.network.scale

    @overload
    def upscale(
        self, image: NDArray[Any], *, as_array: bool = ..., **options: Unpack[UpscaleArguments]
    ) -> NDArray[Any]: ...
    @overload
    def upscale(
        self,
        image: Image.Image | FileSource,
        *,
        as_array: Literal[True],
        **options: Unpack[UpscaleArguments],
    ) -> NDArray[Any]: ...
    @overload
    def upscale(
        self,
        image: Image.Image | FileSource,
        *,
        as_array: Literal[False] = ...,
        **options: Unpack[UpscaleArguments],
    ) -> Image.Image: ...
    def upscale(
        self,
        image: NDArray[Any] | Image.Image | FileSource,
        *,
        scale: SupportsFloat | None = None,
        width: SupportsIndex | None = None,
        height: SupportsIndex | None = None,
        long_edge: SupportsIndex | None = None,
        alpha: AlphaMethod = "network",
        light: Light = "gamma",
        strength: SupportsFloat = 1.0,
        max_pixels: SupportsIndex | None = DEFAULT_MAX_PIXELS,
        progress: Progress | None = None,
        faces: bool | FaceOptions = False,
        mask: NDArray[Any] | Image.Image | FileSource | None = None,
        as_array: bool = False,
    ) -> NDArray[Any] | Image.Image:
        """Upscale one picture.

        Args:
            image: An array of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8, uint16 or
                float32 in 0..1 (-1..2 for overshoot; the result is clipped to 0..1), any strides;
                a PIL image; or a picture file: its path, its bytes, or an object open for binary
                reading, which is read from its start.
            scale: Output pixels per input pixel, above 0, at most 256; the network's own when no
                size is asked for.
            width: Output width in pixels; the height follows unless it is given too.
            height: Output height in pixels; the width follows unless it is given too.
            long_edge: Longer side of the output in pixels.
            alpha: What upscales an alpha channel: "network" or "lanczos".
            light: Whether the final resampling, to a size that is not a power of the network's
                scale, works on "gamma"-encoded values or in "linear" light.
            strength: How much of the network's result is in the picture, 0..1; the rest is the
                picture, enlarged by Lanczos.
            max_pixels: Refuse a file of more pixels before it is decoded; None: no limit.
            progress: Called with the completed fraction, 0..1, in this thread. What it raises (such
                as `realesrgan_vk.Cancelled`) stops the run and is raised by this call.
            faces: Whether faces are restored, or which and how. It invents what it draws; see
                `FaceOptions`. Needs the extra `faces` and a network for them.
            mask: Where the network's result is used: a grey picture (given like `image`, or an
                array of booleans) of the picture's size or the result's. White is the network's
                result, black the picture enlarged by Lanczos, grey a blend; `strength` multiplies
                it.
            as_array: Return an array for a PIL image or a file, too: uint8, uint16 or float32, as
                the picture stores its samples, (H, W) for grey, else (H, W, 3) or (H, W, 4).

        Returns:
            For an array, an array of its type and number of dimensions. For a PIL image, one of
            its mode; EXIF orientation is neither applied nor removed
            (`PIL.ImageOps.exif_transpose` does that). For a file, a PIL image, turned upright; of
            an animation, its first frame. PIL has no mode for colour of more than 8 bits a
            channel: a file of such is returned in 8 bits with a `UserWarning`, unless `as_array`.

        Raises:
            TypeError: An argument of the wrong type.
            ValueError: An argument out of range, an array of another shape, or floats beyond -1..2.
            ImportError: Faces are asked for, and what finds them is not installed.
            ModelError: Faces are asked for, and the network for them is not installed.
            ImageError: A file that is not a picture, a value that is not finite, or a mask of
                another size or with transparency.
            DeviceError: The device failed.
            OutOfMemoryError: The result, or the smallest plan for it, does not fit.
        """
        size = TargetSize(scale, width, height, long_edge)  # type: ignore[arg-type]  # converts
        share: float = strength  # type: ignore[assignment]  # Request converts
        request = Request(size, alpha, light, faces=face_options(faces), strength=share)
        limit = pixel_limit(max_pixels)
        callback("progress", progress)
        as_array = flag("as_array", as_array)
        return self._processor.image(image, request, limit, progress, as_array=as_array, mask=mask)

    @overload
    def upscale_frames(
        self,
        frames: Iterable[NDArray[Any]],
        *,
        as_array: bool = ...,
        **options: Unpack[FrameArguments],
    ) -> Generator[NDArray[Any], None, None]: ...
    @overload
    def upscale_frames(
        self,
        frames: Iterable[Image.Image | FileSource],
        *,
        as_array: Literal[True],
        **options: Unpack[FrameArguments],
    ) -> Generator[NDArray[Any], None, None]: ...
    @overload
    def upscale_frames(
        self,
        frames: Iterable[Image.Image | FileSource],
        *,
        as_array: Literal[False] = ...,
        **options: Unpack[FrameArguments],
    ) -> Generator[Image.Image, None, None]: ...
    def upscale_frames(
        self,
        frames: Iterable[NDArray[Any] | Image.Image | FileSource],
        *,
        scale: SupportsFloat | None = None,
        width: SupportsIndex | None = None,
        height: SupportsIndex | None = None,
        long_edge: SupportsIndex | None = None,
        alpha: AlphaMethod = "network",
        light: Light = "gamma",
        strength: SupportsFloat = 1.0,
        max_pixels: SupportsIndex | None = DEFAULT_MAX_PIXELS,
        as_array: bool = False,
    ) -> Generator[NDArray[Any] | Image.Image, None, None]:
        """Upscale a sequence of frames; taking them, the network and using the results overlap.

        >>> with Upscaler() as upscaler:  # doctest: +SKIP
        ...     for large in upscaler.upscale_frames(camera()):
        ...         show(large)

        Two frames are in work at a time on a GPU. On the CPU there are as many as `runs_at_once`
        says, if there are cores for the threads of each: `Upscaler(threads=1, runs_at_once=4)` has
        four, and one with its defaults has one, on all cores. One more frame is taken ahead.

        Closing the generator, or leaving a loop over it that holds its only reference, stops the
        runs; it waits for them, and for a frame that is being taken.

        Args:
            frames: Each as for `upscale`. They are taken in another thread, from when the first
                result is asked for; an array must not change before its result has come.
            scale: As for `upscale`, as are the following.
            width: In pixels.
            height: In pixels.
            long_edge: In pixels.
            alpha: What upscales an alpha channel.
            light: What the final resampling works on.
            strength: How much of the network's result is in the frame.
            max_pixels: Of a file.
            as_array: Whether results of PIL images and files are arrays, too.

        Returns:
            A generator of what `upscale` returns for each frame, in the order of the frames. What
            it raises for a frame, or `frames` raises, comes in the place of that frame's result,
            and is the end.

        Raises:
            TypeError: An argument of the wrong type.
            ValueError: An argument out of range, or the upscaler is closed.
        """
        from realesrgan_vk.processing.ordered_map import ordered_map

        size = TargetSize(scale, width, height, long_edge)  # type: ignore[arg-type]  # converts
        share: float = strength  # type: ignore[assignment]  # Request converts
        request = Request(size, alpha, light, strength=share)
        limit = pixel_limit(max_pixels)
        as_array = flag("as_array", as_array)
        if isinstance(frames, (str, bytes)):
            raise TypeError(
                "frames is one file; it must be an iterable of pictures, such as a list"
            )
        processor = self._processor

        def upscaled(
            frame: NDArray[Any] | Image.Image | FileSource, progress: Progress
        ) -> NDArray[Any] | Image.Image:
            return processor.image(frame, request, limit, progress, as_array=as_array)

        at_once = self._frames_at_once
        return ordered_map(iter(frames), [upscaled] * at_once, ahead=at_once + 1)

    @property
    def _frames_at_once(self) -> int:
        options = self._options
        if self.device != CPU_DEVICE:
            return max(_FRAMES_ON_GPU, options.runs_at_once)
        cores = usable_cores()
        return max(1, min(options.runs_at_once, cores // (options.threads or cores)))

    def upscale_picture(
        self,
        picture: Picture,
        request: Request,
        progress: Progress | None = None,
        mask: NDArray[Any] | Image.Image | FileSource | None = None,
    ) -> Picture:
        """Upscale every frame of a decoded picture; metadata stays as it is.

        Args:
            picture: Such as `image_io.read` returns.
            request: What is made of it.
            progress: As in `upscale`.
            mask: As for `upscale`, for every frame.

        Raises:
            TypeError: An argument of the wrong type.
            ImageError: The mask cannot be used.
            DeviceError: The device failed.
            OutOfMemoryError: The result, or the smallest plan for it, does not fit.
        """
        from realesrgan_vk.imaging.picture import Picture

        instance_of("picture", picture, Picture)
        instance_of("request", request, Request)
        callback("progress", progress)
        return self._processor.picture(picture, request, progress, mask)

    def face_enhancer(self, options: FaceOptions) -> FaceEnhancer:
        """What finds faces, and restores them on this upscaler's device.

        Args:
            options: The network that restores them is named here.

        Raises:
            ImportError: What finds faces is not installed.
            ModelError: The network is not installed, damaged, or not one for faces.
        """
        return self._processor.enhancer(options)

    def prepare(self, image: NDArray[Any] | Image.Image | FileSource | tuple[int, int]) -> int:
        """Create in advance what the first picture of this size needs, without a run.

        Args:
            image: A picture of 8-bit samples, as for `upscale`, or its (width, height) in pixels.
                The pixels of a file are not decoded.

        Returns:
            Bytes that a run of such a picture takes on the device, weights included; 0 in tiles.

        Raises:
            TypeError: An argument of the wrong type.
            ValueError: A side below 1 or above 2^26 pixels.
            ImageError: A file that is not a picture.
            DeviceError: The device failed.
            OutOfMemoryError: The planned memory cannot be had.
        """
        if isinstance(image, tuple):  # needs no module for pictures
            return self._open_core.prepare(*picture_size(image))
        picture = self._processor.planned(image, DEFAULT_MAX_PIXELS)
        return self._open_core.prepare(picture.width, picture.height)

    def plan(
        self,
        image: NDArray[Any] | Image.Image | FileSource | tuple[int, int],
        *,
        max_pixels: SupportsIndex | None = DEFAULT_MAX_PIXELS,
        band_rows: SupportsIndex | None = None,
    ) -> RunPlan:
        """Plan one run of the network over a picture, without running it.

        Args:
            image: A picture, as for `upscale`, or its (width, height) in pixels for one of 8 bits.
                The pixels of a file are not decoded.
            max_pixels: As for `upscale`.
            band_rows: Picture rows of a row band, no more than the picture has; None: what fits
                best. Tiles have none.

        Raises:
            TypeError: An argument of the wrong type.
            ValueError: A side below 1 or above 2^26 pixels, or no band rows.
            ImageError: A file that is not a picture, or that is refused by `max_pixels`.
            OutOfMemoryError: Not even the smallest plan fits the memory.
        """
        rows = _band_rows(band_rows)
        picture = self._processor.planned(image, pixel_limit(max_pixels))
        return self._processor.plan(picture, tta=self._options.tta, band_rows=rows)

    def profile(
        self,
        size: tuple[int, int],
        *,
        rounds: SupportsIndex = 3,
        band_rows: SupportsIndex | None = None,
    ) -> RunProfile:
        """Run the network over a picture of noise and time every dispatch.

        Timing takes time itself, on a GPU a few microseconds a dispatch, so as many runs are made
        without it, in turns.

        Args:
            size: Width and height of the picture, in pixels.
            rounds: Runs with times, 1 to 1000; the one that takes the median is described.
            band_rows: As for `plan`.

        Raises:
            TypeError: An argument of the wrong type.
            ValueError: An argument out of range, or a network that is run in tiles.
            DeviceError: The device has no timestamps, or failed.
            OutOfMemoryError: Not even the smallest plan fits, or the picture does not.
        """
        from realesrgan_vk.processing.profile import MOST_ROUNDS, profile

        known = {} if self.device == CPU_DEVICE else {one.index: one for one in list_devices()}
        return profile(
            self._open_core,
            picture_size(size, "size"),
            model=self.model.name,
            device=known.get(self.device),
            fp16=self.fp16,
            rounds=whole_number("rounds", rounds, 1, MOST_ROUNDS),
            band_rows=_band_rows(band_rows),
        )

    def upscale_rows(
        self, source: RowReader, sink: RowWriter, progress: Progress | None = None
    ) -> None:
        """Upscale a picture row by row, by the network's own scale.

        Neither picture is held in memory whole, except with tiles, `tta`, or where not even one row
        of the full width fits the memory (`plan` shows which).

        Args:
            source: Such as `image_io.rows.PictureRows`; its channels are the network's.
            sink: Such as `image_io.rows.TiffRowWriter`; takes samples of the source's type.
            progress: As in `upscale`.

        Raises:
            TypeError: A source that is no `RowReader`, or a sink that is no `RowWriter`.
            ValueError: The source's channels are not the network's, a side is below 1 or above
                2^26 pixels, or floats are beyond -1..2.
            ImageError: The source is damaged.
            DeviceError: The device failed.
            OutOfMemoryError: Not even the smallest plan fits, or memory failed on the way.
        """
        from realesrgan_vk.processing.rows import run_rows

        callback("progress", progress)
        run_rows(self._open_core, source, sink, progress)

    def upscale_yuv(
        self,
        source: Sequence[NDArray[Any]],
        source_format: YuvFormat,
        target: Sequence[NDArray[Any]],
        target_format: YuvFormat | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Upscale one video frame by the network's own scale, from planes into planes.

        The colours are converted in floats on the way, row by row, as ITU-T H.273 has it; samples
        of the result are rounded to the nearest. Chroma between the source's samples is
        interpolated linearly; a chroma sample of the result is the mean over its luma samples along
        an axis where it lies between them, else weighted by 1 - d/s for a distance d below the
        subsampling s.

        Args:
            source: Luma and both chroma planes, or luma alone (grey); for the matrix "rgb", green,
                blue and red. Arrays of shape (H, W), a chroma plane's sides divided by the
                subsampling and rounded up; uint8 where the format has 8 bits, else uint16; any
                strides, so that NV12's chroma planes are `chroma[:, 0::2]` and `chroma[:, 1::2]`.
            source_format: How the samples stand for colours.
            target: Planes of `scale` times the size, which are filled.
            target_format: Of the target; the source's when None.
            progress: As in `upscale`.

        Raises:
            TypeError: Planes of another sample type, or an argument of the wrong type.
            ValueError: Planes of sizes that do not fit each other, or that cannot be written to.
            ImageError: The network does not take three channels.
            DeviceError: The device failed.
            OutOfMemoryError: Not even the smallest plan fits, or memory failed on the way.
        """
        instance_of("source_format", source_format, YuvFormat)
        if target_format is not None:
            instance_of("target_format", target_format, YuvFormat)
        callback("progress", progress)
        self._open_core.run_yuv(
            list(source), source_format, list(target), target_format or source_format, progress
        )


def _band_rows(band_rows: object) -> int:
    """Rows of a row band for the core; 0: what fits best."""
    if band_rows is None:
        return 0
    return whole_number("band_rows", band_rows, 1, MAX_INPUT_SIDE, others=", or None")


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
    strength: SupportsFloat = 1.0,
    max_pixels: SupportsIndex | None = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
    faces: bool | FaceOptions = False,
    mask: NDArray[Any] | Image.Image | FileSource | None = None,
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
        strength: How much of the network's result is in the picture, 0..1.
        max_pixels: Refuse a file of more pixels; None: no limit.
        progress: Called with the completed fraction, 0..1; what it raises stops the run.
        faces: Whether faces are restored, or which and how.
        mask: A grey picture that says where the network's result is used.
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
            strength=strength,
            max_pixels=max_pixels,
            progress=progress,
            faces=faces,
            mask=mask,
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
