"""A video from file to file: decoding, upscaling and encoding overlap; what is done stays done."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import av

from realesrgan_vk._core import __version__
from realesrgan_vk.batch.jobs import refuse_overwrite
from realesrgan_vk.batch.workers import GPU_RUNS, load_upscalers
from realesrgan_vk.checks import format_bytes
from realesrgan_vk.errors import DeviceError, printable
from realesrgan_vk.faces.detect import require_detector
from realesrgan_vk.faces.restore import find_restorer
from realesrgan_vk.imaging.picture import Pixels
from realesrgan_vk.models.checksums import file_sha256
from realesrgan_vk.options import (
    Progress,
    Request,
    Shard,
    TargetSize,
    UpscalerOptions,
)
from realesrgan_vk.processing.ordered_map import ordered_map
from realesrgan_vk.video.completeness import declared_bytes
from realesrgan_vk.video.encoders import Encoding, kept_shape, plan_encoding
from realesrgan_vk.video.faces import RADIUS, Window, find_all, windows
from realesrgan_vk.video.frames import Plane, VideoFrame, planes_of
from realesrgan_vk.video.kept_frames import KeptFrames
from realesrgan_vk.video.options import NEAR, VideoOptions
from realesrgan_vk.video.reader import VideoInfo, VideoReader
from realesrgan_vk.video.segments import (
    Claims,
    Segment,
    SegmentWriter,
    Workspace,
    fingerprint,
    recorded_threads,
)
from realesrgan_vk.video.streams import Kept, can_rotate, container_of, join, plan_streams
from realesrgan_vk.video.upscaling import Enhance, upscale_into

if TYPE_CHECKING:
    from realesrgan_vk.models.registry import Model
    from realesrgan_vk.upscaler import Upscaler

# Options that are in the encoding already, or that the segments do not depend on.
_NOT_OF_FRAMES = frozenset(
    {"codec", "crf", "preset", "encoder_options", "encoder_threads", "audio"}
)
_MANY = 1 << 20  # frames: more than are in work at a time
_MOST_LOST = 60  # seconds of work: where a segment takes longer, its frames are kept, too
_SPARE_FRAMES = 2  # in work beside one for each upscaler, so that none waits
_BITS_A_PIXEL = {"ffv1": 12.0, "prores_ks": 3.0}  # of encoders that hardly lose anything
_USUAL_BITS_A_PIXEL = 0.12


@dataclass(frozen=True, slots=True)
class VideoProgress:
    """How far a run is.

    Attributes:
        frames: That are encoded, those of earlier runs included.
        total: How many there are, as far as is known; 0 is unknown.
        reused: How many of this run's took the result of the one before.
        bytes_written: Of all segments, or of the result while it is put together.
        joining: Whether all frames are encoded, and the result is put together.
        fraction: Of the whole, 0..1.
    """

    frames: int
    total: int
    reused: int
    bytes_written: int
    joining: bool
    fraction: float


@dataclass(frozen=True, slots=True)
class VideoSummary:
    """What a run made.

    Attributes:
        frames: Of the result.
        resumed: How many of them were there from earlier runs.
        reused: How many of this run's took the result of the one before.
        damaged: Packets of the source that could not be decoded completely.
        width: Of the result, in pixels.
        height: Of the result, in pixels.
        seconds: Of this run.
        bytes_written: Of the result.
    """

    frames: int
    resumed: int
    reused: int
    damaged: int
    width: int
    height: int
    seconds: float
    bytes_written: int


class Network(Protocol):
    """What is known of a network without running it; an `Upscaler` is one."""

    @property
    def model(self) -> Model:
        """Its files."""

    @property
    def scale(self) -> int:
        """Its scale."""

    @property
    def deciding_options(self) -> dict[str, object]:
        """How it is run, as far as results depend on it."""


@dataclass(frozen=True, slots=True)
class _Work:
    number: int
    frame: VideoFrame
    repeats: bool
    window: Window | None  # where faces are restored


@dataclass(frozen=True, slots=True)
class Made:
    """A frame for the encoder, and the one that it was made of.

    Attributes:
        number: Of the frame, from 0.
        image: The result; None: the one before again.
        source: The frame.
        seconds: In which the network made it; 0: it did not.
    """

    number: int
    image: av.VideoFrame | None
    source: VideoFrame
    seconds: float = 0.0


class VideoRun:
    """One video that is upscaled, planned when this is created and begun by `run`.

    Attributes:
        info: The source.
        upscalers: They share the frames.
        size: Of the result, in pixels.
        encoding: What the encoder is told.
        segment_frames: How many frames each segment has but the last one.
        notes: What cannot be kept, in words.
    """

    info: VideoInfo
    upscalers: list[Upscaler]
    size: tuple[int, int]
    encoding: Encoding
    segment_frames: int

    def __init__(
        self,
        source: Path,
        target: Path,
        upscalers: Sequence[Upscaler],
        request: Request,
        options: VideoOptions,
        *,
        network: Network | None = None,
    ) -> None:
        """Plan a run: read the source's beginning and ask the encoder and the container.

        Args:
            source: The video.
            target: The result.
            upscalers: They share the frames; none where other processes make the segments.
            request: What is made of each frame.
            options: How the video is read and written.
            network: What all processes run; None: the upscalers' one.

        Raises:
            ValueError: Something that the encoder or the container refuses, or a target that is the
                source, or cannot be written.
            ImageError: The source is no video that can be read.
            ImportError, ModelError: What finds or restores faces is not installed.
            OSError: The source cannot be read.
        """
        self.notes: list[str] = []
        self._format = container_of(target, options)
        if target.is_symlink():  # the segments lie on the disk of the file itself
            target = Path(os.path.realpath(target))
            if target.is_symlink():
                raise ValueError(f"output {target} is a link to itself")
        self._source, self._target = source, target
        self.upscalers, self._request, self._options = list(upscalers), request, options
        self._network = network or self.upscalers[0]
        refuse_overwrite(source, target)
        faces = request.faces
        self._faces = faces if faces is not None and faces.strength > 0 else None
        if faces is not None:
            model = find_restorer(faces.model)
            self._face_files = [require_detector(), model.param, model.bin]
        self._reader = VideoReader(
            source,
            start=options.start,
            end=options.end,
            deinterlace=options.deinterlace,
            matrix=options.matrix,
        )
        info = self.info = self._reader.info
        if info.interlaced and not options.deinterlace:
            raise ValueError(
                f"{printable(source)} is interlaced: each frame holds two moments, whose lines an "
                "enlargement would tear apart; --deinterlace makes whole frames first"
            )
        wanted = request.size.of(info.width, info.height, self._network.scale)
        self.size = _with_even_sides(request.size, wanted)
        if self.size != wanted:
            self._request = replace(request, size=TargetSize(None, *self.size))
        aspect = info.aspect
        if request.size.width is not None and request.size.height is not None:
            aspect = kept_shape(info, self.size, self.notes.append)
        self.encoding = plan_encoding(
            options,
            info,
            self.size,
            aspect,
            container=self._format,
            note=self.notes.append,
            threads=recorded_threads(target),
        )
        self._note_colours()
        self._note_missing_rest()
        self._kept: list[Kept] = plan_streams(
            source, self._format, self.encoding, options, self.notes.append
        )
        self.segment_frames = max(1, round(options.segment_seconds * info.rate))
        self.reused = 0
        self._spare: list[av.VideoFrame] = []  # encoded ones, which are filled again
        self._kept_frames: KeptFrames | None = None
        self._seen = 0  # frames of the source, so far, from its beginning
        self._end: int | None = None  # a number of frames that the video does not exceed
        self._share: Shard | Claims | None = None
        self._made: Callable[[int], object] = lambda _: None
        self._stop: Callable[[], object] = lambda: None

    @property
    def estimated_bytes(self) -> int:
        """Of the result's video, by its pixels and what such an encoder usually takes of each."""
        width, height = self.size
        bits = _BITS_A_PIXEL.get(self.encoding.encoder, _USUAL_BITS_A_PIXEL)
        if self._options.lossless:
            bits = _BITS_A_PIXEL["ffv1"]
        return int(width * height * self.info.frames * bits / 8)

    @property
    def frame_bytes(self) -> int:
        """Memory of the frames and results that wait, at most: about 3 samples a pixel each."""
        width, height = self.size
        own, large = self.info.width * self.info.height, width * height
        sample = 2 if self.encoding.form.bits > 8 else 1
        waiting = 3 * (own + large) * sample * self._ahead
        if self._faces is None:
            return waiting
        # A frame with faces is in floats; those around it wait.
        return waiting + 3 * own * sample * 2 * RADIUS + 12 * large * len(self.upscalers)

    @property
    def _ahead(self) -> int:
        return len(self.upscalers) + _SPARE_FRAMES

    def run(
        self,
        *,
        restart: bool = False,
        shard: Shard | None = None,
        report: Callable[[VideoProgress], object] = lambda _: None,
        retired: Callable[[DeviceError], object] = lambda _: None,
        preview: Callable[[VideoFrame, av.VideoFrame], object] | None = None,
        stop: Callable[[], object] = lambda: None,
    ) -> VideoSummary:
        """Upscale what is missing, and put the result together.

        Args:
            restart: Forget the segments of an earlier run.
            shard: Make this share of the segments only, beside other shards; a run without one
                puts the result together, and makes what is still missing.
            report: Called with progress, in this thread. What it raises stops the run.
            retired: Called, in this thread, with the error of a device that gets no more frames;
                others go on.
            preview: Called with each frame and its result, which is filled anew later, in this
                thread.
            stop: Called often, in the upscalers' threads, within frames, too. What it raises stops
                the run, and what is finished is kept.

        Raises:
            WorkError: The folder of segments is of a run with other settings, or is damaged.
            ImageError: The source changes its size, or has no frame in the part that is taken.
            OSError: Something cannot be written, such as for want of space; what is finished is
                kept, and the next run goes on from there.
            DeviceError: All devices failed.
        """
        started = time.perf_counter()
        if restart and shard is not None:
            raise ValueError("give only one of restart and shard; a shard keeps what others made")
        self._share, self._stop = shard, stop
        work = self.workspace(restart=restart)
        resumed = work.frames
        if shard is not None:
            return self._run_shard(work, started, report, retired, preview)
        part = work.result
        try:
            if part is None:
                self.check_space(work)
                if not work.is_complete:
                    self._encode(work, report, retired, preview)
                part = self._join(work, report)
        except BaseException:
            if work.finished or work.kept_frames.exists():
                work.close()
            else:  # there is nothing to go on from
                work.remove()
            raise
        frames = work.frames or self.info.frames
        damaged = work.segments[-1].damaged if work.segments else 0
        written = part.stat().st_size
        work.finish(part, self._target)
        return VideoSummary(
            frames,
            resumed,
            self.reused,
            damaged,
            *self.size,
            seconds=time.perf_counter() - started,
            bytes_written=written,
        )

    def workspace(self, *, restart: bool = False) -> Workspace:
        """Open the folder of segments, which the caller closes.

        Raises:
            WorkError, OSError: As `Workspace`.
        """
        return Workspace(self._target, self._settings(), restart=restart, share=self._share)

    def run_claims(self, claims: Claims, made: Callable[[int, Segment | None], object]) -> None:
        """Make segments beside other processes, from the first one that is claimed on.

        It ends when none is left behind the last one that was made; one that was added before it is
        for another call, which reads the video from there.

        Args:
            claims: Which ones.
            made: Called, in this thread, with each number and its segment; None: the video ends
                before it. It removes the claim.

        Raises:
            WorkError, ImageError, OSError, DeviceError: As `run`.
        """
        self._share = claims
        work = self.workspace()
        self._made = lambda number: made(number, work.finished[number])
        try:
            for number in work.finished:  # by a process that ended before it could tell
                self._made(number)
            if claims.numbers:
                self._encode(work, lambda _: None, lambda _: None, None)
        finally:
            work.close()
        for number in claims.numbers:
            if self._end is not None and number * self.segment_frames >= self._end:
                made(number, None)

    def _run_shard(
        self,
        work: Workspace,
        started: float,
        report: Callable[[VideoProgress], object],
        retired: Callable[[DeviceError], object],
        preview: Callable[[VideoFrame, av.VideoFrame], object] | None,
    ) -> VideoSummary:
        """Make the segments of a shard; the summary is of them."""
        resumed = work.frames
        try:
            self.check_space(work)
            self._encode(work, report, retired, preview)
        finally:
            work.close()
        segments = work.finished.values()
        return VideoSummary(
            work.frames,
            resumed,
            self.reused,
            max((segment.damaged for segment in segments), default=0),
            *self.size,
            seconds=time.perf_counter() - started,
            bytes_written=sum(segment.path.stat().st_size for segment in segments),
        )

    def _join(self, work: Workspace, report: Callable[[VideoProgress], object]) -> Path:
        part = work.part("result")
        frames = work.frames

        def progress(fraction: float) -> None:
            written = part.stat().st_size if part.exists() else 0
            report(VideoProgress(frames, frames, self.reused, written, True, fraction))

        try:
            join(self._reader, self._kept, work.segments, part, self._format, progress=progress)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return part

    def upscaled(
        self,
        work: Workspace | None = None,
        retired: Callable[[DeviceError], object] = lambda _: None,
    ) -> Generator[Made, None, None]:
        """The frames' results in order, from where a run that is in work stands.

        Closing the generator stops the upscalers within a frame.
        """
        workers = [partial(self._upscale, upscaler) for upscaler in self.upscalers]
        return ordered_map(self._works(work), workers, ahead=self._ahead, retired=retired)

    def _encode(
        self,
        work: Workspace,
        report: Callable[[VideoProgress], object],
        retired: Callable[[DeviceError], object],
        preview: Callable[[VideoFrame, av.VideoFrame], object] | None,
    ) -> None:
        if not isinstance(self._share, Claims):  # whose names end with their process
            image, planes, alpha = self._empty_frame()
            self._spare.append(image)
            size = sum(plane.nbytes for plane in _all_planes(planes, alpha))
            self._kept_frames = KeptFrames(work.kept_frames, size)
        frames = self.upscaled(work, retired)
        written = sum(segment.path.stat().st_size for segment in work.finished.values())
        done = work.frames
        current = -1  # the number of the writer's segment
        source: VideoFrame | None = None
        writer: SegmentWriter | None = None
        part = work.part("segment")
        reused = 0
        try:
            with closing(frames):
                for made, image in self._with_images(frames):
                    number = made.number // self.segment_frames
                    if writer is not None and number != current:
                        written += self._finish(work, current, writer, reused, source)
                        writer, reused = None, 0
                    if writer is None:
                        writer, current = SegmentWriter(part, self.encoding), number
                    reused += made.image is None
                    source = made.source
                    writer.write(image, source.pts, source.duration)
                    if preview is not None:
                        preview(source, image)
                    done += 1
                    report(self._progress(done, written))
        except BaseException:
            if writer is not None:
                writer.abandon()
            raise
        if not self._seen and not work.finished and self._share is None:
            raise ValueError(f"{printable(self._source)} has no frame in the part asked for")
        last = work.last
        if last is None and self._end is not None:
            last = (self._seen - 1) // self.segment_frames
        if writer is not None:
            self._finish(work, current, writer, reused, source, last=current == last)
        if last is not None:
            work.mark_last(last)

    def _with_images(self, frames: Iterable[Made]) -> Iterator[tuple[Made, av.VideoFrame]]:
        """Each with the image that stands for it; that of another one before is filled again."""
        image: av.VideoFrame | None = None
        for made in frames:
            if made.image is None:
                self.reused += 1
            else:
                if image is not None:
                    self._spare.append(image)
                image = made.image
            assert image is not None
            yield made, image
            self._keep(made, image)

    def _keep(self, made: Made, image: av.VideoFrame) -> None:
        """Store a frame that was encoded where a whole segment takes long to make again."""
        all_seconds = made.seconds * self.segment_frames / max(1, len(self.upscalers))
        if self._kept_frames is not None and all_seconds > _MOST_LOST:
            planes, alpha = planes_of(image, self.encoding.form)
            self._kept_frames.add(made.number, _all_planes(planes, alpha))

    def _empty_frame(self) -> tuple[av.VideoFrame, tuple[Plane, ...], Plane | None]:
        """A frame to fill, as `Encoding.new_frame`; one that was encoded where there is one.

        The system then need not give the memory, which takes it longer than a copy of as much.
        """
        try:
            image = self._spare.pop()
        except IndexError:
            return self.encoding.new_frame()
        image.make_writable()  # an encoder with a thread for each frame may still read it
        return image, *planes_of(image, self.encoding.form)

    def _progress(self, done: int, written: int) -> VideoProgress:
        total = self.info.frames
        if isinstance(self._share, Shard) and total:
            total = _frames_of(self._share, total, self.segment_frames)
        total = max(total, done) if total else 0
        fraction = done / total if total else 0.0
        return VideoProgress(done, total, self.reused, written, joining=False, fraction=fraction)

    def _finish(
        self,
        work: Workspace,
        number: int,
        writer: SegmentWriter,
        reused: int,
        source: VideoFrame | None,
        *,
        last: bool = False,
    ) -> int:
        """Complete a segment, whose last frame was made of `source`; return its size in bytes."""
        try:
            writer.finish()
        except BaseException:
            writer.abandon()
            raise
        part = work.part("segment")
        size = part.stat().st_size
        checksum = 0 if source is None else source.checksum()
        damaged = self._reader.damaged
        about = {"reused": reused, "damaged": damaged, "checksum": checksum, "last": last}
        work.add(number, part, writer, **about)
        if self._kept_frames is not None:
            self._kept_frames.clear()
        self._made(number)
        return size

    def _works(self, work: Workspace | None) -> Iterator[_Work]:
        """The frames, and which of them take the result of the one before.

        None does across the bound of a segment, so that a run that goes on there makes the same.
        """
        options = self._options
        most = NEAR if options.reuse == "near" else 0
        anchor: VideoFrame | None = None
        begin = 0  # the first segment that is made
        while work is not None and not work.takes(begin):
            begin += 1
        self._end = None
        # All frames before are in finished segments; of a share, in others' or nowhere.
        self._seen = begin * self.segment_frames if self._share is None else 0
        for number, frame, window in self._frames(work, begin):
            segment, place = divmod(number, self.segment_frames)
            if place == 0 and work is not None and not work.has_more(segment):
                return
            self._seen = max(self._seen, number + 1)
            if work is not None and not work.takes(segment):
                anchor = None
                continue
            first = place == 0
            repeats = (
                options.reuse != "off"
                and not first
                and anchor is not None
                and frame.equals(anchor, most)
            )
            if not repeats:
                anchor = frame
            yield _Work(number, frame, repeats, window)
        self._end = max(self._seen, begin * self.segment_frames)

    def _frames(
        self, work: Workspace | None, begin: int
    ) -> Iterator[tuple[int, VideoFrame, Window | None]]:
        """The source's frames from a segment on, numbered; for faces with those around them.

        For faces it begins with the segments before, as far as the first frame looks back.
        """
        if self._faces is not None:
            begin = max(0, begin - -(-RADIUS // self.segment_frames))
        skip, after = begin * self.segment_frames, None
        before = None if work is None else work.finished.get(begin - 1)
        if before is not None:
            after = before.times[-1][0], before.checksum
        frames = self._reader.frames(skip, after)
        if self._faces is None:
            for number, frame in enumerate(frames, start=skip):
                yield number, frame, None
        else:
            for number, window in enumerate(windows(frames), start=skip):
                yield number, window.frame, window

    def _upscale(self, upscaler: Upscaler, item: _Work, progress: Progress) -> Made:
        if item.repeats:
            return Made(item.number, None, item.frame)
        self._stop()

        def checked(fraction: float) -> None:
            self._stop()
            progress(fraction)

        image, planes, alpha = self._empty_frame()
        kept = self._kept_frames
        if kept is not None and kept.load(item.number, _all_planes(planes, alpha)):
            return Made(item.number, image, item.frame)
        started = time.perf_counter()
        upscale_into(
            upscaler,
            item.frame,
            self._request,
            planes=planes,
            alpha=alpha,
            target_format=self.encoding.yuv_format,
            progress=checked,
            enhance=self._enhance(upscaler, item.window),
        )
        return Made(item.number, image, item.frame, time.perf_counter() - started)

    def _enhance(self, upscaler: Upscaler, window: Window | None) -> Enhance | None:
        """What restores a frame's faces; None: there are none."""
        options = self._faces
        if options is None or window is None:
            return None
        enhancer = upscaler.face_enhancer(options)
        every = find_all(options)
        found = window.faces(lambda pixels: enhancer.find(pixels, every), options)
        if not found:
            return None
        faces, shares = zip(*found, strict=True)

        def enhance(source: Pixels, large: Pixels, progress: Progress | None) -> Pixels:
            return enhancer.enhance(source, faces, large, options, progress, shares=shares)

        return enhance

    def _settings(self) -> dict[str, Any]:
        """All that decides about the segments' bits, but for the device."""
        options = {
            field.name: getattr(self._options, field.name)
            for field in fields(self._options)
            if field.name not in _NOT_OF_FRAMES
        }
        network = self._network
        encoding = {
            key: str(value) if isinstance(value, Fraction) else value
            for key, value in asdict(self.encoding).items()
        }
        faces = {}
        if self._faces is not None:
            import cv2  # noqa: PLC0415 - an optional dependency

            files = [file_sha256(path) for path in self._face_files]
            faces = {"faces": {"files": files, "opencv": cv2.__version__}}
        return {
            "version": __version__,
            "av": av.__version__,
            "source": fingerprint(self._source),
            "network": [file_sha256(network.model.param), file_sha256(network.model.bin)],
            "network_options": network.deciding_options,
            "request": asdict(self._request),
            "format": self._format,
            "segment_frames": self.segment_frames,
            "options": options,
            "encoding": encoding,
            **faces,
        }

    def check_space(self, work: Workspace) -> None:
        """Refuse a run whose segments and result will not fit, by what such encoders take.

        Raises:
            OSError: They will not.
        """
        left = self.info.frames - work.frames
        share = max(0.0, left / self.info.frames) if self.info.frames else 0.0
        if isinstance(self._share, Shard):
            share /= self._share.count
        done = sum(segment.path.stat().st_size for segment in work.finished.values())
        needed = int(self.estimated_bytes * share) * 2 + done  # the segments, and the result
        free = shutil.disk_usage(work.folder).free
        if needed > free:
            raise OSError(
                f"about {format_bytes(needed)} are needed beside {printable(self._target)} while "
                f"the video is made, and {format_bytes(free)} are free; make space, or take a "
                "smaller size or a higher --crf, and run the same command again"
            )

    def _note_missing_rest(self) -> None:
        declared = declared_bytes(self._source)
        size = self._source.stat().st_size
        if declared is not None and declared > size:
            self.notes.append(
                f"{printable(self._source)} ends too early, after {format_bytes(size)} of "
                f"{format_bytes(declared)}; so will the result"
            )

    def _note_colours(self) -> None:
        info = self.info
        if info.colours.matrix == 2 and not info.form.rgb:
            name = {"bt601": "BT.601", "bt709": "BT.709"}.get(info.matrix, info.matrix)
            kind = "below" if info.matrix == "bt601" else "of at least"
            self.notes.append(
                f"the source does not say which colour matrix it has; {name} is taken, as for all "
                f"{kind} 720 lines, and the result says so"
            )
        if info.dynamic:
            self.notes.append(f"{' and '.join(info.dynamic)} cannot be kept")
        if info.rotation_matrix is not None and not can_rotate(self._format):
            self.notes.append(f"the rotation is left out: a file of format {self._format} has none")


def _all_planes(planes: Sequence[Plane], alpha: Plane | None) -> list[Plane]:
    return [*planes] if alpha is None else [*planes, alpha]


def _frames_of(shard: Shard, frames: int, each: int) -> int:
    """How many of a video's frames are in a shard's segments of `each` frames."""
    return sum(
        min(each, frames - first)
        for first in range(shard.number * each, frames, shard.count * each)
    )


def _with_even_sides(asked: TargetSize, size: tuple[int, int]) -> tuple[int, int]:
    """A size whose sides are even where they were not asked for themselves.

    4:2:0 of most encoders needs even sides. A whole scale is exact, whatever the source's sides.
    """
    width, height = size
    whole = asked.scale is None or asked.scale == int(asked.scale)
    if whole and asked.width is None and asked.height is None and asked.long_edge is None:
        return size
    largest = max(size) if asked.long_edge is not None else 0
    return (
        width if width in (asked.width, largest) else max(2, width - width % 2),
        height if height in (asked.height, largest) else max(2, height - height % 2),
    )


def load_video_upscalers(
    model: str | os.PathLike[str],
    options: UpscalerOptions,
    devices: Sequence[str | int],
    *,
    note: Callable[[str], None] = lambda _: None,
) -> list[Upscaler]:
    """The upscalers that share a video's frames, as `load_upscalers` for many pictures.

    Raises:
        ModelError, DeviceError, ValueError: As `Upscaler`.
    """
    return load_upscalers(model, options, devices, pictures=_MANY, gpu_runs=GPU_RUNS, note=note)
