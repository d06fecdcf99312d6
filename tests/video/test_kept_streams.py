"""What `realesrgan-vk video` keeps of a file, as ffprobe reads the source and the result.

The network is a small one of scale 2 with random weights; what frames look like is the matter of
`test_exact_frames.py`.
"""

import hashlib
import re
import subprocess
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Literal

import pytest
import video_files
from command import run_here
from compact_network import write_compact
from ffprobe import Packet, Probe, Stream, probe
from video_files import FONT, TEXTS, Clip, plain

Make = Callable[[Path], Clip]
# How far times may be off that a container rounds: Matroska's unit is a millisecond.
ROUNDING = {
    ".mkv": Fraction(1, 2000),
    ".webm": Fraction(1, 2000),
    ".mp4": Fraction(0),
    ".mov": Fraction(0),
    ".ts": Fraction(0),
}
# What ffprobe says of a whole file, too: it has no decoder of fonts and titles of chapters.
EXPECTED = re.compile("Unsupported codec with id (983|0)|stream 0, timescale not set")
FAST = {
    "x264": ("--preset", "ultrafast"),
    "x265": ("--preset", "ultrafast"),
    "av1": ("--preset", "11"),
    "vp9": ("--preset", "8"),
    "ffv1": (),
    "prores": (),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_compact(tmp_path_factory.mktemp("network"), "net", features=4)


@pytest.fixture
def upscale(model: Path, tmp_path: Path) -> Callable[..., tuple[Clip, Path, str]]:
    """upscale(make, source's suffix, result's suffix, options...): clip, result, messages."""

    def upscaled(
        make: Make, source: str, target: str, *options: str, codec: str = "x264"
    ) -> tuple[Clip, Path, str]:
        clip = make(tmp_path / f"source{source}")
        result = tmp_path / f"result{target}"
        done = command(clip.path, result, model, "--codec", codec, *FAST[codec], *options)
        assert done.returncode == 0, done.stderr
        assert {path.name for path in tmp_path.iterdir()} == {clip.path.name, result.name}
        return clip, result, done.stderr

    return upscaled


Upscale = Callable[..., tuple[Clip, Path, str]]


def command(
    source: Path, result: Path, model: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    return run_here("video", source, "-o", result, "-m", model, "--device", "cpu", *options)


def assert_close(
    times: list[Fraction | None], expected: list[Fraction | None], most: Fraction
) -> None:
    assert len(times) == len(expected)
    for time, other in zip(times, expected, strict=True):
        assert (time is None) == (other is None)
        if time is not None and other is not None:
            assert abs(time - other) <= most, (times, expected)


def language(stream: Stream) -> str | None:
    named = stream.tags.get("language")
    return None if named == "und" else named


def assert_same_frames(source: Probe, result: Probe, most: Fraction, scale: int = 2) -> None:
    """Every frame at its time, and what is said of the picture as a whole."""
    before, after = source.video, result.video
    assert_close(after.times, shifted(before.times, source), most)
    for side in ("width", "height"):
        assert after.fields[side] == scale * before.fields[side]
    aspect = "sample_aspect_ratio"
    assert after.fields.get(aspect, "1:1") == before.fields.get(aspect, "1:1")
    assert after.side_data.get("Display Matrix") == before.side_data.get("Display Matrix")
    for tag in ("color_space", "color_transfer", "color_primaries", "color_range"):
        if tag in before.fields:
            assert after.fields.get(tag) == before.fields[tag]
    assert language(after) == language(before)


def shifted(times: list[Fraction | None], source: Probe) -> list[Fraction | None]:
    """The times in the result: MPEG-TS has a free clock, whose first time is the beginning."""
    if source.container != "mpegts":
        return times
    starts = [packet.pts for stream in source.streams for packet in stream.packets]
    first = min(start for start in starts if start is not None)
    return [None if time is None else time - first for time in times]


def assert_same_sound(source: Probe, result: Probe, most: Fraction) -> None:
    """Every packet of every audio stream, its time, and what is said of the stream.

    Only mp4 can hold again what an edit list leaves out of its audio: priming, before zero.
    """
    before, after = source.of_kind("audio"), result.of_kind("audio")
    assert len(after) == len(before)
    for one, other in zip(after, before, strict=True):
        assert one.codec == other.codec
        packets = other.packets
        if "mp4" not in result.container:
            packets = [packet for packet in packets if "D" not in packet.flags]
        assert one.hashes == [packet.data_hash for packet in packets]
        expected = shifted([packet.pts for packet in packets], source)
        assert_close([packet.pts for packet in one.packets], expected, most)
        assert language(one) == language(other)
        assert one.dispositions - {"default"} == other.dispositions - {"default"}


def assert_kept(source: Path, result: Path) -> tuple[Probe, Probe]:
    """Frames, sound, chapters and the file's own tags; returns what was read in both."""
    before, after = probe(source), probe(result)
    most = ROUNDING[result.suffix]
    if before.duration is not None:
        assert after.duration is not None
        # But for the last packet of sound, whose length Matroska does not tell.
        assert abs(after.duration - before.duration) < Fraction(1, 40)
    assert [line for line in after.messages.splitlines() if not EXPECTED.search(line)] == []
    assert_same_frames(before, after, most)
    # Matroska's own times are rounded; in mp4 they then lie beside a multiple of a sample.
    assert_same_sound(before, after, max(most, ROUNDING[source.suffix]))
    assert after.chapters == before.chapters
    assert tags_of(after) == tags_of(before)
    return before, after


def tags_of(read: Probe) -> dict[str, str]:
    return {name.lower(): value for name, value in read.tags.items() if name != "software"}


def text_hash(text: str, codec: str) -> str:
    """MD5 of a subtitle's packet: text alone, or for mov_text its length before it."""
    data = text.encode()
    if codec == "mov_text":
        data = len(data).to_bytes(2, "big") + data
    return f"MD5:{hashlib.md5(data).hexdigest()}"


def spoken(stream: Stream) -> list[Packet]:
    """The packets that show a text; mov_text has empty ones between them."""
    empty = text_hash("", "mov_text")
    return [packet for packet in stream.packets if packet.data_hash != empty]


CASES: dict[str, tuple[Make, str, str]] = {
    "uneven times, mkv": (video_files.vfr_with_gaps, ".mkv", ".mkv"),
    "uneven times, mp4": (video_files.vfr_with_gaps, ".mp4", ".mp4"),
    "uneven times, mkv to mp4": (video_files.vfr_with_gaps, ".mkv", ".mp4"),
    "uneven times, mp4 to mkv": (video_files.vfr_with_gaps, ".mp4", ".mkv"),
    "B-frames, mkv": (video_files.b_frames, ".mkv", ".mkv"),
    "B-frames, mp4": (video_files.b_frames, ".mp4", ".mp4"),
    "open groups, H.264": (partial(video_files.open_gop, codec="libx264"), ".mkv", ".mkv"),
    "open groups, HEVC": (partial(video_files.open_gop, codec="libx265"), ".mp4", ".mp4"),
    "negative start": (video_files.negative_start, ".ts", ".mkv"),
    "late start, mkv": (video_files.late_start, ".mkv", ".mkv"),
    "late start, mp4": (video_files.late_start, ".mp4", ".mp4"),
    "edit list, mp4": (video_files.edit_list, ".mp4", ".mp4"),
    "edit list, mp4 to mkv": (video_files.edit_list, ".mp4", ".mkv"),
    "turned, mp4": (video_files.turned, ".mp4", ".mp4"),
    "turned, mp4 to mkv": (video_files.turned, ".mp4", ".mkv"),
    "wide pixels, mkv": (video_files.wide_pixels, ".mkv", ".mkv"),
    "wide pixels, mp4": (video_files.wide_pixels, ".mp4", ".mp4"),
    "long sound": (video_files.long_sound, ".mkv", ".mkv"),
    "one frame": (video_files.one_frame, ".mp4", ".mp4"),
    "MPEG-TS": (video_files.transport_stream, ".ts", ".mp4"),
}


@pytest.mark.parametrize("name", CASES)
def test_frames_and_sound_are_kept(upscale: Upscale, name: str) -> None:
    clip, result, _ = upscale(*CASES[name])
    _, after = assert_kept(clip.path, result)
    assert len(after.video.frames) == len(clip.frames)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_every_stream_of_a_container_is_kept(upscale: Upscale, suffix: str) -> None:
    clip, result, messages = upscale(video_files.many_streams, suffix, suffix)
    before, after = assert_kept(clip.path, result)
    assert [stream.kind for stream in after.streams] == [stream.kind for stream in before.streams]
    for one, other in zip(after.streams[1:], before.streams[1:], strict=True):
        assert one.codec == other.codec
        assert one.hashes == other.hashes
        assert one.tags == other.tags
        assert one.dispositions == other.dispositions
        if one.codec != "mov_text":  # to which FFmpeg adds the bit rate
            assert one.fields.get("extradata_hash") == other.fields.get("extradata_hash")
    assert after.video.tags == before.video.tags
    assert after.video.dispositions == before.video.dispositions
    for one, other in zip(after.of_kind("subtitle"), before.of_kind("subtitle"), strict=True):
        times = [(packet.pts, packet.duration) for packet in one.packets]
        assert times == [(packet.pts, packet.duration) for packet in other.packets]
    if suffix == ".mp4":  # which ffprobe does not show
        names = re.findall(rb"\0\0\0.name(\w+)", result.read_bytes(), re.S)
        assert names == [b"Picture", b"Sound", b"Comments", b"Signs"]
    assert "left out" not in messages


def test_what_mp4_cannot_hold_is_said_and_subtitles_become_its_own(upscale: Upscale) -> None:
    clip, result, messages = upscale(video_files.many_streams, ".mkv", ".mp4")
    before, after = assert_kept(clip.path, result)
    source, (texts,) = before.of_kind("subtitle")[0], after.of_kind("subtitle")
    assert texts.codec == "mov_text"
    assert language(texts) == "ger"
    assert "forced" in texts.dispositions
    shown = spoken(texts)
    assert [packet.pts for packet in shown] == [start for start, _, _ in TEXTS]
    assert [packet.duration for packet in shown] == [end - start for start, end, _ in TEXTS]
    assert [packet.data_hash for packet in shown] == [
        text_hash(text.replace(r"\N", "\n"), "mov_text") for _, _, text in TEXTS
    ]
    assert source.codec == "subrip"
    for words in ("Font.ttf", "Styled"):
        assert any(words in line and "left out" in line for line in messages.splitlines()), messages


def test_mp4_subtitles_and_cover_become_those_of_matroska(upscale: Upscale) -> None:
    clip, result, _ = upscale(video_files.many_streams, ".mp4", ".mkv")
    before, after = assert_kept(clip.path, result)
    (texts,) = after.of_kind("subtitle")
    assert texts.codec == "subrip"
    assert texts.dispositions >= {"forced"}
    assert [packet.pts for packet in texts.packets] == [start for start, _, _ in TEXTS]
    assert [packet.duration for packet in texts.packets] == [end - start for start, end, _ in TEXTS]
    assert texts.hashes == [text_hash(text.replace(r"\N", "\n"), "subrip") for _, _, text in TEXTS]
    (cover,), (picture,) = before.of_kind("cover"), after.of_kind("cover")
    assert picture.hashes == cover.hashes
    assert picture.tags == {"filename": "cover.png", "mimetype": "image/png"}
    titles = [stream.tags.get("title") for stream in after.streams[:4]]
    assert titles == ["Picture", "Sound", "Comments", "Signs"]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_sound_and_subtitles_become_those_of_webm(upscale: Upscale, suffix: str) -> None:
    clip, result, messages = upscale(video_files.many_streams, suffix, ".webm", codec="vp9")
    before, after = probe(clip.path), probe(result)
    assert_same_frames(before, after, ROUNDING[".webm"])
    sound = after.of_kind("audio")
    assert [stream.codec for stream in sound] == ["opus", "opus"]
    assert [language(stream) for stream in sound] == ["eng", "jpn"]
    for old, new in zip(before.of_kind("audio"), sound, strict=True):
        before_seconds, after_seconds = (
            sum((packet.duration or Fraction(0) for packet in each.packets), Fraction(0))
            for each in (old, new)
        )
        assert abs(before_seconds - after_seconds) < Fraction(6, 100)
    (texts,) = after.of_kind("subtitle")
    assert texts.codec == "webvtt"
    assert language(texts) == "ger"
    assert [packet.pts for packet in texts.packets] == [start for start, _, _ in TEXTS]
    assert [packet.duration for packet in texts.packets] == [end - start for start, end, _ in TEXTS]
    assert texts.hashes == [text_hash(text.replace(r"\N", "\n"), "subrip") for _, _, text in TEXTS]
    for words in ("is encoded as Opus: a file of format webm", "is converted to WebVTT"):
        assert words in messages


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_hevc_has_the_tag_that_all_players_know(upscale: Upscale, suffix: str) -> None:
    _, result, _ = upscale(partial(plain, count=2), ".mkv", suffix, codec="x265")
    assert probe(result).video.fields["codec_tag_string"] == "hvc1"


@pytest.mark.parametrize(
    ("make", "size", "aspect"),
    [
        (plain, (128, 80), "5:6"),
        (plain, (128, 96), None),
        (video_files.wide_pixels, (256, 135), None),
        (video_files.wide_pixels, (128, 96), "64:45"),
        (video_files.wide_pixels, (128, 90), "4:3"),
        (plain, (95, 71), None),  # the nearest whole side
    ],
)
def test_the_shape_stays_with_both_sides(
    upscale: Upscale, make: Make, size: tuple[int, int], aspect: str | None
) -> None:
    width, height = size
    words = ("--width", str(width), "--height", str(height), "--pixel-format", "yuv444p")
    clip, result, messages = upscale(make, ".mkv", ".mkv", *words)
    found = probe(result).video.fields
    assert (found["width"], found["height"]) == size
    own = found.get("sample_aspect_ratio", "1:1")
    assert own == (aspect or "1:1")
    source = probe(clip.path).video.fields.get("sample_aspect_ratio", "1:1")
    assert ("another shape" in messages) == (own != source)


@pytest.mark.parametrize(("suffix", "codec"), [(".mkv", "x265"), (".mp4", "x265"), (".mkv", "av1")])
def test_high_dynamic_range_stays_as_it_is(upscale: Upscale, suffix: str, codec: str) -> None:
    clip, result, _ = upscale(video_files.hdr10, suffix, suffix, codec=codec)
    before, after = assert_kept(clip.path, result)
    assert after.video.fields["pix_fmt"] == "yuv420p10le"
    assert after.video.fields["color_transfer"] == "smpte2084"
    for name in ("Mastering display metadata", "Content light level metadata"):
        source, target = before.video.frames[0].side_data[name], after.video.frames[0].side_data
        assert target[name].keys() == source.keys()
        for key, value in source.items():
            if key != "side_data_type":
                # AV1 stores chromaticities in steps of 1/65536.
                assert abs(Fraction(target[name][key]) - Fraction(value)) < Fraction(1, 60000)


@pytest.mark.parametrize(
    ("pixels", "codec", "expected"),
    [
        ("yuv420p", "x264", "yuv420p"),
        ("yuv422p", "x264", "yuv422p"),
        ("yuv444p", "x264", "yuv444p"),
        ("yuv420p10le", "x264", "yuv420p10le"),
        ("yuv420p12le", "x265", "yuv420p12le"),
        ("yuv422p10le", "prores", "yuv422p10le"),
        ("gray", "ffv1", "gray"),
        ("bgr0", "ffv1", "bgr0"),
    ],
)
def test_depth_and_chroma_stay(upscale: Upscale, pixels: str, codec: str, expected: str) -> None:
    make = partial(plain, count=2, codec="ffv1", pixels=pixels)
    clip, result, _ = upscale(make, ".mkv", ".mkv", codec=codec)
    _, after = assert_kept(clip.path, result)
    assert after.video.fields["pix_fmt"] == expected


@pytest.mark.parametrize(
    ("make", "suffix", "codec"),
    [
        (partial(video_files.with_alpha, codec="libvpx-vp9"), ".webm", "vp9"),
        (partial(video_files.with_alpha, codec="ffv1"), ".mkv", "ffv1"),
        (partial(video_files.with_alpha, codec="prores_ks"), ".mov", "prores"),
    ],
    ids=["vp9", "ffv1", "prores"],
)
def test_transparency_is_kept(upscale: Upscale, make: Make, suffix: str, codec: str) -> None:
    clip, result, messages = upscale(make, suffix, suffix, codec=codec)
    assert len(probe(result).video.frames) == len(clip.frames)
    planes = video_files.decoded(result)[0]
    assert len(planes) == 4
    assert planes[3].min() < planes[3].max() // 8
    assert "transparency" not in messages


def test_transparency_that_a_codec_has_not_is_said(upscale: Upscale) -> None:
    make = partial(video_files.with_alpha, codec="libvpx-vp9")
    _, result, messages = upscale(make, ".mkv", ".mkv")
    assert "transparency is left out" in messages
    assert "alpha_mode" not in {name.lower() for name in probe(result).video.tags}


def test_transparency_of_finer_frames_becomes_that_of_vp9(upscale: Upscale) -> None:
    make = partial(video_files.with_alpha, codec="ffv1")
    _, result, messages = upscale(make, ".mkv", ".webm", codec="vp9")
    assert "colours get less detail" in messages
    assert len(video_files.decoded(result)[0]) == 4


@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
def test_a_time_code_is_kept(upscale: Upscale, suffix: str) -> None:
    clip, result, messages = upscale(video_files.with_timecode, ".mov", suffix)
    assert_kept(clip.path, result)
    tags = {name.lower(): value for name, value in probe(result).video.tags.items()}
    assert tags["timecode"] == "01:00:00:00"
    assert "left out" not in messages
    assert [stream.kind for stream in probe(result).streams[1:]] == ["data"] * (suffix == ".mov")


def test_a_time_code_that_cannot_be_written_is_said(upscale: Upscale) -> None:
    make = partial(video_files.with_timecode, code="01:00:00;00")
    clip, result, messages = upscale(make, ".mkv", ".mp4")
    assert_same_frames(probe(clip.path), probe(result), ROUNDING[".mp4"])
    assert "the time code is left out" in messages


def test_a_second_video_stream_is_copied(upscale: Upscale) -> None:
    clip, result, _ = upscale(video_files.two_angles, ".mkv", ".mkv")
    before, after = probe(clip.path).of_kind("video"), probe(result).of_kind("video")
    assert after[0].fields["width"] == 2 * before[0].fields["width"]
    assert after[1].hashes == before[1].hashes
    assert after[1].tags == before[1].tags


@pytest.mark.parametrize("suffix", [".mov", ".ts"])
def test_a_cover_that_a_container_has_not_is_said(upscale: Upscale, suffix: str) -> None:
    _, result, messages = upscale(video_files.many_streams, ".mkv", suffix)
    assert re.search(r"cover picture .*cover\.png.* is left out", messages)
    assert probe(result).of_kind("cover") == []


@pytest.mark.parametrize(
    ("codec", "height", "video", "expected"),
    [
        ("x264", 48, {}, ("smpte170m", "tv")),
        ("x265", 48, {}, ("smpte170m", "tv")),
        ("x264", 720, {}, ("bt709", "tv")),
        ("x264", 48, {"tags": "bt709"}, ("bt709", "tv")),
        ("x265", 48, {"tags": "bt709", "full_range": True}, ("bt709", "pc")),
        ("x264", 48, {"tags": "bt2020"}, ("bt2020nc", "tv")),
    ],
)
def test_colours_are_always_tagged(
    upscale: Upscale,
    codec: str,
    height: int,
    video: video_files.VideoOptions,
    expected: tuple[str, str],
) -> None:
    make = partial(plain, count=2, codec="ffv1", size=(16, height), **video)
    _, result, messages = upscale(make, ".mkv", ".mkv", codec=codec)
    fields = probe(result).video.fields
    assert (fields["color_space"], fields["color_range"]) == expected
    assert ("BT.601" in messages or "BT.709" in messages) == (not video)


@pytest.mark.parametrize("index", [5, 11])
@pytest.mark.parametrize("codec", ["libx264", "ffv1"])
def test_a_damaged_packet_is_counted_and_passed_over(
    upscale: Upscale, codec: Literal["libx264", "ffv1"], index: int
) -> None:
    make = partial(video_files.corrupt, codec=codec, index=index)
    clip, result, messages = upscale(make, ".mkv", ".mkv")
    before, after = assert_kept(clip.path, result)
    assert len(after.video.frames) == len(before.video.frames)
    assert "1 packet is damaged" in messages


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_cut_off_file_ends_where_it_ends(upscale: Upscale, suffix: str) -> None:
    clip, result, messages = upscale(video_files.truncated, suffix, suffix)
    before, after = probe(clip.path), probe(result)
    assert_same_frames(before, after, ROUNDING[suffix])
    if suffix == ".mp4":  # Matroska's last packets are missing without a trace
        assert "1 packet is damaged" in messages


def test_a_byte_stream_without_times_gets_those_of_its_rate(upscale: Upscale) -> None:
    clip, result, _ = upscale(video_files.raw_h264, ".h264", ".mp4")
    assert probe(result).video.times == clip.times


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_a_clock_that_begins_anew_goes_on(upscale: Upscale, suffix: str) -> None:
    clip, result, _ = upscale(video_files.two_recordings, ".ts", suffix)
    before, after = probe(clip.path), probe(result)
    times = [time for time in after.video.times if time is not None]
    assert len(times) == len(clip.frames)
    for time, expected in zip(times, clip.times, strict=True):
        assert abs(time - times[0] - expected) <= ROUNDING[suffix] * 2
    (sound,), (all_sound,) = after.of_kind("audio"), before.of_kind("audio")
    assert sound.hashes == all_sound.hashes
    decoding = [packet.dts for packet in sound.packets]
    assert all(a is not None and b is not None and a <= b for a, b in pairwise(decoding))


def test_subtitles_at_one_time_stay_there(upscale: Upscale) -> None:
    clip, result, _ = upscale(video_files.simultaneous_texts, ".mkv", ".mkv")
    (texts,), (source,) = probe(result).of_kind("subtitle"), probe(clip.path).of_kind("subtitle")
    assert [packet.pts for packet in texts.packets] == [packet.pts for packet in source.packets]
    assert [start for start, _, _ in clip.texts] == [packet.pts for packet in texts.packets]


def test_avi_has_even_times(upscale: Upscale) -> None:
    clip, result, _ = upscale(video_files.avi, ".avi", ".mkv")
    times = probe(result).video.times
    assert len(times) == len(clip.times)
    assert {b - a for a, b in pairwise(times) if a is not None and b is not None} == {
        Fraction(1, 25)
    }


def test_frames_that_lost_their_times_are_kept(upscale: Upscale) -> None:
    clip, result, _ = upscale(video_files.without_first_times, ".mkv", ".mkv")
    times = probe(result).video.times
    assert len(times) == len(clip.times)
    assert len(set(times)) == len(times)


def test_interlaced_frames_are_refused_with_the_way_out(model: Path, tmp_path: Path) -> None:
    clip = video_files.interlaced(tmp_path / "source.mkv")
    result = tmp_path / "result.mkv"
    done = command(clip.path, result, model)
    assert done.returncode == 2
    assert "--deinterlace" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [clip.path.name]


def test_deinterlaced_frames_are_progressive(upscale: Upscale) -> None:
    clip, result, _ = upscale(video_files.interlaced, ".mkv", ".mkv", "--deinterlace")
    _, after = assert_kept(clip.path, result)
    assert after.video.fields["field_order"] == "progressive"
    assert not any(frame.fields["interlaced_frame"] for frame in after.video.frames)


@pytest.mark.parametrize(
    ("source", "codec", "pixels"),
    [
        ("ffv1", "ffv1", "yuv420p"),
        ("libsvtav1", "av1", "yuv420p"),
        ("ffv1", "x264", "yuv444p"),
        ("ffv1", "x265", "yuv444p"),
    ],
)
def test_no_row_of_an_odd_size_is_lost(
    upscale: Upscale, source: str, codec: str, pixels: str
) -> None:
    make = partial(plain, count=2, codec=source, size=(65, 49))
    _, result, messages = upscale(make, ".mkv", ".mkv", "--scale", "1", codec=codec)
    fields = probe(result).video.fields
    assert (fields["width"], fields["height"], fields["pix_fmt"]) == (65, 49, pixels)
    assert ("odd" in messages) == (pixels == "yuv444p")


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        *product(["x264", "x265", "av1", "vp9"], [".mkv", ".mp4"]),
        ("ffv1", ".mkv"),
        ("prores", ".mov"),
    ],
)
def test_segments_join_to_one_stream(upscale: Upscale, codec: str, suffix: str) -> None:
    options = ("--segment-seconds", "0.25")
    clip, result, _ = upscale(video_files.b_frames, suffix, suffix, *options, codec=codec)
    _, after = assert_kept(clip.path, result)
    assert len(after.video.frames) == len(clip.frames)
    if suffix != ".mkv":  # which has no decoding times
        decoding = [packet.dts for packet in after.video.packets]
        assert all(a is not None and b is not None and a < b for a, b in pairwise(decoding))


