"""Decodes a video file into frames with exact time stamps."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import ColorRange

from realesrgan_vk.checks import file_path, flag, one_of, real_number
from realesrgan_vk.errors import ImageError, printable
from realesrgan_vk.image_io.streams import is_stream
from realesrgan_vk.video.frames import (
    MATRICES_BY_TAG,
    Colours,
    Matrix,
    PixelFormat,
    Siting,
    VideoFrame,
    default_matrix,
    exact,
    matrix_of,
    planes_of,
    siting_of,
    view_frame,
    yuv_format,
)

if TYPE_CHECKING:
    from types import TracebackType

    from av.container import InputContainer
    from av.packet import Packet
    from av.sidedata.sidedata import SideData
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream
    from typing_extensions import Self

MATRICES = ("auto", "bt601", "bt709", "bt2020")
_PROBED = 24  # frames that are looked at for interlacing and what decoding tells
_LARGEST_SIDE = 1 << 16
_LEAST_PACKET = 8  # bytes of a frame in a file
_DEFAULT_RATE = Fraction(25)
# From 19 on PyAV always replaces what is no UTF-8 in tags.
_OPENING: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)
# Containers whose clock starts anywhere, so that the time of their first packet is no delay, and
# may begin anew within the file.
_FREE_CLOCKS = frozenset({"mpegts", "mpeg", "m2ts", "rtp", "hls"})
_LONGEST_GAP = 10  # seconds between two packets of such a clock; more is another beginning
_MARGINS = (10, 60, 600)  # seconds before a start from which frames are decoded, tried in turn


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known of a video before its frames are decoded.

    Attributes:
        width: Of a frame, in pixels.
        height: Of a frame, in pixels.
        rate: Frames a second, on average.
        time_base: Seconds of a unit of time stamps.
        frames: How many there are, as the file says or by duration and rate; 0 is unknown.
        duration: In seconds; 0 is unknown.
        codec: FFmpeg's name of it.
        container: FFmpeg's names of the file's format, separated by commas.
        form: The frames' pixel format.
        colours: What the frames are tagged with.
        matrix: With which they are converted.
        siting: Of chroma.
        full_range: Whether samples use all values.
        aspect: Width by height of a pixel; None is unknown.
        rotation_matrix: The display matrix as FFmpeg's 36 bytes, or None.
        mastering: FFmpeg's mastering display metadata as bytes, or None.
        light: FFmpeg's content light level as bytes, or None.
        dynamic: Names of dynamic metadata, which is lost.
        interlaced: Whether one of the first frames is interlaced.
    """

    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    frames: int
    duration: float
    codec: str
    container: str
    form: PixelFormat
    colours: Colours
    matrix: Matrix
    siting: Siting
    full_range: bool
    aspect: Fraction | None = None
    rotation_matrix: bytes | None = None
    mastering: bytes | None = None
    light: bytes | None = None
    dynamic: tuple[str, ...] = field(default=())
    interlaced: bool = False


