"""Everything of a file that is not its frames: what the result's container can keep of it, and how.

Whether a container can hold a stream is asked of FFmpeg itself, by writing a header with it alone.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import av
from av.stream import Disposition

from realesrgan_vk.errors import printable
from realesrgan_vk.image_io.streams import is_stream
from realesrgan_vk.video.encoders import Encoder, Encoding
from realesrgan_vk.video.frames import exact
from realesrgan_vk.video.options import CONTAINERS, VideoOptions
from realesrgan_vk.video.reader import (
    Continuity,
    VideoReader,
    file_url,
    open_input,
    video_index,
)
from realesrgan_vk.video.segments import (
    SEGMENT_FORMAT,
    Segment,
    WorkError,
    cannot_hold,
    encoder_header,
    packets_of,
    start_video,
)

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream

SoundCodec = Literal["aac", "opus"]
How = Literal["copy", "text", "mov_text", "webvtt", "attachment", "aac", "opus"]

_ATTACHING = frozenset({"matroska"})
_ISO = frozenset({"mp4", "mov"})
# What MPEG-TS holds; FFmpeg writes other streams, too, but as data that nothing can read.
_OF_TS = frozenset(
    {
        *("mpeg1video", "mpeg2video", "mpeg4", "h264", "hevc", "vvc", "vc1", "jpeg2000"),
        *("mp2", "mp3", "aac", "aac_latm", "ac3", "eac3", "dts", "truehd", "opus", "s302m"),
        *("dvb_subtitle", "dvb_teletext", "hdmv_pgs_subtitle", "arib_caption"),
    }
)
# Of these FFmpeg moves an encoder's header from the segments into MPEG-TS.
_HEADERS_IN_TS = frozenset({"h264", "hevc"})
_COVERS = frozenset({"png", "mjpeg", "bmp"})  # of MPEG-4
_IMAGES = {"png": "image/png", "mjpeg": "image/jpeg", "bmp": "image/bmp", "webp": "image/webp"}
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
_SOUND_NAMES = {"aac": "AAC", "opus": "Opus"}
_SOUND_ENCODERS = {"aac": "aac", "opus": "libopus"}
_TEXT_NAMES = {"text": "SubRip", "mov_text": "MPEG-4 timed text", "webvtt": "WebVTT"}
_LEAST_GAP = 0.05  # seconds; sound of a shorter one follows at once
_MARKUP = re.compile(r"<[^>\n]{1,40}>|\{\\[^}\n]{1,200}\}")
# Of the file that was, not of the result.
_OWN_TAGS = re.compile(
    r"(?i)encoder|duration|bps|number_of_frames|number_of_bytes|_statistics_.*|major_brand|"
    r"minor_version|compatible_brands|vendor_id|alpha_mode|(bps|duration|number_of_.*)-eng"
)
_LARGEST_UNIT = 2**31 - 1
_PRIMING = Fraction(1, 10)  # seconds of sound at most that a decoder needs before the beginning


@dataclass(frozen=True, slots=True)
class Kept:
    """A stream of the source that goes into the result, and how.

    Attributes:
        index: Of the stream in the source.
        how: As it is; as SubRip, MPEG-4's timed text or WebVTT of the same lines; as a file
            attached to the container; encoded as AAC or Opus.
    """

    index: int
    how: How


def container_of(target: Path, options: VideoOptions) -> str:
    """FFmpeg's name of the result's format.

    Raises:
        ValueError: The suffix is none of a video, or the target is a pipe or a device.
    """
    if is_stream(target):
        raise ValueError(f"output {target} is a pipe or a device; a video is written to a file")
    if options.container is not None:
        name = {"mkv": "matroska", "ts": "mpegts"}.get(options.container, options.container)
        try:
            known = av.ContainerFormat(name, "w")
        except ValueError:
            known = None
        if name == "avi":
            raise ValueError("an AVI file holds no time stamps of frames; take mkv or mp4")
        if known is None or not known.is_output:
            raise ValueError(
                f"container is {options.container!r}; FFmpeg writes no such format; take mp4, mov, "
                "mkv or webm"
            )
        if known.no_file:
            raise ValueError(f"container {options.container!r} is not one file; take mkv or mp4")
        return name
    found = CONTAINERS.get(target.suffix.lower())
    if found is None:
        raise ValueError(
            f"output {target} has no suffix of a video ({', '.join(sorted(CONTAINERS))}); give "
            "one, or --container"
        )
    return found


def holds(target_format: str, encoder: Encoder) -> bool:
    """Whether a format of FFmpeg's can hold what an encoder writes, by writing a header.

    False, too, where this FFmpeg lacks the encoder.
    """
    try:
        codec = av.codec.Codec(encoder.name, "w")
    except ValueError:
        return False

    def add(container: OutputContainer) -> None:
        video: Any = container.add_stream(encoder.name, rate=25)
        video.width = video.height = 64
        video.pix_fmt = codec.video_formats[0].name if codec.video_formats else "yuv420p"
        video.options = dict(encoder.fixed)

    return _takes(target_format, add, {})


def plan_streams(
    source: Path,
    target_format: str,
    encoding: Encoding,
    options: VideoOptions,
    note: Callable[[str], object],
) -> list[Kept]:
    """Which streams the result gets besides its video, and how; `note` is told what is lost.

    Raises:
        ValueError: The container cannot hold the encoder's streams.
    """
    _check_codec(target_format, encoding)
    kept = []
    with open_input(source) as container, _only_header(SEGMENT_FORMAT) as segment:
        video = start_video(segment, encoding)
        _check_video(target_format, encoding, video)
        main = video_index(container, source)
        for stream in container.streams:
            if stream.index == main:
                continue
            if stream.type == "audio" and options.audio == "none":
                continue
            if _is_chapters(stream, container) or _is_timecode(stream):
                continue
            how = _how(stream, target_format, options)
            title = _title(stream)
            if how is None:
                note(f"{title} is left out: a file of format {target_format} cannot hold it")
                continue
            if how in _SOUND_NAMES and how != options.audio:
                as_asked = _SOUND_NAMES.get(options.audio)
                what = "it" if as_asked is None else as_asked
                note(
                    f"{title} is encoded as {_SOUND_NAMES[how]}: a file of format {target_format} "
                    f"cannot hold {what}"
                )
            if how in _TEXT_NAMES:
                note(f"{title} is converted to {_TEXT_NAMES[how]}; styles of its text are lost")
            if how == "attachment" and stream.type == "video":
                note(f"{title} becomes an attachment")
            kept.append(Kept(stream.index, how))
        if _wrong_timecode(container.streams[main], encoding.rate, target_format):
            note(
                "the time code is left out: it drops frames, as only codes of 30000/1001 or "
                "60000/1001 frames a second do"
            )
        _check_together(
            container, main, kept, video, target_format=target_format, rate=encoding.rate
        )
    return kept


@contextmanager
def _only_header(
    target_format: str, options: dict[str, str] | None = None
) -> Iterator[OutputContainer]:
    """A file in memory, of which no more than the header is written.

    Raises:
        ValueError: FFmpeg has no such format.
    """
    container = av.open(BytesIO(), "w", format=target_format, container_options=options or {})
    try:
        yield container
    finally:
        with suppress(ValueError, OSError, av.error.FFmpegError):  # it is empty
            container.close()


def _check_codec(target_format: str, encoding: Encoding) -> None:
    with _only_header(target_format) as container:
        try:
            stream = container.add_stream(encoding.encoder, rate=encoding.rate)
        except ValueError as error:
            raise ValueError(cannot_hold(target_format, encoding)) from error
        if target_format == "mpegts" and _codec(stream) not in _HEADERS_IN_TS:
            raise ValueError(cannot_hold(target_format, encoding))


def _check_video(target_format: str, encoding: Encoding, video: Stream) -> None:
    """Write a header with what `join` copies from the segments, one of whose streams is given."""
    with _only_header(target_format) as container:
        container.add_stream_from_template(video, opaque=True)
        try:
            container.start_encoding()
        except av.error.FFmpegError as error:
            words = f"{cannot_hold(target_format, encoding)} in {encoding.pixel_format}"
            raise ValueError(words) from error


def _check_together(
    given: InputContainer,
    main: int,
    kept: list[Kept],
    video: Stream,
    *,
    target_format: str,
    rate: Fraction,
) -> None:
    """Write the result's header, so that what the container refuses is known before the work."""
    by_index = {each.index: each.how for each in kept}
    with _only_header(target_format) as result:
        try:
            for stream in given.streams:
                if stream.index == main:
                    output = result.add_stream_from_template(video, opaque=True)
                    _copy_video_tags(stream, output, rate, target_format)
                elif stream.index in by_index:
                    _output(result, given, stream, by_index[stream.index])
            result.start_encoding()
        except av.error.FFmpegError as error:
            raise ValueError(
                f"a file of format {target_format} cannot hold these streams together "
                f"({error.strerror}); another container, such as mkv, may"
            ) from error