def test_a_part_has_the_frames_and_the_sound_of_the_whole(
    upscale: Upscale, model: Path, tmp_path: Path
) -> None:
    """From amid an open group of pictures; a packet of sound that began before it is kept, too."""
    make = partial(video_files.open_gop, codec="libx265")
    clip, whole, _ = upscale(make, ".mp4", ".mp4", "--lossless")
    part = tmp_path / "part.mp4"
    options = ("--lossless", "--preset", "ultrafast", "--start", "0.5", "--end", "1.0")
    done = command(clip.path, part, model, *options)
    assert done.returncode == 0, done.stderr
    start, end = Fraction(1, 2), Fraction(1)
    places = [place for place, time in enumerate(clip.times) if start <= time < end]
    after = probe(part)
    assert after.video.times == [clip.times[place] - start for place in places]
    frames = video_files.decoded(whole)
    for planes, place in zip(video_files.decoded(part), places, strict=True):
        for plane, other in zip(planes, frames[place], strict=True):
            assert (plane == other).all()
    (sound,), (all_sound,) = after.of_kind("audio"), probe(clip.path).of_kind("audio")
    expected = [
        (packet.pts - start, packet.data_hash)
        for packet in all_sound.packets
        if packet.pts is not None and packet.duration is not None
        if packet.pts < end and packet.pts + packet.duration > start
    ]
    assert [(packet.pts, packet.data_hash) for packet in sound.packets] == expected


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_part_begins_at_zero_with_the_subtitle_that_is_shown(
    upscale: Upscale, suffix: str
) -> None:
    clip, result, _ = upscale(video_files.many_streams, ".mkv", suffix, "--start", "0.2")
    after = probe(result)
    assert after.video.times == [time - Fraction(1, 5) for time in clip.times[5:]]
    texts = spoken(after.of_kind("subtitle")[0])
    assert [(packet.pts, packet.duration) for packet in texts] == [
        (Fraction(0), Fraction(1, 10)),
        (Fraction(3, 20), Fraction(1, 10)),
    ]
    assert [(each.start, each.end) for each in after.chapters] == [(Fraction(0), Fraction(7, 25))]