class VideoReader:
    """The frames of a file's first video stream, in the order in which they are shown.

    >>> with VideoReader("film.mkv") as frames:  # doctest: +SKIP
    ...     for frame in frames:
    ...         print(frame.time, frame.rgb().shape)

    Attributes:
        path: The file.
        info: What is known of the video.
        damaged: Packets so far that could not be decoded, or not completely.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        start: float | None = None,
        end: float | None = None,
        deinterlace: bool = False,
        matrix: str = "auto",
    ) -> None:
        """Open a file and look at its first frames.

        Args:
            path: The file.
            start: Seconds from the beginning; earlier frames are left out.
            end: Seconds from the beginning; frames from there on are left out.
            deinterlace: Make a whole frame of each pair of fields (FFmpeg's bwdif).
            matrix: "auto", or the colour matrix of a video that is tagged wrongly: "bt601",
                "bt709" or "bt2020".

        Raises:
            TypeError: An argument of the wrong type.
            ValueError: An argument out of range.
            ImageError: The file cannot be read, has no video, or one in colours that are not known.
            OSError: The file cannot be opened.
        """
        self.path = file_path(path)
        self._start = _seconds("start", start)
        self._end = _seconds("end", end)
        if self._start is not None and self._end is not None and self._end <= self._start:
            raise ValueError(f"end is {end}; it must be after start, {start}")
        self._deinterlace = flag("deinterlace", deinterlace)
        self._matrix = one_of("matrix", matrix, MATRICES)
        self.damaged = 0
        self._container: InputContainer | None = None
        self._jumps: list[Fraction] | None = None
        with self._opened() as container:
            self.info = self._probe(container)

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the file; closing again does nothing."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def __iter__(self) -> Iterator[VideoFrame]:
        """Decode the frames, from the first one on."""
        return self.frames()

    def frames(self, skip: int = 0, after: tuple[int, int] | None = None) -> Iterator[VideoFrame]:
        """Decode the frames.

        Args:
            skip: How many to leave out at the beginning.
            after: Time stamp and checksum of the last frame that is left out. Where seeking leads
                to that very frame, those before it are not decoded.

        Raises:
            ImageError: A frame has another size than the first one.
        """
        self.damaged = 0
        if after is not None and not self.jumps():
            pts, checksum = after
            frames = self._decode(pts * self.info.time_base)
            for frame in frames:
                if frame.pts == pts and frame.checksum() == checksum:
                    yield from frames
                    return
                if frame.pts >= pts:
                    break
            frames.close()
            self.damaged = 0
        for number, frame in enumerate(self._decode(None)):
            if number >= skip:
                yield frame

    def _decode(self, start: Fraction | None) -> Generator[VideoFrame, None, None]:
        """The frames of the part that is taken, from a time on, or from its beginning."""
        with self._opened() as container:
            self._container = container
            stream = _video_stream(container, self.path)
            clock = _Clock(stream, container)
            first, last = self.span(container)
            seeking = first if start is None else start
            if seeking is not None and clock.is_stored and not self.jumps():
                _seek(container, stream, seeking)
            for raw in self._progressive(self._decoded(container, stream)):
                pts = clock.time_of(raw)
                if first is not None and pts * clock.time_base < first:
                    continue
                if last is not None and pts * clock.time_base >= last:
                    return
                yield self._frame(raw, pts, clock)

    def shift(self, container: InputContainer) -> Fraction:
        """Seconds to subtract from all time stamps of the file for those of the result."""
        start = Fraction(container.start_time or 0, av.time_base)
        free = _FREE_CLOCKS.intersection(container.format.name.split(","))
        if self._start is None:
            return start if free else Fraction(0)
        return self._start + start

    def jumps(self) -> list[Fraction]:
        """What is added to all times from each new beginning of the file's clock on, in seconds.

        Recordings, and files that were put one behind another, have such beginnings. The whole file
        is read for it where its container allows them.
        """
        if self._jumps is None:
            with self._opened() as container:
                clock = Continuity(container)
                if clock.is_free:
                    with suppress(av.error.FFmpegError):  # the file ends too early
                        for packet in container.demux(_video_stream(container, self.path)):
                            clock.correct(packet)
                self._jumps = clock.jumps
        return self._jumps

    def span(self, container: InputContainer) -> tuple[Fraction | None, Fraction | None]:
        """The first time that is taken and the first that is not, by the file's time stamps."""
        start = Fraction(container.start_time or 0, av.time_base)
        return (
            None if self._start is None else self._start + start,
            None if self._end is None else self._end + start,
        )

    def _opened(self) -> InputContainer:
        return open_input(self.path)

    def _probe(self, container: InputContainer) -> VideoInfo:
        stream = _video_stream(container, self.path)
        raws = self._decoded(container, stream)
        raw = next(raws, None)
        if raw is None:
            raise ImageError(f"{printable(self.path)} has no frame that can be decoded")
        interlaced = bool(raw.interlaced_frame) or any(
            each.interlaced_frame for each in islice(raws, _PROBED - 1)
        )
        _, form = view_frame(raw)
        colours = Colours.of(raw)
        if self._matrix != "auto":
            colours = replace(colours, matrix={"bt601": 6, "bt709": 1, "bt2020": 9}[self._matrix])
        matrix = matrix_of(colours, form, raw.height)
        full = colours.full_range or (form.rgb and raw.color_range != 1)
        lost = {
            SideDataType.DYNAMIC_HDR_PLUS: "HDR10+ metadata",
            SideDataType.DOVI_RPU_BUFFER: "Dolby Vision metadata",
            SideDataType.DOVI_METADATA: "Dolby Vision metadata",
            SideDataType.FILM_GRAIN_PARAMS: "film grain parameters",
        }
        rate = exact(stream.average_rate) or exact(stream.guessed_rate) or _DEFAULT_RATE
        if _has_no_time(stream) or _is_avi(container):
            rate = exact(stream.guessed_rate) or rate
        duration = self._duration(container, stream)
        counted = 0 if _is_avi(container) else stream.frames  # that counts empty frames, too
        # A time stamp that is far off makes a duration of years.
        frames = counted or min(round(duration * rate), (container.size or 0) // _LEAST_PACKET)
        if self._start is not None or self._end is not None:
            whole = duration
            duration = max(0.0, min(float(self._end or whole), whole) - float(self._start or 0))
            frames = round(frames * duration / whole) if whole else 0
        own = exact(stream.codec_context.sample_aspect_ratio)
        aspect = own or exact(stream.sample_aspect_ratio)
        return VideoInfo(
            width=raw.width,
            height=raw.height,
            rate=rate,
            time_base=_unit(stream),
            frames=frames,
            duration=duration,
            codec=stream.codec_context.name,
            container=container.format.name,
            form=form,
            colours=colours,
            matrix=matrix,
            siting=siting_of(raw, stream.codec_context.name, matrix),
            full_range=full,
            aspect=aspect if aspect != 1 else None,
            rotation_matrix=_side_data(raw, SideDataType.DISPLAYMATRIX),
            mastering=_side_data(raw, SideDataType.MASTERING_DISPLAY_METADATA),
            light=_side_data(raw, SideDataType.CONTENT_LIGHT_LEVEL),
            dynamic=tuple(
                dict.fromkeys(name for kind, name in lost.items() if _side_data(raw, kind))
            ),
            interlaced=interlaced,
        )

    @staticmethod
    def _duration(container: InputContainer, stream: VideoStream) -> float:
        if stream.duration:
            return float(stream.duration * _unit(stream))
        units = container.duration or 0
        if "matroska" in container.format.name.split(","):  # counts from zero, not from the start
            units -= max(0, container.start_time or 0)
        return max(0, units) / av.time_base

    def _decoded(self, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
        """Frames as FFmpeg gives them; what is damaged is counted and passed over."""
        decoder = _decoder(stream)
        packets = container.demux(stream)
        clock = Continuity(container)
        expected = 0  # packets that the container calls damaged; the decoder will say so again

        def damage() -> None:
            nonlocal expected
            if expected:
                expected -= 1
            else:
                self.damaged += 1

        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:  # the file ends too early
                self.damaged += 1
                packet = None
            if packet is not None:
                clock.correct(packet)
                self.damaged += packet.is_corrupt
                expected += packet.is_corrupt
            try:
                frames = decoder.decode(packet)
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                damage()
                continue
            for frame in frames:
                if frame.is_corrupt:
                    damage()
                yield frame
            if packet is None:
                return

    def _progressive(self, raws: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """The frames, through FFmpeg's bwdif where that was asked for."""
        if not self._deinterlace:
            yield from raws
            return
        graph: av.filter.Graph | None = None
        for raw in raws:
            if graph is None:
                graph = av.filter.Graph()
                source = graph.add_buffer(
                    width=raw.width, height=raw.height, format=raw.format, time_base=raw.time_base
                )
                nodes = (source, graph.add("bwdif", "mode=send_frame:deint=interlaced"))
                graph.link_nodes(*nodes, graph.add("buffersink")).configure()
            graph.vpush(raw)
            yield from _pulled(graph)
        if graph is not None:
            graph.vpush(None)
            yield from _pulled(graph)

    def _colours_of(self, raw: av.VideoFrame, form: PixelFormat) -> tuple[Matrix, bool]:
        """Matrix and range of a frame; they may differ from those of the first."""
        matrix, full_range = self.info.matrix, self.info.full_range
        own = MATRICES_BY_TAG.get(int(raw.colorspace), "rgb")
        if self._matrix == "auto" and own != "rgb":
            matrix = own
        if matrix == "rgb" and not form.rgb:
            matrix = default_matrix(raw.height)
        if raw.color_range in (ColorRange.MPEG, ColorRange.JPEG):
            full_range = raw.color_range == ColorRange.JPEG
        return matrix, full_range

    def _frame(self, raw: av.VideoFrame, pts: int, clock: _Clock) -> VideoFrame:
        info = self.info
        if (raw.width, raw.height) != (info.width, info.height):
            raise ImageError(
                f"{printable(self.path)} changes its size from {info.width}x{info.height} to "
                f"{raw.width}x{raw.height}; split it there, or give both the same size first"
            )
        viewed, form = view_frame(raw)
        planes, alpha = planes_of(viewed, form)
        matrix, full_range = self._colours_of(raw, form)
        described = yuv_format(form, matrix, info.siting, full_range=full_range)
        return VideoFrame(planes, described, alpha, pts, clock.duration_of(raw), clock.time_base)


class Continuity:
    """Makes one clock of a stream's time stamps, where the file's begins anew.

    Attributes:
        is_free: Whether the container's clock may do so.
        jumps: What was added to the times after each beginning but the first, in seconds.
    """

    def __init__(self, container: InputContainer, jumps: Sequence[Fraction] = ()) -> None:
        """Begin with a stream.

        Args:
            container: Its file.
            jumps: Those of the video, which other streams follow.
        """
        self.is_free = not _FREE_CLOCKS.isdisjoint(container.format.name.split(","))
        self.jumps: list[Fraction] = []
        self._given = jumps
        self._last: Fraction | None = None
        self._step = Fraction(0)

    def correct(self, packet: Packet[Any]) -> None:
        """Change a packet's time stamps; packets come in the order of the file."""
        if not self.is_free or packet.dts is None:
            return
        unit = exact(packet.time_base) or Fraction(1)
        time = packet.dts * unit
        if self._last is not None:
            gap = time - self._last
            if 0 <= gap <= _LONGEST_GAP:
                self._step = gap or self._step
            else:
                place = len(self.jumps)
                before = self.jumps[-1] if self.jumps else Fraction(0)
                own = before + self._step - gap
                self.jumps.append(self._given[place] if place < len(self._given) else own)
        self._last = time
        if self.jumps:
            steps = round(self.jumps[-1] / unit)
            packet.dts += steps
            if packet.pts is not None:
                packet.pts += steps


class _Clock:
    """The time stamps of frames, in the order in which they are shown, each after the one before.

    Attributes:
        time_base: Seconds of a unit.
        is_stored: Whether each time stamp is the file's own, so that it is right after seeking.

    Where a container stores only the order of decoding (AVI), they are that order's; where it
    stores none (raw H.264), they follow from the frame rate.
    """

    def __init__(self, stream: VideoStream, container: InputContainer) -> None:
        self.time_base = _unit(stream)
        rate = exact(stream.guessed_rate) or exact(stream.average_rate) or _DEFAULT_RATE
        self._step = max(1, round(1 / (rate * self.time_base)))
        self._by_decoding = _is_avi(container)
        self.is_stored = not (self._by_decoding or _has_no_time(stream))
        self._unit = (self.time_base.numerator, self.time_base.denominator)
        self._factor: Fraction | None = None  # of the last frame's unit; None: it is the stream's
        self._offset: int | None = None
        self._last: int | None = None

    def time_of(self, frame: av.VideoFrame) -> int:
        unit = frame.time_base  # a filter has another unit than the stream
        is_own = not unit or (unit.numerator, unit.denominator) == self._unit
        self._factor = None if is_own else (exact(unit) or Fraction(1)) / self.time_base
        pts = frame.pts
        if self._by_decoding:
            if self._offset is None:
                self._offset = frame.dts
            both = frame.dts is not None and self._offset is not None
            pts = (frame.dts or 0) - (self._offset or 0) if both else None
        pts = None if pts is None else self._in_own_unit(pts)
        if pts is None:
            pts = 0 if self._last is None else self._last + self._step
        elif self._last is not None and pts <= self._last:
            pts = self._last + 1
        self._last = pts
        return pts

    def duration_of(self, frame: av.VideoFrame) -> int:
        """Of the frame that `time_of` was asked for last; 0 is unknown."""
        return self._in_own_unit(frame.duration) if frame.duration else 0

    def _in_own_unit(self, time: int) -> int:
        return time if self._factor is None else round(time * self._factor)


def file_url(path: Path) -> str:
    """How FFmpeg takes any path for a file's; it takes `a:b.mkv` for an address."""
    return f"file:{path}"


def open_input(path: Path) -> InputContainer:
    """Open a video file.

    Raises:
        ImageError: It is none that FFmpeg reads, or no file.
        OSError: It cannot be opened.
    """
    if is_stream(path):
        raise ImageError(
            f"{printable(path)} is a pipe or a device, which cannot be read several times, as a "
            "video is; save it as a file first"
        )
    path.open("rb").close()  # the system's own message
    try:
        opened: InputContainer = av.open(file_url(path), "r", **_OPENING)
    except av.error.FFmpegError as error:
        words = f"{printable(path)} cannot be read as a video: {error.strerror}"
        raise ImageError(words) from error
    return opened


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            context = stream.codec_context
            if context is None:
                raise ImageError(f"{printable(path)} has a video that FFmpeg cannot decode")
            if not (0 < context.width <= _LARGEST_SIDE and 0 < context.height <= _LARGEST_SIDE):
                raise ImageError(f"{printable(path)} has a video without a size that can be read")
            return stream
    raise ImageError(f"{printable(path)} has no video stream")


def video_index(container: InputContainer, path: Path) -> int:
    """The index of the stream whose frames a `VideoReader` decodes."""
    return _video_stream(container, path).index


def _decoder(stream: VideoStream) -> VideoCodecContext:
    """The stream's decoder; that of libvpx where VP8 or VP9 has alpha, which FFmpeg's leave out."""
    own = stream.codec_context
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if tags.get("alpha_mode") != "1" or own.name not in ("vp8", "vp9"):
        # With a thread for each frame, PyAV loses those behind a damaged one at a file's end; with
        # one for each slice, H.264's decoder does not always say what is damaged.
        own.thread_type = "SLICE"
        if own.name in ("h264", "hevc"):
            own.thread_count = 1
        return own
    decoder = av.CodecContext.create("libvpx" if own.name == "vp8" else "libvpx-vp9", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.extradata = own.extradata
    return decoder


def _side_data(frame: av.VideoFrame, kind: SideDataType) -> bytes | None:
    """A frame's metadata of one kind; iterating over all differs among PyAV's releases."""
    found = cast("Mapping[SideDataType, SideData]", frame.side_data).get(kind)
    return None if found is None else bytes(found)


def _unit(stream: VideoStream) -> Fraction:
    """Seconds of a unit of a stream's time stamps."""
    return exact(stream.time_base) or Fraction(1, 90000)


def _is_avi(container: InputContainer) -> bool:
    return "avi" in container.format.name.split(",")


def _has_no_time(stream: VideoStream) -> bool:
    return stream.duration is None and stream.start_time is None


def _pulled(graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
    with suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            yield graph.vpull()


def _seek(container: InputContainer, stream: VideoStream, start: Fraction) -> None:
    """Go to where decoding gives every frame from `start` on whole.

    A key frame may be followed by frames that need those before it (an open GOP): the one before
    the last key frame before `start` is taken. Where none is found, it is the beginning.
    """
    unit = _unit(stream)
    for margin in _MARGINS:
        target = start - margin
        if target <= 0:
            break
        with suppress(av.error.FFmpegError):
            container.seek(int(target / unit), stream=stream)
            if _key_frames(container, stream, start, unit) >= 2:
                container.seek(int(target / unit), stream=stream)
                return
    with suppress(av.error.FFmpegError):
        first = min(stream.start_time or 0, 0)
        container.seek(first, stream=stream)


def _key_frames(
    container: InputContainer, stream: VideoStream, end: Fraction, unit: Fraction
) -> int:
    """How many key frames come before `end`."""
    found = 0
    for packet in container.demux(stream):
        if packet.pts is None:
            continue
        if packet.pts * unit > end:
            break
        found += packet.is_keyframe
    return found


def _seconds(name: str, value: float | None) -> Fraction | None:
    """Exact to a microsecond, so that 0.1 is not above a frame's time of 1/10."""
    if value is None:
        return None
    seconds = real_number(name, value, "of seconds from 0 on", lambda x: 0 <= x < 1e9)
    return Fraction(seconds).limit_denominator(1_000_000)
