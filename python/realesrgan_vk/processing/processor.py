"""What an `Upscaler` does with pictures: arrays, PIL images and files, frame by frame."""

import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk import image_io
from realesrgan_vk._core import Upscaler as Core
from realesrgan_vk._core import installed_memory
from realesrgan_vk.checks import file_path, picture_size
from realesrgan_vk.errors import ImageError, OutOfMemoryError
from realesrgan_vk.faces.enhance import FaceEnhancer, Restore
from realesrgan_vk.image_io.codecs import pillow
from realesrgan_vk.image_io.codecs.color import WorkingCurve
from realesrgan_vk.image_io.limits import Accept, Header
from realesrgan_vk.imaging import arrays
from realesrgan_vk.imaging.alpha import bleed, is_constant
from realesrgan_vk.imaging.picture import Frame, Picture, Pixels
from realesrgan_vk.imaging.resample import resize
from realesrgan_vk.imaging.samples import blended, from_unit, to_unit
from realesrgan_vk.options import FaceOptions, FileSource, Progress, Request
from realesrgan_vk.processing.plan import RunPlan
from realesrgan_vk.processing.planned_passes import passes_of

_FACE_WORK = 64 * 64
_KINDS = "a NumPy array, a PIL image, a path, the bytes of a picture file or an open binary file"


class Steps:
    """One progress over several steps of known weights."""

    def __init__(self, total: float, progress: Progress | None) -> None:
        """`total`: the sum of all weights."""
        self._total = max(total, 1.0)
        self._done = 0.0
        self._progress = progress

    def step(self, work: float) -> Progress | None:
        """The progress of the next step, of this weight."""
        start, self._done = self._done, self._done + work
        progress, total = self._progress, self._total
        if progress is None:
            return None
        return lambda fraction: progress(min(1.0, (start + fraction * work) / total))


@dataclass(frozen=True, slots=True)
class PassCount:
    """How often the network runs to reach a size, and the size to resample to afterwards."""

    width: int
    height: int
    runs: int
    scale: int
    target: tuple[int, int]

    @staticmethod
    def to(width: int, height: int, target: tuple[int, int], scale: int) -> "PassCount":
        """The fewest runs, at least one, whose last result is no smaller than the target."""
        runs = 1
        while scale > 1 and (width * scale**runs < target[0] or height * scale**runs < target[1]):
            runs += 1
        return PassCount(width, height, runs, scale, target)

    @property
    def work(self) -> int:
        """Input pixels of all runs together."""
        area = self.width * self.height
        return sum(area * self.scale ** (2 * run) for run in range(self.runs))