def _how(stream: Stream, target_format: str, options: VideoOptions) -> How | None:
    if stream.type == "attachment":
        return "attachment" if target_format in _ATTACHING else None
    if stream.type == "audio":
        return _how_sound(stream, target_format, options)
    if _is_cover(stream):
        if target_format in _ATTACHING and _codec(stream) in _IMAGES:
            return "attachment"
        return "copy" if target_format == "mp4" and _codec(stream) in _COVERS else None
    if stream.type == "subtitle":
        return _how_subtitles(stream, target_format)
    return "copy" if _holds(target_format, stream) else None


def _how_sound(stream: Stream, target_format: str, options: VideoOptions) -> How | None:
    if options.audio == "copy" and _holds(target_format, stream):
        return "copy"
    codecs: tuple[SoundCodec, ...] = ("opus", "aac") if options.audio == "opus" else ("aac", "opus")
    return next((codec for codec in codecs if _can_be(codec, target_format, stream)), None)


def _how_subtitles(stream: Stream, target_format: str) -> How | None:
    codec = _codec(stream)
    if target_format in _ISO and codec in ("subrip", "srt", "webvtt", "text"):
        return "mov_text"
    if target_format == "matroska" and codec == "mov_text":
        return "text"
    if target_format == "webm" and codec in ("subrip", "srt", "text", "mov_text"):
        return "webvtt"
    return "copy" if _holds(target_format, stream) else None


