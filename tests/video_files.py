"""Short synthetic video files, written with PyAV: moving pictures, streams and tags of every kind.

Each function writes one file and returns a `Clip`: what went into the file and cannot be read back
from it exactly. Sides, rates and tags are arguments only where a test asks for other ones.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

import pytest

pytest.importorskip("av", "18", reason="PyAV 18 or later is not installed (realesrgan-vk[video])")
import av
import numpy as np
from av.packet import Packet
from av.subtitles.subtitle import SubtitleSet
from h273 import Plane, planes_by_h273
from PIL import Image

from realesrgan_vk import YuvFormat

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from av.audio.stream import AudioStream
    from av.container.core import Chapter
    from av.container.output import OutputContainer
    from av.stream import Disposition
    from av.subtitles.stream import SubtitleStream
    from av.video.stream import VideoStream
    from numpy.typing import NDArray
    from typing_extensions import Self, Unpack

Matrix = Literal["bt601", "bt709", "bt2020"]
Siting = Literal["left", "center", "top_left"]

WIDTH, HEIGHT = 64, 48
RATE = Fraction(25)
FILM = Fraction(24000, 1001)
FONT = b"\0\1\0\0" + bytes(range(256)) * 4  # only its bytes and its name matter
COLOURS = np.array(
    [
        (255, 255, 255),
        (0, 0, 0),
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (255, 255, 0),
        (0, 255, 255),
        (255, 0, 255),
    ],
    np.uint8,
)
# FFmpeg's numbers of H.273's colour tags; those of matrices are of FFmpeg's `color_spaces`.
PRIMARIES = {"bt601": 6, "bt709": 1, "bt2020": 9}
TRANSFERS = {"bt601": 6, "bt709": 1, "bt2020": 14}
MATRIX_TAGS = {"bt601": 6, "bt709": 1, "bt2020": 9}
LIMITED, FULL = 1, 2
PQ = 16
HDR10 = (
    "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited:hdr10=1:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    ":max-cll=1000,400"
)
FORMATS: dict[str, dict[str, Any]] = {
    "yuv420p": {"subsampling": (2, 2)},
    "yuva420p": {"subsampling": (2, 2)},
    "nv12": {"subsampling": (2, 2)},
    "yuv422p": {"subsampling": (2, 1)},
    "yuv444p": {"subsampling": (1, 1)},
    "yuva444p": {"subsampling": (1, 1)},
    "yuv420p10le": {"subsampling": (2, 2), "bits": 10},
    "yuv420p12le": {"subsampling": (2, 2), "bits": 12},
    "yuv444p10le": {"subsampling": (1, 1), "bits": 10},
    "yuv422p10le": {"subsampling": (2, 1), "bits": 10},
    "yuva444p10le": {"subsampling": (1, 1), "bits": 10},
    "yuva444p12le": {"subsampling": (1, 1), "bits": 12},
    "yuv444p16le": {"subsampling": (1, 1), "bits": 16},
    "gray": {"subsampling": (1, 1)},
    "bgr0": {"subsampling": (1, 1), "matrix": "rgb", "full_range": True},
    "rgb24": {"subsampling": (1, 1), "matrix": "rgb", "full_range": True},
}
PACKED = {"bgr0": (1, 0, 2), "rgb24": (1, 2, 0)}  # where green, blue and red lie in a pixel


@dataclass(frozen=True)
class Clip:
    """What a file holds.

    Attributes:
        path: The file.
        frames: Planes of every frame as they went to the encoder, in the order of presentation;
            alpha is the fourth. For a lossy codec a decoder gives others.
        form: How the planes stand for colours.
        times: When every frame is shown, in seconds; the tests' own, before the container's time
            base rounds them.
        texts: Start and end in seconds, and text, of the subtitles.
        damaged: The place in `frames` of the frame in the damaged packet; None without one.
    """

    path: Path
    frames: list[list[Plane]]
    form: YuvFormat
    times: list[Fraction]
    texts: list[tuple[Fraction, Fraction, str]] = field(default_factory=list)
    damaged: int | None = None


class VideoOptions(TypedDict, total=False):
    """How a video stream is encoded and tagged.

    Attributes:
        time_base: Of the stream, in seconds; 1 / rate when missing.
        rate: Frames a second.
        options: The encoder's.
        tags: Whose primaries, transfer function and matrix are written; none when missing.
        transfer: Another transfer function, by FFmpeg's number.
        full_range: Whether the tags say full range.
        aspect: Sample aspect ratio.
        rotation: Degrees, for the display matrix.
        disposition: FFmpeg's flags.
        metadata: The stream's own.
    """

    time_base: Fraction
    rate: Fraction
    options: dict[str, str]
    tags: Matrix
    transfer: int
    full_range: bool
    aspect: Fraction
    rotation: int
    disposition: int
    metadata: dict[str, str]


def pixel_format(
    name: str, matrix: Matrix = "bt601", *, full_range: bool = False, siting: Siting = "left"
) -> YuvFormat:
    """How planes of FFmpeg's pixel format of this name stand for colours."""
    return YuvFormat(
        **({"matrix": matrix, "full_range": full_range, "siting": siting} | FORMATS[name])
    )