class Processor:
    """Runs the network of an `Upscaler` on pictures; created for the first one."""

    def __init__(self, core: Core, restorer: Callable[[str], Restore] | None = None) -> None:
        """`core` runs the network; `restorer` gives what restores faces, by a network's name."""
        self._core = core
        self._restorer = restorer
        self._enhancers: dict[str, FaceEnhancer] = {}
        self._network = core.network
        self._scale = core.network.scale

    def image(
        self,
        image: NDArray[Any] | Image.Image | FileSource,
        request: Request,
        max_pixels: int | None,
        progress: Progress | None,
        *,
        as_array: bool = False,
    ) -> NDArray[Any] | Image.Image:
        """Upscale an array, a PIL image or a file; see `Upscaler.upscale`."""
        _check_samples(image)
        if isinstance(image, np.ndarray):
            frame = self._upscaled(arrays.to_frame(image), request, progress)
            return arrays.from_frame(frame, image.ndim)
        picture = picture_of(image, max_pixels)
        still = replace(picture, frames=picture.frames[:1])
        large = self.picture(still, request, progress)
        if as_array:
            return arrays.of_picture(large)
        if isinstance(image, Image.Image):
            return pillow.to_pil(large, image)
        returned = pillow.to_pil(large)
        if large.frames[0].pixels.dtype != np.uint8 and returned.mode not in ("I;16", "F"):
            warnings.warn(
                f"the picture has {large.bits} bits a channel, the returned PIL image 8: PIL has "
                "no mode for more in colour; as_array=True returns all bits, and so does the "
                "command 'realesrgan-vk upscale'",
                stacklevel=_levels_to_caller(),
            )
        return returned

    def picture(self, picture: Picture, request: Request, progress: Progress | None) -> Picture:
        """Upscale every frame of a decoded picture; metadata stays as it is."""
        curve = WorkingCurve.of(picture.metadata.icc)
        steps = Steps(len(picture.frames), progress)
        frames = []
        for frame in picture.frames:
            working = Frame(curve.encode(frame.pixels), frame.alpha, frame.duration)
            done = self._upscaled(working, request, steps.step(1))
            pixels = curve.decode(done.pixels, frame.pixels.dtype)
            frames.append(Frame(pixels, done.alpha, frame.duration))
        return replace(picture, frames=tuple(frames))

    def planned(
        self,
        image: NDArray[Any] | Image.Image | FileSource | tuple[int, int],
        max_pixels: int | None,
    ) -> Header:
        """Describe a picture, a file without decoding it, with the sample type the network gets.

        Raises:
            TypeError: Neither a picture nor two whole numbers.
            ValueError: An array of another shape than a picture's, or a side out of range.
            ImageError: A file that is not a picture, or one of more pixels than `max_pixels`.
        """
        _check_samples(image)
        if isinstance(image, tuple):
            return Header(*picture_size(image), channels=self._network.input_channels)
        if isinstance(image, np.ndarray):
            header = _header_of_frame(arrays.to_frame(image))
        elif isinstance(image, Image.Image):
            picture = _picture_of_pil(image)
            header = replace(_header_of_frame(picture.frames[0]), icc=picture.metadata.icc)
        else:
            header = image_io.header_of(lambda accept: picture_of(image, max_pixels, accept))
        curve = WorkingCurve.of(header.icc)
        dtype = curve.encoded_type(np.dtype(header.dtype), header.channels)
        return replace(header, dtype=dtype.name)

    def plan(self, picture: Header, *, tta: bool, band_rows: int = 0) -> RunPlan:
        """The plan of the pass over this picture that takes the most memory.

        Args:
            picture: What the passes run over.
            tta: Whether each pass averages all orientations, for which it needs its picture whole.
            band_rows: Picture rows of a row band; 0: what fits best.

        Raises:
            OutOfMemoryError: Not even the smallest plan fits the memory.
        """
        width, height = picture.width, picture.height
        plans = []
        for one in passes_of(picture, self._network):
            report = self._core.plan(width, height, dtype=one.dtype, band_rows=band_rows)
            beside = one.picture_bytes(report, tta=tta)
            plans.append(RunPlan(width=width, height=height, picture_bytes=beside, **report))
        return max(plans, key=lambda plan: plan.memory_bytes["total"] + plan.picture_bytes)

    def enhancer(self, options: FaceOptions) -> FaceEnhancer:
        """What restores faces with the network of these options; kept for the next picture.

        Raises:
            ImportError: What finds faces is not installed.
            ModelError: The network is not installed.
        """
        if self._restorer is None:
            raise TypeError("this processor has nothing that restores faces")
        if options.model not in self._enhancers:
            self._enhancers[options.model] = FaceEnhancer(self._restorer(options.model))
        return self._enhancers[options.model]

    def _upscaled(self, frame: Frame, request: Request, progress: Progress | None) -> Frame:
        options = request.faces
        if options is None:
            return self._enlarged(frame, request, progress)
        enhancer = self.enhancer(options)
        faces = enhancer.find(frame.pixels, options)
        work = frame.width * frame.height
        # A face takes about as long as a photograph of 64 x 64 pixels by the default network.
        steps = Steps(work + len(faces) * _FACE_WORK, progress)
        large = self._enlarged(frame, request, steps.step(work))
        step = steps.step(len(faces) * _FACE_WORK)
        pixels = enhancer.enhance(frame.pixels, faces, large.pixels, options, step)
        return replace(large, pixels=pixels)

    def _enlarged(self, frame: Frame, request: Request, progress: Progress | None) -> Frame:
        target = request.size.of(frame.width, frame.height, self._scale)
        passes = PassCount.to(frame.width, frame.height, target, self._scale)
        alpha = frame.alpha
        by_network = alpha is not None and request.alpha == "network" and not is_constant(alpha)
        steps = Steps(passes.work * (2 if by_network else 1), progress)
        if alpha is None:
            return Frame(self._planes(frame.pixels, passes, request, steps), None, frame.duration)
        pixels = self._planes(bleed(frame.pixels, alpha), passes, request, steps)
        plane = alpha[..., None]
        large = self._planes(plane, passes, request, steps) if by_network else resize(plane, target)
        return Frame(pixels, large[..., 0], frame.duration)

    def _planes(self, pixels: Pixels, passes: PassCount, request: Request, steps: Steps) -> Pixels:
        """Upscale height x width x 1 or 3 pixels to the target of the passes, of the same type.

        Raises:
            OutOfMemoryError: The result cannot fit this machine's memory, or not what is left of
                it.
        """
        # A grey picture is repeated in the network's channels; a colour picture through a grey
        # network runs channel by channel.
        strength = request.strength
        channels = max(pixels.shape[2], self._network.output_channels)
        _check_memory(passes, pixels, channels, results=1 if strength == 1 else 2)
        source = pixels
        try:
            for _ in range(passes.runs):
                pixels = self._run(pixels, steps.step(pixels.shape[0] * pixels.shape[1]))
            large = resize(pixels, passes.target, request.light, request.kernel)
            if strength == 1:
                return large
            return _weakened(large, source, request)
        except MemoryError as error:
            raise OutOfMemoryError(
                f"there is no memory left for a result of {passes.target[0]} x {passes.target[1]} "
                "pixels; free some, or ask for a smaller size"
            ) from error

    def _run(self, pixels: Pixels, progress: Progress | None) -> Pixels:
        height, width, channels = pixels.shape
        shape = (height * self._scale, width * self._scale, self._network.output_channels)
        if channels == self._network.input_channels:
            out = np.empty(shape, pixels.dtype)
            self._core.run(pixels, out, progress)
            return out
        if channels == 1:  # a grey picture, or alpha, through a colour network
            return self._run_grey_as_colours(pixels, progress)
        steps = Steps(channels, progress)  # colour through a grey network
        planes = []
        for channel in range(channels):
            out = np.empty(shape, pixels.dtype)
            self._core.run(pixels[..., channel : channel + 1], out, steps.step(1))
            planes.append(out)
        return np.concatenate(planes, axis=2)

    def _run_grey_as_colours(self, grey: Pixels, progress: Progress | None) -> Pixels:
        """Run a grey picture as three equal channels; return their mean, rounded once.

        The network's floats come row by row, so that no float picture of three channels is made.
        """
        height, width, _ = grey.shape
        channels = self._network.input_channels
        out = np.empty((height * self._scale, width * self._scale, 1), grey.dtype)

        def read(first: int, count: int) -> Pixels:
            return np.broadcast_to(to_unit(grey[first : first + count]), (count, width, channels))

        def write(first: int, rows: Pixels) -> None:
            mean: NDArray[np.float32] = rows.mean(axis=2, keepdims=True, dtype=np.float32)
            out[first : first + len(rows)] = from_unit(mean, grey.dtype)

        self._core.run_rows(width, height, read, write, dtype="float32", progress=progress)
        return out