@pytest.mark.parametrize(
    ("sound", "source", "target"),
    [
        ("flac", ".mkv", ".mp4"),
        ("alac", ".mkv", ".mp4"),
        ("libopus", ".nut", ".mp4"),
        ("libmp3lame", ".avi", ".mkv"),
        ("ac3", ".mkv", ".ts"),
        ("flac", ".mkv", ".mkv"),
    ],
)
def test_sound_of_every_codec_is_copied_to_its_end(
    upscale: Upscale, sound: str, source: str, target: str
) -> None:
    codec = "mpeg4" if source == ".avi" else "libx264"
    make = partial(plain, codec=codec, sound=0.5, sound_codec=sound)
    clip, result, _ = upscale(make, source, target)
    (before,), (after,) = probe(clip.path).of_kind("audio"), probe(result).of_kind("audio")
    assert (after.codec, after.hashes) == (before.codec, before.hashes)


def test_prores_frames_are_tagged(upscale: Upscale) -> None:
    """Their own header decides, not the container's."""
    _, result, _ = upscale(video_files.hdr10, ".mp4", ".mov", codec="prores")
    fields = probe(result).video.fields
    assert [fields.get(f"color_{name}") for name in ("space", "transfer", "primaries")] == [
        "bt2020nc", "smpte2084", "bt2020"
    ]  # fmt: skip