def scene(index: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """An RGB picture that moves with `index`: hard colours in bars above, greys below.

    All edges lie at even places, so that chroma of 4:2:0 is exact at every siting's own samples.
    """
    across = np.arange(width) // 2 * 2
    down = np.arange(height) // 2 * 2
    picture = COLOURS[(across + 2 * index) // 8 % len(COLOURS)][None].repeat(height, axis=0)
    below = down >= height * 2 // 3
    grey = (across * 4 + index * 6) % 256
    picture[below] = grey[:, None].astype(np.uint8)
    left = 4 * index % max(2, width - 8) // 2 * 2
    picture[4 : min(12, height), left : left + 8] = COLOURS[(index + 2) % len(COLOURS)]
    return picture


def frames_of(
    count: int, form: YuvFormat, *, width: int = WIDTH, height: int = HEIGHT, alpha: bool = False
) -> list[list[Plane]]:
    """Planes of `count` pictures of the scene; alpha is a ramp that moves."""
    frames = []
    for index in range(count):
        planes = planes_by_h273(scene(index, width, height) / 255, form)
        if alpha:
            most = 2**form.bits - 1
            ramp = (np.arange(width) * 3 + index * 5) % 64 / 63 * most
            planes.append(np.broadcast_to(ramp.astype(planes[0].dtype), (height, width)).copy())
        frames.append(planes)
    return frames


def rows_of(frame: av.VideoFrame) -> list[Plane]:
    """Views of a frame's planes, as the tests and `Upscaler.upscale_yuv` take them."""
    name = frame.format.name
    dtype = np.dtype(np.uint8 if frame.format.components[0].bits == 8 else np.uint16)
    views = [
        np.frombuffer(memoryview(plane), dtype).reshape(-1, plane.line_size // dtype.itemsize)
        for plane in frame.planes
    ]
    if name in PACKED:
        step = 3 if name == "rgb24" else 4
        width = frame.width * step
        return [views[0][: frame.height, place:width:step] for place in PACKED[name]]
    if name == "nv12":
        rows, columns = -(-frame.height // 2), -(-frame.width // 2)
        parts = [views[1][:rows, part : 2 * columns : 2] for part in (0, 1)]
        return [views[0][: frame.height, : frame.width], *parts]
    return [
        view[: plane.height, : plane.width] for view, plane in zip(views, frame.planes, strict=True)
    ]


def video_frame(planes: list[Plane], name: str) -> av.VideoFrame:
    """A frame of FFmpeg's pixel format of this name."""
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, name)
    for view, plane in zip(rows_of(frame), planes, strict=False):  # grey has one
        view[...] = plane
    return frame


def decoded(path: Path) -> list[list[Plane]]:
    """Planes of every frame of a file; those of VP9 with its alpha."""
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        with_alpha = stream.codec_context.name == "vp9" and "alpha_mode" in {
            name.lower() for name in stream.metadata
        }
        if with_alpha:  # which FFmpeg's own decoder leaves out
            context = av.CodecContext.create("libvpx-vp9", "r")
            packets = source.demux(stream)
            frames = [frame for packet in packets for frame in context.decode(packet)]
        else:
            frames = list(source.decode(stream))
        return [[rows.copy() for rows in rows_of(frame)] for frame in frames]


class ClipFile:
    """A file being written: streams are added, and it is muxed at the end of the `with` block.

    Packets of all streams go in the order of their decoding times. Tags that name the programs
    are left out.
    """

    def __init__(
        self,
        path: Path,
        *,
        container: str | None = None,
        options: dict[str, str] | None = None,
        metadata: dict[str, str] | None = None,
        chapters: Sequence[tuple[Fraction, Fraction, str]] = (),
    ) -> None:
        self.path = path
        self._output: OutputContainer = av.open(
            str(path), "w", format=container, options=options or {}
        )
        self._output.metadata.update(metadata or {})
        self._output.set_chapters(
            [
                cast(
                    "Chapter",
                    {
                        "id": number,
                        "start": int(start * 1000),
                        "end": int(end * 1000),
                        "time_base": Fraction(1, 1000),
                        "metadata": {"title": title},
                    },
                )
                for number, (start, end, title) in enumerate(chapters, 1)
            ]
        )
        self._packets: list[Packet[Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            for packet in sorted(self._packets, key=_decoding_time):
                self._output.mux(packet)
        self._output.close()

    def video(
        self,
        frames: Sequence[list[Plane]],
        times: Sequence[Fraction],
        codec: str = "libx264",
        pixels: str = "yuv420p",
        **video: Unpack[VideoOptions],
    ) -> None:
        """Encode frames as the next stream."""
        rate = video.get("rate", RATE)
        time_base = video.get("time_base", 1 / rate)
        stream = cast("VideoStream", self._output.add_stream(codec, rate=rate))
        stream.disposition = cast("Disposition", video.get("disposition", 0))
        stream.options.update(video.get("options", {}))
        stream.height, stream.width = frames[0][0].shape
        stream.pix_fmt = pixels
        stream.thread_count = 1
        stream.codec_context.time_base = time_base
        stream.time_base = time_base
        if "aspect" in video:
            stream.codec_context.sample_aspect_ratio = video["aspect"]
        if "tags" in video:
            stream.color_primaries = PRIMARIES[video["tags"]]
            stream.color_trc = video.get("transfer", TRANSFERS[video["tags"]])
            stream.colorspace = MATRIX_TAGS[video["tags"]]
            stream.color_range = FULL if video.get("full_range") else LIMITED
        if "rotation" in video:
            stream.set_display_rotation(video["rotation"])
        stream.metadata.update(video.get("metadata", {}))
        for planes, time in zip(frames, times, strict=True):
            frame = video_frame(planes, pixels)
            frame.pts = round(time / time_base)
            frame.time_base = time_base
            self._packets += stream.encode(frame)
        self._packets += stream.encode(None)

    def tone(
        self,
        seconds: Fraction | float,
        codec: str = "aac",
        *,
        hertz: int = 440,
        disposition: int = 0,
        **metadata: str,
    ) -> None:
        """A sine tone in mono at 48 kHz as the next stream."""
        stream = cast(
            "AudioStream", self._output.add_stream(codec, rate=48000, disposition=disposition)
        )
        stream.codec_context.layout = "mono"
        stream.metadata.update(metadata)
        wave = np.sin(np.arange(int(seconds * 48000)) * (2 * np.pi * hertz / 48000)) * 8000
        frame = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], "s16", "mono")
        frame.sample_rate = 48000
        frame.pts = 0
        frame.time_base = Fraction(1, 48000)
        self._packets += stream.encode(frame)
        self._packets += stream.encode(None)

    def subtitles(
        self,
        texts: Sequence[tuple[Fraction, Fraction, str]],
        codec: str = "subrip",
        *,
        disposition: int = 0,
        **metadata: str,
    ) -> None:
        """Text subtitles as the next stream."""
        stream = cast("SubtitleStream", self._output.add_stream(codec, disposition=disposition))
        stream.metadata.update(metadata)
        stream.time_base = Fraction(1, 1000)
        context = stream.codec_context
        context.time_base = Fraction(1, 1000)
        context.subtitle_header = ASS_HEADER
        for number, (start, end, text) in enumerate(texts):
            line = f"{number},0,Default,,0,0,0,,{text}".encode()
            packet = context.encode_subtitle(
                SubtitleSet.create(line, 0, int((end - start) * 1000), int(start * 1000))
            )
            packet.stream = stream
            packet.time_base = Fraction(1, 1000)
            packet.pts = packet.dts = int(start * 1000)
            packet.duration = int((end - start) * 1000)
            self._packets.append(packet)

    def picture(self, codec: str = "png", **metadata: str) -> bytes:
        """A cover picture as the next stream; returns its file."""
        data = cover(codec)
        stream = self._output.add_mux_stream(
            codec, width=COVER_SIDE, height=COVER_SIDE, disposition=ATTACHED_PICTURE
        )
        stream.metadata.update(metadata)
        packet: Packet[Any] = Packet(data)
        packet.stream = stream
        packet.pts = packet.dts = 0
        packet.time_base = Fraction(1, 90000)
        packet.is_keyframe = True
        self._packets.append(packet)
        return data

    def attach(self, name: str, mime: str, data: bytes) -> None:
        """A file inside the file."""
        self._output.add_attachment(name, mime, data)


COVER_SIDE = 32
ATTACHED_PICTURE = 1 << 10
DEFAULT, COMMENT, FORCED = 1, 1 << 3, 1 << 6
ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, \
Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Serif,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def _decoding_time(packet: Packet[Any]) -> Fraction:
    return (packet.dts or 0) * packet.time_base


def cover(codec: str = "png") -> bytes:
    """A picture file of the scene."""
    data = io.BytesIO()
    picture = Image.fromarray(scene(3, COVER_SIDE, COVER_SIDE))
    picture.save(data, "PNG" if codec == "png" else "JPEG")
    return data.getvalue()


def seconds(count: int, rate: Fraction = RATE) -> list[Fraction]:
    """Times of `count` frames at a constant rate."""
    return [index / rate for index in range(count)]


def plain(
    path: Path,
    count: int = 12,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    size: tuple[int, int] = (WIDTH, HEIGHT),
    times: list[Fraction] | None = None,
    siting: Siting = "left",
    sound: float | None = None,
    sound_codec: str = "aac",
    container: str | None = None,
    mux: dict[str, str] | None = None,
    **video: Unpack[VideoOptions],
) -> Clip:
    """One video stream, and `sound` seconds of a tone where asked for.

    Without `tags` no colour tags are written; the planes then are those of BT.601.
    """
    full_range = video.get("full_range", False)
    form = pixel_format(pixels, video.get("tags", "bt601"), full_range=full_range, siting=siting)
    times = seconds(count, video.get("rate", RATE)) if times is None else times
    alpha = pixels.startswith("yuva")
    frames = frames_of(len(times), form, width=size[0], height=size[1], alpha=alpha)
    with ClipFile(path, container=container, options=mux) as file:
        file.video(frames, times, codec, pixels, **video)
        if sound is not None:
            file.tone(sound, sound_codec)
    return Clip(path, frames, form, times)


def vfr_with_gaps(path: Path) -> Clip:
    """Frames 10 to 400 ms apart, no two gaps alike; in mp4 at a time base of 1/30000."""
    milliseconds = [0, 40, 80, 200, 210, 233, 633, 700, 733, 767, 1000, 1017]
    times = [Fraction(time, 1000) for time in milliseconds]
    base = Fraction(1, 1000) if path.suffix == ".mkv" else Fraction(1, 30000)
    return plain(path, times=times, time_base=base, options={"bf": "2"}, sound=1.2)


def b_frames(path: Path) -> Clip:
    """H.264 at 24000/1001 frames a second, three B-frames in a row, with sound."""
    options = {"bf": "3", "x264-params": "b-adapt=0:keyint=12:bframes=3"}
    return plain(path, 24, rate=FILM, options=options, sound=1.0)


def open_gop(path: Path, codec: Literal["libx264", "libx265"]) -> Clip:
    """A key frame every six frames, with B-frames before it that need the group before."""
    groups = "keyint=6:min-keyint=6:bframes=3:b-adapt=0:scenecut=0:open-gop=1"
    options = (
        {"x264-params": groups}
        if codec == "libx264"
        else {"x265-params": f"{groups}:log-level=none:pools=none"}
    )
    return plain(path, 30, codec=codec, options=options, sound=1.0)


def negative_start(path: Path) -> Clip:
    """MPEG-TS: the first frame is shown 80 ms before zero, which the sound begins at."""
    times = [time - Fraction(80, 1000) for time in seconds(12)]
    mux = {"avoid_negative_ts": "disabled"}
    return plain(
        path,
        times=times,
        time_base=Fraction(1, 90000),
        mux=mux,
        options={"bf": "0"},
        sound=0.4,
        sound_codec="ac3",
    )


def without_first_times(path: Path) -> Clip:
    """Matroska: two frames were before zero, which the container cannot hold; they have no time."""
    times = [time - Fraction(80, 1000) for time in seconds(12)]
    mux = {"avoid_negative_ts": "disabled"}
    return plain(path, times=times, time_base=Fraction(1, 1000), mux=mux, options={"bf": "0"})


def late_start(path: Path) -> Clip:
    """The first frame is shown 400 ms after zero, where the sound begins."""
    times = [time + Fraction(400, 1000) for time in seconds(12)]
    return plain(path, times=times, time_base=Fraction(1, 12800), options={"bf": "2"}, sound=0.9)


def edit_list(path: Path) -> Clip:
    """mp4 whose edit list leaves out the first three frames, and the priming of the AAC stream.

    `frames` and `times` are of what is shown.
    """
    mux = {"avoid_negative_ts": "disabled", "use_editlist": "1"}
    times = [time - Fraction(120, 1000) for time in seconds(15)]
    whole = plain(
        path, times=times, time_base=Fraction(1, 12800), mux=mux, options={"bf": "0"}, sound=0.5
    )
    return Clip(path, whole.frames[3:], whole.form, whole.times[3:])


TEXTS = [
    (Fraction(1, 10), Fraction(3, 10), "Here is a line."),
    (Fraction(7, 20), Fraction(9, 20), "Two lines\\Nof ümlauts"),
]


def many_streams(path: Path, other_sound: Literal["libopus", "aac"] = "aac") -> Clip:
    """Everything that the container holds, each with its own language, title and disposition.

    Matroska: two audio streams, subtitles in SubRip and ASS, a font and a cover as attachments.
    mp4: two audio streams, mov_text, a cover. Both: two chapters and a title.
    """
    form = pixel_format("yuv420p")
    frames, times = frames_of(12, form), seconds(12)
    chapters = [
        (Fraction(0), Fraction(1, 5), "Beginning"),
        (Fraction(1, 5), Fraction(12, 25), "End"),
    ]
    metadata = {"title": "A film", "comment": "Made for tests"}
    matroska = path.suffix == ".mkv"
    with ClipFile(path, metadata=metadata, chapters=chapters) as file:
        base = Fraction(1, 1000) if matroska else Fraction(1, 12800)
        file.video(
            frames,
            times,
            time_base=base,
            disposition=DEFAULT,
            metadata={"title": "Picture", "language": "eng"},
        )
        file.tone(0.5, disposition=DEFAULT, language="eng", title="Sound")
        file.tone(
            0.4, other_sound, hertz=660, disposition=COMMENT, language="jpn", title="Comments"
        )
        text = "subrip" if matroska else "mov_text"
        file.subtitles(TEXTS, text, disposition=FORCED, language="ger", title="Signs")
        if matroska:
            file.subtitles(TEXTS, "ass", language="fre", title="Styled")
            file.attach("Font.ttf", "application/x-truetype-font", FONT)
            file.attach("cover.png", "image/png", cover())
        else:
            file.picture()
    return Clip(path, frames, form, times, TEXTS)


def unknown_sound(path: Path) -> Clip:
    """mp4 whose sound is of a codec that nobody knows."""
    clip = plain(path, sound=0.5)
    data = path.read_bytes()
    for name in (b"mp4a", b"esds"):  # the sample entry, and the box that says AAC, too
        assert data.count(name) == 1
        data = data.replace(name, b"zzzz")
    path.write_bytes(data)
    return clip


def simultaneous_texts(path: Path) -> Clip:
    """Two lines in ASS that are shown at the same time, as signs and speech are."""
    form = pixel_format("yuv420p")
    frames, times = frames_of(12, form), seconds(12)
    start = Fraction(1, 10)
    texts = [(start, start * 3, "Above"), (start, start * 2, "Below")]
    with ClipFile(path) as file:
        file.video(frames, times)
        file.subtitles(texts, "ass")
    return Clip(path, frames, form, times, texts)


def with_timecode(path: Path, code: str = "01:00:00:00") -> Clip:
    """A time code: QuickTime has a track for it, Matroska a tag of the video."""
    return plain(path, metadata={"timecode": code})


def two_angles(path: Path) -> Clip:
    """A second video stream, which is no cover, with a title of its own."""
    form = pixel_format("yuv420p")
    frames, times = frames_of(12, form), seconds(12)
    with ClipFile(path) as file:
        file.video(frames, times)
        file.video(frames[::-1], times, metadata={"title": "Other angle"})
    return Clip(path, frames, form, times)


def turned(path: Path) -> Clip:
    """A display matrix turns the frames by 90 degrees, as telephones write it."""
    return plain(path, rotation=90)


def wide_pixels(path: Path) -> Clip:
    """Sample aspect ratio 64:45, as of a PAL DVD."""
    return plain(path, aspect=Fraction(64, 45))


def hdr10(path: Path) -> Clip:
    """HEVC of 10 bits in BT.2020 with PQ, mastering display and content light level."""
    return plain(
        path,
        6,
        codec="libx265",
        pixels="yuv420p10le",
        tags="bt2020",
        transfer=PQ,
        options={"x265-params": f"{HDR10}:log-level=none:pools=none:bframes=0"},
    )


def with_alpha(path: Path, codec: Literal["libvpx-vp9", "ffv1", "prores_ks"]) -> Clip:
    """Colour and alpha: yuva420p (VP9), yuva444p (FFV1) or yuva444p10le (ProRes 4444)."""
    pixels = {"libvpx-vp9": "yuva420p", "ffv1": "yuva444p", "prores_ks": "yuva444p10le"}[codec]
    if codec == "libvpx-vp9":
        lossless = {"lossless": "1", "auto-alt-ref": "0"}
        mode = {"alpha_mode": "1"}
        return plain(path, 6, codec=codec, pixels=pixels, options=lossless, metadata=mode)
    return plain(path, 6, codec=codec, pixels=pixels)


def long_sound(path: Path) -> Clip:
    """Sound for a second longer than the pictures."""
    return plain(path, sound=1.5)


def one_frame(path: Path) -> Clip:
    """A single frame."""
    return plain(path, 1)


def corrupt(path: Path, codec: Literal["libx264", "ffv1"], index: int = 5) -> Clip:
    """The packet of one frame holds no data; by default the sixth, which a key frame follows.

    FFV1's decoder tells so by checksums, H.264's by the length of the first unit.
    """
    options = (
        {"x264-params": "keyint=6:min-keyint=6:scenecut=0:bframes=0"}
        if codec == "libx264"
        else {"level": "3", "slicecrc": "1", "g": "1"}
    )
    clip = plain(path, codec=codec, options=options, sound=0.5)
    with av.open(str(path)) as source:
        payload = bytes([packet for packet in source.demux(video=0) if packet.size][index])
    data = path.read_bytes()
    assert data.count(payload) == 1
    path.write_bytes(data.replace(payload, b"\xff" * len(payload)))
    return Clip(path, clip.frames, clip.form, clip.times, damaged=index)


def truncated(path: Path) -> Clip:
    """The last third of the file is missing; mp4 has its index in front."""
    mux = {"movflags": "faststart"} if path.suffix == ".mp4" else {"cluster_time_limit": "200"}
    options = {"x264-params": "keyint=6:min-keyint=6:scenecut=0:bframes=0"}
    clip = plain(path, 24, options=options, mux=mux)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    return clip


def transport_stream(path: Path) -> Clip:
    """MPEG-TS, whose clock does not start at zero."""
    return plain(
        path, options={"bf": "2"}, time_base=Fraction(1, 90000), sound=0.5, sound_codec="ac3"
    )


def two_recordings(path: Path) -> Clip:
    """Two MPEG-TS files one behind the other: the clock begins anew in the middle."""
    clip = transport_stream(path)
    path.write_bytes(2 * path.read_bytes())
    later = [time + len(clip.times) / RATE for time in clip.times]
    return Clip(path, 2 * clip.frames, clip.form, clip.times + later)


def avi(path: Path) -> Clip:
    """MPEG-4 with B-frames in AVI, which has no presentation times, and MP3 sound."""
    return plain(path, codec="mpeg4", options={"bf": "2"}, sound=0.5, sound_codec="libmp3lame")


def raw_h264(path: Path) -> Clip:
    """An H.264 byte stream without a container or times."""
    return plain(path, options={"bf": "2"}, container="h264")


def interlaced(path: Path) -> Clip:
    """H.264 of interlaced frames, the top field first."""
    return plain(path, options={"x264-params": "tff=1", "flags": "+ildct+ilme"})