def _weakened(large: Pixels, source: Pixels, request: Request) -> Pixels:
    """A result with its source, enlarged by the final filter, blended in; a channel at a time."""
    size = large.shape[1], large.shape[0]
    out = np.empty_like(large)
    for channel in range(large.shape[2]):
        plane = to_unit(source[..., channel : channel + 1])
        plain = resize(plane, size, request.light, request.kernel)
        mixed = blended(large[..., channel : channel + 1], plain, request.strength)
        out[..., channel : channel + 1] = mixed
    return out


def _levels_to_caller() -> int:
    """The `stacklevel` with which a warning names the line that called this package."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("realesrgan_vk."):
        frame, level = frame.f_back, level + 1
    return level


def _header_of_frame(frame: Frame) -> Header:
    channels, dtype = frame.pixels.shape[2], frame.pixels.dtype.name
    return Header(frame.width, frame.height, 1, frame.alpha is not None, channels, dtype)


def _check_samples(image: object) -> None:
    """Refuse arrays in forms whose samples would silently be read as something else.

    Raises:
        TypeError: A masked array with masked pixels, which have no value, or the view of an array,
            where bytes are those of a file.
    """
    if np.ma.is_masked(image):
        raise TypeError(
            "image is a masked array with masked pixels; give these a value (image.filled(0)), or "
            "pass the mask as alpha, the fourth channel"
        )
    if isinstance(image, memoryview) and (image.ndim != 1 or image.itemsize != 1):
        raise TypeError(
            f"image is a memoryview of shape {image.shape}, format {image.format!r}; bytes must be "
            "those of a picture file: for an array give numpy.asarray(image)"
        )


def picture_of(
    image: Image.Image | FileSource, max_pixels: int | None, accept: Accept | None = None
) -> Picture:
    """Decode a PIL image, a path, the bytes of a file or an open file."""
    if isinstance(image, Image.Image):
        return _picture_of_pil(image)
    if isinstance(image, (str, os.PathLike)):
        return image_io.read(file_path(image, "image"), max_pixels=max_pixels, accept=accept)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return image_io.decode(bytes(image), max_pixels=max_pixels, accept=accept)
    if callable(getattr(image, "read", None)):
        return image_io.read_open(image, max_pixels=max_pixels, accept=accept)
    raise TypeError(f"image must be {_KINDS}, not {type(image).__name__}")


def _picture_of_pil(image: Image.Image) -> Picture:
    try:
        image.load()
    except Exception as error:  # decoders raise many types on damaged data
        raise ImageError(f"image cannot be decoded by PIL: {error}") from error
    return pillow.from_pil(image)


def _check_memory(passes: PassCount, pixels: Pixels, run_channels: int, *, results: int) -> None:
    """Refuse a result that exceeds the installed memory, before the system kills the process."""
    grown = passes.scale**passes.runs
    last_run = passes.width * grown * passes.height * grown * run_channels
    target = passes.target[0] * passes.target[1] * pixels.shape[2] * results
    needed = (last_run + target) * pixels.itemsize
    installed = installed_memory()
    if installed is not None and needed > installed:
        raise OutOfMemoryError(
            f"a result of {passes.target[0]} x {passes.target[1]} pixels needs "
            f"{needed / 2**30:.1f} GiB, this machine has {installed / 2**30:.1f}; "
            "ask for a smaller size"
        )
