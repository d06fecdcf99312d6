"""Prints the SHA-256 of a segment of moving crops of a photograph: encode_run.py PHOTO CODEC."""

import hashlib
import sys
import tempfile
from pathlib import Path

import numpy as np
import video_files
from PIL import Image

from realesrgan_vk._core import rgb_to_yuv
from realesrgan_vk.video import VideoOptions, VideoReader
from realesrgan_vk.video.encoders import plan_encoding
from realesrgan_vk.video.segments import SegmentWriter

WIDTH, HEIGHT, FRAMES = 352, 288, 40
PRESETS = {"x264": "veryfast", "x265": "fast", "av1": "10", "vp9": "4"}


def main() -> None:
    """Print the digest of one segment."""
    photo, codec = sys.argv[1:]
    with Image.open(photo) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    folder = Path(tempfile.mkdtemp())
    video_files.plain(folder / "clip.mkv", 2)
    options = VideoOptions(codec=codec, preset=PRESETS.get(codec), encoder_threads=1)
    with VideoReader(folder / "clip.mkv") as reader:
        encoding = plan_encoding(
            options, reader.info, (WIDTH, HEIGHT), None, threads=1, container="matroska", note=str
        )
    random = np.random.default_rng(1)
    with SegmentWriter(folder / "segment.mkv", encoding) as writer:
        for number in range(FRAMES):
            image, planes, _ = encoding.new_frame()
            left, top = 3 * number, number % 7
            crop = pixels[top : top + HEIGHT, left : left + WIDTH].astype(np.float32) / 255
            crop += random.normal(0, 0.01, crop.shape).astype(np.float32)
            rgb_to_yuv(np.ascontiguousarray(crop), list(planes), encoding.yuv_format)
            writer.write(image, number, 1)
        writer.finish()
    sys.stdout.write(hashlib.sha256((folder / "segment.mkv").read_bytes()).hexdigest())


if __name__ == "__main__":
    main()
