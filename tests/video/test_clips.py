"""The synthetic files are what they claim to be; else the tests of them would prove nothing."""

from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
import pytest
import video_files
from ffprobe import probe
from video_files import Clip, plain


def decoded_equal(clip: Clip) -> bool:
    with av.open(str(clip.path)) as source:
        frames = list(source.decode(video=0))
    return len(frames) == len(clip.frames) and all(
        np.array_equal(rows, plane)
        for frame, planes in zip(frames, clip.frames, strict=True)
        for rows, plane in zip(video_files.rows_of(frame), planes, strict=False)
    )


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_frames_at_uneven_times(tmp_path: Path, suffix: str) -> None:
    clip = video_files.vfr_with_gaps(tmp_path / f"clip{suffix}")
    assert probe(clip.path).video.times == clip.times


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_open_groups(tmp_path: Path, codec: Literal["libx264", "libx265"]) -> None:
    clip = video_files.open_gop(tmp_path / "clip.mp4", codec)
    packets = probe(clip.path).video.packets
    key = next(place for place, packet in enumerate(packets) if place and "K" in packet.flags)
    start = packets[key].pts
    assert start is not None
    assert any(packet.pts is not None and packet.pts < start for packet in packets[key + 1 :])


def test_times_below_zero(tmp_path: Path) -> None:
    clip = video_files.negative_start(tmp_path / "clip.ts")
    assert probe(clip.path).video.times == clip.times
    assert clip.times[0] < 0


def test_frames_without_times(tmp_path: Path) -> None:
    clip = video_files.without_first_times(tmp_path / "clip.mkv")
    assert probe(clip.path).video.times == [None, None, *clip.times[2:]]


def test_an_edit_list(tmp_path: Path) -> None:
    clip = video_files.edit_list(tmp_path / "clip.mp4")
    source = probe(clip.path)
    assert ["D" in packet.flags for packet in source.video.packets[:4]] == [True] * 3 + [False]
    assert source.video.times == clip.times
    (sound,) = source.of_kind("audio")
    assert sound.packets[0].pts == Fraction(-1024, 48000)


def test_every_stream(tmp_path: Path) -> None:
    matroska = probe(video_files.many_streams(tmp_path / "clip.mkv").path)
    kinds = ["video", "audio", "audio", "subtitle", "subtitle", "attachment", "video"]
    assert [stream.kind for stream in matroska.streams] == kinds
    assert [chapter.title for chapter in matroska.chapters] == ["Beginning", "End"]
    mp4 = probe(video_files.many_streams(tmp_path / "clip.mp4").path)
    assert [len(mp4.of_kind(kind)) for kind in ("audio", "subtitle", "cover")] == [2, 1, 1]


def test_turned_wide_and_interlaced(tmp_path: Path) -> None:
    turned = probe(video_files.turned(tmp_path / "turned.mp4").path).video
    assert turned.side_data["Display Matrix"]["rotation"] == 90
    wide = probe(video_files.wide_pixels(tmp_path / "wide.mkv").path).video
    assert wide.fields["sample_aspect_ratio"] == "64:45"
    interlaced = probe(video_files.interlaced(tmp_path / "fields.mkv").path).video
    assert interlaced.fields["field_order"] == "tt"
    assert all(frame.fields["interlaced_frame"] for frame in interlaced.frames)


def test_high_dynamic_range(tmp_path: Path) -> None:
    video = probe(video_files.hdr10(tmp_path / "clip.mkv").path).video
    assert video.fields["pix_fmt"] == "yuv420p10le"
    assert video.fields["color_transfer"] == "smpte2084"
    display = video.frames[0].side_data["Mastering display metadata"]
    assert Fraction(display["max_luminance"]) == 1000
    assert video.frames[0].side_data["Content light level metadata"]["max_content"] == 1000


@pytest.mark.parametrize("codec", ["libx264", "ffv1"])
def test_a_damaged_packet(tmp_path: Path, codec: Literal["libx264", "ffv1"]) -> None:
    clip = video_files.corrupt(tmp_path / "clip.mkv", codec)
    assert clip.damaged is not None
    times = clip.times[: clip.damaged] + clip.times[clip.damaged + 1 :]
    assert probe(clip.path).video.times == times


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_cut_off_file(tmp_path: Path, suffix: str) -> None:
    clip = video_files.truncated(tmp_path / f"clip{suffix}")
    assert 4 < len(probe(clip.path).video.frames) < len(clip.frames) - 4


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("clip.mkv", "ffv1", "yuv420p"),
        ("clip.mkv", "ffv1", "yuv420p10le"),
        ("clip.mkv", "ffv1", "yuva444p"),
        ("clip.mkv", "ffv1", "gray"),
        ("clip.mkv", "ffv1", "bgr0"),
        ("clip.nut", "rawvideo", "nv12"),
        ("clip.avi", "rawvideo", "nv12"),
    ],
)
def test_lossless_files_hold_the_frames(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    clip = plain(tmp_path / name, 3, codec=codec, pixels=pixels, size=(65, 49))
    assert probe(clip.path).video.fields["pix_fmt"] == pixels
    assert decoded_equal(clip)