def test_sound_that_a_container_has_not_is_said(upscale: Upscale) -> None:
    make = partial(plain, sound=0.5, sound_codec="flac")
    _, result, messages = upscale(make, ".mkv", ".ts")
    assert re.search(r"audio stream 1 \(flac\) is encoded as AAC", messages)
    assert [stream.kind for stream in probe(result).streams] == ["video", "audio"]


def test_sound_that_nobody_knows_is_left_out_and_said(upscale: Upscale) -> None:
    _, result, messages = upscale(video_files.unknown_sound, ".mp4", ".mkv")
    assert re.search(r"audio stream 1 \(.*\) is left out", messages)
    assert [stream.kind for stream in probe(result).streams] == ["video"]


@pytest.mark.parametrize(("audio", "streams"), [("none", 0), ("aac", 2), ("opus", 2)])
def test_sound_left_out_or_encoded(upscale: Upscale, audio: str, streams: int) -> None:
    clip, result, _ = upscale(video_files.many_streams, ".mkv", ".mkv", "--audio", audio)
    before, after = probe(clip.path), probe(result)
    assert_same_frames(before, after, ROUNDING[".mkv"])
    sound = after.of_kind("audio")
    assert [stream.codec for stream in sound] == [audio] * streams
    assert [language(stream) for stream in sound] == ["eng", "jpn"][:streams]


def test_the_font_is_the_same_file(upscale: Upscale) -> None:
    _, result, _ = upscale(video_files.many_streams, ".mkv", ".mkv")
    assert FONT in result.read_bytes()
