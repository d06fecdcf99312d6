"""What an `Upscaler` does with pictures: arrays, PIL images and files, frame by frame."""

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
from realesrgan_vk.checks import picture_size
from realesrgan_vk.errors import OutOfMemoryError
from realesrgan_vk.faces.enhance import FaceEnhancer
from realesrgan_vk.faces.restore import Restorer
from realesrgan_vk.image_io.codecs import pillow
from realesrgan_vk.image_io.codecs.color import WorkingCurve
from realesrgan_vk.image_io.limits import Header
from realesrgan_vk.imaging import arrays
from realesrgan_vk.imaging.alpha import bleed, is_constant
from realesrgan_vk.imaging.picture import Frame, Picture, Pixels
from realesrgan_vk.imaging.resample import resize, resized_rows
from realesrgan_vk.imaging.samples import from_unit, mixed, to_unit
from realesrgan_vk.options import FaceOptions, FileSource, Progress, Request
from realesrgan_vk.processing.mask import Mask, mask_of
from realesrgan_vk.processing.pictures import check_samples, picture_of, picture_of_pil
from realesrgan_vk.processing.plan import RunPlan
from realesrgan_vk.processing.planned_passes import passes_of

_FACE_WORK = 64 * 64
_BLENDED_ROWS = 64  # at a time: their floats are all the memory that a blend takes


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

    def __init__(self, core: Core, restorer: Callable[[str], Restorer] | None = None) -> None:
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
        mask: NDArray[Any] | Image.Image | FileSource | None = None,
    ) -> NDArray[Any] | Image.Image:
        """Upscale an array, a PIL image or a file; see `Upscaler.upscale`."""
        check_samples(image)
        if isinstance(image, np.ndarray):
            given = arrays.to_frame(image)
            shares = self._mask(mask, (given.width, given.height), request)
            frame = self._upscaled(given, request, shares, progress)
            return arrays.from_frame(frame, image.ndim)
        picture = picture_of(image, max_pixels)
        still = replace(picture, frames=picture.frames[:1])
        large = self.picture(still, request, progress, mask)
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

    def picture(
        self,
        picture: Picture,
        request: Request,
        progress: Progress | None,
        mask: NDArray[Any] | Image.Image | FileSource | None = None,
    ) -> Picture:
        """Upscale every frame of a decoded picture; metadata stays as it is."""
        shares = self._mask(mask, (picture.width, picture.height), request)
        curve = WorkingCurve.of(picture.metadata.icc)
        steps = Steps(len(picture.frames), progress)
        frames = []
        for frame in picture.frames:
            working = Frame(curve.encode(frame.pixels), frame.alpha, frame.duration)
            done = self._upscaled(working, request, shares, steps.step(1))
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
        check_samples(image)
        if isinstance(image, tuple):
            return Header(*picture_size(image), channels=self._network.input_channels)
        if isinstance(image, np.ndarray):
            header = _header_of_frame(arrays.to_frame(image))
        elif isinstance(image, Image.Image):
            picture = picture_of_pil(image)
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
            ModelError: The network is not installed, damaged, or not one for faces.
        """
        if self._restorer is None:
            raise TypeError("this processor has nothing that restores faces")
        if options.model not in self._enhancers:
            restorer = self._restorer(options.model)
            self._enhancers[options.model] = FaceEnhancer(restorer, restorer.load)
        return self._enhancers[options.model]

    def _mask(
        self,
        mask: NDArray[Any] | Image.Image | FileSource | None,
        size: tuple[int, int],
        request: Request,
    ) -> Mask | None:
        """A mask for a picture of this width and height, read before any work."""
        if mask is None:
            return None
        return mask_of(mask, size, request.size.of(*size, self._scale))

    def _upscaled(
        self, frame: Frame, request: Request, mask: Mask | None, progress: Progress | None
    ) -> Frame:
        options = request.faces
        if options is None:
            return self._enlarged(frame, request, mask, progress)
        enhancer = self.enhancer(options)
        faces = enhancer.find(frame.pixels, options)
        work = frame.width * frame.height
        # A face takes about as long as a photograph of 64 x 64 pixels by the default network.
        steps = Steps(work + len(faces) * _FACE_WORK, progress)
        large = self._enlarged(frame, request, mask, steps.step(work))
        step = steps.step(len(faces) * _FACE_WORK)
        pixels = enhancer.enhance(frame.pixels, faces, large.pixels, options, step)
        if mask is not None and faces:  # where the network is not wanted, no face is drawn either
            pixels = _blended(
                pixels, lambda rows: to_unit(large.pixels[rows.start : rows.stop]), 1, mask
            )
        return replace(large, pixels=pixels)

    def _enlarged(
        self, frame: Frame, request: Request, mask: Mask | None, progress: Progress | None
    ) -> Frame:
        target = request.size.of(frame.width, frame.height, self._scale)
        passes = PassCount.to(frame.width, frame.height, target, self._scale)
        alpha = frame.alpha
        by_network = alpha is not None and request.alpha == "network" and not is_constant(alpha)
        steps = Steps(passes.work * (2 if by_network else 1), progress)
        if alpha is None:
            pixels = self._planes(frame.pixels, passes, request, mask, steps)
            return Frame(pixels, None, frame.duration)
        pixels = self._planes(bleed(frame.pixels, alpha), passes, request, mask, steps)
        plane = alpha[..., None]
        if by_network:
            large = self._planes(plane, passes, request, mask, steps)
        else:
            large = resize(plane, target)
        return Frame(pixels, large[..., 0], frame.duration)

    def _planes(
        self,
        pixels: Pixels,
        passes: PassCount,
        request: Request,
        mask: Mask | None,
        steps: Steps,
    ) -> Pixels:
        """Upscale height x width x 1 or 3 pixels to the target of the passes, of the same type.

        Raises:
            OutOfMemoryError: The result cannot fit this machine's memory, or not what is left of
                it.
        """
        # A grey picture is repeated in the network's channels; a colour picture through a grey
        # network runs channel by channel.
        channels = max(pixels.shape[2], self._network.output_channels)
        _check_memory(passes, pixels, channels)
        source = pixels
        try:
            for _ in range(passes.runs):
                pixels = self._run(pixels, steps.step(pixels.shape[0] * pixels.shape[1]))
            large = resize(pixels, passes.target, request.light, request.kernel)
            if request.strength == 1 and mask is None:
                return large

            def plain(rows: range) -> NDArray[np.float32]:
                return resized_rows(source, passes.target, rows, request.light, request.kernel)

            return _blended(large, plain, request.strength, mask)
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


def _blended(
    pixels: Pixels,
    plain: Callable[[range], NDArray[np.float32]],
    strength: float,
    mask: Mask | None,
) -> Pixels:
    """Pixels, of which so much is kept as strength and mask say, blended in place.

    `plain` gives the floats in 0..1 that take the rest, some rows at a time.
    """
    pixels = pixels if pixels.flags.writeable else pixels.copy()
    share: NDArray[np.float32] | float = strength
    for top in range(0, len(pixels), _BLENDED_ROWS):
        part = slice(top, min(top + _BLENDED_ROWS, len(pixels)))
        rows = range(part.start, part.stop)
        if mask is not None:
            share = mask.rows(rows) * np.float32(strength)
        pixels[part] = mixed(pixels[part], plain(rows), share)
    return pixels


def _levels_to_caller() -> int:
    """The `stacklevel` with which a warning names the line that called this package."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("realesrgan_vk."):
        frame, level = frame.f_back, level + 1
    return level


def _header_of_frame(frame: Frame) -> Header:
    channels, dtype = frame.pixels.shape[2], frame.pixels.dtype.name
    return Header(frame.width, frame.height, 1, frame.alpha is not None, channels, dtype)


def _check_memory(passes: PassCount, pixels: Pixels, run_channels: int) -> None:
    """Refuse a result that exceeds the installed memory, before the system kills the process."""
    grown = passes.scale**passes.runs
    last_run = passes.width * grown * passes.height * grown * run_channels
    target = passes.target[0] * passes.target[1] * pixels.shape[2]
    needed = (last_run + target) * pixels.itemsize
    installed = installed_memory()
    if installed is not None and needed > installed:
        raise OutOfMemoryError(
            f"a result of {passes.target[0]} x {passes.target[1]} pixels needs "
            f"{needed / 2**30:.1f} GiB, this machine has {installed / 2**30:.1f}; "
            "ask for a smaller size"
        )