def _holds(target_format: str, stream: Stream) -> bool:
    codec = _codec(stream)
    if target_format == "mpegts" and stream.type != "data" and codec not in _OF_TS:
        return False
    options = {}
    if target_format in _ISO and codec.startswith("pcm_"):
        options["movflags"] = "empty_moov"  # asks for the names of channels now, not at the end
    return _takes(
        target_format,
        lambda container: container.add_stream_from_template(stream, opaque=True),
        options,
    )


def _can_be(codec: SoundCodec, target_format: str, stream: Stream) -> bool:
    context: Any = stream.codec_context
    if context is None or not context.sample_rate or not context.layout.nb_channels:
        return False  # its codec is not known, or nothing of it can be decoded
    return _takes(target_format, lambda container: _sound(container, stream, codec), {})


def _takes(
    target_format: str, add: Callable[[OutputContainer], object], options: dict[str, str]
) -> bool:
    """Whether a header can be written with the stream that `add` makes."""
    try:
        with _only_header(target_format, options) as container:
            add(container)
            container.start_encoding()
    except (ValueError, OSError, av.error.FFmpegError):
        return False
    return True


def _is_cover(stream: Stream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _is_timecode(stream: Stream) -> bool:
    """Whether it is QuickTime's track of a time code, which FFmpeg makes of the video's tag."""
    return stream.type == "data" and "timecode" in stream.metadata


def _wrong_timecode(stream: Stream, rate: Fraction, target_format: str) -> str | None:
    """The name of the time code's tag where FFmpeg would refuse to make a track of it.

    It does so where the code drops frames, as its ; or . says, at a rate that is not near 30 or 60.
    """
    for name, value in stream.metadata.items():
        drops = name.lower() == "timecode" and re.search("[;.]", value) is not None
        if drops and target_format in _ISO and round(rate) % 30 != 0:
            return name
    return None


def _is_chapters(stream: Stream, container: InputContainer) -> bool:
    """Whether it is MPEG-4's track of chapters' titles, which FFmpeg reads as chapters, too."""
    is_text = stream.type == "data" and stream.name == "bin_data"
    return is_text and "mp4" in container.format.name.split(",") and bool(container.chapters())


def _codec(stream: Stream) -> str:
    context = stream.codec_context
    return "" if context is None else context.codec.canonical_name


def _title(stream: Stream) -> str:
    # A stream of a kind that FFmpeg does not know has no name.
    name = "" if stream.type == "attachment" else getattr(stream, "name", None) or "unknown"
    codec = _codec(stream) or name
    kind = "cover picture" if _is_cover(stream) else stream.type
    tags = stream.metadata
    named = tags.get("title") or tags.get("name") or tags.get("filename") or ""
    language = stream.language if stream.language and stream.language != "und" else ""
    about = ", ".join(part for part in (codec, language, named) if part)
    return printable(f"{kind} stream {stream.index} ({about})")


def join(
    reader: VideoReader,
    kept: Sequence[Kept],
    segments: Sequence[Segment],
    part: Path,
    target_format: str,
    *,
    progress: Callable[[float], object] = lambda _: None,
) -> None:
    """Write the result: the segments' video, and the source's other streams, in time's order.

    Args:
        reader: Of the source, whose other streams are kept; it knows which part is taken.
        kept: What to take.
        segments: All of the video.
        part: The file to write.
        target_format: FFmpeg's name of its format.
        progress: Called with the fraction that is written, 0..1.

    Raises:
        WorkError: A segment is damaged, or not of the same encoder's settings as the first.
        ValueError: The container refuses a stream's packets.
        OSError: A file cannot be read or written.
    """
    source = reader.path
    first = encoder_header(segments[0])
    for segment in segments[1:]:
        if encoder_header(segment) != first:
            raise WorkError(
                f"{printable(segment.path)} was encoded with other settings than the segments "
                "before it; begin again with --restart"
            )
    options = {"fflags": "+bitexact"}
    if target_format in _ISO:
        options["movflags"] = "+faststart"
        # The unit in which edit lists store a late beginning.
        options["movie_timescale"] = str(min(reader.info.time_base.denominator, _LARGEST_UNIT))
    with (
        open_input(source) as given,
        av.open(file_url(part), "w", format=target_format, container_options=options) as result,
    ):
        shift = reader.shift(given)
        _copy_tags(given, result, reader, shift)
        main = video_index(given, source)
        template = av.open(file_url(segments[0].path))
        outputs: dict[int, _Output] = {}
        video: Any = None
        by_index = {each.index: each for each in kept}
        for stream in given.streams:
            if stream.index == main:
                encoded = template.streams.video[0]
                video = result.add_stream_from_template(encoded, opaque=True)
                video.time_base = reader.info.time_base
                video.codec_context.framerate = reader.info.rate
                _copy_video_tags(stream, video, reader.info.rate, target_format)
                if target_format in _ISO and _codec(video) == "hevc":
                    video.codec_context.codec_tag = "hvc1"  # the one that Apple's players know
                if reader.info.rotation_matrix is not None and can_rotate(target_format):
                    video.set_display_matrix(struct.unpack("=9i", reader.info.rotation_matrix))
                if reader.info.form.alpha and encoded.metadata.get("alpha_mode"):
                    video.metadata["alpha_mode"] = "1"  # how Matroska says that VP9 has alpha
            elif stream.index in by_index:
                output = _output(result, given, stream, by_index[stream.index].how)
                if output is not None:
                    outputs[stream.index] = output
        result.start_encoding()
        total = max(1, sum(len(segment.times) for segment in segments))
        own = _VideoPackets(segments, reader.info.time_base, shift, video)
        keeps = target_format in _ISO
        for packet in _other_packets(given, outputs, reader, shift, keeps_priming=keeps):
            own.mux_until(_time(packet), result)
            try:
                result.mux_one(packet)
            except av.error.ArgumentError as error:
                raise ValueError(
                    f"a file of format {target_format} does not take {_title(packet.stream)} "
                    f"({error.strerror}); another container, --audio aac or --audio none may help"
                ) from error
            progress(own.count / total)
        own.mux_until(None, result)
        progress(1.0)
        template.close()


def _time(packet: Packet[Any]) -> Fraction:
    moment = packet.dts if packet.dts is not None else packet.pts
    return (moment or 0) * (exact(packet.time_base) or Fraction(1))


class _VideoPackets:
    """The packets of all segments, with the time stamps of the source's frames.

    A packet's decoding time follows from all presentation times: the one that many places before it
    in their order, as many as the largest delay between decoding and showing.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        time_base: Fraction,
        shift: Fraction,
        stream: Any,  # noqa: ANN401
    ) -> None:
        self._time_base = time_base
        self._stream = stream
        self._shift = round(shift / time_base)
        self._times = [pts for segment in segments for pts, _ in segment.times]
        durations = [duration for segment in segments for _, duration in segment.times]
        self._delay = max(segment.delay for segment in segments)
        last = durations[-1] if durations else 0
        self._step = self._times[1] - self._times[0] if len(self._times) > 1 else max(1, last)
        self._packets = (found for segment in segments for found in packets_of(segment))
        self._next: Packet[Any] | None = None
        self.count = 0

    def mux_until(self, time: Fraction | None, result: OutputContainer) -> None:
        """Write all packets that are decoded before a time; None: all."""
        while True:
            if self._next is None and not self._advance():
                return
            packet = self._next
            if packet is None or packet.dts is None:
                return
            if time is not None and packet.dts * self._time_base > time:
                return
            result.mux_one(packet)
            self._next = None

    def _advance(self) -> bool:
        found = next(self._packets, None)
        if found is None:
            return False
        packet, pts, duration = found
        place = self.count - self._delay
        early = self._times[0] + place * self._step
        dts = self._times[place] if place >= 0 else early
        packet.time_base = self._time_base
        packet.pts, packet.dts = pts - self._shift, dts - self._shift
        packet.duration = duration or self._after(pts)
        packet.stream = self._stream
        self._next = packet
        self.count += 1
        return True

    def _after(self, pts: int) -> int:
        """The time until the next frame, for one whose source does not say how long it lasts."""
        place = bisect_left(self._times, pts) + 1
        return self._times[place] - pts if place < len(self._times) else self._step


def can_rotate(target_format: str) -> bool:
    """Whether a file's format can hold a display matrix."""
    return target_format in _ISO | {"matroska", "webm"}


def _copy_tags(
    given: InputContainer, result: OutputContainer, reader: VideoReader, shift: Fraction
) -> None:
    result.metadata.update(
        {key: value for key, value in given.metadata.items() if not _OWN_TAGS.fullmatch(key)}
    )
    first, last = reader.span(given)
    chapters = []
    for chapter in given.chapters():
        unit = exact(chapter["time_base"]) or Fraction(1, 1000)
        start, end = chapter["start"] * unit, chapter["end"] * unit
        if (first is not None and end <= first) or (last is not None and start >= last):
            continue
        start = max(start, first) if first is not None else start
        end = min(end, last) if last is not None else end
        chapter["start"] = round((start - shift) / unit)
        chapter["end"] = round((end - shift) / unit)
        chapters.append(chapter)
    if chapters:
        result.set_chapters(chapters)


def _copy_stream_tags(stream: Stream, output: Stream) -> None:
    tags = {key: value for key, value in stream.metadata.items() if not _OWN_TAGS.fullmatch(key)}
    if "name" in tags and "title" not in tags:  # as FFmpeg reads the titles of MPEG-4's tracks
        tags["title"] = tags.pop("name")
    output.metadata.update(tags)
    output.disposition = stream.disposition


def _copy_video_tags(stream: Stream, output: Stream, rate: Fraction, target_format: str) -> None:
    _copy_stream_tags(stream, output)
    if name := _wrong_timecode(stream, rate, target_format):
        del output.metadata[name]


@dataclass(slots=True)
class _Output:
    """What is made of a stream's packets; an encoder also gets the empty one at the end."""

    convert: Callable[[Packet[Any]], list[Packet[Any]]]
    is_encoder: bool = False


def _output(
    result: OutputContainer, given: InputContainer, stream: Stream, how: How
) -> _Output | None:
    """Add a stream; None where it is complete already."""
    if how == "attachment":
        _attach(result, given, stream)
        return None
    if how == "copy":
        output = result.add_stream_from_template(stream, opaque=True)
        _copy_stream_tags(stream, output)
        if _codec(stream) == "mov_text":  # the container fills the time between two itself
            return _Output(lambda packet: [_moved(packet, output)] if _text_of(packet) else [])
        return _Output(lambda packet: [_moved(packet, output)])
    if how in ("aac", "opus"):
        return _sound(result, stream, how)
    if how in ("text", "webvtt"):
        name = "subrip" if how == "text" else "webvtt"
        output = result.add_mux_stream(name, time_base=stream.time_base)
        _copy_stream_tags(stream, output)
        read = _text_of if _codec(stream) == "mov_text" else _plain_text
        return _Output(lambda packet: _as_text(packet, read(packet), output))
    output = result.add_stream("mov_text")
    output.codec_context.subtitle_header = _STYLES
    output.time_base = Fraction(1, 1000)
    output.codec_context.time_base = Fraction(1, 1000)
    _copy_stream_tags(stream, output)
    return _Output(lambda packet: _as_timed_text(packet, output))


# What FFmpeg's encoder of timed text derives its default style from.
_STYLES = (
    b"[Script Info]\r\nScriptType: v4.00+\r\nPlayResX: 384\r\nPlayResY: 288\r\n\r\n[V4+ Styles]\r\n"
    b"Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, "
    b"Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, "
    b"Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\r\nStyle: Default,Arial,16,&Hffffff,"
    b"&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1\r\n\r\n[Events]\r\nFormat: Layer, "
    b"Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r\n"
)


def _moved(packet: Packet[Any], output: Stream) -> Packet[Any]:
    packet.stream = output
    return packet


def _like(packet: Packet[Any], content: bytes, output: Stream) -> Packet[Any]:
    made = av.Packet(content)
    made.pts, made.dts, made.duration = packet.pts, packet.pts, packet.duration
    made.time_base = packet.time_base
    made.stream = output
    made.is_keyframe = True
    return made


def _text_of(packet: Packet[Any]) -> bytes:
    """Timed text (3GPP TS 26.245): the text's length in two bytes, the text, and styles."""
    data = bytes(packet)
    return data[2 : 2 + int.from_bytes(data[:2], "big")]


def _plain_text(packet: Packet[Any]) -> bytes:
    """The lines of SubRip without its marks of style."""
    return _MARKUP.sub("", bytes(packet).decode("utf-8", "replace")).encode()


def _as_text(packet: Packet[Any], text: bytes, output: Stream) -> list[Packet[Any]]:
    return [_like(packet, text, output)] if text else []  # empty: nothing is shown


def _as_timed_text(packet: Packet[Any], output: Stream) -> list[Packet[Any]]:
    text = _plain_text(packet)[: 2**16 - 1]
    return [_like(packet, len(text).to_bytes(2, "big") + text, output)]


def _attach(result: OutputContainer, given: InputContainer, stream: Stream) -> None:
    if stream.type == "attachment":
        assert isinstance(stream, av.stream.AttachmentStream)
        mime = stream.mimetype or "application/octet-stream"
        result.add_attachment(stream.name or f"attachment-{stream.index}", mime, stream.data)
        return
    codec = _codec(stream)
    ending = "jpg" if codec == "mjpeg" else codec
    name = stream.metadata.get("filename") or f"cover.{ending}"
    for packet in given.demux(stream):
        if packet.size:
            result.add_attachment(name, _IMAGES[codec], bytes(packet))
            break
    given.seek(0)


def _sound(result: OutputContainer, stream: Stream, codec: SoundCodec) -> _Output:
    given: Any = stream.codec_context
    encoder = _SOUND_ENCODERS[codec]
    rates = av.codec.Codec(encoder, "w").audio_rates or [given.sample_rate]
    rate = min(rates, key=lambda each: (each < given.sample_rate, abs(each - given.sample_rate)))
    output: Any = result.add_stream(encoder, rate=rate)
    # PCM often has channels without names; Opus has one order of each number of channels.
    is_fitting = codec == "aac" and not given.layout.name.endswith("channels")
    layout = None if is_fitting else _LAYOUTS.get(given.layout.nb_channels)
    output.codec_context.layout = layout or given.layout
    output.codec_context.time_base = Fraction(1, rate)
    _copy_stream_tags(stream, output)
    return _Output(_EncodedSound(given, output), is_encoder=True)


class _EncodedSound:
    """Encodes the sound of packets.

    Time stamps in a coarse unit (AVI's) make sound seem to overlap, or to have gaps, by a part of
    a packet: it goes on without any. A real gap stays one.
    """

    def __init__(self, decoder: Any, output: Any) -> None:  # noqa: ANN401
        self._decoder = decoder
        self._output = output
        self._resampler: Any = None
        self._form: tuple[object, ...] = ()
        self._next: int | None = None  # time of the next sample, in samples

    def __call__(self, packet: Packet[Any]) -> list[Packet[Any]]:
        encoder = self._output.codec_context
        is_last = packet.size == 0
        frames: list[Any] = []
        with suppress(av.error.FFmpegError):  # damaged
            frames = list(self._decoder.decode(None if is_last else packet))
        made = [packet for frame in frames for packet in self._encoded(frame)]
        if is_last:
            made += self._rest()
            made += encoder.encode(None)
        for each in made:
            each.stream = self._output
        return made

    def _encoded(self, frame: Any) -> list[Packet[Any]]:  # noqa: ANN401
        encoder = self._output.codec_context
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        made = []
        if form != self._form:
            made = self._rest()
            self._form = form
            self._resampler = av.AudioResampler(
                encoder.format, encoder.layout, encoder.sample_rate, encoder.frame_size
            )
        for piece in self._resampler.resample(frame):
            made += self._placed(piece)
        return made

    def _rest(self) -> list[Packet[Any]]:
        """What the resampler still holds."""
        if self._resampler is None:
            return []
        return [made for piece in self._resampler.resample(None) for made in self._placed(piece)]

    def _placed(self, piece: Any) -> list[Packet[Any]]:  # noqa: ANN401
        if piece is None:
            return []
        encoder = self._output.codec_context
        rate = encoder.sample_rate
        unit = exact(piece.time_base) or Fraction(1, rate)
        given = None if piece.pts is None else round(piece.pts * unit * rate)
        place = self._next
        if place is None or (given is not None and given - place >= _LEAST_GAP * rate):
            place = given or 0
        piece.pts, piece.time_base = place, Fraction(1, rate)
        self._next = place + piece.samples
        return list(encoder.encode(piece))


def _is_taken(
    packet: Packet[Any], first: Fraction | None, last: Fraction | None, *, keeps_priming: bool
) -> bool:
    """Whether a packet is of the part from `first` to `last`; a subtitle then begins with it."""
    unit = exact(packet.time_base) or Fraction(1)
    moment = packet.pts if packet.pts is not None else packet.dts
    if moment is None:
        return not packet.is_discard
    if packet.is_discard and not (keeps_priming and moment * unit >= -_PRIMING):
        return False  # it is before an edit list's beginning
    start, end = moment * unit, (moment + (packet.duration or 0)) * unit
    if last is not None and start >= last:
        return False
    if first is None or start >= first:
        return True
    if end <= first or packet.stream.type != "subtitle":
        return end > first and keeps_priming
    packet.pts = packet.dts = round(first / unit)
    packet.duration = round(end / unit) - packet.pts
    return True


def _follow(packet: Packet[Any], latest: dict[int, int]) -> None:
    """Move a packet behind the one before, where its decoding time is not; no container takes that.

    Subtitles and data may have the same time. A packet of sound without a duration gets that of the
    one before, for MPEG-4's last one would not be heard.
    """
    if packet.dts is None:
        return
    stream = packet.stream
    before = latest.get(stream.index)
    if before is not None:
        step = 0 if stream.type in ("subtitle", "data") else 1
        packet.dts = max(packet.dts, before + step)
        if not packet.duration and stream.type == "audio":
            packet.duration = packet.dts - before
        if packet.pts is not None:
            packet.pts = max(packet.pts, packet.dts)
    latest[stream.index] = packet.dts


def _other_packets(
    given: InputContainer,
    outputs: dict[int, _Output],
    reader: VideoReader,
    shift: Fraction,
    *,
    keeps_priming: bool,
) -> Iterator[Packet[Any]]:
    """The packets of the kept streams within the part that is taken, with the result's times.

    What a decoder of AAC needs before an edit list's beginning has a time below zero: MPEG-4 has an
    edit list again, and others would move everything else for it. So it is with sound that begins
    before the part; a subtitle begins with it.
    """
    streams = [given.streams[index] for index in outputs]
    if not streams:
        return
    first, last = reader.span(given)
    clocks = {index: Continuity(given, reader.jumps()) for index in outputs}
    latest: dict[int, int] = {}
    packets = given.demux(*streams)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError:  # the file ends too early
            return
        index = packet.stream.index
        convert = outputs[index].convert
        if packet.size == 0 and packet.dts is None:  # the last of a stream, which ends decoders
            yield from convert(packet) if outputs[index].is_encoder else ()
            continue
        clocks[index].correct(packet)
        if not _is_taken(packet, first, last, keeps_priming=keeps_priming):
            continue
        steps = round(shift / (exact(packet.time_base) or Fraction(1)))
        if steps:
            packet.pts = None if packet.pts is None else packet.pts - steps
            packet.dts = None if packet.dts is None else packet.dts - steps
        _follow(packet, latest)
        yield from convert(packet)
