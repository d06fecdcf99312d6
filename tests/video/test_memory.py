"""The memory that a video takes does not grow with its number of frames."""

import subprocess
import sys
from pathlib import Path

import pytest
import video_files
from compact_network import write_compact

SIZE = (160, 120)
FRAME_BYTES = SIZE[0] * SIZE[1] * 3 // 2 * (1 + 2 * 2)  # of a frame and its result
RUN = """
import sys
from pathlib import Path
from realesrgan_vk import video
options = video.VideoOptions(preset="ultrafast", segment_seconds=0.8)
summary = video.upscale(*sys.argv[1:3], model=Path(sys.argv[3]), device="cpu", options=options)
status = Path("/proc/self/status").read_text("ascii")
(line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
print(summary.frames, int(line.split()[1]) * 1024)
"""


def peak_bytes(clip: Path, network: Path, frames: int) -> int:
    video_files.plain(clip, frames, size=SIZE, options={"preset": "ultrafast"})
    command = [sys.executable, "-c", RUN, str(clip), f"{clip}.out.mkv", str(network)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240)
    count, peak = map(int, done.stdout.split())
    assert count == frames
    return peak


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_peak_memory_does_not_grow_with_the_frames(tmp_path: Path) -> None:
    network = write_compact(tmp_path, "net", features=4)
    short = peak_bytes(tmp_path / "short.mkv", network, 60)
    long = peak_bytes(tmp_path / "long.mkv", network, 460)
    assert long - short < 400 * FRAME_BYTES // 10
