"""The size that a file's container declares."""

from pathlib import Path

import pytest
import video_files
from compact_network import write_compact

from realesrgan_vk.batch.workers import load_upscalers
from realesrgan_vk.options import Request, UpscalerOptions
from realesrgan_vk.video import VideoOptions
from realesrgan_vk.video.completeness import declared_bytes
from realesrgan_vk.video.run import VideoRun


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov", "a.avi"])
def test_a_whole_file_has_its_declared_size_and_no_part_has_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    video_files.plain(path, 3)
    whole = path.read_bytes()
    assert declared_bytes(path) == len(whole)
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        assert declared_bytes(path) in (None, 0, *range(size, len(whole) + 1))
    path.write_bytes(whole[:-1])
    assert declared_bytes(path) == len(whole)


_UNKNOWN_SEGMENT = b"\x1aE\xdf\xa3\x80\x18S\x80g\xff"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x1aE\xdf\xa3",
        _UNKNOWN_SEGMENT,
        b"\x1aE\xdf\xa3\x01\0",
        b"\0\0\0\x02ftyp",
        b"\0\0\0\0nope",
        b"RIFF\xff\xff\xff\xffAVI ",
    ],
)
def test_other_files_declare_none(content: bytes, tmp_path: Path) -> None:
    """One of an unknown size, as live recordings are, is among them."""
    path = tmp_path / "x"
    path.write_bytes(content)
    assert declared_bytes(path) is None


def test_a_run_says_that_the_source_ends_too_early(tmp_path: Path) -> None:
    source = tmp_path / "clip.mkv"
    video_files.truncated(source)
    upscalers = load_upscalers(
        write_compact(tmp_path, "net"), UpscalerOptions(), ["cpu"], pictures=1
    )
    run = VideoRun(source, tmp_path / "x.mkv", upscalers, Request(), VideoOptions())
    assert any("clip.mkv ends too early, after " in note for note in run.notes)
